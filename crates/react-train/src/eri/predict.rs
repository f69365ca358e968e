//! Prediction: of a packed split, or of one clip straight from its files.

use super::config::EriConfig;
use super::evaluate::csv;
use super::run::SeedRun;
use super::trained::TrainedEri;
use crate::Compute;
use crate::tensors::{array, tensor};
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Axis};
use react_data::hume::{ClipShape, EriPacked, prepare_one};
use react_model::eri::Input;
use std::path::{Path, PathBuf};

/// Intensities of every clip of a packed split, by the mean of all trained seeds or by one checkpoint, as a csv in the published
/// form; returns where it is.
///
/// # Errors
/// Where nothing is trained, or a clip cannot be read.
pub fn predict_split(config: &EriConfig, split: &str, batch: usize, checkpoint: Option<&Path>, out: Option<&Path>) -> Result<PathBuf> {
    let split = EriPacked::open(&config.corpus.packed)?.split(split)?;
    let files = match checkpoint {
        Some(file) => vec![file.to_owned()],
        None => SeedRun::all(config)?.into_iter().map(|(_, run)| run.best()).collect(),
    };
    ensure!(!files.is_empty(), "nothing to predict with in {}: train first, or give --checkpoint", config.folder().display());
    let compute = config.compute()?;
    let mut sum: Option<Array2<f32>> = None;
    for file in &files {
        let trained = TrainedEri::read_on(file, &compute)?;
        trained.check_emotions(split.emotions())?;
        let predicted = trained.predictions(&config.corpus.packed, &split, batch, None)?;
        sum = Some(sum.map_or_else(|| predicted.clone(), |sum| sum + &predicted));
    }
    let mean = sum.context("no checkpoint")? / files.len() as f32;
    let folder = out.map_or_else(|| config.folder(), Path::to_owned);
    let path = folder.join(format!("predictions-{}.csv", split.name()));
    let text = csv(&split, mean.view());
    react_store::write_atomic(&path, |file| file.write_all(text.as_bytes()))?;
    Ok(path)
}

/// Intensities of one clip, from its video, its sound, or both; what is not given is missing, as in training. Returns a line an
/// emotion, and writes them to `intensities.csv` in `out`.
///
/// # Errors
/// Where the checkpoint or a file cannot be read, or neither file is given.
pub fn predict_one(
    checkpoint: &Path,
    weights: Option<&Path>,
    video: Option<&Path>,
    sound: Option<&Path>,
    out: &Path,
    compute: &Compute,
) -> Result<String> {
    ensure!(video.is_some() || sound.is_some(), "wanted --speaker-video, --speaker-audio, or both");
    let trained = TrainedEri::read_on(checkpoint, compute)?.with_eye(weights)?;
    let device = compute.device();
    let clip = trained.clip;
    let one = prepare_one(video, sound, &ClipShape { crop: clip.crop, frames: clip.frames, steps: clip.steps })?;
    let features = match &trained.eye {
        None => None,
        Some(eye) => Some(tensor(eye.features(one.frames.view())?.insert_axis(Axis(0)), device)?),
    };
    let input = Input {
        features,
        frames: Some(tensor(one.frames.insert_axis(Axis(0)), device)?),
        mfcc: Some(tensor(one.mfcc.insert_axis(Axis(0)), device)?),
        keep: Some(tensor(Array2::from_shape_vec((1, 2), one.keep.to_vec())?, device)?),
    };
    let values = array(&trained.model.forward(&input, &compute.eval())?.intensity)?;
    let lines: Vec<String> = trained.emotions.iter().zip(&values).map(|(emotion, value)| format!("{emotion},{value:.6}")).collect();
    let text = format!("emotion,intensity\n{}\n", lines.join("\n"));
    react_store::write_atomic(&out.join("intensities.csv"), |file| file.write_all(text.as_bytes()))?;
    let missing = ["the voice", "the face"].into_iter().zip(one.keep).filter(|(_, keep)| *keep == 0.0);
    let mut words: Vec<String> = missing.map(|(what, _)| format!("note: {what} is missing, and left out")).collect();
    words.extend(lines.iter().map(|line| line.replace(',', "  ")));
    words.push(format!("written to {}", out.join("intensities.csv").display()));
    Ok(words.join("\n"))
}
