//! Evaluation: several reactions to every clip of a split, scored beside the real listeners, the naive baselines, controls
//! that take something away from the network, and on the synthetic corpus an oracle.

use crate::config::{Config, CorpusKind, Task};
use crate::predict::Checkpoint;
use crate::tensors::{array, to_device};
use crate::{Progress, Run};
use anyhow::{Context, Result};
use candle_core::Device;
use ndarray::{Array2, Array3, Array4, Axis, Ix3, s};
use react_contracts::{ATTRIBUTES, AudioFeatures, Batch, Frames};
use react_data::{Cut, HostBatch, Packed, PackedSplit, Role, mfcc_per_frame};
use react_metrics::{Baseline, Baselines, Bootstrap, ClipScores, Inputs, MeanReaction, Neighbours, Options, Scores};
use react_model::Mode;
use react_model::transvae::Noise;
use react_random::Draws;
use react_synth::{Split, Truth};
use react_viz::{Kind, Metric, Score, ScoreRow, ScoreTable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The scores of an evaluation, as `scores.json` holds them.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Evaluation {
    /// What was evaluated: changes with the weights, the data and the settings.
    pub key: String,
    /// The split.
    pub split: String,
    /// Its clips' names, in the order of the scores.
    pub clips: Vec<String>,
    /// Frames scored.
    pub frames: usize,
    /// Reactions for each clip.
    pub samples: usize,
    /// Each system's scores.
    pub systems: Vec<System>,
    /// Online, how far the network's attributes jump at the borders of its windows and inside them, mean over clips and samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seams: Option<Seams>,
    /// Whether the scores were there already; not in the file.
    #[serde(skip)]
    pub reused: bool,
}

/// One row of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct System {
    /// Its name.
    pub name: String,
    /// What kind of row it is.
    pub kind: Kind,
    /// By the challenge's definitions, sums over the samples: FRCorr, FRDist, FRDiv, FRVar, FRDvs, FRSyn, FRSyn_all.
    pub published: BTreeMap<String, Option<f64>>,
    /// 95 % bootstrap intervals of those over clips.
    pub intervals: BTreeMap<String, Option<Range>>,
    /// Without the definitions' artefacts.
    pub sound: BTreeMap<String, Option<f64>>,
    /// Published FRCorr and FRDist of each clip.
    pub per_clip: PerClip,
    /// What a reader of the scores should know.
    pub warnings: Vec<String>,
}

/// Jumps of the network's attributes from frame to frame ([`react_metrics::seams`]).
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Seams {
    /// At the borders of windows.
    pub border: f64,
    /// Inside them.
    pub inside: f64,
}

/// An interval.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Range {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Scores of each clip, in the order of [`Evaluation::clips`].
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PerClip {
    /// FRCorr.
    #[serde(rename = "FRCorr")]
    pub fr_corr: Vec<f64>,
    /// FRDist.
    #[serde(rename = "FRDist")]
    pub fr_dist: Vec<f64>,
}

impl System {
    pub(crate) fn new(name: &str, kind: Kind, scores: &Scores) -> Result<Self> {
        let per_clip = |value: fn(&ClipScores) -> f64| scores.per_clip.iter().map(value).collect();
        Ok(Self {
            name: name.to_owned(),
            kind,
            published: reshaped(&scores.published)?,
            intervals: scores.intervals.as_ref().map(reshaped).transpose()?.unwrap_or_default(),
            sound: reshaped(&scores.sound)?,
            per_clip: PerClip { fr_corr: per_clip(|clip| clip.published.fr_corr), fr_dist: per_clip(|clip| clip.published.fr_dist) },
            warnings: scores.diagnostics.warnings(),
        })
    }

    /// A published score by its name.
    #[must_use]
    pub fn score(&self, metric: &str) -> Option<f64> {
        self.published.get(metric).copied().flatten()
    }

