//! Writes a corpus: every clip's mp4 and wav, then the tables.

use super::config::{EMOTIONS, HUME_FPS, HUME_RATE, HumeSynthConfig};
use super::face::{face_box, perform};
use super::latent::{Face, HumeClip};
use super::truth::HumeTruth;
use super::voice;
use crate::actor::Actor;
use crate::generate::{folder_of, pool};
use crate::{SynthError, SynthReport};
use ndarray::Array2;
use rayon::prelude::*;
use react_contracts::COEFFS;
use react_data::Progress;
use react_face::{Head, Look, Portrait};
use react_media::{Quality, VideoWriter, write_wav};
use react_random::Draws;
use react_store::write_atomic;
use std::path::Path;

/// Writes the corpus of `config` into `root`, in Hume-Reaction's layout; progress counts clips.
///
/// Beside the published files there are `boxes.csv` (clip, frame, x, y, w, h of every face) and `truth.json` ([`HumeTruth`]).
/// What is there of the same configuration is kept, so a run that was stopped is taken up again. Every file is written
/// beside its place and renamed.
///
/// # Errors
/// Where the configuration has no sense, the folder holds something else, or a file cannot be written.
pub fn generate_hume(config: &HumeSynthConfig, root: &Path, progress: &dyn Progress) -> Result<SynthReport, SynthError> {
    let truth = HumeTruth::plan(config)?;
    let count = truth.clips.len();
    let report = |written| SynthReport { written, reused: count - written, root: root.to_owned() };
    if is_whole(&truth, root)? {
        return Ok(report(0));
    }
    progress.total(count);
    progress.message("rendering faces and voices");
    let head = Head::embedded();
    let make = || -> Result<usize, SynthError> {
        let written: Vec<bool> = truth
            .clips
            .par_iter()
            .map(|clip| {
                let written = write_clip(&truth.config, clip, &head, root)?;
                progress.advance(1);
                Ok(written)
            })
            .collect::<Result<_, SynthError>>()?;
        write_labels(&truth, root)?;
        write_boxes(&truth, root)?;
        Ok(written.into_iter().filter(|written| *written).count())
    };
    let written = pool(config.threads)?.install(make)?;
    HumeTruth { complete: true, ..truth }.write(root)?;
    Ok(report(written))
}

/// Whether the folder holds this corpus in full; marks an empty one as its. Nothing of another is ever overwritten.
fn is_whole(truth: &HumeTruth, root: &Path) -> Result<bool, SynthError> {
    let occupied = |found: String| SynthError::Occupied { folder: root.to_owned(), found };
    if let Some(there) = HumeTruth::read(root)? {
        if there.config == truth.config {
            return Ok(there.complete);
        }
        let HumeSynthConfig { train, val, test, seconds, size, seed, .. } = there.config;
        let sizes = format!("{train} + {val} + {test} clips of {seconds} s, {size} pixels, seed {seed}");
        return Err(occupied(format!("another synthetic corpus ({sizes})")));
    }
    let occupied_by_others = match std::fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_some(),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => false,
        Err(source) => return Err(SynthError::Io { action: "read the folder", file: root.to_owned(), source }),
    };
    if occupied_by_others {
        return Err(occupied("files that are no synthetic corpus".to_owned()));
    }
    truth.write(root)?;
    Ok(false)
}

/// Who is in a clip, and the coefficients of its frames.
fn act(config: &HumeSynthConfig, clip: &HumeClip, number: u32) -> (Actor, Array2<f32>) {
    let actor = Actor::draw(&mut Draws::new(config.seed, "hume.actor", clip.person, 0));
    let coeffs = perform(&actor, &clip.seen, config.frames(), &mut Draws::new(config.seed, "hume.face", number, 0));
    (actor, coeffs)
}

/// The clip's number: its id.
fn number(clip: &HumeClip) -> u32 {
    clip.id.parse().unwrap_or_default()
}

