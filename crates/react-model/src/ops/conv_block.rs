use super::input::Input;
use super::planned::Planned;
use super::{floats, gradient, with_floats};
use crate::Precision;
use crate::gpu::{conv_block as on_gpu, convolution, is_gpu, norm, run_op};
use crate::kernels::memory::{Scratch, copy, zeros};
use crate::kernels::{Conv, GradientWeights, Moments, PARTS, Tail, Tiled, Time, Winners, part};
use crate::tape;
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::ops::Range;
use std::sync::OnceLock;

/// Sizes of a [`conv_block`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvBlockShape {
    /// Frames of a clip: what the normalisation runs over, with height and width.
    pub frames: usize,
    /// Stride of height and width.
    pub stride: usize,
    /// Zeros around a frame.
    pub padding: usize,
    /// What follows the normalisation.
    pub tail: Tail,
    /// Of a GPU; with [`Precision::Bf16`] the result is bf16.
    pub precision: Precision,
}

/// Convolution (temporal kernel 1, no bias) → InstanceNorm over (t, h, w) → ReLU, then a sum or max pooling ([`Tail`]), as one
/// operation: x `[b·t, h, w, c]` channels last, f32 or u8 bytes, weight `[o, c, 1, kh, kw]` → `[b·t, h', w', o]`.
///
/// Bytes are scaled to (x/255 − 0.5)/0.5 as they are read, and have no gradient. One operation instead of three because what lies
/// between is the largest array of the network: its gradient is made a frame at a time and used at once, and never stored.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Precision, ops::{ConvBlockShape, Tail, conv_block}};
/// // One frame of one row: 1×1 convolution by 2, then (x − mean)/std, cut at 0.
/// let x = Tensor::new(&[[[[1f32], [3.0]]]], &Cpu)?;
/// let w = Tensor::new(&[2f32], &Cpu)?.reshape((1, 1, 1, 1, 1))?;
/// let shape = ConvBlockShape { frames: 1, stride: 1, padding: 0, tail: Tail::Relu, precision: Precision::F32 };
/// let y = conv_block(&x, &w, shape)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 1.0).abs() < 1e-5);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit or a temporal kernel is not 1.
pub fn conv_block(x: &Tensor, weight: &Tensor, shape: ConvBlockShape) -> Result<Tensor> {
    let (n, frames) = (x.dim(0)?, shape.frames);
    if frames == 0 || n == 0 || !n.is_multiple_of(frames) {
        candle_core::bail!("conv_block: {n} frames are not clips of {frames}");
    }
    let views: Vec<Range<usize>> = (0..n / frames).map(|clip| clip * frames..(clip + 1) * frames).collect();
    conv_block_of_views(x, weight, &views, shape)
}

/// [`conv_block`] over any runs of consecutive frames: each of `views` is normalised by itself, and the output holds one after the
/// other, `[Σ len, h', w', o]`. A frame that lies in several views is convolved once. `shape.frames` is not used.
///
/// Online, every window sees a longer part of the clip, under other statistics: the views of a clip are then 0..w, 0..2w, …
///
/// # Errors
/// Candle's, where shapes do not fit, a view is empty or reaches beyond the frames, or a residual block's views are not all frames
/// in their order.
pub fn conv_block_of_views(x: &Tensor, weight: &Tensor, views: &[Range<usize>], shape: ConvBlockShape) -> Result<Tensor> {
    if is_gpu(x) {
        return conv_block_on_gpu(x, weight, views, shape);
    }
    let frames = x.dims4()?;
    let (conv, out) = checked(frames, weight, views, shape)?;
    let keep = weight.track_op() || x.track_op();
    let op = ConvBlock { conv, views: Views::new(frames.0, views), tail: shape.tail, out, keep, saved: OnceLock::new() };
    tape::apply2(x, weight, op)
}

