//! `--rerun`: a clip as a recording for the Rerun viewer.

use super::scene::Scene;
use anyhow::Result;
use ndarray::ArrayView2;
use react_contracts::COEFFS;
use react_face::Avatar;
use react_viz::rerun::{MeshTrack, Recording, Track, Vertices};
use std::path::Path;

/// Writes the speaker's frames, and each listener's mesh, coefficients and attributes. `cast` are the listeners shown: name, face and
/// coefficients, the true one first where it is known.
pub(super) fn record(path: &Path, scene: &Scene, cast: &[(&str, &Avatar, ArrayView2<'_, f32>)]) -> Result<()> {
    let solids: Vec<_> = cast.iter().map(|(_, avatar, _)| avatar.solid()).collect();
    let poses: Vec<_> = cast
        .iter()
        .zip(&solids)
        .map(|((_, _, coeffs), solid)| {
            let coeffs = *coeffs;
            move |t: usize| {
                let mut row = [0.0; COEFFS];
                row.iter_mut().zip(coeffs.row(t)).for_each(|(to, from)| *to = *from);
                let (positions, normals) = solid.pose(&row);
                Vertices { positions, normals }
            }
        })
        .collect();
    let known = usize::from(scene.truth.is_some());
    let tracks: Vec<Track> = cast
        .iter()
        .zip(solids.iter().zip(&poses))
        .enumerate()
        .map(|(i, ((name, _, coeffs), (solid, posed)))| {
            let sample = i.checked_sub(known);
            let attributes = scene.emotion.as_ref().zip(sample).map(|(emotion, k)| emotion.index_axis(ndarray::Axis(0), k));
            let mesh = MeshTrack { frames: coeffs.nrows(), triangles: solid.triangles(), colours: solid.colors(), posed };
            Track {
                name,
                mesh: Some(mesh),
                coefficients: Some(*coeffs),
                attributes: attributes.or(match (i, &scene.attributes) {
                    (0, Some(truth)) if known == 1 => Some(truth.view()),
                    _ => None,
                }),
            }
        })
        .collect();
    let speaker = scene.speaker.as_ref().map(|speaker| speaker.view());
    Ok(react_viz::rerun::record(path, &Recording { name: &scene.name, fps: scene.fps, speaker, tracks: &tracks })?)
}
