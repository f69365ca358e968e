//! Convolution, BatchNorm, residual, ReLU and pool as one operation.

use super::batch_norm::{Affine, HostStatistics, apply, cut, gradient_sums, input_gradient};
use super::conv_block::{conv_of, conv_on_gpu, convolve, frames_on_gpu};
use super::input::Input;
use super::planned::Planned;
use super::{ChannelStatistics, floats, gradient, with_floats};
use crate::Precision;
use crate::gpu::{conv_norm as on_gpu, convolution, is_gpu, run_op};
use crate::kernels::memory::{Scratch, zeros};
use crate::kernels::{Conv, GradientWeights, Moments, PARTS, multiversion, part};
use crate::tape;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// What follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// ReLU, after the residual where there is one.
    Relu,
    /// ReLU, then the largest of each 3×3 pixels, stride 2, padding 1.
    ReluMaxPool,
}

/// Sizes of a [`conv_norm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvNormShape {
    /// Of both axes.
    pub stride: usize,
    /// Zeros on each side of both axes.
    pub padding: usize,
    /// What follows the normalisation.
    pub then: Then,
    /// Of a GPU; with [`Precision::Bf16`] the result is bf16.
    pub precision: Precision,
}

/// Convolution of frames, BatchNorm, and what follows: `then(γ·(y − mean)/√(variance + 1e-5) + β + residual)`, y = x ∗ weight. x
/// `[n, h, w, c]`, weight `[o, c, k, k]`, affine `[2, o]` = γ and β, the residual in the shape of y → `[n, h', w', o]`, and the
/// statistics that it was normalised by: those given, or the batch's own, whose gradient is part of the operation's.
///
/// Between the convolution and its result nothing is written to memory but y. He, Zhang, Ren, Sun, 2016; Ioffe, Szegedy, 2015.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Precision, ops::{ConvNormShape, Then, conv_norm}};
/// // Two frames of one pixel; a 1×1 convolution by 2, normalised over both, γ = 3, β = 1.
/// let x = Tensor::new(&[1f32, 3.0], &Cpu)?.reshape((2, 1, 1, 1))?;
/// let w = Tensor::new(&[2f32], &Cpu)?.reshape((1, 1, 1, 1))?;
/// let affine = Tensor::new(&[[3f32], [1.0]], &Cpu)?;
/// let shape = ConvNormShape { stride: 1, padding: 0, then: Then::Relu, precision: Precision::F32 };
/// let (y, statistics) = conv_norm(&x, &w, &affine, None, None, shape)?;
/// assert_eq!((statistics.mean.to_vec1::<f32>()?, statistics.variance.to_vec1::<f32>()?), (vec![4.0], vec![4.0]));
/// let y = y.flatten_all()?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 4.0).abs() < 1e-4);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn conv_norm(
    x: &Tensor,
    weight: &Tensor,
    affine: &Tensor,
    residual: Option<&Tensor>,
    statistics: Option<ChannelStatistics>,
    shape: ConvNormShape,
) -> Result<(Tensor, ChannelStatistics)> {
    let conv = conv_of(x, &weight.unsqueeze(2)?, shape.stride, shape.padding)?;
    let (n, c) = (x.dim(0)?, conv.cout);
    if n == 0 || affine.dims() != [2, c] || statistics.as_ref().is_some_and(|s| s.mean.dims() != [c] || s.variance.dims() != [c]) {
        candle_core::bail!("conv_norm: {n} frames, γ and β {:?} do not fit the weight {:?}", affine.dims(), weight.dims());
    }
    let [height, width] = conv.out().unwrap_or_default();
    let out = if shape.then == Then::ReluMaxPool { [height.div_ceil(2), width.div_ceil(2)] } else { [height, width] };
    if residual.is_some_and(|r| r.dims() != [n, height, width, c] || shape.then == Then::ReluMaxPool) {
        candle_core::bail!("conv_norm: a residual {:?} does not fit {n} frames of {height}×{width}×{c}", residual.map(Tensor::dims));
    }
    // Candle's operations have three arguments at most.
    let packed = tape::cat(&[tape::reshape(weight, (c, conv.taps()))?, tape::transpose(affine, 0, 1)?], 1)?;
    if is_gpu(x) {
        return conv_norm_on_gpu(x, &packed, &conv, residual, statistics, shape, [n, out[0], out[1], c]);
    }
    let used = Arc::new(OnceLock::new());
    if let Some(fixed) = &statistics {
        let _ = used.set(HostStatistics::of(fixed)?);
    }
    let keep = x.track_op() || packed.track_op() || residual.is_some_and(Tensor::track_op);
    let op = ConvNorm { conv, n, then: shape.then, size: [height, width], out, keep, used: used.clone(), saved: OnceLock::new() };
    let y = match residual {
        None => tape::apply2(x, &packed, op)?,
        Some(residual) => tape::apply3(x, &packed, residual, op)?,
    };
    match used.get() {
        Some(statistics) => Ok((y, statistics.tensors()?)),
        None => candle_core::bail!("conv_norm: no implementation on this device"),
    }
}