/// The convolution of a block, and its result's height and width, where everything fits.
fn checked(
    frames_nhwc: (usize, usize, usize, usize),
    weight: &Tensor,
    views: &[Range<usize>],
    shape: ConvBlockShape,
) -> Result<(Conv, [usize; 2])> {
    let n = frames_nhwc.0;
    let conv = conv_of_sizes(frames_nhwc, weight, shape.stride, shape.padding)?;
    if views.is_empty() || views.iter().any(|view| view.is_empty() || view.end > n) {
        candle_core::bail!("conv_block: views {views:?} of {n} frames");
    }
    let in_order = views.iter().try_fold(0, |end, view| (view.start == end).then_some(view.end)) == Some(n);
    if shape.tail == Tail::ReluAdd && !in_order {
        candle_core::bail!("conv_block: a residual block takes every frame once");
    }
    Ok((conv, pooled(&conv, shape.tail)?))
}

/// A block on a GPU, and its result's sizes: of frames `[n, h, w, c]`, bytes or not, whose gradient is wanted or not.
pub(super) fn block_on_gpu(
    frames_nhwc: (usize, usize, usize, usize),
    (bytes, input_gradient): (bool, bool),
    weight: &Tensor,
    views: &[Range<usize>],
    shape: ConvBlockShape,
) -> Result<(on_gpu::ConvBlock, (usize, usize, usize, usize))> {
    let (conv, [height, width]) = checked(frames_nhwc, weight, views, shape)?;
    if bytes && shape.tail == Tail::ReluAdd {
        candle_core::bail!("conv_block: bytes cannot be added to the output");
    }
    let views = norm::Views::new(frames_nhwc.0, views);
    let sizes = (views.places(), height, width, conv.cout);
    let conv = convolution_on_gpu(frames_nhwc.0, (bytes, input_gradient), &conv, shape.precision);
    Ok((on_gpu::ConvBlock { conv, views, tail: shape.tail }, sizes))
}

fn conv_block_on_gpu(x: &Tensor, weight: &Tensor, views: &[Range<usize>], shape: ConvBlockShape) -> Result<Tensor> {
    let x = frames_on_gpu(x, shape.precision)?;
    let (block, result) = block_on_gpu(x.dims4()?, (x.dtype() == DType::U8, x.track_op()), weight, views, shape)?;
    let op = Planned::new("conv_block", block.forward(x.track_op() || weight.track_op()), result, move |arguments, kept, res, grad| {
        let inputs = [arguments, &kept.iter().collect::<Vec<_>>(), &[res, grad]].concat();
        let mut gradients = run_op(&block.backward(false), grad.device(), &inputs)?.into_iter();
        let dw = gradients.next().map(|dw| dw.reshape(arguments[1].shape())).transpose()?;
        Ok(vec![gradients.next().map(|dx| dx.reshape(arguments[0].shape())).transpose()?, dw])
    });
    tape::apply2(&x, weight, op)
}

/// Frames as a GPU's convolutions read them: bytes, or what the precision says.
pub(super) fn frames_on_gpu(x: &Tensor, precision: Precision) -> Result<Tensor> {
    if x.dtype() == DType::U8 { x.contiguous() } else { x.to_dtype(precision.of_convolutions())?.contiguous() }
}

/// The convolution of all frames of x.
pub(super) fn conv_on_gpu(x: &Tensor, conv: &Conv, precision: Precision) -> Result<convolution::Conv> {
    Ok(convolution_on_gpu(x.dim(0)?, (x.dtype() == DType::U8, x.track_op()), conv, precision))
}

fn convolution_on_gpu(frames: usize, (bytes, input_gradient): (bool, bool), conv: &Conv, precision: Precision) -> convolution::Conv {
    convolution::Conv {
        batch: frames,
        input: [1, conv.height, conv.width],
        cin: conv.cin,
        cout: conv.cout,
        kernel: [1, conv.kernel[0], conv.kernel[1]],
        stride: [1, conv.stride[0], conv.stride[1]],
        padding: [0, conv.padding[0], conv.padding[1]],
        bytes,
        input_gradient: input_gradient && !bytes,
        precision,
        row: conv.taps(),
    }
}

