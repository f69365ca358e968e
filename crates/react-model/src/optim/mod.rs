//! Gradients by name, AdamW with its state in the open, and a moving average of the weights.
//!
//! Everything walks over the parameters in the order of their names, and each depends on its own gradient only: a step is the same
//! on any number of threads.

mod adamw;
mod card;
mod ema;
mod late;

pub use crate::tape::Recording;
pub use adamw::{AdamW, AdamWConfig};
pub use ema::Ema;

use crate::{ModelError, Params, Result};
use candle_core::{Tensor, backprop::GradStore};
use std::collections::BTreeMap;

/// The gradient of each parameter that has one, by name.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor>);

impl Gradients {
    /// The gradients of one backward pass. A parameter that the loss does not depend on has none.
    ///
    /// ```
    /// use react_model::{Init, Params, optim::Gradients};
    /// let params = Params::new(0);
    /// let w = params.root().get("w", &[2], Init::Ones)?;
    /// let mut gradients = Gradients::collect(&params, &(w * 3.0)?.sum_all()?.backward()?);
    /// assert!((gradients.norm()? - 18f64.sqrt()).abs() < 1e-6);
    /// gradients.clip(1.0)?; // to a norm of 1
    /// assert!((gradients.norm()? - 1.0).abs() < 1e-6);
    /// # Ok::<(), react_model::ModelError>(())
    /// ```
    #[must_use]
    pub fn collect(params: &Params, store: &GradStore) -> Self {
        Self(params.all().into_iter().filter_map(|(name, var)| store.get(var.as_tensor()).map(|g| (name, g.detach()))).collect())
    }

    /// The gradients of a loss, with what was recorded since before the forward pass, where it was: fewer launches on a card.
    ///
    /// # Errors
    /// Candle's.
    pub fn of(params: &Params, loss: &Tensor, recording: Option<Recording>) -> Result<Self> {
        let Some(recording) = recording else { return Ok(Self::collect(params, &loss.backward()?)) };
        let (store, mut found) = recording.backward(loss)?;
        let mut gradients = Self::collect(params, &store);
        let mut recorded = BTreeMap::new();
        for (name, var) in params.all() {
            recorded.extend(found.take(var.id())?.map(|gradient| (name, gradient.detach())));
        }
        gradients.add(&Self(recorded))?;
        if let Some(rest) = found.rest()? {
            gradients.add(&Self::collect(params, &rest))?;
        }
        Ok(gradients)
    }

    /// The gradient of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, g)| (name.as_str(), g))
    }

    /// √Σ g² over all parameters, summed in f64.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first parameter whose gradient is not finite.
    pub fn norm(&self) -> Result<f64> {
        if self.0.values().any(crate::gpu::is_gpu) {
            return self.norm_on_card();
        }
        let mut total = 0.0;
        for (name, gradient) in &self.0 {
            let values = gradient.flatten_all()?.to_vec1::<f32>()?;
            let squares: f64 = values.iter().map(|g| f64::from(*g) * f64::from(*g)).sum();
            if !squares.is_finite() {
                return Err(ModelError::NotFinite { what: "gradient", name: name.clone() });
            }
            total += squares;
        }
        Ok(total.sqrt())
    }

    /// Scales all gradients so that their common norm is at most `max_norm`; returns the norm before (PyTorch's `clip_grad_norm_`).
    ///
    /// # Errors
    /// As [`Self::norm`]; then nothing has been scaled.
    pub fn clip(&mut self, max_norm: f64) -> Result<f64> {
        let norm = self.norm()?;
        let scale = max_norm / (norm + 1e-6);
        if scale < 1.0 {
            for gradient in self.0.values_mut() {
                *gradient = (&*gradient * scale)?;
            }
        }
        Ok(norm)
    }

    /// Adds the gradients of another backward pass.
    ///
    /// # Errors
    /// Candle's, where shapes differ.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        for (name, gradient) in &other.0 {
            let sum = match self.0.get(name) {
                Some(mine) => (mine + gradient)?,
                None => gradient.clone(),
            };
            self.0.insert(name.clone(), sum);
        }
        Ok(())
    }

    /// Divides all gradients: a sum over `count` passes becomes their mean.
    ///
    /// ```
    /// use react_model::{Init, Params, optim::Gradients};
    /// let params = Params::new(0);
    /// let w = params.root().get("w", &[1], Init::Ones)?;
    /// let of = |slope: f64| Ok::<_, react_model::ModelError>(Gradients::collect(&params, &(&w * slope)?.sum_all()?.backward()?));
    /// let mut gradients = of(1.0)?;
    /// gradients.add(&of(4.0)?)?;
    /// gradients.divide(2)?;
    /// assert_eq!(gradients.norm()?, 2.5);
    /// # Ok::<(), react_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// Candle's.
    pub fn divide(&mut self, count: usize) -> Result<()> {
        if count > 1 {
            for gradient in self.0.values_mut() {
                *gradient = (&*gradient / count as f64)?;
            }
        }
        Ok(())
    }
}
