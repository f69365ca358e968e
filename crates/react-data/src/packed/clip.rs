use crate::arrays::missing_or;
use crate::{ClipId, DataError};
use ndarray::{ArrayView2, ArrayView4, Ix2, Ix4};
use react_contracts::{ATTRIBUTES, COEFFS};
use react_store::{NpyElement, NpyMap};
use std::path::Path;

/// One packed clip, memory-mapped.
#[derive(Debug)]
pub struct Clip {
    id: ClipId,
    pub(super) frames: NpyMap,
    pub(super) audio: NpyMap,
    pub(super) emotion: NpyMap,
    pub(super) coeffs: NpyMap,
}

impl Clip {
    pub(super) fn open(dir: &Path, id: &ClipId) -> Result<Self, DataError> {
        let open = |modality: &str, element: NpyElement, want: &str, fits: &dyn Fn(&[usize]) -> bool| {
            let path = dir.join(modality).join(format!("{id}.npy"));
            let map = NpyMap::open(&path).map_err(|error| missing_or(error, &path))?;
            if fits(map.shape()) && map.header().element == element {
                return Ok(map);
            }
            Err(DataError::Shape { file: path, want: format!("{element} {want}"), found: map.shape().to_vec() })
        };
        let frames = open("frames", NpyElement::U8, "[t, h, w, 3] with t > 0", &|shape| matches!(shape, [t, _, _, 3] if *t > 0))?;
        let t = frames.shape()[0];
        let rows = |columns: usize| move |shape: &[usize]| shape == [t, columns];
        Ok(Self {
            audio: open("audio", NpyElement::F32, &format!("[{t}, features]"), &|shape| matches!(shape, [rows, _] if *rows == t))?,
            emotion: open("emotion", NpyElement::F32, &format!("[{t}, 25]"), &rows(ATTRIBUTES))?,
            coeffs: open("coeffs", NpyElement::F32, &format!("[{t}, 58]"), &rows(COEFFS))?,
            id: id.clone(),
            frames,
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
        self.frames.shape()[0]
    }

    /// Never: a clip without frames is not packed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pictures, u8 `[t, h, w, 3]`, RGB.
    ///
    /// # Errors
    /// None after opening; the type is the store's.
    pub fn frames(&self) -> Result<ArrayView4<'_, u8>, DataError> {
        let view = self.frames.view_u8()?;
        view.into_dimensionality::<Ix4>().map_err(|_| shape_error(&self.frames, "[t, h, w, 3]"))
    }

    /// Audio features, f32 `[t, 39·windows]`.
    ///
    /// # Errors
    /// None after opening; the type is the store's.
    pub fn audio(&self) -> Result<ArrayView2<'_, f32>, DataError> {
        table(&self.audio)
    }

    /// Attributes, f32 `[t, 25]`.
    ///
    /// # Errors
    /// None after opening; the type is the store's.
    pub fn emotion(&self) -> Result<ArrayView2<'_, f32>, DataError> {
        table(&self.emotion)
    }

    /// 3DMM coefficients as recorded (mean face not subtracted), f32 `[t, 58]`.
    ///
    /// # Errors
    /// None after opening; the type is the store's.
    pub fn coeffs(&self) -> Result<ArrayView2<'_, f32>, DataError> {
        table(&self.coeffs)
    }
}

pub(super) fn table(map: &NpyMap) -> Result<ArrayView2<'_, f32>, DataError> {
    map.view_f32()?.into_dimensionality::<Ix2>().map_err(|_| shape_error(map, "[t, columns]"))
}

pub(super) fn shape_error(map: &NpyMap, want: &str) -> DataError {
    DataError::Shape { file: map.path().to_owned(), want: want.to_owned(), found: map.shape().to_vec() }
}
