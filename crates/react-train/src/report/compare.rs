//! Several runs of one job on one page: scores side by side with what the others have more than the first, losses over each other,
//! settings that differ, and the clips where the runs differ most.

use super::{command_line, compare_intensities, environment, settings};
use crate::config::Config;
use crate::eri::EriConfig;
use crate::evaluate::{self, Evaluation};
use crate::plots::history;
use crate::{Record, Run};
use anyhow::{Context, Result, bail, ensure};
use react_viz::plots::{Curve, LossPoint, overlay};
use react_viz::{ClipRow, ClipTable, Kind, Metric, Report, Score, ScoreRow, ScoreTable};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Writes the page of `runs`, to `out` or beside the first run's folder.
pub(super) fn write(runs: &[PathBuf], out: Option<&Path>) -> Result<PathBuf> {
    let of_intensities = runs.iter().filter(|run| EriConfig::is_run(run)).count();
    if of_intensities > 0 && of_intensities < runs.len() {
        let kind = |run: &PathBuf| if EriConfig::is_run(run) { "intensities" } else { "reactions" };
        let kinds: Vec<String> = runs.iter().map(|run| format!("{} ({})", run.display(), kind(run))).collect();
        bail!("runs of reactions and of intensities have no score in common: {}", kinds.join(", "));
    }
    let report = if of_intensities > 0 { compare_intensities::report(runs)? } else { report(runs)? };
    let path = match out {
        Some(path) => path.to_owned(),
        None => beside(runs)?,
    };
    Ok(report.write(&path)?.path)
}

/// `compare-A-B.html` beside the first run's folder.
fn beside(runs: &[PathBuf]) -> Result<PathBuf> {
    let first = runs.first().context("no run is named")?;
    let name = |run: &PathBuf| {
        let absolute = std::path::absolute(run).unwrap_or_else(|_| run.clone());
        absolute.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = runs.iter().map(name).collect();
    let first = std::path::absolute(first).with_context(|| format!("the path {}", first.display()))?;
    Ok(first.with_file_name(format!("compare-{}.html", names.join("-"))))
}

/// One of the runs.
struct One {
    name: String,
    config: Config,
    evaluation: Evaluation,
    records: Vec<Record>,
}

fn report(folders: &[PathBuf]) -> Result<Report> {
    let names = names(folders);
    let open = |(folder, name): (&PathBuf, String)| -> Result<One> {
        let (run, config) = Run::existing(folder)?;
        let evaluation = evaluate::read(&run)?.with_context(|| format!("{} was not evaluated yet", folder.display()))?;
        ensure!(!evaluation.systems.is_empty(), "{} has no scores", run.scores().display());
        Ok(One { name, config, evaluation, records: run.records()? })
    };
    let runs: Vec<One> = folders.iter().zip(names).map(open).collect::<Result<_>>()?;
    let texts = runs.iter().map(|run| Ok((run.name.clone(), run.config.to_toml()?))).collect::<Result<Vec<_>>>()?;
    let clips = clip_table(&runs);
    Ok(Report {
        title: "Runs compared".to_owned(),
        run: list(&runs),
        summary: summary(&runs, clips.rows.len()),
        facts: facts(&runs),
        tables: vec![scores(&runs)],
        settings: Some(settings::differences(&texts)?),
        figures: curves(&runs)?.into_iter().collect(),
        clips: Some(clips),
        rerun: vec![command_line(folders.iter().map(PathBuf::as_path))],
        environment: environment(),
        notes: notes(&runs),
        ..Report::default()
    })
}

/// What the runs are called on the page: the last part of their folder, or the whole path where two share it.
pub(super) fn names(folders: &[PathBuf]) -> Vec<String> {
    let short =
        |folder: &PathBuf| folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned());
    let all: Vec<String> = folders.iter().map(short).collect();
    let unique = |name: &String| all.iter().filter(|other| *other == name).count() == 1;
    all.iter().zip(folders).map(|(name, folder)| if unique(name) { name.clone() } else { folder.display().to_string() }).collect()
}

fn list(runs: &[One]) -> String {
    runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>().join(" · ")
}

