//! A trained network from a file.

use super::config::Clip;
use super::data::{Without, predictions};
use super::features::Features;
use crate::Compute;
use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use react_data::hume::EriSplit;
use react_model::Params;
use react_model::eri::Eri;
use react_model::frozen::{FrozenEncoder, Kind};
use react_model::weights::{self, Tensors};
use std::path::{Path, PathBuf};

/// A network read from a checkpoint, and what it was trained on.
#[derive(Debug)]
pub struct TrainedEri {
    /// The network.
    pub model: Eri,
    /// What it sees of a clip.
    pub clip: Clip,
    /// Its outputs' names.
    pub emotions: Vec<String>,
    /// The network that looks at its frames, where that is a frozen one.
    pub kind: Option<Kind>,
    pub(super) eye: Option<FrozenEncoder>,
    pub(super) compute: Compute,
    path: PathBuf,
}

impl TrainedEri {
    /// Reads a checkpoint of this program.
    ///
    /// # Errors
    /// Where the file cannot be read, is no intensity network's, or does not hold what it says.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_on(path, &Compute::cpu())
    }

    /// The same on any device: a file of weights is of none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_on(path: &Path, compute: &Compute) -> Result<Self> {
        let tensors = Tensors::read(path)?;
        let note = |key: &str| {
            let text = tensors.note().values.get(key);
            text.with_context(|| format!("{}: has no note '{key}': is it a checkpoint of an intensity network?", path.display()))
        };
        let place = |key: &str| format!("{}: its note '{key}'", path.display());
        let config = serde_json::from_str(note("eri")?).with_context(|| place("eri"))?;
        let params = Params::to_be_read_on(compute.device());
        let model = Eri::new(config, &params.root()).with_context(|| path.display().to_string())?;
        weights::load(&tensors, &params)?;
        let emotions: Vec<String> = serde_json::from_str(note("emotions")?).with_context(|| place("emotions"))?;
        ensure!(emotions.len() == config.emotions, "{}: {} names for {} emotions", place("emotions"), emotions.len(), config.emotions);
        let clip = serde_json::from_str(note("clip")?).with_context(|| place("clip"))?;
        let kind = serde_json::from_str(note("frame_features")?).with_context(|| place("frame_features"))?;
        Ok(Self { model, clip, emotions, kind, eye: None, compute: compute.clone(), path: path.to_owned() })
    }

    /// With the weights of the frozen network that looks at its frames, for prediction from files.
    ///
    /// # Errors
    /// Where it needs them and they are not given, or it has no use for them, or they cannot be read.
    pub fn with_eye(mut self, weights: Option<&Path>) -> Result<Self> {
        self.eye = match (self.kind, weights) {
            (None, None) => None,
            (Some(kind), Some(weights)) => Some(FrozenEncoder::load(kind, weights, self.compute.device())?),
            (Some(kind), None) => bail!("{}: looks through {}: give its --weights", self.path.display(), kind.name()),
            (None, Some(_)) => bail!("{}: sees pixels: --weights are for networks that look through a frozen one", self.path.display()),
        };
        Ok(self)
    }

    /// Intensities of a whole packed split, `[N, emotions]`.
    ///
    /// # Errors
    /// Where a clip, or its features, cannot be read.
    pub fn predictions(&self, packed: &Path, split: &EriSplit, batch: usize, without: Option<Without>) -> Result<Array2<f32>> {
        let features = self.kind.map(|kind| Features::open(packed, kind)).transpose()?;
        predictions(&self.model, split, features.as_ref(), batch, without, &self.compute)
    }

    /// That data have the emotions that the network was trained on.
    pub(super) fn check_emotions(&self, found: &[String]) -> Result<()> {
        ensure!(self.emotions == found, "{}: was trained on {:?}, the data have {found:?}", self.path.display(), self.emotions);
        Ok(())
    }
}
