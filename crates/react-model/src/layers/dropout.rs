use crate::ops::dropout;
use crate::{Mode, Result};
use candle_core::Tensor;

/// Dropout at a named place: the mask is a function of (seed, step, pass, name, element).
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, layers::LayerDropout};
/// let drop = LayerDropout::new(0.5, "head.2".to_owned());
/// let x = Tensor::ones(1000, DType::F32, &Cpu)?;
/// let y = drop.forward(&x, &Mode::train(1, 0))?.to_vec1::<f32>()?;
/// assert!(y.iter().all(|y| *y == 0.0 || *y == 2.0));
/// assert_eq!(drop.forward(&x, &Mode::eval())?.to_vec1::<f32>()?, vec![1.0; 1000]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LayerDropout {
    p: f32,
    site: String,
}

impl LayerDropout {
    /// Drops with probability `p`.
    #[must_use]
    pub fn new(p: f32, site: String) -> Self {
        Self { p, site }
    }

    /// The same shape, elements dropped and the others scaled by 1/(1 − p); as it is in a pass without dropout.
    ///
    /// # Errors
    /// Candle's.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        Ok(dropout(x, self.p, mode, &self.site)?)
    }
}
