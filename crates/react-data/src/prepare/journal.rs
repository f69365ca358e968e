//! The journal (what is durable, in order of completion) and the manifest (the same, sorted, at the end).

use crate::DataError;
use react_store::{append_line, write_atomic};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One packed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileRecord {
    /// Below the packed folder, with `/`.
    pub(super) path: String,
    pub(super) shape: Vec<usize>,
    pub(super) element: String,
    pub(super) bytes: u64,
    pub(super) blake3: String,
    /// Paths of the sources it was made of.
    pub(super) sources: Vec<String>,
}

/// One file (or folder of PNGs) of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SourceRecord {
    /// Below the corpus's root, with `/`.
    pub(super) path: String,
    pub(super) stamp: String,
    pub(super) blake3: String,
}

/// One unit of work that is done: a clip, a split's tables, the mean face.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) unit: String,
    /// The settings that the unit depends on.
    pub(super) key: String,
    pub(super) sources: Vec<SourceRecord>,
    pub(super) files: Vec<FileRecord>,
}

/// A line of the manifest: no times, no absolute paths, nothing of the machine.
#[derive(Serialize)]
struct ManifestLine<'a> {
    path: &'a str,
    shape: &'a [usize],
    element: &'a str,
    sources: Vec<ManifestSource<'a>>,
    blake3: &'a str,
    status: &'static str,
}

#[derive(Serialize)]
struct ManifestSource<'a> {
    path: &'a str,
    blake3: &'a str,
}

pub(super) struct Journal {
    path: PathBuf,
    // Appending takes turns: two lines must not mix.
    turn: Mutex<()>,
}

impl Journal {
    /// Opens the journal and reads what is done. A line that a kill cut off is dropped, and its unit done again.
    pub(super) fn open(path: PathBuf) -> Result<(Self, BTreeMap<String, Done>), DataError> {
        let text = match fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            Err(error) => return Err(DataError::io("read", &path)(error)),
        };
        let mut done = BTreeMap::new();
        let mut kept = String::new();
        for line in text.lines() {
            match serde_json::from_str::<Done>(line) {
                Ok(entry) => {
                    kept.push_str(line);
                    kept.push('\n');
                    done.insert(entry.unit.clone(), entry);
                }
                Err(error) => tracing::warn!("{}: dropping a line that cannot be read: {error}", path.display()),
            }
        }
        // Appending after half a line would spoil the next one too.
        if kept != text {
            write_atomic(&path, |file| file.write_all(kept.as_bytes()))?;
        }
        Ok((Self { path, turn: Mutex::new(()) }, done))
    }

    /// Records a unit whose files are durable.
    pub(super) fn append(&self, done: &Done) -> Result<(), DataError> {
        let line = json(done);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(append_line(&self.path, &line)?)
    }

    /// Brings the journal into the units' order, without lines that later ones replaced.
    pub(super) fn compact(&self, done: &BTreeMap<String, Done>) -> Result<(), DataError> {
        let text: String = done.values().map(|entry| json(entry) + "\n").collect();
        write_if_changed(&self.path, &text)
    }
}

/// Writes the manifest: a line a file, sorted by path.
pub(super) fn write_manifest(path: &Path, done: &BTreeMap<String, Done>) -> Result<(), DataError> {
    let mut lines = BTreeMap::new();
    for unit in done.values() {
        for file in &unit.files {
            let sources = unit.sources.iter().filter(|source| file.sources.contains(&source.path));
            let sources = sources.map(|source| ManifestSource { path: &source.path, blake3: &source.blake3 }).collect();
            let FileRecord { path, shape, element, blake3, .. } = file;
            let line = ManifestLine { path, shape, element, sources, blake3, status: "packed" };
            lines.insert(path.as_str(), json(&line) + "\n");
        }
    }
    write_if_changed(path, &lines.into_values().collect::<String>())
}

/// Writes a file unless it is there with these contents already.
pub(super) fn write_if_changed(path: &Path, text: &str) -> Result<(), DataError> {
    if fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    Ok(write_atomic(path, |file| file.write_all(text.as_bytes()))?)
}

fn json(value: &impl Serialize) -> String {
    // Strings, numbers and lists of them: there is nothing that JSON could refuse.
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(unit: &str) -> Done {
        Done { unit: unit.to_owned(), key: "1".to_owned(), sources: vec![], files: vec![] }
    }

    #[test]
    fn half_a_line_is_dropped_and_the_next_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let (journal, read) = Journal::open(path.clone()).unwrap();
        assert!(read.is_empty());
        journal.append(&done("b")).unwrap();
        journal.append(&done("a")).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, &text[..text.len() - 5]).unwrap();
        let (journal, read) = Journal::open(path.clone()).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["b"]);
        journal.append(&done("a")).unwrap();
        let (journal, read) = Journal::open(path.clone()).unwrap();
        assert_eq!(read.len(), 2);
        journal.compact(&read).unwrap();
        assert!(fs::read_to_string(&path).unwrap().starts_with("{\"unit\":\"a\""));
    }
}
