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
pub(crate) struct FileRecord {
    /// Below the packed folder, with `/`.
    pub(crate) path: String,
    pub(crate) shape: Vec<usize>,
    pub(crate) element: String,
    pub(crate) bytes: u64,
    pub(crate) blake3: String,
    /// Paths of the sources it was made of.
    pub(crate) sources: Vec<String>,
    /// [`PACKED`], or why the file holds zeros.
    #[serde(default = "packed")]
    pub(crate) status: String,
    /// What else is to be known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
}

/// The status of a file that holds what its source holds.
pub(crate) const PACKED: &str = "packed";

fn packed() -> String {
    PACKED.to_owned()
}

/// One file (or folder of PNGs) of the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceRecord {
    /// Below the corpus's root, with `/`.
    pub(crate) path: String,
    pub(crate) stamp: String,
    pub(crate) blake3: String,
}

/// One unit of work that is done: a clip, a split's tables, the mean face.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) unit: String,
    /// The settings that the unit depends on.
    pub(crate) key: String,
    pub(crate) sources: Vec<SourceRecord>,
    pub(crate) files: Vec<FileRecord>,
}

/// A line of the manifest: no times, no absolute paths, nothing of the machine.
#[derive(Serialize)]
struct ManifestLine<'a> {
    path: &'a str,
    shape: &'a [usize],
    element: &'a str,
    sources: Vec<ManifestSource<'a>>,
    blake3: &'a str,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

#[derive(Serialize)]
struct ManifestSource<'a> {
    path: &'a str,
    blake3: &'a str,
}

pub(crate) struct Journal {
    path: PathBuf,
    // Appending takes turns: two lines must not mix.
    turn: Mutex<()>,
}

impl Journal {
    /// Opens the journal and reads what is done. A line that a kill cut off is dropped, and its unit done again.
    pub(crate) fn open(path: PathBuf) -> Result<(Self, BTreeMap<String, Done>), DataError> {
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
    pub(crate) fn append(&self, done: &Done) -> Result<(), DataError> {
        let line = json(done);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(append_line(&self.path, &line)?)
    }

    /// Brings the journal into the units' order, without lines that later ones replaced.
    pub(crate) fn compact(&self, done: &BTreeMap<String, Done>) -> Result<(), DataError> {
        let text: String = done.values().map(|entry| json(entry) + "\n").collect();
        write_if_changed(&self.path, &text)
    }
}

/// Writes the manifest: a line a file, sorted by path.
pub(crate) fn write_manifest(path: &Path, done: &BTreeMap<String, Done>) -> Result<(), DataError> {
    let mut lines = BTreeMap::new();
    for unit in done.values() {
        for file in &unit.files {
            let sources = unit.sources.iter().filter(|source| file.sources.contains(&source.path));
            let sources = sources.map(|source| ManifestSource { path: &source.path, blake3: &source.blake3 }).collect();
            let FileRecord { path, shape, element, blake3, status, note, .. } = file;
            let line = ManifestLine { path, shape, element, sources, blake3, status, note: note.as_deref() };
            lines.insert(path.as_str(), json(&line) + "\n");
        }
    }
    write_if_changed(path, &lines.into_values().collect::<String>())
}

/// Writes a file unless it is there with these contents already.
pub(crate) fn write_if_changed(path: &Path, text: &str) -> Result<(), DataError> {
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
