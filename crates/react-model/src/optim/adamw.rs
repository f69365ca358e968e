//! AdamW with its state in the open.
//!
//! ```text
//! m ← β₁m + (1 − β₁)g      v ← β₂v + (1 − β₂)g²
//! θ ← θ − lr·λ·θ − lr·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
//! ```
//!
//! Loshchilov, Hutter, "Decoupled weight decay regularization", 2019; as PyTorch's `AdamW`.

use super::Gradients;
use super::card::OnCard;
use crate::{ModelError, Params, Result};
use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Tensor};
use std::collections::BTreeMap;

/// Settings of [`AdamW`].
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdamWConfig {
    /// lr, where a step is not given another.
    pub learning_rate: f64,
    /// β₁.
    pub beta1: f64,
    /// β₂.
    pub beta2: f64,
    /// ε.
    pub epsilon: f64,
    /// λ.
    pub weight_decay: f64,
    /// Whether λ is for every parameter, as published, or only for matrices and kernels: then biases, the scales of norms and the
    /// learned tokens, all of them vectors, do not decay.
    pub decay_biases_and_norms: bool,
}

impl Default for AdamWConfig {
    /// As published.
    fn default() -> Self {
        Self { learning_rate: 1e-5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 5e-4, decay_biases_and_norms: true }
    }
}

impl AdamWConfig {
    /// λ of a parameter with so many axes.
    pub(super) fn decay_of(&self, rank: usize) -> f64 {
        if self.decay_biases_and_norms || rank > 1 { self.weight_decay } else { 0.0 }
    }
}

/// AdamW. Its moments and its count of steps can be read and set, for files.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    pub(super) steps: u64,
    /// Per parameter m and v, stacked: `[2, n]`.
    pub(super) moments: BTreeMap<String, Tensor>,
    pub(super) card: OnCard,
}

impl AdamW {
    /// An optimizer that has made no step; moments appear, 0, with a parameter's first gradient.
    #[must_use]
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, moments: BTreeMap::new(), card: OnCard::default() }
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &AdamWConfig {
        &self.config
    }

    /// Steps made so far.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// First and second moment of each parameter by name, stacked: `[2, number of elements]`.
    #[must_use]
    pub fn moments(&self) -> &BTreeMap<String, Tensor> {
        &self.moments
    }

    /// Continues where another optimizer stopped. The moments are copied.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a moment does not fit its parameter.
    pub fn restore(&mut self, params: &Params, steps: u64, moments: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut restored = BTreeMap::new();
        for (name, moment) in moments {
            let fits = params.get(name).is_some_and(|p| moment.dims() == [2, p.elem_count()]);
            if !fits {
                return Err(ModelError::Config {
                    field: "moments",
                    what: format!("those of {name}, {:?}, fit no parameter", moment.dims()),
                });
            }
            restored.insert(name.clone(), moment.to_device(params.device())?.copy()?);
        }
        self.steps = steps;
        self.moments = restored;
        self.card = OnCard::default();
        Ok(())
    }

    /// Moves every parameter that has a gradient by one step with this learning rate.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first parameter whose gradient is not finite: then no parameter has moved.
    pub fn step(&mut self, params: &Params, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        self.step_with(params, gradients, |_| learning_rate)
    }

    /// The same with a learning rate for each parameter, by its name.
    ///
    /// # Errors
    /// As [`Self::step`].
    pub fn step_with(&mut self, params: &Params, gradients: &Gradients, learning_rate: impl Fn(&str) -> f64) -> Result<()> {
        if params.device().is_cuda() {
            return self.step_and_look(params, gradients, learning_rate);
        }
        gradients.norm()?;
        self.steps += 1;
        let (config, t) = (self.config, self.steps as f64);
        let (correction1, correction2) = (1.0 - config.beta1.powf(t), 1.0 - config.beta2.powf(t));
        for (name, var) in params.all() {
            let Some(gradient) = gradients.get(&name) else { continue };
            let decay = config.decay_of(var.rank());
            let update = Update { config, learning_rate: learning_rate(&name), decay, correction1, correction2 };
            let (moments, gradient) = match self.moments.get(&name) {
                Some(moments) => (moments, gradient.contiguous()?),
                None => {
                    let zeros = Tensor::zeros((2, var.elem_count()), gradient.dtype(), gradient.device())?;
                    (&*self.moments.entry(name).or_insert(zeros), gradient.contiguous()?)
                }
            };
            moments.inplace_op2(&gradient, &update)?;
            var.inplace_op3(moments, &gradient, &update)?;
        }
        Ok(())
    }
}

