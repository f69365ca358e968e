//! Writes a corpus: every clip's four files, then the tables.

use crate::affect::Role;
use crate::config::{FPS, RATE};
use crate::truth::Truth;
use crate::world::{Dyad, SITE, Split, Take, World};
use crate::{SynthConfig, SynthError};
use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;
use react_contracts::{COEFFS, channels};
use react_data::Progress;
use react_face::{Head, Portrait};
use react_media::{Quality, VideoWriter, write_wav};
use react_random::Draws;
use react_store::{write_atomic, write_npy};
use std::fmt;
use std::path::{Path, PathBuf};

/// Identity, expression, texture, rotation, light, translation of FaceVerse: the length of `reference_full.npy`.
const REFERENCE: usize = 150 + 52 + 251 + 3 + 27 + 3;

/// What [`generate`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynthReport {
    /// Clips written now.
    pub written: usize,
    /// Clips that were there already.
    pub reused: usize,
    /// The corpus's folder.
    pub root: PathBuf,
}

impl fmt::Display for SynthReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.written, self.reused) {
            (0, reused) => write!(f, "reused {reused} synthetic clips in {}", self.root.display()),
            (written, 0) => write!(f, "made {written} synthetic clips in {}", self.root.display()),
            (written, reused) => write!(f, "made {written} synthetic clips and reused {reused} in {}", self.root.display()),
        }
    }
}

/// Writes the corpus of `config` into `root`, in the challenge's layout; progress counts clips.
///
/// What is there of the same configuration is kept, so a run that was stopped is taken up again. Every file is written
/// beside its place and renamed.
///
/// # Errors
/// Where the configuration has no sense, the folder holds something else, or a file cannot be written.
pub fn generate(config: &SynthConfig, root: &Path, progress: &dyn Progress) -> Result<SynthReport, SynthError> {
    let world = World::new(config)?;
    let clips: Vec<(&Dyad, Role)> = world.dyads().iter().flat_map(|dyad| [(dyad, Role::Speaker), (dyad, Role::Listener)]).collect();
    let report = |written| SynthReport { written, reused: clips.len() - written, root: root.to_owned() };
    match claim(&world, root)? {
        Claim::Whole => return Ok(report(0)),
        Claim::Open => {}
    }
    progress.total(clips.len());
    progress.message("rendering faces and voices");
    let head = Head::embedded();
    let make = || -> Result<usize, SynthError> {
        let written: Vec<bool> = clips
            .par_iter()
            .map(|(dyad, role)| {
                let written = clip(&world, dyad, *role, &head, root)?;
                progress.advance(1);
                Ok(written)
            })
            .collect::<Result<_, SynthError>>()?;
        tables(&world, root)?;
        Ok(written.into_iter().filter(|written| *written).count())
    };
    let written = pool(config.threads)?.install(make)?;
    Truth::of(&world, true).write(root)?;
    tracing::debug!(written, clips = clips.len(), root = %root.display(), "synthetic corpus");
    Ok(report(written))
}

pub(crate) fn pool(threads: usize) -> Result<rayon::ThreadPool, SynthError> {
    let build = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    build.map_err(|source| SynthError::Threads { threads, why: source.to_string() })
}

enum Claim {
    Whole,
    Open,
}

/// Marks an empty folder as this corpus's, or finds out that it is: nothing of another is ever overwritten.
fn claim(world: &World, root: &Path) -> Result<Claim, SynthError> {
    let occupied = |found: &str| SynthError::Occupied { folder: root.to_owned(), found: found.to_owned() };
    if let Some(truth) = Truth::read(root)? {
        // `threads` is not part of what is written.
        let same = truth.config == SynthConfig { threads: 0, ..world.config().clone() };
        return match (same, truth.complete) {
            (false, _) => {
                let SynthConfig { pairs_train, pairs_val, frames, size, scripts, seed, .. } = truth.config;
                let sizes = format!("{pairs_train} + {pairs_val} pairs, {frames} frames, {size} pixels, {scripts} scripts, seed {seed}");
                Err(occupied(&format!("another synthetic corpus ({sizes})")))
            }
            (true, true) => Ok(Claim::Whole),
            (true, false) => Ok(Claim::Open),
        };
    }
    let occupied_by_others = match std::fs::read_dir(root) {
        Ok(mut entries) => entries.next().is_some(),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => false,
        Err(source) => return Err(SynthError::Io { action: "read the folder", file: root.to_owned(), source }),
    };
    if occupied_by_others {
        return Err(occupied("files that are no synthetic corpus"));
    }
    Truth::of(world, false).write(root)?;
    Ok(Claim::Open)
}