/// Writes the two files of a clip, unless they are there; says whether it did.
fn write_clip(config: &HumeSynthConfig, clip: &HumeClip, head: &Head, root: &Path) -> Result<bool, SynthError> {
    let folder = root.join(&clip.split);
    let [mp4, wav] = ["mp4", "wav"].map(|kind| folder.join(kind).join(format!("{}.{kind}", clip.id)));
    if mp4.is_file() && wav.is_file() {
        return Ok(false);
    }
    let number = number(clip);
    let (actor, coeffs) = act(config, clip, number);
    let mut samples = voice::sound(&actor.voice, &clip.heard, config.seconds, &mut Draws::new(config.seed, "hume.voice", number, 0));
    if !clip.sound {
        samples.fill(0.0);
    }
    folder_of(&wav)?;
    write_wav(&wav, &samples, HUME_RATE)?;

    let size = config.size;
    folder_of(&mp4)?;
    let mut portrait = Portrait::new(head, &actor.person, actor.look, size, size);
    let mut writer = VideoWriter::create(&mp4, size, size, HUME_FPS, Quality::Fast)?;
    let mut rgb = vec![0; size * size * 3];
    for frame in coeffs.outer_iter() {
        match clip.face {
            Face::Shown => portrait.frame(&std::array::from_fn::<f32, COEFFS, _>(|i| frame[i]), &mut rgb),
            Face::Black => {}
            Face::Room => room(&actor.look, size, &mut rgb),
        }
        writer.push(&rgb)?;
    }
    writer.finish()?;
    Ok(true)
}

/// The background alone.
fn room(look: &Look, size: usize, rgb: &mut [u8]) {
    for (y, row) in rgb.chunks_exact_mut(size * 3).enumerate() {
        let down = y as f32 / size as f32;
        let color: [u8; 3] = std::array::from_fn(|c| (255.0 * (look.top[c] + (look.bottom[c] - look.top[c]) * down)) as u8);
        row.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&color));
    }
}

/// `data_info.csv`: labels of the test split are left empty.
fn write_labels(truth: &HumeTruth, root: &Path) -> Result<(), SynthError> {
    Ok(write_atomic(&root.join("data_info.csv"), |out| {
        writeln!(out, "File_ID,Split,{},Age,Country", EMOTIONS.join(","))?;
        for clip in &truth.clips {
            let labels = clip.labels.map(|label| if clip.split == "test" { String::new() } else { format!("{label:.4}") });
            let draws = &mut Draws::new(truth.config.seed, "hume.census", clip.person, 0);
            let (age, country) = (18 + draws.below(43), ["United States", "South Africa"][draws.below(2)]);
            let split = match clip.split.as_str() {
                "train" => "Train",
                "val" => "Val",
                _ => "Test",
            };
            writeln!(out, "[{}],{split},{},{age},{country}", clip.id, labels.join(","))?;
        }
        Ok(())
    })?)
}

/// `boxes.csv`: where the face is in each frame that has one.
fn write_boxes(truth: &HumeTruth, root: &Path) -> Result<(), SynthError> {
    let config = &truth.config;
    let lines = |clip: &HumeClip| -> String {
        if clip.face != Face::Shown {
            return String::new();
        }
        let (_, coeffs) = act(config, clip, number(clip));
        let line = |(frame, coeffs): (usize, ndarray::ArrayView1<'_, f32>)| {
            let [x, y, w, h] = face_box(&coeffs.to_vec(), config.size);
            format!("{},{frame},{x:.2},{y:.2},{w:.2},{h:.2}\n", clip.id)
        };
        coeffs.outer_iter().enumerate().map(line).collect()
    };
    let lines: Vec<String> = truth.clips.par_iter().map(lines).collect();
    Ok(write_atomic(&root.join("boxes.csv"), |out| {
        writeln!(out, "clip,frame,x,y,w,h")?;
        lines.iter().try_for_each(|lines| out.write_all(lines.as_bytes()))
    })?)
}
