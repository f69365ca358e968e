use super::collect::too_long;
use super::{Audio, AudioOptions};
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

/// How samples are coded: bytes of one, and what they mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    /// 8 bits, 128 is silence.
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    /// ITU-T G.711.
    ALaw,
    MuLaw,
}

/// The `fmt ` chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    coding: Coding,
    channels: u16,
    rate: u32,
}

impl Format {
    /// Reads a WAVEFORMAT, WAVEFORMATEX or WAVEFORMATEXTENSIBLE.
    pub(crate) fn read(fmt: &[u8], file: &Path) -> Result<Self, MediaError> {
        let word = |at: usize| fmt.get(at..at + 2).map_or(0, |b| u16::from_le_bytes([b[0], b[1]]));
        if fmt.len() < 16 {
            return Err(MediaError::damaged(file, format!("its format chunk has {} bytes", fmt.len())));
        }
        let (channels, rate, block, bits) =
            (word(2), u32::from(word(4)) | u32::from(word(6)) << 16, usize::from(word(12)), usize::from(word(14)));
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(MediaError::damaged(file, format!("it claims {channels} channels")));
        }
        if rate == 0 {
            return Err(MediaError::damaged(file, "it claims 0 samples a second"));
        }
        // The extensible form's own tag begins the identifier of its kind.
        let tag = if word(0) == 0xfffe { word(24) } else { word(0) };
        // A sample of 12 or 20 bits lies in the upper bits of the next whole bytes.
        let coding = match (tag, bits.div_ceil(8)) {
            (1, 1) => Coding::Unsigned8,
            (1, 2) => Coding::Signed16,
            (1, 3) if block == 4 * usize::from(channels) => Coding::Signed32,
            (1, 3) => Coding::Signed24,
            (1, 4) => Coding::Signed32,
            (3, 4) => Coding::Float32,
            (3, 8) => Coding::Float64,
            (6, 1) => Coding::ALaw,
            (7, 1) => Coding::MuLaw,
            _ => return Err(MediaError::codec(file, format!("a wav of kind {tag:#06x} with {bits} bits"))),
        };
        let format = Self { coding, channels, rate };
        if block != format.block() {
            let what = format!("its {channels} channels of {bits} bits do not fill its blocks of {block} bytes");
            return Err(MediaError::damaged(file, what));
        }
        Ok(format)
    }

    /// Bytes of a sample of one channel.
    fn width(self) -> usize {
        match self.coding {
            Coding::Unsigned8 | Coding::ALaw | Coding::MuLaw => 1,
            Coding::Signed16 => 2,
            Coding::Signed24 => 3,
            Coding::Signed32 | Coding::Float32 => 4,
            Coding::Float64 => 8,
        }
    }

    /// Bytes of a sample of all channels.
    fn block(self) -> usize {
        self.width() * usize::from(self.channels)
    }

    /// Appends whole samples.
    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self.coding {
            Coding::Unsigned8 => out.extend(bytes.iter().map(|&b| (f32::from(b) - 128.) / 128.)),
            Coding::Signed16 => out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from(i16::from_le_bytes(b)) / 32_768.)),
            Coding::Signed24 => {
                let sample = |&[a, b, c]: &[u8; 3]| i32::from_le_bytes([0, a, b, c]) as f32 / 2_147_483_648.;
                out.extend(bytes.as_chunks().0.iter().map(sample));
            }
            Coding::Signed32 => {
                out.extend(bytes.as_chunks().0.iter().map(|&b| (f64::from(i32::from_le_bytes(b)) / 2_147_483_648.) as f32));
            }
            Coding::Float32 => out.extend(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b))),
            Coding::Float64 => out.extend(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32)),
            Coding::ALaw => out.extend(bytes.iter().map(|&b| a_law(b))),
            Coding::MuLaw => out.extend(bytes.iter().map(|&b| mu_law(b))),
        }
    }
}

fn a_law(byte: u8) -> f32 {
    let byte = byte ^ 0x55;
    let (segment, mantissa) = (i32::from(byte >> 4 & 7), i32::from(byte & 15));
    let size = if segment == 0 { mantissa << 4 | 8 } else { (mantissa << 4 | 0x108) << (segment - 1) };
    (if byte & 0x80 == 0 { -size } else { size }) as f32 / 32_768.
}

fn mu_law(byte: u8) -> f32 {
    let byte = !byte;
    let size = ((i32::from(byte & 15) << 3 | 0x84) << (byte >> 4 & 7)) - 0x84;
    (if byte & 0x80 == 0 { size } else { -size }) as f32 / 32_768.
}

