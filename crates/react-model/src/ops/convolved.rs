//! A convolution's output before its normalisation, for callers that bring the statistics themselves.

use super::conv_block::{conv_of, conv_on_gpu, convolve, frames_on_gpu, pooled};
use super::input::Input;
use super::{ConvBlockShape, with_floats};
use crate::Precision;
use crate::gpu::{convolved as on_gpu, is_gpu, run_for};
use crate::kernels::{Conv, Moments, Tail, Tiled};
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Frames after a convolution and before their normalisation. Nothing here has a gradient.
pub(crate) struct Convolved {
    conv: Conv,
    tail: Tail,
    frames: usize,
    output: Output,
}

enum Output {
    Cpu {
        y: Vec<f32>,
        moments: Vec<Moments>,
    },
    /// y and the moments f64, frames first.
    Gpu {
        plans: on_gpu::Convolved,
        y: Tensor,
        moments: Tensor,
    },
}

impl Convolved {
    /// x `[n, h, w, c]`, bytes or floats, by a weight `[o, c, 1, kh, kw]`; `shape.frames` is not used.
    pub(crate) fn new(x: &Tensor, weight: &Tensor, shape: ConvBlockShape) -> Result<Self> {
        let conv = conv_of(x, weight, shape.stride, shape.padding)?;
        let frames = x.dim(0)?;
        let output = if is_gpu(x) {
            let x = frames_on_gpu(&x.detach(), shape.precision)?;
            let plans = on_gpu::Convolved { conv: conv_on_gpu(&x, &conv, shape.precision)?, tail: shape.tail };
            let by_frame = |flat: Tensor| flat.reshape((frames, ()));
            let [y, moments] = run_for(&plans.convolve(), x.device(), &[&x, &weight.contiguous()?])?;
            Output::Gpu { plans, y: by_frame(y)?, moments: by_frame(moments)? }
        } else {
            let (y, moments) = Input::with(x, "conv_block", |input| {
                with_floats(weight, "conv_block", |weight| Ok(convolve(&conv, frames, input, weight)))
            })?;
            Output::Cpu { y, moments }
        };
        Ok(Self { conv, tail: shape.tail, frames, output })
    }

    /// Some of the frames, normalised by the moments of a run that they belong to, with what follows: `[len, h', w', o]`. `x` is
    /// the input of those frames, where the tail adds it.
    pub(crate) fn normalise(&self, frames: Range<usize>, running: &Running, x: &Tensor) -> Result<Tensor> {
        let [height, width] = pooled(&self.conv, self.tail)?;
        let adds = self.tail == Tail::ReluAdd;
        if frames.is_empty() || frames.end > self.frames {
            candle_core::bail!("conv_block: no frames {frames:?} of {}", self.frames);
        }
        if adds && x.elem_count() != frames.len() * self.conv.in_frame() {
            candle_core::bail!("conv_block: {frames:?} are not the frames of {:?}", x.dims());
        }
        match (&self.output, &running.seen) {
            (Output::Cpu { y, .. }, Some(Seen::Cpu(moments))) => self.normalise_on_cpu(y, frames, moments, [height, width], x),
            (Output::Gpu { plans, y, .. }, Some(Seen::Gpu { statistics, .. })) => {
                let y = y.narrow(0, frames.start, frames.len())?;
                let residual = if adds { Some(frames_on_gpu(x, plans.conv.precision)?) } else { None };
                let inputs: Vec<&Tensor> = [&y, statistics].into_iter().chain(residual.as_ref()).collect();
                let [out] = run_for(&plans.normalise(frames.len()), y.device(), &inputs)?;
                out.reshape((frames.len(), height, width, self.conv.cout))
            }
            _ => candle_core::bail!("conv_block: no statistics, or on another device"),
        }
    }

