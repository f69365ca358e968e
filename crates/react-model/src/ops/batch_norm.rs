use super::{floats, gradient, with_floats};
use crate::kernels::{PARTS, multiversion, part};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Added to the variance, as PyTorch does.
const EPSILON: f64 = 1e-5;

/// Mean and biased variance of each channel: over a batch, or kept from training.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelStatistics {
    /// Means.
    pub mean: Vec<f32>,
    /// Variances: the sum of squares over n, not n − 1.
    pub variance: Vec<f32>,
    /// Rows that they were computed over, where they are a batch's own and its gradient goes through them; none where they are fixed.
    pub rows: Option<usize>,
}

impl ChannelStatistics {
    /// Of a batch, over all axes but the last.
    ///
    /// ```
    /// use candle_core::{Device::Cpu, Tensor};
    /// use react_model::ops::ChannelStatistics;
    /// let s = ChannelStatistics::of(&Tensor::new(&[[1f32, 5.0], [3.0, 5.0]], &Cpu)?)?;
    /// assert_eq!((s.mean, s.variance), (vec![2.0, 5.0], vec![1.0, 0.0]));
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Candle's, where there is nothing in the batch.
    pub fn of(x: &Tensor) -> Result<Self> {
        let channels = x.dims().last().copied().unwrap_or(0);
        if x.elem_count() == 0 {
            candle_core::bail!("batch_norm: {:?} is empty", x.dims());
        }
        let rows = x.elem_count() / channels;
        let sums = |shift: &[f32], square: bool| {
            with_floats(x, "batch_norm", |x| {
                let parts = in_parts(x.len(), channels, |range| {
                    let mut sums = vec![0.0; channels];
                    accumulate(&x[range], shift, square, &mut sums);
                    sums
                });
                Ok((0..channels).map(|c| parts.iter().map(|p| p[c]).sum::<f64>() / rows as f64).collect::<Vec<f64>>())
            })
        };
        let mean: Vec<f32> = sums(&vec![0.0; channels], false)?.into_iter().map(|m| m as f32).collect();
        let variance = sums(&mean, true)?.into_iter().map(|v| v as f32).collect();
        Ok(Self { mean, variance, rows: Some(rows) })
    }

    fn rstd(&self) -> Vec<f32> {
        self.variance.iter().map(|v| (1.0 / (f64::from(*v) + EPSILON).sqrt()) as f32).collect()
    }
}

/// BatchNorm with what follows it: `y = γ·(x − mean)/√(variance + 1e-5) + β`, plus a residual where there is one, then ReLU where it is
/// asked for. x and the residual `[…, c]`, affine `[2, c]` = γ and β.
///
/// With a batch's own statistics the gradient goes through them. Ioffe, Szegedy, "Batch Normalization", 2015.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::ops::{ChannelStatistics, batch_norm};
/// let x = Tensor::new(&[[1f32], [3.0]], &Cpu)?;
/// let affine = Tensor::new(&[[2f32], [0.5]], &Cpu)?;
/// let y = batch_norm(&x, &affine, &ChannelStatistics::of(&x)?, None, true)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 2.5).abs() < 1e-4);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn batch_norm(x: &Tensor, affine: &Tensor, statistics: &ChannelStatistics, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
    let channels = x.dims().last().copied().unwrap_or(0);
    if affine.dims() != [2, channels] || statistics.mean.len() != channels || statistics.variance.len() != channels {
        candle_core::bail!("batch_norm: γ and β {:?} do not fit the input {:?}", affine.dims(), x.dims());
    }
    let op = BatchNorm { mean: statistics.mean.clone(), rstd: statistics.rstd(), rows: statistics.rows, relu };
    let (x, affine) = (x.contiguous()?, affine.contiguous()?);
    match residual {
        None => x.apply_op2(&affine, op),
        Some(residual) if residual.dims() == x.dims() => x.apply_op3(&affine, &residual.contiguous()?, op),
        Some(residual) => candle_core::bail!("batch_norm: a residual {:?} does not fit the input {:?}", residual.dims(), x.dims()),
    }
}

struct BatchNorm {
    mean: Vec<f32>,
    rstd: Vec<f32>,
    rows: Option<usize>,
    relu: bool,
}

impl BatchNorm {
    fn channels(&self) -> usize {
        self.mean.len()
    }

