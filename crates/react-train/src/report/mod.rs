//! The report of a run: scores, curves, clips to look at, and how to run it again. Of several runs: what differs.

mod chosen;
mod compare;
mod compare_intensities;
mod drawer;
mod settings;
mod words;

pub(crate) use chosen::{Videos, chosen};
pub(crate) use words::{command_line, environment, published_rows};

use crate::config::Config;
use crate::eri::{self, EriConfig};
use crate::evaluate::{self, Evaluation};
use crate::render::Likeness;
use crate::{Progress, Run, cli};
use anyhow::{Context, Result, bail, ensure};
use drawer::Drawer;
use react_viz::{ClipRow, ClipTable, Metric, Report, Score};
use std::path::{Path, PathBuf};

/// `react-train report RUN [RUN …] [--out FILE] [--videos N|all] [--face-model … --pirender …]`: the page of one run, of either job, or of the comparison of several
/// of one job. Returns the line to print.
///
/// # Errors
/// Where a folder is no evaluated run, runs are of both jobs, or the page cannot be written.
pub fn command(args: &cli::Report) -> Result<String> {
    let (runs, out, videos) = (&args.runs[..], args.out.as_deref(), Videos::parse(args.videos.as_deref())?);
    let path = match runs {
        [] => bail!("no run is named"),
        [run] if !EriConfig::is_run(run) => {
            let (run, config) = Run::existing(run)?;
            write_to(&config, &run, out, videos, Likeness::open(&args.likeness)?)?
        }
        _ if args.likeness.pirender.is_some() || args.likeness.face_model.is_some() => {
            bail!("--face-model and --pirender are for the report of one run of reactions")
        }
        [run] => eri::report_to(run, out, videos)?,
        runs => compare::write(runs, out)?,
    };
    Ok(format!("report     {}", std::path::absolute(&path).unwrap_or(path).display()))
}

/// Draws the report of a trained and evaluated run into its folder; returns its path.
///
/// # Errors
/// Where the run was not evaluated, or a file cannot be read or written.
pub fn write(config: &Config, run: &Run) -> Result<PathBuf> {
    write_to(config, run, None, Videos::default(), Likeness::default())
}

fn write_to(config: &Config, run: &Run, out: Option<&Path>, videos: Videos, likeness: Likeness) -> Result<PathBuf> {
    let evaluation = evaluate::read(run)?.with_context(|| format!("{} was not evaluated yet", run.folder().display()))?;
    let records = run.records()?;
    let scores = &evaluation.systems.first().context("an evaluation of nothing")?.per_clip.fr_corr;
    ensure!(
        scores.len() == evaluation.clips.len(),
        "{} has {} clips and {} scores",
        run.scores().display(),
        evaluation.clips.len(),
        scores.len()
    );
    let clips = clip_table(&evaluation);
    let mut drawer = Drawer::open(config, run, &evaluation, likeness)?;
    let chosen = chosen("FRCorr", scores, videos);
    let progress = Progress::new("report", chosen.len() as u64);
    let mut examples = Vec::with_capacity(chosen.len());
    for (place, (item, caption)) in chosen.iter().enumerate() {
        let mut example = drawer.example(place, *item, caption.as_deref())?;
        let row = &clips.rows[*item];
        example.scores = clips.metrics.iter().cloned().zip(row.scores.iter().map(|score| score.value)).collect();
        examples.push(example);
        progress.advance(1, "");
    }
    let report = Report {
        title: "Facial reactions".to_owned(),
        run: config.name.clone(),
        summary: words::summary(config, &evaluation),
        facts: words::facts(config, &evaluation, &records),
        tables: vec![words::table(config, &evaluation)],
        pictures: vec![drawer.picture()?],
        examples,
        figures: crate::plots::figures(config, run, &evaluation)?,
        clips: Some(clips),
        rerun: words::rerun(config),
        configuration: config.to_toml()?,
        environment: environment().into_iter().chain(crate::compute::environment(run.folder())?).collect(),
        notes: drawer.notes().into_iter().chain(words::notes(config, run, &evaluation)?).collect(),
        ..Report::default()
    };
    let path = out.map_or_else(|| run.report(), Path::to_owned);
    Ok(report.write(&path)?.path)
}

/// Every score that is kept clip by clip.
fn clip_table(evaluation: &Evaluation) -> ClipTable {
    let Some(scores) = evaluation.systems.first().map(|model| &model.per_clip) else { return ClipTable::default() };
    let columns = [&scores.fr_corr, &scores.fr_dist, &scores.fr_div, &scores.fr_var, &scores.fr_dvs];
    let kept: Vec<_> = Metric::react().into_iter().zip(columns).filter(|(_, values)| values.len() == evaluation.clips.len()).collect();
    let row = |(i, clip): (usize, &String)| ClipRow { clip: clip.clone(), scores: kept.iter().map(|(_, v)| Score::from(v[i])).collect() };
    let rows = evaluation.clips.iter().enumerate().map(row).collect();
    let note = "With --videos all, the command below draws every clip's.".to_owned();
    ClipTable { rows, note, metrics: kept.into_iter().map(|(metric, _)| metric).collect() }
}