    fn row(&self, metrics: &[Metric]) -> ScoreRow {
        let score = |metric: &Metric| Score {
            value: self.score(&metric.name),
            interval: self.intervals.get(&metric.name).copied().flatten().map(|range| (range.low, range.high)),
        };
        ScoreRow { system: self.name.clone(), kind: self.kind, scores: metrics.iter().map(score).collect(), note: None }
    }
}

/// The same numbers under the same names, as a map.
fn reshaped<T: for<'de> Deserialize<'de>>(numbers: &impl Serialize) -> Result<BTreeMap<String, T>> {
    Ok(serde_json::from_value(serde_json::to_value(numbers)?)?)
}

pub(crate) fn table(split: &str, systems: &[System]) -> ScoreTable {
    let metrics = Metric::react();
    ScoreTable {
        title: format!("Scores on the split {split}"),
        caption: "By the challenge's definitions: FRCorr and FRDist are sums over the samples. Intervals are 95 % bootstrap intervals over clips.".to_owned(),
        rows: systems.iter().map(|system| system.row(&metrics)).collect(),
        metrics,
    }
}

/// What the network is shown of the speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// The clip itself.
    Own,
    /// Another clip of the split.
    Shuffled,
    /// The clip in silence.
    WithoutSound,
    /// The clip in the dark.
    WithoutPicture,
}

/// The controls: the network with something taken away. Scores must fall if it uses what was taken.
const CONTROLS: [(&str, Shown); 3] =
    [("speakers shuffled", Shown::Shuffled), ("without sound", Shown::WithoutSound), ("without picture", Shown::WithoutPicture)];

/// Evaluates the best checkpoint of a run and writes `scores.json`, `scores.csv`, `scores.tex` and `reaction_emotion.npy`
/// `[N, K, T, 25]`; what is there already for the same weights, data and settings is read instead.
///
/// # Errors
/// Where the checkpoint or the packed corpus is missing or does not fit.
pub fn evaluate(config: &Config, run: &Run) -> Result<Evaluation> {
    let key = key(config, run)?;
    if let Some(evaluation) = read(run)?.filter(|evaluation| evaluation.key == key) {
        return Ok(Evaluation { reused: true, ..evaluation });
    }
    let best = run.best();
    let mut checkpoint = Checkpoint::read(&best).with_context(|| "nothing to evaluate: train first".to_owned())?;
    checkpoint.model = checkpoint.model.with_windows(config.evaluate.windows())?;
    let data = Data::open(config)?;
    let progress = Progress::new("evaluate", ((1 + CONTROLS.len()) * data.split.len()) as u64);
    let mut systems = Vec::new();
    let prediction = data.generate(&checkpoint, config, Shown::Own, &progress)?;
    react_store::write_npy(&run.file("reaction_emotion.npy"), &prediction)?;
    systems.push(data.system("Trans-VAE", Kind::Model, &prediction)?);
    for (name, shown) in CONTROLS {
        systems.push(data.system(name, Kind::Control, &data.generate(&checkpoint, config, shown, &progress)?)?);
    }
    systems.extend(data.naive(config)?);
    let evaluation = Evaluation {
        seams: seams(config, &prediction),
        key,
        split: config.evaluate.split.clone(),
        clips: data.names()?,
        frames: data.frames,
        samples: config.evaluate.samples,
        systems,
        reused: false,
    };
    let table = evaluation.table();
    let files = [
        ("scores.json", serde_json::to_string(&evaluation)?),
        ("scores.csv", react_viz::table::csv(&table)),
        ("scores.tex", react_viz::table::latex(&table)),
    ];
    // The JSON last: its presence says that the others are there.
    for (name, text) in files.iter().rev() {
        react_store::write_atomic(&run.file(name), |file| file.write_all(text.as_bytes()))?;
    }
    Ok(evaluation)
}

/// Scores the real listeners, the naive baselines and, on the synthetic corpus, the oracle: everything but a network. Their table and
/// all their numbers.
///
/// # Errors
/// Where the packed corpus is missing.
pub fn baselines(config: &Config) -> Result<(ScoreTable, Vec<System>)> {
    let data = Data::open(config)?;
    let systems = data.naive(config)?;
    Ok((table(&config.evaluate.split, &systems), systems))
}

