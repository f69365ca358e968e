//! What a frozen network sees of every frame, computed once and stored beside the frames: `<packed>/<split>/<network>/<id>.npy`,
//! f32 `[frames, values]`.

use crate::{Compute, Progress};
use anyhow::{Context, Result, ensure};
use ndarray::{Array3, Axis, Ix2, stack};
use react_data::hume::{EriPacked, EriSplit};
use react_model::frozen::{FrozenEncoder, Kind};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Whose features a folder holds: a file that says so comes before the first of them.
#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Stamp {
    network: Kind,
    /// BLAKE3 of the weights.
    weights: String,
    /// BLAKE3 of the packed corpus' manifest.
    data: String,
}

/// The stored features of a packed corpus.
#[derive(Clone, Debug)]
pub(super) struct Features {
    packed: PathBuf,
    kind: Kind,
}

impl Features {
    /// Those of a network, which must have been computed.
    pub(super) fn open(packed: &Path, kind: Kind) -> Result<Self> {
        let stamp = stamp_file(packed, kind);
        ensure!(
            stamp.is_file(),
            "{} is missing: compute the frames' features first (prepare --frame-features {} --weights PATH)",
            stamp.display(),
            kind.name()
        );
        Ok(Self { packed: packed.to_owned(), kind })
    }

    /// Of these clips: `[b, frames, values]`.
    pub(super) fn batch(&self, split: &EriSplit, clips: &[usize]) -> Result<Array3<f32>> {
        let rows = clips.iter().map(|clip| {
            let path = feature_file(&self.packed, split.name(), self.kind, split.id(*clip));
            let array = react_store::read_npy_f32(&path)?;
            let (found, want) = (array.shape().to_vec(), [split.info().frames, self.kind.values()]);
            ensure!(found == want, "{}: wanted {want:?}, found {found:?}", path.display());
            Ok(array.into_dimensionality::<Ix2>()?)
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        Ok(stack(Axis(0), &rows.iter().map(|row| row.view()).collect::<Vec<_>>())?)
    }
}

fn stamp_file(packed: &Path, kind: Kind) -> PathBuf {
    packed.join(format!("{}.json", kind.name()))
}

fn feature_file(packed: &Path, split: &str, kind: Kind, id: &str) -> PathBuf {
    packed.join(split).join(kind.name()).join(format!("{id}.npy"))
}

/// Computes what a frozen network sees of every frame of a packed corpus; what is there of the same weights and data stays. Returns a
/// line that says what was done.
///
/// # Errors
/// Where the packed corpus or the weights cannot be read, or a file cannot be written.
pub fn compute(packed: &Path, kind: Kind, weights: &Path, compute: &Compute) -> Result<String> {
    let corpus = EriPacked::open(packed)?;
    let bytes = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let stamp = Stamp {
        network: kind,
        weights: blake3::hash(&bytes(weights)?).to_hex().to_string(),
        data: blake3::hash(&bytes(&packed.join("manifest.jsonl"))?).to_hex().to_string(),
    };
    let file = stamp_file(packed, kind);
    if file.exists() {
        let found: Stamp = serde_json::from_slice(&bytes(&file)?).with_context(|| file.display().to_string())?;
        ensure!(
            found == stamp,
            "{} was made with other weights or data: remove it and the folders {} to compute them anew",
            file.display(),
            kind.name()
        );
    } else {
        let text = serde_json::to_string_pretty(&stamp)? + "\n";
        react_store::write_atomic(&file, |out| out.write_all(text.as_bytes()))?;
    }
    let encoder = FrozenEncoder::load(kind, weights, compute.device())?;
    let splits = corpus.info().splits.iter().map(|name| corpus.split(name)).collect::<Result<Vec<_>, _>>()?;
    let total: usize = splits.iter().map(EriSplit::len).sum();
    let (progress, mut computed) = (Progress::new("features", total as u64), 0);
    for split in &splits {
        for clip in 0..split.len() {
            let path = feature_file(packed, split.name(), kind, split.id(clip));
            // Each is written whole or not at all.
            if !path.exists() {
                let frames = split.batch(&[clip])?.frames;
                react_store::write_npy(&path, &encoder.features(frames.index_axis(Axis(0), 0))?)?;
                computed += 1;
            }
            progress.advance(1, split.name());
        }
    }
    Ok(format!("{} of {total} clips: features of {} computed, the others were there", computed, kind.name()))
}