#[allow(clippy::too_many_arguments)]
fn conv_norm_on_gpu(
    x: &Tensor,
    packed: &Tensor,
    conv: &Conv,
    residual: Option<&Tensor>,
    statistics: Option<ChannelStatistics>,
    shape: ConvNormShape,
    result: [usize; 4],
) -> Result<(Tensor, ChannelStatistics)> {
    let x = frames_on_gpu(x, shape.precision)?;
    let residual = residual.map(|r| frames_on_gpu(r, shape.precision)).transpose()?;
    let conv = convolution::Conv { row: conv.taps() + 2, ..conv_on_gpu(&x, conv, shape.precision)? };
    let [height, width] = [conv.output()[1], conv.output()[2]];
    let (channels, rows) = (conv.cout, result[0] * height * width);
    let plan = on_gpu::ConvNorm { conv, then: shape.then, residual: residual.is_some(), fixed: statistics.is_some() };
    let through = residual.as_ref().is_some_and(Tensor::track_op);
    let keep = x.track_op() || packed.track_op() || through;
    let forward = plan.forward(keep);
    // What the batch's statistics come out as, for the caller.
    let seen: Arc<OnceLock<Vec<Tensor>>> = Arc::default();
    let fixed = plan.fixed;
    let others = statistics.iter().flat_map(|s| [s.mean.detach(), s.variance.detach()]).collect();
    let op = Planned::new("conv_norm", forward, &result[..], move |arguments, kept, res, grad| {
        let kept = if fixed { kept } else { kept.get(2..).unwrap_or_default() };
        let inputs = [&arguments[..2], &kept.iter().collect::<Vec<_>>(), &[res, grad]].concat();
        let mut gradients = run_op(&plan.backward(through), grad.device(), &inputs)?.into_iter();
        let dpacked = gradients.next().map(|d| d.reshape(arguments[1].shape())).transpose()?;
        let dx = if plan.conv.input_gradient { gradients.next().map(|d| d.reshape(arguments[0].shape())).transpose()? } else { None };
        let residual = gradients.next().zip(arguments.get(2)).map(|(d, r)| d.reshape(r.shape())).transpose()?;
        Ok(vec![dx, dpacked, residual])
    });
    let op = op.and(others).shared(&seen);
    let y = match &residual {
        None => tape::apply2(&x, packed, op)?,
        Some(residual) => tape::apply3(&x, packed, residual, op)?,
    };
    match (statistics, seen.get().map(Vec::as_slice)) {
        (Some(statistics), _) => Ok((y, statistics)),
        (None, Some([mean, variance, ..])) => {
            let (mean, variance) = (mean.reshape(channels)?, variance.reshape(channels)?);
            Ok((y, ChannelStatistics { mean, variance, rows: Some(rows) }))
        }
        _ => candle_core::bail!("conv_norm: no statistics came back"),
    }
}