/// Writes the four files of a clip, unless they are there; says whether it did.
fn clip(world: &World, dyad: &Dyad, role: Role, head: &Head, root: &Path) -> Result<bool, SynthError> {
    let who = usize::from(role == Role::Listener);
    let path = &dyad.paths()[who];
    let folder = root.join(dyad.split.name());
    let file = |modality: &str, extension: &str| folder.join(modality).join(format!("{path}.{extension}"));
    let (mp4, wav, csv, npy) = (file("Video_files", "mp4"), file("Audio_files", "wav"), file("Emotion", "csv"), file("3D_FV_files", "npy"));
    if [&mp4, &wav, &csv, &npy].iter().all(|path| path.is_file()) {
        return Ok(false);
    }
    let take = world.take(dyad, role);
    let coeffs = take.performance.coeffs.view().insert_axis(Axis(1));
    write_npy(&npy, &coeffs)?;
    emotion(&csv, &take.performance.attributes)?;
    let mut draws = Draws::new(world.config().seed, "synth.sound", dyad.number as u32, who as u32);
    folder_of(&wav)?;
    write_wav(&wav, &take.utterance.sound(world.config().frames, &mut draws), RATE)?;
    video(&mp4, &take, head, world.config().size)?;
    Ok(true)
}

pub(crate) fn folder_of(path: &Path) -> Result<(), SynthError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder).map_err(|source| SynthError::Io { action: "make the folder", file: folder.to_owned(), source })
}

fn video(path: &Path, take: &Take, head: &Head, size: usize) -> Result<(), SynthError> {
    folder_of(path)?;
    let mut portrait = Portrait::new(head, &take.actor.person, take.actor.look, size, size);
    let mut writer = VideoWriter::create(path, size, size, FPS, Quality::Fast)?;
    let mut rgb = vec![0; size * size * 3];
    for frame in take.performance.coeffs.outer_iter() {
        let coeffs: [f32; COEFFS] = std::array::from_fn(|i| frame[i]);
        portrait.frame(&coeffs, &mut rgb);
        writer.push(&rgb)?;
    }
    Ok(writer.finish()?)
}

/// The attributes as the challenge writes them: a header, then a row per frame; action units as 0 and 1.
fn emotion(path: &Path, attributes: &Array2<f32>) -> Result<(), SynthError> {
    Ok(write_atomic(path, |out| {
        writeln!(out, "{}", channels::EMOTION.join(","))?;
        for row in attributes.outer_iter() {
            let cells: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(i, x)| if channels::AU.contains(&i) { format!("{x:.1}") } else { format!("{x:.6}") })
                .collect();
            writeln!(out, "{}", cells.join(","))?;
        }
        Ok(())
    })?)
}

/// Everything beside the clips.
fn tables(world: &World, root: &Path) -> Result<(), SynthError> {
    for split in Split::ALL {
        write_atomic(&root.join(format!("{}.csv", split.name())), |out| {
            writeln!(out, ",speaker_path,listener_path")?;
            for (i, dyad) in world.split(split).enumerate() {
                let [speaker, listener] = dyad.paths();
                writeln!(out, "{i},{speaker},{listener}")?;
            }
            Ok(())
        })?;
    }
    write_atomic(&root.join("data_indices.csv"), |out| {
        writeln!(out, "site,chat_index,clip_index")?;
        for dyad in world.dyads() {
            writeln!(out, "{SITE},{},{}", dyad.chat(), dyad.clip())?;
        }
        Ok(())
    })?;
    write_npy(&root.join("Approprirate_facial_reaction.npy"), &world.appropriate())?;
    let mean = world.mean_face();
    write_npy(&root.join("mean_face.npy"), &Array3::from_shape_fn((1, 1, COEFFS), |(_, _, i)| mean[i]))?;
    // The mean identity: where FaceVerse draws a listener, it draws the mean face.
    write_npy(&root.join("reference_full.npy"), &Array2::<f32>::zeros((1, REFERENCE)))?;
    Ok(())
}
