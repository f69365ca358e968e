use super::LayerDropout;
use crate::ops::{Activation, linear};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;

/// Taps of a temporal convolution.
const KERNEL: usize = 3;

/// A causal, dilated convolution over time with weight norm, `weight = g·v/‖v‖`: PyTorch's `weight_norm(Conv1d)` on `[b, t, c]`.
///
/// Salimans, Kingma, "Weight Normalization", 2016.
#[derive(Clone, Debug)]
struct CausalConv {
    weight_g: Tensor,
    weight_v: Tensor,
    bias: Tensor,
    dilation: usize,
    site: String,
}

impl CausalConv {
    fn new(inputs: usize, outputs: usize, dilation: usize, scope: &Scope) -> Result<Self> {
        let init = Init::kaiming(inputs * KERNEL);
        let weight_v = scope.get("weight_v", &[outputs, inputs, KERNEL], init)?;
        let norms = norm(&weight_v)?.to_vec1::<f32>()?;
        // As PyTorch begins: the product is v itself.
        let weight_g = scope.get_from("weight_g", &[outputs, 1, 1], norms)?;
        Ok(Self { weight_g, weight_v, bias: scope.get("bias", &[outputs], init)?, dilation, site: scope.path("conv") })
    }

    /// y_t = relu(Σ_j W_j x_{t − (2 − j)·dilation} + b), zeros before the first frame.
    fn forward(&self, x_btc: &Tensor, mode: &Mode) -> Result<Tensor> {
        let (v, g) = (mode.parameter(&self.weight_v), mode.parameter(&self.weight_g));
        let (frames, weight) = (x_btc.dim(1)?, weight_norm(&v, &g)?);
        let padded = tape::pad(x_btc, 1, (KERNEL - 1) * self.dilation, 0)?;
        let taps = (0..KERNEL).map(|j| tape::narrow(&padded, 1, j * self.dilation, frames)).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(linear(&tape::cat(&taps, 2)?, &weight, &mode.parameter(&self.bias), Activation::RELU, mode, &self.site)?)
    }
}

/// g·v/‖v‖ of v `[o, i, KERNEL]` and g `[o, 1, 1]`, as a linear layer of the taps side by side sees it: `[o, KERNEL·i]`.
fn weight_norm(v: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (outputs, inputs, _) = v.dims3()?;
    let norm = norm(v)?;
    let scale = (g.reshape(outputs)? / &norm)?.reshape((outputs, 1, 1))?;
    let weight = v.broadcast_mul(&scale)?.transpose(1, 2)?.reshape((outputs, KERNEL * inputs))?;
    let [value, norm, scale] = [v, &norm, &scale].map(Tensor::detach);
    // dg = Σ dw·v/‖v‖; dv = g/‖v‖·(dw − dg·v/‖v‖).
    tape::record(&weight, &[v, g], move |dw| {
        let dw = dw.reshape((outputs, KERNEL, inputs))?.transpose(1, 2)?;
        let unit = value.broadcast_div(&norm.reshape((outputs, 1, 1))?)?;
        let dg = (&dw * &unit)?.flatten_from(1)?.sum_keepdim(1)?.unsqueeze(2)?;
        Ok(vec![Some((dw - unit.broadcast_mul(&dg)?)?.broadcast_mul(&scale)?), Some(dg)])
    });
    Ok(weight)
}

/// ‖v‖ of each output, `[o]`.
fn norm(v: &Tensor) -> candle_core::Result<Tensor> {
    v.sqr()?.flatten_from(1)?.sum(1)?.sqrt()
}

/// A block of a temporal convolutional network: `ReLU(x + drop(relu(conv₂(drop(relu(conv₁(x)))))))`, both convolutions causal, of
/// kernel 3 and weight-normed.
///
/// Bai, Kolter, Koltun, "An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence Modeling", 2018.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::TcnBlock};
/// let block = TcnBlock::new(8, 2, 0.2, &Params::new(0).root())?;
/// let x = Tensor::ones((1, 9, 8), DType::F32, &Cpu)?;
/// let y = block.forward(&x, &Mode::eval())?;
/// assert_eq!(y.dims(), [1, 9, 8]);
/// // Causal: the first frames do not depend on what follows.
/// let first = block.forward(&x.narrow(1, 0, 3)?, &Mode::eval())?;
/// assert_eq!(y.narrow(1, 0, 3)?.to_vec3::<f32>()?, first.to_vec3::<f32>()?);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TcnBlock {
    convs: [CausalConv; 2],
    dropouts: [LayerDropout; 2],
}

impl TcnBlock {
    /// A block with parameters `conv1` and `conv2` (`weight_g`, `weight_v`, `bias`).
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(width: usize, dilation: usize, dropout: f32, scope: &Scope) -> Result<Self> {
        let conv = |name: &str| CausalConv::new(width, width, dilation, &scope.at(name));
        let drop = |name: &str| LayerDropout::new(dropout, scope.path(name));
        Ok(Self { convs: [conv("conv1")?, conv("conv2")?], dropouts: [drop("dropout1"), drop("dropout2")] })
    }

    /// `[b, t, c]` → `[b, t, c]`; frame i sees frames 0..=i.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut y = x.clone();
        for (conv, dropout) in self.convs.iter().zip(&self.dropouts) {
            y = dropout.forward(&conv.forward(&y, mode)?, mode)?;
        }
        relu(&tape::add(x, &y)?)
    }
}

/// ReLU with the gradient 0 at 0, as in PyTorch (Candle's own is 1 there, and zero padding meets it).
fn relu(x: &Tensor) -> Result<Tensor> {
    let mask = x.detach().gt(0f32)?.to_dtype(x.dtype())?;
    Ok(tape::mul(x, &mask)?)
}
