//! The folders of a configuration's runs, one a seed.

use super::config::EriConfig;
use crate::run::{read_records, write_records};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The run of one seed, `runs/<name>/seed-<seed>`.
#[derive(Clone, Debug)]
pub struct SeedRun {
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
        /// Mean squared error.
        mse: f64,
        /// Mean correlation over the batch.
        correlation: f64,
        /// Learning rate, but for the backbone's.
        learning_rate: f64,
        /// Global norm of the gradient before clipping.
        gradient_norm: f64,
    },
    /// One pass over the validation split.
    Validation {
        /// Epochs trained.
        epoch: u32,
        /// Steps trained.
        step: u64,
        /// Mean correlation over the split: the best checkpoint has most of it.
        correlation: f64,
        /// Mean absolute error.
        mae: f64,
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

impl SeedRun {
    /// The run of a configuration and its seed.
    #[must_use]
    pub fn of(config: &EriConfig) -> Self {
        Self { folder: config.folder().join(format!("seed-{}", config.seed)) }
    }

    /// Every seed that was trained, in their order.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn all(config: &EriConfig) -> Result<Vec<(u64, Self)>> {
        let folder = config.folder();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", folder.display())),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
            let seed = path.file_name().and_then(|name| name.to_str()?.strip_prefix("seed-")?.parse().ok());
            if let Some(seed) = seed
                && path.join("best.safetensors").exists()
            {
                runs.push((seed, Self { folder: path }));
            }
        }
        runs.sort_by_key(|(seed, _)| *seed);
        Ok(runs)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Weights with the highest correlation on the validation split.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.folder.join("best.safetensors")
    }

    /// Weights and the optimizer's state, to go on from.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.folder.join("last.safetensors")
    }

    /// Training's records; none where there was no training.
    ///
    /// # Errors
    /// Where a line is no record.
    pub fn records(&self) -> Result<Vec<Record>> {
        read_records(&self.folder.join("metrics.jsonl"))
    }

    pub(super) fn write_records(&self, records: &[Record]) -> Result<()> {
        write_records(&self.folder.join("metrics.jsonl"), records)
    }

    pub(super) fn write_config(&self, config: &EriConfig) -> Result<()> {
        let text = toml::to_string(config)?;
        Ok(react_store::write_atomic(&self.folder.join("config.toml"), |file| file.write_all(text.as_bytes()))?)
    }
}

/// The snapshot of the configuration in a seed's folder, or in the first seed's of a configuration's.
pub(super) fn config_of(folder: &Path) -> Option<PathBuf> {
    let own = folder.join("config.toml");
    if own.is_file() {
        return Some(own);
    }
    let mut below: Vec<PathBuf> = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path().join("config.toml")).collect();
    below.retain(|file| file.is_file());
    below.sort();
    below.into_iter().next()
}
