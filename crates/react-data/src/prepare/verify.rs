//! Reading a packed folder again, every byte of it, against its manifest.

use super::Progress;
use super::journal::{BAD, axes, check_file, each_line};
use super::source::content_hash;
use super::sweep::{FOLDERS, is_leftover};
use crate::DataError;
use crate::packed::{PACKED_JSON, read_packed_json};
use crate::threads;
use react_store::{StoreError, read_npy_header, write_atomic};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

/// Hashes of what the manifest cannot hash, in the form of `b3sum`.
pub(super) const SUMS: &str = "BLAKE3SUMS";
/// What [`SUMS`] has hashes of.
const SUMMED: [&str; 3] = ["journal.jsonl", "manifest.jsonl", PACKED_JSON];

/// Lines of a broken manifest that the report quotes.
const LISTED_LINES: usize = 20;

/// What [`verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Files that were read.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Every bad file, sorted, with what is wrong with it.
    pub bad: Vec<(String, String)>,
    /// Files that `prepare` did not write and that are not in its way.
    pub foreign: usize,
}

impl std::fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (file, why) in &self.bad {
            writeln!(f, "{file}: {why}")?;
        }
        let megabytes = self.bytes as f64 / 1e6;
        match self.bad.len() {
            0 => write!(f, "all {} files ({megabytes:.1} MB) are what the manifest says", self.files)?,
            bad => write!(f, "{bad} bad files among {} ({megabytes:.1} MB)", self.files)?,
        }
        match self.foreign {
            0 => Ok(()),
            foreign => write!(f, "; {foreign} other files are not in the manifest"),
        }
    }
}

/// A line of the manifest, as far as it can be checked.
#[derive(Deserialize)]
struct Line {
    path: String,
    #[serde(deserialize_with = "axes")]
    shape: Vec<usize>,
    element: String,
    #[serde(default)]
    sources: Vec<Source>,
    blake3: String,
    status: String,
}

#[derive(Deserialize)]
struct Source {
    path: String,
    blake3: String,
}

/// As much of any packed corpus's settings as this needs.
#[derive(Deserialize)]
struct Info {
    splits: Vec<String>,
    root: Option<String>,
}

/// What a file has to be.
struct Wanted {
    shape: Vec<usize>,
    element: String,
    blake3: String,
}

/// Reads every file of a packed folder again and compares it with the manifest: BLAKE3, element and shape; finds what is missing or too
/// much; of a store of sources reads the videos too. Changes nothing.
///
/// # Errors
/// [`DataError::Packed`] where no complete packed corpus is there, and where the system refuses. A bad file is none: it is in the report.
pub fn verify(out: &Path, threads: usize, progress: &dyn Progress) -> Result<VerifyReport, DataError> {
    let info: Info = read_packed_json(out)?;
    let mut report = VerifyReport::default();
    check_sums(out, &mut report)?;
    let (wanted, videos) = read_manifest(out, info.root.is_some(), &mut report)?;
    let root = info.root.map(|root| out.join(root));
    let videos: Vec<_> = videos.iter().filter_map(|(path, blake3)| Some((root.as_ref()?, path, blake3))).collect();
    progress.total(wanted.len() + videos.len());

    let files: Vec<_> = wanted.iter().collect();
    let checked = each(&files, threads, progress, |(path, wanted)| check(&out.join(path), wanted))?;
    for ((path, _), found) in files.iter().zip(checked) {
        report.take(path, found.map_err(|error| *error)?);
    }
    let checked = each(&videos, threads, progress, |(root, path, blake3)| check_source(&root.join(path), blake3))?;
    for ((root, path, _), found) in videos.iter().zip(checked) {
        report.take(&root.join(path).display().to_string(), found.map_err(|error| *error)?);
    }
    find_others(out, &info.splits, &wanted, &mut report)?;
    report.bad.sort();
    report.bad.dedup();
    Ok(report)
}

/// Bytes read, or what is wrong.
type Found = Result<u64, String>;

