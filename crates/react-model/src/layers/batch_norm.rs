use crate::gpu::{conv_norm::running_statistics, is_gpu, run_op};
use crate::ops::{ChannelStatistics, ConvNormShape, conv_norm};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::{Tensor, Var};

/// Share of a batch's statistics in the running ones.
const MOMENTUM: f32 = 0.1;

/// BatchNorm of a convolution's result, eps 1e-5, with weight and bias: PyTorch's `BatchNorm2d` on channels-last pictures.
///
/// In a pass with gradients it normalises by the batch's own statistics, and moves the running ones a tenth of the way towards them
/// (the variance with n − 1, as PyTorch); in a pass without, by the running ones.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, Precision, layers::BatchNorm, ops::{ConvNormShape, Then}};
/// let params = Params::new(0);
/// let norm = BatchNorm::new(1, &params.root())?;
/// let x = Tensor::new(&[1f32, 3.0], &Cpu)?.reshape((2, 1, 1, 1))?;
/// let one = Tensor::ones((1, 1, 1, 1), candle_core::DType::F32, &Cpu)?;
/// let shape = ConvNormShape { stride: 1, padding: 0, then: Then::Nothing, precision: Precision::F32 };
/// let y = norm.of_conv(&x, &one, None, shape, &Mode::train(0, 0))?.flatten_all()?.to_vec1::<f32>()?;
/// assert!((y[0] + 1.0).abs() < 1e-4 && (y[1] - 1.0).abs() < 1e-4);
/// // 0.9·0 + 0.1·2 and 0.9·1 + 0.1·2.
/// let running = |name| params.buffer(name).unwrap().to_vec1::<f32>();
/// assert!((running("running_mean")?[0] - 0.2).abs() < 1e-6 && (running("running_var")?[0] - 1.1).abs() < 1e-6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    mean: Var,
    variance: Var,
}

impl BatchNorm {
    /// A layer with parameters `weight`, 1, and `bias`, 0, and buffers `running_mean`, 0, and `running_var`, 1.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(width: usize, scope: &Scope) -> Result<Self> {
        Ok(Self {
            weight: scope.get("weight", &[width], Init::Ones)?,
            bias: scope.get("bias", &[width], Init::Zeros)?,
            mean: scope.buffer("running_mean", &[width], Init::Zeros)?,
            variance: scope.buffer("running_var", &[width], Init::Ones)?,
        })
    }

    /// The norm of x ∗ weight, with what follows: [`conv_norm`].
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn of_conv(
        &self,
        x_nhwc: &Tensor,
        weight: &Tensor,
        residual: Option<&Tensor>,
        shape: ConvNormShape,
        mode: &Mode,
    ) -> Result<Tensor> {
        let affine = tape::stack(&[&mode.parameter(&self.weight), &mode.parameter(&self.bias)])?;
        let running = || ChannelStatistics { mean: self.mean.detach(), variance: self.variance.detach(), rows: None };
        let known = if mode.has_gradient() { None } else { Some(running()) };
        let learns = known.is_none();
        let (y, statistics) = conv_norm(x_nhwc, weight, &affine, residual, known, shape)?;
        if learns {
            self.learn(&statistics)?;
        }
        Ok(y)
    }

    fn learn(&self, batch: &ChannelStatistics) -> Result<()> {
        let rows = batch.rows.unwrap_or(1) as f32;
        let unbiased = rows / (rows - 1.0).max(1.0);
        if is_gpu(&self.mean) {
            // In place: the host does not wait for the batch.
            let plan = running_statistics(self.mean.elem_count(), MOMENTUM, unbiased);
            run_op(&plan, self.mean.device(), &[&self.mean, &self.variance, &batch.mean, &batch.variance])?;
            return Ok(());
        }
        for (running, batch, factor) in [(&self.mean, &batch.mean, 1.0), (&self.variance, &batch.variance, unbiased)] {
            let (kept, batch) = (running.to_vec1::<f32>()?, batch.to_vec1::<f32>()?);
            let next: Vec<f32> = kept.iter().zip(&batch).map(|(r, b)| (1.0 - MOMENTUM) * r + MOMENTUM * factor * b).collect();
            running.set(&Tensor::from_vec(next, running.dims(), running.device())?)?;
        }
        Ok(())
    }
}
