//! The distances of all pairs of behaviours.

use crate::dtw::{Part, straight};
use crate::input::{Series, finite, least, shape};
use crate::nearest::warp_all;
use crate::progress::{OnProgress, Stage, Steps};
use crate::warp::{Form, Lane};
use crate::{InstructionSet, MetricsError};
use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;
use react_contracts::ATTRIBUTES;

/// Pairs taken together: whole vectors of lanes.
const PAIRS: usize = 64;

/// FRDist's distance of each pair of behaviours, `[N, N]`, symmetric, 0 on the diagonal; a pair over the frames that both have.
///
/// ```text
/// d(i, j) = DTW(AUs)/15 + DTW(valence, arousal) + DTW(expressions)/8
/// ```
/// `clips[i]` is `[Tᵢ, 25]`. In f64, so that it is the same on every processor: N (N − 1)/2 warps, which `progress` counts.
///
/// ```
/// use ndarray::Array2;
/// use react_metrics::{InstructionSet, reaction_distance, reaction_distances};
/// let clips: Vec<_> = (0..3).map(|i| Array2::from_shape_fn((9 + i, 25), |(t, c)| ((t * (i + 1) + c) % 5) as f32)).collect();
/// let views: Vec<_> = clips.iter().map(|clip| clip.view()).collect();
/// let all = reaction_distances(&views, InstructionSet::Best, &|_| ())?;
/// assert_eq!(all[[0, 2]], reaction_distance(clips[0].view(), clips[2].view())?);
/// assert_eq!((all[[2, 0]], all[[1, 1]]), (all[[0, 2]], 0.0));
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] where a clip is not `[T, 25]` with T ≥ 1 or holds a value that is not finite.
pub fn reaction_distances(
    clips: &[ArrayView2<'_, f32>],
    set: InstructionSet,
    progress: OnProgress<'_>,
) -> Result<Array2<f64>, MetricsError> {
    for (i, clip) in clips.iter().enumerate() {
        if clip.ncols() != ATTRIBUTES {
            return Err(shape(&format!("clip {i}"), "[T, 25]", clip.shape()));
        }
        least(&format!("frames of clip {i}"), 1, clip.nrows())?;
    }
    let standard: Vec<_> = clips.iter().map(|clip| clip.as_standard_layout()).collect();
    let series: Vec<Series<'_>> = standard.iter().map(|clip| Series { values: clip.as_slice().unwrap_or_default() }).collect();
    series.iter().enumerate().try_for_each(|(i, series)| finite("behaviour", i, None, *series))?;

    let pairs: Vec<(usize, usize)> = (0..series.len()).flat_map(|i| (i + 1..series.len()).map(move |j| (i, j))).collect();
    let steps = Steps::new(Stage::Pairs, pairs.len(), progress);
    let distances: Vec<Vec<f64>> = pairs
        .par_chunks(PAIRS)
        .map(|pairs| {
            let found = distances(&series, pairs, set);
            steps.advance(pairs.len());
            found
        })
        .collect();
    let mut out = Array2::zeros((series.len(), series.len()));
    for ((i, j), distance) in pairs.into_iter().zip(distances.into_iter().flatten()) {
        out[[i, j]] = distance;
        out[[j, i]] = distance;
    }
    Ok(out)
}

fn distances(series: &[Series<'_>], pairs: &[(usize, usize)], set: InstructionSet) -> Vec<f64> {
    let mut sums = vec![0.0; pairs.len()];
    for part in Part::ALL {
        let lane = |&(i, j): &(usize, usize)| {
            let (a, b) = (series[i], series[j]);
            let mut lane = Lane { a, b, frames: a.frames().min(b.frames()), enough: 0.0, form: Form::Differences };
            // No path is longer than the straight one: cells above its cost do not matter.
            lane.enough = straight(&lane, part) * (1.0 + 1e-9);
            lane
        };
        let lanes: Vec<Lane<'_>> = pairs.iter().map(lane).collect();
        for (sum, (squared, _)) in sums.iter_mut().zip(warp_all::<f64>(set, part, &lanes)) {
            *sum += squared.sqrt() / part.divisor();
        }
    }
    sums
}
