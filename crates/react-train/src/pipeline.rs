//! The whole job, from an empty folder to a report; what is there already is reused.

use crate::config::{Config, CorpusKind};
use crate::evaluate::Evaluation;
use crate::train::Stop;
use crate::{Progress, Run, cli, evaluate, report, train};
use anyhow::{Context, Result, bail};
use react_data::{Faces, PrepareConfig, Recipe};
use react_media::FrameShape;
use react_synth::SynthConfig;
use std::path::{Path, PathBuf};

/// What the whole job came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The scores of all systems.
    pub evaluation: Evaluation,
    /// The report.
    pub report: PathBuf,
    /// The checkpoint with the least validation loss.
    pub checkpoint: PathBuf,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.evaluation)?;
        writeln!(f, "report      {}", self.report.display())?;
        write!(f, "checkpoint  {}", self.checkpoint.display())
    }
}

/// Makes the synthetic corpus where it is missing, packs, trains, evaluates, draws.
///
/// # Errors
/// Those of the stages, and [`train::Interrupted`] where the training was stopped.
pub fn run(config: &Config, stop: &Stop) -> Result<Outcome> {
    // A device that cannot be used is said before hours of packing.
    config.compute()?;
    corpus(config)?;
    let (recipe, corpus) = (Recipe::named(config.corpus.kind.recipe())?, &config.corpus);
    let packing =
        PrepareConfig { shape: config.frames.into(), store: corpus.store, ..PrepareConfig::new(recipe, &corpus.root, &corpus.packed) };
    tracing::info!("prepare    {}", prepare(&packing)?);
    let run = Run::open(config)?;
    let trained = train::train(config, &run, stop)?.or_interrupted()?;
    tracing::info!("{trained}");
    let evaluation = evaluate::evaluate(config, &run)?;
    let reused = if evaluation.reused { "reused the scores of" } else { "scored" };
    tracing::info!("evaluate   {reused} {} reactions to each of {} clips", evaluation.samples, evaluation.clips.len());
    let report = match run.report() {
        report if evaluation.reused && trained.steps == 0 && report.exists() => report,
        _ => report::write(config, &run)?,
    };
    Ok(Outcome { evaluation, report: absolute(&report), checkpoint: absolute(&trained.best) })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Makes the synthetic corpus where it is missing; a licensed one must be there.
fn corpus(config: &Config) -> Result<()> {
    let root = &config.corpus.root;
    match (config.corpus.kind, &config.corpus.synthetic) {
        (CorpusKind::Synthetic, Some(sizes)) => {
            let synth = SynthConfig {
                pairs_train: sizes.pairs_train,
                pairs_val: sizes.pairs_val,
                frames: sizes.frames,
                size: sizes.size,
                seed: config.seed,
                ..SynthConfig::default()
            };
            tracing::info!("corpus     {}", make(&synth, root)?);
            Ok(())
        }
        _ if root.is_dir() => Ok(()),
        (CorpusKind::Synthetic, None) => {
            bail!("there is no corpus in {}, and the configuration has no [corpus.synthetic] to make one", root.display())
        }
        (kind @ (CorpusKind::React2024 | CorpusKind::React2025 | CorpusKind::Hume), _) => {
            let recipe = kind.recipe();
            bail!("there is no corpus in {}: see data-prep/{recipe}/README.md on how to get it, or set corpus.root", root.display())
        }
    }
}

/// `react-train synth`.
///
/// # Errors
/// Where the corpus cannot be written, or another one is there.
pub fn synth(args: &cli::Synth) -> Result<String> {
    let pairs = args.pairs as usize;
    let pairs_val = (pairs / 4).max(1);
    let config = SynthConfig {
        pairs_train: pairs - pairs_val,
        pairs_val,
        frames: args.frames as usize,
        size: args.size as usize,
        seed: args.seed,
        ..SynthConfig::default()
    };
    make(&config, &args.out)
}

/// The plan of `react-train prepare`: the configuration, and what was typed on top of it.
///
/// # Errors
/// Where a size makes no sense.
pub fn prepare_plan(config: &Config, args: &cli::Prepare) -> Result<PrepareConfig> {
    let kind = args.corpus.unwrap_or(config.corpus.kind);
    let recipe = Recipe::named(kind.recipe())?;
    // A corpus that was named or pointed at has its recipe's frames; the preset's belong to the preset's corpus.
    let own = args.root.is_none() && kind == config.corpus.kind;
    let preset = if own { config.frames.into() } else { recipe.frame_shape() };
    let shape = FrameShape { shorter: args.shorter.unwrap_or(preset.shorter), crop: args.crop.unwrap_or(preset.crop) };
    if shape.crop == 0 || shape.crop > shape.shorter {
        bail!("--crop ({}) must be from 1 to --shorter ({})", shape.crop, shape.shorter);
    }
    let root = args.root.as_ref().unwrap_or(&config.corpus.root);
    let out = args.out.as_ref().unwrap_or(&config.corpus.packed);
    Ok(PrepareConfig {
        faces: faces(args)?,
        max_bad: args.max_bad,
        cut: args.cut.clone().map(|sessions| (sessions, args.clip_seconds)),
        shape,
        threads: args.threads.unwrap_or(0),
        store: args.store.map_or(config.corpus.store, Into::into),
        ignore_room: args.ignore_room,
        ..PrepareConfig::new(recipe, root, out)
    })
}

/// What was typed about faces.
///
/// # Errors
/// Where it cannot be understood.
pub(crate) fn faces(args: &cli::Prepare) -> Result<Faces> {
    match &args.faces {
        None if args.face_model.is_some() => bail!("--face-model is for --faces detect"),
        None => Ok(Faces::Corpus),
        Some(text) => Faces::parse(text, args.face_model.clone()).map_err(anyhow::Error::msg),
    }
}

/// `react-train prepare`.
///
/// # Errors
/// Where a file is missing, unreadable or wrong; the error names it.
pub fn prepare(plan: &PrepareConfig) -> Result<String> {
    let progress = Units::new("prepare");
    Ok(react_data::prepare(plan, &progress).with_context(|| format!("cannot prepare {}", plan.root.display()))?.to_string())
}

/// `react-train prepare --verify`: what was found, where nothing is bad.
///
/// # Errors
/// Where no complete packed corpus is there, and where a file of it is bad: the error lists every one.
pub fn verify(out: &Path, threads: usize) -> Result<String> {
    let report = react_data::verify(out, threads, &Units::new("verify"))?;
    if report.bad.is_empty() {
        return Ok(format!("{report}: {}", out.display()));
    }
    // One a line, for other programs too; the error is one line.
    for (file, why) in &report.bad {
        tracing::error!("{file}: {why}");
    }
    bail!("{} of {} files in {} are bad", report.bad.len(), report.files, out.display())
}

fn make(config: &SynthConfig, root: &Path) -> Result<String> {
    let progress = Units::new("synth");
    Ok(react_synth::generate(config, root, &progress).with_context(|| format!("cannot make a corpus in {}", root.display()))?.to_string())
}

/// A stage whose number of units is known once it has begun.
pub(crate) struct Units {
    stage: &'static str,
    progress: std::sync::OnceLock<Progress>,
}

impl Units {
    pub(crate) fn new(stage: &'static str) -> Self {
        Self { stage, progress: std::sync::OnceLock::new() }
    }
}

impl react_data::Progress for Units {
    fn total(&self, units: usize) {
        let _ = self.progress.set(Progress::new(self.stage, units as u64));
    }

    fn advance(&self, units: usize) {
        if let Some(progress) = self.progress.get() {
            progress.advance(units as u64, "");
        }
    }

    fn message(&self, text: &str) {
        tracing::debug!("{}: {text}", self.stage);
    }

    fn room(&self, needed: u64, free: Option<u64>) {
        // The tables that come last are too small to speak of.
        if needed < 100_000 {
            return;
        }
        let free = free.map_or_else(String::new, |free| format!("; {:.1} MB are free", free as f64 / 1e6));
        tracing::info!("{}: {:.1} MB will be written{free}", self.stage, needed as f64 / 1e6);
    }
}
