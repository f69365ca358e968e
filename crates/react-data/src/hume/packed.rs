//! A packed Hume-Reaction as batches.

use super::clip::ClipShape;
use super::labels::is_id;
use crate::DataError;
use crate::arrays::missing_or;
use crate::packed::read_packed_json;
use crate::table::Table;
use ndarray::{Array2, Array3, Array5};
use react_random::Draws;
use react_store::{NpyElement, NpyMap};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// What a packed folder was made of and to: `packed.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EriInfo {
    /// The corpus's name.
    pub corpus: String,
    /// Side of the frames, in pixels.
    pub crop: usize,
    /// Frames of a clip.
    pub frames: usize,
    /// Steps of sound of a clip.
    pub steps: usize,
    /// Cepstra of a step.
    pub cepstra: usize,
    /// The labels' names, in order.
    pub emotions: Vec<String>,
    /// Where the faces were looked for: `centre` or `boxes`.
    pub faces: String,
    /// The splits.
    pub splits: Vec<String>,
}

impl EriInfo {
    pub(super) fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// The sizes of a clip.
    #[must_use]
    pub fn shape(&self) -> ClipShape {
        ClipShape { crop: self.crop, frames: self.frames, steps: self.steps }
    }
}

/// A packed folder, as [`super::prepare_hume`] leaves it.
#[derive(Clone, Debug)]
pub struct EriPacked {
    dir: PathBuf,
    info: EriInfo,
}

/// A split: its clips, sorted by id, their labels, and what each has.
#[derive(Clone, Debug)]
pub struct EriSplit {
    name: String,
    dir: PathBuf,
    info: EriInfo,
    ids: Vec<String>,
    labels: Vec<Option<Vec<f32>>>,
    has_face: Vec<bool>,
    has_sound: Vec<bool>,
}

/// Clips in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct EriBatch {
    /// u8 RGB `[b, t, h, w, 3]`; zeros where there is no face.
    pub frames: Array5<u8>,
    /// f32 `[b, steps, 40]`; zeros where there is no sound.
    pub mfcc: Array3<f32>,
    /// f32 `[b, e]` in [0, 1]; `None` where any of the clips has none.
    pub labels: Option<Array2<f32>>,
    /// f32 `[b, 2]`: sound, face; 1, or 0 where it is missing.
    pub keep: Array2<f32>,
}

impl EriPacked {
    /// Opens a packed folder.
    ///
    /// # Errors
    /// [`DataError::Packed`] where the folder is missing, not packed to the end, or of another kind of corpus.
    pub fn open(dir: &Path) -> Result<Self, DataError> {
        let info: EriInfo = read_packed_json(dir)?;
        let fits = info.emotions.len().checked_mul(4).is_some() && [info.crop, info.frames, info.steps].iter().all(|size| *size > 0);
        if !fits || info.cepstra == 0 {
            return Err(DataError::Packed { dir: dir.to_owned(), why: "packed.json has a size of 0".to_owned() });
        }
        Ok(Self { dir: dir.to_owned(), info })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What it was made of and to.
    #[must_use]
    pub fn info(&self) -> &EriInfo {
        &self.info
    }

    /// Reads a split's ids, labels and flags; arrays are mapped when a batch is made.
    ///
    /// # Errors
    /// [`DataError`] where the split is not packed, or its labels or the manifest cannot be understood.
    pub fn split(&self, name: &str) -> Result<EriSplit, DataError> {
        let error = |why: String| DataError::Packed { dir: self.dir.clone(), why };
        if !self.info.splits.iter().any(|known| known == name) {
            return Err(error(format!("there is no split {name:?}; there are {}", self.info.splits.join(", "))));
        }
        let dir = self.dir.join(name);
        let (ids, labels) = read_split_labels(&dir.join("labels.csv"), &self.info.emotions)?;
        let statuses = read_statuses(&self.dir.join("manifest.jsonl"), name)?;
        let has = |folder: &str| {
            let one = |id: &String| {
                let path = format!("{name}/{folder}/{id}.npy");
                statuses.get(&path).copied().ok_or_else(|| error(format!("the manifest does not name {path}")))
            };
            ids.iter().map(one).collect::<Result<Vec<_>, _>>()
        };
        let (has_face, has_sound) = (has("frames")?, has("mfcc")?);
        Ok(EriSplit { name: name.to_owned(), dir, info: self.info.clone(), ids, labels, has_face, has_sound })
    }
}

type Labelled = (Vec<String>, Vec<Option<Vec<f32>>>);

fn read_split_labels(file: &Path, emotions: &[String]) -> Result<Labelled, DataError> {
    let table = Table::read(file)?;
    let names = table.names();
    if names.first().map(String::as_str) != Some("id") || names[1..] != *emotions {
        return Err(DataError::csv(file, format!("its columns are not id, {}", emotions.join(", "))));
    }
    let ids = table.parsed(0, |id| if is_id(id) { Ok(id.to_owned()) } else { Err(format!("{id:?} is no id of a clip")) })?;
    let mut cells: Vec<Vec<f32>> = vec![Vec::with_capacity(emotions.len()); ids.len()];
    for column in 1..=emotions.len() {
        table.cells(column, |row, text| {
            let value = text.map(|text| text.parse::<f32>().map_err(|_| format!("{text:?} is no number"))).transpose()?;
            cells[row].extend(value);
            Ok::<(), String>(())
        })?;
    }
    let row = |(row, cells): (usize, Vec<f32>)| match cells.len() {
        0 => Ok(None),
        n if n == emotions.len() => Ok(Some(cells)),
        _ => Err(DataError::csv(file, format!("row {} has labels for some emotions only", row + 1))),
    };
    Ok((ids, cells.into_iter().enumerate().map(row).collect::<Result<_, _>>()?))
}

#[derive(Deserialize)]
struct ManifestLine {
    path: String,
    status: String,
}

/// Of each file of a split whether it holds what its source holds.
fn read_statuses(file: &Path, split: &str) -> Result<BTreeMap<String, bool>, DataError> {
    let reader = BufReader::new(File::open(file).map_err(DataError::io("read", file))?);
    let mut statuses = BTreeMap::new();
    for (index, line) in reader.lines().enumerate() {
        let line = line.map_err(DataError::io("read", file))?;
        let entry: ManifestLine = serde_json::from_str(&line).map_err(|error| DataError::Line {
            file: file.to_owned(),
            line: index + 1,
            why: format!("it cannot be read: {error}"),
        })?;
        if entry.path.split('/').next() == Some(split) {
            statuses.insert(entry.path, entry.status == "packed");
        }
    }
    Ok(statuses)
}

impl EriSplit {
    /// `train`, `val` or `test`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Clips.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no clips.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// What it was made of and to.
    #[must_use]
    pub fn info(&self) -> &EriInfo {
        &self.info
    }

