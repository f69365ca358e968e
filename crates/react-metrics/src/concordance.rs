//! Pearson's correlation, Lin's concordance, and FRCorr.

use crate::input::{Series, least};
use crate::simd::{F64x8, InstructionSet, Kernel, Real, Simd, Vectors};
use crate::{Inputs, MetricsError, Neighbours};
use ndarray::{ArrayView1, ArrayView3, ArrayView4};
use rayon::prelude::*;
use react_contracts::ATTRIBUTES;

/// Added to the denominator of the CCC by the published program.
const CCC_EPSILON: f64 = 1e-8;

/// Mean, sum of squared deviations, and whether all values are the same.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    mean: f64,
    squares: f64,
    constant: bool,
}

impl Moments {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let n = values.clone().count() as f64;
        let first = values.clone().next();
        let mean = values.clone().map(f64::from).sum::<f64>() / n;
        let squares = values.clone().map(|x| (f64::from(x) - mean).powi(2)).sum();
        Self { mean, squares, constant: values.clone().all(|x| Some(x) == first) }
    }
}

/// r from the sum of products of deviations: in [−1, 1], `None` where a side is constant.
fn correlation(products: f64, x: Moments, y: Moments) -> Option<f64> {
    let scale = (x.squares * y.squares).sqrt();
    (!x.constant && !y.constant && scale > 0.0).then(|| (products / scale).clamp(-1.0, 1.0))
}

fn concordance(products: f64, x: Moments, y: Moments, n: f64) -> f64 {
    let r = correlation(products, x, y).unwrap_or(0.0);
    let (vx, vy) = (x.squares / n, y.squares / n);
    2.0 * r * vx.sqrt() * vy.sqrt() / (vx + vy + (x.mean - y.mean).powi(2) + CCC_EPSILON)
}

fn products(x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>) -> Result<(f64, Moments, Moments), MetricsError> {
    least("values of the first series", 1, x.len())?;
    if y.len() != x.len() {
        return Err(crate::input::shape("second series", &format!("[{}]", x.len()), y.shape()));
    }
    let (mx, my) = (Moments::of(x.iter().copied()), Moments::of(y.iter().copied()));
    let sum = x.iter().zip(y).map(|(x, y)| (f64::from(*x) - mx.mean) * (f64::from(*y) - my.mean)).sum();
    Ok((sum, mx, my))
}

/// Pearson's correlation r of two series, in [−1, 1]; `None` where one of them is constant.
///
/// ```
/// use ndarray::arr1;
/// use react_metrics::pearson;
/// let x = arr1(&[1.0, 2.0, 3.0]);
/// assert_eq!(pearson(x.view(), arr1(&[2.0, 4.0, 6.0]).view())?, Some(1.0));
/// assert_eq!(pearson(x.view(), arr1(&[5.0, 5.0, 5.0]).view())?, None);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] where the series are empty or differ in length.
pub fn pearson(x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>) -> Result<Option<f64>, MetricsError> {
    let (products, x, y) = products(x, y)?;
    Ok(correlation(products, x, y))
}

/// Lin's concordance correlation coefficient, as the REACT challenge computes it:
///
/// ```text
/// CCC = 2 r σx σy / (σx² + σy² + (μx − μy)² + 1e-8)
/// ```
/// with population σ, and r = 0 where a series is constant. Source: L. I. Lin, Biometrics 45 (1989).
///
/// ```
/// use ndarray::arr1;
/// use react_metrics::ccc;
/// let (x, y) = (arr1(&[1.0, 2.0, 3.0]), arr1(&[2.0, 3.0, 4.0])); // σ² = 2/3, μ apart by 1
/// assert!((ccc(x.view(), y.view())? - 4.0 / 7.0).abs() < 1e-8);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] where the series are empty or differ in length.
pub fn ccc(x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>) -> Result<f64, MetricsError> {
    let n = x.len() as f64;
    let (products, x, y) = products(x, y)?;
    Ok(concordance(products, x, y, n))
}

/// A reaction as deviations from its channels' means, channel by channel, each padded with zeros to whole vectors.
pub(crate) struct Centred {
    frames: usize,
    deviations: Vec<F64x8>,
    moments: [Moments; ATTRIBUTES],
}

impl Centred {
    pub(crate) fn new(series: Series<'_>) -> Self {
        let frames = series.frames();
        let vectors = frames.div_ceil(F64_LANES);
        let mut deviations = vec![f64::block(0.0); vectors * ATTRIBUTES];
        let mut moments = [Moments::default(); ATTRIBUTES];
        for (c, out) in deviations.chunks_exact_mut(vectors).enumerate() {
            let channel = series.values[c..].iter().step_by(ATTRIBUTES).copied();
            moments[c] = Moments::of(channel.clone());
            let out = out.iter_mut().flat_map(|block| block.0.iter_mut());
            out.zip(channel).for_each(|(out, x)| *out = f64::from(x) - moments[c].mean);
        }
        Self { frames, deviations, moments }
    }

    /// Channels that never change.
    pub(crate) fn constant(&self) -> [bool; ATTRIBUTES] {
        self.moments.map(|m| m.constant)
    }
}

const F64_LANES: usize = <f64 as Real>::LANES;