/// The scores of a run, if it was evaluated.
///
/// # Errors
/// Where the file is no evaluation.
pub fn read(run: &Run) -> Result<Option<Evaluation>> {
    let path = run.scores();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| format!("{} is no evaluation", path.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

impl Evaluation {
    /// The table of all systems.
    #[must_use]
    pub fn table(&self) -> ScoreTable {
        table(&self.split, &self.systems)
    }

    /// A system by its name.
    #[must_use]
    pub fn system(&self, name: &str) -> Option<&System> {
        self.systems.iter().find(|system| system.name == name)
    }
}

impl std::fmt::Display for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&react_viz::table::text(&self.table()))?;
        match &self.seams {
            None => Ok(()),
            Some(Seams { border, inside }) => {
                write!(f, "jump of the attributes at window borders {border:.4}, inside windows {inside:.4} ({:.2} times)", border / inside)
            }
        }
    }
}

/// The mean over the clips; none offline.
fn seams(config: &Config, prediction: &Array4<f32>) -> Option<Seams> {
    let of_clips = prediction.outer_iter().filter_map(|clip| react_metrics::seams(clip, config.evaluate.window));
    let all: Vec<_> = of_clips.filter(|_| config.model.task == Task::Online).collect();
    let mean = |part: fn(&react_metrics::Seams) -> f64| all.iter().map(part).sum::<f64>() / all.len() as f64;
    (!all.is_empty()).then(|| Seams { border: mean(|seams| seams.border), inside: mean(|seams| seams.inside) })
}

/// A split, ready to be scored.
struct Data {
    split: PackedSplit,
    train: PackedSplit,
    fps: f64,
    frames: usize,
    listener: Array3<f32>,
    speaker: Array3<f32>,
    neighbours: Neighbours,
}

impl Data {
    fn open(config: &Config) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let split = packed.split(&config.evaluate.split)?;
        let frames = split.common_frames().min(config.evaluate.frames);

