//! What a run is told: one TOML a preset, `--config PRESET|FILE`, `--set key=value` on top.

mod model;
mod train;

pub use model::{Model, Tail, Task};
pub(crate) use train::cosine;
pub use train::{Schedule, Train};

use crate::Compute;
use anyhow::{Context, Result, bail};
use react_media::FrameShape;
use react_model::Precision;
use react_model::device::Choice;
use react_model::transvae::Windows;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The presets that the program carries, by name.
pub const PRESETS: [(&str, &str); 5] = [
    ("demo", include_str!("../../../../configs/demo.toml")),
    ("offline", include_str!("../../../../configs/offline.toml")),
    ("offline-synthetic", include_str!("../../../../configs/offline-synthetic.toml")),
    ("online", include_str!("../../../../configs/online.toml")),
    ("online-demo", include_str!("../../../../configs/online-demo.toml")),
];

/// Everything that determines a run.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run's folder is `runs/<name>`.
    pub name: String,
    /// Seed of everything drawn: the synthetic corpus, weights, order, crops, dropout, samples.
    pub seed: u64,
    /// What computes: `cpu`, `cuda` or `cuda:N` (`--device`). Reports and videos are drawn by the processor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub device: Choice,
    /// How exactly a card computes: `f32`, `tf32` (where none is named) or `bf16` (`--precision`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Where the data are.
    pub corpus: Corpus,
    /// Frames as the network sees them.
    pub frames: Frames,
    /// The network.
    pub model: Model,
    /// The training.
    pub train: Train,
    /// The evaluation.
    pub evaluate: Evaluate,
}

/// Where the data are, and of which kind.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// `synthetic`, `react2024` or `react2025`: the recipe of `data-prep/` that reads it.
    pub kind: CorpusKind,
    /// The corpus as published.
    pub root: PathBuf,
    /// What `prepare` writes and training reads.
    pub packed: PathBuf,
    /// How it keeps frames: `npy`, or `source`: decoded from the corpus's videos whenever they are wanted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub store: react_data::Store,
    /// How the synthetic corpus is made where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Synthetic>,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The kinds of corpora that can be prepared.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CorpusKind {
    /// Made by `react-train synth`.
    Synthetic,
    /// The REACT 2023/2024 challenge's layout.
    React2024,
    /// The REACT 2025/2026 challenge's layout, MARS.
    React2025,
    /// Hume-Reaction's layout, for intensities.
    Hume,
}

impl CorpusKind {
    /// The name of its recipe in `data-prep/`.
    #[must_use]
    pub fn recipe(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::React2024 => "react2024",
            Self::React2025 => "react2025",
            Self::Hume => "hume",
        }
    }
}

/// Sizes of the synthetic corpus.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// Dyads to train on.
    pub pairs_train: usize,
    /// Dyads to validate on; nobody in them is in the training split.
    pub pairs_val: usize,
    /// Frames of each clip, at 25 frames/s.
    pub frames: usize,
    /// Width and height of the videos in pixels.
    pub size: usize,
}

/// Frames as the network sees them: the shorter side resized, then the centre cropped.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Frames {
    /// Pixels of the shorter side before the crop.
    pub shorter: usize,
    /// Pixels of the square centre crop.
    pub crop: usize,
}

impl From<Frames> for FrameShape {
    fn from(frames: Frames) -> Self {
        Self { shorter: frames.shorter, crop: frames.crop }
    }
}

/// The evaluation.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The split; the training validates on it too.
    pub split: String,
    /// Reactions generated for each clip.
    pub samples: usize,
    /// Frames that are scored, from the first; the published 750.
    pub frames: usize,
    /// Online, frames of a window in validation and evaluation; 8 as published.
    #[serde(default = "published_window")]
    pub window: usize,
    /// Online, what becomes of frames that do not fill a window.
    #[serde(default)]
    pub tail: Tail,
}

fn published_window() -> usize {
    8
}

impl Evaluate {
    /// How clips are cut in validation and evaluation.
    #[must_use]
    pub fn windows(&self) -> Windows {
        Windows { frames: self.window, tail: self.tail.into() }
    }
}

impl Config {
    /// Reads a preset or a file, and sets keys on top of it.
    ///
    /// # Errors
    /// Where there is no such preset or file, or a key is unknown, missing or of the wrong type.
    pub fn load(preset_or_file: &str, set: &[String]) -> Result<Self> {
        let table = read_table(&PRESETS, preset_or_file, set)?;
        let config: Self = table.try_into().with_context(|| format!("the configuration {preset_or_file} cannot be used"))?;
        config.check().with_context(|| format!("the configuration {preset_or_file} cannot be used"))?;
        Ok(config)
    }

    /// Opens what computes.
    ///
    /// # Errors
    /// As [`Compute::open`].
    pub fn compute(&self) -> Result<Compute> {
        Compute::open(self.device, self.precision)
    }

    /// The folder of this run.
    #[must_use]
    pub fn run_folder(&self) -> PathBuf {
        Path::new("runs").join(&self.name)
    }

    /// The configuration as TOML.
    ///
    /// # Errors
    /// Where a number has no form in TOML.
    pub fn to_toml(&self) -> Result<String> {
        Ok(toml::to_string(self)?)
    }

