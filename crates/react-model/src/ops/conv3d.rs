use super::conv_block::frames_on_gpu;
use super::input::Input;
use super::linear::column_sums;
use super::planned::Planned;
use super::{floats, gradient, with_floats};
use crate::Precision;
use crate::gpu::{conv3d as on_gpu, convolution, is_gpu, run_op};
use crate::kernels::memory::{Scratch, zeros};
use crate::kernels::{Conv, GradientWeights, PARTS, Time, part};
use crate::tape;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Stride and padding of a [`conv3d`], axes in the order time, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3dShape {
    /// Strides.
    pub stride: [usize; 3],
    /// Zeros on either side.
    pub padding: [usize; 3],
    /// Of a GPU; with [`Precision::Bf16`] the result is bf16.
    pub precision: Precision,
}

/// Convolution of clips: x `[b, t, h, w, c]` channels last, f32 or u8 bytes, weight `[o, c, kt, kh, kw]` as PyTorch has it, bias
/// `[o]` or none → `[b, t', h', w', o]`, n' = ⌊(n + 2·padding − kernel)/stride⌋ + 1.
///
/// Bytes are scaled to (x/255 − 0.5)/0.5 as they are read, and have no gradient. Where the temporal kernel and stride are 1, all
/// frames of all clips are one batch of pictures.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Precision, ops::{Conv3dShape, conv3d}};
/// // Three frames of one pixel; a temporal kernel of two taps: y_t = x_t + 10·x_{t+1}.
/// let x = Tensor::new(&[1f32, 2.0, 3.0], &Cpu)?.reshape((1, 3, 1, 1, 1))?;
/// let w = Tensor::new(&[1f32, 10.0], &Cpu)?.reshape((1, 1, 2, 1, 1))?;
/// let y = conv3d(&x, &w, None, Conv3dShape { stride: [1; 3], padding: [0; 3], precision: Precision::F32 })?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [21.0, 32.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn conv3d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: Conv3dShape) -> Result<Tensor> {
    let op = Conv3d::new(x, weight, shape)?;
    if bias.is_some_and(|b| b.dims() != [op.conv.cout]) {
        candle_core::bail!("conv3d: bias {:?} does not fit weight {:?}", bias.map(Tensor::dims), weight.dims());
    }
    if is_gpu(x) {
        return conv3d_on_gpu(x, weight, bias, shape, op.dims);
    }
    match bias {
        Some(bias) => tape::apply3(x, weight, bias, op),
        None => tape::apply2(x, weight, op),
    }
}

/// What [`conv3d`]'s backward pass gives for a gradient of its result: the gradients of x and of the weight, each where it is tracked.
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn conv3d_gradients(x: &Tensor, weight: &Tensor, grad: &Tensor, shape: Conv3dShape) -> Result<(Option<Tensor>, Option<Tensor>)> {
    let op = Conv3d::new(x, weight, shape)?;
    if grad.dims() != op.dims {
        candle_core::bail!("conv3d: gradient {:?} of a result {:?}", grad.dims(), op.dims);
    }
    if is_gpu(x) {
        let x = frames_on_gpu(x, shape.precision)?;
        let conv = conv_on_gpu(&x, weight, shape)?;
        let (grad, weight) = (frames_on_gpu(grad, shape.precision)?, weight.contiguous()?);
        let mut gradients = run_op(&on_gpu::backward(&conv, false), x.device(), &[&x, &weight, &grad])?.into_iter();
        let dw = gradients.next().filter(|_| weight.track_op()).map(|dw| dw.reshape(weight.shape())).transpose()?;
        return Ok((gradients.next().map(|dx| dx.reshape(x.shape())).transpose()?, dw));
    }
    op.backward(x, weight, grad)
}

fn conv3d_on_gpu(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, shape: Conv3dShape, dims: [usize; 5]) -> Result<Tensor> {
    let x = frames_on_gpu(x, shape.precision)?;
    let conv = conv_on_gpu(&x, weight, shape)?;
    let has_bias = bias.is_some();
    let op = Planned::new("conv3d", on_gpu::forward(&conv, has_bias), dims.as_slice(), move |arguments, _, _, grad| {
        let plan = on_gpu::backward(&conv, has_bias);
        let mut gradients = run_op(&plan, grad.device(), &[arguments[0], arguments[1], grad])?.into_iter();
        let dw = gradients.next().map(|dw| dw.reshape(arguments[1].shape())).transpose()?;
        let dx = if conv.input_gradient { gradients.next().map(|dx| dx.reshape(arguments[0].shape())).transpose()? } else { None };
        Ok(vec![dx, dw, gradients.next()])
    });
    match bias {
        Some(bias) => tape::apply3(&x, weight, bias, op),
        None => tape::apply2(&x, weight, op),
    }
}

