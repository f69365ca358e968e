use std::sync::atomic::{AtomicUsize, Ordering};

/// A long part of the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// FRCorr, FRDiv, FRVar, FRSyn and the diagnostics, in clips.
    Clips,
    /// FRDvs, in samples.
    Diversity,
    /// FRDist, in predictions.
    Distance,
    /// ACC, in predictions.
    Accuracy,
    /// Distances of all pairs of series, in pairs.
    Pairs,
}

impl Stage {
    /// Its name for a progress bar.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Clips => "FRCorr, FRDiv, FRVar, FRSyn",
            Self::Diversity => "FRDvs",
            Self::Distance => "FRDist",
            Self::Accuracy => "ACC",
            Self::Pairs => "distances of all pairs",
        }
    }
}

/// How far a stage is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Which stage.
    pub stage: Stage,
    /// Units done.
    pub done: usize,
    /// Units in all.
    pub total: usize,
}

/// Called from any thread, whenever some units are done.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Sync);

/// Counts the units of one stage.
pub(crate) struct Steps<'a> {
    stage: Stage,
    total: usize,
    done: AtomicUsize,
    tell: OnProgress<'a>,
}

impl<'a> Steps<'a> {
    pub(crate) fn new(stage: Stage, total: usize, tell: OnProgress<'a>) -> Self {
        Self { stage, total, done: AtomicUsize::new(0), tell }
    }

    pub(crate) fn advance(&self, units: usize) {
        let done = self.done.fetch_add(units, Ordering::Relaxed) + units;
        (self.tell)(Progress { stage: self.stage, done, total: self.total });
    }
}
