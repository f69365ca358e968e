//! What a report says in words.

use crate::config::{Config, CorpusKind};
use crate::evaluate::Evaluation;
use crate::published::{Published, REACTION_TABLES, REACTIONS};
use crate::{Record, Run};
use anyhow::Result;
use react_viz::{Kind, Metric, Score, ScoreRow, ScoreTable};
use std::path::Path;

fn data_words(config: &Config) -> &'static str {
    match config.corpus.kind {
        CorpusKind::Synthetic => "the synthetic corpus",
        CorpusKind::React2024 | CorpusKind::React2025 => "the REACT challenge's corpus",
        CorpusKind::Hume => "Hume-Reaction",
    }
}

pub(super) fn summary(config: &Config, evaluation: &Evaluation) -> String {
    format!(
        "Trans-VAE ({}, d = {}) trained on {}. {} reactions were generated for each of the {} clips of the split {}, {} frames each.",
        match config.model.task {
            crate::config::Task::Offline => "offline",
            crate::config::Task::Online => "online",
        },
        config.model.width,
        data_words(config),
        evaluation.samples,
        evaluation.clips.len(),
        evaluation.split,
        evaluation.frames,
    )
}

pub(super) fn facts(config: &Config, evaluation: &Evaluation, records: &[Record]) -> Vec<(String, String)> {
    let steps = records.iter().filter(|record| matches!(record, Record::Step { .. })).count();
    let corr = |name: &str| {
        evaluation.system(name).and_then(|system| system.score("FRCorr")).map_or_else(|| "–".to_owned(), |corr| format!("{corr:.2}"))
    };
    [
        ("FRCorr of this run", corr("Trans-VAE")),
        ("with the speakers shuffled", corr("speakers shuffled")),
        ("real listeners", corr("GT")),
        ("clips", evaluation.clips.len().to_string()),
        ("training steps", steps.to_string()),
        ("seed", config.seed.to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// Rows of published systems for a table of `metrics`.
pub(crate) fn published_rows<'a>(systems: impl IntoIterator<Item = &'a Published>, metrics: &[Metric]) -> Vec<ScoreRow> {
    let row = |system: &Published| ScoreRow {
        system: system.system.to_owned(),
        kind: Kind::Published,
        scores: metrics.iter().map(|metric| Score::from(system.score(&metric.name))).collect(),
        note: Some(system.note()),
    };
    systems.into_iter().map(row).collect()
}

/// The evaluation's table, with published systems below it, and whether the two compare.
pub(super) fn table(config: &Config, evaluation: &Evaluation) -> ScoreTable {
    let mut table = evaluation.table();
    table.rows.extend(published_rows(&REACTIONS, &table.metrics));
    let compares = match config.corpus.kind {
        CorpusKind::Synthetic => "The corpus is synthetic: nothing here compares with a published table".to_owned(),
        _ if config.evaluate.samples != 10 => {
            format!("Published tables sum over 10 samples, these rows over {}: FRCorr and FRDist do not compare", config.evaluate.samples)
        }
        _ => format!("Compare with published rows of the same corpus and split alone; this one is {}", evaluation.split),
    };
    table.caption = format!("{} {compares}.", table.caption);
    table
}

pub(super) fn rerun(config: &Config) -> Vec<String> {
    vec![
        format!("cargo run --release -p react-train -- --config {}", config.run_folder().join("config.toml").display()),
        format!("cargo run --release -p react-train -- report {}", config.run_folder().display()),
    ]
}

pub(crate) fn environment() -> Vec<(String, String)> {
    let threads = std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |n| n.to_string());
    [
        ("react-train", env!("CARGO_PKG_VERSION").to_owned()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("threads", threads),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

pub(super) fn notes(config: &Config, run: &Run, evaluation: &Evaluation) -> Result<Vec<String>> {
    let mut notes = vec!["FRRea and ACC are not computed.".to_owned(), "Intervals: 95 % percentile bootstrap over clips.".to_owned()];
    if config.corpus.kind == CorpusKind::Synthetic {
        notes.push(
            "The corpus is synthetic: the scores say how well the program learns a known process, and compare with no published table."
                .to_owned(),
        );
    }
    if !config.corpus.root.is_dir() {
        notes
            .push(format!("The corpus is not at {}: speakers are shown as they were packed, without sound.", config.corpus.root.display()));
    }
    if REACTIONS.is_empty() {
        notes.push(format!("No published row is shown: the program has none whose source could be checked. The challenge's own tables are in {REACTION_TABLES}."));
    }
    notes.extend(crate::plots::left_out(run, evaluation)?);
    Ok(notes)
}

/// The command that draws a report of these runs again.
pub(crate) fn command_line<'a>(runs: impl IntoIterator<Item = &'a Path>) -> String {
    let runs: String = runs.into_iter().map(|run| format!(" {}", run.display())).collect();
    format!("cargo run --release -p react-train -- report{runs}")
}