fn conv_on_gpu(x: &Tensor, weight: &Tensor, shape: Conv3dShape) -> Result<convolution::Conv> {
    let (batch, frames, height, width, cin) = x.dims5()?;
    let (cout, _, kt, kh, kw) = weight.dims5()?;
    let bytes = x.dtype() == DType::U8;
    Ok(convolution::Conv {
        batch,
        input: [frames, height, width],
        cin,
        cout,
        kernel: [kt, kh, kw],
        stride: shape.stride,
        padding: shape.padding,
        bytes,
        input_gradient: x.track_op() && !bytes,
        precision: shape.precision,
        row: cin * kt * kh * kw,
    })
}

struct Conv3d {
    conv: Conv,
    clips: usize,
    /// Frames of a clip, of the input and of the output.
    frames: usize,
    out: usize,
    /// Frames of zeros before a clip.
    before: usize,
    dims: [usize; 5],
}

impl Conv3d {
    fn new(x: &Tensor, weight: &Tensor, shape: Conv3dShape) -> Result<Self> {
        let (clips, frames, height, width, cin) = x.dims5()?;
        let (cout, weight_cin, kt, kh, kw) = weight.dims5()?;
        let Conv3dShape { stride: [st, sh, sw], padding: [pt, ph, pw], .. } = shape;
        if weight_cin != cin || weight.elem_count() == 0 {
            candle_core::bail!("conv3d: weight {:?} does not fit clips {:?}", weight.dims(), x.dims());
        }
        if x.elem_count() == 0 || st * sh * sw == 0 {
            candle_core::bail!("conv3d: clips {:?} are empty, or a stride of {:?} is 0", x.dims(), shape.stride);
        }
        let time = Time { kernel: kt, stride: st };
        let conv = Conv { height, width, cin, cout, kernel: [kh, kw], stride: [sh, sw], padding: [ph, pw], time };
        let (Some([ho, wo]), Some(last)) = (conv.out(), (frames + 2 * pt).checked_sub(kt)) else {
            candle_core::bail!("conv3d: clips {:?} are smaller than the kernel {kt}×{kh}×{kw}", x.dims())
        };
        let out = last / st + 1;
        let dims = [clips, out, ho, wo, cout];
        let alone = time == Time::FRAME && pt == 0;
        let (clips, frames, out) = if alone { (1, clips * frames, clips * out) } else { (clips, frames, out) };
        Ok(Self { conv, clips, frames, out, before: pt, dims })
    }

    fn forward(&self, x: Input, weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let conv = &self.conv;
        let weights = conv.pack(weight);
        let group = conv.group();
        let mut y = zeros(self.clips * self.out * conv.out_frame());
        let mut tasks = Vec::new();
        for (clip, y) in y.chunks_exact_mut(self.out * conv.out_frame()).enumerate() {
            tasks.extend(y.chunks_mut(group * conv.out_frame()).enumerate().map(|(g, y)| (clip, g * group, y)));
        }
        tasks.into_par_iter().for_each_init(
            || Scratch::zeros(0),
            |padded, (clip, first, y)| {
                let count = y.len() / conv.out_frame();
                self.pad(x, clip, first, count, padded);
                if let Some(bias) = bias {
                    y.chunks_exact_mut(bias.len()).for_each(|pixel| pixel.copy_from_slice(bias));
                }
                conv.forward(count, padded, &weights, y, bias.is_some());
            },
        );
        y
    }

    /// The frames that `count` frames of output see, from `first` on, padded in time and space.
    fn pad(&self, x: Input, clip: usize, first: usize, count: usize, padded: &mut Scratch) {
        let conv = &self.conv;
        padded.resize(conv.reach_in_time(count) * conv.padded_frame());
        for (i, padded) in padded.chunks_exact_mut(conv.padded_frame()).enumerate() {
            match (first * conv.time.stride + i).checked_sub(self.before).filter(|t| *t < self.frames) {
                Some(t) => x.pad(conv, clip * self.frames + t, padded),
                None => padded.fill(0.0),
            }
        }
    }

    /// Frames of dy of a clip with the zeros around them that the products run into.
    fn pad_gradient(&self, grad: &[f32], clip: usize, frames: Range<usize>, padded: &mut Scratch) {
        let conv = &self.conv;
        padded.resize(frames.len() * conv.grad_frame());
        for (i, padded) in frames.zip(padded.chunks_exact_mut(conv.grad_frame())) {
            let frame = &grad[(clip * self.out + i) * conv.out_frame()..][..conv.out_frame()];
            for (oy, row) in frame.chunks_exact(self.dims[3] * conv.cout).enumerate() {
                padded[conv.grad_row_start(oy)..][..row.len()].copy_from_slice(row);
            }
        }
    }