/// Sums of products, channel by channel.
struct Products<'a>(&'a Centred, &'a Centred);

impl Kernel for Products<'_> {
    type Output = [f64; ATTRIBUTES];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        let vectors = self.0.deviations.len() / ATTRIBUTES;
        let channels = self.0.deviations.chunks_exact(vectors).zip(self.1.deviations.chunks_exact(vectors));
        let mut sums = [0.0; ATTRIBUTES];
        for (sum, (x, y)) in sums.iter_mut().zip(channels) {
            *sum = dot(simd, x, y);
        }
        sums
    }
}

/// Σ x·y in 32 partial sums, added in a fixed order.
#[inline(always)]
fn dot<S: Vectors<f64>>(simd: S, x: &[F64x8], y: &[F64x8]) -> f64 {
    let mut parts = [simd.splat(0.0); 4];
    let ((x4, x1), (y4, y1)) = (x.as_chunks::<4>(), y.as_chunks::<4>());
    for (x, y) in x4.iter().zip(y4) {
        for v in 0..4 {
            parts[v] = simd.mul_add(simd.load(&x[v]), simd.load(&y[v]), parts[v]);
        }
    }
    for (x, y) in x1.iter().zip(y1) {
        parts[0] = simd.mul_add(simd.load(x), simd.load(y), parts[0]);
    }
    let mut block = f64::block(0.0);
    simd.store(simd.add(simd.add(parts[0], parts[1]), simd.add(parts[2], parts[3])), &mut block);
    block.0.iter().sum()
}

/// Mean over the channels of the CCC of two reactions of the same length.
fn mean_ccc(set: InstructionSet, x: &Centred, y: &Centred) -> f64 {
    let n = x.frames as f64;
    let products = set.run(Products(x, y));
    (0..ATTRIBUTES).map(|c| concordance(products[c], x.moments[c], y.moments[c], n)).sum::<f64>() / ATTRIBUTES as f64
}

/// FRCorr: how well predictions agree with the best appropriate real reaction.
///
/// ```text
/// FRCorr = 1/N Σᵢ Σₖ max_{j appropriate for i} 1/25 Σ_c CCC(pᵢₖ[c], lⱼ[c])
/// ```
/// A sum over the K samples, in the published form: a perfect prediction reaches K, less the share of constant channels, which
/// count 0. Higher is better. Source: Song et al., "REACT 2024" (and REACT 2023).
///
/// `prediction [N, K, T, 25]`, `listener [N, T, 25]`.
///
/// ```
/// use ndarray::{Array3, Array4};
/// use react_metrics::{Neighbours, fr_corr};
/// let listener = Array3::from_shape_fn((1, 4, 25), |(_, t, _)| t as f32);
/// let prediction = Array4::from_shape_fn((1, 2, 4, 25), |(_, k, t, _)| if k == 0 { t as f32 } else { 1.0 });
/// let value = fr_corr(prediction.view(), listener.view(), &Neighbours::identity(1))?;
/// assert!((value - 1.0).abs() < 1e-8); // 1 for the same, 0 for the constant sample
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] as [`Inputs::new`].
pub fn fr_corr(prediction: ArrayView4<'_, f32>, listener: ArrayView3<'_, f32>, neighbours: &Neighbours) -> Result<f64, MetricsError> {
    let inputs = Inputs::new(prediction, listener, None, neighbours)?;
    let listeners = centred_listeners(&inputs);
    let set = InstructionSet::Best;
    let per_clip: Vec<f64> =
        (0..inputs.clips()).into_par_iter().map(|i| clip(&inputs, set, i, &centred_samples(&inputs, i), &listeners)).collect();
    Ok(crate::mean(&per_clip))
}

pub(crate) fn centred_listeners(inputs: &Inputs<'_>) -> Vec<Centred> {
    (0..inputs.clips()).into_par_iter().map(|i| Centred::new(inputs.listener(i))).collect()
}

pub(crate) fn centred_samples(inputs: &Inputs<'_>, i: usize) -> Vec<Centred> {
    (0..inputs.samples()).map(|k| Centred::new(inputs.prediction(i, k))).collect()
}

/// FRCorr's sum over the samples of clip `i`.
pub(crate) fn clip(inputs: &Inputs<'_>, set: InstructionSet, i: usize, samples: &[Centred], listeners: &[Centred]) -> f64 {
    let mut best = vec![f64::NEG_INFINITY; samples.len()];
    for &j in inputs.neighbours.of(i) {
        let real = &listeners[j as usize];
        let frames = inputs.frames(i).min(real.frames);
        // A cut changes a series' moments: only where lengths differ is there anything to compute again.
        let cut_real = (real.frames != frames).then(|| Centred::new(inputs.listener(j as usize).cut(frames)));
        for (k, (best, sample)) in best.iter_mut().zip(samples).enumerate() {
            let cut_sample = (sample.frames != frames).then(|| Centred::new(inputs.prediction(i, k).cut(frames)));
            let value = mean_ccc(set, cut_sample.as_ref().unwrap_or(sample), cut_real.as_ref().unwrap_or(real));
            *best = best.max(value);
        }
    }
    best.iter().sum()
}
