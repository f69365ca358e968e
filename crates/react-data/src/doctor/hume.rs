//! Hume-Reaction: clips of single persons, with labels.

use super::dyads::{decode, unlisted};
use super::finding::{Fault, Finding, Kind, Modality, Severity, kind_of};
use super::report::{ClipCounts, Diagnosis, SplitCounts};
use super::same::{self, Hashed};
use crate::hume::{HumeClip, HumeCorpus, HumeRecipe, Sampling, Sound, read_sound};
use crate::{DataError, Progress, threads};
use react_media::VideoReader;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Reads everything of Hume-Reaction.
///
/// # Errors
/// Where the folder is missing; what is wrong with files is in the diagnosis.
pub fn examine_hume(root: &Path, recipe: &HumeRecipe, threads: usize, progress: &dyn Progress) -> Result<Diagnosis, DataError> {
    if !root.is_dir() {
        return Err(DataError::missing(format!("folder of the corpus {}", recipe.name), root));
    }
    let (corpus, lost) = match HumeCorpus::survey(root, recipe) {
        Ok(found) => found,
        // Without its table nothing is known of the corpus.
        Err(error) => {
            let kind = if kind_of(&error) == Kind::NotFinite { Kind::Label } else { Kind::Index };
            let fault = Fault::new(Severity::Error, kind, Modality::Corpus, None, error.to_string());
            return Ok(Diagnosis::new(&recipe.name, Vec::new(), vec![fault.found(root, "", "")]));
        }
    };
    let mut counts: Vec<SplitCounts> =
        corpus.splits().iter().map(|split| SplitCounts { split: split.name().to_owned(), ..SplitCounts::default() }).collect();
    let mut findings = Vec::new();
    for clip in lost {
        let fault = Fault::new(Severity::Error, Kind::Missing, Modality::Clip, None, clip.error.to_string());
        let finding = fault.found(root, &clip.split, &clip.id);
        if let Some(counts) = counts.iter_mut().find(|counts| counts.split == clip.split) {
            counts.add(&ClipCounts { findings: vec![finding.clone()], ..ClipCounts::default() });
        }
        findings.push(finding);
    }
    let clips: Vec<(usize, &HumeClip)> =
        corpus.splits().iter().enumerate().flat_map(|(index, split)| split.clips().iter().map(move |clip| (index, clip))).collect();
    progress.total(clips.len());
    let names: Vec<&str> = corpus.splits().iter().map(|split| split.name()).collect();
    let examined = threads::map(
        &clips,
        threads,
        || (),
        |(), (index, clip)| {
            progress.message(&clip.id);
            let result = one(root, *index, names[*index], clip, recipe.sound.steps);
            progress.advance(1);
            result
        },
    )?;
    let mut hashes = Vec::new();
    for ((index, _), (clip, files)) in clips.iter().zip(examined) {
        counts[*index].add(&clip);
        findings.extend(clip.findings);
        hashes.extend(files);
    }
    findings.extend(same::findings(root, &names, &hashes, false));
    for split in corpus.splits() {
        let known: BTreeSet<PathBuf> = split.clips().iter().flat_map(|clip| clip.video.iter().chain(&clip.sound)).cloned().collect();
        for (modality, folder) in [(Modality::Video, &recipe.folders.video), (Modality::Sound, &recipe.folders.audio)] {
            for file in unlisted(&root.join(split.name()).join(folder), &known) {
                let what = format!("the table does not name {}", file.display());
                findings.push(Fault::new(Severity::Warning, Kind::Unlisted, modality, Some(file), what).found(root, split.name(), ""));
            }
        }
    }
    Ok(Diagnosis::new(&recipe.name, counts, findings))
}

fn one(root: &Path, index: usize, split: &str, clip: &HumeClip, steps: usize) -> (ClipCounts, Vec<Hashed>) {
    let mut counts = ClipCounts::default();
    let (mut hashes, mut faults) = (Vec::new(), Vec::new());
    for (modality, file) in [(Modality::Video, &clip.video), (Modality::Sound, &clip.sound)] {
        let Some(file) = file else {
            let what = format!("it has no {}", modality.name());
            faults.push(Fault::new(Severity::Note, Kind::Missing, modality, None, what));
            continue;
        };
        match same::hash(file) {
            Ok((hash, bytes)) => {
                counts.files.push((modality, bytes));
                if bytes == 0 {
                    let what = format!("{} is empty", file.display());
                    faults.push(Fault::new(Severity::Error, Kind::Empty, modality, Some(file.clone()), what));
                    continue;
                }
                hashes.push(Hashed { split: index, clip: clip.id.clone(), modality, file: file.clone(), hash });
            }
            Err(error) => {
                faults.push(Fault::of(error, modality, Some(file.clone())));
                continue;
            }
        }
        match modality {
            Modality::Video => faults.extend(video(file, clip, &mut counts.frames)),
            _ => faults.extend(sound(file, steps)),
        }
    }
    counts.findings = faults.into_iter().map(|fault| fault.found(root, split, &clip.id)).collect::<Vec<Finding>>();
    (counts, hashes)
}

fn video(file: &Path, clip: &HumeClip, frames: &mut usize) -> Option<Fault> {
    let mut reader = match VideoReader::open(file) {
        Ok(reader) => reader,
        Err(error) => return Some(Fault::of(error.into(), Modality::Video, Some(file.to_owned()))),
    };
    *frames = reader.info().frames;
    let fault = |kind, what| Some(Fault::new(Severity::Error, kind, Modality::Video, Some(file.to_owned()), what));
    if *frames == 0 {
        return fault(Kind::Empty, format!("{} has no frame", file.display()));
    }
    if let Sampling::Listed(listed) = &clip.sampling
        && let Some(beyond) = listed.iter().find(|frame| **frame >= *frames)
    {
        let error = DataError::FrameList { file: file.to_owned(), frame: *beyond, frames: *frames };
        return fault(Kind::Index, error.to_string());
    }
    decode(&mut reader, file, 0, None)
}

fn sound(file: &Path, steps: usize) -> Option<Fault> {
    let what = match read_sound(file, steps) {
        Ok(Sound::Heard(_)) => return None,
        Ok(Sound::Silent) => "is silent",
        Ok(Sound::TooShort) => "is shorter than 25 ms",
        Err(error) => return Some(Fault::of(error, Modality::Sound, Some(file.to_owned()))),
    };
    Some(Fault::new(Severity::Note, Kind::Empty, Modality::Sound, Some(file.to_owned()), format!("{} {what}", file.display())))
}