impl VerifyReport {
    fn take(&mut self, path: &str, found: Found) {
        self.files += 1;
        match found {
            Ok(bytes) => self.bytes += bytes,
            Err(why) => self.bad.push((path.to_owned(), why)),
        }
    }
}

/// A finding, or what the system refused: boxed, for there is one of every file.
type Checked = Result<Found, Box<DataError>>;

/// Does `work` of every item on some threads; results are in the items' order.
fn each<T: Sync>(
    items: &[T],
    threads: usize,
    progress: &dyn Progress,
    work: impl Fn(&T) -> Result<Found, DataError> + Sync,
) -> Result<Vec<Checked>, DataError> {
    let checked = |(): &mut (), item: &T| {
        let checked = work(item).map_err(Box::new);
        progress.advance(1);
        checked
    };
    threads::map(items, threads, || (), checked)
}

/// What is missing is a finding; what the system refuses otherwise is an error.
fn found<T>(result: Result<T, DataError>) -> Result<Result<T, String>, DataError> {
    match result {
        Err(DataError::Missing { .. }) => Ok(Err("it is missing".to_owned())),
        Err(DataError::Store(StoreError::Io { source, .. }) | DataError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Ok(Err("it is missing".to_owned()))
        }
        // A sector that cannot be read any more is what this looks for.
        Err(DataError::Io { source, .. }) => Ok(Err(format!("it cannot be read: {source}"))),
        Err(DataError::Store(StoreError::Npy { why, .. })) => Ok(Err(why)),
        other => other.map(Ok),
    }
}

fn check(path: &Path, wanted: &Wanted) -> Result<Found, DataError> {
    let blake3 = match found(content_hash(path))? {
        Ok(blake3) => blake3,
        Err(why) => return Ok(Err(why)),
    };
    if blake3 != wanted.blake3 {
        return Ok(Err("its contents are not what was packed".to_owned()));
    }
    if path.extension().is_some_and(|extension| extension == "npy") {
        let header = match found(read_npy_header(path).map_err(DataError::from))? {
            Ok(header) => header,
            Err(why) => return Ok(Err(why)),
        };
        let element = header.element.to_string();
        if (&element, &header.shape) != (&wanted.element, &wanted.shape) {
            return Ok(Err(format!("it holds {element} {:?}, the manifest says {} {:?}", header.shape, wanted.element, wanted.shape)));
        }
    }
    Ok(Ok(fs::metadata(path).map_err(DataError::io("read", path))?.len()))
}

fn check_source(path: &Path, blake3: &str) -> Result<Found, DataError> {
    Ok(match found(content_hash(path))? {
        Ok(now) if now == blake3 => Ok(fs::metadata(path).map_err(DataError::io("read", path))?.len()),
        Ok(_) => Err("the video is not what it was when it was packed".to_owned()),
        Err(why) => Err(why),
    })
}

/// The files of the manifest, and the videos of a store of sources with their hashes.
type Manifest = (BTreeMap<String, Wanted>, BTreeMap<String, String>);

/// Reads the manifest; lines that cannot be read go to the report.
fn read_manifest(out: &Path, of_sources: bool, report: &mut VerifyReport) -> Result<Manifest, DataError> {
    let path = out.join("manifest.jsonl");
    let (mut wanted, mut videos, mut number, mut unreadable) = (BTreeMap::new(), BTreeMap::new(), 0, 0);
    let file = match File::open(&path) {
        // The sums have said so.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((wanted, videos)),
        other => other.map_err(DataError::io("read", &path))?,
    };
    let parse = |line: Result<&[u8], String>| -> Result<Line, String> {
        let line: Line = serde_json::from_slice(line?).map_err(|error| error.to_string())?;
        if line.status != BAD {
            check_file(&line.path, &line.blake3)?;
        }
        line.sources.iter().try_for_each(|source| check_file(&source.path, &source.blake3))?;
        Ok(line)
    };
    each_line(BufReader::new(file), |line| {
        number += 1;
        match parse(line) {
            Err(why) => {
                unreadable += 1;
                // The first say enough; the report must not outgrow the file.
                if unreadable <= LISTED_LINES {
                    report.bad.push(("manifest.jsonl".to_owned(), format!("line {number}: {why}")));
                }
            }
            Ok(line) if line.status == BAD => {}
            Ok(line) => {
                if of_sources && line.path.split('/').nth(1) == Some("frames") {
                    videos.extend(line.sources.into_iter().map(|source| (source.path, source.blake3)));
                }
                wanted.insert(line.path, Wanted { shape: line.shape, element: line.element, blake3: line.blake3 });
            }
        }
    })
    .map_err(DataError::io("read", &path))?;
    if unreadable > LISTED_LINES {
        report.bad.push(("manifest.jsonl".to_owned(), format!("{} more lines that cannot be read", unreadable - LISTED_LINES)));
    }
    Ok((wanted, videos))
}

