//! Evaluation: several reactions to every clip of a split, scored beside the real listeners, the naive baselines, controls
//! that take something away from the network, and on the synthetic corpus an oracle.

mod analysis;
mod data;

pub(crate) use analysis::REAL;
pub use analysis::{Analysis, Channels, Jumps, Lags};

use crate::compute::{Part, precision_on};
use crate::config::{Config, Task};
use crate::predict::Checkpoint;
use crate::{Progress, Run};
use anyhow::{Context, Result};
use data::{Data, Generated, Shown};
use ndarray::Array4;
use react_metrics::{ClipScores, Scores};
use react_model::device::Choice;
use react_viz::{Kind, Metric, Score, ScoreRow, ScoreTable};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The name of the network's row.
pub const MODEL: &str = "Trans-VAE";

/// The controls: the network with something taken away. Scores must fall if it uses what was taken.
const CONTROLS: [(&str, Shown); 3] =
    [("speakers shuffled", Shown::Shuffled), ("without sound", Shown::WithoutSound), ("without picture", Shown::WithoutPicture)];

/// The places of clips, from the highest score to the lowest.
pub(crate) fn ranked(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    order
}

/// The clip with the median score: the one that everything shows which shows a single clip. None without clips.
pub(crate) fn median(scores: &[f64]) -> Option<usize> {
    ranked(scores).get(scores.len() / 2).copied()
}

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
    /// Published scores of each clip.
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
    /// FRDiv; older evaluations have none.
    #[serde(rename = "FRDiv", default, skip_serializing_if = "Vec::is_empty")]
    pub fr_div: Vec<f64>,
    /// FRVar; older evaluations have none.
    #[serde(rename = "FRVar", default, skip_serializing_if = "Vec::is_empty")]
    pub fr_var: Vec<f64>,
    /// The clip's share of FRDvs; older evaluations have none.
    #[serde(rename = "FRDvs", default, skip_serializing_if = "Vec::is_empty")]
    pub fr_dvs: Vec<f64>,
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
            per_clip: PerClip {
                fr_corr: per_clip(|clip| clip.published.fr_corr),
                fr_dist: per_clip(|clip| clip.published.fr_dist),
                fr_div: per_clip(|clip| clip.published.fr_div),
                fr_var: per_clip(|clip| clip.published.fr_var),
                fr_dvs: per_clip(|clip| clip.published.fr_dvs),
            },
            warnings: scores.diagnostics.warnings(),
        })
    }

    /// A published score clip by clip, by its name; none where it is not kept.
    #[must_use]
    pub fn of_clips(&self, metric: &str) -> Option<&[f64]> {
        let PerClip { fr_corr, fr_dist, fr_div, fr_var, fr_dvs } = &self.per_clip;
        let all = [("FRCorr", fr_corr), ("FRDist", fr_dist), ("FRDiv", fr_div), ("FRVar", fr_var), ("FRDvs", fr_dvs)];
        all.into_iter().find(|(name, _)| *name == metric).map(|(_, values)| values.as_slice())
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

/// Evaluates the best checkpoint of a run and writes `scores.json`, `scores.csv`, `scores.tex`, `reaction_emotion.npy`
/// `[N, K, T, 25]`, and what the plots need beside them ([`Analysis`]); what is there already for the same weights, data and settings is read instead.
///
/// # Errors
/// Where the checkpoint or the packed corpus is missing or does not fit.
pub fn evaluate(config: &Config, run: &Run) -> Result<Evaluation> {
    let key = key(config, run)?;
    if let Some(evaluation) = read(run)?.filter(|evaluation| evaluation.key == key) {
        return Ok(Evaluation { reused: true, ..evaluation });
    }
    let best = run.best();
    let compute = config.compute()?;
    compute.record(run.folder(), "evaluate", Part::Whole)?;
    let mut checkpoint = Checkpoint::read_on(&best, &compute).with_context(|| "nothing to evaluate: train first".to_owned())?;
    checkpoint.model = checkpoint.model.with_windows(config.evaluate.windows())?;
    let data = Data::open(config)?;
    let progress = Progress::new("evaluate", ((1 + CONTROLS.len()) * data.split.len()) as u64);
    let (mut systems, mut analysis) = (Vec::new(), Analysis::of_real_listeners(&key, &data, config));
    let Generated { emotion: prediction, means } = data.generate(&checkpoint, &compute, config, Shown::Own, &progress)?;
    react_store::write_npy(&run.file("reaction_emotion.npy"), &prediction)?;
    analysis.add(MODEL, &data, prediction.view());
    systems.push(data.system(MODEL, Kind::Model, &prediction)?);
    for (name, shown) in CONTROLS {
        let control = data.generate(&checkpoint, &compute, config, shown, &progress)?.emotion;
        analysis.add(name, &data, control.view());
        systems.push(data.system(name, Kind::Control, &control)?);
    }
    systems.extend(data.naive(config, &mut |name, prediction| analysis.add(name, &data, prediction))?);
    analysis.write(run, &means)?;
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
    let systems = data.naive(config, &mut |_, _| ())?;
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

    /// The network's scores.
    ///
    /// # Errors
    /// Where nothing was evaluated.
    pub(crate) fn model_scores(&self) -> Result<&System> {
        self.systems.first().context("an evaluation of nothing")
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

/// Changes with anything that the scores depend on.
fn key(config: &Config, run: &Run) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for path in [run.best(), config.corpus.packed.join("manifest.jsonl")] {
        hasher.update(&std::fs::read(&path).with_context(|| format!("cannot read {} (train first)", path.display()))?);
    }
    hasher.update(&serde_json::to_vec(&(&config.evaluate, config.seed, &config.corpus.root))?);
    // A card rounds otherwise: its scores are its own.
    if config.device != Choice::Cpu {
        hasher.update(format!("{} {}", config.device, precision_on(config.device, config.precision)).as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
