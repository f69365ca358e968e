use super::source::{SourceFrames, Sources};
use crate::arrays::missing_or;
use crate::{ClipId, DataError};
use ndarray::{Array4, ArrayView2, CowArray, Ix2, Ix4};
use react_contracts::{ATTRIBUTES, COEFFS};
use react_store::{NpyElement, NpyMap};
use std::path::Path;

/// A clip's pictures.
#[derive(Debug)]
enum Pictures {
    /// Stored, u8 `[t, h, w, 3]`.
    Stored(NpyMap),
    /// In the corpus's video.
    Source(SourceFrames),
}

/// One packed clip: its arrays memory-mapped, its pictures too where they are stored.
#[derive(Debug)]
pub struct Clip {
    id: ClipId,
    pictures: Pictures,
    pub(super) audio: NpyMap,
    pub(super) emotion: NpyMap,
    pub(super) coeffs: NpyMap,
}

impl Clip {
    /// With `sources` the pictures are in the corpus's videos.
    pub(super) fn open(dir: &Path, id: &ClipId, audio_features: usize, sources: Option<&Sources>) -> Result<Self, DataError> {
        let open = |modality: &str, element: NpyElement, want: &str, fits: &dyn Fn(&[usize]) -> bool| {
            let path = dir.join(modality).join(format!("{id}.npy"));
            let map = NpyMap::open(&path).map_err(|error| missing_or(error, &path))?;
            if fits(map.shape()) && map.header().element == element {
                return Ok(map);
            }
            Err(DataError::Shape { file: path, want: format!("{element} {want}"), found: map.shape().to_vec() })
        };
        let stored = |shape: &[usize]| matches!(shape, [t, h, w, 3] if *t > 0 && *h > 0 && *w > 0);
        let pictures = match sources {
            None => Pictures::Stored(open("frames", NpyElement::U8, "[t, h, w, 3] with t > 0", &stored)?),
            Some(sources) => Pictures::Source(SourceFrames::open(&dir.join("frames").join(format!("{id}.json")), sources, id)?),
        };
        let t = pictures.shape()[0];
        let rows = |columns: usize| move |shape: &[usize]| shape == [t, columns];
        Ok(Self {
            audio: open("audio", NpyElement::F32, &format!("[{t}, {audio_features}]"), &rows(audio_features))?,
            emotion: open("emotion", NpyElement::F32, &format!("[{t}, 25]"), &rows(ATTRIBUTES))?,
            coeffs: open("coeffs", NpyElement::F32, &format!("[{t}, 58]"), &rows(COEFFS))?,
            id: id.clone(),
            pictures,
        })
    }

    /// Which clip it is.
    #[must_use]
    pub fn id(&self) -> &ClipId {
        &self.id
    }

    /// Frames in the clip.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pictures.shape()[0]
    }

    /// Never: a clip without frames is not packed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shape of [`Self::frames`]: `[t, h, w, 3]`.
    #[must_use]
    pub fn frames_shape(&self) -> [usize; 4] {
        self.pictures.shape()
    }

    /// Pictures, u8 `[t, h, w, 3]`, RGB: a view of the file where they are stored, or else decoded, all of them.
    ///
    /// # Errors
    /// Where a source cannot be decoded, or a file was cut since it was opened.
    pub fn frames(&self) -> Result<CowArray<'_, u8, Ix4>, DataError> {
        let [t, h, w, c] = self.frames_shape();
        match &self.pictures {
            Pictures::Stored(map) => {
                let view = map.view_u8()?.into_dimensionality::<Ix4>();
                Ok(view.map_err(|_| shape_error(map, "[t, h, w, 3]"))?.into())
            }
            Pictures::Source(_) => {
                let mut bytes = vec![0; t * h * w * c];
                self.copy_frames(0, &mut bytes)?;
                let array = Array4::from_shape_vec((t, h, w, c), bytes).map_err(|error| DataError::Loader(error.to_string()))?;
                Ok(array.into())
            }
        }
    }

    /// Copies or decodes pictures from `start` on into `out`, as many as it holds.
    ///
    /// # Errors
    /// [`DataError::Loader`] where the clip ends before, and where a source cannot be decoded, or a file was cut since it was opened.
    pub fn copy_frames(&self, start: usize, out: &mut [u8]) -> Result<(), DataError> {
        let [t, h, w, c] = self.frames_shape();
        let picture = h * w * c;
        let range = start.checked_mul(picture).and_then(|from| Some(from..from.checked_add(out.len())?));
        let range = range.filter(|range| range.end <= t * picture && out.len().is_multiple_of(picture)).ok_or_else(|| {
            DataError::Loader(format!(
                "{} bytes of pictures from frame {start} on wanted of {}, which has {t} of {picture}",
                out.len(),
                self.id
            ))
        })?;
        match &self.pictures {
            Pictures::Stored(map) => out.copy_from_slice(&map.bytes()?[range]),
            Pictures::Source(source) => source.decode(start, out)?,
        }
        Ok(())
    }

    /// The bytes of the pictures, where they are stored.
    pub(super) fn stored(&self) -> Result<Option<&[u8]>, DataError> {
        match &self.pictures {
            Pictures::Stored(map) => Ok(Some(map.bytes()?)),
            Pictures::Source(_) => Ok(None),
        }
    }

    /// The file that the pictures come from.
    pub(super) fn frames_file(&self) -> &Path {
        match &self.pictures {
            Pictures::Stored(map) => map.path(),
            Pictures::Source(source) => source.path(),
        }
    }

    /// Audio features, f32 `[t, a]`.
    ///
    /// # Errors
    /// Where the file was cut since it was opened.
    pub fn audio(&self) -> Result<ArrayView2<'_, f32>, DataError> {
        table(&self.audio)
    }

    /// Attributes, f32 `[t, 25]`.
    ///
    /// # Errors
    /// Where the file was cut since it was opened.
    pub fn emotion(&self) -> Result<ArrayView2<'_, f32>, DataError> {
        table(&self.emotion)
    }

    /// 3DMM coefficients as recorded (mean face not subtracted), f32 `[t, 58]`.
    ///
    /// # Errors
    /// Where the file was cut since it was opened.
    pub fn coeffs(&self) -> Result<ArrayView2<'_, f32>, DataError> {
        table(&self.coeffs)
    }
}

impl Pictures {
    fn shape(&self) -> [usize; 4] {
        match self {
            // Checked when it was opened: four axes.
            Self::Stored(map) => map.shape().try_into().unwrap_or_default(),
            Self::Source(source) => [source.len(), source.side(), source.side(), 3],
        }
    }
}

pub(super) fn table(map: &NpyMap) -> Result<ArrayView2<'_, f32>, DataError> {
    map.view_f32()?.into_dimensionality::<Ix2>().map_err(|_| shape_error(map, "[t, columns]"))
}

pub(super) fn shape_error(map: &NpyMap, want: &str) -> DataError {
    DataError::Shape { file: map.path().to_owned(), want: want.to_owned(), found: map.shape().to_vec() }
}
