//! From a corpus to a packed folder: decode, resize, crop, features, tables; resumable.
//!
//! A packed folder holds, for each split, `SPLIT/{frames,audio,emotion,coeffs}/CLIP.npy` (u8 `[t, h, w, 3]`, f32 `[t, 78]`,
//! `[t, 25]`, `[t, 58]`), `SPLIT/pairs.csv`, `SPLIT/neighbours.npy` (u8 `[2n, 2n]`), and `mean_face.npy` (f32 `[58]`),
//! `packed.json` (settings; there only when all is packed), `manifest.jsonl`, `journal.jsonl`.

mod journal;
mod output;
mod source;
mod sweep;
mod unit;

use crate::packed::{PACKED_JSON, PackedInfo};
use crate::{Corpus, DataError, Recipe};
use journal::{Done, Journal, SourceRecord, write_if_changed, write_manifest};
use output::publish;
use react_media::FrameShape;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use unit::{Buffers, Context, Unit, hash_sources};

/// What to prepare, and where to.
#[derive(Clone, Debug)]
pub struct PrepareConfig {
    /// The corpus's layout: [`Recipe::named`].
    pub recipe: Recipe,
    /// The corpus's folder.
    pub root: PathBuf,
    /// The packed folder; made where it is missing.
    pub out: PathBuf,
    /// Size of the packed frames; [`Recipe::frame_shape`] gives the corpus's own.
    pub shape: FrameShape,
    /// Clips at once; 0 takes one per core. The result does not depend on it.
    pub threads: usize,
}

/// Who is told how far the work is: a progress bar, or `()` for nobody.
pub trait Progress: Sync {
    /// The work has this many units (clips, mostly).
    fn total(&self, units: usize);
    /// So many more units are done.
    fn advance(&self, units: usize);
    /// What is being done now, in a few words.
    fn message(&self, text: &str);
}

impl Progress for () {
    fn total(&self, _: usize) {}
    fn advance(&self, _: usize) {}
    fn message(&self, _: &str) {}
}

/// What [`prepare`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrepareReport {
    /// Units packed now: clips, splits' tables, the mean face.
    pub packed: usize,
    /// Units that were there already, from sources that did not change.
    pub reused: usize,
    /// Files of the packed folder, without journal, manifest and settings.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The manifest.
    pub manifest: PathBuf,
}

impl std::fmt::Display for PrepareReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { packed, reused, files, bytes, manifest } = self;
        let megabytes = *bytes as f64 / 1e6;
        if *packed == 0 {
            write!(f, "all {reused} units were packed already, nothing to do ({files} files, {megabytes:.1} MB): {}", manifest.display())
        } else {
            write!(f, "packed {packed} units, {reused} were there ({files} files, {megabytes:.1} MB): {}", manifest.display())
        }
    }
}

/// Packs a corpus. What an earlier run finished is kept where its sources' sizes and times of change (or else their
/// contents) and the settings it depends on are the same; the result is byte-identical at any number of threads and after
/// any interruption. Peak memory is that of `threads` decoders and clips' sounds, not of clips' frames.
///
/// # Errors
/// [`DataError`] naming the first file, clip or cell that is missing or wrong. What was finished before stays and counts.
pub fn prepare(config: &PrepareConfig, progress: &dyn Progress) -> Result<PrepareReport, DataError> {
    progress.message("looking for files");
    let corpus = Corpus::open(&config.root, config.recipe.clone())?;
    let units = Unit::all(&corpus)?;
    let _lock = open_out(config)?;
    let context = Context { corpus: &corpus, out: &config.out, shape: config.shape };
    let (journal, known) = Journal::open(config.out.join("journal.jsonl"))?;

    let mut done = BTreeMap::new();
    let mut open = Vec::new();
    progress.total(units.len());
    for unit in &units {
        let sources = unit.stamped(&corpus)?;
        match known.get(&unit.name()).filter(|entry| is_whole(entry, unit, &sources, &context)) {
            Some(entry) if same_stamps(&entry.sources, &sources) => {
                done.insert(entry.unit.clone(), entry.clone());
            }
            entry => open.push(Work { unit, sources, earlier: entry }),
        }
    }
    progress.advance(done.len());
    sweep::remove_leftovers(&config.out, corpus.splits())?;
    let open_units = open.len();
    if open_units > 0 {
        // From here to the end the folder is not complete.
        remove(&config.out.join(PACKED_JSON))?;
        remove(&config.out.join("manifest.jsonl"))?;
    }
    let run = Run { context: &context, journal: &journal, progress, stop: AtomicBool::new(false) };
    let finished = run.all(&open, config.threads)?;
    let packed = finished.iter().filter(|(_, packed)| *packed).count();
    done.extend(finished.into_iter().map(|(entry, _)| (entry.unit.clone(), entry)));
    finish(config, &corpus, &journal, &done, packed)
}

/// Sorts the journal, writes manifest and settings.
fn finish(
    config: &PrepareConfig,
    corpus: &Corpus,
    journal: &Journal,
    done: &BTreeMap<String, Done>,
    packed: usize,
) -> Result<PrepareReport, DataError> {
    let manifest = config.out.join("manifest.jsonl");
    journal.compact(done)?;
    write_manifest(&manifest, done)?;
    let info = PackedInfo {
        corpus: config.recipe.name.clone(),
        fps: config.recipe.fps,
        shorter: config.shape.shorter,
        crop: config.shape.crop,
        splits: corpus.splits().iter().map(|split| split.name().to_owned()).collect(),
    };
    // Last of all: its being there says that everything else is.
    write_if_changed(&config.out.join(PACKED_JSON), &info.to_json())?;
    let files = || done.values().flat_map(|entry| &entry.files);
    let (count, bytes) = (files().count(), files().map(|file| file.bytes).sum());
    Ok(PrepareReport { packed, reused: done.len() - packed, files: count, bytes, manifest })
}

