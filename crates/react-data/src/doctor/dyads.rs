//! Corpora of dyads: clips, pairs, neighbours.

use super::clip::{Examined, Expected, check_decoded};
use super::finding::{Fault, Finding, Kind, Modality, Severity};
use super::report::{ClipCounts, Diagnosis, SplitCounts};
use super::same::{self, Hashed};
use crate::arrays::read_mean_face;
use crate::corpus::{Corpus, Split};
use crate::prepare::corpus_neighbours;
use crate::{ClipId, DataError, Progress, threads};
use react_media::VideoReader;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The frame rate that the clips of a corpus must have: the recipe's, or that of its first video.
pub(crate) fn corpus_rate(corpus: &Corpus) -> Result<Expected, DataError> {
    if let Some(fps) = corpus.recipe().fps.filter(|_| !corpus.is_cut()) {
        return Ok(Expected { fps, own_rate: false });
    }
    for split in corpus.splits() {
        for clip in split.clips() {
            let Ok(video) = &corpus.find(split, clip)[0] else { continue };
            let Some(reader) = Some(video).filter(|video| video.is_file()).and_then(|video| VideoReader::open(video).ok()) else {
                continue;
            };
            if reader.info().frames > 1 {
                return Ok(Expected { fps: reader.info().fps, own_rate: true });
            }
        }
    }
    match corpus.recipe().fps {
        Some(fps) => Ok(Expected { fps, own_rate: false }),
        None => {
            let why = "no video says its frame rate (folders of pictures have none); give fps in the recipe".to_owned();
            Err(DataError::Recipe { name: corpus.recipe().name.clone(), why })
        }
    }
}

/// Reads everything of a corpus; `problems` are what opening it found, by split.
///
/// # Errors
/// Where nothing can be examined at all; what is wrong with files is in the diagnosis.
pub fn examine(
    corpus: &Corpus,
    problems: Vec<(String, DataError)>,
    threads: usize,
    progress: &dyn Progress,
) -> Result<Diagnosis, DataError> {
    let root = corpus.root();
    let mut findings: Vec<Finding> = problems.into_iter().map(|(split, error)| of_index(error).found(root, &split, "")).collect();
    let splits: Vec<&str> = corpus.splits().iter().map(Split::name).collect();
    if let Some(Err(error)) = corpus.mean_face_npy().map(|path| read_mean_face(&path)) {
        findings.push(of_index(error).found(root, "", ""));
    }
    let clips: Vec<(usize, &Split, &ClipId)> = corpus
        .splits()
        .iter()
        .enumerate()
        .flat_map(|(index, split)| split.clips().into_iter().map(move |clip| (index, split, clip)))
        .collect();
    let expected = corpus_rate(corpus).unwrap_or(Expected { fps: 25.0, own_rate: false });
    progress.total(clips.len());
    let examined = threads::map(
        &clips,
        threads,
        || (),
        |(), (index, split, clip)| {
            progress.message(clip.path());
            let result = one(corpus, *index, split, clip, expected);
            progress.advance(1);
            result
        },
    )?;

    let mut counts: Vec<SplitCounts> = corpus
        .splits()
        .iter()
        .map(|split| SplitCounts { split: split.name().to_owned(), pairs: split.pairs().len(), ..SplitCounts::default() })
        .collect();
    let mut hashes = Vec::new();
    for ((index, ..), (clip, files)) in clips.iter().zip(examined) {
        counts[*index].add(&clip);
        findings.extend(clip.findings);
        hashes.extend(files);
    }
    findings.extend(same::findings(root, &splits, &hashes, corpus.is_cut()));
    for split in corpus.splits() {
        findings.extend(of_split(corpus, split));
    }
    Ok(Diagnosis::new(&corpus.recipe().name, counts, findings))
}

fn of_index(error: DataError) -> Fault {
    Fault::new(Severity::Error, Kind::Index, Modality::Corpus, None, error.to_string())
}

const MODALITIES: [Modality; 4] = [Modality::Video, Modality::Sound, Modality::Attributes, Modality::Coefficients];

