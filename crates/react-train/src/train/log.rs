//! What a training says while it runs: a line a step in `metrics.jsonl`, TensorBoard's events, progress for people.

use super::state::{State, Step};
use super::validation::Validation;
use crate::config::Config;
use crate::{Progress, Record, Run};
use anyhow::{Context, Result};
use react_viz::tensorboard::Events;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

/// How much the newest step counts in the shown speed. Times are averaged, not speeds: on a card a step's record may come right after
/// the one before, and its speed would outweigh all others.
const NEWEST: f64 = 0.1;

/// The open files of a run's records.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    events: Option<Events>,
    progress: Progress,
    last_step: Instant,
    seconds_per_frame: Option<f64>,
    shown: String,
}

impl Log {
    /// Opens the run's records; those beyond the steps that the training goes on from are cut off: they come again.
    pub(super) fn open(config: &Config, run: &Run, state: &State<'_>) -> Result<Self> {
        let (path, steps) = (run.metrics_file(), state.steps());
        let records = run.records()?;
        let kept: Vec<Record> = records.iter().filter(|record| record.steps() <= steps).cloned().collect();
        if kept.len() < records.len() || run.has_torn_record()? {
            run.write_records(&kept)?;
        }
        let file = File::options().create(true).append(true).open(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let events = if config.train.tensorboard { Some(events(run, &kept)?) } else { None };
        let progress = Progress::resumed("train", state.plan().steps(), steps);
        Ok(Self { path, file, events, progress, last_step: Instant::now(), seconds_per_frame: None, shown: String::new() })
    }

    /// A step was made.
    pub(super) fn step(&mut self, step: &Step) -> Result<()> {
        let seconds = self.last_step.elapsed().as_secs_f64().max(1e-9) / step.frames.max(1) as f64;
        self.last_step = Instant::now();
        let seconds = self.seconds_per_frame.map_or(seconds, |before| before + NEWEST * (seconds - before));
        self.seconds_per_frame = Some(seconds);
        let speed = seconds.recip();
        if let Record::Step { loss, reconstruction, .. } = &step.record {
            self.shown = format!("loss {loss:.4}, reconstruction {reconstruction:.4}, {speed:.0} frames/s");
        }
        self.progress.advance(1, &self.shown);
        self.write(&step.record)
    }

    /// A validation was made.
    pub(super) fn validation(&mut self, Validation { record, pictures }: &Validation) -> Result<()> {
        if let Record::Validation { epoch, selection, .. } = record {
            tracing::debug!("validation after epoch {epoch}: {selection:.4}");
        }
        // What it took is not the next step's.
        self.last_step = Instant::now();
        if let Some(events) = &mut self.events {
            // Before the record: a run that goes on finds the record missing, and cuts the pictures off too.
            pictures.iter().try_for_each(|(name, png)| events.picture(record.steps(), name, png))?;
        }
        self.write(record)
    }

    /// A validation is at this clip.
    pub(super) fn validating(&self, clip: usize, clips: usize) {
        self.progress.advance(0, &format!("{}, validating clip {} of {clips}", self.shown, clip + 1));
    }

    /// Makes everything that was said durable. Before every checkpoint: a checkpoint has no steps that the records have not.
    pub(super) fn sync(&mut self) -> Result<()> {
        self.file.sync_data().with_context(|| format!("cannot write {}", self.path.display()))?;
        if let Some(events) = &mut self.events {
            events.sync()?;
        }
        Ok(())
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        let line = serde_json::to_string(record)? + "\n";
        // One write, so that a kill leaves a whole line or none.
        self.file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))?;
        if let Some(events) = &mut self.events {
            scalars(events, record)?;
        }
        Ok(())
    }
}

/// The run's events, with those of all records and no others: cut off where they go on, written anew (without pictures) where some are
/// missing.
fn events(run: &Run, records: &[Record]) -> Result<Events> {
    let path = run.events();
    let steps = records.iter().map(Record::steps).max().unwrap_or(0);
    if let Some(events) = Events::resume(&path, steps)?.filter(|events| events.last_step() == steps && events.count() == records.len()) {
        return Ok(events);
    }
    let mut events = Events::create(&path)?;
    records.iter().try_for_each(|record| scalars(&mut events, record))?;
    Ok(events)
}

/// A record as TensorBoard shows it, over the steps that had been made.
fn scalars(events: &mut Events, record: &Record) -> Result<()> {
    let values = match *record {
        Record::Step { loss, reconstruction, kl, diversity, learning_rate, gradient_norm, .. } => vec![
            ("train/loss", loss),
            ("train/reconstruction", reconstruction),
            ("train/kl", kl),
            ("train/diversity", diversity),
            ("train/learning_rate", learning_rate),
            ("train/gradient_norm", gradient_norm),
        ],
        Record::Validation { reconstruction, kl, selection, .. } => {
            vec![("validation/reconstruction", reconstruction), ("validation/kl", kl), ("validation/selection", selection)]
        }
    };
    Ok(events.scalars(record.steps(), &values)?)
}