    fn normalise_on_cpu(
        &self,
        y: &[f32],
        frames: Range<usize>,
        moments: &Moments,
        [height, width]: [usize; 2],
        x: &Tensor,
    ) -> Result<Tensor> {
        let (conv_frame, out_frame) = (self.conv.out_frame(), height * width * self.conv.cout);
        let conv_width = self.conv.out().map_or(0, |out| out[1]);
        let in_frame = if self.tail == Tail::ReluAdd { self.conv.in_frame() } else { 0 };
        let y = &y[frames.start * conv_frame..frames.end * conv_frame];
        let tiled = Tiled::new(&moments.finish());
        let mut out = vec![0.0; frames.len() * out_frame];
        Input::with(x, "conv_block", |input| {
            let frames = out.par_chunks_mut(out_frame).zip(y.par_chunks(conv_frame)).enumerate();
            frames.for_each_init(Vec::new, |scratch, (i, (out, y))| {
                let x = if in_frame > 0 { input.floats(i * in_frame..(i + 1) * in_frame) } else { &[] };
                tiled.forward(self.tail, y, conv_width, x, out, scratch);
            });
            Ok(())
        })?;
        Tensor::from_vec(out, (frames.len(), height, width, self.conv.cout), x.device())
    }
}

/// Moments of a growing run of frames, on the device of the frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Running {
    frames: usize,
    seen: Option<Seen>,
    /// The weight as a GPU's convolution reads it: that of the first frames goes for all.
    weight: Option<(Precision, Tensor)>,
}

#[derive(Clone, Debug)]
enum Seen {
    Cpu(Moments),
    /// Mean and squares f64 `[2·o]`, and mean and 1/σ f32 `[2·o]`.
    Gpu {
        moments: Tensor,
        statistics: Tensor,
    },
}

impl Running {
    /// Goes on to the frames of `convolved` from `first` to before `end`.
    pub(crate) fn see(&mut self, convolved: &Convolved, Range { start: first, end }: Range<usize>) -> Result<()> {
        if first >= end || end > convolved.frames {
            return Ok(());
        }
        match &convolved.output {
            Output::Cpu { moments, .. } => {
                for frame in &moments[first..end] {
                    match &mut self.seen {
                        Some(Seen::Cpu(all)) => all.merge(frame),
                        _ => self.seen = Some(Seen::Cpu(frame.clone())),
                    }
                }
            }
            Output::Gpu { plans, moments, .. } => {
                let new = moments.narrow(0, first, end - first)?;
                let before = if let Some(Seen::Gpu { moments, .. }) = &self.seen { Some(moments) } else { None };
                let inputs: Vec<&Tensor> = std::iter::once(&new).chain(before).collect();
                let earlier = if before.is_some() { self.frames } else { 0 };
                let [moments, statistics] = run_for(&plans.merge(end - first, earlier), new.device(), &inputs)?;
                self.seen = Some(Seen::Gpu { moments, statistics });
            }
        }
        self.frames += end - first;
        Ok(())
    }

    /// Goes on to all frames before `end`, and frames seen already are the first of `convolved`.
    pub(crate) fn up_to(&mut self, convolved: &Convolved, end: usize) -> Result<()> {
        self.see(convolved, self.frames.min(end)..end)
    }

    /// The block's result for frames that follow those seen so far, normalised by the moments of all. The weight must stay the same.
    pub(crate) fn next(&mut self, x: &Tensor, weight: &Tensor, shape: ConvBlockShape) -> Result<Tensor> {
        let frames = x.dim(0)?;
        if !is_gpu(x) {
            let convolved = Convolved::new(x, weight, shape)?;
            self.see(&convolved, 0..frames)?;
            return convolved.normalise(0..frames, self, x);
        }
        let conv = conv_of(x, weight, shape.stride, shape.padding)?;
        let [height, width] = pooled(&conv, shape.tail)?;
        let x = frames_on_gpu(&x.detach(), shape.precision)?;
        let plans = on_gpu::Convolved { conv: conv_on_gpu(&x, &conv, shape.precision)?, tail: shape.tail };
        let before = if let Some(Seen::Gpu { moments, .. }) = &self.seen { Some(moments) } else { None };
        let weight = match &self.weight {
            Some((precision, weight)) if *precision == shape.precision => weight.clone(),
            _ => {
                let [weight] = run_for(&plans.conv.arrangement(), x.device(), &[&weight.contiguous()?])?;
                weight
            }
        };
        self.weight = Some((shape.precision, weight.clone()));
        let inputs: Vec<&Tensor> = [&x, &weight].into_iter().chain(before).collect();
        let plan = plans.next(if before.is_some() { self.frames } else { 0 });
        let [out, moments, statistics] = run_for(&plan, x.device(), &inputs)?;
        self.seen = Some(Seen::Gpu { moments, statistics });
        self.frames += frames;
        out.reshape((frames, height, width, conv.cout))
    }
}
