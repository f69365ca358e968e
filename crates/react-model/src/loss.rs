//! The published training loss.
//!
//! ```text
//! total = reconstruction + kl_p·KL + div_p·diversity
//! reconstruction = MSE(emotion) + MSE(coeffs[0..52]) + 10·MSE(coeffs[52..58])
//! KL             = mean over latent calls, batch and channels of KL(N(mu, std) ‖ N(0, 1))
//! diversity      = mean_b exp(−‖C₁ − C₂‖²/100) + mean_b exp(−‖E₁ − E₂‖²/100)        over time and channels together
//! ```
//!
//! C₂ and E₂ come from a second pass without gradient: everything after the behaviour feature again, with new draws.

use crate::transvae::Reaction;
use crate::{ModelError, Result};
use candle_core::Tensor;
use candle_nn::loss::mse;
use react_contracts::channels::COEFF_EXPRESSION;
use react_contracts::{COEFFS, Coeffs3dmm, ContractError, Emotion};

/// Weights of the terms.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LossWeights {
    /// kl_p.
    pub kl: f64,
    /// div_p.
    pub diversity: f64,
}

impl Default for LossWeights {
    /// As published.
    fn default() -> Self {
        Self { kl: 1e-5, diversity: 10.0 }
    }
}

/// The loss and its terms, scalars. Only `total` is meant for a backward pass.
#[derive(Clone, Debug)]
pub struct Loss {
    /// The weighted sum.
    pub total: Tensor,
    /// Distance from the listener's reaction.
    pub reconstruction: Tensor,
    /// KL divergence from the standard normal distribution.
    pub kl: Tensor,
    /// Nearness of two samples.
    pub diversity: Tensor,
}

/// The terms as numbers.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct LossValues {
    /// The weighted sum.
    pub total: f32,
    /// Distance from the listener's reaction.
    pub reconstruction: f32,
    /// KL divergence from the standard normal distribution.
    pub kl: f32,
    /// Nearness of two samples.
    pub diversity: f32,
}

impl Loss {
    /// The terms as numbers.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first term that is not.
    pub fn values(&self) -> Result<LossValues> {
        let mut values = [0.0; 4];
        for (value, tensor) in values.iter_mut().zip(self.terms()) {
            *value = tensor.to_scalar::<f32>()?;
        }
        LossValues::of(&values)
    }

    /// Reconstruction, KL divergence, diversity and the weighted sum, in the order of [`LossValues::of`].
    #[must_use]
    pub fn terms(&self) -> [&Tensor; 4] {
        [&self.reconstruction, &self.kl, &self.diversity, &self.total]
    }
}

impl LossValues {
    /// The numbers of [`Loss::terms`].
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first term that is not, [`ModelError::Config`] where they are not four.
    pub fn of(terms: &[f32]) -> Result<Self> {
        let [reconstruction, kl, diversity, total] = *terms else {
            return Err(ModelError::Config { field: "loss", what: format!("must be four numbers, are {}", terms.len()) });
        };
        let names = ["reconstruction", "kl", "diversity", "total"];
        match names.into_iter().zip(terms).find(|(_, value)| !value.is_finite()) {
            Some((name, _)) => Err(ModelError::NotFinite { what: "loss", name: name.to_owned() }),
            None => Ok(Self { total, reconstruction, kl, diversity }),
        }
    }
}

/// The loss of `reaction` against the listener's true reaction; `other` is the second pass, which gets no gradient.
///
/// # Errors
/// Where batch or frames do not agree.
pub fn loss(
    reaction: &Reaction,
    other: &Reaction,
    emotion: &Emotion<Tensor>,
    coeffs: &Coeffs3dmm<Tensor>,
    weights: &LossWeights,
) -> Result<Loss> {
    agree("listener_emotion", reaction.emotion.get(), emotion.get())?;
    agree("listener_3dmm", reaction.coeffs.get(), coeffs.get())?;
    agree("second pass", reaction.emotion.get(), other.emotion.get())?;
    let reconstruction = reconstruction(reaction, emotion, coeffs)?;
    let mut kl = Vec::with_capacity(reaction.latents.len());
    for latent in &reaction.latents {
        kl.push(latent.kl()?);
    }
    let kl = Tensor::stack(&kl, 0)?.mean_all()?;
    let nearness = |a: &Tensor, b: &Tensor| -> Result<Tensor> {
        let squares_b = (a - b.detach())?.sqr()?.sum((1, 2))?;
        Ok((squares_b * (-1.0 / 100.0))?.exp()?.mean_all()?)
    };
    let diversity = (nearness(reaction.coeffs.get(), other.coeffs.get())? + nearness(reaction.emotion.get(), other.emotion.get())?)?;
    let total = ((&reconstruction + (&kl * weights.kl)?)? + (&diversity * weights.diversity)?)?;
    Ok(Loss { total, reconstruction, kl, diversity })
}

