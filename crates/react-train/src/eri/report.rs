//! The report of an intensity configuration: all its seeds, beside the published numbers.

use super::config::EriConfig;
use super::evaluate::{Evaluation, evaluate};
use super::run::SeedRun;
use super::stored::{ClipErrors, clip_errors, existing};
use crate::published::INTENSITIES;
use crate::report::{Videos, chosen, command_line, environment, published_rows};
use anyhow::Result;
use react_media::VideoReader;
use react_model::device::Choice;
use react_viz::{Better, ClipRow, ClipTable, Example, Kind, Metric, Mode, Report, Score, ScoreRow, ScoreTable, Video};
use std::path::{Path, PathBuf};

/// The largest recording that is put into a page whole, in bytes.
const LARGEST_VIDEO: u64 = 8 << 20;

/// Evaluates a configuration's runs, of the folder `runs/<name>` or of one seed's below it, and writes `report.html` into
/// `runs/<name>`; returns where it is.
///
/// # Errors
/// Where the folder holds no run, or the packed corpus is missing.
pub fn report(folder: &Path) -> Result<PathBuf> {
    report_to(folder, None, Videos::default())
}

/// [`report`] into another file, with so many clips' videos.
pub(crate) fn report_to(folder: &Path, out: Option<&Path>, videos: Videos) -> Result<PathBuf> {
    let (file, config) = existing(folder)?;
    // What was not evaluated is computed by the processor: a report needs no card.
    let evaluation = evaluate(&EriConfig { device: Choice::Cpu, precision: None, ..config.clone() })?;
    let errors = clip_errors(&config)?;
    let path = out.map_or_else(|| config.folder().join("report.html"), Path::to_owned);
    let report = Report {
        title: "Emotional reaction intensity".to_owned(),
        run: config.name.clone(),
        summary: summary(&config, &evaluation),
        facts: vec![
            ("mean correlation".to_owned(), format!("{:.4}", evaluation.mean)),
            ("standard deviation over seeds".to_owned(), format!("{:.4}", evaluation.standard_deviation)),
            ("ensemble of the seeds".to_owned(), format!("{:.4}", evaluation.ensemble.mean_pearson)),
            ("clips".to_owned(), evaluation.clips.to_string()),
            ("seeds".to_owned(), evaluation.seeds.len().to_string()),
        ],
        tables: vec![table(&config, &evaluation)],
        examples: examples(&config, &errors, videos)?,
        figures: evaluation.figures.clone(),
        clips: Some(clip_table(&errors)),
        rerun: vec![
            format!("cargo run --release -p react-train -- --config {} train --seeds {}", file.display(), evaluation.seeds.len()),
            command_line([config.folder().as_path()]),
        ],
        configuration: toml::to_string(&config)?,
        environment: environment().into_iter().chain(devices(&config)?).collect(),
        notes: notes(&config),
        ..Report::default()
    };
    report.write(&path)?;
    Ok(std::path::absolute(&path).unwrap_or(path))
}

/// Where the seeds were trained and evaluated.
fn devices(config: &EriConfig) -> Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    for (seed, run) in SeedRun::all(config)? {
        let stages = crate::compute::environment(run.folder())?;
        lines.extend(stages.into_iter().map(|(stage, words)| (format!("seed {seed}: {stage}"), words)));
    }
    lines.extend(crate::compute::environment(&config.folder())?);
    Ok(lines)
}

/// The ensemble's absolute errors, clip by clip: their mean, and each emotion's.
fn clip_table(errors: &ClipErrors) -> ClipTable {
    let metric = |name: &str, about: &str| Metric::new(name, Mode::Sound, Better::Lower, 3, about);
    let mut metrics = vec![metric("mean |error|", "Mean over the emotions of the absolute error of the ensemble.")];
    metrics.extend(errors.emotions.iter().map(|emotion| metric(emotion, "Absolute error of the ensemble.")));
    let row = |(clip, errors): &(String, Vec<f64>)| ClipRow {
        clip: clip.clone(),
        scores: std::iter::once(mean(errors)).chain(errors.iter().copied()).map(Score::from).collect(),
    };
    let note = "With --videos all, the command below puts every clip's recording into the page.".to_owned();
    ClipTable { rows: errors.rows.iter().map(row).collect(), metrics, note }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// The clips with the highest, the median and the lowest error, and more for the table, as they were recorded; none where the corpus is
/// not there any more.
fn examples(config: &EriConfig, errors: &ClipErrors, videos: Videos) -> Result<Vec<Example>> {
    let folder = config.corpus.root.join(&config.evaluate.split).join("mp4");
    let means: Vec<f64> = errors.rows.iter().map(|(_, errors)| mean(errors)).collect();
    let mut examples = Vec::new();
    for (item, caption) in chosen("mean absolute error", &means, videos) {
        let (clip, of_clip) = &errors.rows[item];
        let path = folder.join(format!("{clip}.mp4"));
        if std::fs::metadata(&path).map_or(true, |file| file.len() > LARGEST_VIDEO) {
            continue;
        }
        let info = VideoReader::open(&path)?.info().clone();
        let metric = |name: &String| Metric::new(name, Mode::Sound, Better::Lower, 3, "Absolute error of the ensemble.");
        examples.push(Example {
            name: clip.clone(),
            featured: caption.is_some(),
            caption: caption.unwrap_or_default(),
            video: Some(Video::read(&path, info.width, info.height)?),
            scores: errors.emotions.iter().map(metric).zip(of_clip.iter().map(|error| Some(*error))).collect(),
            ..Example::default()
        });
    }
    Ok(examples)
}

fn summary(config: &EriConfig, evaluation: &Evaluation) -> String {
    format!(
        "The dual-branch network ({:?}, w = {}) on {}: Pearson's correlation over the {} clips of the split {}.",
        config.model.modalities, config.model.stem, evaluation.data, evaluation.clips, evaluation.split
    )
}

fn table(config: &EriConfig, evaluation: &Evaluation) -> ScoreTable {
    let metrics = super::stored::metrics(evaluation.ensemble.emotions.iter().map(|e| e.emotion.as_str()));
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
    rows.extend(published_rows(&INTENSITIES, &metrics));
    let compares = if config.corpus.synthetic.is_some() {
        "The corpus is synthetic: the computed rows compare with no published one.".to_owned()
    } else {
        format!("The computed rows stand on the split {}: compare with published rows of the same split.", evaluation.split)
    };
    ScoreTable {
        title: format!("Correlation on the split {}", evaluation.split),
        caption: format!(
            "Computed rows stand on {}; published ones on Hume-Reaction, each with its split and source. {compares}",
            evaluation.data
        ),
        metrics,
        rows,
    }
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
