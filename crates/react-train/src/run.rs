//! The folder of a run: configuration, metrics of training, checkpoints, scores, report.

use crate::config::Config;
use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A run's folder, `runs/<name>`.
#[derive(Clone, Debug)]
pub struct Run {
    folder: PathBuf,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Record {
    /// One optimizer step.
    Step {
        /// The step, from 0.
        step: u64,
        /// The epoch, from 0.
        epoch: u32,
        /// The whole loss.
        loss: f64,
        /// Mean squared errors, as published.
        reconstruction: f64,
        /// KL divergence, not weighted.
        kl: f64,
        /// Diversity term, not weighted.
        diversity: f64,
        /// Learning rate.
        learning_rate: f64,
        /// Global norm of the gradient before clipping.
        gradient_norm: f64,
    },
    /// One pass over the validation split, with the latent means.
    Validation {
        /// Epochs trained.
        epoch: u32,
        /// Steps trained.
        step: u64,
        /// Mean squared errors.
        reconstruction: f64,
        /// KL divergence, not weighted.
        kl: f64,
        /// What the best checkpoint has least of: reconstruction + kl_p · KL.
        selection: f64,
    },
}

impl Record {
    /// Steps that had been made when it was written.
    #[must_use]
    pub fn steps(&self) -> u64 {
        match self {
            Self::Step { step, .. } => step + 1,
            Self::Validation { step, .. } => *step,
        }
    }
}

impl Run {
    /// The run of a configuration; makes its folder.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open(config: &Config) -> Result<Self> {
        Self::at(&config.run_folder())
    }

    /// A run in any folder; makes it.
    ///
    /// # Errors
    /// Where the folder cannot be made.
    pub fn at(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// An existing run, by its folder.
    ///
    /// # Errors
    /// Where there is no run.
    pub fn existing(folder: &Path) -> Result<(Self, Config)> {
        let run = Self { folder: folder.to_owned() };
        let file = run.config_file();
        let text = file.to_str().with_context(|| format!("the path {} is not valid Unicode", file.display()))?;
        let config = Config::load(text, &[]).with_context(|| format!("{} is no run", folder.display()))?;
        Ok((run, config))
    }

    /// A file of the run.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The snapshot of the configuration.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.file("config.toml")
    }

    /// Training's records.
    #[must_use]
    pub fn metrics_file(&self) -> PathBuf {
        self.file("metrics.jsonl")
    }

    /// Weights with the least selection value.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.file("best.safetensors")
    }

    /// Weights and the optimizer's state, to go on from.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.file("last.safetensors")
    }

    /// As [`Self::last`] after an epoch, kept for good.
    #[must_use]
    pub fn kept(&self, epoch: u64) -> PathBuf {
        self.file(&format!("epoch-{epoch:04}.safetensors"))
    }

    /// Training's records for TensorBoard.
    #[must_use]
    pub fn events(&self) -> PathBuf {
        self.file("events.out.tfevents.react-train")
    }

    /// Scores of the evaluation.
    #[must_use]
    pub fn scores(&self) -> PathBuf {
        self.file("scores.json")
    }

    /// The report.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.file("report.html")
    }

    /// Writes the records of training, whole.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn write_records(&self, records: &[Record]) -> Result<()> {
        write_records(&self.metrics_file(), records)
    }

    /// Reads the records of training; none where there is no file yet. A last line without an end, which a full disk can leave, is
    /// none.
    ///
    /// # Errors
    /// Where a line is no record.
    pub fn records(&self) -> Result<Vec<Record>> {
        read_records(&self.metrics_file())
    }

    /// Whether the last record has no end.
    pub(crate) fn has_torn_record(&self) -> Result<bool> {
        Ok(read_lines(&self.metrics_file())?.bytes().last().is_some_and(|byte| byte != b'\n'))
    }
}

/// The text of a file of records; empty where there is none.
fn read_lines(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The whole lines of a file of records; a last one without its end was being written when the program ended.
pub(crate) fn read_records<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = read_lines(path)?;
    let record = |(index, line): (usize, &str)| {
        serde_json::from_str(line).with_context(|| format!("{}, line {}: no record of training", path.display(), index + 1))
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().enumerate().map(record).collect()
}

/// Writes a file of records anew, atomically.
pub(crate) fn write_records<T: Serialize>(path: &Path, records: &[T]) -> Result<()> {
    let lines = records.iter().map(serde_json::to_string).collect::<Result<Vec<_>, _>>()?;
    let text = lines.into_iter().map(|line| line + "\n").collect::<String>();
    Ok(react_store::write_atomic(path, |file| file.write_all(text.as_bytes()))?)
}
