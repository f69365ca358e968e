//! What a run is told: one TOML a preset, `--config PRESET|FILE`, `--set key=value` on top.

use anyhow::{Context, Result, bail};
use react_media::FrameShape;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The presets that the program carries, by name.
pub const PRESETS: [(&str, &str); 3] = [
    ("demo", include_str!("../../../configs/demo.toml")),
    ("offline", include_str!("../../../configs/offline.toml")),
    ("offline-synthetic", include_str!("../../../configs/offline-synthetic.toml")),
];

/// Everything that determines a run.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run's folder is `runs/<name>`.
    pub name: String,
    /// Seed of everything drawn: the synthetic corpus, weights, order, crops, dropout, samples.
    pub seed: u64,
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
    /// `synthetic` or `react2024`: the recipe of `data-prep/` that reads it.
    pub kind: CorpusKind,
    /// The corpus as published.
    pub root: PathBuf,
    /// What `prepare` writes and training reads.
    pub packed: PathBuf,
    /// How the synthetic corpus is made where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Synthetic>,
}

/// The kinds of corpora that can be prepared.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum CorpusKind {
    /// Made by `react-train synth`.
    Synthetic,
    /// The REACT 2023/2024 challenge's layout.
    React2024,
}

impl CorpusKind {
    /// The name of its recipe in `data-prep/`.
    #[must_use]
    pub fn recipe(self) -> &'static str {
        match self {
            Self::Synthetic => "synthetic",
            Self::React2024 => "react2024",
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

/// The network.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub task: Task,
    /// d, the width of all features; 128 as published.
    pub width: usize,
}

/// What is generated from what.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    /// The whole reaction from the whole clip.
    Offline,
}

/// The training.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Passes over the mirrored training pairs.
    pub epochs: u32,
    /// Clips in a batch.
    pub batch: usize,
    /// Frames of each random crop.
    pub clip_frames: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// Decoupled weight decay, on every parameter.
    pub weight_decay: f64,
    /// How the learning rate goes on after the warm-up.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps over which the learning rate rises from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Largest global norm of the gradient; without it no clipping, as published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip_gradient: Option<f64>,
    /// Weight of the KL divergence.
    pub kl_p: f64,
    /// Weight of the diversity term.
    pub div_p: f64,
    /// Epochs between validations.
    pub validate_every: u32,
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
}

impl Train {
    /// The learning rate of a step (0-based) of `steps`.
    #[must_use]
    pub fn learning_rate_at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return self.learning_rate * (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.schedule {
            Schedule::Constant => self.learning_rate,
            Schedule::Cosine => {
                let gone = (step - self.warmup_steps) as f64 / (steps.saturating_sub(self.warmup_steps)).max(1) as f64;
                self.learning_rate * 0.5 * (1.0 + (std::f64::consts::PI * gone.min(1.0)).cos())
            }
        }
    }
}

/// The evaluation.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// The split.
    pub split: String,
    /// Reactions generated for each clip.
    pub samples: usize,
    /// Frames that are scored, from the first; the published 750.
    pub frames: usize,
}

impl Config {
    /// Reads a preset or a file, and sets keys on top of it.
    ///
    /// # Errors
    /// Where there is no such preset or file, or a key is unknown, missing or of the wrong type.
    pub fn load(preset_or_file: &str, set: &[String]) -> Result<Self> {
        let text = match PRESETS.iter().find(|(name, _)| *name == preset_or_file) {
            Some((_, text)) => (*text).to_owned(),
            None => {
                let known = PRESETS.map(|(name, _)| name).join(", ");
                let missing = || format!("cannot read the configuration {preset_or_file} (no file, and the presets are {known})");
                std::fs::read_to_string(preset_or_file).with_context(missing)?
            }
        };
        let mut table: Table = text.parse().with_context(|| format!("the configuration {preset_or_file} is not valid TOML"))?;
        for assignment in set {
            assign(&mut table, assignment).with_context(|| format!("--set {assignment}"))?;
        }
        let config: Self = table.try_into().with_context(|| format!("the configuration {preset_or_file} cannot be used"))?;
        config.check().with_context(|| format!("the configuration {preset_or_file} cannot be used"))?;
        Ok(config)
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
            ("train.batch", self.train.batch, 1),
            ("train.clip_frames", self.train.clip_frames, 2),
            ("train.validate_every", self.train.validate_every as usize, 1),
            ("evaluate.samples", self.evaluate.samples, 1),
            ("evaluate.frames", self.evaluate.frames, 2),
        ];
        for (key, value, least) in least {
            if value < least {
                bail!("{key} must be at least {least}, is {value}");
            }
        }
        if self.frames.crop > self.frames.shorter {
            bail!("frames.crop ({}) must not exceed frames.shorter ({})", self.frames.crop, self.frames.shorter);
        }
        if !self.model.width.is_multiple_of(8) {
            bail!("model.width must be a multiple of 8 (4 heads, and a quarter of it in the first convolution), is {}", self.model.width);
        }
        if self.name.is_empty() || self.name.contains(['/', '\\']) || self.name.starts_with('.') {
            bail!("name must be the name of one folder, is '{}'", self.name);
        }
        Ok(())
    }
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
        let config = Config::load("offline", &[]).unwrap();
        let train = &config.train;
        assert_eq!((config.model.width, train.batch, train.epochs, train.clip_frames), (128, 4, 50, 256));
        assert_eq!((train.learning_rate, train.weight_decay, train.kl_p, train.div_p), (1e-5, 5e-4, 1e-5, 10.0));
        assert_eq!((train.learning_rate_at(0, 100), train.learning_rate_at(99, 100)), (1e-5, 1e-5));
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
        assert!(error("demo", "model.width=30").contains("multiple of 8"));
        assert!(error("none", "seed=1").contains("presets are demo, offline"));
        assert!(error("demo", "name=../x").contains("one folder"));
    }

    #[test]
    fn a_cosine_begins_at_the_top_and_ends_at_zero() {
        let train = Config::load("demo", &["train.warmup_steps=10".to_owned(), "train.learning_rate=1.0".to_owned()]).unwrap().train;
        assert_eq!(train.learning_rate_at(4, 110), 0.5);
        assert_eq!(train.learning_rate_at(10, 110), 1.0);
        assert!((train.learning_rate_at(60, 110) - 0.5).abs() < 1e-12);
        assert!(train.learning_rate_at(110, 110).abs() < 1e-12);
    }
}