/// The convolution of frames `[n, h, w, c]` by a weight `[o, c, 1, kh, kw]`.
pub(super) fn conv_of(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Conv> {
    conv_of_sizes(x.dims4()?, weight, stride, padding)
}

fn conv_of_sizes(frames_nhwc: (usize, usize, usize, usize), weight: &Tensor, stride: usize, padding: usize) -> Result<Conv> {
    let (n, height, width, cin) = frames_nhwc;
    let (cout, weight_cin, kt, kh, kw) = weight.dims5()?;
    if weight_cin != cin || kt != 1 || cin == 0 || cout == 0 || stride == 0 {
        let dims = weight.dims();
        candle_core::bail!(
            "conv_block: weight {dims:?} and stride {stride} do not fit frames {:?} (temporal kernel 1)",
            [n, height, width, cin]
        );
    }
    let conv = Conv { height, width, cin, cout, kernel: [kh, kw], stride: [stride; 2], padding: [padding; 2], time: Time::FRAME };
    if conv.out().is_none() {
        candle_core::bail!("conv_block: frames of {height}×{width} are smaller than the kernel {kh}×{kw}")
    }
    Ok(conv)
}

/// Height and width after the tail.
pub(super) fn pooled(conv: &Conv, tail: Tail) -> Result<[usize; 2]> {
    let Conv { height, width, cin, cout, .. } = *conv;
    let out = conv.out().unwrap_or_default();
    Ok(match tail {
        Tail::ReluAdd if out != [height, width] || cin != cout => {
            candle_core::bail!("conv_block: input and output of a residual block differ")
        }
        Tail::ReluMaxPool if out[0] < 3 || out[1] < 3 => {
            candle_core::bail!("conv_block: {}×{} pixels are too few for a 3×3 pool", out[0], out[1])
        }
        Tail::ReluMaxPool => out.map(|n| (n - 3) / 2 + 1),
        Tail::Relu | Tail::ReluAdd => out,
    })
}

/// Which frames are normalised together, and where they go.
struct Views {
    /// Frames that are convolved.
    frames: usize,
    /// Runs of frames, in the order of the output.
    runs: Vec<Range<usize>>,
    /// The frame and the run of every frame of the output.
    outputs: Vec<(usize, usize)>,
    /// The places of every frame in the output.
    places: Vec<Vec<usize>>,
}

impl Views {
    fn new(frames: usize, runs: &[Range<usize>]) -> Self {
        let outputs: Vec<_> = runs.iter().enumerate().flat_map(|(i, run)| run.clone().map(move |frame| (frame, i))).collect();
        let mut places = vec![Vec::new(); frames];
        for (place, (frame, _)) in outputs.iter().enumerate() {
            places[*frame].push(place);
        }
        Self { frames, runs: runs.to_vec(), outputs, places }
    }
}

struct ConvBlock {
    conv: Conv,
    views: Views,
    tail: Tail,
    /// Height and width after the tail.
    out: [usize; 2],
    /// Whether a backward pass may come.
    keep: bool,
    saved: OnceLock<Saved>,
}

/// What the backward pass needs beside its arguments.
struct Saved {
    /// Output of the convolution.
    y: Vec<f32>,
    /// Mean and 1/σ per clip and channel.
    stats: Vec<Vec<[f32; 2]>>,
}

impl ConvBlock {
    fn channels(&self) -> usize {
        self.conv.cout
    }

    fn out_frame(&self) -> usize {
        self.out[0] * self.out[1] * self.channels()
    }

    /// Width of the convolution's output in pixels.
    fn conv_width(&self) -> usize {
        self.conv.out().map_or(0, |o| o[1])
    }

    fn forward(&self, x: Input, weight: &[f32]) -> Vec<f32> {
        let conv = &self.conv;
        let (y, moments) = convolve(conv, self.views.frames, x, weight);
        let stats: Vec<Vec<[f32; 2]>> = self.views.runs.iter().map(|run| merge(&moments[run.clone()])).collect();
        let tiled: Vec<Tiled> = stats.iter().map(|s| Tiled::new(s)).collect();
        let mut out = zeros(self.views.outputs.len() * self.out_frame());
        out.par_chunks_mut(self.out_frame()).zip(&self.views.outputs).for_each_init(Vec::new, |scratch, (out, (frame, run))| {
            let x = if self.tail == Tail::ReluAdd { x.floats(frame * conv.in_frame()..(frame + 1) * conv.in_frame()) } else { &[] };
            let y = &y[frame * conv.out_frame()..][..conv.out_frame()];
            tiled[*run].forward(self.tail, y, self.conv_width(), x, out, scratch);
        });
        if self.keep {
            // A block runs forward once; a second time would compute the same.
            let _ = self.saved.set(Saved { y, stats });
        }
        out
    }

    /// Gradients of the input (empty where it is not wanted) and of the weight.
    fn backward(&self, x: Input, weight: &[f32], res: &[f32], grad: &[f32], input_gradient: bool) -> Result<(Vec<f32>, Vec<f32>)> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("conv_block: backward without a forward that kept its output") };
        let conv = &self.conv;
        let tiled = self.gradient_statistics(saved, res, grad);
        let weights = input_gradient.then(|| conv.pack_gradient(weight));
        let mut dx = match (input_gradient, self.tail) {
            (false, _) => Vec::new(),
            (true, Tail::ReluAdd) => copy(grad),
            (true, _) => zeros(self.views.frames * conv.in_frame()),
        };
        let group = conv.group();
        let groups = self.views.frames.div_ceil(group);
        let parts = groups.min(PARTS);
        let mut rest = dx.as_mut_slice();
        let mut tasks = Vec::with_capacity(parts);
        for p in 0..parts {
            let g = part(groups, parts, p);
            let frames = g.start * group..(g.end * group).min(self.views.frames);
            let (own, others) = std::mem::take(&mut rest).split_at_mut(if input_gradient { frames.len() * conv.in_frame() } else { 0 });
            rest = others;
            tasks.push((frames, own));
        }
        let part_gradients: Vec<Vec<f32>> =
            tasks.into_par_iter().map(|(frames, dx)| self.part_gradient(x, saved, grad, &tiled, weights.as_ref(), frames, dx)).collect();
        Ok((dx, conv.sum_weight_gradients(&part_gradients)))
    }

    /// dx of some frames into `dx`; returns their dw `[kh, kw, cin, cout]`.
    #[allow(clippy::too_many_arguments)]
    fn part_gradient(
        &self,
        x: Input,
        saved: &Saved,
        grad: &[f32],
        tiled: &[Tiled],
        weights: Option<&GradientWeights>,
        frames: Range<usize>,
        dx: &mut [f32],
    ) -> Vec<f32> {
        let conv = &self.conv;
        let group = conv.group();
        let mut dw = vec![0.0; conv.weight_sums()];
        let mut padded = Scratch::zeros(group * conv.padded_frame());
        let mut dy = Scratch::zeros(group * conv.grad_frame());
        let mut winners = Winners::default();
        let mut other = Vec::new();
        for first in frames.clone().step_by(group) {
            let count = group.min(frames.end - first);
            x.pad_group(conv, first, count, &mut padded);
            for i in 0..count {
                let y = &saved.y[(first + i) * conv.out_frame()..][..conv.out_frame()];
                let dy = &mut dy[i * conv.grad_frame()..][..conv.grad_frame()];
                let mut of_place = |place: usize, dy: &mut [f32]| {
                    let grad = &grad[place * self.out_frame()..][..self.out_frame()];
                    let stats = &tiled[self.views.outputs[place].1];
                    stats.gradient(self.tail, y, self.conv_width(), grad, dy, |oy| conv.grad_row_start(oy), &mut winners);
                };
                match self.views.places[first + i].split_first() {
                    None => dy.fill(0.0),
                    Some((place, others)) => {
                        of_place(*place, dy);
                        for place in others {
                            other.resize(conv.grad_frame(), 0.0);
                            of_place(*place, &mut other);
                            dy.iter_mut().zip(&other).for_each(|(sum, x)| *sum += x);
                        }
                    }
                }
            }
            conv.weight_gradient(count, &padded, &dy, &mut dw);
            if let Some(weights) = weights {
                let dx = &mut dx[(first - frames.start) * conv.in_frame()..][..count * conv.in_frame()];
                conv.input_gradient(count, &dy, weights, 0, dx, self.tail == Tail::ReluAdd);
            }
        }
        dw
    }

    /// Each clip's statistics with the two means that the gradient of the normalisation needs.
    fn gradient_statistics(&self, saved: &Saved, res: &[f32], grad: &[f32]) -> Vec<Tiled> {
        let (channels, conv_frame, out_frame) = (self.channels(), self.conv.out_frame(), self.out_frame());
        let plain: Vec<Tiled> = saved.stats.iter().map(|s| Tiled::new(s)).collect();
        let places = self.views.outputs.par_iter().enumerate();
        let frame_sums: Vec<Vec<f64>> = places
            .map(|(place, (frame, run))| {
                let mut sums = vec![0.0; 2 * channels];
                let out = place * out_frame..(place + 1) * out_frame;
                let y = &saved.y[frame * conv_frame..][..conv_frame];
                plain[*run].gradient_sums(self.tail, y, &res[out.clone()], &grad[out], &mut sums);
                sums
            })
            .collect();
        let mut frame_sums = frame_sums.iter();
        let runs = self.views.runs.iter().zip(&saved.stats);
        runs.map(|(run, stats)| {
            let mut sums = vec![0.0; 2 * channels];
            for frame in frame_sums.by_ref().take(run.len()) {
                sums.iter_mut().zip(frame).for_each(|(s, f)| *s += f);
            }
            Tiled::with_gradient(stats, &sums, (run.len() * conv_frame / channels) as f64)
        })
        .collect()
    }
}

