//! The optimizer on a GPU: all parameters in one launch, and nothing looks at a number until it is asked for.

use super::{AdamW, AdamWConfig, Gradients};
use crate::gpu::optimizer::{self, Constants, Parameter};
use crate::gpu::plan::Plan;
use crate::gpu::run_op;
use crate::{ModelError, Params, Result};
use candle_core::{DType, Tensor, Var};

/// What an optimizer keeps for a card.
#[derive(Debug, Default)]
pub(super) struct OnCard {
    /// u32 `[1]`: 1 + the place of the first parameter whose gradient was not finite. From then on nothing moves.
    stopped: Option<Tensor>,
    /// The step's plan, as long as the same parameters have gradients.
    plan: Option<(Vec<Parameter>, Constants, Plan)>,
}

impl AdamW {
    /// A step's numbers: 1/√(1 − β₂ᵗ), then of each parameter 1 − lr·λ and lr/(1 − β₁ᵗ), from its learning rate and λ.
    pub(crate) fn rates(config: &AdamWConfig, t: u64, parameters: impl Iterator<Item = (f64, f64)>) -> Vec<f32> {
        let t = t as f64;
        let (correction1, correction2) = (1.0 - config.beta1.powf(t), 1.0 - config.beta2.powf(t));
        let of = |(rate, decay): (f64, f64)| [(1.0 - rate * decay) as f32, (rate / correction1) as f32];
        std::iter::once((1.0 / correction2.sqrt()) as f32).chain(parameters.flat_map(of)).collect()
    }

    /// [`Self::step_late`] on a card.
    pub(super) fn step_on_card(
        &mut self,
        params: &Params,
        gradients: &Gradients,
        learning_rate: impl Fn(&str) -> f64,
        clip: Option<f64>,
    ) -> Result<Tensor> {
        let (device, config) = (params.device(), *self.config());
        self.steps += 1;
        let (mut parameters, mut settings, mut arrays) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (name, var)) in params.all().into_iter().enumerate() {
            let Some(gradient) = gradients.get(&name) else { continue };
            parameters.push(Parameter { len: var.elem_count(), place });
            settings.push((learning_rate(&name), config.decay_of(var.rank())));
            let moments = match self.moments.get(&name) {
                Some(moments) => moments.clone(),
                None => {
                    let zeros = Tensor::zeros((2, var.elem_count()), DType::F32, device)?;
                    self.moments.entry(name).or_insert(zeros).clone()
                }
            };
            arrays.extend([gradient.contiguous()?, moments, var.as_tensor().clone()]);
        }
        let rates = Self::rates(&config, self.steps, settings.into_iter());
        let rates = Tensor::from_vec(rates, 1 + 2 * parameters.len(), device)?;
        let stopped = match &self.card.stopped {
            Some(stopped) => stopped.clone(),
            None => self.card.stopped.insert(Tensor::zeros(1, DType::U32, device)?).clone(),
        };
        let AdamWConfig { beta1, beta2, epsilon, .. } = config;
        let constants = Constants { beta1, beta2, epsilon, clip };
        let kept = self.card.plan.take().filter(|(of, with, _)| *of == parameters && *with == constants);
        let plan = kept.map_or_else(|| optimizer::adamw(&parameters, &constants), |(_, _, plan)| plan);
        let inputs: Vec<&Tensor> = [&rates, &stopped].into_iter().chain(&arrays).collect();
        let said = run_op(&plan, device, &inputs)?;
        self.card.plan = Some((parameters, constants, plan));
        one(said)
    }

    /// A step, and a look at what came of it, which waits for the card.
    pub(super) fn step_and_look(&mut self, params: &Params, gradients: &Gradients, learning_rate: impl Fn(&str) -> f64) -> Result<()> {
        let said = self.step_on_card(params, gradients, learning_rate, None)?;
        if let Err(error) = Self::norm_of(params, &said.to_vec1()?) {
            // As if it had not been tried.
            self.steps -= 1;
            self.card.stopped = None;
            return Err(error);
        }
        Ok(())
    }
}

impl Gradients {
    /// [`Self::norm`] on a card: one look for all.
    pub(super) fn norm_on_card(&self) -> Result<f64> {
        let Some(first) = self.0.values().next() else { return Ok(0.0) };
        let parameters: Vec<Parameter> =
            self.0.values().enumerate().map(|(place, gradient)| Parameter { len: gradient.elem_count(), place }).collect();
        let gradients = self.0.values().map(Tensor::contiguous).collect::<candle_core::Result<Vec<_>>>()?;
        let said = run_op(&optimizer::norm(&parameters), first.device(), &gradients.iter().collect::<Vec<_>>())?;
        match *one(said)?.to_vec1::<f32>()?.as_slice() {
            [norm, 0.0] => Ok(f64::from(norm)),
            [_, place] => {
                let name = self.0.keys().nth(place as usize - 1).cloned().unwrap_or_default();
                Err(ModelError::NotFinite { what: "gradient", name })
            }
            _ => Err(candle_core::Error::Msg("a norm of more than two numbers".to_owned()).into()),
        }
    }
}

fn one(outputs: Vec<Tensor>) -> Result<Tensor> {
    outputs.into_iter().next().ok_or_else(|| candle_core::Error::Msg("a plan without an output".to_owned()).into())
}

/// Moves each average by `rate` of its difference from the weight beside it.
pub(super) fn average(pairs: &[(Var, Var)], rate: f32) -> Result<()> {
    let Some((first, _)) = pairs.first() else { return Ok(()) };
    let lens: Vec<usize> = pairs.iter().map(|(average, _)| average.elem_count()).collect();
    let inputs: Vec<&Tensor> = pairs.iter().flat_map(|(average, weight)| [average.as_tensor(), weight.as_tensor()]).collect();
    run_op(&optimizer::ema(&lens, rate), first.device(), &inputs)?;
    Ok(())
}
