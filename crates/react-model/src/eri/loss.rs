use crate::{ModelError, Result};
use candle_core::Tensor;
use candle_nn::loss::mse;

/// Under the square root of the correlation, so that constant predictions have a gradient.
const EPSILON: f64 = 1e-8;

/// The loss and its parts, scalars.
#[derive(Clone, Debug)]
pub struct EriLoss {
    /// `mse + λ·(1 − correlation)`.
    pub total: Tensor,
    /// Mean squared error.
    pub mse: Tensor,
    /// Mean over the emotions of Pearson's correlation over the batch.
    pub correlation: Tensor,
}

/// The loss of intensities against their labels, `[b, e]` each: `MSE + λ·(1 − mean_e r_e)`,
/// `r = Σ(x − x̄)(y − ȳ)/√(Σ(x − x̄)²·Σ(y − ȳ)² + 1e-8)` over the batch.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::eri::eri_loss;
/// let label = Tensor::new(&[[0f32], [1.0]], &Cpu)?;
/// let loss = eri_loss(&(&label * 0.5)?, &label, 0.5)?;
/// assert!((loss.correlation.to_scalar::<f32>()? - 1.0).abs() < 1e-4);
/// assert!((loss.total.to_scalar::<f32>()? - 0.125).abs() < 1e-4);
/// # Ok::<(), react_model::ModelError>(())
/// ```
///
/// # Errors
/// [`ModelError::Config`] where the shapes differ.
pub fn eri_loss(intensity: &Tensor, label: &Tensor, lambda: f64) -> Result<EriLoss> {
    if intensity.dims() != label.dims() {
        let what = format!("must be {:?}, are {:?}", intensity.dims(), label.dims());
        return Err(ModelError::Config { field: "labels", what });
    }
    let centred = |x: &Tensor| x.broadcast_sub(&x.mean_keepdim(0)?);
    let (x, y) = (centred(intensity)?, centred(label)?);
    let product = (&x * &y)?.sum(0)?;
    let squares = (x.sqr()?.sum(0)? * y.sqr()?.sum(0)?)?;
    let correlation = (product / (squares + EPSILON)?.sqrt()?)?.mean_all()?;
    let mse = mse(intensity, label)?;
    let total = (&mse + ((1.0 - &correlation)? * lambda)?)?;
    Ok(EriLoss { total, mse, correlation })
}
