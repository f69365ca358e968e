//! Gradients by name, and AdamW with its state in the open.
//!
//! ```text
//! m ← β₁m + (1 − β₁)g      v ← β₂v + (1 − β₂)g²
//! θ ← θ − lr·λ·θ − lr·(m/(1 − β₁ᵗ)) / (√(v/(1 − β₂ᵗ)) + ε)
//! ```
//!
//! Loshchilov, Hutter, "Decoupled weight decay regularization", 2019; as PyTorch's `AdamW`. Each parameter depends on its own
//! gradient only, and norms are summed in the order of the names, so that a step is the same on any number of threads.

use crate::{ModelError, Params, Result};
use candle_core::{CpuStorage, InplaceOp2, InplaceOp3, Layout, Tensor, backprop::GradStore};
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
}

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
    /// λ, on every parameter.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    /// As published.
    fn default() -> Self {
        Self { learning_rate: 1e-5, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 5e-4 }
    }
}

/// AdamW. Its moments and its count of steps can be read and set, for files.
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    steps: u64,
    /// Per parameter m and v, stacked: `[2, n]`.
    moments: BTreeMap<String, Tensor>,
}

impl AdamW {
    /// An optimizer that has made no step; moments appear, 0, with a parameter's first gradient.
    #[must_use]
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, moments: BTreeMap::new() }
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
            restored.insert(name.clone(), moment.copy()?);
        }
        self.steps = steps;
        self.moments = restored;
        Ok(())
    }

    /// Moves every parameter that has a gradient by one step with this learning rate.
    ///
    /// # Errors
    /// [`ModelError::NotFinite`] with the first parameter whose gradient is not finite: then no parameter has moved.
    pub fn step(&mut self, params: &Params, gradients: &Gradients, learning_rate: f64) -> Result<()> {
        gradients.norm()?;
        self.steps += 1;
        let (config, t) = (self.config, self.steps as f64);
        let update = Update { config, learning_rate, correction1: 1.0 - config.beta1.powf(t), correction2: 1.0 - config.beta2.powf(t) };
        for (name, var) in params.all() {
            let Some(gradient) = gradients.get(&name) else { continue };
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
    correction1: f64,
    correction2: f64,
}

fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::RequiresContiguous { op: "adamw" }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

fn floats_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> candle_core::Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => candle_core::bail!("adamw: parameters must be contiguous f32"),
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
        let keep = (1.0 - self.learning_rate * self.config.weight_decay) as f32;
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
}
