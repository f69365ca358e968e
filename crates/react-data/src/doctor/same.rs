//! Files with the same bytes: across splits a leak, within one a duplicate.

use super::finding::{Fault, Finding, Kind, Modality, Severity};
use crate::DataError;
use crate::prepare::{content_hash, relative};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file of a clip: split (by its place), clip, what it holds.
pub(super) struct Hashed {
    pub(super) split: usize,
    pub(super) clip: String,
    pub(super) modality: Modality,
    pub(super) file: PathBuf,
    /// BLAKE3, or the path of a recording that clips are cut from.
    pub(super) hash: String,
}

/// Hash and size of a file, or of a folder of PNGs.
pub(super) fn hash(path: &Path) -> Result<(String, u64), DataError> {
    let bytes = |path: &Path| std::fs::metadata(path).map(|found| found.len());
    let size = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| bytes(&entry.path()).unwrap_or_default()).sum(),
        Err(_) => bytes(path).map_err(DataError::io("read", path))?,
    };
    Ok((content_hash(path)?, size))
}

/// What is the same and should not be. Sound may be: silence of one length is everywhere the same.
pub(super) fn findings(root: &Path, splits: &[&str], files: &[Hashed], cut: bool) -> Vec<Finding> {
    let mut by_hash: BTreeMap<(&str, Modality), Vec<&Hashed>> = BTreeMap::new();
    for file in files {
        by_hash.entry((&file.hash, file.modality)).or_default().push(file);
    }
    let mut found = Vec::new();
    for ((_, modality), same) in by_hash {
        let first = same[0];
        for other in &same[1..] {
            let across = other.split != first.split;
            // Clips of one recording share it.
            if !across && (cut || other.file == first.file) {
                continue;
            }
            let (kind, severity) = match (across, modality) {
                (true, Modality::Sound) => (Kind::Leak, Severity::Warning),
                (true, _) => (Kind::Leak, Severity::Error),
                (false, _) => (Kind::Duplicate, Severity::Warning),
            };
            let [own, theirs] = [other, &first].map(|file| relative(root, &file.file));
            let what = format!("its {} {own} is the same as {theirs} ({})", modality.name(), splits[first.split]);
            found.push(Fault::new(severity, kind, modality, Some(other.file.clone()), what).found(root, splits[other.split], &other.clip));
            // Of many clips of one recording the first says enough.
            if cut {
                break;
            }
        }
    }
    found
}