    fn forward(&self, x: &[f32], affine: &[f32], residual: &[f32]) -> Vec<f32> {
        let c = self.channels();
        // γ·rstd·x + (β − γ·rstd·mean): one multiplication and one addition.
        let scale: Vec<f32> = (0..c).map(|i| affine[i] * self.rstd[i]).collect();
        let shift: Vec<f32> = (0..c).map(|i| affine[c + i] - self.mean[i] * scale[i]).collect();
        let mut y = vec![0.0; x.len()];
        let chunk = CHUNK * c;
        y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).enumerate().for_each(|(i, (y, x))| {
            let residual = residual.get(i * chunk..i * chunk + x.len()).unwrap_or(&[]);
            apply(x, &scale, &shift, residual, self.relu, y);
        });
        y
    }

    /// dx, dγ and dβ, and the gradient of the residual: that of the output where the ReLU let it through.
    fn backward(&self, x: &[f32], affine: &[f32], res: &[f32], grad: &[f32], residual: bool) -> [Vec<f32>; 3] {
        let c = self.channels();
        let mut through = grad.to_vec();
        if self.relu {
            let chunk = CHUNK * c;
            through.par_chunks_mut(chunk).zip(res.par_chunks(chunk)).for_each(|(g, y)| cut(y, g));
        }
        let parts = in_parts(x.len(), c, |range| {
            let mut sums = vec![0.0; 2 * c];
            gradient_sums(&x[range.clone()], &through[range], &self.mean, &self.rstd, &mut sums);
            sums
        });
        let sums: Vec<f64> = (0..2 * c).map(|i| parts.iter().map(|p| p[i]).sum()).collect();
        let scale: Vec<f32> = (0..c).map(|i| affine[i] * self.rstd[i]).collect();
        // The two means that go through the statistics; none where those are fixed.
        let share = |sum: f64| self.rows.map_or(0.0, |rows| (sum / rows as f64) as f32);
        let (first, second): (Vec<f32>, Vec<f32>) = (0..c).map(|i| (share(sums[c + i]), share(sums[i]))).unzip();
        let mut dx = vec![0.0; x.len()];
        let chunk = CHUNK * c;
        dx.par_chunks_mut(chunk).zip(x.par_chunks(chunk).zip(through.par_chunks(chunk))).for_each(|(dx, (x, g))| {
            input_gradient(x, g, &self.mean, &self.rstd, &scale, &first, &second, dx);
        });
        [dx, sums.into_iter().map(|s| s as f32).collect(), if residual { through } else { Vec::new() }]
    }
}

/// Rows that one task works on.
const CHUNK: usize = 256;

/// Runs `task` on a fixed number of parts of whole rows, whatever the number of threads.
fn in_parts<T: Send>(len: usize, channels: usize, task: impl Fn(std::ops::Range<usize>) -> T + Sync) -> Vec<T> {
    let rows = len / channels;
    let parts = rows.min(4 * PARTS);
    (0..parts)
        .into_par_iter()
        .map(|p| {
            let rows = part(rows, parts, p);
            task(rows.start * channels..rows.end * channels)
        })
        .collect()
}

multiversion! {
    /// Adds x − shift, or its square, per channel.
    fn accumulate(x: &[f32], shift: &[f32], square: bool, sums: &mut [f64]) {
        let c = shift.len();
        let mut partial = vec![0.0f32; c];
        for rows in x.chunks(64 * c) {
            partial.fill(0.0);
            for row in rows.chunks_exact(c) {
                if square {
                    for ((p, x), s) in partial.iter_mut().zip(row).zip(shift) {
                        *p += (x - s) * (x - s);
                    }
                } else {
                    for (p, x) in partial.iter_mut().zip(row) {
                        *p += x;
                    }
                }
            }
            for (s, p) in sums.iter_mut().zip(&partial) {
                *s += f64::from(*p);
            }
        }
    }
}

multiversion! {
    fn apply(x: &[f32], scale: &[f32], shift: &[f32], residual: &[f32], relu: bool, y: &mut [f32]) {
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
    fn cut(y: &[f32], grad: &mut [f32]) {
        for (g, y) in grad.iter_mut().zip(y) {
            *g = if *y > 0.0 { *g } else { 0.0 };
        }
    }
}

multiversion! {
    /// Adds Σ g·z and Σ g per channel to `sums` `[2, c]`.
    fn gradient_sums(x: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32], sums: &mut [f64]) {
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
    fn input_gradient(
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

impl CustomOp2 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, a: &CpuStorage, la: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.forward(floats(x, lx, "batch_norm")?, floats(a, la, "batch_norm")?, &[]);
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, affine: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, daffine, _] = self.backward_of(x, affine, res, grad, false)?;
        Ok((gradient(x, dx)?, gradient(affine, daffine)?))
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        a: &CpuStorage,
        la: &Layout,
        r: &CpuStorage,
        lr: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = "batch_norm";
        let y = self.forward(floats(x, lx, name)?, floats(a, la, name)?, floats(r, lr, name)?);
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        residual: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, daffine, through] = self.backward_of(x, affine, res, grad, true)?;
        Ok((gradient(x, dx)?, gradient(affine, daffine)?, gradient(residual, through)?))
    }
}

impl BatchNorm {
    fn backward_of(&self, x: &Tensor, affine: &Tensor, res: &Tensor, grad: &Tensor, residual: bool) -> Result<[Vec<f32>; 3]> {
        let name = "batch_norm";
        with_floats(x, name, |x| {
            with_floats(affine, name, |affine| {
                with_floats(res, name, |res| with_floats(grad, name, |grad| Ok(self.backward(x, affine, res, grad, residual))))
            })
        })
    }
}