        let neighbours =
            Neighbours::new(split.neighbours().view()).with_context(|| format!("the neighbours of the split {}", split.name()))?;
        Ok(Self {
            train: packed.split("train")?,
            fps: packed.info().fps,
            frames,
            listener: split.emotion(Role::Listener, frames)?,
            speaker: split.emotion(Role::Speaker, frames)?,
            neighbours,
            split,
        })
    }

    /// Fresh draws of the process that made the corpus, for each clip's own script: `[N, K, T, 25]`.
    fn oracle(&self, config: &Config) -> Result<Array4<f32>> {
        let root = &config.corpus.root;
        let truth = Truth::read(root)?.with_context(|| format!("{} is no synthetic corpus", root.display()))?;
        let fresh = truth.world()?.oracle(Split::named(&config.evaluate.split)?, config.evaluate.samples);
        Ok(fresh.attributes.slice_move(s![.., .., ..self.frames, ..]))
    }

    fn names(&self) -> Result<Vec<String>> {
        (0..self.split.len()).map(|item| Ok(self.split.clip(item, Role::Speaker)?.id().path().to_owned())).collect()
    }

    /// K reactions to every clip, `[N, K, T, 25]`. The encoder runs once per clip.
    fn generate(&self, checkpoint: &Checkpoint, config: &Config, shown: Shown, progress: &Progress) -> Result<Array4<f32>> {
        let (n, k, t) = (self.split.len(), config.evaluate.samples, self.frames);
        let order: Vec<usize> = match shown {
            // Within each half of the mirrored items, so that a shuffled clip keeps its role: only its content is another.
            Shown::Shuffled => {
                let mut draws = Draws::new(config.seed, "shuffled speakers", 0, 0);
                let pairs = n / 2;
                let (given, mirrored) = (derangement(pairs, &mut draws), derangement(pairs, &mut draws));
                given.into_iter().chain(mirrored.into_iter().map(|item| item + pairs)).collect()
            }
            _ => (0..n).collect(),
        };
        let mut out = Array4::zeros((n, k, t, ATTRIBUTES));
        for (item, seen) in order.into_iter().enumerate() {
            let batch = self.split.batch(&[Cut { item: seen, start: 0, swap: false }], t)?;
            let batch = to_device(self.show(batch, shown)?, &Device::Cpu)?;
            let behaviour = checkpoint.model.encode(batch.speaker_video(), batch.speaker_audio(), &Mode::eval())?;
            let noise = Noise::samples(config.seed, &[u32::try_from(item)?], k, 1.0);
            let reaction = checkpoint.model.react(&behaviour, &noise, &Mode::eval())?;
            let emotion = array(reaction.emotion.get())?.into_dimensionality::<Ix3>()?;
            out.slice_mut(s![item, .., .., ..]).assign(&emotion);
            progress.advance(1, "");
        }
        Ok(out)
    }

    /// The batch without what is taken away. Darkness is black frames, silence the features of silence.
    fn show(&self, batch: HostBatch, shown: Shown) -> Result<HostBatch> {
        let (mut frames, mut audio, speaker, listener, coeffs) = batch.into_parts();
        match shown {
            Shown::Own | Shown::Shuffled => {}
            Shown::WithoutPicture => {
                let mut black = frames.into_inner();
                black.fill(0);
                frames = Frames::new(black)?;
            }
            Shown::WithoutSound => {
                const RATE: u32 = 44_100;
                let samples = vec![0.0; (f64::from(RATE) * self.frames as f64 / self.fps).ceil() as usize];
                let (features, silence) = (audio.features(), mfcc_per_frame(&samples, RATE, self.frames, self.fps)?);
                // Given features of silence are not known: zeros then.
                let silence = if silence.ncols() == features { silence } else { Array2::zeros((self.frames, features)) };
                audio = AudioFeatures::of(features, silence.insert_axis(Axis(0)))?;
            }
        }
        Ok(Batch::new(frames, audio, speaker, listener, coeffs)?)
    }

    fn system(&self, name: &str, kind: Kind, prediction: &Array4<f32>) -> Result<System> {
        let inputs = Inputs::new(prediction.view(), self.listener.view(), Some(self.speaker.view()), &self.neighbours)?;
        let options = Options { bootstrap: Some(Bootstrap::default()), ..Options::default() };
        System::new(name, kind, &react_metrics::score(&inputs, &options, &|_| ()))
    }

    /// The systems that need no network.
    fn naive(&self, config: &Config) -> Result<Vec<System>> {
        let listeners =
            (0..self.train.len()).map(|item| Ok(self.train.clip(item, Role::Listener)?.emotion()?)).collect::<Result<Vec<_>>>()?;
        let mean = MeanReaction::new(listeners)?;
        let maker = Baselines { samples: config.evaluate.samples, seed: config.seed, mean: Some(&mean) };
        let mut systems = Vec::new();
        for baseline in Baseline::ALL {
            let kind = if baseline == Baseline::GroundTruth { Kind::Truth } else { Kind::Baseline };
            let prediction = maker.stack(baseline, self.listener.view(), Some(self.speaker.view()))?;
            systems.push(self.system(baseline.name(), kind, &prediction)?);
        }
        if config.corpus.kind == CorpusKind::Synthetic {
            systems.push(self.system("oracle", Kind::Oracle, &self.oracle(config)?)?);
        }
        Ok(systems)
    }
}

/// A permutation of 0..n that leaves nothing in its place where n > 1 (Sattolo's algorithm).
fn derangement(n: usize, draws: &mut Draws) -> Vec<usize> {
    let mut order: Vec<_> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, draws.below(i));
    }
    order
}

/// Changes with anything that the scores depend on.
fn key(config: &Config, run: &Run) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for path in [run.best(), config.corpus.packed.join("manifest.jsonl")] {
        hasher.update(&std::fs::read(&path).with_context(|| format!("cannot read {} (train first)", path.display()))?);
    }
    hasher.update(&serde_json::to_vec(&(&config.evaluate, config.seed, &config.corpus.root))?);
    Ok(hasher.finalize().to_hex().to_string())
}
