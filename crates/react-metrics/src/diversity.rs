//! FRDiv, FRVar, FRDvs: how much predictions differ between samples, over time, between speakers.
//!
//! Sums over ordered pairs are computed in closed form, in f64 around the mean, where nothing cancels:
//! `Σ_a Σ_b ‖x_a − x_b‖² = 2n Σ_a ‖x_a − x̄‖²`.

use crate::input::Series;
use crate::progress::{OnProgress, Stage, Steps};
use crate::{Inputs, MetricsError, Neighbours};
use ndarray::{ArrayView3, ArrayView4};
use rayon::prelude::*;
use react_contracts::ATTRIBUTES;

/// What the spread of a clip's samples is made of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spread {
    /// FRDiv of the clip.
    pub(crate) diversity: f64,
    /// The part of it that is left when every sample and channel is replaced by its mean over time.
    pub(crate) offset: f64,
}

/// FRDiv of one clip, and its part that is only an offset between samples.
pub(crate) fn spread(samples: &[Series<'_>]) -> Spread {
    let k = samples.len() as f64;
    let Some(first) = samples.first().filter(|_| samples.len() > 1) else { return Spread::default() };
    let frames = first.frames();
    let mut squares = 0.0;
    for at in 0..first.values.len() {
        squares += around_mean(samples.iter().map(|s| s.values[at]));
    }
    let means: Vec<[f64; ATTRIBUTES]> = samples.iter().map(|s| channel_means(*s)).collect();
    let between: f64 = (0..ATTRIBUTES)
        .map(|c| {
            let mean = means.iter().map(|m| m[c]).sum::<f64>() / k;
            means.iter().map(|m| (m[c] - mean).powi(2)).sum::<f64>()
        })
        .sum();
    let scale = 2.0 / ((k - 1.0) * ATTRIBUTES as f64);
    Spread { diversity: squares * scale / frames as f64, offset: between * scale }
}

/// Σ (x − x̄)².
fn around_mean(values: impl ExactSizeIterator<Item = f32> + Clone) -> f64 {
    let mean = values.clone().map(f64::from).sum::<f64>() / values.len() as f64;
    values.map(|x| (f64::from(x) - mean).powi(2)).sum()
}

fn channel_means(series: Series<'_>) -> [f64; ATTRIBUTES] {
    let mut sums = [0.0; ATTRIBUTES];
    for frame in series.values.chunks_exact(ATTRIBUTES) {
        sums.iter_mut().zip(frame).for_each(|(sum, x)| *sum += f64::from(*x));
    }
    sums.map(|sum| sum / series.frames() as f64)
}

/// Unbiased variance over time, mean over channels.
pub(crate) fn variance(series: Series<'_>) -> f64 {
    let means = channel_means(series);
    let mut squares = [0.0; ATTRIBUTES];
    for frame in series.values.chunks_exact(ATTRIBUTES) {
        for c in 0..ATTRIBUTES {
            squares[c] += (f64::from(frame[c]) - means[c]).powi(2);
        }
    }
    squares.iter().sum::<f64>() / ((series.frames() - 1) * ATTRIBUTES) as f64
}

/// For each clip, its share of FRDvs: their mean is FRDvs.
///
/// Clip n's is 2N/(N−1) · Σₖ ‖xₙₖ − x̄ₖ‖² / (K·T·25), over the frames that all clips have; 0 where N = 1.
pub(crate) fn between_clips(inputs: &Inputs<'_>, progress: OnProgress<'_>) -> Vec<f64> {
    /// Values of a clip taken at a time: a block of all clips stays in cache between the two passes.
    const BLOCK: usize = 512;
    let (n, k) = (inputs.clips(), inputs.samples());
    let frames = (0..n).map(|i| inputs.frames(i)).min().unwrap_or(0);
    let values = frames * ATTRIBUTES;
    let steps = Steps::new(Stage::Diversity, k, progress);
    let mut shares = vec![0.0; n];
    if n < 2 {
        return shares;
    }
    for sample in 0..k {
        let blocks: Vec<Vec<f64>> = (0..values.div_ceil(BLOCK))
            .into_par_iter()
            .map(|block| {
                let range = block * BLOCK..((block + 1) * BLOCK).min(values);
                let clip = |i| &inputs.prediction(i, sample).values[range.clone()];
                let mut means = vec![0.0; range.len()];
                (0..n).for_each(|i| means.iter_mut().zip(clip(i)).for_each(|(m, x)| *m += f64::from(*x)));
                means.iter_mut().for_each(|m| *m /= n as f64);
                (0..n).map(|i| means.iter().zip(clip(i)).map(|(m, x)| (f64::from(*x) - m).powi(2)).sum()).collect()
            })
            .collect();
        blocks.iter().for_each(|block| shares.iter_mut().zip(block).for_each(|(share, x)| *share += x));
        steps.advance(1);
    }
    let scale = 2.0 * n as f64 / ((n - 1) as f64 * (k * values) as f64);
    shares.iter().map(|share| share * scale).collect()
}

/// FRDiv: how much the samples of one clip differ from each other.
///
/// ```text
/// FRDiv = 1/N Σᵢ Σₐ Σ_b ‖pᵢₐ − pᵢ_b‖² / (K (K−1) T 25)      0 where K = 1
/// ```
/// An offset between samples counts as much as another movement (the diagnostics of [`score`](crate::score()) tell). Samples
/// uniform in [0, 1) give 1/6. Source: Song et al., "REACT 2024" (and REACT 2023), "S-MSE" in its program.
///
/// `prediction [N, K, T, 25]`.
///
/// ```
/// use ndarray::Array4;
/// let prediction = Array4::from_shape_fn((1, 2, 4, 25), |(_, k, ..)| k as f32);
/// assert_eq!(react_metrics::fr_div(prediction.view())?, 1.0); // 2 ordered pairs of 1, over K (K − 1) = 2
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] as [`Inputs::new`].
pub fn fr_div(prediction: ArrayView4<'_, f32>) -> Result<f64, MetricsError> {
    alone(prediction, |inputs| {
        let clip = |i| spread(&(0..inputs.samples()).map(|k| inputs.prediction(i, k)).collect::<Vec<_>>()).diversity;
        crate::mean(&(0..inputs.clips()).into_par_iter().map(clip).collect::<Vec<_>>())
    })
}

