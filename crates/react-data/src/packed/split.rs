use super::clip::{Clip, table};
use super::pictures::{Workshop, pictures};
use super::source::Sources;
use crate::arrays::missing_or;
use crate::clip::{ClipId, Pair};
use crate::corpus::read_pairs;
use crate::{DataError, HostBatch};
use ndarray::{Array1, Array2, Array3, Ix2, s};
use react_contracts::{ATTRIBUTES, AudioFeatures, Batch, COEFFS, Coeffs3dmm, Emotion, Frames};
use react_store::{NpyMap, read_npy_u8};
use std::path::Path;

/// Whose part of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Who speaks.
    Speaker,
    /// Who reacts.
    Listener,
}

/// Which frames of which item go into a batch, and in which roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Index of the item.
    pub item: usize,
    /// First frame.
    pub start: usize,
    /// Whether speaker and listener swap roles.
    pub swap: bool,
}

/// A split in the mirrored order: of its n pairs, items 0…n are the csv's pairs, items n…2n the same with roles swapped.
#[derive(Debug)]
pub struct PackedSplit {
    name: String,
    clips: Vec<Clip>,
    /// Speaker and listener of each item, as indices of `clips`.
    items: Vec<(usize, usize)>,
    neighbours: Array2<u8>,
    mean_face: Array1<f32>,
    audio_features: usize,
}

impl PackedSplit {
    pub(super) fn open(
        dir: &Path,
        name: &str,
        mean_face: Array1<f32>,
        audio_features: usize,
        sources: Option<&Sources>,
    ) -> Result<Self, DataError> {
        let pairs = read_pairs(&dir.join("pairs.csv"))?;
        let mut ids: Vec<_> = pairs.iter().flat_map(|pair| [&pair.speaker, &pair.listener]).collect();
        ids.sort_unstable();
        ids.dedup();
        let clips = ids.iter().map(|id| Clip::open(dir, id, audio_features, sources)).collect::<Result<Vec<_>, _>>()?;
        same_sizes(&clips)?;
        let place = |id: &ClipId| ids.partition_point(|known| *known < id);
        let given = || pairs.iter().map(|Pair { speaker, listener }| (place(speaker), place(listener)));
        let items: Vec<_> = given().chain(given().map(|(speaker, listener)| (listener, speaker))).collect();

        let path = dir.join("neighbours.npy");
        let neighbours = read_npy_u8(&path).map_err(|error| missing_or(error, &path))?;
        let found = neighbours.shape().to_vec();
        if found != [items.len(), items.len()] {
            return Err(DataError::Shape { file: path, want: format!("[{0}, {0}]", items.len()), found });
        }
        let neighbours =
            neighbours.into_dimensionality::<Ix2>().map_err(|_| DataError::Shape { file: path, want: "of 2 axes".to_owned(), found })?;
        Ok(Self { name: name.to_owned(), clips, items, neighbours, mean_face, audio_features })
    }

