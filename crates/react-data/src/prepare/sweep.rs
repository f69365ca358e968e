//! Removes what a killed run left half-written: files by the atomic writer's names, only where this crate writes.

use super::verify::SUMS;
use crate::DataError;
use std::fs;
use std::path::Path;

/// Folders of a split that clips are written to, at any depth below.
pub(super) const FOLDERS: [&str; 5] = ["frames", "audio", "emotion", "coeffs", "mfcc"];

pub(super) fn remove_leftovers(out: &Path, splits: &[String]) -> Result<(), DataError> {
    sweep(out, false)?;
    for split in splits {
        let folder = out.join(split);
        sweep(&folder, false)?;
        for modality in FOLDERS {
            sweep(&folder.join(modality), true)?;
        }
    }
    Ok(())
}

fn sweep(folder: &Path, deep: bool) -> Result<(), DataError> {
    // A folder that is not there yet holds nothing.
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(DataError::io("read", folder))?;
        let kind = entry.file_type().map_err(DataError::io("read", folder))?;
        let path = entry.path();
        if kind.is_dir() && deep {
            sweep(&path, true)?;
        } else if kind.is_file() && entry.file_name().to_str().is_some_and(is_leftover) {
            fs::remove_file(&path).map_err(DataError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// `.NAME.PID-N.tmp`, of a NAME that is written here.
pub(super) fn is_leftover(name: &str) -> bool {
    let middle = name.strip_prefix('.').and_then(|name| name.strip_suffix(".tmp"));
    let Some((target, run)) = middle.and_then(|name| name.rsplit_once('.')) else { return false };
    let numbers = run.split_once('-').is_some_and(|(pid, n)| [pid, n].iter().all(|part| part.parse::<u64>().is_ok()));
    numbers && (target == SUMS || [".npy", ".npz", ".csv", ".json", ".jsonl"].iter().any(|ending| target.ends_with(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_atomic_writers_names() {
        assert!(is_leftover(".5.npy.1234-0.tmp") && is_leftover(".manifest.jsonl.1-17.tmp") && is_leftover(".BLAKE3SUMS.1-17.tmp"));
        for name in ["5.npy", ".5.npy.tmp", ".notes.12-3.tmp", "5.npy.12-3.tmp", ".5.npy.12-x.tmp", ".5.npy.12-3"] {
            assert!(!is_leftover(name), "{name}");
        }
    }

    #[test]
    fn the_stores_own_temporary_name_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = react_store::AtomicFile::beside(&folder.path().join("5.npy")).unwrap();
        assert!(is_leftover(file.temp().file_name().unwrap().to_str().unwrap()));
    }
}
