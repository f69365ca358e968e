//! `react-train doctor`: what is wrong with a corpus.

use crate::config::CorpusKind;
use crate::eri::EriConfig;
use crate::pipeline::Units;
use crate::{Config, cli};
use anyhow::{Context, Result, ensure};
use react_data::doctor::{Diagnosis, examine, examine_hume};
use react_data::hume::HumeRecipe;
use react_data::{Corpus, Recipe};
use std::path::Path;

/// A corpus with warnings or errors, which have been printed: what is left is the exit code.
#[derive(Debug)]
pub struct Unsound {
    /// 3 for warnings, 4 for errors.
    pub exit_code: u8,
}

impl std::fmt::Display for Unsound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the corpus is not sound")
    }
}

impl std::error::Error for Unsound {}

/// Examines a corpus of dyads.
///
/// # Errors
/// Where its folder is missing, or the JSON cannot be written.
pub fn doctor(config: &Config, args: &cli::Doctor) -> Result<Diagnosis> {
    let recipe = Recipe::named(args.corpus.unwrap_or(config.corpus.kind).recipe())?;
    let root = args.root.as_ref().unwrap_or(&config.corpus.root);
    let (corpus, problems) = match &args.cut {
        None => Corpus::survey(root, recipe)?,
        Some(sessions) => (Corpus::cut(root, recipe, sessions, args.clip_seconds)?, Vec::new()),
    };
    let diagnosis = examine(&corpus, problems, args.threads.unwrap_or(0), &Units::new("doctor"));
    written(diagnosis.with_context(|| format!("cannot examine {}", root.display()))?, args.json.as_deref())
}

/// Examines Hume-Reaction.
///
/// # Errors
/// As [`doctor`].
pub fn doctor_of_intensities(config: &EriConfig, args: &cli::Doctor) -> Result<Diagnosis> {
    ensure!(args.corpus.is_none_or(|kind| kind == CorpusKind::Hume), "this configuration is for --corpus hume");
    ensure!(args.cut.is_none(), "--cut is for corpora of dyads");
    let root = args.root.as_ref().unwrap_or(&config.corpus.root);
    let recipe = HumeRecipe::built_in()?;
    let diagnosis = examine_hume(root, &recipe, args.threads.unwrap_or(0), &Units::new("doctor"));
    written(diagnosis.with_context(|| format!("cannot examine {}", root.display()))?, args.json.as_deref())
}

fn written(diagnosis: Diagnosis, json: Option<&Path>) -> Result<Diagnosis> {
    if let Some(path) = json {
        react_store::write_atomic(path, |file| file.write_all(diagnosis.to_json().as_bytes()))?;
    }
    Ok(diagnosis)
}
