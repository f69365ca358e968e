//! Several runs of intensities on one page, from the scores and predictions that their evaluations wrote.

use super::compare::{heads, names, side_by_side, with_differences};
use super::{command_line, environment, published_rows, settings};
use crate::eri::{EriConfig, Points, Stored, clip_errors};
use crate::published::INTENSITIES;
use anyhow::Result;
use react_viz::plots::{Curve, overlay};
use react_viz::{Better, ClipRow, ClipTable, Kind, Metric, Mode, Report, ScoreRow, ScoreTable};
use std::collections::HashMap;
use std::path::PathBuf;

struct One {
    name: String,
    config: EriConfig,
    stored: Stored,
    /// Mean absolute error of each clip.
    errors: Vec<(String, f64)>,
}

pub(super) fn report(folders: &[PathBuf]) -> Result<Report> {
    let open = |(folder, name): (&PathBuf, String)| -> Result<One> {
        let (config, stored) = Stored::read(folder)?;
        let errors = clip_errors(&config)?;
        let errors = errors.rows.into_iter().map(|(clip, errors)| (clip, errors.iter().sum::<f64>() / errors.len().max(1) as f64));
        Ok(One { name, errors: errors.collect(), config, stored })
    };
    let runs: Vec<One> = folders.iter().zip(names(folders)).map(open).collect::<Result<_>>()?;
    let texts = runs.iter().map(|run| Ok((run.name.clone(), toml::to_string(&run.config)?))).collect::<Result<Vec<_>>>()?;
    Ok(Report {
        title: "Runs compared".to_owned(),
        run: runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(" · "),
        summary: format!(
            "{} runs of intensities beside {}, the first: Pearson's correlation of the ensembles of their seeds over the split {}. \
             Differences are the other run's number less the first's; green is better, orange is worse.",
            runs.len(),
            runs[0].name,
            runs[0].stored.split
        ),
        facts: runs.iter().map(|run| (format!("ensemble of {}", run.name), format!("{:.4}", run.stored.ensemble.mean_pearson))).collect(),
        tables: vec![scores(&runs)],
        settings: Some(settings::differences(&texts)?),
        figures: curves(&runs)?.into_iter().collect(),
        clips: Some(clips(&runs)),
        rerun: vec![command_line(folders.iter().map(PathBuf::as_path))],
        environment: environment(),
        notes: notes(&runs),
        ..Report::default()
    })
}

fn scores(runs: &[One]) -> ScoreTable {
    let metrics = runs[0].stored.metrics();
    let rows = runs.iter().map(|run| run.stored.row(&run.name, &metrics)).collect();
    let mut rows: Vec<ScoreRow> = with_differences(rows);
    rows.iter_mut().filter(|row| row.kind == Kind::Model).zip(runs).for_each(|(row, run)| {
        row.note = Some(format!("{} seeds: {:.4} ± {:.4}", run.stored.seeds.len(), run.stored.mean, run.stored.standard_deviation));
    });
    rows.extend(published_rows(&INTENSITIES, &metrics));
    ScoreTable {
        title: "Correlations side by side".to_owned(),
        caption: format!(
            "Computed rows are ensembles of seeds on {}; published rows stand on Hume-Reaction, each with its split and source.",
            runs[0].stored.data
        ),
        metrics,
        rows,
    }
}

fn curves(runs: &[One]) -> Result<Option<react_viz::Figure>> {
    let histories = runs.iter().map(|run| Stored::curves(&run.config)).collect::<Result<Vec<_>>>()?;
    let curve = |pick: fn(&(Points, Points)) -> &Points| {
        runs.iter().zip(&histories).map(|(run, both)| Curve { label: run.name.clone(), points: pick(both).clone() }).collect::<Vec<_>>()
    };
    if histories.iter().all(|(loss, correlation)| loss.is_empty() && correlation.is_empty()) {
        return Ok(None);
    }
    let panels = [("Loss, training", curve(|both| &both.0)), ("Mean correlation, validation", curve(|both| &both.1))];
    Ok(Some(overlay("Training over each other, first seeds", &panels, "training step", "value")?))
}

fn clips(runs: &[One]) -> ClipTable {
    let error = Metric::new("|error|", Mode::Sound, Better::Lower, 3, "Mean over the emotions of the absolute error of the ensemble.");
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let by_name: Vec<HashMap<&str, f64>> =
        runs.iter().map(|run| run.errors.iter().map(|(clip, error)| (clip.as_str(), *error)).collect()).collect();
    let rows = runs[0].errors.iter().filter_map(|(clip, _)| {
        let values: Vec<Option<f64>> = by_name.iter().map(|errors| errors.get(clip.as_str()).copied()).collect();
        values.iter().all(Option::is_some).then(|| ClipRow { clip: clip.clone(), scores: side_by_side(&values) })
    });
    ClipTable { rows: rows.collect(), metrics: heads(&error, &names), ..ClipTable::default() }
}

fn notes(runs: &[One]) -> Vec<String> {
    let first = &runs[0];
    let mut notes = Vec::new();
    for run in &runs[1..] {
        if (&run.stored.data, &run.stored.split, run.stored.clips) != (&first.stored.data, &first.stored.split, first.stored.clips)
            || run.config.corpus != first.config.corpus
        {
            notes.push(format!("{} and {} stand on different data: their scores may not compare.", first.name, run.name));
        }
    }
    notes.push("Losses and correlations over training are those of each run's first seed.".to_owned());
    notes
}
