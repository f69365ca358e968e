use crate::ops::{Activation, linear};
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;

/// `y = x·Wᵀ + b`, W `[out, in]`, b `[out]`: PyTorch's `Linear`.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::Linear};
/// let params = Params::new(0);
/// let fc = Linear::new(2, 1, &params.root().at("fc"))?;
/// params.get("fc.weight").unwrap().set(&Tensor::new(&[[2f32, -1.0]], &Cpu)?)?;
/// params.get("fc.bias").unwrap().set(&Tensor::new(&[0.5f32], &Cpu)?)?;
/// let y = fc.forward(&Tensor::new(&[[3f32, 4.0]], &Cpu)?, &Mode::eval())?;
/// assert_eq!(y.to_vec2::<f32>()?, [[2.5]]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
    site: String,
}

impl Linear {
    /// A layer with parameters `weight` and `bias`, both uniform in ±1/√in.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(inputs: usize, outputs: usize, scope: &Scope) -> Result<Self> {
        Self::with_bias(inputs, outputs, Init::kaiming(inputs), scope)
    }

    pub(crate) fn with_bias(inputs: usize, outputs: usize, bias: Init, scope: &Scope) -> Result<Self> {
        let weight = scope.get("weight", &[outputs, inputs], Init::kaiming(inputs))?;
        Ok(Self { weight, bias: scope.get("bias", &[outputs], bias)?, site: scope.path("dropout") })
    }

    /// `[…, in]` → `[…, out]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.forward_then(x, Activation::None, mode)
    }

    /// What some of the inputs, from `first` on, add to the result, without the bias: `[…, n]` → `[…, out]`.
    pub(crate) fn forward_inputs(&self, x: &Tensor, first: usize, mode: &Mode) -> Result<Tensor> {
        let weight = mode.parameter(&self.weight).narrow(1, first, x.dim(candle_core::D::Minus1)?)?.contiguous()?;
        Ok(linear(x, &weight, &self.bias.zeros_like()?.detach(), Activation::None, mode, &self.site)?)
    }

    /// How many inputs it has.
    pub(crate) fn inputs(&self) -> usize {
        self.weight.dims()[1]
    }

    /// The bias, `[out]`.
    pub(crate) fn bias(&self, mode: &Mode) -> Tensor {
        mode.parameter(&self.bias)
    }

    pub(crate) fn forward_then(&self, x: &Tensor, activation: Activation, mode: &Mode) -> Result<Tensor> {
        Ok(linear(x, &mode.parameter(&self.weight), &mode.parameter(&self.bias), activation, mode, &self.site)?)
    }
}