/// Makes the packed folder and holds a lock on it, so that two runs do not write the same files.
fn open_out(config: &PrepareConfig) -> Result<Option<File>, DataError> {
    let PrepareConfig { root, out, shape, .. } = config;
    if shape.crop == 0 || shape.crop > shape.shorter {
        let why = format!("frames of {} pixels cannot be cut from a shorter side of {}", shape.crop, shape.shorter);
        return Err(DataError::Recipe { name: config.recipe.name.clone(), why });
    }
    fs::create_dir_all(out).map_err(DataError::io("create folder", out))?;
    let same = |a: &Path, b: &Path| fs::canonicalize(a).ok().zip(fs::canonicalize(b).ok()).is_some_and(|(a, b)| a == b);
    if same(root, out) {
        return Err(DataError::Packed { dir: out.clone(), why: "the packed folder cannot be the corpus's own".to_owned() });
    }
    // Where folders cannot be opened or locked (some network file systems) the user sees to it.
    let Ok(folder) = File::open(out) else { return Ok(None) };
    match folder.try_lock() {
        Err(TryLockError::WouldBlock) => Err(DataError::Packed { dir: out.clone(), why: "another run is packing into it".to_owned() }),
        _ => Ok(Some(folder)),
    }
}

fn remove(path: &Path) -> Result<(), DataError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(DataError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether an earlier run made this unit with these settings, of sources by these names, and its files are there in full.
fn is_whole(entry: &Done, unit: &Unit<'_>, sources: &[SourceRecord], context: &Context<'_>) -> bool {
    let names = |sources: &[SourceRecord]| sources.iter().map(|source| source.path.clone()).collect::<Vec<_>>();
    let there = |file: &journal::FileRecord| fs::metadata(context.out.join(&file.path)).is_ok_and(|found| found.len() == file.bytes);
    entry.key == unit.key(context) && names(&entry.sources) == names(sources) && entry.files.iter().all(there)
}

fn same_stamps(a: &[SourceRecord], b: &[SourceRecord]) -> bool {
    a.iter().map(|source| &source.stamp).eq(b.iter().map(|source| &source.stamp))
}

/// A unit that is not known to be done.
struct Work<'a> {
    unit: &'a Unit<'a>,
    sources: Vec<SourceRecord>,
    /// What an earlier run made of it, where only stamps differ.
    earlier: Option<&'a Done>,
}

struct Run<'a> {
    context: &'a Context<'a>,
    journal: &'a Journal,
    progress: &'a dyn Progress,
    stop: AtomicBool,
}

impl Run<'_> {
    /// Does all work; each result says whether anything had to be packed.
    fn all(&self, open: &[Work<'_>], threads: usize) -> Result<Vec<(Done, bool)>, DataError> {
        // Threads of our own, not a rayon pool: polars works in a pool of its own, and a rayon thread that waits for another
        // pool takes up more of our work meanwhile, clip within clip, until its stack is full.
        let next = AtomicUsize::new(0);
        let work = || {
            let (mut buffers, mut results) = (Buffers::default(), Vec::new());
            while let Some((index, work)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, open.get(i)?))) {
                results.push((index, self.one(work, &mut buffers)));
            }
            results
        };
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let mut results: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.min(open.len()).max(1)).map(|_| scope.spawn(work)).collect();
            workers.into_iter().map(|worker| worker.join()).collect::<Result<Vec<_>, _>>()
        })
        .map_err(|_| DataError::Packed { dir: self.context.out.to_owned(), why: "a thread failed; this is a defect".to_owned() })?
        .into_iter()
        .flatten()
        .collect();
        // By place in the corpus, whoever did them: also the error that is shown is the first.
        results.sort_by_key(|(index, _)| *index);
        let mut finished = Vec::with_capacity(results.len());
        for (_, result) in results {
            // Those that a stop left undone come as `None`, and only ever beside an error.
            finished.extend(result?);
        }
        Ok(finished)
    }

    fn one(&self, work: &Work<'_>, buffers: &mut Buffers) -> Result<Option<(Done, bool)>, DataError> {
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

    fn do_or_reuse(&self, work: &Work<'_>, buffers: &mut Buffers) -> Result<(Done, bool), DataError> {
        let unit = work.unit.name();
        let mut sources = work.sources.clone();
        hash_sources(self.context.corpus, &mut sources)?;
        let same = |earlier: &&&Done| earlier.sources.iter().map(|source| &source.blake3).eq(sources.iter().map(|source| &source.blake3));
        let (files, packed) = match work.earlier.as_ref().filter(same) {
            Some(earlier) => (earlier.files.clone(), false),
            None => {
                self.progress.message(&unit);
                (publish(work.unit.pack(self.context, buffers)?)?, true)
            }
        };
        let done = Done { unit, key: work.unit.key(self.context), sources, files };
        self.journal.append(&done)?;
        tracing::debug!(unit = done.unit, packed, "done");
        Ok((done, packed))
    }
}
