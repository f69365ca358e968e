//! `react-train baselines`: what no network has to learn, scored.

use crate::evaluate::{System, table};
use crate::score::{Arrays, LISTENER, SPEAKER, neighbours_of, write};
use crate::{Config, cli, evaluate};
use anyhow::{Context, Result, ensure};
use ndarray::{ArrayView2, Ix2};
use react_metrics::{Baseline, Baselines, Bootstrap, Inputs, MeanReaction, Options};
use react_viz::Kind;
use react_viz::table::{csv, latex, text};
use std::path::Path;

/// Scores the baselines of the configuration's packed split, or of arrays, writes what is asked for, and returns the table.
///
/// # Errors
/// Where the packed corpus or a file is missing or does not fit.
pub fn baselines(config: &Config, args: &cli::Baselines) -> Result<String> {
    let mut config = config.clone();
    config.seed = args.seed.unwrap_or(config.seed);
    config.evaluate.samples = args.samples.map_or(config.evaluate.samples, |samples| samples as usize);
    let (table, systems) = match &args.listener {
        Some(listener) => {
            let systems = of_arrays(listener, args, config.evaluate.samples, config.seed)?;
            (table(&listener.display().to_string(), &systems), systems)
        }
        None => evaluate::baselines(&config)?,
    };
    let numbers = serde_json::json!({ "seed": config.seed, "samples": config.evaluate.samples, "systems": systems });
    write(args.json.as_deref(), || Ok(serde_json::to_string_pretty(&numbers)? + "\n"))?;
    write(args.csv.as_deref(), || Ok(csv(&table)))?;
    write(args.latex.as_deref(), || Ok(latex(&table)))?;
    Ok(text(&table).trim_end().to_owned())
}

/// The baselines that the given arrays allow: Mime needs speakers, MeanSeq and MeanFr training listeners.
fn of_arrays(listener: &Path, args: &cli::Baselines, samples: usize, seed: u64) -> Result<Vec<System>> {
    let listeners = Arrays::read(listener, LISTENER)?;
    let read = |path: &Path| Arrays::read(path, SPEAKER)?.in_order_of(&listeners.names, listener);
    let speakers = args.speaker.as_deref().map(read).transpose()?;
    let training = args.training_listener.as_deref().map(|path| Arrays::read(path, LISTENER)).transpose()?;
    let neighbours = neighbours_of(args.neighbours.as_deref(), &listeners)?;
    let listeners = views(&listeners)?;
    let speakers = speakers.as_ref().map(views).transpose()?;
    if let (Some(speakers), Some(path)) = (&speakers, &args.speaker) {
        let (found, wanted) = (speakers.len(), listeners.len());
        ensure!(found == wanted, "{}: {found} clips, but {} has {wanted}", path.display(), listener.display());
    }
    let mean = training.as_ref().map(|training| Ok::<_, anyhow::Error>(MeanReaction::new(views(training)?)?)).transpose()?;
    let maker = Baselines { samples, seed, mean: mean.as_ref() };
    let mut systems = Vec::new();
    for baseline in Baseline::ALL {
        let possible = match baseline {
            Baseline::GroundTruth | Baseline::Random => true,
            Baseline::Mime => speakers.is_some(),
            Baseline::MeanSequence | Baseline::MeanFrame => mean.is_some(),
        };
        if !possible {
            continue;
        }
        let reaction = |(i, real): (usize, &ArrayView2<'_, f32>)| {
            let speaker = speakers.as_ref().map(|clips| clips[i]);
            Ok(maker.reaction(baseline, u32::try_from(i)?, *real, speaker)?)
        };
        let predictions = listeners.iter().enumerate().map(reaction).collect::<Result<Vec<_>>>()?;
        let predictions = predictions.iter().map(|clip| clip.view()).collect();
        let inputs = Inputs::from_clips(predictions, listeners.clone(), speakers.clone(), &neighbours)
            .with_context(|| format!("the baseline {} on {}", baseline.name(), listener.display()))?;
        let options = Options { bootstrap: Some(Bootstrap { seed, ..Bootstrap::default() }), ..Options::default() };
        let scores = react_metrics::score(&inputs, &options, &|_| ());
        let kind = if baseline == Baseline::GroundTruth { Kind::Truth } else { Kind::Baseline };
        systems.push(System::new(baseline.name(), kind, &scores)?);
    }
    Ok(systems)
}

/// Each clip `[T, 25]`.
fn views(arrays: &Arrays) -> Result<Vec<ArrayView2<'_, f32>>> {
    arrays.clips()?.into_iter().map(|clip| Ok(clip.into_dimensionality::<Ix2>()?)).collect()
}
