//! Training: batches, losses, steps, validation, checkpoints. Stopping anywhere and running again goes on with the last
//! finished epoch, and gives the weights that an undisturbed run gives.

use crate::config::Config;
use crate::tensors::{DeviceBatch, to_device};
use crate::{Progress, Record, Run};
use anyhow::{Context, Result, ensure};
use candle_core::Device;
use react_data::{Loader, LoaderConfig, Packed, PackedSplit, Prefetch};
use react_model::loss::{LossWeights, loss, reconstruction};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::transvae::{self, Noise, TransVae};
use react_model::weights::{self, Tensors};
use react_model::{Mode, Params};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// What a training came to.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The checkpoint with the least validation loss.
    pub best: PathBuf,
    /// Steps that were made now; 0 where the run was finished before.
    pub steps: u64,
    /// Steps in all.
    pub total: u64,
    /// Wall time of this call in seconds.
    pub seconds: f64,
}

impl std::fmt::Display for Trained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.steps {
            0 => write!(f, "training   {} steps were made before: {}", self.total, self.best.display()),
            steps => write!(f, "training   {steps} steps in {:.0} s: {}", self.seconds, self.best.display()),
        }
    }
}

/// Trains the configured network on its packed corpus, or goes on where an earlier call stopped.
///
/// # Errors
/// Where the packed corpus is missing, the run's folder holds another configuration, or a loss or gradient is not finite (the
/// weights have then not moved).
pub fn train(config: &Config, run: &Run) -> Result<Trained> {
    let began = std::time::Instant::now();
    let mut state = State::new(config, run)?;
    let steps = u64::from(config.train.epochs) * state.steps_per_epoch;
    let start = state.adam.steps();
    let progress = Progress::new("train", steps);
    progress.advance(start, "");
    for (step, batch) in (start..steps).zip(Prefetch::new(state.loader.clone(), start..steps, 1, 2)?) {
        let batch = to_device(batch?, &Device::Cpu)?;
        let record = state.step(step, steps, &batch).with_context(|| format!("step {step}"))?;
        progress.advance(1, &summary(&record));
        state.records.push(record);
        if (step + 1).is_multiple_of(state.steps_per_epoch) {
            state.end_of_epoch(step + 1)?;
        }
    }
    Ok(Trained { best: run.best(), steps: steps - start, total: steps, seconds: began.elapsed().as_secs_f64() })
}

fn summary(record: &Record) -> String {
    match record {
        Record::Step { loss, reconstruction, .. } => format!("loss {loss:.4}, reconstruction {reconstruction:.4}"),
        Record::Validation { selection, .. } => format!("validation {selection:.4}"),
    }
}

/// A training in progress.
struct State<'a> {
    config: &'a Config,
    run: &'a Run,
    loader: Loader,
    steps_per_epoch: u64,
    validation: PackedSplit,
    params: Params,
    model: TransVae,
    adam: AdamW,
    records: Vec<Record>,
    /// What the checkpoints carry beside the weights.
    notes: BTreeMap<String, String>,
}

