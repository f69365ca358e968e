//! A packed folder: settings, splits, clips.

mod clip;
mod split;

pub use clip::Clip;
pub use split::{Cut, PackedSplit, Role};

use crate::DataError;
use crate::arrays::read_mean_face;
use ndarray::Array1;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the settings file; it is there only when all is packed.
pub(crate) const PACKED_JSON: &str = "packed.json";

/// What a packed folder was made of and to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackedInfo {
    /// The corpus's name.
    pub corpus: String,
    /// Frames per second.
    pub fps: f64,
    /// The frames' shorter side before cropping, in pixels.
    pub shorter: usize,
    /// Side of the packed frames, in pixels.
    pub crop: usize,
    /// The splits.
    pub splits: Vec<String>,
}

impl PackedInfo {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Reads the settings of a packed folder, whose being there says that the folder is complete.
pub(crate) fn read_packed_json<T: serde::de::DeserializeOwned>(dir: &Path) -> Result<T, DataError> {
    let path = dir.join(PACKED_JSON);
    let error = |why: String| DataError::Packed { dir: dir.to_owned(), why };
    let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => error(format!("no complete packed corpus is here (no {PACKED_JSON}): run `prepare` to its end")),
        _ => DataError::io("read", &path)(source),
    })?;
    serde_json::from_str(&text).map_err(|source| error(format!("{PACKED_JSON} cannot be read: {source}")))
}

/// A packed folder, as [`crate::prepare`] leaves it.
#[derive(Clone, Debug)]
pub struct Packed {
    dir: PathBuf,
    info: PackedInfo,
    mean_face: Array1<f32>,
}

impl Packed {
    /// Opens a packed folder; maps no clip yet.
    ///
    /// # Errors
    /// [`DataError::Packed`] where the folder is missing or not packed to the end.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let info = read_packed_json(dir)?;
        Ok(Self { dir: dir.to_owned(), info, mean_face: read_mean_face(&dir.join("mean_face.npy"))? })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it was made of and to.
    #[must_use]
    pub fn info(&self) -> &PackedInfo {
        &self.info
    }

    /// The mean face, f32 `[58]`.
    #[must_use]
    pub fn mean_face(&self) -> &Array1<f32> {
        &self.mean_face
    }

    /// Maps a split's clips.
    ///
    /// # Errors
    /// [`DataError`] where the split is not packed, or a file is missing or of another shape than its neighbours.
    pub fn split(&self, name: &str) -> Result<PackedSplit, DataError> {
        if !self.info.splits.iter().any(|known| known == name) {
            let why = format!("there is no split {name:?}; there are {}", self.info.splits.join(", "));
            return Err(DataError::Packed { dir: self.dir.clone(), why });
        }
        PackedSplit::open(&self.dir.join(name), name, self.mean_face.clone())
    }
}