fn summary(runs: &[One], clips: usize) -> String {
    format!(
        "{} runs by the challenge's definitions, beside {}, the first. {clips} clips are in all of them. Differences are the other run's number less the first's; green is better, orange is worse.",
        runs.len(),
        runs[0].name
    )
}

fn facts(runs: &[One]) -> Vec<(String, String)> {
    let corr = |run: &One| run.evaluation.systems[0].score("FRCorr").map_or_else(|| "–".to_owned(), |v| format!("{v:.2}"));
    runs.iter().map(|run| (format!("FRCorr of {}", run.name), corr(run))).collect()
}

/// Rows of the runs, each but the first followed by what it has more than the first.
pub(super) fn with_differences(rows: Vec<ScoreRow>) -> Vec<ScoreRow> {
    let Some(first) = rows.first().cloned() else { return rows };
    let less = |row: &ScoreRow| {
        let values: Vec<_> = row.scores.iter().zip(&first.scores).map(|(a, b)| Some(a.finite()? - b.finite()?)).collect();
        ScoreRow::new(&format!("{} − {}", row.system, first.system), Kind::Difference, &values)
    };
    rows.iter().enumerate().flat_map(|(i, row)| std::iter::once(row.clone()).chain((i > 0).then(|| less(row)))).collect()
}

fn scores(runs: &[One]) -> ScoreTable {
    let tables: Vec<ScoreTable> = runs.iter().map(|run| run.evaluation.table()).collect();
    let row = |(run, table): (&One, &ScoreTable)| table.rows.first().map(|row| ScoreRow { system: run.name.clone(), ..row.clone() });
    let rows = with_differences(runs.iter().zip(&tables).filter_map(row).collect());
    let mut table = ScoreTable { title: "Scores side by side".to_owned(), rows, ..tables.into_iter().next().unwrap_or_default() };
    // What needs no network belongs to the data: the first run's stands for all that share them.
    let first = &runs[0].evaluation;
    let naive = first.table().rows.into_iter().filter(|row| matches!(row.kind, Kind::Truth | Kind::Baseline | Kind::Oracle));
    if runs.iter().all(|run| run.evaluation.clips == first.clips) {
        table.rows.extend(naive);
    }
    table
}