impl<'a> State<'a> {
    fn new(config: &'a Config, run: &'a Run) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let split = Arc::new(packed.split("train")?);
        let loader_config = LoaderConfig { batch: config.train.batch, clip_length: config.train.clip_frames, seed: config.seed };
        let loader = Loader::new(split, loader_config)?;
        let params = Params::new(config.seed);
        let model = TransVae::new(transvae::Config::of_width(config.model.width), &params.root())?;
        let adam = AdamW::new(AdamWConfig { weight_decay: config.train.weight_decay, ..AdamWConfig::default() });
        let mut state = Self {
            steps_per_epoch: loader.steps_per_epoch() as u64,
            validation: packed.split(&config.evaluate.split)?,
            notes: notes(config)?,
            records: Vec::new(),
            config,
            run,
            loader,
            params,
            model,
            adam,
        };
        state.resume()?;
        let text = config.to_toml()?;
        react_store::write_atomic(&run.config_file(), |file| file.write_all(text.as_bytes()))?;
        Ok(state)
    }

    /// Goes on from the last checkpoint, if there is one.
    fn resume(&mut self) -> Result<()> {
        let last = self.run.last();
        if !last.exists() {
            return Ok(());
        }
        let tensors = Tensors::read(&last)?;
        for (key, value) in &self.notes {
            let found = tensors.note().values.get(key);
            ensure!(
                found == Some(value),
                "{} was trained with another {key}; take another name (--set name=…) or remove that folder",
                self.run.folder().display()
            );
        }
        weights::load(&tensors, &self.params)?;
        weights::load_optimizer(&tensors, &self.params, &mut self.adam)?;
        let done = self.adam.steps();
        self.records = self.run.records()?;
        self.records.retain(|record| match record {
            Record::Step { step, .. } => *step < done,
            Record::Validation { step, .. } => *step <= done,
        });
        Ok(())
    }

    /// One optimizer step. The encoder runs once for both passes; the second, for the diversity term, has no gradient.
    fn step(&mut self, step: u64, steps: u64, batch: &DeviceBatch) -> Result<Record> {
        let (train, seed) = (&self.config.train, self.config.seed);
        let draw = u32::try_from(step).context("more than 2³² steps")?;
        let mode = Mode::train(seed, draw);
        let behaviour = self.model.encode(batch.speaker_video(), batch.speaker_audio(), &mode)?;
        let noise = |pass| Noise::training(seed, draw, pass, batch.speaker_video().batch(), self.config.model.width);
        let reaction = self.model.react(&behaviour, &noise(0)?, &mode)?;
        let second = self.model.react(&behaviour.detach(), &noise(1)?, &mode.another_pass(1).without_gradient())?;
        let weights = LossWeights { kl: train.kl_p, diversity: train.div_p };
        let loss = loss(&reaction, &second, batch.listener_emotion(), batch.listener_3dmm(), &weights)?;
        let values = loss.values()?;
        let mut gradients = Gradients::collect(&self.params, &loss.total.backward()?);
        let gradient_norm = match train.clip_gradient {
            Some(limit) => gradients.clip(limit)?,
            None => gradients.norm()?,
        };
        let learning_rate = train.learning_rate_at(step, steps);
        self.adam.step(&self.params, &gradients, learning_rate)?;
        Ok(Record::Step {
            step,
            epoch: u32::try_from(step / self.steps_per_epoch)?,
            loss: f64::from(values.total),
            reconstruction: f64::from(values.reconstruction),
            kl: f64::from(values.kl),
            diversity: f64::from(values.diversity),
            learning_rate,
            gradient_norm,
        })
    }

    /// Validates where it is time, and writes the checkpoints: best first, then the records, then last, so that a kill between
    /// them repeats the epoch and nothing else.
    fn end_of_epoch(&mut self, steps: u64) -> Result<()> {
        let epoch = u32::try_from(steps / self.steps_per_epoch)?;
        if epoch.is_multiple_of(self.config.train.validate_every) || epoch == self.config.train.epochs {
            let (reconstruction, kl) = validate(&self.model, &self.validation)?;
            let selection = reconstruction + self.config.train.kl_p * kl;
            if self.best_selection().is_none_or(|best| selection < best) {
                weights::save(&self.run.best(), &self.params, None, &self.notes)?;
            }
            self.records.push(Record::Validation { epoch, step: steps, reconstruction, kl, selection });
        }
        self.run.write_records(&self.records)?;
        Ok(weights::save(&self.run.last(), &self.params, Some(&self.adam), &self.notes)?)
    }

    fn best_selection(&self) -> Option<f64> {
        let selections = self.records.iter().filter_map(|record| match record {
            Record::Validation { selection, .. } => Some(*selection),
            Record::Step { .. } => None,
        });
        selections.min_by(f64::total_cmp)
    }
}

/// Mean reconstruction loss and KL divergence over the whole clips of a split, with the latent means.
fn validate(model: &TransVae, split: &PackedSplit) -> Result<(f64, f64)> {
    let (mut sum, mut kl_sum) = (0.0, 0.0);
    for item in 0..split.len() {
        let batch = to_device(split.whole(&[item])?, &Device::Cpu)?;
        let behaviour = model.encode(batch.speaker_video(), batch.speaker_audio(), &Mode::eval())?;
        let reaction = model.react(&behaviour, &Noise::Mean, &Mode::eval())?;
        sum += f64::from(reconstruction(&reaction, batch.listener_emotion(), batch.listener_3dmm())?.to_scalar::<f32>()?);
        for latent in &reaction.latents {
            kl_sum += f64::from(latent.kl()?.to_scalar::<f32>()?) / reaction.latents.len() as f64;
        }
    }
    Ok((sum / split.len() as f64, kl_sum / split.len() as f64))
}

/// What must be the same for a training to go on: everything but the evaluation and the paths, and the data themselves.
fn notes(config: &Config) -> Result<BTreeMap<String, String>> {
    let manifest = config.corpus.packed.join("manifest.jsonl");
    let data = std::fs::read(&manifest).with_context(|| format!("cannot read {} (run prepare first)", manifest.display()))?;
    let part = |value: serde_json::Result<String>| value.context("the configuration has no form in JSON");
    Ok(BTreeMap::from([
        ("seed".to_owned(), config.seed.to_string()),
        ("data".to_owned(), blake3::hash(&data).to_hex().to_string()),
        ("frames".to_owned(), part(serde_json::to_string(&config.frames))?),
        ("model".to_owned(), part(serde_json::to_string(&config.model))?),
        ("train".to_owned(), part(serde_json::to_string(&config.train))?),
    ]))
}