struct ConvNorm {
    conv: Conv,
    /// Frames.
    n: usize,
    then: Then,
    /// Height and width of the convolution's output.
    size: [usize; 2],
    /// Height and width of the result.
    out: [usize; 2],
    /// Whether a backward pass may come.
    keep: bool,
    /// Statistics that are given, or found in the forward pass.
    used: Arc<OnceLock<HostStatistics>>,
    saved: OnceLock<Saved>,
}

/// What the backward pass needs beside its arguments.
struct Saved {
    /// Output of the convolution.
    y: Vec<f32>,
    /// Which of a window's nine pixels was the largest; empty without a pool.
    winners: Vec<u8>,
}

/// The two parts of the packed argument.
struct Parameters {
    weight: Vec<f32>,
    /// γ, then β.
    affine: Vec<f32>,
}

impl ConvNorm {
    fn out_frame(&self) -> usize {
        self.out[0] * self.out[1] * self.conv.cout
    }

    fn parameters(&self, packed: &[f32]) -> Parameters {
        let (taps, c) = (self.conv.taps(), self.conv.cout);
        let rows = packed.chunks_exact(taps + 2);
        let weight = rows.clone().flat_map(|row| &row[..taps]).copied().collect();
        let affine = (0..2 * c).map(|i| packed[i % c * (taps + 2) + taps + i / c]).collect();
        Parameters { weight, affine }
    }

    fn forward(&self, x: Input, packed: &[f32], residual: &[f32]) -> Vec<f32> {
        let parameters = self.parameters(packed);
        match self.used.get() {
            Some(fixed) if !self.keep => self.forward_fixed(x, &parameters, residual, fixed),
            _ => self.forward_kept(x, &parameters, residual),
        }
    }

    /// Statistics are known and no backward pass comes: the convolution's output never leaves the cache.
    fn forward_fixed(&self, x: Input, parameters: &Parameters, residual: &[f32], statistics: &HostStatistics) -> Vec<f32> {
        let (conv, out_frame) = (&self.conv, self.out_frame());
        let weights = conv.pack(&parameters.weight);
        let affine = Affine::new(statistics, &parameters.affine);
        let group = conv.group();
        let mut out = zeros(self.n * out_frame);
        let scratch = || (Scratch::zeros(group * conv.padded_frame()), Scratch::any(group * conv.out_frame()), Vec::new());
        out.par_chunks_mut(group * out_frame).enumerate().for_each_init(scratch, |(padded, y, winners), (g, out)| {
            let count = out.len() / out_frame;
            x.pad_group(conv, g * group, count, padded);
            let y = &mut y[..count * conv.out_frame()];
            conv.forward(count, padded, &weights, y, false);
            if self.then == Then::ReluMaxPool {
                winners.resize(out_frame, 0);
            }
            for (i, (out, y)) in out.chunks_exact_mut(out_frame).zip(y.chunks_exact(conv.out_frame())).enumerate() {
                self.finish(y, &affine, frame_of(residual, g * group + i, conv.out_frame()), out, winners);
            }
        });
        out
    }

    fn forward_kept(&self, x: Input, parameters: &Parameters, residual: &[f32]) -> Vec<f32> {
        let (conv, out_frame) = (&self.conv, self.out_frame());
        let (y, moments) = convolve(conv, self.n, x, &parameters.weight);
        let statistics = self.used.get_or_init(|| statistics_of(&moments, y.len() / conv.cout));
        let affine = Affine::new(statistics, &parameters.affine);
        let mut out = zeros(self.n * out_frame);
        let mut winners = vec![0; if self.then == Then::ReluMaxPool { out.len() } else { 0 }];
        let mut tasks = Vec::with_capacity(self.n);
        let mut rest = winners.as_mut_slice();
        for (out, y) in out.chunks_exact_mut(out_frame).zip(y.chunks_exact(conv.out_frame())) {
            let (own, others) = std::mem::take(&mut rest).split_at_mut(if self.then == Then::ReluMaxPool { out_frame } else { 0 });
            rest = others;
            tasks.push((out, y, own));
        }
        tasks.into_par_iter().enumerate().for_each(|(i, (out, y, winners))| {
            self.finish(y, &affine, frame_of(residual, i, conv.out_frame()), out, winners);
        });
        if self.keep {
            // The operation runs forward once; a second time would compute the same.
            let _ = self.saved.set(Saved { y, winners });
        }
        out
    }

