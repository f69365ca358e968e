//! `predict --render`: the speaker beside the generated listeners, drawn as `render` does.

use super::Checkpoint;
use crate::cli;
use crate::render::{Drawing, Output, Scene, mean_face, read_sound};
use anyhow::Result;
use ndarray::{Array1, Array3, Array4};
use react_contracts::COEFFS;
use react_viz::strip::{Strip, evenly, write_strip};
use std::path::Path;

/// Listeners beside the speaker, and in the filmstrip.
const SHOWN: [usize; 2] = [10, 4];
/// Pixels of a panel's side in the video, and of a picture in the filmstrip.
const SIDES: [usize; 2] = [224, 112];

/// Writes reaction.mp4 (with the speaker's sound where that is no array), reaction.png and render.json; returns a line that says so.
/// coeffs `[K, T, 58]` without the mean face.
pub(super) fn write(
    args: &cli::Predict,
    out: &Path,
    checkpoint: &Checkpoint,
    speaker: Array4<u8>,
    coeffs: Array3<f32>,
    fps: f64,
) -> Result<String> {
    let (mean, source) = match (&args.mean_face, &checkpoint.mean_face) {
        (Some(path), _) => (mean_face(path)?, format!("with the mean face {}", path.display())),
        (None, Some(mean)) => (mean.clone(), "with the checkpoint's mean face".to_owned()),
        (None, None) => {
            let source = "without a mean face, which this checkpoint does not hold (give it with --mean-face)";
            (Array1::zeros(COEFFS), source.to_owned())
        }
    };
    let frames = coeffs.dim().1;
    let is_sound = |path: &&Path| path.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("npy"));
    let sound = match args.speaker_audio.as_deref().filter(is_sound) {
        Some(path) => read_sound(path, 0.0, frames as f64 / fps)?,
        None => None,
    };
    let scene = Scene {
        name: "reaction".to_owned(),
        fps,
        speaker: Some(speaker),
        sound,
        truth: None,
        attributes: None,
        coeffs: coeffs + &mean,
        emotion: None,
        seed: args.seed,
        notes: vec![format!("Drawn {source}.")],
    };
    let output = Output::new(Some(out), out.to_owned(), &scene.name, false)?;
    Drawing::plain(SIDES[0]).draw(&scene, SHOWN[0], &output)?;
    let strip = out.join("reaction.png");
    write_filmstrip(&strip, &scene)?;
    Ok(format!("pictures: {} and {}, {source}", output.video.display(), strip.display()))
}

/// Moments of the speaker and of the first samples.
fn write_filmstrip(path: &Path, scene: &Scene) -> Result<()> {
    let frames = scene.coeffs.dim().1;
    let labels = scene.labels(SHOWN[1]);
    let people = Scene::people(scene.seed, labels.len() + 1);
    let listeners = scene.listeners(&labels, &people[1..]);
    let moments = evenly(frames, 8.min(frames));
    let speaker = scene.speaker.as_ref().map(|speaker| speaker.view());
    write_strip(path, &Strip { speaker, listeners: &listeners, fps: scene.fps, frames: &moments, side: SIDES[1] })?;
    Ok(())
}
