//! A convolution's output before its normalisation, for callers that bring the statistics themselves.

use super::conv_block::{conv_of, convolve, pooled};
use super::input::Input;
use super::with_floats;
use crate::kernels::{Conv, Moments, Tail, Tiled};
use candle_core::{Result, Tensor};
use rayon::prelude::*;
use std::ops::Range;

/// Frames after a convolution and before their normalisation. Nothing here has a gradient.
pub(crate) struct Convolved {
    conv: Conv,
    y: Vec<f32>,
    moments: Vec<Moments>,
}

impl Convolved {
    /// x `[n, h, w, c]`, bytes or f32, by a weight `[o, c, 1, kh, kw]`.
    pub(crate) fn new(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Self> {
        let conv = conv_of(x, weight, stride, padding)?;
        let n = x.dim(0)?;
        let (y, moments) =
            Input::with(x, "conv_block", |input| with_floats(weight, "conv_block", |weight| Ok(convolve(&conv, n, input, weight))))?;
        Ok(Self { conv, y, moments })
    }

    /// Of each frame.
    pub(crate) fn moments(&self) -> &[Moments] {
        &self.moments
    }

    /// Some of the frames, normalised by the moments of a run that they belong to, with what follows: `[len, h', w', o]`. `x` is
    /// the input of those frames, where the tail adds it.
    pub(crate) fn normalise(&self, frames: Range<usize>, moments: &Moments, tail: Tail, x: &Tensor) -> Result<Tensor> {
        let [height, width] = pooled(&self.conv, tail)?;
        let (conv_frame, out_frame) = (self.conv.out_frame(), height * width * self.conv.cout);
        let conv_width = self.conv.out().map_or(0, |out| out[1]);
        let in_frame = if tail == Tail::ReluAdd { self.conv.in_frame() } else { 0 };
        let Some(y) = self.y.get(frames.start * conv_frame..frames.end * conv_frame) else {
            candle_core::bail!("conv_block: no frames {frames:?} of {}", self.moments.len());
        };
        if tail == Tail::ReluAdd && x.elem_count() != frames.len() * in_frame {
            candle_core::bail!("conv_block: {frames:?} are not the frames of {:?}", x.dims());
        }
        let tiled = Tiled::new(&moments.finish());
        let mut out = vec![0.0; frames.len() * out_frame];
        Input::with(x, "conv_block", |input| {
            let frames = out.par_chunks_mut(out_frame).zip(y.par_chunks(conv_frame)).enumerate();
            frames.for_each_init(Vec::new, |scratch, (i, (out, y))| {
                let x = if in_frame > 0 { input.floats(i * in_frame..(i + 1) * in_frame) } else { &[] };
                tiled.forward(tail, y, conv_width, x, out, scratch);
            });
            Ok(())
        })?;
        Tensor::from_vec(out, (frames.len(), height, width, self.conv.cout), x.device())
    }
}