    /// What follows the convolution, for one frame.
    fn finish(&self, y: &[f32], affine: &Affine, residual: &[f32], out: &mut [f32], winners: &mut [u8]) {
        match self.then {
            Then::Nothing | Then::Relu => apply(y, &affine.scale, &affine.shift, residual, self.then == Then::Relu, out),
            Then::ReluMaxPool => pool(y, self.size, &affine.scale, &affine.shift, out, winners),
        }
    }

    /// The gradient before the ReLU of frame `i`, in the shape of the convolution's output.
    fn through(&self, i: usize, saved: &Saved, res: &[f32], grad: &[f32], into: &mut [f32]) {
        let (grad, res) = (frame_of(grad, i, self.out_frame()), frame_of(res, i, self.out_frame()));
        match self.then {
            Then::Nothing => into.copy_from_slice(grad),
            Then::Relu => cut(res, grad, into),
            Then::ReluMaxPool => unpool(res, grad, frame_of(&saved.winners, i, self.out_frame()), self.size, self.conv.cout, into),
        }
    }

    fn backward(&self, x: Input, packed: &[f32], res: &[f32], grad: &[f32], wanted: Wanted) -> Result<[Vec<f32>; 3]> {
        let (Some(saved), Some(statistics)) = (self.saved.get(), self.used.get()) else {
            candle_core::bail!("conv_norm: backward without a forward that kept its output")
        };
        let (conv, c, taps) = (&self.conv, self.conv.cout, self.conv.taps());
        let parameters = self.parameters(packed);
        let sums = self.gradient_sums(saved, statistics, res, grad);
        let step = Step {
            x,
            saved,
            res,
            grad,
            weights: wanted.input.then(|| conv.pack_gradient(&parameters.weight)),
            affine: Affine::with_gradient(statistics, &parameters.affine, &sums),
        };
        let mut dx = if wanted.input { zeros(self.n * conv.in_frame()) } else { Vec::new() };
        let mut through = if wanted.residual { zeros(self.n * conv.out_frame()) } else { Vec::new() };
        let groups = self.n.div_ceil(conv.group());
        let parts = groups.min(PARTS);
        let (mut rest_dx, mut rest_through) = (dx.as_mut_slice(), through.as_mut_slice());
        let mut tasks = Vec::with_capacity(parts);
        for p in 0..parts {
            let g = part(groups, parts, p);
            let frames = g.start * conv.group()..(g.end * conv.group()).min(self.n);
            let own_dx = split_off(&mut rest_dx, frames.len() * conv.in_frame());
            let own_through = split_off(&mut rest_through, frames.len() * conv.out_frame());
            tasks.push((frames, own_dx, own_through));
        }
        let dw: Vec<Vec<f32>> = tasks.into_par_iter().map(|(frames, dx, through)| self.part_gradient(&step, frames, dx, through)).collect();
        let dw = conv.sum_weight_gradients(&dw);
        let mut dpacked = Vec::with_capacity(packed.len());
        for (i, row) in dw.chunks_exact(taps).enumerate() {
            dpacked.extend_from_slice(row);
            dpacked.extend([sums[i] as f32, sums[c + i] as f32]);
        }
        Ok([dx, dpacked, through])
    }

    /// Σ g·z and Σ g of each channel.
    fn gradient_sums(&self, saved: &Saved, statistics: &HostStatistics, res: &[f32], grad: &[f32]) -> Vec<f64> {
        let (c, conv_frame) = (self.conv.cout, self.conv.out_frame());
        let rstd = statistics.rstd();
        let frames: Vec<Vec<f64>> = (0..self.n)
            .into_par_iter()
            .map_init(
                || Scratch::any(conv_frame),
                |g, i| {
                    self.through(i, saved, res, grad, g);
                    let mut sums = vec![0.0; 2 * c];
                    gradient_sums(frame_of(&saved.y, i, conv_frame), g, &statistics.mean, &rstd, &mut sums);
                    sums
                },
            )
            .collect();
        (0..2 * c).map(|i| frames.iter().map(|frame| frame[i]).sum()).collect()
    }

