//! Training: batches, losses, steps, validation, checkpoints. A stopped training goes on from its last checkpoint, and gives the
//! bits of an undisturbed one: order, modality dropout and dropout are functions of (seed, step).

use super::batches::{Labelled, Maker, Steps};
use super::config::EriConfig;
use super::data::{labels, predictions, score};
use super::events::EriEvents;
use super::features::Features;
use super::run::{Record, SeedRun};
use crate::compute::Part;
use crate::train::{Interrupted, Stop};
use crate::{Compute, Progress};
use anyhow::{Context, Result, bail, ensure};
use react_data::hume::{EriPacked, EriSplit};
use react_model::Params;
use react_model::device::{Readback, Sent};
use react_model::eri::{Eri, EriLoss, Modalities, eri_loss};
use react_model::optim::{AdamW, AdamWConfig, Gradients, Recording};
use react_model::weights::{self, Tensors, Training};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

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
    maker: Arc<Maker>,
    validation: EriSplit,
    features: Option<Features>,
    compute: Compute,
    readback: Readback,
    pending: Option<Pending>,
    params: Params,
    model: Eri,
    adam: AdamW,
    records: Vec<Record>,
    notes: BTreeMap<String, String>,
}

/// A step that was made on a card, and has not been looked at.
struct Pending {
    step: u64,
    epoch: u32,
    learning_rate: f64,
    /// Loss, mean squared error and correlation.
    losses: Sent,
    norm: Sent,
}

