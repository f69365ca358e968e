use super::planned::Planned;
use super::{floats, gradient, with_floats};
use crate::gpu::{is_gpu, plan, pool, run_op};
use crate::tape;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};
use rayon::prelude::*;
use std::sync::OnceLock;

/// Windows of a [`max_pool3d`], axes in the order time, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool3dShape {
    /// Sizes of a window.
    pub kernel: [usize; 3],
    /// Distances between windows.
    pub stride: [usize; 3],
    /// Places on either side that never win; at most half of a window.
    pub padding: [usize; 3],
}

/// The largest of each window: x `[b, t, h, w, c]` → `[b, t', h', w', c]`, n' = ⌊(n + 2·padding − kernel)/stride⌋ + 1.
///
/// The gradient goes to the first of the largest, in the order time, height, width; windows may overlap. NaN wins, as in PyTorch.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor, Var};
/// use react_model::ops::{MaxPool3dShape, max_pool3d};
/// let x = Var::new(&[3f32, 5.0, 5.0, 1.0], &Cpu)?;
/// let shape = MaxPool3dShape { kernel: [1, 1, 3], stride: [1, 1, 1], padding: [0, 0, 0] };
/// let y = max_pool3d(&x.reshape((1, 1, 1, 4, 1))?, shape)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [5.0, 5.0]);
/// let gradients = y.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&x).unwrap().to_vec1::<f32>()?, [0.0, 2.0, 0.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where windows do not fit.
pub fn max_pool3d(x: &Tensor, shape: MaxPool3dShape) -> Result<Tensor> {
    let (clips, frames, height, width, channels) = x.dims5()?;
    let MaxPool3dShape { kernel, stride, padding } = shape;
    let sizes = [frames, height, width];
    let mut out = [0; 3];
    for axis in 0..3 {
        let (k, s, p) = (kernel[axis], stride[axis], padding[axis]);
        let Some(last) = (sizes[axis] + 2 * p).checked_sub(k).filter(|_| k > 0 && s > 0 && 2 * p <= k && sizes[axis] > 0) else {
            candle_core::bail!("max_pool3d: windows {shape:?} do not fit clips {:?}", x.dims())
        };
        out[axis] = last / s + 1;
    }
    if channels == 0 || clips == 0 || sizes.iter().product::<usize>() * channels > u32::MAX as usize {
        candle_core::bail!("max_pool3d: clips {:?} are empty or too large", x.dims());
    }
    if is_gpu(x) {
        let element = if x.dtype() == DType::BF16 { plan::Type::Bf16 } else { plan::Type::F32 };
        let pool = pool::MaxPool { element, clips, sizes, out, channels, shape };
        let result = (clips, out[0], out[1], out[2], channels);
        let op = Planned::new("max_pool3d", pool.forward(x.track_op()), result, move |arguments, kept, _, grad| {
            let dx = match kept {
                [winners] => run_op(&pool.backward(), grad.device(), &[grad, winners])?,
                _ => candle_core::bail!("max_pool3d: backward without a forward that kept its winners"),
            };
            dx.into_iter().map(|dx| dx.reshape(arguments[0].shape()).map(Some)).collect()
        });
        return tape::apply1(x, op);
    }
    tape::apply1(x, MaxPool3d { shape, clips, sizes, out, channels, keep: x.track_op(), winners: OnceLock::new() })
}

struct MaxPool3d {
    shape: MaxPool3dShape,
    clips: usize,
    sizes: [usize; 3],
    out: [usize; 3],
    channels: usize,
    /// Whether a backward pass may come.
    keep: bool,
    /// Where in its clip each window's largest lies.
    winners: OnceLock<Vec<u32>>,
}

impl MaxPool3d {
    fn in_clip(&self) -> usize {
        self.sizes.iter().product::<usize>() * self.channels
    }

    fn out_clip(&self) -> usize {
        self.out.iter().product::<usize>() * self.channels
    }

    /// The part of an axis that window `i` covers.
    fn window(&self, axis: usize, i: usize) -> std::ops::Range<usize> {
        let start = i * self.shape.stride[axis];
        let (end, padding) = (start + self.shape.kernel[axis], self.shape.padding[axis]);
        start.saturating_sub(padding)..(end - padding.min(end)).min(self.sizes[axis])
    }

    /// One row of windows (fixed time and height) of a clip.
    fn row(&self, clip: &[f32], time: usize, oy: usize, out: &mut [f32], winners: &mut [u32]) {
        let c = self.channels;
        for (ox, (out, winners)) in out.chunks_exact_mut(c).zip(winners.chunks_exact_mut(c)).enumerate() {
            let mut first = true;
            for t in self.window(0, time) {
                for y in self.window(1, oy) {
                    for x in self.window(2, ox) {
                        let place = ((t * self.sizes[1] + y) * self.sizes[2] + x) * c;
                        let pixel = &clip[place..place + c];
                        for (i, ((o, w), v)) in out.iter_mut().zip(winners.iter_mut()).zip(pixel).enumerate() {
                            if first || *v > *o || v.is_nan() {
                                (*o, *w) = (*v, (place + i) as u32);
                            }
                        }
                        first = false;
                    }
                }
            }
        }
    }
}

impl CustomOp1 for MaxPool3d {
    fn name(&self) -> &'static str {
        "max_pool3d"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, layout, "max_pool3d")?;
        let [times, rows, columns] = self.out;
        let mut out = vec![0.0; self.clips * self.out_clip()];
        let mut winners = vec![0u32; out.len()];
        let row = columns * self.channels;
        out.par_chunks_mut(row).zip(winners.par_chunks_mut(row)).enumerate().for_each(|(i, (out, winners))| {
            let (clip, time, oy) = (i / (times * rows), i / rows % times, i % rows);
            self.row(&x[clip * self.in_clip()..][..self.in_clip()], time, oy, out, winners);
        });
        if self.keep {
            // The operation runs forward once; a second time would compute the same.
            let _ = self.winners.set(winners);
        }
        Ok((CpuStorage::F32(out), (self.clips, times, rows, columns, self.channels).into()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(winners) = self.winners.get() else { candle_core::bail!("max_pool3d: backward without a forward that kept its winners") };
        let mut dx = vec![0.0f32; x.elem_count()];
        with_floats(grad, "max_pool3d", |grad| {
            let clips = grad.par_chunks(self.out_clip()).zip(winners.par_chunks(self.out_clip()));
            dx.par_chunks_mut(self.in_clip()).zip(clips).for_each(|(dx, (grad, winners))| {
                for (g, w) in grad.iter().zip(winners) {
                    dx[*w as usize] += g;
                }
            });
            Ok(())
        })?;
        gradient(x, dx)
    }
}
