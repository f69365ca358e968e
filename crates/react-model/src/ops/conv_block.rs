use super::{floats, gradient, with_floats};
use crate::kernels::{Conv, Moments, PARTS, Tail, Tiled, Weights, Winners, part};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
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
}

/// Convolution (temporal kernel 1, no bias) → InstanceNorm over (t, h, w) → ReLU, then a sum or max pooling ([`Tail`]), as one
/// operation: x `[b·t, h, w, c]` channels last, f32 or u8 bytes, weight `[o, c, 1, kh, kw]` → `[b·t, h', w', o]`.
///
/// Bytes are scaled to (x/255 − 0.5)/0.5 as they are read, and have no gradient. One operation instead of three because what lies
/// between is the largest array of the network: its gradient is made a frame at a time and used at once, and never stored.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::ops::{ConvBlockShape, Tail, conv_block};
/// // One frame of one row: 1×1 convolution by 2, then (x − mean)/std, cut at 0.
/// let x = Tensor::new(&[[[[1f32], [3.0]]]], &Cpu)?;
/// let w = Tensor::new(&[2f32], &Cpu)?.reshape((1, 1, 1, 1, 1))?;
/// let shape = ConvBlockShape { frames: 1, stride: 1, padding: 0, tail: Tail::Relu };
/// let y = conv_block(&x, &w, shape)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 1.0).abs() < 1e-5);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit or a temporal kernel is not 1.
pub fn conv_block(x: &Tensor, weight: &Tensor, shape: ConvBlockShape) -> Result<Tensor> {
    let (n, height, width, cin) = x.dims4()?;
    let (cout, weight_cin, kt, kh, kw) = weight.dims5()?;
    let ConvBlockShape { frames, stride, padding, tail } = shape;
    if weight_cin != cin || kt != 1 || cin == 0 || cout == 0 {
        candle_core::bail!("conv_block: weight {:?} does not fit frames {:?} (temporal kernel 1)", weight.dims(), x.dims());
    }
    if frames == 0 || n == 0 || !n.is_multiple_of(frames) || stride == 0 {
        candle_core::bail!("conv_block: {n} frames are not clips of {frames}, or the stride {stride} is 0");
    }
    let conv = Conv { height, width, cin, cout, kernel: [kh, kw], stride: [stride; 2], padding: [padding; 2] };
    let Some(out) = conv.out() else {
        candle_core::bail!("conv_block: frames of {height}×{width} are smaller than the kernel {kh}×{kw}")
    };
    let out = match tail {
        Tail::ReluAdd if out != [height, width] || cin != cout => {
            candle_core::bail!("conv_block: input and output of a residual block differ")
        }
        Tail::ReluMaxPool if out[0] < 3 || out[1] < 3 => {
            candle_core::bail!("conv_block: {}×{} pixels are too few for a 3×3 pool", out[0], out[1])
        }
        Tail::ReluMaxPool => out.map(|n| (n - 3) / 2 + 1),
        Tail::Relu | Tail::ReluAdd => out,
    };
    let keep = weight.track_op() || x.track_op();
    x.contiguous()?.apply_op2(&weight.contiguous()?, ConvBlock { conv, n, frames, tail, out, keep, saved: OnceLock::new() })
}

struct ConvBlock {
    conv: Conv,
    n: usize,
    frames: usize,
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

/// Frames as they come.
#[derive(Clone, Copy)]
enum Input<'a> {
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
}