fn one(corpus: &Corpus, index: usize, split: &Split, clip: &ClipId, expected: Expected) -> (ClipCounts, Vec<Hashed>) {
    let files = corpus.find(split, clip);
    let part = corpus.part(split, clip);
    let mut counts = ClipCounts::default();
    let mut hashes = Vec::new();
    for (modality, file) in MODALITIES.into_iter().zip(&files) {
        let Ok(file) = file else { continue };
        // A recording that many clips are cut from is not read for each of them.
        let hashed = if part.is_some() { Ok((file.to_string_lossy().into_owned(), 0)) } else { same::hash(file) };
        // What cannot be read is found again below.
        let Ok((hash, bytes)) = hashed else { continue };
        counts.files.push((modality, bytes));
        if bytes > 0 || part.is_some() {
            hashes.push(Hashed { split: index, clip: clip.path().to_owned(), modality, file: file.clone(), hash });
        }
    }
    let video = files[0].as_ref().ok().cloned();
    let mut examined = Examined::of(files, part, expected);
    if let (Some(reader), Some(file)) = (&mut examined.video, &video) {
        let wanted = part.map(|_| examined.frames);
        examined.faults.extend(decode(reader, file, examined.first, wanted));
    }
    counts.frames = examined.frames;
    counts.findings = examined.faults.into_iter().map(|fault| fault.found(corpus.root(), split.name(), clip.path())).collect();
    (counts, hashes)
}

/// Decodes a video to its end, or so many of its frames.
pub(super) fn decode(reader: &mut VideoReader, file: &Path, first: usize, wanted: Option<usize>) -> Option<Fault> {
    let promised = wanted.unwrap_or(reader.info().frames);
    let mut rgb = Vec::new();
    let mut all = || {
        reader.seek(first)?;
        let mut decoded = 0;
        while decoded < wanted.unwrap_or(usize::MAX) && reader.next_frame(&mut rgb)? {
            decoded += 1;
        }
        Ok::<usize, DataError>(decoded)
    };
    match all() {
        Err(error) => Some(Fault::of(error, Modality::Video, Some(file.to_owned()))),
        Ok(decoded) => check_decoded(file, promised, decoded)
            .err()
            .map(|why| Fault::new(Severity::Error, Kind::Truncated, Modality::Video, Some(file.to_owned()), why)),
    }
}

/// Partners, neighbours, and files that no list names.
fn of_split(corpus: &Corpus, split: &Split) -> Vec<Finding> {
    let (root, name) = (corpus.root(), split.name());
    let mut found = Vec::new();
    for clip in split.lonely() {
        let what = "its partner, the same recording in the other role, is not there".to_owned();
        found.push(Fault::new(Severity::Error, Kind::Partner, Modality::Clip, None, what).found(root, name, clip.path()));
    }
    match corpus_neighbours(corpus, split.pairs()) {
        Err(error) => found.push(of_index(error).found(root, name, "")),
        Ok(matrix) => {
            let n = split.pairs().len();
            for (item, _) in matrix.outer_iter().enumerate().filter(|(_, row)| row.iter().all(|cell| *cell == 0)) {
                let pair = &split.pairs()[item % n];
                let clip = if item < n { &pair.speaker } else { &pair.listener };
                let what = format!("no reaction is appropriate for it (row {} of the split's neighbours)", item + 1);
                found.push(Fault::new(Severity::Warning, Kind::Neighbours, Modality::Corpus, None, what).found(root, name, clip.path()));
            }
        }
    }
    if !corpus.is_cut() {
        let mut known: BTreeSet<PathBuf> = split.clips().into_iter().flat_map(|clip| corpus.find(split, clip)).flatten().collect();
        known.extend(split.lonely().iter().flat_map(|clip| corpus.find(split, clip)).flatten());
        for (modality, folder) in corpus.modality_folders(split) {
            for file in unlisted(&folder, &known) {
                let what = format!("no list names {}", file.display());
                found.push(Fault::new(Severity::Warning, Kind::Unlisted, modality, Some(file), what).found(root, name, ""));
            }
        }
    }
    found
}

/// Files below a folder that are not known, sorted; a folder of pictures counts as one. Hidden files do not count.
pub(super) fn unlisted(folder: &Path, known: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        let mut pictures = false;
        for entry in entries.flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if hidden || known.contains(&path) {
                continue;
            }
            match path.extension().and_then(|extension| extension.to_str()) {
                _ if path.is_dir() => open.push(path),
                Some("png") => pictures = true,
                Some("mp4" | "avi" | "wav" | "csv" | "npy") => found.push(path),
                _ => {}
            }
        }
        if pictures {
            found.push(folder);
        }
    }
    found.sort_unstable();
    found
}
