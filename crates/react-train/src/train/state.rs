//! The state of a training, and how a step changes it.

use super::batches::Ahead;
use super::blame::blame;
use super::checkpoint::{Selection, notes};
use super::plan::Plan;
use crate::batches::Batches;
use crate::compute::Part;
use crate::config::Config;
use crate::tensors::{DeviceBatch, to_device};
use crate::{Compute, Record, Run};
use anyhow::{Context, Result};
use react_data::{Loader, LoaderConfig, Packed, PackedSplit};
use react_model::device::{Readback, Sent};
use react_model::loss::{Loss, LossValues, LossWeights, loss};
use react_model::optim::{AdamW, AdamWConfig, Ema, Gradients, Recording};
use react_model::transvae::{Behaviour, Noise, Reaction, TransVae};
use react_model::{ModelError, Params};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A training in progress.
pub(super) struct State<'a> {
    pub(super) config: &'a Config,
    pub(super) run: &'a Run,
    pub(super) loader: Loader,
    pub(super) validation: PackedSplit,
    pub(super) fps: f64,
    pub(super) compute: Compute,
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
    readback: Readback,
    /// Whether a step's numbers are looked at when the next one is on its way.
    late: bool,
    pending: Option<Pending>,
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

/// A step that was made, and has not been looked at.
struct Pending {
    step: u64,
    /// The first of its batches.
    first: u64,
    frames: usize,
    learning_rate: f64,
    /// Reconstruction, KL, diversity and total of each batch.
    losses: Vec<Sent>,
    norm: Norm,
}

/// The gradient's norm.
enum Norm {
    Known(f64),
    Sent(Sent),
}