/// Files where `prepare` writes that are not in the manifest, and how many there are elsewhere.
fn find_others(out: &Path, splits: &[String], wanted: &BTreeMap<String, Wanted>, report: &mut VerifyReport) -> Result<(), DataError> {
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        let folder = out.join(&below);
        for entry in fs::read_dir(&folder).map_err(DataError::io("read", &folder))? {
            let entry = entry.map_err(DataError::io("read", &folder))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if entry.file_type().map_err(DataError::io("read", &folder))?.is_dir() {
                folders.push(path);
                continue;
            }
            let mut parts = path.split('/');
            let in_split = parts.next().is_some_and(|split| splits.iter().any(|known| known == split));
            let ours = in_split && parts.next().is_some_and(|folder| FOLDERS.contains(&folder));
            if is_leftover(&name) {
                report.bad.push((path, "a killed run left it; the next run removes it".to_owned()));
            } else if !wanted.contains_key(&path) && path != SUMS && !SUMMED.contains(&path.as_str()) {
                if ours {
                    report.bad.push((path, "it is not in the manifest".to_owned()));
                } else {
                    report.foreign += 1;
                }
            }
        }
    }
    Ok(())
}

/// Writes the hashes of journal, manifest and the settings to come.
pub(super) fn write_sums(out: &Path, info: &str) -> Result<(), DataError> {
    let mut text = String::new();
    for name in SUMMED {
        let hash = match name {
            PACKED_JSON => blake3::hash(info.as_bytes()).to_hex().to_string(),
            _ => content_hash(&out.join(name))?,
        };
        text.push_str(&format!("{hash}  {name}\n"));
    }
    let path = out.join(SUMS);
    if fs::read(&path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        return Ok(());
    }
    Ok(write_atomic(&path, |file| file.write_all(text.as_bytes()))?)
}

fn check_sums(out: &Path, report: &mut VerifyReport) -> Result<(), DataError> {
    let path = out.join(SUMS);
    let mut bytes = Vec::new();
    // Three lines are some 250 bytes.
    let read = File::open(&path).and_then(|file| file.take(1 << 12).read_to_end(&mut bytes));
    let text = match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.bad.push((SUMS.to_owned(), "it is missing".to_owned()));
            return Ok(());
        }
        Err(error) => return Err(DataError::io("read", &path)(error)),
    };
    let mut named = BTreeSet::new();
    for line in text.lines() {
        match line.split_once("  ").filter(|(_, name)| SUMMED.contains(name)) {
            Some((hash, name)) => {
                named.insert(name);
                let found = found(content_hash(&out.join(name)))?;
                report.take(
                    name,
                    match found {
                        Ok(now) if now == hash => Ok(fs::metadata(out.join(name)).map_err(DataError::io("read", out))?.len()),
                        Ok(_) => Err(format!("its contents are not what {SUMS} says")),
                        Err(why) => Err(why),
                    },
                );
            }
            None => {
                report.bad.push((SUMS.to_owned(), "it has a line that is none of it".to_owned()));
                break;
            }
        }
    }
    if named.len() < SUMMED.len() || !text.ends_with('\n') {
        report.bad.push((SUMS.to_owned(), "it is not whole".to_owned()));
    }
    Ok(())
}
