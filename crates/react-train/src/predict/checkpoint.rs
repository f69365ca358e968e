//! A network from a file.

use crate::Compute;
use crate::config::Frames as FrameSizes;
use anyhow::{Context, Result};
use ndarray::Array1;
use react_contracts::COEFFS;
use react_model::Params;
use react_model::transvae::{TransVae, Windows};
use react_model::weights::{self, Tensors};
use std::path::Path;

/// The published size of frames, for checkpoints that do not say theirs.
const PUBLISHED_FRAMES: FrameSizes = FrameSizes { shorter: 256, crop: 224 };

/// A network read from a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// The network.
    pub model: TransVae,
    /// The frames that it was trained on.
    pub frames: FrameSizes,
    /// What was taken from the coefficients that it was trained on, `[58]`; published files do not say.
    pub mean_face: Option<Array1<f32>>,
}

impl Checkpoint {
    /// Reads a checkpoint of this program (.safetensors) or of the published one (.pth); width and task come from its weights.
    /// An online network cuts clips into windows as published for evaluation, of 8 frames.
    ///
    /// # Errors
    /// Where the file cannot be read, or its tensors are not those of the network.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_on(path, &Compute::cpu())
    }

    /// The same on any device: a file of weights is of none.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_on(path: &Path, compute: &Compute) -> Result<Self> {
        let tensors = Tensors::read(path)?;
        let params = Params::to_be_read_on(compute.device());
        let config = react_model::transvae::Config { windows: Windows::of(8), ..tensors.transvae()? };
        let model = TransVae::new(config, &params.root()).with_context(|| path.display().to_string())?;
        weights::load(&tensors, &params)?;
        let note = |key: &str| tensors.note().values.get(key);
        let frames = match note("frames") {
            Some(text) => serde_json::from_str(text).with_context(|| format!("{}: its note on frames", path.display()))?,
            None => PUBLISHED_FRAMES,
        };
        let mean_face = match note("mean_face") {
            Some(text) => {
                let values: Option<Vec<f32>> = serde_json::from_str(text).ok();
                let values = values.filter(|values| values.len() == COEFFS);
                Some(Array1::from(values.with_context(|| format!("{}: its note on the mean face", path.display()))?))
            }
            None => None,
        };
        Ok(Self { model, frames, mean_face })
    }
}