/// The first term alone: what validation compares.
///
/// # Errors
/// Candle's, where shapes differ.
pub fn reconstruction(reaction: &Reaction, emotion: &Emotion<Tensor>, coeffs: &Coeffs3dmm<Tensor>) -> Result<Tensor> {
    let (expression, pose) = (COEFF_EXPRESSION.end, COEFFS - COEFF_EXPRESSION.end);
    let of_coeffs = |first, count| mse(&reaction.coeffs.get().narrow(2, first, count)?, &coeffs.get().narrow(2, first, count)?);
    let of_emotion = mse(reaction.emotion.get(), emotion.get())?;
    Ok(((of_emotion + of_coeffs(0, expression)?)? + (of_coeffs(expression, pose)? * 10.0)?)?)
}

fn agree(field: &str, want: &Tensor, found: &Tensor) -> Result<()> {
    for (axis, name) in [(0, "batch"), (1, "frames")] {
        if want.dim(axis)? != found.dim(axis)? {
            return Err(ContractError::axis(field, axis, name, want.dim(axis)?, found.dim(axis)?).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transvae::Latent;
    use candle_core::Device::Cpu;

    fn reaction(emotion: f32, coeffs: f32) -> Reaction {
        let full = |value: f32, width: usize| Tensor::full(value, (1, 2, width), &Cpu).unwrap();
        let latent = |mu: f32, logvar: f32| {
            let full = |value: f32| Tensor::full(value, (1, 3), &Cpu).unwrap();
            Latent { mu: full(mu), std: full((logvar / 2.0).exp()), logvar: full(logvar) }
        };
        let latents = vec![latent(0.0, 0.0), latent(1.0, 0.5)];
        Reaction { emotion: Emotion::new(full(emotion, 25)).unwrap(), coeffs: Coeffs3dmm::new(full(coeffs, 58)).unwrap(), latents }
    }

    #[test]
    fn terms_of_constant_reactions() {
        let (first, second, target) = (reaction(0.5, 0.1), reaction(0.7, 0.2), reaction(0.0, 0.0));
        let weights = LossWeights { kl: 2.0, diversity: 3.0 };
        let found = loss(&first, &second, &target.emotion, &target.coeffs, &weights).unwrap().values().unwrap();
        let close = |a: f32, b: f64| (f64::from(a) - b).abs() < 1e-5;
        // 0.5² + 0.1² + 10·0.1²
        assert!(close(found.reconstruction, 0.36), "{found:?}");
        // The mean of 0 and (e^0.5 + 1 − 1 − 0.5)/2.
        let kl = (0.5f64.exp() - 0.5) / 4.0;
        assert!(close(found.kl, kl), "{found:?}");
        let diversity = (-2.0 * 25.0 * 0.2f64.powi(2) / 100.0).exp() + (-2.0 * 58.0 * 0.1f64.powi(2) / 100.0).exp();
        assert!(close(found.diversity, diversity), "{found:?}");
        assert!(close(found.total, 0.36 + 2.0 * kl + 3.0 * diversity), "{found:?}");
    }

    #[test]
    fn a_term_that_is_not_finite_is_named() {
        let (first, target) = (reaction(f32::NAN, 0.1), reaction(0.0, 0.0));
        let loss = loss(&first, &target, &target.emotion, &target.coeffs, &LossWeights::default()).unwrap();
        assert_eq!(loss.values().unwrap_err().to_string(), "loss of reconstruction is not finite");
    }

    #[test]
    fn targets_of_another_length_are_refused() {
        let first = reaction(0.5, 0.1);
        let long = Emotion::new(Tensor::zeros((1, 3, 25), candle_core::DType::F32, &Cpu).unwrap()).unwrap();
        let error = loss(&first, &first, &long, &first.coeffs, &LossWeights::default()).unwrap_err();
        assert_eq!(error.to_string(), "listener_emotion: axis 1 (frames) must be 2, is 3");
    }
}
