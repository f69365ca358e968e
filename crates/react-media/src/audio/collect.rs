//! Decoded packets, one after the other, into one piece of sound.

use super::{Audio, AudioOptions};
use crate::MediaError;
use crate::error::guarded;
use crate::mp4::Edit;
use std::ops::Range;
use std::path::Path;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::packet::PacketRef;

/// The longest packet of AAC-LC and MP3, in samples of a channel.
const LONGEST_PACKET: u64 = 1152;

/// What a container knows of the packets; where there is none, the default.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout<'a> {
    /// Which stretches of the packets' sound are shown; all where there is no list.
    pub(crate) edits: Option<&'a [Edit]>,
    /// Units of time a second.
    pub(crate) scale: u32,
    /// How many packets there are.
    pub(crate) packets: u64,
    /// Packets before this one are decoded for the sake of those after it, and may fail.
    pub(crate) warm: usize,
}

impl Default for Layout<'_> {
    fn default() -> Self {
        Self { edits: None, scale: 1, packets: u64::MAX, warm: 0 }
    }
}

/// Takes what is shown, of the stretch that is asked for.
pub(crate) struct Collector<'a> {
    file: &'a Path,
    options: &'a AudioOptions,
    layout: Layout<'a>,
    audio: Audio,
    /// What is kept, in samples of a channel, ascending; known with the rate.
    kept: Vec<Range<u64>>,
    /// Where the next packet begins.
    position: u64,
    buffer: Vec<f32>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(file: &'a Path, options: &'a AudioOptions, layout: Layout<'a>) -> Self {
        let audio = Audio { samples: Vec::new(), rate: 0, channels: 0 };
        Self { file, options, layout, audio, kept: Vec::new(), position: 0, buffer: Vec::new() }
    }

    /// Decodes packet `index`, which begins at `time`.
    pub(crate) fn decode(
        &mut self,
        decoder: &mut dyn AudioDecoder,
        index: usize,
        time: i64,
        packet: &PacketRef<'_>,
    ) -> Result<(), MediaError> {
        let decoded = match guarded(self.file, || decoder.decode_ref(packet))? {
            Ok(decoded) => decoded,
            Err(_) if index < self.layout.warm && self.audio.rate == 0 => return Ok(()),
            Err(why) => return Err(self.failed(index, why.to_string())),
        };
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        self.buffer.clear();
        decoded.copy_to_vec_interleaved(&mut self.buffer);
        self.add(index, time, rate, channels)
    }

    /// Where the next packet's samples are put.
    pub(crate) fn buffer(&mut self) -> &mut Vec<f32> {
        &mut self.buffer
    }

    /// Takes the samples in the buffer, those of packet `index`, which begins at `time`.
    pub(crate) fn add(&mut self, index: usize, time: i64, rate: u32, channels: usize) -> Result<(), MediaError> {
        if rate == 0 || channels == 0 {
            return Err(self.failed(index, "it has no rate or no channel".to_owned()));
        }
        if self.audio.rate == 0 {
            (self.audio.rate, self.audio.channels) = (rate, channels);
            self.position = samples(time, rate, self.layout.scale);
            self.kept = self.kept_of(rate);
            self.reserve()?;
        }
        if (rate, channels) != (self.audio.rate, self.audio.channels) {
            return Err(self.failed(index, "the rate or the number of channels changes".to_owned()));
        }
        self.keep(index)
    }

    /// Takes what is kept of the packet in the buffer.
    fn keep(&mut self, index: usize) -> Result<(), MediaError> {
        let channels = self.audio.channels;
        let (start, count) = (self.position, (self.buffer.len() / channels) as u64);
        self.position = start.saturating_add(count);
        // The stretches follow each other: those that end before this packet are done with.
        let first = self.kept.partition_point(|stretch| stretch.end <= start);
        for stretch in &self.kept[first..] {
            let (from, to) = (stretch.start.clamp(start, self.position), stretch.end.clamp(start, self.position));
            if stretch.start >= self.position {
                break;
            }
            let part = self.buffer.get((from - start) as usize * channels..(to - start) as usize * channels).unwrap_or_default();
            if self.audio.samples.len() + part.len() > self.options.max_samples {
                return Err(too_long(self.file, self.options));
            }
            self.audio.samples.try_reserve(part.len()).map_err(|why| self.failed(index, why.to_string()))?;
            self.audio.samples.extend_from_slice(part);
        }
        Ok(())
    }

    /// The stretches that are shown and asked for.
    fn kept_of(&self, rate: u32) -> Vec<Range<u64>> {
        let (from, to) = self.options.window(rate);
        let Some(edits) = self.layout.edits else {
            return std::iter::once(from..to).collect();
        };
        let mut shown = 0u64;
        let mut kept = Vec::new();
        for edit in edits {
            let (start, end) = (samples(edit.start, rate, self.layout.scale), samples(edit.end, rate, self.layout.scale));
            let (skipped, length) = (from.saturating_sub(shown), end.saturating_sub(start));
            let wanted = start.saturating_add(skipped)..end.min(start.saturating_add(to.saturating_sub(shown)));
            shown = shown.saturating_add(length);
            if wanted.start < wanted.end {
                kept.push(wanted);
            }
        }
        kept
    }

    /// Room for all of it at once: growing on the way would take half as much again.
    fn reserve(&mut self) -> Result<(), MediaError> {
        let asked = self.kept.iter().fold(0u64, |sum, stretch| sum.saturating_add(stretch.end.saturating_sub(stretch.start)));
        if self.layout.packets == u64::MAX {
            return Ok(());
        }
        let most = asked.min(self.layout.packets.saturating_mul(LONGEST_PACKET)).saturating_mul(self.audio.channels as u64);
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(self.options.max_samples);
        self.audio.samples.try_reserve_exact(most).map_err(|why| self.failed(0, why.to_string()))
    }

    /// That everything asked for is there.
    pub(crate) fn is_full(&self) -> bool {
        self.audio.rate != 0 && self.kept.last().is_none_or(|last| last.end <= self.position)
    }

    pub(crate) fn failed(&self, index: usize, what: String) -> MediaError {
        MediaError::Decode { file: self.file.to_owned(), unit: "sound packet", index, what }
    }

    pub(crate) fn finish(self) -> Result<Audio, MediaError> {
        if self.audio.rate == 0 || self.audio.channels == 0 {
            return Err(MediaError::damaged(self.file, "it holds no sample of sound"));
        }
        Ok(self.audio)
    }
}

