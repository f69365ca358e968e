//! What an intensity run is told. Its presets have `job = "eri"` in their first lines.

use crate::Compute;
use crate::config::{Schedule, check_name, cosine, is_default, read_table};
use anyhow::{Context, Result, ensure};
use react_model::Precision;
use react_model::device::Choice;
use react_model::eri::Modalities;
use react_model::frozen::Kind;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use toml::Table;

/// The presets that the program carries, by name.
pub(crate) const PRESETS: [(&str, &str); 6] = [
    ("eri-audio", include_str!("../../../../configs/eri-audio.toml")),
    ("eri-video", include_str!("../../../../configs/eri-video.toml")),
    ("eri-fusion", include_str!("../../../../configs/eri-fusion.toml")),
    ("eri-audio-small", include_str!("../../../../configs/eri-audio-small.toml")),
    ("eri-video-small", include_str!("../../../../configs/eri-video-small.toml")),
    ("eri-fusion-small", include_str!("../../../../configs/eri-fusion-small.toml")),
];

/// Everything that determines a run.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EriConfig {
    /// `eri`: what tells these configurations from the others.
    pub job: Job,
    /// The runs' folders are `runs/<name>/seed-<seed>`.
    pub name: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// What computes: `cpu`, `cuda` or `cuda:N` (`--device`). Reports and videos are drawn by the processor.
    #[serde(default, skip_serializing_if = "is_default")]
    pub device: Choice,
    /// How exactly a card computes: `f32`, `tf32` (where none is named) or `bf16` (`--precision`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Where the data are.
    pub corpus: Corpus,
    /// What the network sees of a clip.
    pub clip: Clip,
    /// The network.
    pub model: Model,
    /// The training.
    pub train: Train,
    /// The split that is validated and evaluated on.
    pub evaluate: Evaluate,
}

/// The job of these configurations.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Job {
    /// Emotional reaction intensity.
    Eri,
}

/// Where the data are.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Corpus {
    /// Hume-Reaction's layout.
    pub root: PathBuf,
    /// What `prepare` writes and training reads.
    pub packed: PathBuf,
    /// Boxes of faces, a csv with clip, frame, x, y, w, h; without it the centre of the picture is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boxes: Option<PathBuf>,
    /// How the synthetic corpus is made where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthetic: Option<Synthetic>,
}

/// Sizes of the synthetic corpus.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Synthetic {
    /// Clips to train on.
    pub train: usize,
    /// Clips to validate on.
    pub val: usize,
    /// Clips whose labels a challenge would keep.
    pub test: usize,
    /// Seconds of each clip.
    pub seconds: f64,
    /// Width and height of the videos in pixels.
    pub size: usize,
    /// Its seed, which is not the run's: runs of several seeds share a corpus.
    pub seed: u64,
}

/// What the network sees of a clip.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Clip {
    /// Pixels of a frame's side.
    pub crop: usize,
    /// Frames, spread evenly over the clip.
    pub frames: usize,
    /// Steps of sound, each a mean over its part of the clip.
    pub steps: usize,
}

/// The network.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its modalities.
    pub modalities: Modalities,
    /// Channels of the stem; the width is four times as many.
    pub stem: usize,
    /// A frozen network that looks at the frames instead of one that learns; `prepare --frame-features` computes what it sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_features: Option<Kind>,
}

/// The training.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// Passes over the training split.
    pub epochs: u32,
    /// Clips in a batch: the correlation in the loss is over it.
    pub batch: usize,
    /// Highest learning rate.
    pub learning_rate: f64,
    /// That of the backbone, which may have been trained on ImageNet.
    pub backbone_learning_rate: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// How the learning rates go on after the warm-up: constant or cosine.
    #[serde(default)]
    pub schedule: Schedule,
    /// Steps over which the learning rates rise from 0.
    #[serde(default)]
    pub warmup_steps: u64,
    /// Largest global norm of the gradient.
    pub clip_gradient: f64,
    /// λ: the loss is MSE + λ·(1 − mean correlation).
    pub lambda: f64,
    /// Probability that a clip loses one of its modalities (fusion only).
    pub modality_dropout: f32,
    /// The labels of training clips are shuffled: a control, which must come to nothing.
    #[serde(default)]
    pub shuffle_labels: bool,
    /// Whether TensorBoard's events are written beside `metrics.jsonl`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tensorboard: bool,
}

/// The split that is validated and evaluated on.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Evaluate {
    /// Its name.
    pub split: String,
    /// Clips that go through the network at once.
    pub batch: usize,
}

