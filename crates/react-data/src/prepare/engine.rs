//! Units of work on several threads, resumably: what the `prepare` of every corpus has in common.

use super::journal::{Done, FileRecord, Journal, SourceRecord, write_if_changed, write_manifest};
use super::output::{Written, publish};
use super::source::{content_hash, stamp};
use super::verify::write_sums;
use super::{PrepareReport, Progress, sweep};
use crate::DataError;
use crate::packed::PACKED_JSON;
use crate::threads;
use react_store::free_bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// What is packed to where: units of work, and how each is made of its sources.
pub(crate) trait Job: Sync {
    /// A clip, a split's tables, or the like.
    type Unit: Sync;
    /// Buffers of one worker.
    type Buffers: Default;

    /// The corpus's folder; sources are recorded relative to it.
    fn root(&self) -> &Path;
    /// The packed folder.
    fn out(&self) -> &Path;
    /// A name that is the unit's alone.
    fn name(&self, unit: &Self::Unit) -> String;
    /// The settings that the unit's bytes depend on.
    fn key(&self, unit: &Self::Unit) -> String;
    /// The files (or folders of PNGs) it is made of.
    fn sources(&self, unit: &Self::Unit) -> Vec<PathBuf>;
    /// Makes the unit's files, beside their places.
    fn pack(&self, unit: &Self::Unit, buffers: &mut Self::Buffers) -> Result<Vec<Written>, DataError>;
    /// Bytes that the unit's files will have, from the headers of its sources alone; 0 where they cannot be read, which packing will say.
    fn bytes(&self, _unit: &Self::Unit) -> u64 {
        0
    }
    /// Whether to begin although the file system seems to have too little room.
    fn ignores_room(&self) -> bool {
        false
    }
    /// Whether the work goes on without a unit that cannot be packed, and then what the manifest says of it.
    fn excuse(&self, _unit: &Self::Unit, _error: &DataError) -> Option<String> {
        None
    }
}

/// What comes last: units that depend on what became of all others, and the settings.
pub(crate) struct Ending<U> {
    pub(crate) units: Vec<U>,
    /// The text of `packed.json`.
    pub(crate) info: String,
}

/// Makes an [`Ending`] of what became of all other units.
type MakeEnding<'a, U> = dyn Fn(&BTreeMap<String, Done>) -> Result<Ending<U>, DataError> + 'a;

/// Does every unit that is not done, then the `late` units that `ending` makes of what is done, then writes journal, manifest and,
/// last of all, the settings; also returns what is now done, by name. The caller holds the lock of [`lock_out`].
pub(crate) fn pack_all<J: Job>(
    job: &J,
    units: &[J::Unit],
    late: usize,
    ending: &MakeEnding<'_, J::Unit>,
    splits: &[String],
    threads: usize,
    progress: &dyn Progress,
) -> Result<(PrepareReport, BTreeMap<String, Done>), DataError> {
    let out = job.out();
    let (journal, known) = Journal::open(out.join("journal.jsonl"))?;
    let mut done = BTreeMap::new();
    progress.total(units.len() + late);
    sweep::remove_leftovers(out, splits)?;
    let run = Run { job, journal: &journal, known: &known, threads, progress, stop: AtomicBool::new(false) };
    let mut packed = run.stage(units, &mut done)?;
    let Ending { units, info } = ending(&done)?;
    packed += run.stage(&units, &mut done)?;

    remove_stale(out, &known, &done)?;
    let manifest = out.join(MANIFEST);
    journal.compact(&done)?;
    write_manifest(&manifest, &done)?;
    write_sums(out, &info)?;
    // Last of all: its being there says that everything else is.
    write_if_changed(&out.join(PACKED_JSON), &info)?;
    let files = || done.values().flat_map(|entry| &entry.files);
    let (count, bytes) = (files().count(), files().map(|file| file.bytes).sum());
    let bad = done.values().filter(|entry| entry.bad.is_some()).count();
    Ok((PrepareReport { packed, reused: done.len() - packed, bad, files: count, bytes, manifest }, done))
}