impl Input<'_> {
    /// Copies frame `i` into a padded one.
    fn pad(&self, conv: &Conv, i: usize, padded: &mut [f32]) {
        let range = i * conv.in_frame()..(i + 1) * conv.in_frame();
        match self {
            Self::Bytes(x) => conv.pad_bytes(&x[range], padded),
            Self::Floats(x) => conv.pad(&x[range], padded),
        }
    }

    fn floats(&self, range: std::ops::Range<usize>) -> &[f32] {
        match self {
            Self::Floats(x) => &x[range],
            Self::Bytes(_) => &[],
        }
    }
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
        let weights = conv.pack(weight, false);
        let mut y = vec![0.0; self.n * conv.out_frame()];
        let group = conv.group();
        let moments: Vec<Vec<Moments>> = y
            .par_chunks_mut(group * conv.out_frame())
            .enumerate()
            .map_init(
                || vec![0.0; group * conv.padded_frame()],
                |padded, (g, y)| {
                    let count = y.len() / conv.out_frame();
                    for i in 0..count {
                        x.pad(conv, g * group + i, &mut padded[i * conv.padded_frame()..][..conv.padded_frame()]);
                    }
                    conv.forward(count, padded, &weights, y);
                    y.chunks_exact(conv.out_frame()).map(|frame| Moments::of(frame, conv.cout)).collect()
                },
            )
            .collect();
        let moments: Vec<Moments> = moments.into_iter().flatten().collect();
        let stats: Vec<Vec<[f32; 2]>> = moments.chunks(self.frames).map(merge).collect();
        let tiled: Vec<Tiled> = stats.iter().map(|s| Tiled::new(s)).collect();
        let mut out = vec![0.0; self.n * self.out_frame()];
        out.par_chunks_mut(self.out_frame()).zip(y.par_chunks(conv.out_frame())).enumerate().for_each_init(
            Vec::new,
            |scratch, (i, (out, y))| {
                let x = if self.tail == Tail::ReluAdd { x.floats(i * conv.in_frame()..(i + 1) * conv.in_frame()) } else { &[] };
                tiled[i / self.frames].forward(self.tail, y, self.conv_width(), x, out, scratch);
            },
        );
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
        let weights = conv.pack(weight, input_gradient);
        let mut dx = match (input_gradient, self.tail) {
            (false, _) => Vec::new(),
            (true, Tail::ReluAdd) => grad.to_vec(),
            (true, _) => vec![0.0; self.n * conv.in_frame()],
        };
        let group = conv.group();
        let groups = self.n.div_ceil(group);
        let parts = groups.min(PARTS);
        let mut rest = dx.as_mut_slice();
        let mut tasks = Vec::with_capacity(parts);
        for p in 0..parts {
            let g = part(groups, parts, p);
            let frames = g.start * group..(g.end * group).min(self.n);
            let (own, others) = std::mem::take(&mut rest).split_at_mut(if input_gradient { frames.len() * conv.in_frame() } else { 0 });
            rest = others;
            tasks.push((frames, own));
        }
        let part_gradients: Vec<Vec<f32>> =
            tasks.into_par_iter().map(|(frames, dx)| self.part_gradient(x, saved, grad, &tiled, &weights, frames, dx)).collect();
        Ok((dx, self.sum_weight_gradients(&part_gradients)))
    }

    /// dx of some frames into `dx`; returns their dw `[kh, kw, cin, cout]`.
    #[allow(clippy::too_many_arguments)]
    fn part_gradient(
        &self,
        x: Input,
        saved: &Saved,
        grad: &[f32],
        tiled: &[Tiled],
        weights: &Weights,
        frames: std::ops::Range<usize>,
        dx: &mut [f32],
    ) -> Vec<f32> {
        let conv = &self.conv;
        let group = conv.group();
        let mut dw = vec![0.0; conv.taps() * conv.cout];
        let mut padded = vec![0.0; group * conv.padded_frame()];
        let mut dy = vec![0.0; group * conv.grad_frame()];
        let mut winners = Winners::default();
        for first in frames.clone().step_by(group) {
            let count = group.min(frames.end - first);
            for i in 0..count {
                x.pad(conv, first + i, &mut padded[i * conv.padded_frame()..][..conv.padded_frame()]);
                let y = &saved.y[(first + i) * conv.out_frame()..][..conv.out_frame()];
                let grad = &grad[(first + i) * self.out_frame()..][..self.out_frame()];
                let dy = &mut dy[i * conv.grad_frame()..][..conv.grad_frame()];
                let stats = &tiled[(first + i) / self.frames];
                stats.gradient(self.tail, y, self.conv_width(), grad, dy, |oy| conv.grad_row_start(oy), &mut winners);
            }
            conv.weight_gradient(count, &padded, &dy, &mut dw);
            if !dx.is_empty() {
                let dx = &mut dx[(first - frames.start) * conv.in_frame()..][..count * conv.in_frame()];
                conv.input_gradient(count, &dy, weights, dx, self.tail == Tail::ReluAdd);
            }
        }
        dw
    }

    /// Each clip's statistics with the two means that the gradient of the normalisation needs.
    fn gradient_statistics(&self, saved: &Saved, res: &[f32], grad: &[f32]) -> Vec<Tiled> {
        let (channels, conv_frame, out_frame) = (self.channels(), self.conv.out_frame(), self.out_frame());
        let count = (self.frames * conv_frame / channels) as f64;
        let plain: Vec<Tiled> = saved.stats.iter().map(|s| Tiled::new(s)).collect();
        let frame_sums: Vec<Vec<f64>> = (0..self.n)
            .into_par_iter()
            .map(|i| {
                let mut sums = vec![0.0; 2 * channels];
                let out = i * out_frame..(i + 1) * out_frame;
                plain[i / self.frames].gradient_sums(
                    self.tail,
                    &saved.y[i * conv_frame..][..conv_frame],
                    &res[out.clone()],
                    &grad[out],
                    &mut sums,
                );
                sums
            })
            .collect();
        let clips = frame_sums.chunks(self.frames).zip(&saved.stats);
        clips
            .map(|(frames, stats)| {
                let mut sums = vec![0.0; 2 * channels];
                for frame in frames {
                    sums.iter_mut().zip(frame).for_each(|(s, f)| *s += f);
                }
                Tiled::with_gradient(stats, &sums, count)
            })
            .collect()
    }

    /// The parts' sum in the layout of the weight, `[o, c, 1, kh, kw]`.
    fn sum_weight_gradients(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        let Conv { cin, cout, kernel: [kh, kw], .. } = self.conv;
        let mut out = vec![0.0; cout * cin * kh * kw];
        for tap in 0..kh * kw {
            for ci in 0..cin {
                for co in 0..cout {
                    let from = (tap * cin + ci) * cout + co;
                    out[(co * cin + ci) * kh * kw + tap] = parts.iter().map(|p| p[from]).sum();
                }
            }
        }
        out
    }

    fn with_input<T>(x: &Tensor, f: impl FnOnce(Input) -> Result<T>) -> Result<T> {
        let x = x.contiguous()?;
        let (storage, layout) = x.storage_and_layout();
        match &*storage {
            candle_core::Storage::Cpu(storage) => f(input(storage, layout)?),
            _ => candle_core::bail!("conv_block: no implementation on this device"),
        }
    }
}

/// All frames' moments of a clip as mean and 1/σ.
fn merge(frames: &[Moments]) -> Vec<[f32; 2]> {
    let Some((first, others)) = frames.split_first() else { return Vec::new() };
    let mut all = first.clone();
    others.iter().for_each(|m| all.merge(m));
    all.finish()
}

fn input<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Input<'a>> {
    let name = "conv_block";
    match storage {
        CpuStorage::U8(bytes) => {
            let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::RequiresContiguous { op: name }.bt())?;
            Ok(Input::Bytes(&bytes[start..end]))
        }
        _ => Ok(Input::Floats(floats(storage, layout, name)?)),
    }
}

impl CustomOp2 for ConvBlock {
    fn name(&self) -> &'static str {
        "conv_block"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = input(x, lx)?;
        if matches!(x, Input::Bytes(_)) && self.tail == Tail::ReluAdd {
            candle_core::bail!("conv_block: bytes cannot be added to the output");
        }
        let out = self.forward(x, floats(w, lw, "conv_block")?);
        Ok((CpuStorage::F32(out), (self.n, self.out[0], self.out[1], self.channels()).into()))
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let input_gradient = x.track_op() && x.dtype() != DType::U8;
        let (dx, dw) = Self::with_input(x, |input| {
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