impl<'a> State<'a> {
    /// A new training, or the one in the run's last checkpoint.
    pub(super) fn open(config: &'a Config, run: &'a Run) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let train = &config.train;
        let split = Arc::new(packed.split("train")?);
        let mean_face = split.mean_face().to_vec();
        let loader = Loader::new(split, LoaderConfig { batch: train.batch, clip_length: train.clip_frames, seed: config.seed })?;
        let compute = config.compute()?;
        let (params, network) = (Params::on(config.seed, compute.device()), config.model.transvae(packed.info().audio_features));
        let average = match train.ema {
            Some(decay) => {
                let params = Params::on(config.seed, compute.device());
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
            readback: Readback::new(compute.device()),
            late: compute.is_card(),
            pending: None,
            compute,
            params,
            average,
        };
        state.resume()?;
        if !state.finished() {
            state.compute.record(run.folder(), "train", Part::after(state.steps()))?;
        }
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

    /// The batches from here on, the next ones made while one is in use.
    pub(super) fn batches(&self) -> Result<Batches<Ahead>> {
        Ahead::open(&self.compute, self.loader.clone(), self.plan.batches_from(self.steps()))
    }

    /// One optimizer step: the mean gradient of its batches. Returns the step that was finished: this one, or on a card the one before
    /// it, so that the card never waits for the host to look at a number.
    pub(super) fn step(&mut self, batches: &mut Batches<Ahead>) -> Result<Option<Step>> {
        let step = self.steps();
        let numbers = self.plan.batches(step);
        let count = usize::try_from(numbers.end - numbers.start)?;
        let (mut gradients, mut losses, mut frames) = (Gradients::default(), Vec::with_capacity(count), 0);
        for number in numbers.clone() {
            let batch = batches.next()?;
            frames += batch.speaker_video().batch() * batch.speaker_video().frames();
            let (of_batch, loss) = self.gradients(number, &batch).with_context(|| format!("step {step}"))?;
            gradients.add(&of_batch)?;
            losses.push(self.readback.send(&loss.terms())?);
        }
        gradients.divide(count)?;
        let learning_rate = self.config.train.learning_rate_at(step, &self.plan);
        let norm = self.update(&mut gradients, learning_rate).with_context(|| format!("step {step}"))?;
        self.unsaved = true;
        if let Some(average) = &self.average {
            average.ema.update(&self.params, self.adam.steps())?;
        }
        let before = self.pending.replace(Pending { step, first: numbers.start, frames, learning_rate, losses, norm });
        if self.late { before.map(|pending| self.finish(pending)).transpose() } else { self.settle() }
    }

    /// What is still to be said of the last step. Before anything is kept of it.
    ///
    /// # Errors
    /// Where its loss or its gradient was not finite.
    pub(super) fn settle(&mut self) -> Result<Option<Step>> {
        self.pending.take().map(|pending| self.finish(pending)).transpose()
    }

    /// Moves the weights; where the gradient is not finite, they stay.
    fn update(&mut self, gradients: &mut Gradients, learning_rate: f64) -> Result<Norm> {
        let limit = self.config.train.clip_gradient;
        if self.late {
            let norm = self.adam.step_late(&self.params, gradients, |_| learning_rate, limit)?;
            return Ok(Norm::Sent(self.readback.send(&[&norm])?));
        }
        let norm = match limit {
            Some(limit) => gradients.clip(limit),
            None => gradients.norm(),
        }?;
        self.adam.step(&self.params, gradients, learning_rate)?;
        Ok(Norm::Known(norm))
    }

    /// The record of a step, when its numbers have come.
    fn finish(&mut self, pending: Pending) -> Result<Step> {
        let Pending { step, first, frames, learning_rate, losses, norm } = pending;
        let count = losses.len();
        let mut values = Vec::with_capacity(count);
        for (sent, number) in losses.into_iter().zip(first..) {
            let found = LossValues::of(&self.readback.read(sent)?);
            values.push(found.or_else(|error| self.cause(number, error)).with_context(|| format!("step {step}"))?);
        }
        let gradient_norm = match norm {
            Norm::Known(norm) => norm,
            Norm::Sent(sent) => AdamW::norm_of(&self.params, &self.readback.read(sent)?).with_context(|| format!("step {step}"))?,
        };
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

    /// Why a loss that was looked at late is not finite: the batch again.
    fn cause(&self, number: u64, error: ModelError) -> Result<LossValues> {
        let batch = to_device(self.loader.at(number)?, self.compute.device())?;
        let (behaviour, reaction, _) = self.forward(number, &batch)?;
        Err(self.blamed(number, &batch, &behaviour, &reaction, error)?)
    }

    fn blamed(
        &self,
        number: u64,
        batch: &DeviceBatch,
        behaviour: &Behaviour,
        reaction: &Reaction,
        error: ModelError,
    ) -> Result<anyhow::Error> {
        if !matches!(error, ModelError::NotFinite { .. }) {
            return Ok(error.into());
        }
        let cause = blame(batch, &self.loader, number, &self.params, behaviour, reaction)?;
        Ok(anyhow::Error::new(error).context(cause))
    }

    /// Gradient and loss of a batch; the loss is looked at before the way back, but on a card.
    fn gradients(&self, number: u64, batch: &DeviceBatch) -> Result<(Gradients, Loss)> {
        let recording = self.compute.is_card().then(Recording::begin);
        let (behaviour, reaction, loss) = self.forward(number, batch)?;
        if !self.late
            && let Err(error) = loss.values()
        {
            return Err(self.blamed(number, batch, &behaviour, &reaction, error)?);
        }
        Ok((Gradients::of(&self.params, &loss.total, recording)?, loss))
    }

    /// The encoder runs once for both passes; the second, for the diversity term, has no gradient.
    fn forward(&self, number: u64, batch: &DeviceBatch) -> Result<(Behaviour, Reaction, Loss)> {
        let (train, seed) = (&self.config.train, self.config.seed);
        let draw = u32::try_from(number).context("more than 2³² batches")?;
        let mode = self.compute.train(seed, draw);
        let behaviour = self.model.encode(batch.speaker_video(), batch.speaker_audio(), &mode)?;
        let noise = |pass| Noise::training(seed, draw, pass);
        let reaction = self.model.react(&behaviour, &noise(0), &mode)?;
        let second = self.model.react(&behaviour.detach(), &noise(1), &mode.another_pass(1).without_gradient())?;
        let weights = LossWeights { kl: train.kl_p, diversity: train.div_p };
        let loss = loss(&reaction, &second, batch.listener_emotion(), batch.listener_3dmm(), &weights)?;
        Ok((behaviour, reaction, loss))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a small training; on cards their numbers are looked at one step later.
    fn records(late: bool, set: &[&str]) -> Result<Vec<Record>> {
        let packed = concat!("corpus.packed=", env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/golden/packed");
        let small = ["frames.shorter=16", "frames.crop=16", "model.width=8", "train.batch=2", "train.accumulate=2", "train.clip_frames=10"];
        let set: Vec<String> = small.iter().chain(set).chain(&[packed]).map(|key| (*key).to_owned()).collect();
        let (config, folder) = (Config::load("demo", &set)?, tempfile::tempdir()?);
        let run = Run::at(folder.path())?;
        let mut state = State::open(&config, &run)?;
        state.late = late;
        let (mut batches, mut records) = (state.batches()?, Vec::new());
        for step in 0..5 {
            let made = state.step(&mut batches)?;
            assert_eq!((made.is_none(), state.steps()), (late && step == 0, step + 1));
            records.extend(made.map(|made| made.record));
        }
        records.extend(state.settle()?.map(|made| made.record));
        assert!(state.settle()?.is_none());
        Ok(records)
    }

    #[test]
    fn a_step_that_is_looked_at_late_is_the_same() {
        let set = ["train.clip_gradient=0.5", "train.ema=0.9"];
        let (now, later) = (records(false, &set).unwrap(), records(true, &set).unwrap());
        assert_eq!((now.len(), later.len()), (5, 5));
        for (now, later) in now.into_iter().zip(later) {
            let (Record::Step { gradient_norm: norm, .. }, Record::Step { gradient_norm: other, .. }) = (&now, &later) else {
                panic!("a validation")
            };
            // The late one came as f32.
            assert!((norm - other).abs() < 1e-6 * norm, "{norm} {other}");
            let norm = *norm;
            let Record::Step { step, epoch, loss, reconstruction, kl, diversity, learning_rate, .. } = later else { continue };
            let later = Record::Step { step, epoch, loss, reconstruction, kl, diversity, learning_rate, gradient_norm: norm };
            assert_eq!(now, later);
        }
    }

    #[test]
    fn what_is_not_finite_is_found_late_and_named() {
        let set = ["train.learning_rate=1e25", "train.warmup_steps=0", "train.schedule=constant"];
        let error = format!("{:#}", records(true, &set).unwrap_err());
        assert!(error.starts_with("step 1: ") && error.ends_with("is not finite"), "{error}");
    }
}