    fn check(&self) -> Result<()> {
        let least = [
            ("frames.crop", self.frames.crop, 16),
            ("model.width", self.model.width, 8),
            ("model.window", self.model.window, 1),
            ("evaluate.window", self.evaluate.window, 1),
            ("evaluate.samples", self.evaluate.samples, 1),
            ("evaluate.frames", self.evaluate.frames, 2),
        ];
        for (key, value, least) in least {
            if value < least {
                bail!("{key} must be at least {least}, is {value}");
            }
        }
        if self.corpus.kind == CorpusKind::Hume {
            bail!("corpus.kind = hume is for intensities (--config eri-fusion and its like): it has no listeners");
        }
        self.train.check()?;
        if self.frames.crop > self.frames.shorter {
            bail!("frames.crop ({}) must not exceed frames.shorter ({})", self.frames.crop, self.frames.shorter);
        }
        if !self.model.width.is_multiple_of(8) {
            bail!("model.width must be a multiple of 8 (4 heads, and a quarter of it in the first convolution), is {}", self.model.width);
        }
        check_name(&self.name)
    }
}

/// That a run's name is that of one folder.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() || name.contains(['/', '\\']) || name.starts_with('.') {
        bail!("name must be the name of one folder, is '{name}'");
    }
    Ok(())
}

/// The table of a preset or a file, with keys set on top of it.
pub(crate) fn read_table(presets: &[(&str, &str)], preset_or_file: &str, set: &[String]) -> Result<Table> {
    let text = match presets.iter().find(|(name, _)| *name == preset_or_file) {
        Some((_, text)) => (*text).to_owned(),
        None => {
            let known = presets.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            let missing = || format!("cannot read the configuration {preset_or_file} (no file, and the presets are {known})");
            std::fs::read_to_string(preset_or_file).with_context(missing)?
        }
    };
    let mut table: Table = text.parse().with_context(|| format!("the configuration {preset_or_file} is not valid TOML"))?;
    for assignment in set {
        assign(&mut table, assignment).with_context(|| format!("--set {assignment}"))?;
    }
    Ok(table)
}

/// Sets `a.b.c=value` in a table; a value that is no TOML is taken as a string.
fn assign(table: &mut Table, assignment: &str) -> Result<()> {
    let (key, value) = assignment.split_once('=').context("must have the form key=value")?;
    let value = format!("v = {value}")
        .parse::<Table>()
        .ok()
        .and_then(|mut parsed| parsed.remove("v"))
        .unwrap_or_else(|| Value::String(value.to_owned()));
    let mut keys = key.split('.').collect::<Vec<_>>();
    let last = keys.pop().unwrap_or_default();
    let mut place = table;
    for part in keys {
        let entry = place.entry(part).or_insert_with(|| Value::Table(Table::new()));
        place = entry.as_table_mut().with_context(|| format!("{part} is no group of keys"))?;
    }
    place.insert(last.to_owned(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_survives_its_own_snapshot() {
        for (name, _) in PRESETS {
            let config = Config::load(name, &[]).unwrap();
            assert_eq!(config.name, name);
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config.toml");
            std::fs::write(&file, config.to_toml().unwrap()).unwrap();
            assert_eq!(Config::load(file.to_str().unwrap(), &[]).unwrap(), config);
        }
    }

    #[test]
    fn the_published_hyper_parameters() {
        for (name, task) in [("offline", Task::Offline), ("online", Task::Online)] {
            let config = Config::load(name, &[]).unwrap();
            let train = &config.train;
            assert_eq!((config.model.task, config.model.width, train.batch, train.epochs, train.clip_frames), (task, 128, 4, 50, 256));
            assert_eq!((train.learning_rate, train.weight_decay, train.kl_p, train.div_p), (1e-5, 5e-4, 1e-5, 10.0));
            assert!(train.decay_biases_and_norms && train.accumulate == 1 && train.clip_gradient.is_none() && train.ema.is_none());
            assert_eq!((train.schedule, train.warmup_steps, train.validate_every), (Schedule::Constant, 0, 10));
            assert_eq!((config.model.window, config.evaluate.window, config.evaluate.frames), (16, 8, 750));
            assert_eq!((config.frames.shorter, config.frames.crop), (256, 224));
        }
    }

    #[test]
    fn keys_are_set_by_their_path() {
        let set = ["train.batch=2", "name=other", "corpus.root=a b"].map(String::from);
        let config = Config::load("demo", &set).unwrap();
        assert_eq!((config.train.batch, config.name.as_str(), config.corpus.root.to_str()), (2, "other", Some("a b")));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |preset: &str, set: &str| format!("{:#}", Config::load(preset, &[set.to_owned()]).unwrap_err());
        assert!(error("demo", "train.bach=2").contains("bach"));
        assert!(error("demo", "train.batch=many").contains("batch"));
        assert!(error("demo", "train").contains("key=value"));
        assert!(error("demo", "train.accumulate=0").contains("train.accumulate must be at least 1"));
        assert!(error("demo", "train.learning_rate=0").contains("train.learning_rate"));
        assert!(error("demo", "train.ema=1.5").contains("train.ema"));
        assert!(error("demo", "train.milestones=[3]").contains("train.schedule = \"step\""));
        assert!(error("demo", "model.window=0").contains("model.window"));
        assert!(error("demo", "model.width=30").contains("multiple of 8"));
        assert!(error("none", "seed=1").contains("presets are demo, offline"));
        assert!(error("demo", "name=../x").contains("one folder"));
    }
}
