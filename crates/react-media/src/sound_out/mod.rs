//! Sound out: samples → Opus packets (RFC 6716), for the sound track of an mp4.

mod edit;

pub(crate) use edit::trim_sound;

use crate::audio::{Audio, resample};
use crate::{MediaError, error::guarded};
use opus_pure::{Application, MAX_PACKET_BYTES, OpusEncoder, RateControl};
use std::path::Path;

/// Opus' own rate, in Hz: that of its clock, and of what is encoded here.
pub(crate) const RATE: u32 = 48_000;
/// Samples of a channel in a packet: 20 ms.
const PACKET: usize = 960;
/// Samples by which what is decoded comes later than what was encoded. muxide writes this number into `dOps`.
pub(crate) const PRE_SKIP: usize = 312;
/// Bits a second of a channel: voices keep their full band.
const BITS_A_SECOND: i32 = 48_000;

/// Sound that waits for its video: 48 kHz, one or two channels.
pub(crate) struct SoundTrack {
    samples: Vec<f32>,
    channels: usize,
}

impl SoundTrack {
    /// Resamples; more than two channels become their mean.
    pub(crate) fn new(sound: &Audio) -> Result<Self, MediaError> {
        if sound.channels == 0 || !sound.samples.len().is_multiple_of(sound.channels) {
            let what = format!("{} samples of sound do not fill {} channels", sound.samples.len(), sound.channels);
            return Err(MediaError::Argument(what));
        }
        if let Some(at) = sound.samples.iter().position(|sample| !sample.is_finite()) {
            return Err(MediaError::Argument(format!("sample {at} of the sound is {}", sound.samples[at])));
        }
        if sound.channels != 2 {
            return Ok(Self { samples: resample(&sound.mono(), sound.rate, RATE)?, channels: 1 });
        }
        let side = |side: usize| resample(&sound.samples.iter().skip(side).step_by(2).copied().collect::<Vec<_>>(), sound.rate, RATE);
        let (left, right) = (side(0)?, side(1)?);
        Ok(Self { samples: left.into_iter().zip(right).flat_map(|(left, right)| [left, right]).collect(), channels: 2 })
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Packets of 20 ms that hold `frames` samples of each channel behind the codec's delay: what is longer is cut, what is shorter is
    /// followed by silence.
    pub(crate) fn packets(&self, path: &Path, frames: usize) -> Result<Vec<Vec<u8>>, MediaError> {
        // The encoder is others' work.
        guarded(path, || self.encode(frames))?.map_err(|why| MediaError::write(path, format!("its sound: {why}")))
    }

    fn encode(&self, frames: usize) -> opus_pure::Result<Vec<Vec<u8>>> {
        let mut encoder = OpusEncoder::new(RATE as i32, self.channels, Application::Audio)?;
        encoder.bitrate_bps = BITS_A_SECOND * self.channels as i32;
        encoder.rate_control = RateControl::Vbr;
        debug_assert_eq!(encoder.lookahead(), PRE_SKIP);
        let samples = &self.samples[..self.samples.len().min(frames * self.channels)];
        let step = PACKET * self.channels;
        let (mut block, mut packet) = (vec![0.; step], vec![0; MAX_PACKET_BYTES]);
        (0..(frames + PRE_SKIP).div_ceil(PACKET))
            .map(|index| {
                let part = &samples[(index * step).min(samples.len())..((index + 1) * step).min(samples.len())];
                block[..part.len()].copy_from_slice(part);
                block[part.len()..].fill(0.);
                let length = encoder.encode(&block, PACKET, &mut packet)?;
                Ok(packet[..length].to_vec())
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_track_fills_its_video_and_names_what_is_wrong() {
        let sound = |samples: Vec<f32>, channels| SoundTrack::new(&Audio { samples, rate: 16_000, channels });
        let track = sound(vec![0.1; 16_000], 1).unwrap();
        for (frames, packets) in [(48_000, 51), (648, 1), (649, 2), (96_000, 101)] {
            assert_eq!(track.packets(Path::new("a.mp4"), frames).unwrap().len(), packets, "{frames}");
        }
        assert_eq!(sound(vec![0.1; 300], 3).unwrap().channels(), 1);
        assert_eq!(sound(vec![0.1; 300], 2).unwrap().samples.len(), 900);
        let error = |samples, channels| sound(samples, channels).err().unwrap().to_string();
        assert_eq!(error(vec![0.; 5], 2), "5 samples of sound do not fill 2 channels");
        assert_eq!(error(vec![0., f32::NAN], 1), "sample 1 of the sound is NaN");
    }
}
