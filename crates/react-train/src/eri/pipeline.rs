//! The whole job of a preset, and its stages.

use super::config::EriConfig;
use super::evaluate::{Evaluation, evaluate};
use super::run::SeedRun;
use super::train::{Beginnings, train};
use crate::cli;
use crate::pipeline::{Units, faces};
use crate::train::Stop;
use anyhow::{Context, Result, bail, ensure};
use react_data::Faces;
use react_data::hume::{HumeConfig, HumeReport, prepare_hume};
use react_synth::hume::{HumeSynthConfig, generate_hume};

/// Makes the synthetic corpus where it is missing, packs, trains `seeds` seeds, evaluates; what is there already is reused.
///
/// # Errors
/// Those of the stages.
pub fn run(config: &EriConfig, seeds: u32, beginnings: &Beginnings<'_>, stop: &Stop) -> Result<Evaluation> {
    // A device that cannot be used is said before hours of packing.
    config.compute()?;
    corpus(config)?;
    tracing::info!("prepare    {}", prepare(&plan(config))?);
    train_seeds(config, seeds, beginnings, stop)?;
    evaluate(config)
}

/// Makes the synthetic corpus where it is missing; a licensed one must be there.
///
/// # Errors
/// Where there is none, or another one is there.
pub fn corpus(config: &EriConfig) -> Result<()> {
    let root = &config.corpus.root;
    match &config.corpus.synthetic {
        Some(sizes) => {
            let synth = HumeSynthConfig {
                train: sizes.train,
                val: sizes.val,
                test: sizes.test,
                seconds: sizes.seconds,
                size: sizes.size,
                seed: sizes.seed,
                ..HumeSynthConfig::default()
            };
            let made = generate_hume(&synth, root, &Units::new("synth"));
            tracing::info!("corpus     {}", made.with_context(|| format!("cannot make a corpus in {}", root.display()))?);
            Ok(())
        }
        None if root.is_dir() => Ok(()),
        None => bail!("there is no corpus in {}: see data-prep/hume/README.md on how to get it, or set corpus.root", root.display()),
    }
}

/// How a configuration's corpus is packed.
fn plan(config: &EriConfig) -> HumeConfig {
    HumeConfig {
        root: config.corpus.root.clone(),
        out: config.corpus.packed.clone(),
        crop: config.clip.crop,
        frames: config.clip.frames,
        steps: config.clip.steps,
        faces: config.corpus.boxes.clone().map_or(Faces::Centre, Faces::Boxes),
        ..HumeConfig::default()
    }
}

/// The plan of `react-train prepare`: the configuration, and what was typed on top of it.
///
/// # Errors
/// Where there is no recipe, or an argument is for the other job.
pub fn prepare_plan(config: &EriConfig, args: &cli::Prepare) -> Result<HumeConfig> {
    ensure!(args.cut.is_none(), "--cut is for corpora of dyads");
    ensure!(args.shorter.is_none(), "--shorter is for reactions: here a face is squared and resized at once (--crop)");
    let mut plan = plan(config);
    if let Some(root) = &args.root {
        plan.root.clone_from(root);
    }
    if let Some(out) = &args.out {
        plan.out.clone_from(out);
    }
    plan.crop = args.crop.unwrap_or(plan.crop);
    plan.threads = args.threads.unwrap_or(plan.threads);
    if args.faces.is_some() || args.face_model.is_some() {
        plan.faces = faces(args)?;
    }
    plan.max_bad = args.max_bad;
    Ok(plan)
}

/// Packs the corpus; what is packed already is not packed again.
///
/// # Errors
/// Where a file is missing, unreadable or wrong; the error names it.
pub fn prepare(plan: &HumeConfig) -> Result<HumeReport> {
    prepare_hume(plan, &Units::new("prepare")).with_context(|| format!("cannot prepare {}", plan.root.display()))
}

/// `react-train synth --corpus hume`.
///
/// # Errors
/// Where the corpus cannot be written, or another one is there.
pub fn synth(args: &cli::Synth) -> Result<String> {
    let clips = args.pairs as usize;
    let val = (clips / 4).max(1);
    let config =
        HumeSynthConfig { train: clips - val, val, test: 0, size: args.size as usize, seed: args.seed, ..HumeSynthConfig::default() };
    let made = generate_hume(&config, &args.out, &Units::new("synth"));
    Ok(made.with_context(|| format!("cannot make a corpus in {}", args.out.display()))?.to_string())
}

/// Trains seeds `config.seed`, `config.seed + 1`, … ; returns the best mean correlation of each on the validation split.
///
/// # Errors
/// Those of [`train`].
pub fn train_seeds(config: &EriConfig, seeds: u32, beginnings: &Beginnings<'_>, stop: &Stop) -> Result<Vec<(u64, f64)>> {
    ensure!(seeds > 0, "--seeds must be 1 or more");
    let mut found = Vec::new();
    for seed in (0..u64::from(seeds)).map(|i| config.seed + i) {
        let config = config.with_seed(seed);
        let run = SeedRun::of(&config);
        let best = train(&config, &run, beginnings, stop).with_context(|| format!("the run {}", run.folder().display()))?;
        tracing::info!("training   seed {seed}: correlation {best:.4} on {}: {}", config.evaluate.split, run.best().display());
        found.push((seed, best));
    }
    Ok(found)
}
