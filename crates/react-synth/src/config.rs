//! What a corpus is made of.

use crate::SynthError;
use serde::{Deserialize, Serialize};

/// Frames per second of every clip.
pub const FPS: f64 = 25.0;
/// Samples per second of every sound.
pub const RATE: u32 = 44_100;

/// The size of a corpus, its difficulty and its seed. The same configuration gives the same bytes on any number of threads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SynthConfig {
    /// Pairs of clips (speaker and listener) to train on.
    pub pairs_train: usize,
    /// Pairs to validate on; nobody in them is in the training split.
    pub pairs_val: usize,
    /// Frames of each clip, at 25 a second.
    pub frames: usize,
    /// Width and height of the videos, pixels.
    pub size: usize,
    /// Affect scripts: 4 (2 aspects of the face × 2 of the voice), 6 (3 × 2) or 9 (3 × 3).
    pub scripts: usize,
    /// The seed of everything.
    pub seed: u64,
    /// Clips made at once; 0 takes one per core. Nothing depends on it.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for SynthConfig {
    /// 64 + 24 pairs of 128 frames at 64 × 64, four scripts: small enough to be made in seconds.
    fn default() -> Self {
        Self { pairs_train: 64, pairs_val: 24, frames: 128, size: 64, scripts: 4, seed: 0, threads: 0 }
    }
}

impl SynthConfig {
    /// Aspects that the face shows, and aspects that the voice has.
    pub(crate) fn levels(&self) -> Result<(usize, usize), SynthError> {
        match self.scripts {
            4 => Ok((2, 2)),
            6 => Ok((3, 2)),
            9 => Ok((3, 3)),
            other => Err(SynthError::Config { what: "scripts", want: "4, 6 or 9".into(), found: other.to_string() }),
        }
    }

    /// Refuses what cannot be made.
    ///
    /// # Errors
    /// [`SynthError::Config`] with the field.
    pub fn check(&self) -> Result<(), SynthError> {
        self.levels()?;
        let within = |what, value: usize, low: usize, high: usize| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(SynthError::Config { what, want: format!("from {low} to {high}"), found: value.to_string() })
            }
        };
        within("pairs_train", self.pairs_train, 1, 100_000)?;
        within("pairs_val", self.pairs_val, 1, 100_000)?;
        within("frames", self.frames, 16, 100_000)?;
        within("size", self.size, 32, 2048)
    }
}
