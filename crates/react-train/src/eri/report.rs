//! The report of an intensity configuration: all its seeds, beside the published numbers.

use super::config::EriConfig;
use super::evaluate::{Evaluation, PUBLISHED, evaluate};
use super::run::{Record, SeedRun, config_of};
use anyhow::{Context, Result};
use react_viz::plots::{LossHistory, LossPoint};
use react_viz::{Better, Kind, Metric, Mode, Report, ScoreRow, ScoreTable};
use std::path::{Path, PathBuf};

/// Evaluates a configuration's runs, of the folder `runs/<name>` or of one seed's below it, and writes `report.html` into
/// `runs/<name>`; returns where it is.
///
/// # Errors
/// Where the folder holds no run, or the packed corpus is missing.
pub fn report(folder: &Path) -> Result<PathBuf> {
    let file = config_of(folder).with_context(|| format!("{} holds no run", folder.display()))?;
    let text = file.to_str().with_context(|| format!("the path {} is not valid Unicode", file.display()))?;
    let config = EriConfig::load(text, &[])?;
    let evaluation = evaluate(&config)?;
    let path = config.folder().join("report.html");
    let report = Report {
        title: format!("Emotional reaction intensity: {}", config.name),
        run: config.name.clone(),
        summary: summary(&config, &evaluation),
        facts: vec![
            ("mean correlation".to_owned(), format!("{:.4}", evaluation.mean)),
            ("standard deviation over seeds".to_owned(), format!("{:.4}", evaluation.standard_deviation)),
            ("ensemble of the seeds".to_owned(), format!("{:.4}", evaluation.ensemble.mean_pearson)),
            ("seeds".to_owned(), evaluation.seeds.len().to_string()),
        ],
        tables: vec![table(&evaluation)],
        history: history(&config)?,
        figures: vec![evaluation.figure.clone()],
        rerun: vec![
            format!("cargo run --release -p react-train -- --config {} train --seeds {}", file.display(), evaluation.seeds.len()),
            format!("cargo run --release -p react-train -- report {}", config.folder().display()),
        ],
        configuration: toml::to_string(&config)?,
        environment: crate::report::environment(),
        notes: notes(&config),
        ..Report::default()
    };
    report.write(&path)?;
    Ok(std::path::absolute(&path).unwrap_or(path))
}

fn summary(config: &EriConfig, evaluation: &Evaluation) -> String {
    format!(
        "The dual-branch network ({:?}, w = {}) on {}: Pearson's correlation over the {} clips of the split {}.",
        config.model.modalities, config.model.stem, evaluation.data, evaluation.clips, evaluation.split
    )
}

fn table(evaluation: &Evaluation) -> ScoreTable {
    let metric = |name: &str, about: &str| Metric::new(name, Mode::Published, Better::Higher, 4, about);
    let mut metrics = vec![metric("mean", "Mean of the emotions' correlations over the whole split.")];
    metrics.extend(evaluation.ensemble.emotions.iter().map(|e| metric(&e.emotion, "Pearson's correlation over the whole split.")));
    let row = |name: &str, kind, scores: &react_metrics::EriScores| {
        let values: Vec<_> = [Some(scores.mean_pearson)].into_iter().chain(scores.emotions.iter().map(|e| e.pearson)).collect();
        ScoreRow::new(name, kind, &values)
    };
    let mut rows = vec![row("ensemble", Kind::Model, &evaluation.ensemble)];
    for seed in &evaluation.seeds {
        rows.push(row(&format!("seed {}", seed.seed), Kind::Model, &seed.scores));
        for (what, value) in [("without the voice", seed.without_audio), ("without the face", seed.without_video)] {
            if let Some(value) = value {
                rows.push(ScoreRow::new(&format!("seed {}, {what}", seed.seed), Kind::Control, &[Some(value)]));
            }
        }
    }
    rows.extend(PUBLISHED.iter().map(|(name, value)| ScoreRow {
        note: Some("On Hume-Reaction, by its authors' protocol.".to_owned()),
        ..ScoreRow::new(name, Kind::Published, &[Some(*value)])
    }));
    ScoreTable {
        title: format!("Correlation on the split {}", evaluation.split),
        caption: format!("Computed rows stand on {}; published ones on Hume-Reaction, by their authors' protocols.", evaluation.data),
        metrics,
        rows,
    }
}

/// The loss of the first seed.
fn history(config: &EriConfig) -> Result<LossHistory> {
    let mut history = LossHistory::default();
    let Some((_, run)) = SeedRun::all(config)?.into_iter().next() else { return Ok(history) };
    let mut best = f64::NEG_INFINITY;
    for record in run.records()? {
        match record {
            Record::Step { step, loss, .. } => history.train.push(LossPoint { step, total: Some(loss), ..LossPoint::default() }),
            Record::Validation { step, correlation, .. } if correlation > best => {
                best = correlation;
                history.best_step = Some(step);
            }
            Record::Validation { .. } => {}
        }
    }
    Ok(history)
}

fn notes(config: &EriConfig) -> Vec<String> {
    let mut notes = vec!["Losses are the first seed's.".to_owned()];
    if config.corpus.synthetic.is_some() {
        notes.push("The corpus is synthetic: the scores say how well the program learns a known process.".to_owned());
    }
    if config.train.shuffle_labels {
        notes.push("Trained on shuffled labels, as a control: the scores must be about 0.".to_owned());
    }
    notes
}
