//! TensorBoard's events of an intensity training.

use super::config::EriConfig;
use super::run::{Record, SeedRun};
use anyhow::Result;
use ndarray::Array2;
use react_metrics::EriScores;
use react_viz::Ground;
use react_viz::plots::intensities;
use react_viz::tensorboard::Events;

/// The events of a seed's run, where they are wished for.
pub(super) struct EriEvents(Option<Events>);

impl EriEvents {
    /// Goes on with the run's events; where they do not have what the records say, they are written anew from these, without the
    /// pictures.
    pub(super) fn open(config: &EriConfig, run: &SeedRun, records: &[Record]) -> Result<Self> {
        if !config.train.tensorboard {
            return Ok(Self(None));
        }
        let path = run.folder().join("events.out.tfevents.react-train");
        let steps = records.iter().map(Record::steps).max().unwrap_or(0);
        let there = Events::resume(&path, steps)?;
        if let Some(events) = there.filter(|events| events.last_step() == steps && events.count() == records.len()) {
            return Ok(Self(Some(events)));
        }
        std::fs::create_dir_all(run.folder())?;
        let mut this = Self(Some(Events::create(&path)?));
        records.iter().try_for_each(|record| this.record(record))?;
        Ok(this)
    }

    /// A record, over the steps that had been made.
    pub(super) fn record(&mut self, record: &Record) -> Result<()> {
        let Some(events) = &mut self.0 else { return Ok(()) };
        let values = match *record {
            Record::Step { loss, mse, correlation, learning_rate, gradient_norm, .. } => vec![
                ("train/loss", loss),
                ("train/mse", mse),
                ("train/correlation", correlation),
                ("train/learning_rate", learning_rate),
                ("train/gradient_norm", gradient_norm),
            ],
            Record::Validation { correlation, mae, .. } => vec![("validation/correlation", correlation), ("validation/mae", mae)],
        };
        Ok(events.scalars(record.steps(), &values)?)
    }

    /// A validation: its record with each emotion's correlation, and the scatter of its labels and predictions.
    pub(super) fn validation(
        &mut self,
        record: &Record,
        emotions: &[String],
        scores: &EriScores,
        arrays: impl FnOnce() -> Result<(Array2<f32>, Array2<f32>)>,
    ) -> Result<()> {
        if let Some(events) = &mut self.0 {
            let (labels, predicted) = arrays()?;
            let picture = intensities(emotions, labels.view(), predicted.view())?.png(1.0, Ground::Light)?;
            events.picture(record.steps(), "validation/intensities", &picture)?;
            // One call of scalars a record: that is how a run that goes on counts them.
            let Record::Validation { correlation, mae, .. } = record else { return self.record(record) };
            let mut values = vec![("validation/correlation".to_owned(), *correlation), ("validation/mae".to_owned(), *mae)];
            let each = scores.emotions.iter().filter_map(|of| Some((format!("validation/correlation of {}", of.emotion), of.pearson?)));
            values.extend(each);
            let values: Vec<(&str, f64)> = values.iter().map(|(name, value)| (name.as_str(), *value)).collect();
            events.scalars(record.steps(), &values)?;
        }
        Ok(())
    }

    /// Makes what was written durable, before a checkpoint.
    pub(super) fn sync(&mut self) -> Result<()> {
        match &mut self.0 {
            Some(events) => Ok(events.sync()?),
            None => Ok(()),
        }
    }
}