/// One step's numbers.
struct Update {
    config: AdamWConfig,
    learning_rate: f64,
    decay: f64,
    correction1: f64,
    correction2: f64,
}

pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::RequiresContiguous { op: "optimizer" }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

pub(super) fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => candle_core::bail!("optimizer: parameters must be contiguous f32"),
    }
}

/// The moments from the gradient.
impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "adamw-moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        moments_layout: &Layout,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<()> {
        let gradient = floats(gradient, layout)?;
        let (first, second) = floats_mut(moments, moments_layout)?.split_at_mut(gradient.len());
        let (b1, b2) = (self.config.beta1 as f32, self.config.beta2 as f32);
        let (rest1, rest2) = ((1.0 - self.config.beta1) as f32, (1.0 - self.config.beta2) as f32);
        for ((m, v), g) in first.iter_mut().zip(second).zip(gradient) {
            *m = b1 * *m + rest1 * g;
            *v = b2 * *v + rest2 * g * g;
        }
        Ok(())
    }
}

/// The parameter from the moments.
impl InplaceOp3 for Update {
    fn name(&self) -> &'static str {
        "adamw-step"
    }

    fn cpu_fwd(
        &self,
        p: &mut CpuStorage,
        lp: &Layout,
        moments: &CpuStorage,
        lm: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<()> {
        let p = floats_mut(p, lp)?;
        let (first, second) = floats(moments, lm)?.split_at(p.len());
        let keep = (1.0 - self.learning_rate * self.decay) as f32;
        let size = (self.learning_rate / self.correction1) as f32;
        let (inverse_root, epsilon) = ((1.0 / self.correction2.sqrt()) as f32, self.config.epsilon as f32);
        for ((p, m), v) in p.iter_mut().zip(first).zip(second) {
            *p = *p * keep - size * m / (v.sqrt() * inverse_root + epsilon);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Init;

    /// Two steps computed by hand: θ = 1, g = 0.5 then −1, lr 0.1, λ 0.5.
    #[test]
    fn two_steps_by_hand() {
        let params = Params::new(0);
        let w = params.root().get("w", &[1], Init::Ones).unwrap();
        let mut adam = AdamW::new(AdamWConfig { learning_rate: 0.1, weight_decay: 0.5, ..AdamWConfig::default() });
        let mut value = 1.0f64;
        let (mut m, mut v) = (0.0f64, 0.0f64);
        for (t, g) in [(1, 0.5f64), (2, -1.0)] {
            let gradients = Gradients::collect(&params, &(&w * g).unwrap().sum_all().unwrap().backward().unwrap());
            adam.step(&params, &gradients, 0.1).unwrap();
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            value -= 0.1 * 0.5 * value;
            value -= 0.1 * (m / (1.0 - 0.9f64.powi(t))) / ((v / (1.0 - 0.999f64.powi(t))).sqrt() + 1e-8);
            let found = f64::from(w.to_vec1::<f32>().unwrap()[0]);
            assert!((found - value).abs() < 1e-6, "step {t}: {found}, {value}");
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_names_its_parameter_and_moves_nothing() {
        let params = Params::new(0);
        let a = params.root().get("a", &[1], Init::Ones).unwrap();
        let b = params.root().at("fc").get("bias", &[1], Init::Ones).unwrap();
        let loss = ((&a * 2.0).unwrap() + (&b * f64::INFINITY).unwrap()).unwrap().sum_all().unwrap();
        let gradients = Gradients::collect(&params, &loss.backward().unwrap());
        let error = AdamW::new(AdamWConfig::default()).step(&params, &gradients, 0.1).unwrap_err();
        assert_eq!(error.to_string(), "gradient of fc.bias is not finite");
        assert_eq!(a.to_vec1::<f32>().unwrap(), [1.0]);
    }

    #[test]
    fn vectors_need_not_decay() {
        for (all, want) in [(true, [0.5, 0.5]), (false, [1.0, 0.5])] {
            let params = Params::new(0);
            let bias = params.root().get("bias", &[1], Init::Ones).unwrap();
            let weight = params.root().get("weight", &[1, 1], Init::Ones).unwrap();
            let loss = ((&bias * 1e-30).unwrap().sum_all().unwrap() + (&weight * 1e-30).unwrap().sum_all().unwrap()).unwrap();
            let config = AdamWConfig { weight_decay: 0.5, decay_biases_and_norms: all, ..AdamWConfig::default() };
            AdamW::new(config).step(&params, &Gradients::collect(&params, &loss.backward().unwrap()), 1.0).unwrap();
            let found = [&bias, &weight].map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0]);
            assert_eq!(found, want);
        }
    }
}
