//! Telling whether a source changed: a cheap stamp, and a hash of the contents.

use crate::DataError;
use blake3::Hasher;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Size and time of the last change; for a folder of PNGs a hash over those of its files.
///
/// A change within the clock's resolution that keeps the size goes unseen: remove the packed folder to be sure.
pub(crate) fn stamp(path: &Path) -> Result<String, DataError> {
    let metadata = fs::metadata(path).map_err(DataError::io("read", path))?;
    if !metadata.is_dir() {
        return Ok(file_stamp(&metadata));
    }
    let mut hasher = Hasher::new();
    for file in files_of(path)? {
        let metadata = fs::metadata(&file).map_err(DataError::io("read", &file))?;
        hasher.update(format!("{:?} {}\n", file.file_name(), file_stamp(&metadata)).as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn file_stamp(metadata: &Metadata) -> String {
    // Files from before 1970 do not exist; a system without times gives 0, and only the size counts.
    let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    format!("{}:{}.{:09}", metadata.len(), changed.as_secs(), changed.subsec_nanos())
}

/// BLAKE3 of a file; of a folder over the names and contents of its files in order of their names.
pub(crate) fn content_hash(path: &Path) -> Result<String, DataError> {
    let mut hasher = Hasher::new();
    if path.is_dir() {
        for file in files_of(path)? {
            hasher.update(file.file_name().unwrap_or_default().as_encoded_bytes());
            hasher.update(&[0]);
            hasher.update(file_hash(&file)?.as_bytes());
        }
    } else {
        return Ok(file_hash(path)?.to_hex().to_string());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn file_hash(path: &Path) -> Result<blake3::Hash, DataError> {
    let mut hasher = Hasher::new();
    // Pipes and devices have no end.
    if !fs::metadata(path).map_err(DataError::io("read", path))?.is_file() {
        return Err(DataError::io("read", path)(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    let file = File::open(path).map_err(DataError::io("read", path))?;
    hasher.update_reader(file).map_err(DataError::io("read", path))?;
    Ok(hasher.finalize())
}

fn files_of(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let entries = fs::read_dir(folder).map_err(DataError::io("read", folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(DataError::io("read", folder))?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("1.png"), "a").unwrap();
        let (stamp_one, hash_one) = (stamp(folder.path()).unwrap(), content_hash(folder.path()).unwrap());
        fs::write(folder.path().join("2.png"), "b").unwrap();
        assert_ne!(stamp(folder.path()).unwrap(), stamp_one);
        assert_ne!(content_hash(folder.path()).unwrap(), hash_one);
        fs::remove_file(folder.path().join("2.png")).unwrap();
        assert_eq!((stamp(folder.path()).unwrap(), content_hash(folder.path()).unwrap()), (stamp_one, hash_one));
        assert!(stamp(&folder.path().join("no")).unwrap_err().to_string().starts_with("file not found: "));
    }

    #[test]
    fn a_file_hashes_to_its_blake3() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "abc").unwrap();
        // The known answer for "abc".
        assert_eq!(content_hash(&path).unwrap(), "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }
}
