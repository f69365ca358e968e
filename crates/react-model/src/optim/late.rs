//! Steps that nobody waits for.

use super::{AdamW, Gradients};
use crate::{ModelError, Params, Result};
use candle_core::{Device, Tensor};

impl AdamW {
    /// [`Self::step_with`] with clipping to a norm of `clip`, without looking at a number: the gradient's norm before clipping and
    /// whether it was finite are a tensor, for [`Self::norm_of`] when it has come ([`crate::device::Readback`]). Where a gradient is
    /// not finite no parameter moves; on a card neither in any later step, so that what was queued since does no harm. It counts as a
    /// step: that it was none is only known later.
    ///
    /// # Errors
    /// Candle's.
    pub fn step_late(
        &mut self,
        params: &Params,
        gradients: &mut Gradients,
        learning_rate: impl Fn(&str) -> f64,
        clip: Option<f64>,
    ) -> Result<Tensor> {
        if params.device().is_cuda() {
            return self.step_on_card(params, gradients, learning_rate, clip);
        }
        let norm = match clip {
            Some(limit) => gradients.clip(limit),
            None => gradients.norm(),
        };
        let said = match norm {
            Ok(norm) => {
                self.step_with(params, gradients, learning_rate)?;
                [norm as f32, 0.0]
            }
            Err(ModelError::NotFinite { name, .. }) => {
                self.steps += 1;
                let place = params.all().iter().position(|(other, _)| *other == name);
                [f32::INFINITY, place.unwrap_or(0) as f32 + 1.0]
            }
            Err(error) => return Err(error),
        };
        Ok(Tensor::new(&said, &Device::Cpu)?)
    }

    /// The norm that [`Self::step_late`] told in a tensor's numbers.
    ///
    /// ```
    /// use react_model::{Init, Params, optim::{AdamW, AdamWConfig, Gradients}};
    /// let params = Params::new(0);
    /// let w = params.root().get("w", &[2], Init::Ones)?;
    /// let mut gradients = Gradients::collect(&params, &(w * 3.0)?.sum_all()?.backward()?);
    /// let mut adam = AdamW::new(AdamWConfig::default());
    /// let said = adam.step_late(&params, &mut gradients, |_| 1e-3, None)?;
    /// assert!((AdamW::norm_of(&params, &said.to_vec1()?)? - 18f64.sqrt()).abs() < 1e-6);
    /// # Ok::<(), react_model::ModelError>(())
    /// ```
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first parameter whose gradient was not finite.
    pub fn norm_of(params: &Params, said: &[f32]) -> Result<f64> {
        let [norm, place] = *said else {
            return Err(ModelError::Config { field: "norm", what: format!("must be two numbers, are {}", said.len()) });
        };
        if place == 0.0 {
            return Ok(f64::from(norm));
        }
        let names = params.all();
        let name = names.get(place as usize - 1).map_or_else(String::new, |(name, _)| name.clone());
        Err(ModelError::NotFinite { what: "gradient", name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Init;
    use crate::optim::AdamWConfig;

    #[test]
    fn a_gradient_that_is_not_finite_is_named_later_and_moves_nothing() {
        let params = Params::new(0);
        let a = params.root().get("a", &[1], Init::Ones).unwrap();
        let b = params.root().at("fc").get("bias", &[1], Init::Ones).unwrap();
        let loss = ((&a * 2.0).unwrap() + (&b * f64::INFINITY).unwrap()).unwrap().sum_all().unwrap();
        let mut gradients = Gradients::collect(&params, &loss.backward().unwrap());
        let mut adam = AdamW::new(AdamWConfig::default());
        let said = adam.step_late(&params, &mut gradients, |_| 0.1, Some(1.0)).unwrap();
        assert_eq!(a.to_vec1::<f32>().unwrap(), [1.0]);
        let error = AdamW::norm_of(&params, &said.to_vec1().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "gradient of fc.bias is not finite");
    }
}
