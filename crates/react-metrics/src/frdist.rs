//! FRDist and ACC: the nearest real reaction by dynamic time warping.

use crate::checkpoint::Unit;
use crate::nearest::{Listeners, Nearest, Pruning, Query};
use crate::progress::{OnProgress, Stage, Steps};
use crate::{Inputs, MetricsError, Neighbours, Options};
use ndarray::{ArrayView3, ArrayView4};
use rayon::prelude::*;

/// FRDist: how far predictions are from the nearest appropriate real reaction.
///
/// ```text
/// FRDist = 1/N Σᵢ Σₖ min_{j appropriate for i} d(pᵢₖ, lⱼ)     d = DTW(AUs)/15 + DTW(valence, arousal) + DTW(expressions)/8
/// ```
/// Each DTW is unconstrained, see [`dtw`](crate::dtw). A sum over the K samples, in the published form: it grows with K. Lower is
/// better; 0 where every prediction is a real reaction. Source: Song et al., "REACT 2024" (and REACT 2023).
///
/// `prediction [N, K, T, 25]`, `listener [N, T, 25]`. Exact: pruning only leaves out what cannot be nearest.
///
/// ```
/// use ndarray::{Array3, Array4};
/// use react_metrics::{Neighbours, fr_dist};
/// let listener = Array3::<f32>::zeros((1, 4, 25));
/// let mut prediction = Array4::<f32>::zeros((1, 2, 4, 25));
/// prediction.slice_mut(ndarray::s![0, 1, .., 15]).fill(0.5); // valence of sample 1
/// assert_eq!(fr_dist(prediction.view(), listener.view(), &Neighbours::identity(1))?, 1.0); // 0 + √(4 · 0.25)
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] as [`Inputs::new`].
pub fn fr_dist(prediction: ArrayView4<'_, f32>, listener: ArrayView3<'_, f32>, neighbours: &Neighbours) -> Result<f64, MetricsError> {
    let inputs = Inputs::new(prediction, listener, None, neighbours)?;
    let (per_clip, _) = per_clip(&inputs, &Options::default(), &|_| ());
    Ok(crate::mean(&per_clip))
}

/// Σₖ minⱼ d of each clip, and how much was pruned.
pub(crate) fn per_clip(inputs: &Inputs<'_>, options: &Options<'_>, progress: OnProgress<'_>) -> (Vec<f64>, Pruning) {
    let (nearest, pruning) = search(inputs, options, Stage::Distance, progress, |i| inputs.neighbours.of(i));
    (nearest.chunks(inputs.samples()).map(|clip| clip.iter().map(|n| n.distance).sum()).collect(), pruning)
}

/// Predictions searched together: enough pairs to fill the lanes, few enough for a thread's share.
const QUERIES: usize = 64;

/// The nearest of its candidates for each (clip, sample), clips first.
fn search<'a>(
    inputs: &Inputs<'_>,
    options: &Options<'_>,
    stage: Stage,
    progress: OnProgress<'_>,
    candidates: impl Fn(usize) -> &'a [u32] + Sync,
) -> (Vec<Nearest>, Pruning) {
    let listeners = Listeners::new((0..inputs.clips()).map(|i| inputs.listener(i)).collect(), options.instructions);
    let names: Vec<(usize, usize)> = (0..inputs.clips()).flat_map(|i| (0..inputs.samples()).map(move |k| (i, k))).collect();
    let steps = Steps::new(stage, names.len(), progress);
    let units: Vec<_> = names
        .par_chunks(QUERIES)
        .enumerate()
        .map(|(at, names)| {
            let first = at * QUERIES;
            let known = options.checkpoint.and_then(|c| c.known(stage, first, names.len(), inputs.clips()));
            let unit = known.cloned().unwrap_or_else(|| {
                let query = |&(i, k): &(usize, usize)| Query { series: inputs.prediction(i, k), candidates: candidates(i) };
                let (nearest, pruning) = listeners.nearest(&names.iter().map(query).collect::<Vec<_>>());
                let unit = Unit { stage, first, nearest, pruning };
                if let Some(checkpoint) = options.checkpoint {
                    (checkpoint.keep)(&unit);
                }
                unit
            });
            steps.advance(names.len());
            unit
        })
        .collect();
    let mut pruning = Pruning::default();
    units.iter().for_each(|unit| pruning.add(&unit.pruning));
    (units.into_iter().flat_map(|unit| unit.nearest).collect(), pruning)
}

/// ACC, with the level that chance reaches.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Accuracy {
    /// Share of the generated reactions whose nearest real reaction is an appropriate one.
    pub acc: f64,
    /// What a reaction nearest to a random listener would reach: the share of ones in the neighbour matrix.
    pub chance: f64,
    /// Per clip, the share of its samples that were right.
    pub per_clip: Vec<f64>,
    /// How much of an exhaustive search was spared.
    pub pruning: Pruning,
}

/// ACC: the share of generated reactions whose nearest real reaction, over all listeners and by FRDist's distance, is
/// appropriate for their speaker. Of equally near listeners the first counts.
///
/// **Our definition**: the challenge's papers name an accuracy and its program leaves it empty. It warps every prediction
/// with every listener, N/neighbours times the work of FRDist: `progress` tells how far it is, and `options` may hold a checkpoint.
///
/// ```
/// use ndarray::{Array3, Array4};
/// use react_metrics::{Inputs, Neighbours, Options, accuracy};
/// let listener = Array3::from_shape_fn((2, 4, 25), |(i, _, _)| i as f32);
/// let prediction = Array4::from_shape_fn((2, 1, 4, 25), |(i, ..)| if i == 0 { 0.1 } else { 0.2 });
/// let neighbours = Neighbours::identity(2);
/// let inputs = Inputs::new(prediction.view(), listener.view(), None, &neighbours)?;
/// let accuracy = accuracy(&inputs, &Options::default(), &|_| ());
/// assert_eq!((accuracy.acc, accuracy.chance), (0.5, 0.5)); // both are nearest to listener 0
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
#[must_use]
pub fn accuracy(inputs: &Inputs<'_>, options: &Options<'_>, progress: OnProgress<'_>) -> Accuracy {
    let everyone: Vec<u32> = (0..inputs.clips() as u32).collect();
    let (nearest, pruning) = search(inputs, options, Stage::Accuracy, progress, |_| everyone.as_slice());
    let right = |(i, found): (usize, &[Nearest])| {
        let appropriate = inputs.neighbours.of(i);
        let right = found.iter().filter(|n| appropriate.binary_search(&n.listener).is_ok()).count();
        right as f64 / found.len() as f64
    };
    let per_clip: Vec<f64> = nearest.chunks(inputs.samples()).enumerate().map(right).collect();
    let n = inputs.clips() as f64;
    Accuracy { acc: crate::mean(&per_clip), chance: inputs.neighbours.pairs() as f64 / (n * n), per_clip, pruning }
}
