use crate::ops::{Conv3dShape, conv3d};
use crate::{Init, Mode, Precision, Result, Scope};
use candle_core::Tensor;

/// Sizes of a [`Conv3d`], axes in the order time, height, width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv3dConfig {
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Taps.
    pub kernel: [usize; 3],
    /// Distances between windows.
    pub stride: [usize; 3],
    /// Zeros on either side.
    pub padding: [usize; 3],
    /// Whether a bias is added.
    pub bias: bool,
}

/// Convolution over time, height and width: PyTorch's `Conv3d` with its weight `[o, c, kt, kh, kw]`, on clips channels last.
///
/// `y[t, y, x, o] = b[o] + Σ x[t·st + i − pt, y·sh + j − ph, x·sw + k − pw, c]·w[o, c, i, j, k]`
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::{Conv3d, Conv3dConfig}};
/// let params = Params::new(0);
/// let config = Conv3dConfig { inputs: 1, outputs: 1, kernel: [2, 1, 1], stride: [1; 3], padding: [0; 3], bias: true };
/// let layer = Conv3d::new(config, &params.root())?;
/// params.get("weight").unwrap().set(&Tensor::new(&[-1f32, 1.0], &Cpu)?.reshape((1, 1, 2, 1, 1))?)?;
/// params.get("bias").unwrap().set(&Tensor::new(&[0.5f32], &Cpu)?)?;
/// // Differences of three frames of one pixel.
/// let x = Tensor::new(&[1f32, 4.0, 9.0], &Cpu)?.reshape((1, 3, 1, 1, 1))?;
/// let y = layer.forward(&x, &Mode::eval())?.flatten_all()?.to_vec1::<f32>()?;
/// assert_eq!(y, [3.5, 5.5]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Conv3d {
    weight: Tensor,
    bias: Option<Tensor>,
    shape: Conv3dShape,
}

impl Conv3d {
    /// A layer with parameters `weight` and, if it has one, `bias`, both uniform in ±1/√(inputs·taps).
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(config: Conv3dConfig, scope: &Scope) -> Result<Self> {
        let Conv3dConfig { inputs, outputs, kernel: [kt, kh, kw], stride, padding, bias } = config;
        let init = Init::kaiming(inputs * kt * kh * kw);
        Ok(Self {
            weight: scope.get("weight", &[outputs, inputs, kt, kh, kw], init)?,
            bias: if bias { Some(scope.get("bias", &[outputs], init)?) } else { None },
            shape: Conv3dShape { stride, padding, precision: Precision::F32 },
        })
    }

    /// x `[b, t, h, w, c]`, f32 or bytes → `[b, t', h', w', o]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(|b| mode.parameter(b));
        let shape = Conv3dShape { precision: mode.precision(), ..self.shape };
        Ok(conv3d(x, &mode.parameter(&self.weight), bias.as_ref(), shape)?)
    }
}