/// The curves of the losses, a panel a part.
fn curves(runs: &[One]) -> Result<Option<react_viz::Figure>> {
    type Part = (&'static str, bool, fn(&LossPoint) -> Option<f64>);
    const PARTS: [Part; 4] = [
        ("Total, training", true, |p| p.total),
        ("Reconstruction, validation", false, |p| p.reconstruction),
        ("KL divergence, validation", false, |p| p.kl),
        ("Diversity, training", true, |p| p.diversity),
    ];
    let histories: Vec<_> = runs.iter().map(|run| history(&run.records)).collect();
    let panel = |(title, training, part): &Part| {
        let curve = |(run, history): (&One, &react_viz::plots::LossHistory)| {
            let points = if *training { &history.train } else { &history.validation };
            Curve { label: run.name.clone(), points: points.iter().filter_map(|p| Some((p.step as f64, part(p)?))).collect() }
        };
        (*title, runs.iter().zip(&histories).map(curve).collect::<Vec<_>>())
    };
    if histories.iter().all(react_viz::plots::LossHistory::is_empty) {
        return Ok(None);
    }
    Ok(Some(overlay("Losses over each other", &PARTS.iter().map(panel).collect::<Vec<_>>(), "training step", "loss")?))
}

/// The clips that all runs have: each run's scores, and what the others have more than the first.
fn clip_table(runs: &[One]) -> ClipTable {
    let metrics: Vec<Metric> = Metric::react().into_iter().take(2).collect();
    let columns = |run: &One| [run.evaluation.systems[0].per_clip.fr_corr.clone(), run.evaluation.systems[0].per_clip.fr_dist.clone()];
    let per_run: Vec<[Vec<f64>; 2]> = runs.iter().map(columns).collect();
    let places: Vec<HashMap<&str, usize>> =
        runs.iter().map(|run| run.evaluation.clips.iter().enumerate().map(|(i, clip)| (clip.as_str(), i)).collect()).collect();
    let rows = runs[0].evaluation.clips.iter().filter_map(|clip| {
        let at: Vec<usize> = places.iter().map(|place| place.get(clip.as_str()).copied()).collect::<Option<_>>()?;
        let value = |run: usize, metric: usize| per_run[run][metric].get(at[run]).copied();
        let of_metric = |metric: usize| side_by_side(&(0..runs.len()).map(|run| value(run, metric)).collect::<Vec<_>>());
        Some(ClipRow { clip: clip.clone(), scores: (0..metrics.len()).flat_map(of_metric).collect() })
    });
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    ClipTable { rows: rows.collect(), metrics: metrics.iter().flat_map(|metric| heads(metric, &names)).collect(), ..ClipTable::default() }
}

/// A metric's columns: each run's, then the differences from the first.
pub(super) fn heads(metric: &Metric, names: &[&str]) -> Vec<Metric> {
    let own = names.iter().map(|name| Metric { name: format!("{} {name}", metric.name), ..metric.clone() });
    let less = names.iter().skip(1).map(|name| metric.difference(&format!("{name} − {}", names[0])));
    own.chain(less).collect()
}

/// The values under [`heads`].
pub(super) fn side_by_side(values: &[Option<f64>]) -> Vec<Score> {
    let first = values.first().copied().flatten();
    let less = values.iter().skip(1).map(|value| Some(value.as_ref()? - first?));
    values.iter().copied().chain(less).map(Score::from).collect()
}

/// What makes the comparison doubtful.
fn notes(runs: &[One]) -> Vec<String> {
    let first = &runs[0];
    let mut notes = Vec::new();
    for run in &runs[1..] {
        let mut differs = Vec::new();
        if run.evaluation.split != first.evaluation.split {
            differs.push(format!("splits ({} and {})", first.evaluation.split, run.evaluation.split));
        }
        if run.evaluation.clips != first.evaluation.clips {
            differs.push("clips".to_owned());
        }
        if run.evaluation.samples != first.evaluation.samples {
            differs.push(format!(
                "numbers of samples ({} and {}), over which FRCorr and FRDist are sums",
                first.evaluation.samples, run.evaluation.samples
            ));
        }
        if run.evaluation.frames != first.evaluation.frames {
            differs.push(format!("lengths ({} and {} frames)", first.evaluation.frames, run.evaluation.frames));
        }
        if run.config.corpus != first.config.corpus {
            differs.push("corpora".to_owned());
        }
        if !differs.is_empty() {
            notes.push(format!("{} and {} stand on different {}: their scores may not compare.", first.name, run.name, differs.join(", ")));
        }
    }
    notes.push("Intervals are 95 % percentile bootstrap intervals over clips, of each run by itself.".to_owned());
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_but_the_first_has_its_difference() {
        let rows = vec![ScoreRow::new("a", Kind::Model, &[Some(1.0), None]), ScoreRow::new("b", Kind::Model, &[Some(1.5), Some(2.0)])];
        let rows = with_differences(rows);
        assert_eq!(rows.iter().map(|row| row.system.as_str()).collect::<Vec<_>>(), ["a", "b", "b − a"]);
        assert_eq!((rows[2].kind, rows[2].score(0).value, rows[2].score(1).value), (Kind::Difference, Some(0.5), None));
    }

    #[test]
    fn columns_and_values_agree() {
        let heads = heads(&Metric::react()[0], &["a", "b", "c"]);
        assert_eq!(heads.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["FRCorr a", "FRCorr b", "FRCorr c", "b − a", "c − a"]);
        assert_eq!(heads.iter().map(|m| m.signed).collect::<Vec<_>>(), [false, false, false, true, true]);
        let values = side_by_side(&[Some(1.0), Some(3.0), None]);
        assert_eq!(values.iter().map(|v| v.value).collect::<Vec<_>>(), [Some(1.0), Some(3.0), None, Some(2.0), None]);
    }

    #[test]
    fn runs_of_one_name_go_by_their_paths() {
        let folders = ["x/demo", "y/demo", "y/other"].map(PathBuf::from);
        assert_eq!(names(&folders), ["x/demo", "y/demo", "other"]);
    }
}
