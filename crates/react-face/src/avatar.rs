//! Who is drawn: the embedded head or a FaceVerse model, behind one door.

use crate::error::FaceError;
use crate::faceverse::{FaceVerse, FaceVersePerson};
use crate::glb;
use crate::head::Head;
use crate::person::Person;
use crate::portrait::Portrait;
use crate::raster::Look;
use crate::solid::Solid;
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// Who is drawn.
#[derive(Clone, Debug, PartialEq)]
pub enum Avatar {
    /// The head that the crate carries, as this person.
    Embedded(Person),
    /// A person of FaceVerse, drawn as the person says: by default in the published flat grey, before black, whatever the
    /// [`Look`].
    FaceVerse(FaceVersePerson),
}

impl Default for Avatar {
    /// The embedded head's average person.
    fn default() -> Self {
        Self::Embedded(Person::average())
    }
}

impl From<Person> for Avatar {
    fn from(person: Person) -> Self {
        Self::Embedded(person)
    }
}

impl From<FaceVersePerson> for Avatar {
    fn from(person: FaceVersePerson) -> Self {
        Self::FaceVerse(person)
    }
}

impl Avatar {
    /// The listener of the published 3D videos: FaceVerse's model (`.npy` or `.npz`) with the identity of
    /// `reference_full.npy`.
    ///
    /// # Errors
    /// As [`FaceVerse::read`] and [`FaceVersePerson::from_reference`].
    pub fn faceverse(model: &Path, reference: &Path) -> Result<Self, FaceError> {
        Ok(Self::FaceVerse(FaceVersePerson::from_reference(&FaceVerse::read(model)?, reference)?))
    }

    /// Ready to be drawn frame after frame in pictures of `width` × `height` pixels.
    ///
    /// ```
    /// use react_face::{Avatar, Look};
    /// let mut portrait = Avatar::default().portrait(Look::default(), 64, 64);
    /// let mut rgb = vec![0; 64 * 64 * 3];
    /// portrait.frame(&[0.0; 58], &mut rgb);
    /// ```
    #[must_use]
    pub fn portrait(&self, look: Look, width: usize, height: usize) -> Portrait {
        match self {
            Self::Embedded(person) => Portrait::new(&Head::embedded(), person, look, width, height),
            Self::FaceVerse(person) => Portrait::faceverse(person, look, width, height),
        }
    }

    /// The mesh with one colour a vertex, for programs that show meshes themselves.
    #[must_use]
    pub fn solid(&self) -> Solid {
        Solid::new(self)
    }

    /// The animation of `coeffs` `[t, 58]` (`mean_face` added back) at `fps` frames a second as binary glTF 2.0, for Blender,
    /// three.js and other viewers.
    ///
    /// One mesh with vertex colours and 52 morph targets (sparse; their names in the mesh's `extras.targetNames`), on a skin of
    /// two joints: `head`, which the animation turns and moves, and `body`, which stays. 1 unit is 1 dm.
    ///
    /// ```
    /// use ndarray::Array2;
    /// let glb = react_face::Avatar::default().glb(Array2::zeros((25, 58)).view(), 25.0).unwrap();
    /// assert_eq!(&glb[..4], b"glTF");
    /// ```
    ///
    /// # Errors
    /// Where there are not 58 finite coefficients a frame, no frame, or `fps` is not positive.
    pub fn glb(&self, coeffs: ArrayView2<'_, f32>, fps: f64) -> Result<Vec<u8>, FaceError> {
        glb::write(self, coeffs, fps)
    }
}

/// Coefficients `[t, 58]` with `mean_face` added back: models predict what is left when the data set's mean is taken away.
///
/// ```
/// use ndarray::Array2;
/// let whole = react_face::with_mean(Array2::zeros((3, 58)).view(), &[0.25; 58]).unwrap();
/// assert_eq!(whole[[2, 57]], 0.25);
/// ```
///
/// # Errors
/// Where there are not 58 of either, or one is not finite.
pub fn with_mean(coeffs: ArrayView2<'_, f32>, mean: &[f32]) -> Result<Array2<f32>, FaceError> {
    check_coeffs(coeffs)?;
    let mean = ndarray::ArrayView1::from(mean);
    if mean.len() != COEFFS {
        return Err(FaceError::argument("mean_face", format!("{COEFFS} values"), mean.len()));
    }
    if let Some(at) = mean.iter().position(|value| !value.is_finite()) {
        return Err(FaceError::argument("mean_face", "finite values", format!("{} at {at}", mean[at])));
    }
    Ok(&coeffs + &mean)
}

/// Expression, rotation and translation.
const COEFFS: usize = 58;

pub(crate) fn check_coeffs(coeffs: ArrayView2<'_, f32>) -> Result<(), FaceError> {
    if coeffs.ncols() != COEFFS {
        return Err(FaceError::argument("coeffs", format!("{COEFFS} values a frame"), coeffs.ncols()));
    }
    match coeffs.indexed_iter().find(|(_, value)| !value.is_finite()) {
        Some(((frame, channel), value)) => {
            Err(FaceError::argument("coeffs", "finite values", format!("{value} at frame {frame}, channel {channel}")))
        }
        None => Ok(()),
    }
}