    /// dw in the layout of the weight.
    fn weight_gradient(&self, x: Input, grad: &[f32]) -> Vec<f32> {
        let conv = &self.conv;
        let group = conv.group();
        let in_clip = self.out.div_ceil(group);
        let parts = (self.clips * in_clip).min(PARTS);
        let sums: Vec<Vec<f32>> = (0..parts)
            .into_par_iter()
            .map(|p| {
                let mut dw = vec![0.0; conv.weight_sums()];
                let (mut padded, mut dy) = (Scratch::zeros(0), Scratch::zeros(0));
                for g in part(self.clips * in_clip, parts, p) {
                    let (clip, first) = (g / in_clip, g % in_clip * group);
                    let frames = first..(first + group).min(self.out);
                    self.pad(x, clip, first, frames.len(), &mut padded);
                    self.pad_gradient(grad, clip, frames.clone(), &mut dy);
                    conv.weight_gradient(frames.len(), &padded, &dy, &mut dw);
                }
                dw
            })
            .collect();
        conv.sum_weight_gradients(&sums)
    }

    fn input_gradient(&self, weight: &[f32], grad: &[f32]) -> Vec<f32> {
        let conv = &self.conv;
        let weights = conv.pack_gradient(weight);
        let mut dx = zeros(self.clips * self.frames * conv.in_frame());
        let chunk = conv.group() * conv.time.stride;
        let mut tasks = Vec::new();
        for (clip, dx) in dx.chunks_exact_mut(self.frames * conv.in_frame()).enumerate() {
            tasks.extend(dx.chunks_mut(chunk * conv.in_frame()).enumerate().map(|(g, dx)| (clip, g * chunk, dx)));
        }
        tasks.into_par_iter().for_each_init(
            || Scratch::zeros(0),
            |dy, (clip, first, dx)| {
                self.part_input_gradient(&weights, grad, clip, first, dx, dy);
            },
        );
        dx
    }

    /// dx of the frames of a clip from `first` on: y_o saw the frames o·stride + tap − before.
    fn part_input_gradient(&self, weights: &GradientWeights, grad: &[f32], clip: usize, first: usize, dx: &mut [f32], dy: &mut Scratch) {
        let (conv, Time { kernel, stride }) = (&self.conv, self.conv.time);
        let end = first + dx.len() / conv.in_frame();
        let seen_by = |tap: usize| {
            let from = (first + self.before).saturating_sub(tap).div_ceil(stride);
            let to = (end + self.before).saturating_sub(tap).div_ceil(stride);
            from..to.min(self.out)
        };
        let all = seen_by(kernel - 1).start..seen_by(0).end;
        if all.is_empty() {
            return;
        }
        self.pad_gradient(grad, clip, all.clone(), dy);
        for tap in 0..kernel {
            let outs = seen_by(tap);
            if !outs.is_empty() {
                let frame = outs.start * stride + tap - self.before - first;
                let (dy, dx) = (&dy[(outs.start - all.start) * conv.grad_frame()..], &mut dx[frame * conv.in_frame()..]);
                conv.input_gradient(outs.len(), dy, weights, tap, dx, kernel > 1);
            }
        }
    }

    fn backward(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        with_floats(grad, "conv3d", |grad| {
            let dx = if x.track_op() && x.dtype() != DType::U8 {
                gradient(x, with_floats(w, "conv3d", |w| Ok(self.input_gradient(w, grad)))?)?
            } else {
                None
            };
            let dw = if w.track_op() { gradient(w, Input::with(x, "conv3d", |x| Ok(self.weight_gradient(x, grad)))?)? } else { None };
            Ok((dx, dw))
        })
    }
}

impl CustomOp2 for Conv3d {
    fn name(&self) -> &'static str {
        "conv3d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = self.forward(Input::of(x, lx, "conv3d")?, floats(w, lw, "conv3d")?, None);
        Ok((CpuStorage::F32(y), self.dims.as_slice().into()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.backward(x, w, grad)
    }
}

impl CustomOp3 for Conv3d {
    fn name(&self) -> &'static str {
        "conv3d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = floats(b, lb, "conv3d")?;
        let y = self.forward(Input::of(x, lx, "conv3d")?, floats(w, lw, "conv3d")?, Some(bias));
        Ok((CpuStorage::F32(y), self.dims.as_slice().into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, dw) = self.backward(x, w, grad)?;
        let db = with_floats(grad, "conv3d", |grad| Ok(column_sums(grad, self.conv.cout)))?;
        Ok((dx, dw, gradient(b, db)?))
    }
}
