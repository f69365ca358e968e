use react_model::transvae::{self, Windows};
use serde::{Deserialize, Serialize};

/// The network.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub task: Task,
    /// d, the width of all features; 128 as published.
    pub width: usize,
    /// Online, frames of a window in training; 16 as published.
    #[serde(default = "published_window")]
    pub window: usize,
}

fn published_window() -> usize {
    16
}

impl Model {
    /// The network as it is trained, on a corpus with so many audio features a frame.
    #[must_use]
    pub fn transvae(&self, audio_features: usize) -> transvae::Config {
        let published = transvae::Config::of_width(self.width);
        transvae::Config { task: self.task.into(), windows: Windows::of(self.window), audio_features, ..published }
    }
}

/// What is generated from what.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The whole reaction from the whole clip.
    Offline,
    /// Window by window, from the speaker's frames so far and the listener's own past.
    Online,
}

impl std::fmt::Display for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Offline => "offline",
            Self::Online => "online",
        })
    }
}

impl From<Task> for transvae::Task {
    fn from(task: Task) -> Self {
        match task {
            Task::Offline => Self::Offline,
            Task::Online => Self::Online,
        }
    }
}

/// Online, what becomes of frames that do not fill a window.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Tail {
    /// One more, shorter window.
    #[default]
    Generate,
    /// Zeros, as published.
    Zeros,
}

impl From<Tail> for transvae::Tail {
    fn from(tail: Tail) -> Self {
        match tail {
            Tail::Generate => Self::Generate,
            Tail::Zeros => Self::Zeros,
        }
    }
}
