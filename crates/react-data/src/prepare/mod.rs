//! From a corpus to a packed folder: decode, resize, crop, features, tables; resumable.
//!
//! A packed folder holds, for each split, `SPLIT/{frames,audio,emotion,coeffs}/CLIP.npy` (u8 `[t, h, w, 3]`, f32 `[t, 78]`,
//! `[t, 25]`, `[t, 58]`), `SPLIT/pairs.csv`, `SPLIT/neighbours.npy` (u8 `[2n, 2n]`), and `mean_face.npy` (f32 `[58]`),
//! `packed.json` (settings; there only when all is packed), `manifest.jsonl`, `journal.jsonl`.

mod engine;
mod journal;
mod output;
mod source;
mod sweep;
mod unit;

pub(crate) use engine::{Job, lock_out, pack_all, relative};
pub(crate) use journal::Done;
pub(crate) use output::{NpyOut, Written, write_rows, write_text};

use crate::packed::PackedInfo;
use crate::{Corpus, DataError, Recipe};
use react_media::FrameShape;
use std::path::PathBuf;
use unit::{Context, Unit};

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
    let PrepareConfig { recipe, root, out, shape, threads } = config;
    progress.message("looking for files");
    let corpus = Corpus::open(root, recipe.clone())?;
    let units = Unit::all(&corpus)?;
    if shape.crop == 0 || shape.crop > shape.shorter {
        let why = format!("frames of {} pixels cannot be cut from a shorter side of {}", shape.crop, shape.shorter);
        return Err(DataError::Recipe { name: recipe.name.clone(), why });
    }
    let _lock = lock_out(root, out)?;
    let splits: Vec<String> = corpus.splits().iter().map(|split| split.name().to_owned()).collect();
    let info =
        PackedInfo { corpus: recipe.name.clone(), fps: recipe.fps, shorter: shape.shorter, crop: shape.crop, splits: splits.clone() };
    let context = Context { corpus: &corpus, out, shape: *shape };
    Ok(pack_all(&context, &units, &splits, &info.to_json(), *threads, progress)?.0)
}
