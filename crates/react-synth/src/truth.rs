//! `truth.json`: what only the one who made the corpus knows. It marks a corpus as made here, and as whole.

use crate::world::{Dyad, Split, World};
use crate::{Event, Kind, Style, SynthConfig, SynthError};
use react_store::write_atomic;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The truth's file, in the corpus's folder.
pub(crate) const FILE: &str = "truth.json";

/// Changes with the model: a corpus of another version has other clips from the same configuration.
const VERSION: u32 = 1;

/// The truth about a corpus: its configuration, scripts, and what happens in each pair of clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// The model's version.
    pub version: u32,
    /// Whether every clip was written.
    pub complete: bool,
    /// What it was made from.
    pub config: SynthConfig,
    /// The kinds of each script's events in order.
    pub scripts: Vec<Vec<Kind>>,
    /// The pairs in the order of `data_indices.csv`.
    pub pairs: Vec<TruePair>,
}

/// The truth about a pair of clips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TruePair {
    /// `train` or `val`.
    pub split: String,
    /// The speaker's clip as the csv names it.
    pub speaker: String,
    /// The listener's.
    pub listener: String,
    /// The script of both.
    pub script: usize,
    /// How the listener answers.
    pub style: Style,
    /// What the speaker does.
    pub spoken: Vec<Event>,
    /// What the listener answers.
    pub answered: Vec<Event>,
}

impl Truth {
    pub(crate) fn of(world: &World, complete: bool) -> Self {
        let scripts = (0..world.config().scripts).map(|script| world.sequence(script)).collect();
        let pairs = world.dyads().iter().map(TruePair::of).collect();
        Self { version: VERSION, complete, config: world.config().clone(), scripts, pairs }
    }

    /// Reads the truth of the corpus in `root`; `None` where there is no `truth.json`.
    ///
    /// # Errors
    /// Where the file cannot be read, or is not of this model's version.
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
        if truth.version != VERSION {
            return Err(SynthError::Truth {
                file,
                why: format!("it is of version {} of the model, this is version {VERSION}", truth.version),
            });
        }
        Ok(Some(truth))
    }

    pub(crate) fn write(&self, root: &Path) -> Result<(), SynthError> {
        Ok(write_atomic(&root.join(FILE), |out| {
            serde_json::to_writer_pretty(&mut *out, self).map_err(std::io::Error::from)?;
            out.write_all(b"\n")
        })?)
    }

    /// The plan that the corpus was made from, for fresh draws of its oracle.
    ///
    /// # Errors
    /// Where the configuration has no sense.
    pub fn world(&self) -> Result<World, SynthError> {
        World::new(&self.config)
    }
}

impl TruePair {
    fn of(dyad: &Dyad) -> Self {
        let [speaker, listener] = dyad.paths();
        let split = match dyad.split {
            Split::Train => "train",
            Split::Val => "val",
        };
        Self {
            split: split.to_owned(),
            speaker,
            listener,
            script: dyad.script,
            style: dyad.style,
            spoken: dyad.spoken.clone(),
            answered: dyad.answered.clone(),
        }
    }
}
