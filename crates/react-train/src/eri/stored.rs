//! What an evaluation of intensities left in its folder.

use super::config::EriConfig;
use super::data::labels;
use super::run::{Record, SeedRun, config_of};
use anyhow::{Context, Result, ensure};
use react_data::hume::EriPacked;
use react_viz::{Better, Kind, Metric, Mode, ScoreRow};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// The configuration of a folder's run, and its file.
pub(super) fn existing(folder: &Path) -> Result<(PathBuf, EriConfig)> {
    let file = config_of(folder).with_context(|| format!("{} holds no run", folder.display()))?;
    let text = file.to_str().with_context(|| format!("the path {} is not valid Unicode", file.display()))?;
    let config = EriConfig::load(text, &[])?;
    Ok((file, config))
}

/// `scores.json`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Stored {
    pub(crate) data: String,
    pub(crate) split: String,
    pub(crate) clips: usize,
    pub(crate) seeds: Vec<serde_json::Value>,
    pub(crate) mean: f64,
    pub(crate) standard_deviation: f64,
    pub(crate) ensemble: StoredScores,
}

/// Of the seeds' mean predictions.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StoredScores {
    pub(crate) mean_pearson: f64,
    emotions: Vec<StoredEmotion>,
}

#[derive(Clone, Debug, Deserialize)]
struct StoredEmotion {
    emotion: String,
    pearson: Option<f64>,
}

/// Points of (step, value).
pub(crate) type Points = Vec<(f64, f64)>;

impl Stored {
    /// The configuration and the scores of a folder's run.
    pub(crate) fn read(folder: &Path) -> Result<(EriConfig, Self)> {
        let (_, config) = existing(folder)?;
        let path = config.folder().join("scores.json");
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{} was not evaluated yet: cannot read {}", folder.display(), path.display()))?;
        let stored = serde_json::from_str(&text).with_context(|| format!("{} is no evaluation of intensities", path.display()))?;
        Ok((config, stored))
    }

    /// The columns of the scores.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        metrics(self.ensemble.emotions.iter().map(|e| e.emotion.as_str()))
    }

    /// The ensemble's scores under `metrics`, by name.
    pub(crate) fn row(&self, name: &str, metrics: &[Metric]) -> ScoreRow {
        let value = |metric: &Metric| match metric.name.as_str() {
            "mean" => Some(self.ensemble.mean_pearson),
            name => self.ensemble.emotions.iter().find(|e| e.emotion == name).and_then(|e| e.pearson),
        };
        ScoreRow::new(name, Kind::Model, &metrics.iter().map(value).collect::<Vec<_>>())
    }

    /// The first seed's loss over training steps, and its mean correlation on the validation split.
    pub(crate) fn curves(config: &EriConfig) -> Result<(Points, Points)> {
        let (mut loss, mut correlation) = (Vec::new(), Vec::new());
        if let Some((_, run)) = SeedRun::all(config)?.into_iter().next() {
            for record in run.records()? {
                match record {
                    Record::Step { step, loss: value, .. } => loss.push((step as f64, value)),
                    Record::Validation { step, correlation: value, .. } => correlation.push((step as f64, value)),
                }
            }
        }
        Ok((loss, correlation))
    }
}

/// The mean correlation, then each emotion's.
pub(super) fn metrics<'a>(emotions: impl Iterator<Item = &'a str>) -> Vec<Metric> {
    let metric = |name: &str, about: &str| Metric::new(name, Mode::Published, Better::Higher, 4, about);
    let mut metrics = vec![metric("mean", "Mean of the emotions' correlations over the whole split.")];
    metrics.extend(emotions.map(|emotion| metric(emotion, "Pearson's correlation over the whole split.")));
    metrics
}

/// Absolute errors of the ensemble.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ClipErrors {
    pub(crate) emotions: Vec<String>,
    /// A clip, and an error an emotion.
    pub(crate) rows: Vec<(String, Vec<f64>)>,
}

/// The errors of `predictions.csv` against the packed corpus' labels.
pub(crate) fn clip_errors(config: &EriConfig) -> Result<ClipErrors> {
    let split = EriPacked::open(&config.corpus.packed)?.split(&config.evaluate.split)?;
    let truth = labels(&split)?;
    let path = config.folder().join("predictions.csv");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {} (evaluate first)", path.display()))?;
    let predicted = parse(&text, split.emotions().len()).with_context(|| format!("{}", path.display()))?;
    ensure!(
        predicted.len() == split.len(),
        "{} has {} clips, the split {} has {}",
        path.display(),
        predicted.len(),
        split.name(),
        split.len()
    );
    let mut rows = Vec::with_capacity(predicted.len());
    for (i, (id, values)) in predicted.into_iter().enumerate() {
        ensure!(id == split.id(i), "{}, line {}: clip {id}, where the packed corpus has {}", path.display(), i + 2, split.id(i));
        let errors = values.iter().zip(truth.row(i)).map(|(value, truth)| (value - f64::from(*truth)).abs());
        rows.push((id, errors.collect()));
    }
    Ok(ClipErrors { emotions: split.emotions().to_vec(), rows })
}

/// Clips and their values: ids in brackets, then so many numbers.
fn parse(text: &str, values: usize) -> Result<Vec<(String, Vec<f64>)>> {
    let row = |(i, line): (usize, &str)| -> Result<(String, Vec<f64>)> {
        let place = || format!("line {}: no id and {values} numbers", i + 1);
        let (id, rest) = line.split_once(',').with_context(place)?;
        let numbers: Vec<f64> = rest.split(',').map(str::parse).collect::<Result<_, _>>().with_context(place)?;
        ensure!(numbers.len() == values, place());
        Ok((id.trim_matches(['[', ']']).to_owned(), numbers))
    };
    text.lines().enumerate().skip(1).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_read_as_they_are_written() {
        let text = "File_ID,Adoration,Fear\n[00001],0.25,0.5\n[00002],1.0,0.0\n";
        let rows = parse(text, 2).unwrap();
        assert_eq!(rows[0], ("00001".to_owned(), vec![0.25, 0.5]));
        assert!(parse(text, 3).unwrap_err().to_string().contains("line 2"));
        assert!(parse("h\n[1],x", 1).is_err());
        assert!(parse("h\n1", 1).is_err());
    }
}
