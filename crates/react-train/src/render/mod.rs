//! `react-train render`: reactions to look at.
//!
//! Videos of the speaker with its sound, the true listener and generated ones side by side; on request frames for FRRea, animations and
//! recordings for Rerun.
//!
//! - `scene`: what is drawn, from a run; `reaction`: the same from files.
//! - `draw`: how it is drawn, and what is written.

mod draw;
mod film;
mod likeness;
mod painted;
mod reaction;
#[cfg(feature = "rerun")]
mod recording;
mod scene;

pub(crate) use draw::{Drawing, Output};
pub(crate) use film::read_sound;
pub(crate) use likeness::Likeness;
pub(crate) use reaction::mean_face;
pub(crate) use scene::{Scene, Stage};

use crate::{Progress, Run, cli};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// What a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// A run's folder.
    Run,
    /// An array of coefficients.
    Reaction,
}

impl Source {
    fn of(path: &Path) -> Self {
        let is_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
        if is_npy && !path.is_dir() { Self::Reaction } else { Self::Run }
    }
}

/// Draws clips of a run, or one reaction; returns the lines that say what is where.
///
/// # Errors
/// Where the run, its corpus or a file is missing or damaged, there is no such clip, an option does not fit, or a file cannot be written.
pub fn render(args: &cli::Render) -> Result<String> {
    let drawing = Drawing::new(args)?;
    match Source::of(&args.source) {
        Source::Reaction => of_reaction(args, &drawing),
        Source::Run => of_run(args, &drawing),
    }
}

fn of_reaction(args: &cli::Render, drawing: &Drawing) -> Result<String> {
    let given = [("--split", args.split.is_some()), ("--clip", args.clip.is_some()), ("--all", args.all)];
    if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
        bail!("{flag} is for a run: {} is one reaction", args.source.display());
    }
    let scene = reaction::read(args)?;
    let folder = args.source.parent().unwrap_or(Path::new("")).to_owned();
    let output = Output::new(args.out.as_deref(), folder, &scene.name, false)?;
    drawing.draw(&scene, args.samples as usize, &output)
}

fn of_run(args: &cli::Render, drawing: &Drawing) -> Result<String> {
    let given = [
        ("--speaker-video", args.speaker_video.is_some()),
        ("--speaker-audio", args.speaker_audio.is_some()),
        ("--mean-face", args.mean_face.is_some()),
        ("--truth", args.truth.is_some()),
        ("--seed", args.seed.is_some()),
    ];
    if let Some((flag, _)) = given.into_iter().find(|(_, given)| *given) {
        bail!("{flag} is for a reaction_3dmm.npy: a run has its own");
    }
    let (run, config) = Run::existing(&args.source)?;
    ensure!(args.source.is_dir(), "{} is neither a run's folder nor an .npy", args.source.display());
    let stage = Stage::open(&config, &run, args.split.as_deref())?;
    let items: Vec<usize> = if args.all { (0..stage.split().len()).collect() } else { vec![stage.find(args.clip.as_deref())?] };
    let progress = Progress::new("render", items.len() as u64);
    let mut lines = Vec::new();
    for item in &items {
        let scene = stage.scene(*item, args.samples as usize, args.side)?;
        let output = Output::new(args.out.as_deref(), run.file("render"), &scene.name, args.all)?;
        lines.push(drawing.draw(&scene, args.samples as usize, &output).with_context(|| scene.name.clone())?);
        progress.advance(1, "");
    }
    Ok(lines.join("\n"))
}

/// A file's name for a clip's: `Synth-chat-0001-1` of `Synth/chat-0001/1`.
fn flat(name: &str) -> String {
    name.replace(['/', '\\'], "-")
}

/// The folder that a file lies in.
fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}