/// Makes the packed folder and holds a lock on it, so that two runs do not write the same files.
pub(crate) fn lock_out(root: &Path, out: &Path) -> Result<Option<File>, DataError> {
    fs::create_dir_all(out).map_err(DataError::io("create folder", out))?;
    let same = |a: &Path, b: &Path| fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b);
    if same(root, out) {
        return Err(DataError::Packed { dir: out.to_owned(), why: "the packed folder cannot be the corpus's own".to_owned() });
    }
    // Where folders cannot be opened or locked (some network file systems) the user sees to it.
    let Ok(folder) = File::open(out) else { return Ok(None) };
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(DataError::Packed { dir: out.to_owned(), why: "another run is packing into it".to_owned() }),
        _ => Ok(Some(folder)),
    }
}

/// The manifest's name.
const MANIFEST: &str = "manifest.jsonl";

/// A path below `root`, with `/`.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The sources and their stamps now; hashes are left empty.
fn stamped<J: Job>(job: &J, unit: &J::Unit) -> Result<Vec<SourceRecord>, DataError> {
    let stamped = |path: PathBuf| Ok(SourceRecord { path: relative(job.root(), &path), stamp: stamp(&path)?, blake3: String::new() });
    job.sources(unit).into_iter().map(stamped).collect()
}

/// Removes what earlier runs made of units that are bad now, or are not there any more.
fn remove_stale(out: &Path, known: &BTreeMap<String, Done>, done: &BTreeMap<String, Done>) -> Result<(), DataError> {
    let kept: BTreeSet<&str> = done.values().flat_map(|unit| &unit.files).map(|file| file.path.as_str()).collect();
    let mut stale = known.values().flat_map(|unit| &unit.files).filter(|file| !kept.contains(file.path.as_str()));
    stale.try_for_each(|file| remove(&out.join(&file.path)))
}

fn remove(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(DataError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether an earlier run made this unit with these settings, of sources by these names, and its files are there in full.
fn is_whole<J: Job>(job: &J, entry: &Done, unit: &J::Unit, sources: &[SourceRecord]) -> bool {
    let names = |sources: &[SourceRecord]| sources.iter().map(|source| source.path.clone()).collect::<Vec<_>>();
    let there = |file: &FileRecord| fs::metadata(job.out().join(&file.path)).is_ok_and(|found| found.len() == file.bytes);
    entry.key == job.key(unit) && names(&entry.sources) == names(sources) && entry.files.iter().all(there)
}

fn same_stamps(a: &[SourceRecord], b: &[SourceRecord]) -> bool {
    a.iter().map(|source| &source.stamp).eq(b.iter().map(|source| &source.stamp))
}

/// A unit that is not known to be done.
struct Work<'a, U> {
    unit: &'a U,
    sources: Vec<SourceRecord>,
    /// What an earlier run made of it, where only stamps differ.
    earlier: Option<&'a Done>,
}

struct Run<'a, J> {
    job: &'a J,
    journal: &'a Journal,
    /// What earlier runs did.
    known: &'a BTreeMap<String, Done>,
    threads: usize,
    progress: &'a dyn Progress,
    stop: AtomicBool,
}