/// FRVar: how much predictions move.
///
/// ```text
/// FRVar = mean over i, k, c of 1/(T−1) Σₜ (pᵢₖ[t, c] − mean over time)²
/// ```
/// The unbiased variance, as PyTorch's. Samples uniform in [0, 1) give 1/12. Source: Song et al., "REACT 2024" (and REACT 2023).
///
/// `prediction [N, K, T, 25]`.
///
/// ```
/// use ndarray::Array4;
/// let prediction = Array4::from_shape_fn((1, 1, 4, 25), |(.., t, _)| (t % 2) as f32);
/// assert!((react_metrics::fr_var(prediction.view())? - 1.0 / 3.0).abs() < 1e-15); // 4 · 0.25 / 3
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] as [`Inputs::new`].
pub fn fr_var(prediction: ArrayView4<'_, f32>) -> Result<f64, MetricsError> {
    alone(prediction, |inputs| {
        let clip = |i| crate::mean(&(0..inputs.samples()).map(|k| variance(inputs.prediction(i, k))).collect::<Vec<_>>());
        crate::mean(&(0..inputs.clips()).into_par_iter().map(clip).collect::<Vec<_>>())
    })
}

/// FRDvs: how much predictions for different speakers differ.
///
/// ```text
/// FRDvs = Σₖ Σᵢ Σⱼ ‖pᵢₖ − pⱼₖ‖² / (N (N−1) K T 25)      0 where N = 1
/// ```
/// Source: Song et al., "REACT 2024" (and REACT 2023).
///
/// `prediction [N, K, T, 25]`.
///
/// ```
/// use ndarray::Array4;
/// let prediction = Array4::from_shape_fn((2, 3, 4, 25), |(i, ..)| i as f32);
/// assert_eq!(react_metrics::fr_dvs(prediction.view())?, 1.0);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] as [`Inputs::new`].
pub fn fr_dvs(prediction: ArrayView4<'_, f32>) -> Result<f64, MetricsError> {
    alone(prediction, |inputs| crate::mean(&between_clips(inputs, &|_| ())))
}

/// Checks predictions that are measured without listeners.
fn alone(prediction: ArrayView4<'_, f32>, measure: impl FnOnce(&Inputs<'_>) -> f64) -> Result<f64, MetricsError> {
    let (n, _, t, _) = prediction.dim();
    let zero = ndarray::arr0(0.0f32);
    let listener: Option<ArrayView3<'_, f32>> = zero.broadcast((n, t, ATTRIBUTES));
    let listener = listener.ok_or_else(|| crate::input::shape("prediction", "[N, K, T, 25]", prediction.shape()))?;
    let neighbours = Neighbours::identity(n);
    Ok(measure(&Inputs::new(prediction, listener, None, &neighbours)?))
}
