use super::dropout::add_dropped;
use super::planned::Planned;
use super::{ROWS, floats, gradient, with_floats};
use crate::Mode;
use crate::gpu::{is_gpu, layer_norm as on_gpu, run_for, run_op};
use crate::kernels::multiversion;
use crate::tape;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// LayerNorm over the last axis: `(x − mean)/√(var + 1e-5)·γ + β`, biased variance. x `[…, c]`, γ and β `[c]`.
///
/// Ba, Kiros, Hinton, "Layer Normalization", 2016.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::ops::layer_norm;
/// let x = Tensor::new(&[[1f32, 3.0]], &Cpu)?;
/// let y = layer_norm(&x, &Tensor::new(&[1f32, 2.0], &Cpu)?, &Tensor::new(&[0f32, 1.0], &Cpu)?)?.to_vec2::<f32>()?;
/// assert!((y[0][0] + 1.0).abs() < 1e-5 && (y[0][1] - 3.0).abs() < 2e-5);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn layer_norm(x: &Tensor, gamma: &Tensor, beta: &Tensor) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    if width == 0 || gamma.dims() != [width] || beta.dims() != [width] {
        candle_core::bail!("layer_norm: weight {:?} and bias {:?} do not fit the input {:?}", gamma.dims(), beta.dims(), x.dims());
    }
    if is_gpu(x) {
        let rows = x.elem_count() / width;
        let op = Planned::new("layer_norm", on_gpu::forward(rows, width), x.dims(), move |arguments, _, _, grad| {
            let [x, gamma, _] = *arguments else { candle_core::bail!("layer_norm: {} arguments", arguments.len()) };
            let gradients = run_op(&on_gpu::backward(rows, width), grad.device(), &[x, grad, gamma])?;
            let each = gradients.iter().zip(arguments).map(|(g, of)| g.reshape(of.shape()).map(Some));
            each.collect()
        });
        return tape::apply3(x, gamma, beta, op);
    }
    tape::apply3(x, gamma, beta, LayerNorm { width })
}

/// [`layer_norm`] of `x + dropout(r)`; one pass over memory on a GPU where nothing needs a gradient.
pub(crate) fn norm_of_sum([x, r]: [&Tensor; 2], [gamma, beta]: [&Tensor; 2], p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    let width = x.dims().last().copied().unwrap_or(0);
    let fits = x.dims() == r.dims() && width > 0 && gamma.dims() == [width] && beta.dims() == [width];
    if !is_gpu(x) || !fits || [x, r, gamma, beta].iter().any(|t| t.track_op()) {
        return layer_norm(&add_dropped(x, r, p, mode, site)?, gamma, beta);
    }
    let plan = on_gpu::of_sum(x.elem_count() / width, width, mode.drop_key(p, site).as_ref());
    let [y] = run_for(&plan, x.device(), &[&r.contiguous()?, &x.contiguous()?, &gamma.contiguous()?, &beta.contiguous()?])?;
    y.reshape(x.shape())
}

struct LayerNorm {
    width: usize,
}

const EPSILON: f32 = 1e-5;

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        g: &CpuStorage,
        lg: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, g, b) = (floats(x, lx, "layer_norm")?, floats(g, lg, "layer_norm")?, floats(b, lb, "layer_norm")?);
        let mut y = vec![0.0; x.len()];
        let chunk = ROWS * self.width;
        y.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).for_each(|(y, x)| forward(x, g, b, y));
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let width = self.width;
        let mut dx = vec![0.0; x.elem_count()];
        let chunk = ROWS * width;
        let parts: Vec<Vec<f32>> = with_floats(x, "layer_norm", |x| {
            with_floats(grad, "layer_norm", |grad| {
                with_floats(gamma, "layer_norm", |gamma| {
                    let chunks = dx.par_chunks_mut(chunk).zip(x.par_chunks(chunk)).zip(grad.par_chunks(chunk));
                    Ok(chunks
                        .map(|((dx, x), grad)| {
                            let mut sums = vec![0.0; 2 * width];
                            backward(x, grad, gamma, dx, &mut sums);
                            sums
                        })
                        .collect())
                })
            })
        })?;
        let sum = |i: usize| parts.iter().map(|p| f64::from(p[i])).sum::<f64>() as f32;
        let dgamma = (0..width).map(sum).collect();
        let dbeta = (width..2 * width).map(sum).collect();
        Ok((gradient(x, dx)?, gradient(gamma, dgamma)?, gradient(beta, dbeta)?))
    }
}

/// Σ, in 16 partial sums.
#[inline(always)]
fn sum(n: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; 16];
    for block in 0..n / 16 {
        for (l, lane) in lanes.iter_mut().enumerate() {
            *lane += term(block * 16 + l);
        }
    }
    lanes.iter().sum::<f32>() + (n / 16 * 16..n).map(&term).sum::<f32>()
}

#[inline(always)]
fn statistics(x: &[f32]) -> (f32, f32) {
    let n = x.len();
    let mean = sum(n, |i| x[i]) / n as f32;
    let variance = sum(n, |i| (x[i] - mean) * (x[i] - mean)) / n as f32;
    (mean, 1.0 / (variance + EPSILON).sqrt())
}

multiversion! {
    fn forward(x: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(gamma.len()).zip(y.chunks_exact_mut(gamma.len())) {
            let (mean, rstd) = statistics(x);
            for (((y, x), g), b) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = (x - mean) * rstd * g + b;
            }
        }
    }
}

multiversion! {
    /// dx of some rows; adds dγ and dβ to `sums` `[2, c]`.
    fn backward(x: &[f32], grad: &[f32], gamma: &[f32], dx: &mut [f32], sums: &mut [f32]) {
        let n = gamma.len();
        let (dgamma, dbeta) = sums.split_at_mut(n);
        for ((x, grad), dx) in x.chunks_exact(n).zip(grad.chunks_exact(n)).zip(dx.chunks_exact_mut(n)) {
            let (mean, rstd) = statistics(x);
            let first = sum(n, |i| grad[i] * gamma[i]) / n as f32;
            let second = sum(n, |i| grad[i] * gamma[i] * (x[i] - mean) * rstd) / n as f32;
            for i in 0..n {
                let z = (x[i] - mean) * rstd;
                dgamma[i] += grad[i] * z;
                dbeta[i] += grad[i];
                dx[i] = rstd * (grad[i] * gamma[i] - first - z * second);
            }
        }
    }
}
