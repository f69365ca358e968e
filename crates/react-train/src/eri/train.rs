//! Training: batches, losses, steps, validation, checkpoints. A stopped training goes on from its last checkpoint, and gives the
//! bits of an undisturbed one: order, modality dropout and dropout are functions of (seed, step).

use super::config::EriConfig;
use super::data::{device, labels, predictions, score};
use super::events::EriEvents;
use super::features::Features;
use super::run::{Record, SeedRun};
use crate::Progress;
use crate::train::{Interrupted, Stop};
use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use react_data::hume::{EriPacked, EriSplit, order};
use react_model::eri::{Eri, Modalities, eri_loss, modality_dropout};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::weights::{self, Tensors, Training};
use react_model::{Mode, Params};
use std::collections::BTreeMap;
use std::path::Path;

/// Weights to begin with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beginnings<'a> {
    /// A trained network of the voice: the fusion's audio branch begins with its.
    pub audio: Option<&'a Path>,
    /// A trained network of the face: the fusion's video branch begins with its.
    pub video: Option<&'a Path>,
    /// ImageNet's weights of a ResNet-18, torchvision's .pth or safetensors.
    pub backbone: Option<&'a Path>,
}

/// A training in progress.
struct State<'a> {
    config: &'a EriConfig,
    run: &'a SeedRun,
    train: EriSplit,
    validation: EriSplit,
    labels: Vec<usize>,
    features: Option<Features>,
    params: Params,
    model: Eri,
    adam: AdamW,
    records: Vec<Record>,
    notes: BTreeMap<String, String>,
}

/// Trains one seed, or goes on where an earlier call stopped; returns the best mean correlation on the validation split.
///
/// # Errors
/// Where the packed corpus is missing, the run's folder holds another configuration, a loss or a gradient is not finite (the
/// weights have then not moved), or `stop` asked for an end: then it has been saved.
pub fn train(config: &EriConfig, run: &SeedRun, beginnings: &Beginnings<'_>, stop: &Stop) -> Result<f64> {
    let _listening = stop.listen();
    let mut state = State::new(config, run, beginnings)?;
    let per_epoch = state.batches_per_epoch();
    let steps = u64::from(config.train.epochs) * per_epoch;
    let progress = Progress::resumed("train", steps, state.adam.steps());
    let mut events = EriEvents::open(config, run, &state.records)?;
    for step in state.adam.steps()..steps {
        let record = state.step(step, steps, per_epoch).with_context(|| format!("step {step}"))?;
        if let Record::Step { loss, correlation, .. } = &record {
            progress.advance(1, &format!("loss {loss:.4}, correlation {correlation:.3}"));
        }
        events.record(&record)?;
        state.records.push(record);
        if (step + 1).is_multiple_of(per_epoch) {
            state.validate(u32::try_from((step + 1) / per_epoch)?, &mut events)?;
            events.sync()?;
            state.save()?;
        }
        if stop.asked(step + 1) && step + 1 < steps {
            state.save()?;
            bail!(Interrupted { steps: step + 1, planned: steps });
        }
    }
    state.best().context("no epoch was validated")
}

impl<'a> State<'a> {
    fn new(config: &'a EriConfig, run: &'a SeedRun, beginnings: &Beginnings<'_>) -> Result<Self> {
        let packed = EriPacked::open(&config.corpus.packed)?;
        let (train, validation) = (packed.split("train")?, packed.split(&config.evaluate.split)?);
        for split in [&train, &validation] {
            let without = (0..split.len()).find(|i| split.labels(*i).is_none());
            ensure!(without.is_none(), "{}: the clip {} has no labels", config.corpus.packed.display(), split.id(without.unwrap_or(0)));
        }
        let params = Params::new(config.seed);
        let model = Eri::new(config.network(train.emotions().len()), &params.root())?;
        begin(config, &params, beginnings)?;
        let labels = match config.train.shuffle_labels {
            true => order(config.seed ^ 0x5eed, 0, train.len()),
            false => (0..train.len()).collect(),
        };
        let adam =
            AdamW::new(AdamWConfig { weight_decay: config.train.weight_decay, decay_biases_and_norms: false, ..AdamWConfig::default() });
        let notes = notes(config, train.emotions())?;
        let features = config.model.frame_features.map(|kind| Features::open(&config.corpus.packed, kind)).transpose()?;
        let mut state = Self { config, run, train, validation, labels, features, params, model, adam, records: Vec::new(), notes };
        state.resume()?;
        run.write_config(config)?;
        Ok(state)
    }

    fn resume(&mut self) -> Result<()> {
        let last = self.run.last();
        if !last.exists() {
            return Ok(());
        }
        let tensors = Tensors::read(&last)?;
        for (key, value) in &self.notes {
            ensure!(
                tensors.note().values.get(key) == Some(value),
                "{} was trained with another {key}; take another name (--set name=…) or remove that folder",
                self.run.folder().display()
            );
        }
        weights::load(&tensors, &self.params)?;
        weights::load_optimizer(&tensors, &self.params, &mut self.adam)?;
        let done = self.adam.steps();
        self.records = self.run.records()?;
        self.records.retain(|record| record.steps() <= done);
        Ok(())
    }

    /// Whole batches only: the correlation of a few clips is noise.
    fn batches_per_epoch(&self) -> u64 {
        (self.train.len() / self.config.train.batch.min(self.train.len())).max(1) as u64
    }

