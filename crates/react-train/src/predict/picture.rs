//! `predict --render`: the speaker beside the generated listeners.

use super::Checkpoint;
use crate::cli;
use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array3, ArrayView4};
use react_contracts::COEFFS;
use react_face::Person;
use react_random::Draws;
use react_viz::Listener;
use react_viz::strip::{Strip, evenly, write_strip};
use react_viz::video::{Panels, write_panels};
use std::path::Path;

/// Listeners beside the speaker; more than these are too small to see.
const SHOWN: usize = 4;
/// Pixels of a panel's side in the video, and of a picture in the filmstrip.
const SIDES: [usize; 2] = [224, 112];

/// Writes reaction.mp4 and reaction.png; returns a line that says so. coeffs `[K, T, 58]` without the mean face.
pub(super) fn write(
    args: &cli::Predict,
    out: &Path,
    checkpoint: &Checkpoint,
    speaker: ArrayView4<'_, u8>,
    coeffs: Array3<f32>,
    fps: f64,
) -> Result<String> {
    let (mean, source) = match (&args.mean_face, &checkpoint.mean_face) {
        (Some(path), _) => (read_mean_face(path)?, format!("with the mean face {}", path.display())),
        (None, Some(mean)) => (mean.clone(), "with the checkpoint's mean face".to_owned()),
        (None, None) => {
            let source = "without a mean face, which this checkpoint does not hold (give it with --mean-face)";
            (Array1::zeros(COEFFS), source.to_owned())
        }
    };
    let coeffs = coeffs + &mean;
    let shown = SHOWN.min(coeffs.shape()[0]);
    let labels: Vec<String> = (1..=shown).map(|k| format!("Sample {k}")).collect();
    let people: Vec<Person> = (0..shown as u32).map(|i| Person::draw(&mut Draws::new(args.seed, "listener", i, 0))).collect();
    let faces = labels.iter().zip(coeffs.outer_iter()).zip(&people);
    let listeners: Vec<Listener> = faces.map(|((label, coeffs), person)| Listener { label, coeffs, person }).collect();
    let (video, strip) = (out.join("reaction.mp4"), out.join("reaction.png"));
    write_panels(&video, &Panels { speaker: Some(speaker), listeners: &listeners, fps, side: SIDES[0] })?;
    let frames = evenly(coeffs.shape()[1], 8.min(coeffs.shape()[1]));
    write_strip(&strip, &Strip { speaker: Some(speaker), listeners: &listeners, fps, frames: &frames, side: SIDES[1] })?;
    Ok(format!("pictures: {} and {}, {source}", video.display(), strip.display()))
}

fn read_mean_face(path: &Path) -> Result<Array1<f32>> {
    let array = react_store::read_npy_f32(path)?;
    let found = array.shape().to_vec();
    ensure!(array.len() == COEFFS, "{}: wanted a mean face [58], found {found:?}", path.display());
    array.into_shape_with_order(COEFFS).with_context(|| path.display().to_string())
}
