//! A scene from files: what `predict` wrote, or any program's coefficients.

use super::Source;
use super::film::{FPS, read_film, read_sound};
use super::scene::Scene;
use crate::cli;
use anyhow::{Context, Result, ensure};
use ndarray::{Array1, Array2, Array3, Axis, s};
use react_contracts::COEFFS;
use std::path::Path;

/// Reads reaction_3dmm.npy, `[K, T, 58]` or `[T, 58]`, with what was given beside it. Frames that not all have are left out, and the
/// notes say so.
pub(super) fn read(args: &cli::Render) -> Result<Scene> {
    let file = &args.source;
    let mut coeffs = coefficients(file)?;
    let mut notes = Vec::new();
    let mean = args.mean_face.as_deref().map(mean_face).transpose()?;
    match (&mean, &args.mean_face) {
        (Some(mean), Some(path)) => {
            coeffs += mean;
            notes.push(format!("Mean face: {}.", path.display()));
        }
        _ => notes.push("Without a mean face (give it with --mean-face): drawn as if the file held it already.".to_owned()),
    }
    let most = coeffs.dim().1;
    let film = args.speaker_video.as_deref().map(|path| read_film(path, 0, most, args.side)).transpose()?;
    let fps = film.as_ref().map_or(FPS, |film| film.fps);
    let truth = args.truth.as_deref().map(truth).transpose()?;
    let mut lengths = vec![(file.display().to_string(), most)];
    lengths.extend(film.as_ref().zip(args.speaker_video.as_ref()).map(|(film, path)| (path.display().to_string(), film.of)));
    lengths.extend(truth.as_ref().zip(args.truth.as_ref()).map(|(truth, path)| (path.display().to_string(), truth.nrows())));
    let frames = lengths.iter().map(|(_, frames)| *frames).min().unwrap_or(0);
    ensure!(frames > 0, "{}: holds no frame", file.display());
    if lengths.iter().any(|(_, length)| *length != frames) {
        let each: Vec<String> = lengths.iter().map(|(name, length)| format!("{name} has {length}")).collect();
        notes.push(format!("Frames 0 to {} are drawn, those that all have: {}.", frames - 1, each.join(", ")));
    }
    let seconds = frames as f64 / fps;
    let sound = match (&args.speaker_audio, &args.speaker_video) {
        (Some(path), _) => Some(read_sound(path, 0.0, seconds)?.with_context(|| format!("{} holds no sound", path.display()))?),
        (None, Some(path)) if film.is_some() && path.is_file() && !is_npy(path) => read_sound(path, 0.0, seconds).unwrap_or(None),
        _ => None,
    };
    if sound.is_none() {
        notes.push("Without sound (give it with --speaker-audio).".to_owned());
    }
    Ok(Scene {
        name: name(file),
        fps,
        speaker: film.map(|film| film.frames.slice_move(s![..frames.min(film.of), .., .., ..])),
        sound,
        truth: truth.map(|truth| truth.slice_move(s![..frames, ..])),
        attributes: None,
        coeffs: coeffs.slice_move(s![.., ..frames, ..]),
        emotion: None,
        seed: args.seed.unwrap_or(0),
        notes,
    })
}

/// `reaction` of `x/reaction_3dmm.npy`.
fn name(file: &Path) -> String {
    let stem = file.file_stem().map_or_else(|| "reaction".to_owned(), |stem| stem.to_string_lossy().into_owned());
    stem.strip_suffix("_3dmm").map_or_else(|| stem.clone(), str::to_owned)
}

fn is_npy(path: &Path) -> bool {
    Source::of(path) == Source::Reaction
}

/// `[K, T, 58]`; one reaction `[T, 58]`, or `[T, 1, 58]` as the corpora keep it, is `[1, T, 58]`.
fn coefficients(path: &Path) -> Result<Array3<f32>> {
    let array = react_store::read_npy_f32(path)?;
    let found = array.shape().to_vec();
    let wanted = || format!("{}: wanted coefficients f32 [K,T,58] or [T,58], found {found:?}", path.display());
    let array = match found[..] {
        [_, _] => array.insert_axis(Axis(0)),
        [frames, 1, _] if frames > 1 => array.permuted_axes(vec![1, 0, 2]).as_standard_layout().into_owned(),
        _ => array,
    };
    let array: Array3<f32> = array.into_dimensionality().ok().with_context(wanted)?;
    ensure!(array.dim().2 == COEFFS && !array.is_empty(), wanted());
    Ok(array)
}

/// A recorded listener's coefficients, `[T, 58]` or as published `[T, 1, 58]`, mean face in them.
fn truth(path: &Path) -> Result<Array2<f32>> {
    let array = react_store::read_npy_f32(path)?;
    let found = array.shape().to_vec();
    let wanted = || format!("{}: wanted a listener's coefficients f32 [T,58] or [T,1,58], found {found:?}", path.display());
    let array = if array.ndim() == 3 && found[1] == 1 { array.index_axis_move(Axis(1), 0) } else { array };
    let array: Array2<f32> = array.into_dimensionality().ok().with_context(wanted)?;
    ensure!(array.ncols() == COEFFS && !array.is_empty(), wanted());
    Ok(array)
}

/// A mean face, `[58]`.
pub(crate) fn mean_face(path: &Path) -> Result<Array1<f32>> {
    let array = react_store::read_npy_f32(path)?;
    let found = array.shape().to_vec();
    ensure!(array.len() == COEFFS, "{}: wanted a mean face [58], found {found:?}", path.display());
    array.into_shape_with_order(COEFFS).with_context(|| path.display().to_string())
}