pub(crate) fn too_long(file: &Path, options: &AudioOptions) -> MediaError {
    MediaError::unsupported(file, format!("sound of more than {} samples (read it in stretches)", options.max_samples))
}

/// A time in samples.
fn samples(time: i64, rate: u32, scale: u32) -> u64 {
    u64::try_from(i128::from(time.max(0)) * i128::from(rate) / i128::from(scale.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples 0, 1, 2, … in stereo at 1 kHz, in packets of three, as the edits and options have them.
    fn collect(edits: Option<&[Edit]>, options: AudioOptions) -> Vec<f32> {
        let layout = Layout { edits, scale: 2000, ..Layout::default() };
        let mut collector = Collector::new(Path::new("a.mp4"), &options, layout);
        (collector.audio.rate, collector.audio.channels) = (1000, 2);
        collector.kept = collector.kept_of(1000);
        let all: Vec<f32> = (0..20).map(|i| i as f32).collect();
        for packet in all.chunks(6) {
            collector.buffer = packet.to_vec();
            collector.keep(0).unwrap();
        }
        collector.finish().unwrap().samples
    }

    #[test]
    fn edits_cut_in_units_of_the_track() {
        let edits = [Edit { start: 4, end: 8 }, Edit { start: 16, end: i64::MAX }];
        let all = AudioOptions::default();
        assert_eq!(collect(Some(&edits), all), [4., 5., 6., 7., 16., 17., 18., 19.]);
        let middle = AudioOptions { from: 0.001, seconds: 0.002, ..all };
        assert_eq!(collect(Some(&edits), middle), [6., 7., 16., 17.]);
    }

    #[test]
    fn a_stretch_is_cut_out() {
        let options = AudioOptions { from: 0.002, seconds: 0.003, ..AudioOptions::default() };
        assert_eq!(collect(None, options), [4., 5., 6., 7., 8., 9.]);
        let beyond = AudioOptions { from: 0.009, ..options };
        assert_eq!(collect(None, beyond), [18., 19.]);
        assert!(collect(None, AudioOptions { from: 5., ..options }).is_empty());
    }
}