    /// `train`, `val` or `test`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Items, 2n for n pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are no items; never, as opened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The pairs in the csv, n.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.items.len() / 2
    }

    /// All clips, sorted by path, each once.
    #[must_use]
    pub fn clips(&self) -> &[Clip] {
        &self.clips
    }

    /// Which reactions are appropriate: u8 `[2n, 2n]`, N\[i, j\] = 1 where the listener of item j fits the speaker of item i.
    #[must_use]
    pub fn neighbours(&self) -> &Array2<u8> {
        &self.neighbours
    }

    /// The mean face, f32 `[58]`.
    #[must_use]
    pub fn mean_face(&self) -> &Array1<f32> {
        &self.mean_face
    }

    /// The clip of one role of an item.
    ///
    /// # Errors
    /// [`DataError::Loader`] where there is no such item.
    pub fn clip(&self, item: usize, role: Role) -> Result<&Clip, DataError> {
        let clip = self.items.get(item).map(|(speaker, listener)| match role {
            Role::Speaker => *speaker,
            Role::Listener => *listener,
        });
        clip.and_then(|clip| self.clips.get(clip)).ok_or_else(|| {
            let why = format!("there is no item {item} in the split {}, only {}", self.name, self.items.len());
            DataError::Loader(why)
        })
    }

    /// Frames that both clips of an item have.
    ///
    /// # Errors
    /// As [`Self::clip`].
    pub fn frames(&self, item: usize) -> Result<usize, DataError> {
        Ok(self.clip(item, Role::Speaker)?.len().min(self.clip(item, Role::Listener)?.len()))
    }

    /// The fewest frames of any item.
    #[must_use]
    pub fn common_frames(&self) -> usize {
        self.clips.iter().map(Clip::len).min().unwrap_or(0)
    }

    /// Attributes of all items in order, f32 `[2n, t, 25]`: the first `t` frames, at most [`Self::common_frames`].
    ///
    /// # Errors
    /// [`DataError::Loader`] where a clip has fewer than `t` frames.
    pub fn emotion(&self, role: Role, t: usize) -> Result<Array3<f32>, DataError> {
        self.check_length(t)?;
        let mut out = Array3::zeros((self.len(), t, ATTRIBUTES));
        for (item, mut out) in out.outer_iter_mut().enumerate() {
            out.assign(&self.clip(item, role)?.emotion()?.slice(s![..t, ..]));
        }
        Ok(out)
    }

    /// Coefficients of all items in order, mean face subtracted, f32 `[2n, t, 58]`.
    ///
    /// # Errors
    /// [`DataError::Loader`] where a clip has fewer than `t` frames.
    pub fn coeffs(&self, role: Role, t: usize) -> Result<Array3<f32>, DataError> {
        self.check_length(t)?;
        let mut out = Array3::zeros((self.len(), t, COEFFS));
        for (item, mut out) in out.outer_iter_mut().enumerate() {
            out.assign(&(&self.clip(item, role)?.coeffs()?.slice(s![..t, ..]) - &self.mean_face));
        }
        Ok(out)
    }

    fn check_length(&self, t: usize) -> Result<(), DataError> {
        if t <= self.common_frames() {
            return Ok(());
        }
        Err(DataError::Loader(format!(
            "{t} frames wanted of every clip of the split {}, the shortest has {}",
            self.name,
            self.common_frames()
        )))
    }

    /// Whole clips, in their own roles, as one batch; cut to the shortest of the items.
    ///
    /// # Errors
    /// [`DataError::Loader`] where there is no such item, or none is asked for.
    pub fn whole(&self, items: &[usize]) -> Result<HostBatch, DataError> {
        let mut shortest = usize::MAX;
        for item in items {
            shortest = shortest.min(self.frames(*item)?);
        }
        let cuts: Vec<_> = items.iter().map(|item| Cut { item: *item, start: 0, swap: false }).collect();
        self.batch(&cuts, shortest)
    }

    /// `t` frames of each cut as one batch: each value is copied once, from the map into the batch, or decoded into it.
    ///
    /// The listener's coefficients have the mean face subtracted.
    ///
    /// # Errors
    /// [`DataError::Loader`] where there are no cuts, or one reaches beyond its item.
    pub fn batch(&self, cuts: &[Cut], t: usize) -> Result<HostBatch, DataError> {
        self.batch_with(cuts, t, Workshop::default())
    }

    pub(crate) fn batch_with(&self, cuts: &[Cut], t: usize, workshop: Workshop) -> Result<HostBatch, DataError> {
        let Some(first) = cuts.first() else { return Err(DataError::Loader("a batch of no items".to_owned())) };
        for cut in cuts {
            let (has, ends) = (self.frames(cut.item)?, cut.start.checked_add(t));
            if ends.is_none_or(|end| end > has) {
                let why = format!("{t} frames from frame {} on wanted of item {}, which has {has}", cut.start, cut.item);
                return Err(DataError::Loader(why));
            }
        }
        let role = |cut: &Cut, role: Role| match (role, cut.swap) {
            (Role::Speaker, false) | (Role::Listener, true) => self.clip(cut.item, Role::Speaker),
            (Role::Listener, false) | (Role::Speaker, true) => self.clip(cut.item, Role::Listener),
        };
        let tables = |whose: Role, map: fn(&Clip) -> &NpyMap| -> Result<Array3<f32>, DataError> {
            let columns = map(role(first, whose)?).shape()[1];
            let mut values = Vec::with_capacity(cuts.len() * t * columns);
            for cut in cuts {
                values.extend(table(map(role(cut, whose)?))?.slice(s![cut.start..cut.start + t, ..]));
            }
            Array3::from_shape_vec((cuts.len(), t, columns), values).map_err(|error| DataError::Loader(error.to_string()))
        };
        let speakers = cuts.iter().map(|cut| Ok((role(cut, Role::Speaker)?, cut.start))).collect::<Result<Vec<_>, DataError>>()?;
        let mut listener_3dmm = tables(Role::Listener, |clip| &clip.coeffs)?;
        listener_3dmm -= &self.mean_face;
        Ok(Batch::new(
            Frames::new(pictures(&speakers, t, workshop)?)?,
            AudioFeatures::of(self.audio_features, tables(Role::Speaker, |clip| &clip.audio)?)?,
            Emotion::new(tables(Role::Speaker, |clip| &clip.emotion)?)?,
            Emotion::new(tables(Role::Listener, |clip| &clip.emotion)?)?,
            Coeffs3dmm::new(listener_3dmm)?,
        )?)
    }
}

/// Refuses clips whose pictures are of another size than the first's.
fn same_sizes(clips: &[Clip]) -> Result<(), DataError> {
    let Some(first) = clips.first() else { return Ok(()) };
    for clip in clips {
        let (found, wanted) = (clip.frames_shape(), first.frames_shape());
        if found[1..] != wanted[1..] {
            let want = format!("[t, …] of {:?} as {}", &wanted[1..], first.frames_file().display());
            return Err(DataError::Shape { file: clip.frames_file().to_owned(), want, found: found.to_vec() });
        }
    }
    Ok(())
}