/// Reads a wav: its chunks are what they claim, and no more memory is taken than its samples need.
///
/// A program that writes to a pipe cannot know the length of its data, and leaves 0 or something near 2³² there: then the file's end is
/// the end.
pub(super) fn read(source: &mut Source, options: &AudioOptions) -> Result<Audio, MediaError> {
    let mut at = 12;
    let mut format = None;
    while at + 8 <= source.len() {
        let [a, b, c, d, s0, s1, s2, s3] = source.array(at)?;
        let size = u32::from_le_bytes([s0, s1, s2, s3]);
        match &[a, b, c, d] {
            b"fmt " if format.is_none() => {
                source.check(at + 8, u64::from(size), || "its format chunk".to_owned())?;
                let mut fmt = Vec::new();
                source.read(at + 8, size.min(40) as usize, &mut fmt)?;
                format = Some(Format::read(&fmt, source.path())?);
            }
            b"data" => {
                let format = format.ok_or_else(|| MediaError::damaged(source.path(), "its sound comes before its format"))?;
                let rest = source.len() - (at + 8);
                let size = if matches!(size, 0 | 0x7fff_0000..) { rest } else { u64::from(size) };
                source.check(at + 8, size, || "its sound".to_owned())?;
                return samples(source, format, at + 8, size, options);
            }
            _ => {}
        }
        at += 8 + u64::from(size) + u64::from(size % 2);
    }
    Err(MediaError::damaged(source.path(), "it has no data chunk (was it cut short?)"))
}

fn samples(source: &mut Source, format: Format, start: u64, size: u64, options: &AudioOptions) -> Result<Audio, MediaError> {
    let block = format.block() as u64;
    let frames = size / block;
    if frames == 0 {
        return Err(MediaError::damaged(source.path(), "it holds no sample of sound"));
    }
    let (from, to) = options.window(format.rate);
    let (from, to) = (from.min(frames), to.min(frames));
    let channels = usize::from(format.channels);
    let count = to.saturating_sub(from).saturating_mul(channels as u64);
    if count > options.max_samples as u64 {
        return Err(too_long(source.path(), options));
    }
    let mut out = Vec::new();
    out.try_reserve_exact(count as usize).map_err(|why| MediaError::damaged(source.path(), why.to_string()))?;
    let mut bytes = Vec::new();
    let at_a_time = (1 << 16) / block + 1;
    for first in (from..to).step_by(at_a_time as usize) {
        let frames = at_a_time.min(to - first);
        source.read(start + first * block, (frames * block) as usize, &mut bytes)?;
        format.decode(&bytes, &mut out);
    }
    Ok(Audio { samples: out, rate: format.rate, channels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fmt(tag: u16, channels: u16, bits: u16, block: u16) -> Vec<u8> {
        let mut out = [tag, channels, 8000, 0, 0, 0, block, bits].map(u16::to_le_bytes).concat();
        out.extend([0; 24]);
        out
    }

    #[test]
    fn formats_are_told_apart_or_refused() {
        let read = |tag, channels, bits, block| Format::read(&fmt(tag, channels, bits, block), Path::new("a.wav"));
        let coding = |tag, bits, block| read(tag, 2, bits, block).unwrap().coding;
        assert_eq!(coding(1, 12, 4), Coding::Signed16);
        assert_eq!(coding(1, 20, 6), Coding::Signed24);
        assert_eq!(coding(1, 24, 8), Coding::Signed32);
        assert_eq!(coding(3, 64, 16), Coding::Float64);
        for (tag, channels, bits, block, what) in [
            (1, 0, 16, 2, "0 channels"),
            (1, 2, 16, 2, "do not fill its blocks of 2 bytes"),
            (1, 2, 0, 0, "kind 0x0001 with 0 bits"),
            (3, 1, 16, 2, "kind 0x0003 with 16 bits"),
            (0x55, 1, 0, 1, "kind 0x0055"),
        ] {
            let error = read(tag, channels, bits, block).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        assert!(Format::read(&[1; 15], Path::new("a.wav")).is_err());
    }

    #[test]
    fn telephones_are_understood() {
        // Points of G.711's tables, in units of 16 bits.
        let a: Vec<i32> = [0xd5u8, 0x55, 0xaa, 0x2a].iter().map(|&b| (a_law(b) * 32_768.) as i32).collect();
        assert_eq!(a, [8, -8, 32_256, -32_256]);
        let mu: Vec<i32> = [0xffu8, 0x7f, 0x80, 0x00].iter().map(|&b| (mu_law(b) * 32_768.) as i32).collect();
        assert_eq!(mu, [0, 0, 32_124, -32_124]);
    }
}
