use crate::{ModelError, Result};

/// What is generated from what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The whole reaction from the whole clip.
    #[default]
    Offline,
    /// Window by window, from the speaker's frames so far and the listener's own past.
    Online,
}

/// What becomes of frames that do not fill a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tail {
    /// One more, shorter window.
    #[default]
    Generate,
    /// Zeros, as published.
    Zeros,
}

/// How an online clip is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Windows {
    /// w, the frames of a window: 16 in training, 8 in evaluation, as published.
    pub frames: usize,
    /// What becomes of frames that do not fill a window.
    pub tail: Tail,
}

impl Default for Windows {
    fn default() -> Self {
        Self { frames: 16, tail: Tail::Generate }
    }
}

impl Windows {
    /// Windows of so many frames, with a shorter one at the end.
    #[must_use]
    pub fn of(frames: usize) -> Self {
        Self { frames, tail: Tail::Generate }
    }

    /// Where the windows of a clip of `frames` frames end.
    ///
    /// ```
    /// use react_model::transvae::{Tail, Windows};
    /// assert_eq!(Windows::of(8).ends(20)?, [8, 16, 20]);
    /// assert_eq!(Windows { frames: 8, tail: Tail::Zeros }.ends(20)?, [8, 16]);
    /// assert_eq!(Windows::of(8).ends(5)?, [5]);
    /// # Ok::<(), react_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelError::Config`] where there is no window: no frames, or fewer than one window of a tail that is left out.
    pub fn ends(&self, frames: usize) -> Result<Vec<usize>> {
        let fault = |what: String| Err(ModelError::Config { field: "window", what });
        if self.frames == 0 {
            return fault("must have 1 frame or more, has 0".to_owned());
        }
        let mut ends: Vec<usize> = (1..=frames / self.frames).map(|i| i * self.frames).collect();
        if self.tail == Tail::Generate && !frames.is_multiple_of(self.frames) {
            ends.push(frames);
        }
        if ends.is_empty() {
            return fault(format!("{frames} frames hold no window of {}", self.frames));
        }
        Ok(ends)
    }
}
