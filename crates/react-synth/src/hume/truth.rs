//! `truth.json`: what only the one who made the corpus knows.

use super::ceiling::Ceiling;
use super::config::HumeSynthConfig;
use super::latent::{HumeClip, clips};
use crate::SynthError;
use react_store::write_atomic;
use serde::{Deserialize, Serialize};
use std::path::Path;

const FILE: &str = "truth.json";
/// Changes with the model: a corpus of another version has other clips from the same configuration.
const VERSION: u32 = 1;
const KIND: &str = "hume";

/// The truth about a corpus: its configuration, what each clip shows, and what can be read off it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumeTruth {
    /// `hume`.
    pub kind: String,
    /// The model's version.
    pub version: u32,
    /// Whether every clip was written.
    pub complete: bool,
    /// What it was made from.
    pub config: HumeSynthConfig,
    /// What a perfect reader would reach.
    pub ceiling: Ceiling,
    /// The clips in the order of their ids.
    pub clips: Vec<HumeClip>,
}

impl HumeTruth {
    /// The truth about the corpus that a configuration would give, without making it; `complete` is false.
    ///
    /// # Errors
    /// [`SynthError::Config`] where the configuration has no sense.
    pub fn plan(config: &HumeSynthConfig) -> Result<Self, SynthError> {
        config.check()?;
        let clips = clips(config);
        // `threads` is not part of what is written.
        let config = HumeSynthConfig { threads: 0, ..config.clone() };
        Ok(Self { kind: KIND.to_owned(), version: VERSION, complete: false, config, ceiling: Ceiling::of(&clips), clips })
    }

    /// Reads the truth of the corpus in `root`; `None` where there is no `truth.json`.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not of such a corpus or this model's version.
    pub fn read(root: &Path) -> Result<Option<Self>, SynthError> {
        let file = root.join(FILE);
        let text = match std::fs::read(&file) {
            Ok(text) => text,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SynthError::Io { action: "read", file, source }),
        };
        let truth: Self = match serde_json::from_slice(&text) {
            Ok(truth) => truth,
            Err(source) => return Err(SynthError::Truth { file, why: source.to_string() }),
        };
        if (truth.kind.as_str(), truth.version) != (KIND, VERSION) {
            let why = format!("it is version {} of {}, this is version {VERSION} of {KIND}", truth.version, truth.kind);
            return Err(SynthError::Truth { file, why });
        }
        Ok(Some(truth))
    }

    pub(super) fn write(&self, root: &Path) -> Result<(), SynthError> {
        Ok(write_atomic(&root.join(FILE), |out| {
            serde_json::to_writer(&mut *out, self).map_err(std::io::Error::from)?;
            out.write_all(b"\n")
        })?)
    }
}
