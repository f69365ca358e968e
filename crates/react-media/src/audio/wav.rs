use crate::MediaError;
use crate::source::Source;
use hound::{SampleFormat, WavSpec, WavWriter};
use react_store::AtomicFile;
use std::path::Path;

/// More than any microphone array; it keeps the products of a header small.
const MAX_CHANNELS: u16 = 256;

/// Writes mono sound as a wav of 16-bit integers, atomically; what lies outside [−1, 1] is clipped.
///
/// A sample x becomes round(32768 x), so that what was read from such a file is written to the same bytes.
///
/// # Errors
/// Where the file cannot be written, or would pass 4 GiB.
pub fn write_wav(path: &Path, samples: &[f32], rate: u32) -> Result<(), MediaError> {
    if samples.len() > (u32::MAX / 2 - 100) as usize {
        return Err(MediaError::write(path, "a wav holds at most 4 GiB"));
    }
    let failed = |why: hound::Error| MediaError::write(path, why);
    let file = AtomicFile::beside(path)?;
    let spec = WavSpec { channels: 1, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::create(file.temp(), spec).map_err(failed)?;
    let mut writer_16 = writer.get_i16_writer(samples.len() as u32);
    for &sample in samples {
        writer_16.write_sample((sample * 32_768.).round().clamp(-32_768., 32_767.) as i16);
    }
    writer_16.flush().map_err(failed)?;
    writer.finalize().map_err(failed)?;
    Ok(file.publish()?)
}

/// That the chunks of a wav are what they claim, before they are read.
///
/// A program that writes to a pipe cannot know the length of its data, and leaves 0 or something near 2³² there: then the file's end is
/// the end.
pub(super) fn check(source: &mut Source) -> Result<(), MediaError> {
    let mut at = 12;
    while at + 8 <= source.len() {
        let [a, b, c, d, s0, s1, s2, s3] = source.array(at)?;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        match &[a, b, c, d] {
            b"fmt " => {
                let channels = u16::from_le_bytes(source.array(at + 10)?);
                if !(1..=MAX_CHANNELS).contains(&channels) {
                    return Err(MediaError::damaged(source.path(), format!("it claims {channels} channels")));
                }
            }
            b"data" if !matches!(size, 0 | 0x7fff_0000..) => return source.check(at + 8, u64::from(size), || "its sound".to_owned()),
            b"data" => return Ok(()),
            _ => {}
        }
        at += 8 + u64::from(size) + u64::from(size % 2);
    }
    Err(MediaError::damaged(source.path(), "it has no data chunk (was it cut short?)"))
}
