//! The arithmetic of BatchNorm on channels-last arrays. Ioffe, Szegedy, "Batch Normalization", 2015.

use crate::kernels::multiversion;
use candle_core::{Device, Result, Tensor};

/// Added to the variance, as PyTorch does.
const EPSILON: f64 = 1e-5;

/// Mean and biased variance of each channel: over a batch, or kept from training; on the device of the batch, without gradients.
#[derive(Clone, Debug)]
pub struct ChannelStatistics {
    /// Means, `[c]`.
    pub mean: Tensor,
    /// Variances, `[c]`: the sum of squares over n, not n − 1.
    pub variance: Tensor,
    /// Rows that they were computed over, where they are a batch's own and its gradient goes through them; none where they are fixed.
    pub rows: Option<usize>,
}

/// The same as numbers.
#[derive(Clone, Debug)]
pub(super) struct HostStatistics {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) rows: Option<usize>,
}

impl HostStatistics {
    pub(super) fn of(statistics: &ChannelStatistics) -> Result<Self> {
        Ok(Self { mean: statistics.mean.to_vec1()?, variance: statistics.variance.to_vec1()?, rows: statistics.rows })
    }

    pub(super) fn tensors(&self) -> Result<ChannelStatistics> {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        Ok(ChannelStatistics { mean: tensor(&self.mean)?, variance: tensor(&self.variance)?, rows: self.rows })
    }

    pub(super) fn rstd(&self) -> Vec<f32> {
        self.variance.iter().map(|v| (1.0 / (f64::from(*v) + EPSILON).sqrt()) as f32).collect()
    }
}

/// y = scale·x + shift, which is γ·(x − mean)/√(variance + 1e-5) + β, and what its gradient needs.
pub(super) struct Affine {
    pub(super) mean: Vec<f32>,
    pub(super) rstd: Vec<f32>,
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
    /// The two means that go through the statistics; zeros where those are fixed.
    pub(super) first: Vec<f32>,
    pub(super) second: Vec<f32>,
}

impl Affine {
    /// From γ, then β.
    pub(super) fn new(statistics: &HostStatistics, affine: &[f32]) -> Self {
        let (mean, rstd) = (statistics.mean.clone(), statistics.rstd());
        let (gamma, beta) = affine.split_at(mean.len());
        let scale: Vec<f32> = gamma.iter().zip(&rstd).map(|(g, r)| g * r).collect();
        let shift = beta.iter().zip(&mean).zip(&scale).map(|((b, m), s)| b - m * s).collect();
        Self { mean, rstd, scale, shift, first: Vec::new(), second: Vec::new() }
    }

    /// For a backward pass: `sums` are those of [`gradient_sums`] over all rows.
    pub(super) fn with_gradient(statistics: &HostStatistics, affine: &[f32], sums: &[f64]) -> Self {
        let share = |sum: &f64| statistics.rows.map_or(0.0, |rows| (sum / rows as f64) as f32);
        let (with_z, plain) = sums.split_at(sums.len() / 2);
        Self { first: plain.iter().map(share).collect(), second: with_z.iter().map(share).collect(), ..Self::new(statistics, affine) }
    }
}

multiversion! {
    /// scale·x + shift, plus the residual where there is one, then ReLU where it is asked for.
    pub(super) fn apply(x: &[f32], scale: &[f32], shift: &[f32], residual: &[f32], relu: bool, y: &mut [f32]) {
        let c = scale.len();
        for (i, (y, x)) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).enumerate() {
            for (((y, x), a), b) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                *y = x * a + b;
            }
            if let Some(row) = residual.get(i * c..(i + 1) * c) {
                for (y, r) in y.iter_mut().zip(row) {
                    *y += r;
                }
            }
            if relu {
                for y in y.iter_mut() {
                    // NaN goes through.
                    *y = if *y <= 0.0 { 0.0 } else { *y };
                }
            }
        }
    }
}

multiversion! {
    /// The gradient before a ReLU with the result y.
    pub(super) fn cut(y: &[f32], grad: &[f32], into: &mut [f32]) {
        for ((into, g), y) in into.iter_mut().zip(grad).zip(y) {
            *into = if *y > 0.0 { *g } else { 0.0 };
        }
    }
}

multiversion! {
    /// Adds Σ g·z and Σ g per channel to `sums` `[2, c]`.
    pub(super) fn gradient_sums(x: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32], sums: &mut [f64]) {
        let c = mean.len();
        let mut partial = vec![0.0f32; 2 * c];
        for (x, grad) in x.chunks(64 * c).zip(grad.chunks(64 * c)) {
            partial.fill(0.0);
            let (first, second) = partial.split_at_mut(c);
            for (x, grad) in x.chunks_exact(c).zip(grad.chunks_exact(c)) {
                let sums = first.iter_mut().zip(second.iter_mut());
                for ((((x, g), m), r), (a, b)) in x.iter().zip(grad).zip(mean).zip(rstd).zip(sums) {
                    *a += g * (x - m) * r;
                    *b += g;
                }
            }
            for (s, p) in sums.iter_mut().zip(&partial) {
                *s += f64::from(*p);
            }
        }
    }
}

multiversion! {
    /// dx = γ·rstd·(g − first − z·second).
    pub(super) fn input_gradient(
        x: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32], scale: &[f32], first: &[f32], second: &[f32], dx: &mut [f32],
    ) {
        let c = mean.len();
        for ((x, grad), dx) in x.chunks_exact(c).zip(grad.chunks_exact(c)).zip(dx.chunks_exact_mut(c)) {
            let statistics = mean.iter().zip(rstd).zip(scale).zip(first.iter().zip(second));
            for (((dx, x), g), (((m, r), s), (a, b))) in dx.iter_mut().zip(x).zip(grad).zip(statistics) {
                *dx = s * (g - a - (x - m) * r * b);
            }
        }
    }
}
