//! An exponential moving average of the weights.
//!
//! ```text
//! θ̄ ← θ̄ + (1 − dₜ)(θ − θ̄)      dₜ = min(d, (1 + t)/(10 + t)) after t steps
//! ```
//!
//! Polyak, Juditsky, "Acceleration of stochastic approximation by averaging", 1992. The decay begins small, as TensorFlow's
//! `ExponentialMovingAverage` does with `num_updates`, so that a short training's average is not its first weights.

use super::adamw::{floats, floats_mut};
use crate::{ModelError, Params, Result};
use candle_core::{CpuStorage, InplaceOp2, Layout};

/// The average of a model's weights. It is itself the weights of a model: of the one that was built on its [`Params`].
///
/// ```
/// use react_model::{Init, Params, optim::Ema};
/// let (params, averaged) = (Params::new(0), Params::new(0));
/// let w = params.root().get("w", &[1], Init::Ones)?;
/// let average = averaged.root().get("w", &[1], Init::Zeros)?; // a model's layer would ask for it
/// let ema = Ema::new(0.999, averaged);
/// ema.update(&params, 1)?; // d = 2/11
/// assert!((average.to_vec1::<f32>()?[0] - 9.0 / 11.0).abs() < 1e-6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    params: Params,
}

impl Ema {
    /// An average that begins with the weights in `params`: those of a second model, made from the same seed.
    #[must_use]
    pub fn new(decay: f64, params: Params) -> Self {
        Self { decay, params }
    }

    /// The averaged weights.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Moves the average towards the weights as they are after `steps` optimizer steps.
    ///
    /// # Errors
    /// [`ModelError::Config`] where the two models have other parameters.
    pub fn update(&self, params: &Params, steps: u64) -> Result<()> {
        let steps = steps as f64;
        let decay = self.decay.min((1.0 + steps) / (10.0 + steps));
        let mut pairs = Vec::new();
        for (name, average) in self.params.all() {
            let weight = params.get(&name).filter(|weight| weight.dims() == average.dims());
            let weight =
                weight.ok_or_else(|| ModelError::Config { field: "ema", what: format!("the model has no {name} like the average's") })?;
            pairs.push((average, weight));
        }
        let rate = (1.0 - decay) as f32;
        if self.params.device().is_cuda() {
            return super::card::average(&pairs, rate);
        }
        for (average, weight) in pairs {
            average.inplace_op2(weight.as_tensor(), &Towards(rate))?;
        }
        Ok(())
    }
}

/// θ̄ + rate·(θ − θ̄).
struct Towards(f32);

impl InplaceOp2 for Towards {
    fn name(&self) -> &'static str {
        "ema"
    }

    fn cpu_fwd(&self, average: &mut CpuStorage, la: &Layout, weight: &CpuStorage, lw: &Layout) -> candle_core::Result<()> {
        for (average, weight) in floats_mut(average, la)?.iter_mut().zip(floats(weight, lw)?) {
            *average += self.0 * (weight - *average);
        }
        Ok(())
    }
}
