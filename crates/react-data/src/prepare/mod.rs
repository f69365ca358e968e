//! From a corpus to a packed folder: decode, resize, crop, features, tables; resumable.
//!
//! A packed folder holds, for each split, `SPLIT/{frames,audio,emotion,coeffs}/CLIP.npy` (u8 `[t, h, w, 3]`, f32 `[t, 78]`,
//! `[t, 25]`, `[t, 58]`), `SPLIT/pairs.csv`, `SPLIT/neighbours.npy` (u8 `[2n, 2n]`), and `mean_face.npy` (f32 `[58]`),
//! `packed.json` (settings; there only when all is packed), `manifest.jsonl`, `journal.jsonl`; `bad.csv` where clips were left out.

mod bad;
mod engine;
mod journal;
mod output;
mod source;
mod sweep;
mod unit;
mod verify;

pub(crate) use bad::{BAD_LIST, bad_list, check_bad, excuse, remove_list, too_many};
pub(crate) use engine::{Ending, Job, lock_out, pack_all, relative};
pub(crate) use journal::{Done, read_journal};
pub(crate) use output::{NpyOut, Written, npy_bytes, write_rows, write_source, write_text};
pub(crate) use source::{content_hash, stamp};
pub use verify::{VerifyReport, verify};

use crate::doctor::corpus_rate;
use crate::faces::{Faces, Finder};
use crate::packed::{PackedInfo, Store, root_from};
use crate::{Corpus, DataError, Recipe};
use react_media::FrameShape;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
pub(crate) use unit::corpus_neighbours;
use unit::{Context, Unit, audio_features, leaks, whole_pairs};

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
    /// Where the faces are.
    pub faces: Faces,
    /// Clips that may be bad: the work goes on without them, and without the pairs they are in. `bad.csv` lists them.
    pub max_bad: usize,
    /// A list of sessions, and the seconds of the clips that their recordings are cut into ([`Corpus::cut`]).
    pub cut: Option<(PathBuf, f64)>,
    /// How the frames are kept.
    pub store: Store,
    /// Begins although the file system seems to have too little room.
    pub ignore_room: bool,
}

impl PrepareConfig {
    /// A corpus by its recipe: the recipe's frames and faces, no bad clip, one clip per core.
    #[must_use]
    pub fn new(recipe: Recipe, root: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        let shape = recipe.frame_shape();
        let (root, out) = (root.into(), out.into());
        let (faces, store) = (Faces::Corpus, Store::Npy);
        Self { recipe, root, out, shape, threads: 0, faces, max_bad: 0, cut: None, store, ignore_room: false }
    }

    /// Opens the corpus, or cuts its recordings.
    ///
    /// # Errors
    /// As [`Corpus::open`] and [`Corpus::cut`].
    pub fn corpus(&self) -> Result<Corpus, DataError> {
        match &self.cut {
            None => Corpus::open(&self.root, self.recipe.clone()),
            Some((sessions, seconds)) => Corpus::cut(&self.root, self.recipe.clone(), sessions, *seconds),
        }
    }
}

/// Who is told how far the work is: a progress bar, or `()` for nobody.
pub trait Progress: Sync {
    /// The work has this many units (clips, mostly).
    fn total(&self, units: usize);
    /// So many more units are done.
    fn advance(&self, units: usize);
    /// What is being done now, in a few words.
    fn message(&self, text: &str);
    /// So many bytes will be written, where the file system has so many free (unknown on some systems); said before anything is.
    fn room(&self, _needed: u64, _free: Option<u64>) {}
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
    /// Clips that were left out because they are bad.
    pub bad: usize,
    /// Files of the packed folder, without journal, manifest and settings.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// The manifest.
    pub manifest: PathBuf,
}

impl std::fmt::Display for PrepareReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { packed, reused, bad, files, bytes, manifest } = self;
        let megabytes = *bytes as f64 / 1e6;
        if *bad > 0 {
            write!(f, "{bad} bad clips left out (bad.csv); ")?;
        }
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
    let PrepareConfig { recipe, root, out, shape, threads, max_bad, .. } = config;
    progress.message("looking for files");
    let corpus = config.corpus()?;
    let units = Unit::all(&corpus);
    let clips = units.len() - 1;
    check_bad(units.iter().filter_map(Unit::bad), clips, *max_bad)?;
    if shape.crop == 0 || shape.crop > shape.shorter {
        let why = format!("frames of {} pixels cannot be cut from a shorter side of {}", shape.crop, shape.shorter);
        return Err(DataError::Recipe { name: recipe.name.clone(), why });
    }
    let faces = Finder::open(&config.faces, corpus.splits().iter().all(|split| split.face_crops()))?;
    let expected = corpus_rate(&corpus)?;
    let _lock = lock_out(root, out)?;
    let splits: Vec<String> = corpus.splits().iter().map(|split| split.name().to_owned()).collect();
    let left = AtomicUsize::new(*max_bad);
    let context = Context {
        corpus: &corpus,
        out,
        shape: *shape,
        faces: &faces,
        expected,
        left,
        warnings: Default::default(),
        store: config.store,
        ignore_room: config.ignore_room,
    };
    let ending = |done: &BTreeMap<String, Done>| {
        let mut bad: BTreeMap<String, String> = done.values().filter_map(|unit| Some((unit.unit.clone(), unit.bad.clone()?))).collect();
        bad.extend(leaks(&corpus, done));
        check_bad(bad.values().map(String::as_str), clips, *max_bad)?;
        let mut units: Vec<_> = corpus.splits().iter().map(|split| Unit::Tables(split, whole_pairs(split, &bad))).collect();
        if bad.is_empty() {
            remove_list(out)?;
        } else {
            units.push(Unit::BadList(bad_list(&bad)));
        }
        let info = PackedInfo {
            corpus: recipe.name.clone(),
            fps: expected.fps,
            shorter: shape.shorter,
            crop: shape.crop,
            audio_features: audio_features(done)?,
            faces: faces.name().to_owned(),
            store: config.store,
            root: match config.store {
                Store::Npy => None,
                Store::Source => Some(root_from(out, root)?),
            },
            splits: splits.clone(),
        };
        Ok(Ending { units, info: info.to_json() })
    };
    let packed = pack_all(&context, &units, splits.len(), &ending, &splits, *threads, progress);
    let warnings = context.warnings.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (count, first) in warnings.into_values() {
        tracing::warn!("{first}{}", if count > 1 { format!(" (and {} more clips)", count - 1) } else { String::new() });
    }
    Ok(packed.map_err(|error| too_many(error, clips, *max_bad))?.0)
}
