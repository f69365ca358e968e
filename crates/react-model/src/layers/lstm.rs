use crate::ops::{Activation, FewLayer, few_linear, is_few, linear, lstm, lstm_after};
use crate::tape;
use crate::{Init, Mode, ModelError, Result, Scope};
use candle_core::{DType, Tensor};

/// A long short-term memory of one layer, batch first: PyTorch's `LSTM`.
///
/// ```text
/// [i f g o] = σ, σ, tanh, σ of (W_ih·x_t + b_ih + W_hh·h_{t−1} + b_hh)      c_t = f∘c_{t−1} + i∘g      h_t = o∘tanh(c_t)
/// ```
///
/// The input's part is one product for all frames, the rest one operation for the whole sequence ([`lstm`]).
/// Hochreiter, Schmidhuber, "Long short-term memory", 1997.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::Lstm};
/// let params = Params::new(0);
/// let layer = Lstm::new(1, 1, &params.root())?;
/// for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"] {
///     let p = params.get(name).unwrap();
///     p.set(&p.zeros_like()?)?;
/// }
/// // Every gate is σ(0) = ½ and g = 0: the cell halves, h = ½·tanh(c).
/// let x = Tensor::new(&[[[3f32], [4.0]]], &Cpu)?;
/// let (h0, c0) = (Tensor::new(&[[0f32]], &Cpu)?, Tensor::new(&[[2f32]], &Cpu)?);
/// let y = layer.forward(&x, Some((&h0, &c0)), &Mode::eval())?.to_vec3::<f32>()?;
/// assert!((y[0][0][0] - 0.5 * 1f32.tanh()).abs() < 1e-6 && (y[0][1][0] - 0.5 * 0.5f32.tanh()).abs() < 1e-6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lstm {
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
    width: usize,
    site: String,
}

impl Lstm {
    /// A layer with parameters `weight_ih_l0` `[4h, in]`, `weight_hh_l0` `[4h, h]`, `bias_ih_l0` and `bias_hh_l0` `[4h]` (gates
    /// i, f, g, o), all uniform in ±1/√h.
    ///
    /// # Errors
    /// [`ModelError::Duplicate`].
    pub fn new(inputs: usize, width: usize, scope: &Scope) -> Result<Self> {
        let init = Init::kaiming(width);
        Ok(Self {
            weight_ih: scope.get("weight_ih_l0", &[4 * width, inputs], init)?,
            weight_hh: scope.get("weight_hh_l0", &[4 * width, width], init)?,
            bias_ih: scope.get("bias_ih_l0", &[4 * width], init)?,
            bias_hh: scope.get("bias_hh_l0", &[4 * width], init)?,
            width,
            site: scope.path("lstm"),
        })
    }

    /// x `[b, t, in]`, first h and c `[b, h]` each (zeros without) → h of every frame, `[b, t, h]`. Gradients reach x, the
    /// parameters and the first state.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a state does not fit, Candle's where the input does not.
    pub fn forward(&self, x_btc: &Tensor, state: Option<(&Tensor, &Tensor)>, mode: &Mode) -> Result<Tensor> {
        let (b, h) = (x_btc.dim(0)?, self.width);
        let state = match state {
            None => Tensor::zeros((2, b, h), DType::F32, x_btc.device())?,
            Some((h0, c0)) if h0.dims() == [b, h] && c0.dims() == [b, h] => tape::stack(&[h0, c0])?,
            Some((h0, c0)) => {
                let what = format!("must be [{b}, {h}] each, are {:?} and {:?}", h0.dims(), c0.dims());
                return Err(ModelError::Config { field: "state of an LSTM", what });
            }
        };
        let bias = tape::add(&mode.parameter(&self.bias_ih), &mode.parameter(&self.bias_hh))?;
        let projected = linear(x_btc, &mode.parameter(&self.weight_ih), &bias, Activation::None, mode, &self.site)?;
        Ok(lstm(&projected, &mode.parameter(&self.weight_hh), &state)?)
    }

    /// The same from the frame before, `[b, h]`, as both h and c.
    pub(crate) fn forward_after(&self, x_btc: &Tensor, last_bh: &Tensor, mode: &Mode) -> Result<Tensor> {
        if is_few(x_btc, mode) {
            let [weight, bias, addend] = [&self.weight_ih, &self.bias_ih, &self.bias_hh].map(|p| mode.parameter(p));
            let input = FewLayer { bias: Some(bias), addend: Some(addend), ..FewLayer::of(weight) };
            if let Some(projected) = few_linear(&[x_btc], 0, &[input], None)?.first() {
                return Ok(lstm_after(projected, &mode.parameter(&self.weight_hh), last_bh)?);
            }
        }
        self.forward(x_btc, Some((last_bh, last_bh)), mode)
    }
}
