//! The state of a training, and how a step changes it.

use super::blame::blame;
use super::checkpoint::{Selection, notes};
use super::plan::Plan;
use crate::config::Config;
use crate::tensors::{DeviceBatch, to_device};
use crate::{Record, Run};
use anyhow::{Context, Result};
use candle_core::Device;
use react_data::{Loader, LoaderConfig, Packed, PackedSplit, Prefetch};
use react_model::loss::{LossValues, LossWeights, loss};
use react_model::optim::{AdamW, AdamWConfig, Ema, Gradients};
use react_model::transvae::{Noise, TransVae};
use react_model::{Mode, ModelError, Params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A training in progress.
pub(super) struct State<'a> {
    pub(super) config: &'a Config,
    pub(super) run: &'a Run,
    pub(super) loader: Loader,
    pub(super) validation: PackedSplit,
    pub(super) fps: f64,
    pub(super) params: Params,
    pub(super) model: TransVae,
    pub(super) adam: AdamW,
    pub(super) average: Option<Average>,
    /// Which weights are the best so far.
    pub(super) selection: Selection,
    /// What the checkpoints carry beside the weights.
    pub(super) notes: BTreeMap<String, String>,
    /// Whether there is anything that the last checkpoint has not.
    pub(super) unsaved: bool,
    plan: Plan,
}

/// The moving average of the weights, and the network that it is.
pub(super) struct Average {
    pub(super) ema: Ema,
    pub(super) model: TransVae,
}

/// What a step came to.
pub(super) struct Step {
    pub(super) record: Record,
    /// Frames that went through the encoder.
    pub(super) frames: usize,
}

impl<'a> State<'a> {
    /// A new training, or the one in the run's last checkpoint.
    pub(super) fn open(config: &'a Config, run: &'a Run) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let train = &config.train;
        let split = Arc::new(packed.split("train")?);
        let mean_face = split.mean_face().to_vec();
        let loader = Loader::new(split, LoaderConfig { batch: train.batch, clip_length: train.clip_frames, seed: config.seed })?;
        let (params, network) = (Params::new(config.seed), config.model.transvae(packed.info().audio_features));
        let average = match train.ema {
            Some(decay) => {
                let params = Params::new(config.seed);
                let model = TransVae::new(network, &params.root())?.with_windows(config.evaluate.windows())?;
                Some(Average { ema: Ema::new(decay, params), model })
            }
            None => None,
        };
        let adam = AdamWConfig {
            weight_decay: train.weight_decay,
            decay_biases_and_norms: train.decay_biases_and_norms,
            ..AdamWConfig::default()
        };
        let mut state = Self {
            plan: Plan::new(train, loader.steps_per_epoch()),
            validation: packed.split(&config.evaluate.split)?,
            fps: packed.info().fps,
            notes: notes(config, &mean_face)?,
            selection: Selection::default(),
            unsaved: false,
            model: TransVae::new(network, &params.root())?,
            adam: AdamW::new(adam),
            config,
            run,
            loader,
            params,
            average,
        };
        state.resume()?;
        let text = config.to_toml()?;
        react_store::write_atomic(&run.config_file(), |file| file.write_all(text.as_bytes()))?;
        Ok(state)
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Steps that have been made.
    pub(super) fn steps(&self) -> u64 {
        self.adam.steps()
    }

    /// Whether nothing is left to do: all steps are made, or validation has not been better for long enough.
    pub(super) fn finished(&self) -> bool {
        let enough = self.config.train.patience.is_some_and(|patience| self.selection.worse_since >= patience);
        !self.validation_due() && (enough || self.steps() >= self.plan.steps())
    }

    /// The batches from here on, the next one made while one is in use: at the published sizes a batch is 154 MB.
    pub(super) fn batches(&self) -> Result<Prefetch> {
        Ok(Prefetch::new(self.loader.clone(), self.plan.batches_from(self.steps()), 1, 1)?)
    }

    /// One optimizer step: the mean gradient of its batches.
    pub(super) fn step(&mut self, batches: &mut Prefetch) -> Result<Step> {
        let (train, step) = (&self.config.train, self.steps());
        let numbers = self.plan.batches(step);
        let count = usize::try_from(numbers.end - numbers.start)?;
        let (mut gradients, mut values, mut frames) = (Gradients::default(), Vec::with_capacity(count), 0);
        for number in numbers {
            let batch = to_device(batches.next().context("the batches ended before the training")??, &Device::Cpu)?;
            frames += batch.speaker_video().batch() * batch.speaker_video().frames();
            let (of_batch, value) = self.gradients(number, &batch).with_context(|| format!("step {step}"))?;
            gradients.add(&of_batch)?;
            values.push(value);
        }
        gradients.divide(count)?;
        let norm = match train.clip_gradient {
            Some(limit) => gradients.clip(limit),
            None => gradients.norm(),
        };
        let gradient_norm = norm.with_context(|| format!("step {step}"))?;
        let learning_rate = train.learning_rate_at(step, &self.plan);
        self.adam.step(&self.params, &gradients, learning_rate)?;
        self.unsaved = true;
        if let Some(average) = &self.average {
            average.ema.update(&self.params, self.adam.steps())?;
        }
        let mean = |term: fn(&LossValues) -> f32| values.iter().map(|value| f64::from(term(value))).sum::<f64>() / count as f64;
        let record = Record::Step {
            step,
            epoch: u32::try_from(step / self.plan.steps_per_epoch())?,
            loss: mean(|value| value.total),
            reconstruction: mean(|value| value.reconstruction),
            kl: mean(|value| value.kl),
            diversity: mean(|value| value.diversity),
            learning_rate,
            gradient_norm,
        };
        Ok(Step { record, frames })
    }

    /// Loss and gradient of a batch. The encoder runs once for both passes; the second, for the diversity term, has no gradient.
    fn gradients(&self, number: u64, batch: &DeviceBatch) -> Result<(Gradients, LossValues)> {
        let (train, seed) = (&self.config.train, self.config.seed);
        let draw = u32::try_from(number).context("more than 2³² batches")?;
        let mode = Mode::train(seed, draw);
        let behaviour = self.model.encode(batch.speaker_video(), batch.speaker_audio(), &mode)?;
        let noise = |pass| Noise::training(seed, draw, pass);
        let reaction = self.model.react(&behaviour, &noise(0), &mode)?;
        let second = self.model.react(&behaviour.detach(), &noise(1), &mode.another_pass(1).without_gradient())?;
        let weights = LossWeights { kl: train.kl_p, diversity: train.div_p };
        let loss = loss(&reaction, &second, batch.listener_emotion(), batch.listener_3dmm(), &weights)?;
        match loss.values() {
            Ok(values) => Ok((Gradients::collect(&self.params, &loss.total.backward()?), values)),
            Err(error @ ModelError::NotFinite { .. }) => {
                let cause = blame(batch, &self.loader, number, &self.params, &behaviour, &reaction)?;
                Err(anyhow::Error::new(error).context(cause))
            }
            Err(error) => Err(error.into()),
        }
    }
}
