use super::Linear;
use crate::ops::{layer_norm, norm_of_linear, norm_of_sum};
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;

/// LayerNorm over the last axis, eps 1e-5, with weight and bias: PyTorch's `LayerNorm`.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::LayerNorm};
/// let norm = LayerNorm::new(2, &Params::new(0).root())?;
/// let y = norm.forward(&Tensor::new(&[[1f32, 3.0]], &Cpu)?, &Mode::eval())?.to_vec2::<f32>()?;
/// assert!((y[0][0] + 1.0).abs() < 1e-5 && (y[0][1] - 1.0).abs() < 1e-5);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerNorm {
    weight: Tensor,
    bias: Tensor,
}

impl LayerNorm {
    /// A layer with parameters `weight`, 1, and `bias`, 0.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(width: usize, scope: &Scope) -> Result<Self> {
        Ok(Self { weight: scope.get("weight", &[width], Init::Ones)?, bias: scope.get("bias", &[width], Init::Zeros)? })
    }

    /// `[…, c]` → `[…, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        Ok(layer_norm(x, &mode.parameter(&self.weight), &mode.parameter(&self.bias))?)
    }

    /// The norm of `x + linear(r)` for few rows on a GPU; none elsewhere.
    pub(super) fn forward_linear(&self, x: &Tensor, r: &Tensor, linear: &Linear, mode: &Mode) -> Result<Option<Tensor>> {
        let [weight, bias] = linear.parameters(mode);
        let [gamma, beta] = [mode.parameter(&self.weight), mode.parameter(&self.bias)];
        Ok(norm_of_linear(r, [&weight, &bias], x, [&gamma, &beta], mode)?)
    }

    /// The norm of `x + dropout(r)`; shapes are equal.
    pub(super) fn forward_sum(&self, x: &Tensor, r: &Tensor, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
        Ok(norm_of_sum([x, r], [&mode.parameter(&self.weight), &mode.parameter(&self.bias)], p, mode, site)?)
    }
}
