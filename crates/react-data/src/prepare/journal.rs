//! The journal (what is durable, in order of completion) and the manifest (the same, sorted, at the end).

use crate::DataError;
use react_store::{append_line, write_atomic};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One packed file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileRecord {
    /// Below the packed folder, with `/`.
    pub(crate) path: String,
    #[serde(deserialize_with = "axes")]
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
    /// Who decoded the video that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) decoder: Option<String>,
}

/// The status of a clip that could not be packed.
pub(super) const BAD: &str = "bad";

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
    /// Why it could not be packed, where the work went on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bad: Option<String>,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    decoder: Option<&'a str>,
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
        let (done, whole) = read(&path)?;
        // Appending after half a line would spoil the next one too.
        if !whole {
            write_atomic(&path, |file| done.values().try_for_each(|entry| writeln!(file, "{}", json(entry))))?;
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

/// What a journal says is done, by name; later lines replace earlier ones of the same unit.
///
/// # Errors
/// Where the system refuses. A line that cannot be read, or is longer than a megabyte, is dropped with a warning.
pub(crate) fn read_journal(path: &Path) -> Result<BTreeMap<String, Done>, DataError> {
    Ok(read(path)?.0)
}

/// [`read_journal`], and whether nothing had to be dropped.
fn read(path: &Path) -> Result<(BTreeMap<String, Done>, bool), DataError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((BTreeMap::new(), true)),
        other => other.map_err(DataError::io("read", path))?,
    };
    let (mut done, mut dropped) = (BTreeMap::new(), 0);
    each_line(BufReader::new(file), |line| {
        let entry = line.and_then(|line| serde_json::from_slice::<Done>(line).map_err(|error| error.to_string()));
        match entry.and_then(Done::checked) {
            Ok(entry) => {
                done.insert(entry.unit.clone(), entry);
            }
            Err(why) => {
                dropped += 1;
                if dropped == 1 {
                    tracing::warn!("{}: dropping a line that cannot be read: {why}", path.display());
                }
            }
        }
    })
    .map_err(DataError::io("read", path))?;
    if dropped > 1 {
        tracing::warn!("{}: dropping {dropped} lines that cannot be read", path.display());
    }
    Ok((done, dropped == 0))
}

/// Calls `line` with each line, without its end, in no more memory than the longest that is read; one that is longer, or is the last
/// and does not end, is an error in its place.
pub(super) fn each_line(mut file: impl BufRead, mut line: impl FnMut(Result<&[u8], String>)) -> io::Result<()> {
    const LONGEST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        file.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)?;
        match bytes.split_last() {
            None => return Ok(()),
            Some((b'\n', text)) => line(Ok(text)),
            Some(_) if (bytes.len() as u64) < LONGEST => line(Err("it does not end".to_owned())),
            Some(_) => {
                line(Err(format!("it is longer than {LONGEST} bytes")));
                file.skip_until(b'\n')?;
            }
        }
    }
}

impl Done {
    /// Refuses what no run of ours wrote, and gives back what reading reserved.
    fn checked(mut self) -> Result<Self, String> {
        self.sources.shrink_to_fit();
        self.files.shrink_to_fit();
        match self.sources.iter().find(|source| self.bad.is_none() && !is_hash(&source.blake3)) {
            Some(source) => return Err(format!("the source {:?} has no hash", source.path)),
            None if self.files.is_empty() && self.bad.is_none() => return Err(format!("the unit {:?} has no files", self.unit)),
            None => {}
        }
        for file in &self.files {
            check_file(&file.path, &file.blake3)?;
        }
        Ok(self)
    }
}

/// Whether a packed file's path is below the folder, and its hash is one.
pub(super) fn check_file(path: &str, blake3: &str) -> Result<(), String> {
    if path.is_empty() || !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(format!("{path:?} is not below the packed folder"));
    }
    if is_hash(blake3) { Ok(()) } else { Err(format!("{path:?} has no hash")) }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A shape, of which no array has more than some axes.
pub(super) fn axes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<usize>, D::Error> {
    struct Axes;
    impl<'de> Visitor<'de> for Axes {
        type Value = Vec<usize>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("at most 8 axes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Vec<usize>, A::Error> {
            let mut axes = Vec::new();
            while let Some(axis) = from.next_element()? {
                if axes.len() == 8 {
                    return Err(serde::de::Error::invalid_length(9, &self));
                }
                axes.push(axis);
            }
            Ok(axes)
        }
    }
    from.deserialize_seq(Axes)
}

/// Writes the manifest: a line a file, sorted by path.
pub(crate) fn write_manifest(path: &Path, done: &BTreeMap<String, Done>) -> Result<(), DataError> {
    let mut lines = BTreeMap::new();
    for unit in done.values() {
        if let Some(why) = &unit.bad {
            let sources = unit.sources.iter().map(|source| ManifestSource { path: &source.path, blake3: &source.blake3 }).collect();
            let (path, shape, note) = (unit.unit.as_str(), &[], Some(why.as_str()));
            let line = ManifestLine { path, shape, element: "none", sources, blake3: "", status: BAD, note, decoder: None };
            lines.insert(unit.unit.as_str(), json(&line) + "\n");
        }
        for file in &unit.files {
            let sources = unit.sources.iter().filter(|source| file.sources.contains(&source.path));
            let sources = sources.map(|source| ManifestSource { path: &source.path, blake3: &source.blake3 }).collect();
            let FileRecord { path, shape, element, blake3, status, note, decoder, .. } = file;
            let (note, decoder) = (note.as_deref(), decoder.as_deref());
            let line = ManifestLine { path, shape, element, sources, blake3, status, note, decoder };
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
        let file = FileRecord {
            path: format!("{unit}.npy"),
            shape: vec![1],
            element: "u8".to_owned(),
            bytes: 129,
            blake3: "0".repeat(64),
            sources: vec![],
            status: packed(),
            note: None,
            decoder: None,
        };
        Done { unit: unit.to_owned(), key: "1".to_owned(), sources: vec![], files: vec![file], bad: None }
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

    #[test]
    fn what_no_run_wrote_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let good = json(&done("a"));
        let bad = [
            good.replace("a.npy", "../a.npy"),
            good.replace("a.npy", "/etc/a.npy"),
            good.replace("\"0000", "\"0"),
            good.replace("[1]", "[1,1,1,1,1,1,1,1,1]"),
            good.replace("[1]", "[-1]"),
            json(&Done { files: vec![], ..done("a") }),
            "x".repeat(3 << 20),
            "{}".to_owned(),
            "\u{0}\u{1}".to_owned(),
        ];
        for bad in bad {
            fs::write(&path, format!("{bad}\n{}\n", json(&done("b")))).unwrap();
            let (_, read) = Journal::open(path.clone()).unwrap();
            assert_eq!(read.keys().collect::<Vec<_>>(), ["b"], "{}", &bad[..bad.len().min(80)]);
            assert_eq!(fs::read_to_string(&path).unwrap(), json(&done("b")) + "\n");
        }
        fs::write(&path, [&b"\xff\n"[..], good.as_bytes(), b"\n"].concat()).unwrap();
        assert_eq!(read_journal(&path).unwrap().len(), 1);
    }
}
