//! A packed folder: settings, splits, clips.

mod clip;
mod pictures;
mod source;
mod split;

pub use clip::Clip;
pub use split::{Cut, PackedSplit, Role};

pub(crate) use pictures::Workshop;
pub(crate) use source::FrameSource;
use source::Sources;

use crate::DataError;
use crate::arrays::read_mean_face;
use ndarray::Array1;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Audio features of a frame: 78 at 25 frames/s, 39 at 30, or as many as were given.
    #[serde(default = "published_features")]
    pub audio_features: usize,
    /// Where the faces were: `given`, `centre`, `boxes` or `detect`.
    #[serde(default = "given")]
    pub faces: String,
    /// Whether the frames are stored.
    #[serde(default)]
    pub store: Store,
    /// Where the corpus is that the frames are decoded from, as seen from the packed folder; only of a store of sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// The splits.
    pub splits: Vec<String>,
}

/// How a packed corpus keeps its frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Store {
    /// As NumPy files: fast, 113 MB for 751 frames of 224².
    #[default]
    Npy,
    /// Not at all: they are decoded from the corpus's videos whenever a batch wants them, the same bytes.
    Source,
}

fn published_features() -> usize {
    react_contracts::AUDIO_FEATURES
}

fn given() -> String {
    "given".to_owned()
}

impl PackedInfo {
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// The corpus as seen from the packed folder, with `/`: both may be moved together. Both must be there.
pub(crate) fn root_from(dir: &Path, root: &Path) -> Result<String, DataError> {
    let real = |path: &Path| fs::canonicalize(path).map_err(DataError::io("find", path));
    let (dir, root) = (real(dir)?, real(root)?);
    let common = dir.components().zip(root.components()).take_while(|(a, b)| a == b).count();
    let up = dir.components().skip(common).map(|_| "..".into());
    let down = root.components().skip(common).map(|part| part.as_os_str().to_string_lossy());
    let parts: Vec<_> = up.chain(down).collect();
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
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
    /// The corpus, of a store of sources.
    sources: Option<Arc<Sources>>,
}

impl Packed {
    /// Opens a packed folder; maps no clip yet.
    ///
    /// # Errors
    /// [`DataError::Packed`] where the folder is missing or not packed to the end.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let info: PackedInfo = read_packed_json(dir)?;
        if !(1..=react_contracts::MAX_AUDIO_FEATURES).contains(&info.audio_features) {
            let why = format!(
                "{PACKED_JSON} has {} audio features a frame; 1 to {} are possible",
                info.audio_features,
                react_contracts::MAX_AUDIO_FEATURES
            );
            return Err(DataError::Packed { dir: dir.to_owned(), why });
        }
        let sources = match (info.store, &info.root) {
            (Store::Npy, _) => None,
            (Store::Source, Some(root)) => Some(Arc::new(Sources::open(dir, &dir.join(root))?)),
            (Store::Source, None) => {
                let why = format!("{PACKED_JSON} does not say where the corpus is");
                return Err(DataError::Packed { dir: dir.to_owned(), why });
            }
        };
        Ok(Self { dir: dir.to_owned(), info, mean_face: read_mean_face(&dir.join("mean_face.npy"))?, sources })
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
        PackedSplit::open(&self.dir.join(name), name, self.mean_face.clone(), self.info.audio_features, self.sources.as_deref())
    }
}