    /// dx and the residual's gradient of some frames, each where it is wanted; returns their part of dw.
    fn part_gradient(&self, step: &Step, frames: Range<usize>, dx: &mut [f32], through: &mut [f32]) -> Vec<f32> {
        let (conv, group, conv_frame) = (&self.conv, self.conv.group(), self.conv.out_frame());
        let row = self.size[1] * conv.cout;
        let mut dw = vec![0.0; conv.weight_sums()];
        let (mut padded, mut dy) = (Scratch::zeros(group * conv.padded_frame()), Scratch::zeros(group * conv.grad_frame()));
        let mut own = Scratch::any(conv_frame);
        for first in frames.clone().step_by(group) {
            let count = group.min(frames.end - first);
            step.x.pad_group(conv, first, count, &mut padded);
            for i in 0..count {
                let g = match through.get_mut((first + i - frames.start) * conv_frame..) {
                    Some(through) if !through.is_empty() => &mut through[..conv_frame],
                    _ => &mut own[..],
                };
                self.through(first + i, step.saved, step.res, step.grad, g);
                let dy = &mut dy[i * conv.grad_frame()..][..conv.grad_frame()];
                let y = frame_of(&step.saved.y, first + i, conv_frame);
                for (oy, (y, g)) in y.chunks_exact(row).zip(g.chunks_exact(row)).enumerate() {
                    let a = &step.affine;
                    input_gradient(y, g, &a.mean, &a.rstd, &a.scale, &a.first, &a.second, &mut dy[conv.grad_row_start(oy)..][..row]);
                }
            }
            conv.weight_gradient(count, &padded, &dy, &mut dw);
            if let Some(weights) = &step.weights {
                let dx = &mut dx[(first - frames.start) * conv.in_frame()..][..count * conv.in_frame()];
                conv.input_gradient(count, &dy, weights, 0, dx, false);
            }
        }
        dw
    }

    fn backward_of(&self, x: &Tensor, packed: &Tensor, res: &Tensor, grad: &Tensor, residual: bool) -> Result<[Vec<f32>; 3]> {
        let name = "conv_norm";
        let wanted = Wanted { input: x.track_op() && x.dtype().is_float(), residual };
        Input::with(x, name, |x| {
            with_floats(packed, name, |packed| {
                with_floats(res, name, |res| with_floats(grad, name, |grad| self.backward(x, packed, res, grad, wanted)))
            })
        })
    }

    fn result(&self, out: Vec<f32>) -> (CpuStorage, Shape) {
        (CpuStorage::F32(out), (self.n, self.out[0], self.out[1], self.conv.cout).into())
    }
}

/// Which gradients there is a use for, beside those of the parameters.
#[derive(Clone, Copy)]
struct Wanted {
    input: bool,
    residual: bool,
}

/// A backward pass.
struct Step<'a> {
    x: Input<'a>,
    saved: &'a Saved,
    res: &'a [f32],
    grad: &'a [f32],
    /// Where the gradient of the input is wanted.
    weights: Option<GradientWeights>,
    affine: Affine,
}

/// Frame `i` of an array of frames; nothing of nothing.
fn frame_of<T>(frames: &[T], i: usize, frame: usize) -> &[T] {
    frames.get(i * frame..(i + 1) * frame).unwrap_or(&[])
}

/// The first `n` elements, or nothing of nothing; the rest stays.
fn split_off<'a>(rest: &mut &'a mut [f32], n: usize) -> &'a mut [f32] {
    let whole = std::mem::take(rest);
    let (own, others) = whole.split_at_mut(if whole.is_empty() { 0 } else { n });
    *rest = others;
    own
}

