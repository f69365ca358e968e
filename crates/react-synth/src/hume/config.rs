//! What a corpus is made of.

use crate::SynthError;
use serde::{Deserialize, Serialize};

/// Frames per second of every clip.
pub const HUME_FPS: f64 = 12.0;
/// Samples per second of every sound.
pub const HUME_RATE: u32 = 16_000;

/// The emotions, in the published order.
pub const EMOTIONS: [&str; 7] = ["Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"];

/// The size of a corpus and its seed. The same configuration gives the same bytes on any number of threads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumeSynthConfig {
    /// Clips to train on.
    pub train: usize,
    /// Clips to validate on; nobody in them is in the training split.
    pub val: usize,
    /// Clips without labels.
    pub test: usize,
    /// Length of each clip.
    pub seconds: f64,
    /// Width and height of the videos, pixels.
    pub size: usize,
    /// The seed of everything.
    pub seed: u64,
    /// Clips made at once; 0 takes one per core. Nothing depends on it.
    #[serde(skip)]
    pub threads: usize,
}

impl Default for HumeSynthConfig {
    /// 600 + 200 + 40 clips of 2.5 s at 96 × 96.
    fn default() -> Self {
        Self { train: 600, val: 200, test: 40, seconds: 2.5, size: 96, seed: 0, threads: 0 }
    }
}

impl HumeSynthConfig {
    /// Frames of each clip, at [`HUME_FPS`].
    #[must_use]
    pub fn frames(&self) -> usize {
        (self.seconds * HUME_FPS).round() as usize
    }

    /// Refuses what cannot be made.
    ///
    /// # Errors
    /// [`SynthError::Config`] with the field.
    pub fn check(&self) -> Result<(), SynthError> {
        let within = |what, value: f64, low: f64, high: f64| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(SynthError::Config { what, want: format!("from {low} to {high}"), found: value.to_string() })
            }
        };
        within("train", self.train as f64, 1.0, 50_000.0)?;
        within("val", self.val as f64, 1.0, 50_000.0)?;
        // Ids have five digits.
        within("test", self.test as f64, 0.0, 99_999.0 - (self.train + self.val) as f64)?;
        within("seconds", self.seconds, 0.25, 600.0)?;
        within("size", self.size as f64, 32.0, 2048.0)
    }
}
