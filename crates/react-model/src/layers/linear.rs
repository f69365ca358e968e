use crate::ops::{Activation, FewLayer, few_linear, is_few, linear};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::{D, Tensor};

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

    /// The result for two tensors side by side, `[…, a]` and `[…, in − a]`.
    pub(crate) fn forward_both(&self, x: [&Tensor; 2], mode: &Mode) -> Result<Tensor> {
        match self.few(&x, 0, self.few_layer(mode), mode)? {
            Some(y) => Ok(y),
            None => self.forward(&tape::cat(&x, x[0].rank() - 1)?, mode),
        }
    }

    /// What the first inputs alone make, with the bias: `[…, n]` → `[…, out]`.
    pub(crate) fn forward_first(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        match self.few(&[x], 0, self.few_layer(mode), mode)? {
            Some(y) => Ok(y),
            None => Ok(tape::add(&self.forward_inputs(x, 0, mode)?, &mode.parameter(&self.bias))?),
        }
    }

    /// What the last inputs, two tensors side by side, add to the result, without the bias: `[…, a]` and `[…, b]` → `[…, out]`; with
    /// `to`, the sum of both.
    pub(crate) fn forward_last(&self, x: [&Tensor; 2], to: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
        let first = self.weight.dim(1)?.saturating_sub(x[0].dim(D::Minus1)? + x[1].dim(D::Minus1)?);
        let layer = FewLayer { addend: to.cloned(), ..FewLayer::of(mode.parameter(&self.weight)) };
        if let Some(y) = self.few(&x, first, layer, mode)? {
            return Ok(y);
        }
        let part = self.forward_inputs(&tape::cat(&x, x[0].rank() - 1)?, first, mode)?;
        match to {
            Some(to) => Ok(tape::add(to, &part)?),
            None => Ok(part),
        }
    }

    /// What some of the inputs, from `first` on, add to the result, without the bias: `[…, n]` → `[…, out]`.
    fn forward_inputs(&self, x: &Tensor, first: usize, mode: &Mode) -> Result<Tensor> {
        let weight = tape::part(&mode.parameter(&self.weight), 1, first, x.dim(D::Minus1)?)?;
        Ok(linear(x, &weight, &self.bias.zeros_like()?.detach(), Activation::None, mode, &self.site)?)
    }

    /// One launch, where rows are few.
    fn few(&self, x: &[&Tensor], first: usize, layer: FewLayer, mode: &Mode) -> Result<Option<Tensor>> {
        if !x.iter().all(|x| is_few(x, mode)) {
            return Ok(None);
        }
        Ok(few_linear(x, first, &[layer], None)?.pop())
    }

    /// Weight and bias.
    pub(super) fn parameters(&self, mode: &Mode) -> [Tensor; 2] {
        [&self.weight, &self.bias].map(|p| mode.parameter(p))
    }

    /// As one of several layers of the same few rows.
    pub(super) fn few_layer(&self, mode: &Mode) -> FewLayer {
        FewLayer { bias: Some(mode.parameter(&self.bias)), ..FewLayer::of(mode.parameter(&self.weight)) }
    }

    pub(crate) fn forward_then(&self, x: &Tensor, activation: Activation, mode: &Mode) -> Result<Tensor> {
        Ok(linear(x, &mode.parameter(&self.weight), &mode.parameter(&self.bias), activation, mode, &self.site)?)
    }
}