    fn step(&mut self, step: u64, steps: u64, per_epoch: u64) -> Result<Record> {
        let (config, train) = (self.config, &self.config.train);
        let (epoch, place) = (step / per_epoch, usize::try_from(step % per_epoch)?);
        let order = order(config.seed, u32::try_from(epoch)?, self.train.len());
        let size = train.batch.min(order.len());
        let items = &order[place * size..(place + 1) * size];
        let features = self.features.as_ref().map(|features| features.batch(&self.train, items)).transpose()?;
        let mut input = device(self.train.batch(items)?, features)?;
        let rows = items.iter().map(|i| self.train.labels(self.labels[*i]).unwrap_or_default());
        let labels = Tensor::from_vec(rows.flatten().copied().collect(), (size, self.train.emotions().len()), &Device::Cpu)?;
        let draw = u32::try_from(step).context("more than 2³² steps")?;
        if config.model.modalities == Modalities::Fusion {
            input.keep = drop_modalities(input.keep, &modality_dropout(config.seed, draw, size, train.modality_dropout)?)?;
        }
        let intensity = self.model.forward(&input, &Mode::train(config.seed, draw))?.intensity;
        let loss = eri_loss(&intensity, &labels, train.lambda)?;
        let value = |tensor: &Tensor| -> Result<f64> { Ok(f64::from(tensor.to_scalar::<f32>()?)) };
        let (total, mse, correlation) = (value(&loss.total)?, value(&loss.mse)?, value(&loss.correlation)?);
        ensure!(total.is_finite(), "the loss is not finite: mean squared error {mse}, correlation {correlation}");
        let mut gradients = Gradients::collect(&self.params, &loss.total.backward()?);
        let gradient_norm = gradients.clip(train.clip_gradient)?;
        let share = train.rate_at(step, steps);
        let rate = |name: &str| share * if name.starts_with(BACKBONE) { train.backbone_learning_rate } else { train.learning_rate };
        self.adam.step_with(&self.params, &gradients, rate)?;
        Ok(Record::Step { step, epoch: u32::try_from(epoch)?, loss: total, mse, correlation, learning_rate: rate(""), gradient_norm })
    }

    fn validate(&mut self, epoch: u32, events: &mut EriEvents) -> Result<()> {
        let predicted = predictions(&self.model, &self.validation, self.features.as_ref(), self.config.evaluate.batch, None)?;
        let scores = score(&self.validation, &predicted)?;
        if self.best().is_none_or(|best| scores.mean_pearson > best) {
            weights::save(&self.run.best(), &self.params, None, &self.notes)?;
        }
        let record = Record::Validation { epoch, step: self.adam.steps(), correlation: scores.mean_pearson, mae: scores.mae };
        events.validation(&record, self.validation.emotions(), &scores, || Ok((labels(&self.validation)?, predicted)))?;
        self.records.push(record);
        Ok(())
    }

    fn best(&self) -> Option<f64> {
        let values = self.records.iter().filter_map(|record| match record {
            Record::Validation { correlation, .. } => Some(*correlation),
            Record::Step { .. } => None,
        });
        values.max_by(f64::total_cmp)
    }

    /// Records first: a checkpoint has no steps that they have not.
    fn save(&self) -> Result<()> {
        self.run.write_records(&self.records)?;
        let training = Training { optimizer: &self.adam, ema: None };
        Ok(weights::save(&self.run.last(), &self.params, Some(training), &self.notes)?)
    }
}

/// Before the names of the backbone's parameters.
const BACKBONE: &str = "video.backbone.";

/// What is there and was not dropped; where a clip has one modality only, it keeps it.
fn drop_modalities(there: Option<Tensor>, kept: &Tensor) -> Result<Option<Tensor>> {
    let Some(there) = there else { return Ok(Some(kept.clone())) };
    let rows = there.to_vec2::<f32>()?.into_iter().zip(kept.to_vec2::<f32>()?);
    let rows: Vec<f32> = rows
        .flat_map(|(there, kept)| {
            let both = [there[0] * kept[0], there[1] * kept[1]];
            if both == [0.0; 2] { [there[0], there[1]] } else { both }
        })
        .collect();
    Ok(Some(Tensor::from_vec(rows, there.dims(), &Device::Cpu)?))
}

/// Sets the weights that a training begins with.
fn begin(config: &EriConfig, params: &Params, beginnings: &Beginnings<'_>) -> Result<()> {
    let fusion = config.model.modalities == Modalities::Fusion;
    for (flag, path, prefix) in [("--init-audio", beginnings.audio, "audio."), ("--init-video", beginnings.video, "video.")] {
        if let Some(path) = path {
            ensure!(fusion, "{flag} is for the fusion: this network has one branch");
            weights::load_part(&Tensors::read(path)?, params, prefix, prefix)?;
        }
    }
    if let Some(path) = beginnings.backbone {
        ensure!(config.model.modalities != Modalities::Audio, "--init-backbone is for networks with a face");
        weights::load_part(&Tensors::read(path)?, params, BACKBONE, "")?;
    }
    Ok(())
}

/// What must be the same for a training to go on, and what the weights' users need.
fn notes(config: &EriConfig, emotions: &[String]) -> Result<BTreeMap<String, String>> {
    let manifest = config.corpus.packed.join("manifest.jsonl");
    let data = std::fs::read(&manifest).with_context(|| format!("cannot read {} (run prepare first)", manifest.display()))?;
    Ok(BTreeMap::from([
        ("job".to_owned(), "eri".to_owned()),
        ("seed".to_owned(), config.seed.to_string()),
        ("data".to_owned(), blake3::hash(&data).to_hex().to_string()),
        ("clip".to_owned(), serde_json::to_string(&config.clip)?),
        ("eri".to_owned(), serde_json::to_string(&config.network(emotions.len()))?),
        ("emotions".to_owned(), serde_json::to_string(emotions)?),
        ("frame_features".to_owned(), serde_json::to_string(&config.model.frame_features)?),
        // What else is written changes no number.
        ("train".to_owned(), serde_json::to_string(&super::config::Train { tensorboard: false, ..config.train.clone() })?),
    ]))
}