    /// The labels' names, in order.
    #[must_use]
    pub fn emotions(&self) -> &[String] {
        &self.info.emotions
    }

    /// A clip's id, without brackets.
    ///
    /// # Panics
    /// Where there is no such clip, as every index beyond a list.
    #[must_use]
    pub fn id(&self, clip: usize) -> &str {
        &self.ids[clip]
    }

    /// A clip's intensities in [0, 1], in the order of [`Self::emotions`]; `None` where it has none.
    #[must_use]
    pub fn labels(&self, clip: usize) -> Option<&[f32]> {
        self.labels.get(clip)?.as_deref()
    }

    /// Whether every clip has labels.
    #[must_use]
    pub fn is_labelled(&self) -> bool {
        self.labels.iter().all(Option::is_some)
    }

    /// Whether a clip's frames show a face, as far as is known.
    #[must_use]
    pub fn has_face(&self, clip: usize) -> bool {
        self.has_face.get(clip).copied().unwrap_or_default()
    }

    /// Whether a clip has sound that is not silence.
    #[must_use]
    pub fn has_sound(&self, clip: usize) -> bool {
        self.has_sound.get(clip).copied().unwrap_or_default()
    }

    /// These clips, in this order; each value is copied once, from the map into the batch.
    ///
    /// # Errors
    /// [`DataError::Loader`] where there is no such clip or none is asked for; [`DataError`] with the file that is missing or of
    /// another shape.
    pub fn batch(&self, clips: &[usize]) -> Result<EriBatch, DataError> {
        if clips.is_empty() {
            return Err(DataError::Loader("a batch of no items".to_owned()));
        }
        if let Some(beyond) = clips.iter().find(|clip| **clip >= self.len()) {
            let why = format!("there is no item {beyond} in the split {}, only {}", self.name, self.len());
            return Err(DataError::Loader(why));
        }
        let EriInfo { crop, frames: t, steps, cepstra, ref emotions, .. } = self.info;
        let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
        for clip in clips {
            let map = self.open("frames", *clip, NpyElement::U8, &[t, crop, crop, 3])?;
            let bytes = map.bytes()?;
            if pictures.capacity() == 0 {
                // The first file has the claimed size, so the claim can be trusted.
                pictures.reserve_exact(clips.len() * bytes.len());
            }
            pictures.extend_from_slice(bytes);
            sounds.extend(self.open("mfcc", *clip, NpyElement::F32, &[steps, cepstra])?.view_f32()?.iter());
        }
        let b = clips.len();
        let error = |error: ndarray::ShapeError| DataError::Loader(error.to_string());
        let labels: Option<Vec<f32>> = clips.iter().map(|clip| self.labels(*clip)).collect::<Option<Vec<_>>>().map(|rows| rows.concat());
        let flag = |has: bool| f32::from(u8::from(has));
        Ok(EriBatch {
            frames: Array5::from_shape_vec((b, t, crop, crop, 3), pictures).map_err(error)?,
            mfcc: Array3::from_shape_vec((b, steps, cepstra), sounds).map_err(error)?,
            labels: labels.map(|labels| Array2::from_shape_vec((b, emotions.len()), labels)).transpose().map_err(error)?,
            keep: Array2::from_shape_fn((b, 2), |(i, modality)| match modality {
                0 => flag(self.has_sound(clips[i])),
                _ => flag(self.has_face(clips[i])),
            }),
        })
    }

    fn open(&self, folder: &str, clip: usize, element: NpyElement, shape: &[usize]) -> Result<NpyMap, DataError> {
        let path = self.dir.join(folder).join(format!("{}.npy", self.ids[clip]));
        let map = NpyMap::open(&path).map_err(|error| missing_or(error, &path))?;
        if map.shape() == shape && map.header().element == element {
            return Ok(map);
        }
        Err(DataError::Shape { file: path, want: format!("{element} {shape:?}"), found: map.shape().to_vec() })
    }
}

/// The order of an epoch over `n` clips: each once, as a function of seed and epoch alone.
///
/// ```
/// use react_data::hume::order;
/// let first = order(7, 0, 5);
/// assert_eq!(first, order(7, 0, 5));
/// assert_ne!(first, order(7, 1, 5));
/// let mut sorted = first;
/// sorted.sort_unstable();
/// assert_eq!(sorted, [0, 1, 2, 3, 4]);
/// ```
#[must_use]
pub fn order(seed: u64, epoch: u32, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    Draws::new(seed, "eri order", epoch, 0).shuffle(&mut order);
    order
}