impl<J: Job> Run<'_, J> {
    /// Does those of the units that are not done, and adds all to `done`; returns how many had to be packed.
    fn stage(&self, units: &[J::Unit], done: &mut BTreeMap<String, Done>) -> Result<usize, DataError> {
        let mut open = Vec::new();
        let before = done.len();
        for unit in units {
            let sources = stamped(self.job, unit)?;
            match self.known.get(&self.job.name(unit)).filter(|entry| is_whole(self.job, entry, unit, &sources)) {
                Some(entry) if same_stamps(&entry.sources, &sources) => {
                    done.insert(entry.unit.clone(), entry.clone());
                }
                entry => open.push(Work { unit, sources, earlier: entry }),
            }
        }
        self.progress.advance(done.len() - before);
        self.check_room(&open)?;
        if !open.is_empty() {
            // From here to the end the folder is not complete.
            let out = self.job.out();
            remove(&out.join(PACKED_JSON))?;
            remove(&out.join(MANIFEST))?;
        }
        let finished = self.all(&open, self.threads)?;
        let packed = finished.iter().filter(|(_, packed)| *packed).count();
        done.extend(finished.into_iter().map(|(entry, _)| (entry.unit.clone(), entry)));
        Ok(packed)
    }

    /// Says how much will be written, and refuses where there is not so much room. What replaces an earlier file needs room beside it.
    fn check_room(&self, open: &[Work<'_, J::Unit>]) -> Result<(), DataError> {
        let out = self.job.out();
        let needed: u64 = open.iter().map(|work| self.job.bytes(work.unit)).sum();
        if needed == 0 {
            return Ok(());
        }
        let free = free_bytes(out)?;
        self.progress.room(needed, free);
        match free.filter(|free| *free < needed && !self.job.ignores_room()) {
            Some(free) => Err(DataError::Room { dir: out.to_owned(), needed, free }),
            None => Ok(()),
        }
    }

    /// Does all work; each result says whether anything had to be packed.
    fn all(&self, open: &[Work<'_, J::Unit>], threads: usize) -> Result<Vec<(Done, bool)>, DataError> {
        // In the corpus's order, whoever did them: also the error that is shown is the first.
        let results = threads::map(open, threads, J::Buffers::default, |buffers, work| self.one(work, buffers))?;
        let mut finished = Vec::with_capacity(results.len());
        for result in results {
            // Those that a stop left undone come as `None`, and only ever beside an error.
            finished.extend(result?);
        }
        Ok(finished)
    }

    fn one(&self, work: &Work<'_, J::Unit>, buffers: &mut J::Buffers) -> Result<Option<(Done, bool)>, DataError> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let result = self.do_or_reuse(work, buffers);
        match &result {
            Ok(_) => self.progress.advance(1),
            Err(_) => self.stop.store(true, Ordering::Relaxed),
        }
        result.map(Some)
    }

    fn do_or_reuse(&self, work: &Work<'_, J::Unit>, buffers: &mut J::Buffers) -> Result<(Done, bool), DataError> {
        let unit = self.job.name(work.unit);
        let mut sources = work.sources.clone();
        for source in &mut sources {
            source.blake3 = content_hash(&self.job.root().join(&source.path))?;
        }
        let same = |earlier: &&&Done| earlier.sources.iter().map(|source| &source.blake3).eq(sources.iter().map(|source| &source.blake3));
        let (files, bad, packed) = match work.earlier.as_ref().filter(same) {
            Some(earlier) => (earlier.files.clone(), earlier.bad.clone(), false),
            None => {
                self.progress.message(&unit);
                match self.job.pack(work.unit, buffers) {
                    Ok(written) => (publish(written)?, None, true),
                    Err(error) => match self.job.excuse(work.unit, &error) {
                        Some(why) => (vec![], Some(why), true),
                        None => return Err(error),
                    },
                }
            }
        };
        let done = Done { unit, key: self.job.key(work.unit), sources, files, bad };
        self.remove_replaced(&done)?;
        self.journal.append(&done)?;
        tracing::debug!(unit = done.unit, packed, "done");
        Ok((done, packed))
    }

    /// Removes what an earlier run made of a unit and this one made under other names (frames of the other store). A kill after this finds
    /// a unit whose files are missing, and does it again.
    fn remove_replaced(&self, done: &Done) -> Result<(), DataError> {
        let earlier = self.known.get(&done.unit).into_iter().flat_map(|earlier| &earlier.files);
        for file in earlier.filter(|file| done.files.iter().all(|new| new.path != file.path)) {
            remove(&self.job.out().join(&file.path))?;
        }
        Ok(())
    }
}
