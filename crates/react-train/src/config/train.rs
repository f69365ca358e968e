use crate::train::Plan;
use anyhow::{Result, bail, ensure};
use serde::{Deserialize, Serialize};

/// The training.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Passes over the mirrored training pairs.
    pub epochs: u32,
    /// Clips in a batch.
    pub batch: usize,
    /// Batches whose gradients are averaged for one step; the last step of an epoch takes what is left.
    #[serde(default = "one")]
    pub accumulate: usize,
    /// Frames of each random crop.
    pub clip_frames: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Whether everything decays, as published, or only matrices and kernels.
    #[serde(default = "yes")]
    pub decay_biases_and_norms: bool,
    /// How the learning rate goes on after the warm-up.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// With the schedule `step`: epochs after which the learning rate falls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<u32>,
    /// With the schedule `step`: what it is multiplied by.
    #[serde(default = "tenth")]
    pub gamma: f64,
    /// Largest global norm of the gradient; without it no clipping, as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_gradient: Option<f64>,
    /// Decay of the moving average of the weights, which is then what is validated and kept as best; without it no average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ema: Option<f64>,
    /// Weight of the KL divergence.
    pub kl_p: f64,
    /// Weight of the diversity term.
    pub div_p: f64,
    /// Epochs between validations.
    pub validate_every: u32,
    /// Validations without a new best after which the training ends; without it, it never ends early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u32>,
    /// Steps between two checkpoints `last`, of which there is one after each epoch too: what a kill can cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_every_steps: Option<u64>,
    /// Epochs between checkpoints that are kept for good; without it only `best` and `last` are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_every: Option<u32>,
    /// Whether TensorBoard's events are written beside `metrics.jsonl`.
    #[serde(default)]
    pub tensorboard: bool,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

fn tenth() -> f64 {
    0.1
}

/// Half a cosine from 1 after the warm-up to 0 after the last of `steps`.
pub(crate) fn cosine(step: u64, warmup: u64, steps: u64) -> f64 {
    let gone = step.saturating_sub(warmup) as f64 / steps.saturating_sub(warmup).max(1) as f64;
    0.5 * (1.0 + (std::f64::consts::PI * gone.min(1.0)).cos())
}

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// As published.
    #[default]
    Constant,
    /// Half a cosine, to 0 at the last step.
    Cosine,
    /// Times `gamma` after each of the `milestones`.
    Step,
}

impl Train {
    /// The learning rate of a step (0-based).
    #[must_use]
    pub fn learning_rate_at(&self, step: u64, plan: &Plan) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => self.learning_rate * cosine(step, self.warmup_steps, plan.steps()),
            Schedule::Step => {
                let passed = self.milestones.iter().filter(|epoch| u64::from(**epoch) <= step / plan.steps_per_epoch()).count();
                self.learning_rate * (0..passed).fold(1.0, |factor, _| factor * self.gamma)
            }
        }
    }

    /// The same without what changes no number of the training: how often it is saved, and what else is written.
    #[must_use]
    pub fn without_housekeeping(&self) -> Self {
        Self { save_every_steps: None, keep_every: None, tensorboard: false, ..self.clone() }
    }

    pub(super) fn check(&self) -> Result<()> {
        let least = [
            ("epochs", u64::from(self.epochs), 1),
            ("batch", self.batch as u64, 1),
            ("accumulate", self.accumulate as u64, 1),
            ("clip_frames", self.clip_frames as u64, 2),
            ("validate_every", u64::from(self.validate_every), 1),
            ("patience", self.patience.map_or(1, u64::from), 1),
            ("save_every_steps", self.save_every_steps.unwrap_or(1), 1),
            ("keep_every", self.keep_every.map_or(1, u64::from), 1),
        ];
        for (key, value, least) in least {
            ensure!(value >= least, "train.{key} must be at least {least}, is {value}");
        }
        let positive = [("learning_rate", self.learning_rate), ("gamma", self.gamma), ("clip_gradient", self.clip_gradient.unwrap_or(1.0))];
        for (key, value) in positive {
            ensure!(value > 0.0 && value.is_finite(), "train.{key} must be above 0, is {value}");
        }
        for (key, value) in [("weight_decay", self.weight_decay), ("kl_p", self.kl_p), ("div_p", self.div_p)] {
            ensure!(value >= 0.0 && value.is_finite(), "train.{key} must be 0 or more, is {value}");
        }
        if let Some(decay) = self.ema.filter(|decay| !(0.0..1.0).contains(decay)) {
            bail!("train.ema must be from 0 to below 1, is {decay}");
        }
        ensure!(self.milestones.is_sorted(), "train.milestones must ascend");
        ensure!(self.milestones.is_empty() || self.schedule == Schedule::Step, "train.milestones are for train.schedule = \"step\"");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;
    use crate::Config;

    fn demo(set: &[&str]) -> super::Train {
        Config::load("demo", &set.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).unwrap().train
    }

    #[test]
    fn a_cosine_begins_at_the_top_and_ends_at_zero() {
        let train = demo(&["train.warmup_steps=10", "train.learning_rate=1.0", "train.epochs=11"]);
        let plan = Plan::new(&train, 10);
        assert_eq!(train.learning_rate_at(4, &plan), 0.5);
        assert_eq!(train.learning_rate_at(10, &plan), 1.0);
        assert!((train.learning_rate_at(60, &plan) - 0.5).abs() < 1e-12);
        assert!(train.learning_rate_at(110, &plan).abs() < 1e-12);
    }

    /// As PyTorch's `MultiStepLR`, stepped once an epoch.
    #[test]
    fn steps_fall_after_their_epochs() {
        let train = demo(&[
            "train.schedule=step",
            "train.milestones=[2, 3]",
            "train.gamma=0.5",
            "train.warmup_steps=2",
            "train.learning_rate=1.0",
            "train.epochs=4",
        ]);
        let plan = Plan::new(&train, 3);
        let rates: Vec<_> = (0..12).map(|step| train.learning_rate_at(step, &plan)).collect();
        assert_eq!(rates, [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]);
    }
}