/// Of all frames together.
fn statistics_of(frames: &[Moments], rows: usize) -> HostStatistics {
    let mut all = frames[0].clone();
    frames[1..].iter().for_each(|frame| all.merge(frame));
    let (mean, variance) = all.mean_and_variance().into_iter().unzip();
    HostStatistics { mean, variance, rows: Some(rows) }
}

multiversion! {
    /// The largest of each 3×3 pixels of scale·y + shift, stride 2, padding 1, cut at 0, and which of the nine it was: the first
    /// of several, NaN before all.
    fn pool(y: &[f32], size: [usize; 2], scale: &[f32], shift: &[f32], out: &mut [f32], winners: &mut [u8]) {
        let ([height, width], c) = (size, scale.len());
        let columns = width.div_ceil(2);
        for (place, (out, winners)) in out.chunks_exact_mut(c).zip(winners.chunks_exact_mut(c)).enumerate() {
            let (oy, ox) = (place / columns, place % columns);
            out.fill(f32::NEG_INFINITY);
            for tap in 0..9u8 {
                let (iy, ix) = ((2 * oy + usize::from(tap / 3)).wrapping_sub(1), (2 * ox + usize::from(tap % 3)).wrapping_sub(1));
                if iy >= height || ix >= width {
                    continue;
                }
                let pixel = &y[(iy * width + ix) * c..][..c];
                let best = out.iter_mut().zip(winners.iter_mut());
                for (((y, a), b), (o, w)) in pixel.iter().zip(scale).zip(shift).zip(best) {
                    let z = y * a + b;
                    let better = z > *o || z.is_nan();
                    *o = if better { z } else { *o };
                    *w = if better { tap } else { *w };
                }
            }
            for o in out.iter_mut() {
                // NaN goes through.
                *o = if *o <= 0.0 { 0.0 } else { *o };
            }
        }
    }
}

multiversion! {
    /// The gradient of [`pool`]'s scale·y + shift.
    fn unpool(res: &[f32], grad: &[f32], winners: &[u8], size: [usize; 2], channels: usize, into: &mut [f32]) {
        let ([height, width], c) = (size, channels);
        let columns = width.div_ceil(2);
        into.fill(0.0);
        let windows = res.chunks_exact(c).zip(grad.chunks_exact(c)).zip(winners.chunks_exact(c));
        for (place, ((res, grad), winners)) in windows.enumerate() {
            let (oy, ox) = (place / columns, place % columns);
            for tap in 0..9u8 {
                let (iy, ix) = ((2 * oy + usize::from(tap / 3)).wrapping_sub(1), (2 * ox + usize::from(tap % 3)).wrapping_sub(1));
                if iy >= height || ix >= width {
                    continue;
                }
                let pixel = &mut into[(iy * width + ix) * c..][..c];
                for (((d, g), r), w) in pixel.iter_mut().zip(grad).zip(res).zip(winners) {
                    *d += if *w == tap && *r > 0.0 { *g } else { 0.0 };
                }
            }
        }
    }
}

impl CustomOp2 for ConvNorm {
    fn name(&self) -> &'static str {
        "conv_norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok(self.result(self.forward(Input::of(x, lx, "conv_norm")?, floats(w, lw, "conv_norm")?, &[])))
    }

    fn bwd(&self, x: &Tensor, packed: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dpacked, _] = self.backward_of(x, packed, res, grad, false)?;
        Ok((if dx.is_empty() { None } else { gradient(x, dx)? }, gradient(packed, dpacked)?))
    }
}

impl CustomOp3 for ConvNorm {
    fn name(&self) -> &'static str {
        "conv_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        r: &CpuStorage,
        lr: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = "conv_norm";
        Ok(self.result(self.forward(Input::of(x, lx, name)?, floats(w, lw, name)?, floats(r, lr, name)?)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        packed: &Tensor,
        residual: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dpacked, through] = self.backward_of(x, packed, res, grad, residual.track_op())?;
        let dx = if dx.is_empty() { None } else { gradient(x, dx)? };
        let through = if through.is_empty() { None } else { gradient(residual, through)? };
        Ok((dx, gradient(packed, dpacked)?, through))
    }
}
