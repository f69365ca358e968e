//! Checkpoints: `best`, `last`, and one every n epochs; and going on from them.

use super::state::State;
use crate::config::{Config, Task};
use anyhow::{Context, Result, ensure};
use react_model::weights::{self, Tensors, Training};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The note that holds a [`Selection`].
const SELECTION: &str = "selection";

/// How the choice of the best weights stands.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq)]
pub(super) struct Selection {
    /// The least value so far.
    pub(super) best: Option<f64>,
    /// Validations since.
    pub(super) worse_since: u32,
    /// Steps that had been made at the last validation.
    pub(super) validated: u64,
}

impl State<'_> {
    /// Whether there is anything that the last checkpoint has not.
    pub(super) fn unsaved(&self) -> bool {
        self.unsaved
    }

    /// Whether it is time for a checkpoint: at the end of an epoch, and every so many steps.
    pub(super) fn save_due(&self) -> bool {
        let every = self.config.train.save_every_steps.is_some_and(|every| self.steps().is_multiple_of(every));
        every || self.plan().epochs_after(self.steps()).1
    }

    /// Writes `last`, and before it what is kept for good, so that a kill between them repeats both.
    pub(super) fn save(&mut self) -> Result<()> {
        let mut notes = self.notes.clone();
        notes.insert(SELECTION.to_owned(), serde_json::to_string(&self.selection)?);
        let training = Training { optimizer: &self.adam, ema: self.average.as_ref().map(|average| &average.ema) };
        let (epoch, ended) = self.plan().epochs_after(self.steps());
        let kept = self.config.train.keep_every.filter(|every| ended && epoch.is_multiple_of(u64::from(*every)));
        for file in kept.map(|_| self.run.kept(epoch)).into_iter().chain([self.run.last()]) {
            weights::save(&file, &self.params, Some(training), &notes)?;
        }
        self.unsaved = false;
        Ok(())
    }

    /// Writes the weights that were validated, the averaged ones where there are some.
    pub(super) fn save_best(&self) -> Result<()> {
        let params = self.average.as_ref().map_or(&self.params, |average| average.ema.params());
        Ok(weights::save(&self.run.best(), params, None, &self.notes)?)
    }

    /// Goes on from the last checkpoint, if there is one.
    pub(super) fn resume(&mut self) -> Result<()> {
        let last = self.run.last();
        if !last.exists() {
            return Ok(());
        }
        let tensors = Tensors::read(&last)?;
        let values = &tensors.note().values;
        for (key, value) in &self.notes {
            ensure!(
                values.get(key) == Some(value),
                "{} was trained with another {key}; take another name (--set name=…) or remove that folder",
                self.run.folder().display()
            );
        }
        let selection = values.get(SELECTION).with_context(|| format!("{}: has no note {SELECTION}", last.display()))?;
        self.selection = serde_json::from_str(selection).with_context(|| format!("{}: its note {SELECTION}", last.display()))?;
        weights::load(&tensors, &self.params)?;
        weights::load_optimizer(&tensors, &self.params, &mut self.adam)?;
        if let Some(average) = &self.average {
            weights::load_ema(&tensors, &average.ema)?;
        }
        Ok(())
    }
}

/// What must be the same for a training to go on, that is everything that changes its numbers, and what the weights' users need.
pub(super) fn notes(config: &Config, mean_face: &[f32]) -> Result<BTreeMap<String, String>> {
    let manifest = config.corpus.packed.join("manifest.jsonl");
    let data = std::fs::read(&manifest).with_context(|| format!("cannot read {} (run prepare first)", manifest.display()))?;
    let evaluate = &config.evaluate;
    let validation = match config.model.task {
        Task::Offline => serde_json::json!({ "split": evaluate.split }),
        Task::Online => serde_json::json!({ "split": evaluate.split, "window": evaluate.window, "tail": evaluate.tail }),
    };
    Ok(BTreeMap::from([
        ("seed".to_owned(), config.seed.to_string()),
        ("data".to_owned(), blake3::hash(&data).to_hex().to_string()),
        ("frames".to_owned(), serde_json::to_string(&config.frames)?),
        ("mean_face".to_owned(), serde_json::to_string(mean_face)?),
        ("model".to_owned(), serde_json::to_string(&config.model)?),
        ("train".to_owned(), serde_json::to_string(&config.train.without_housekeeping())?),
        ("validation".to_owned(), validation.to_string()),
    ]))
}
