//! From coded samples in decoding order to pictures in the order of presentation.

use super::codec::{Picture, StreamDecoder};
use super::plan::Plan;
use crate::MediaError;
use crate::source::Source;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More pictures than any codec holds back (H.264: 16): a file whose times ask for more would fill the memory.
const MAX_HELD_BACK: usize = 17;

/// As many of the largest pictures that are allowed; no level of H.264 has more of 4096 × 2304 pixels.
const MAX_HELD_BACK_LARGE: usize = 11;

/// The coded samples of one video stream and their decoder.
pub(crate) struct Packets {
    plan: Arc<Plan>,
    source: Source,
    decoder: StreamDecoder,
    next_shown: usize,
    next_decoded: usize,
    /// Decoded pictures whose turn has not come.
    held_back: BTreeMap<u32, Picture>,
    /// After an error the decoder's state is not to be trusted.
    has_failed: bool,
    /// The sample read last.
    packet: Vec<u8>,
}

impl Packets {
    /// Stands before the first frame.
    pub(crate) fn new(plan: Arc<Plan>, source: Source) -> Result<Self, MediaError> {
        let decoder = plan.recipe.decoder(&plan.path, 0, plan.max_pixels)?;
        let (held_back, packet) = (BTreeMap::new(), Vec::new());
        let mut packets = Self { plan, source, decoder, next_shown: 0, next_decoded: 0, held_back, has_failed: false, packet };
        packets.seek(0)?;
        Ok(packets)
    }

    /// Makes `frame`, which must be at most the number of frames, the next one.
    pub(crate) fn seek(&mut self, frame: usize) -> Result<(), MediaError> {
        let (source, decoder) = (&mut self.source, &self.decoder);
        let plan = &*self.plan;
        let read = |number: usize, sample: &mut Vec<u8>| source.read_extent(plan.extents[number], sample);
        let start = plan.start(frame, read, |sample| decoder.starts(sample))?;
        // Where the way leads past here, going on is shorter than starting anew.
        let goes_on = frame >= self.next_shown && start <= self.next_decoded && !self.has_failed;
        if !goes_on && frame < plan.shown.len() {
            self.decoder = plan.recipe.decoder(&plan.path, start, plan.max_pixels)?;
            self.held_back.clear();
            self.next_decoded = start;
            self.has_failed = false;
        }
        self.next_shown = frame;
        self.held_back.retain(|&number, _| plan.is_shown_from(frame, number));
        Ok(())
    }

    pub(crate) fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(&number) = self.plan.shown.get(self.next_shown) else {
            return Ok(false);
        };
        let picture = self.picture(number).inspect_err(|_| self.has_failed = true)?;
        self.next_shown += 1;
        self.decoder.to_rgb(&self.plan.path, number, &picture, rgb)?;
        Ok(true)
    }

    fn picture(&mut self, number: u32) -> Result<Picture, MediaError> {
        loop {
            if let Some(picture) = self.held_back.remove(&number) {
                return Ok(picture);
            }
            if !self.decode_more()? {
                return Err(MediaError::frame(&self.plan.path, number as usize, "the decoder gave no picture for it"));
            }
            let (width, height) = self.decoder.size();
            let most = (self.plan.max_pixels.saturating_mul(MAX_HELD_BACK_LARGE) / (width * height)).min(MAX_HELD_BACK);
            if self.held_back.len() > most {
                let what = format!("more than {most} frames precede frame {number} in the file and follow it in time");
                return Err(MediaError::damaged(&self.plan.path, what));
            }
        }
    }

    /// Decodes one more sample; `false` where there is none, and nothing more comes out.
    fn decode_more(&mut self) -> Result<bool, MediaError> {
        let (index, plan) = (self.next_decoded, &*self.plan);
        let mut out = Vec::new();
        match plan.extents.get(index) {
            Some(extent) if extent.size == 0 => return Err(MediaError::frame(&plan.path, index, "it is empty")),
            Some(&extent) => {
                self.source.read_extent(extent, &mut self.packet)?;
                let is_wanted = plan.is_shown_from(self.next_shown, index as u32);
                if is_wanted || !self.decoder.is_disposable(&self.packet) {
                    self.decoder.decode(index, &self.packet, &mut out)?;
                }
            }
            None if index == plan.extents.len() => self.decoder.flush(&mut out),
            None => return Ok(false),
        }
        self.next_decoded += 1;
        out.retain(|&(number, _)| plan.is_shown_from(self.next_shown, number));
        self.held_back.extend(out);
        Ok(true)
    }
}
