use crate::{Nearest, Pruning, Stage};
use serde::{Deserialize, Serialize};

/// What a long search found for some predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// [`Stage::Distance`] or [`Stage::Accuracy`].
    pub stage: Stage,
    /// The first prediction, clip · K + sample.
    pub first: usize,
    /// The nearest listener of each, from the first on.
    pub nearest: Vec<Nearest>,
    /// What the search was spared.
    pub pruning: Pruning,
}

/// What an earlier run of the same search found before it was stopped, and what to do with what is found now.
///
/// The caller answers for the inputs being the same; a unit that cannot belong to them is left alone.
///
/// ```
/// use ndarray::{Array3, Array4};
/// use react_metrics::{Checkpoint, Inputs, Neighbours, Options, score};
/// use std::sync::Mutex;
/// let (prediction, listener) = (Array4::from_elem((2, 3, 9, 25), 0.5), Array3::zeros((2, 9, 25)));
/// let neighbours = Neighbours::identity(2);
/// let inputs = Inputs::new(prediction.view(), listener.view(), None, &neighbours)?;
/// let kept = Mutex::new(Vec::new());
/// let keep = |unit: &react_metrics::Unit| kept.lock().unwrap().push(unit.clone());
/// let first = Checkpoint::new(Vec::new(), &keep);
/// let before = score(&inputs, &Options { checkpoint: Some(&first), ..Options::default() }, &|_| ());
/// let found = kept.lock().unwrap().clone();
/// let again = Checkpoint::new(found, &|_| panic!("nothing is left to search"));
/// assert_eq!(score(&inputs, &Options { checkpoint: Some(&again), ..Options::default() }, &|_| ()), before);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
pub struct Checkpoint<'a> {
    known: Vec<Unit>,
    pub(crate) keep: &'a (dyn Fn(&Unit) + Sync),
}

impl<'a> Checkpoint<'a> {
    /// From the units of an earlier run, in any order; `keep` is called from any thread with every further one.
    #[must_use]
    pub fn new(mut known: Vec<Unit>, keep: &'a (dyn Fn(&Unit) + Sync)) -> Self {
        known.sort_by_key(|unit| (unit.stage as u8, unit.first));
        Self { known, keep }
    }

    pub(crate) fn known(&self, stage: Stage, first: usize, predictions: usize, clips: usize) -> Option<&Unit> {
        let at = self.known.binary_search_by_key(&(stage as u8, first), |unit| (unit.stage as u8, unit.first)).ok()?;
        let unit = self.known.get(at)?;
        let fits = |nearest: &Nearest| (nearest.listener as usize) < clips && nearest.distance >= 0.0;
        (unit.nearest.len() == predictions && unit.nearest.iter().all(fits)).then_some(unit)
    }
}

impl std::fmt::Debug for Checkpoint<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoint").field("known", &self.known.len()).finish_non_exhaustive()
    }
}