/// The convolution of n frames, and the moments of each.
pub(super) fn convolve(conv: &Conv, n: usize, x: Input, weight: &[f32]) -> (Vec<f32>, Vec<Moments>) {
    let weights = conv.pack(weight);
    let mut y = zeros(n * conv.out_frame());
    let group = conv.group();
    let moments: Vec<Vec<Moments>> = y
        .par_chunks_mut(group * conv.out_frame())
        .enumerate()
        .map_init(
            || Scratch::zeros(group * conv.padded_frame()),
            |padded, (g, y)| {
                let count = y.len() / conv.out_frame();
                x.pad_group(conv, g * group, count, padded);
                conv.forward(count, padded, &weights, y, false);
                y.chunks_exact(conv.out_frame()).map(|frame| Moments::of(frame, conv.cout)).collect()
            },
        )
        .collect();
    (y, moments.into_iter().flatten().collect())
}

/// All frames' moments of a clip as mean and 1/σ.
fn merge(frames: &[Moments]) -> Vec<[f32; 2]> {
    let Some((first, others)) = frames.split_first() else { return Vec::new() };
    let mut all = first.clone();
    others.iter().for_each(|m| all.merge(m));
    all.finish()
}

impl CustomOp2 for ConvBlock {
    fn name(&self) -> &'static str {
        "conv_block"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = Input::of(x, lx, "conv_block")?;
        if matches!(x, Input::Bytes(_)) && self.tail == Tail::ReluAdd {
            candle_core::bail!("conv_block: bytes cannot be added to the output");
        }
        let out = self.forward(x, floats(w, lw, "conv_block")?);
        Ok((CpuStorage::F32(out), (self.views.outputs.len(), self.out[0], self.out[1], self.channels()).into()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let input_gradient = x.track_op() && x.dtype() != DType::U8;
        let (dx, dw) = Input::with(x, "conv_block", |input| {
            with_floats(w, "conv_block", |w| {
                with_floats(res, "conv_block", |res| {
                    with_floats(grad, "conv_block", |grad| self.backward(input, w, res, grad, input_gradient))
                })
            })
        })?;
        let dx = if input_gradient { gradient(x, dx)? } else { None };
        Ok((dx, gradient(w, dw)?))
    }
}