/// Trains one seed, or goes on where an earlier call stopped; returns the best mean correlation on the validation split.
///
/// # Errors
/// Where the packed corpus is missing, the run's folder holds another configuration, a loss or a gradient is not finite (the
/// weights have then not moved), or `stop` asked for an end: then it has been saved.
pub fn train(config: &EriConfig, run: &SeedRun, beginnings: &Beginnings<'_>, stop: &Stop) -> Result<f64> {
    let _listening = stop.listen();
    let mut state = State::new(config, run, beginnings)?;
    let per_epoch = state.maker.per_epoch();
    let steps = u64::from(config.train.epochs) * per_epoch;
    if state.adam.steps() < steps {
        state.compute.record(run.folder(), "train", Part::after(state.adam.steps()))?;
    }
    let progress = Progress::resumed("train", steps, state.adam.steps());
    let mut events = EriEvents::open(config, run, &state.records)?;
    let mut batches = Steps::open(&state.compute, &state.maker, state.adam.steps()..steps)?;
    for step in state.adam.steps()..steps {
        let made = state.step(step, steps, per_epoch, &*batches.next()?)?;
        state.keep(made, &progress, &mut events)?;
        let ended = (step + 1).is_multiple_of(per_epoch);
        let stopped = stop.asked(step + 1) && step + 1 < steps;
        if ended || stopped {
            let last = state.settle()?;
            state.keep(last, &progress, &mut events)?;
        }
        if ended {
            state.validate(u32::try_from((step + 1) / per_epoch)?, &mut events)?;
            events.sync()?;
            state.save()?;
        }
        if stopped {
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
        let compute = config.compute()?;
        let params = Params::on(config.seed, compute.device());
        let model = Eri::new(config.network(train.emotions().len()), &params.root())?;
        begin(config, &params, beginnings)?;
        let adam =
            AdamW::new(AdamWConfig { weight_decay: config.train.weight_decay, decay_biases_and_norms: false, ..AdamWConfig::default() });
        let notes = notes(config, train.emotions())?;
        let features = config.model.frame_features.map(|kind| Features::open(&config.corpus.packed, kind)).transpose()?;
        let mut state = Self {
            readback: Readback::new(compute.device()),
            pending: None,
            records: Vec::new(),
            config,
            run,
            maker: Arc::new(Maker::new(config, train, features.clone())),
            validation,
            features,
            compute,
            params,
            model,
            adam,
            notes,
        };
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

    /// A step; returns the record that was finished: this one's, or on a card that of the step before it, so that the card never
    /// waits for the host to look at a number.
    fn step(&mut self, step: u64, steps: u64, per_epoch: u64, batch: &Labelled) -> Result<Option<Record>> {
        let place = || format!("step {step}");
        let (train, epoch) = (&self.config.train, u32::try_from(step / per_epoch)?);
        let recording = self.compute.is_card().then(Recording::begin);
        let loss = self.loss(step, batch).with_context(place)?;
        let losses = self.readback.send(&[&loss.total, &loss.mse, &loss.correlation])?;
        let share = train.rate_at(step, steps);
        let rate = |name: &str| share * if name.starts_with(BACKBONE) { train.backbone_learning_rate } else { train.learning_rate };
        let (limit, learning_rate) = (train.clip_gradient, rate(""));
        if self.compute.is_card() {
            let mut gradients = Gradients::of(&self.params, &loss.total, recording)?;
            let norm = self.adam.step_late(&self.params, &mut gradients, rate, Some(limit)).with_context(place)?;
            let pending = Pending { step, epoch, learning_rate, losses, norm: self.readback.send(&[&norm])? };
            return self.pending.replace(pending).map(|before| self.finish(before)).transpose();
        }
        let [loss_value, mse, correlation] = finite(&self.readback.read(losses)?).with_context(place)?;
        let mut gradients = Gradients::collect(&self.params, &loss.total.backward()?);
        let gradient_norm = gradients.clip(limit).with_context(place)?;
        self.adam.step_with(&self.params, &gradients, rate).with_context(place)?;
        Ok(Some(Record::Step { step, epoch, loss: loss_value, mse, correlation, learning_rate, gradient_norm }))
    }

    /// The loss of a step's batch.
    fn loss(&self, step: u64, batch: &Labelled) -> Result<EriLoss> {
        let draw = u32::try_from(step).context("more than 2³² steps")?;
        let intensity = self.model.forward(&batch.input, &self.compute.train(self.config.seed, draw))?.intensity;
        Ok(eri_loss(&intensity, &batch.labels, self.config.train.lambda)?)
    }

    /// What is still to be said of the last step. Before anything is kept of it.
    fn settle(&mut self) -> Result<Option<Record>> {
        self.pending.take().map(|pending| self.finish(pending)).transpose()
    }

    fn finish(&mut self, pending: Pending) -> Result<Record> {
        let Pending { step, epoch, learning_rate, losses, norm } = pending;
        let place = || format!("step {step}");
        let [loss, mse, correlation] = finite(&self.readback.read(losses)?).with_context(place)?;
        let gradient_norm = AdamW::norm_of(&self.params, &self.readback.read(norm)?).with_context(place)?;
        Ok(Record::Step { step, epoch, loss, mse, correlation, learning_rate, gradient_norm })
    }

    /// Writes a step's record down, and shows it.
    fn keep(&mut self, record: Option<Record>, progress: &Progress, events: &mut EriEvents) -> Result<()> {
        let Some(record) = record else { return Ok(()) };
        if let Record::Step { loss, correlation, .. } = &record {
            progress.advance(1, &format!("loss {loss:.4}, correlation {correlation:.3}"));
        }
        events.record(&record)?;
        self.records.push(record);
        Ok(())
    }

    fn validate(&mut self, epoch: u32, events: &mut EriEvents) -> Result<()> {
        let predicted =
            predictions(&self.model, &self.validation, self.features.as_ref(), self.config.evaluate.batch, None, &self.compute)?;
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

/// Loss, mean squared error and correlation, where the loss is a number.
fn finite(values: &[f32]) -> Result<[f64; 3]> {
    let [total, mse, correlation] = *values else { bail!("a loss of {} numbers", values.len()) };
    let [total, mse, correlation] = [total, mse, correlation].map(f64::from);
    ensure!(total.is_finite(), "the loss is not finite: mean squared error {mse}, correlation {correlation}");
    Ok([total, mse, correlation])
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
