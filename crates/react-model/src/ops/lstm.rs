use super::planned::Planned;
use super::{floats, gradient, with_floats};
use crate::gpu::lstm::{self as on_gpu, State};
use crate::gpu::{is_gpu, run_for, run_op};
use crate::kernels::{LstmShape, LstmTrace};
use crate::tape;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::OnceLock;

/// A long short-term memory over a whole sequence as one operation: the input's projection (x·W_ihᵀ + both biases) `[b, t, 4·h]`,
/// W_hh `[4·h, h]` (gates i, f, g, o), first h and c stacked `[2, b, h]` → h of every frame, `[b, t, h]`.
///
/// ```text
/// [i f g o] = σ, σ, tanh, σ of (p_t + h_{t−1}·W_hhᵀ)      c_t = f∘c_{t−1} + i∘g      h_t = o∘tanh(c_t)
/// ```
///
/// Hochreiter, Schmidhuber, "Long short-term memory", 1997, with the forget gate of Gers, Schmidhuber, Cummins, 2000.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::ops::lstm;
/// // One channel: gates σ(0) = ½ but g = tanh(100) = 1, c₀ = 1; c₁ = ½·1 + ½·1 = 1, h₁ = ½·tanh 1.
/// let projected = Tensor::new(&[[[0f32, 0.0, 100.0, 0.0]]], &Cpu)?;
/// let weight = Tensor::zeros((4, 1), candle_core::DType::F32, &Cpu)?;
/// let state = Tensor::new(&[[[0f32]], [[1.0]]], &Cpu)?;
/// let h = lstm(&projected, &weight, &state)?.flatten_all()?.to_vec1::<f32>()?;
/// assert!((h[0] - 0.5 * 1f32.tanh()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit or an axis is empty.
pub fn lstm(projected: &Tensor, weight: &Tensor, state: &Tensor) -> Result<Tensor> {
    let ((batch, frames, gates), (rows, width)) = (projected.dims3()?, weight.dims2()?);
    if rows != 4 * width || gates != rows || state.dims() != [2, batch, width] {
        candle_core::bail!(
            "lstm: projection {:?}, weight {:?} and state {:?} do not fit ([b, t, 4h], [4h, h], [2, b, h])",
            projected.dims(),
            weight.dims(),
            state.dims()
        );
    }
    if batch == 0 || frames == 0 || width == 0 {
        candle_core::bail!("lstm: a projection {:?} has no frames", projected.dims());
    }
    let keep = projected.track_op() || weight.track_op() || state.track_op();
    let shape = LstmShape { batch, frames, width };
    if is_gpu(projected) {
        let op =
            Planned::new("lstm", on_gpu::forward(&shape, State::Stacked, keep), (batch, frames, width), move |arguments, kept, h, grad| {
                let (&[_, weight, state], [gates, cells]) = (arguments, kept) else {
                    candle_core::bail!("lstm: backward without a forward that kept its gates")
                };
                let gradients = run_op(&on_gpu::backward(&shape), grad.device(), &[weight, state, gates, cells, h, grad])?;
                let each = gradients.iter().zip(arguments).map(|(g, of)| g.reshape(of.shape()).map(Some));
                each.collect()
            });
        return tape::apply3(projected, weight, state, op);
    }
    let op = Lstm { shape, keep, saved: OnceLock::new() };
    tape::apply3(projected, weight, state, op)
}

/// [`lstm`] from one frame `[b, h]` as both h and c. On a GPU, without gradients.
pub(crate) fn lstm_after(projected: &Tensor, weight: &Tensor, last: &Tensor) -> Result<Tensor> {
    let ((batch, frames, gates), (n, width)) = (projected.dims3()?, last.dims2()?);
    if n != batch || gates != 4 * width || weight.dims() != [4 * width, width] {
        candle_core::bail!("lstm: projection {:?}, weight {:?}, last frame {:?}", projected.dims(), weight.dims(), last.dims());
    }
    let plan = on_gpu::forward(&LstmShape { batch, frames, width }, State::Same, false);
    let [h] = run_for(&plan, projected.device(), &[&projected.contiguous()?, &weight.contiguous()?, &last.contiguous()?])?;
    h.reshape((batch, frames, width))
}

struct Lstm {
    shape: LstmShape,
    /// Whether a backward pass may come.
    keep: bool,
    saved: OnceLock<LstmTrace>,
}

impl CustomOp3 for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        lp: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        s: &CpuStorage,
        ls: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (out, trace) = self.shape.forward(floats(p, lp, "lstm")?, floats(w, lw, "lstm")?, floats(s, ls, "lstm")?);
        if self.keep {
            // The operation runs forward once; a second time would compute the same.
            let _ = self.saved.set(trace);
        }
        let LstmShape { batch, frames, width } = self.shape;
        Ok((CpuStorage::F32(out), (batch, frames, width).into()))
    }

    fn bwd(
        &self,
        p: &Tensor,
        w: &Tensor,
        s: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(saved) = self.saved.get() else { candle_core::bail!("lstm: backward without a forward that kept its gates") };
        let all = with_floats(w, "lstm", |w| {
            with_floats(s, "lstm", |s| {
                with_floats(res, "lstm", |out| with_floats(grad, "lstm", |grad| Ok(self.shape.backward(w, s, saved, out, grad))))
            })
        })?;
        Ok((gradient(p, all.projected)?, gradient(w, all.weight)?, gradient(s, all.state)?))
    }
}