impl EriConfig {
    /// Whether a preset or a file is an intensity run's.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn is_named_by(preset_or_file: &str) -> Result<bool> {
        Ok(table(preset_or_file, &[])?.contains_key("job"))
    }

    /// Whether a folder holds the runs of an intensity configuration, or one of them.
    #[must_use]
    pub fn is_run(folder: &Path) -> bool {
        super::run::config_of(folder).is_some_and(|file| file.to_str().is_some_and(|name| Self::is_named_by(name).unwrap_or(false)))
    }

    /// Reads a preset or a file, and sets keys on top of it.
    ///
    /// # Errors
    /// Where there is no such preset or file, or a key is unknown, missing or of the wrong type.
    pub fn load(preset_or_file: &str, set: &[String]) -> Result<Self> {
        let place = || format!("the configuration {preset_or_file} cannot be used");
        let config: Self = table(preset_or_file, set)?.try_into().with_context(place)?;
        config.check().with_context(place)?;
        Ok(config)
    }

    /// Opens what computes.
    ///
    /// # Errors
    /// As [`Compute::open`].
    pub fn compute(&self) -> Result<Compute> {
        Compute::open(self.device, self.precision)
    }

    /// The folder of all seeds' runs.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        Path::new("runs").join(&self.name)
    }

    /// The same with another seed.
    #[must_use]
    pub fn with_seed(&self, seed: u64) -> Self {
        Self { seed, ..self.clone() }
    }

    /// The network's own configuration.
    #[must_use]
    pub fn network(&self, emotions: usize) -> react_model::eri::Config {
        let frame_features = self.model.frame_features.map(Kind::values);
        react_model::eri::Config {
            modalities: self.model.modalities,
            stem: self.model.stem,
            emotions,
            frame_features,
            ..Default::default()
        }
    }

    fn check(&self) -> Result<()> {
        let least = [
            ("clip.crop", self.clip.crop, 32),
            ("clip.frames", self.clip.frames, 1),
            ("clip.steps", self.clip.steps, 1),
            ("model.stem", self.model.stem, 1),
            ("train.epochs", self.train.epochs as usize, 1),
            ("train.batch", self.train.batch, 2),
            ("evaluate.batch", self.evaluate.batch, 1),
        ];
        for (key, value, least) in least {
            ensure!(value >= least, "{key} must be at least {least}, is {value}");
        }
        let train = &self.train;
        let positive = [
            ("learning_rate", train.learning_rate),
            ("backbone_learning_rate", train.backbone_learning_rate),
            ("clip_gradient", train.clip_gradient),
        ];
        for (key, value) in positive {
            ensure!(value > 0.0 && value.is_finite(), "train.{key} must be above 0, is {value}");
        }
        for (key, value) in [("weight_decay", train.weight_decay), ("lambda", train.lambda)] {
            ensure!(value >= 0.0 && value.is_finite(), "train.{key} must be 0 or more, is {value}");
        }
        ensure!((0.0..=1.0).contains(&train.modality_dropout), "train.modality_dropout must be from 0 to 1, is {}", train.modality_dropout);
        ensure!(train.schedule != Schedule::Step, "train.schedule must be constant or cosine");
        check_name(&self.name)
    }
}

impl Train {
    /// The share of the highest learning rates at a step (0-based) of `steps`.
    #[must_use]
    pub fn rate_at(&self, step: u64, steps: u64) -> f64 {
        if step < self.warmup_steps {
            return (step + 1) as f64 / self.warmup_steps as f64;
        }
        match self.schedule {
            Schedule::Constant | Schedule::Step => 1.0,
            Schedule::Cosine => cosine(step, self.warmup_steps, steps),
        }
    }
}

fn table(preset_or_file: &str, set: &[String]) -> Result<Table> {
    let presets: Vec<(&str, &str)> = crate::config::PRESETS.into_iter().chain(PRESETS).collect();
    read_table(&presets, preset_or_file, set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_valid_and_survives_its_own_snapshot() {
        for (name, _) in PRESETS {
            let config = EriConfig::load(name, &[]).unwrap();
            assert_eq!(config.name, name);
            assert!(EriConfig::is_named_by(name).unwrap() && !EriConfig::is_named_by("demo").unwrap());
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("config.toml");
            std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
            assert_eq!(EriConfig::load(file.to_str().unwrap(), &[]).unwrap(), config);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let error = |set: &str| format!("{:#}", EriConfig::load("eri-fusion", &[set.to_owned()]).unwrap_err());
        assert!(error("train.bach=2").contains("bach"));
        assert!(error("train.batch=1").contains("train.batch must be at least 2"));
        assert!(error("train.modality_dropout=1.5").contains("modality_dropout"));
        assert!(error("model.modalities=smell").contains("smell"));
    }
}
