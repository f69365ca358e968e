//! Where the face is in each frame, and the square that is cut around it.
//!
//! Boxes come from a csv of any detector, or from the detector of the feature `detect`. A gap of at most 15 frames between two boxes
//! is bridged linearly, one at an end of the clip by its nearest box; then centre and size are smoothed over time by a Gaussian of 6
//! frames, and the square is 1.25 times the box's longer side. Frames in longer gaps have no face: they show the place of
//! the nearest box, and the manifest says which they are. A clip without any box is black, and the manifest says `no face`.

mod boxes;
mod crop;
#[cfg(feature = "detect")]
mod detect;

pub use boxes::{FaceBoxes, FaceTrack};
pub(crate) use crop::{Cropper, Place, Square};
#[cfg(feature = "detect")]
pub use detect::{Detector, FaceModel};

use crate::DataError;
use react_media::VideoReader;
use std::borrow::Cow;
use std::path::PathBuf;

/// Where the faces are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Faces {
    /// As the corpus's recipe says of its videos: [`Faces::Given`] or [`Faces::Centre`].
    #[default]
    Corpus,
    /// Each frame is a crop of the face already.
    Given,
    /// In each frame's middle; a warning says so.
    Centre,
    /// In a csv of boxes ([`FaceBoxes`]); a clip without any box has no face.
    Boxes(PathBuf),
    /// Where the detector of the feature `detect` finds them, with the weights in this file.
    Detect(PathBuf),
}

impl Faces {
    /// Understands `given`, `centre`, `detect` (which needs a model) and the path of a `.csv`.
    ///
    /// # Errors
    /// A sentence, for anything else.
    pub fn parse(text: &str, model: Option<PathBuf>) -> Result<Self, String> {
        let faces = match text {
            "given" => Self::Given,
            "centre" => Self::Centre,
            "detect" => Self::Detect(model.clone().ok_or("--faces detect needs the detector's weights: --face-model FILE")?),
            path if path.ends_with(".csv") => Self::Boxes(path.into()),
            other => return Err(format!("--faces must be given, centre, detect or a .csv of boxes, is {other}")),
        };
        match (&faces, model) {
            (Self::Detect(_), _) | (_, None) => Ok(faces),
            (_, Some(_)) => Err("--face-model is for --faces detect".to_owned()),
        }
    }
}

/// [`Faces`] with what it needs in memory.
pub(crate) enum Finder {
    Given,
    Centre,
    Boxes(FaceBoxes),
    #[cfg(feature = "detect")]
    Detect(FaceModel),
}

impl Finder {
    pub(crate) fn open(faces: &Faces, crops: bool) -> Result<Self, DataError> {
        match faces {
            Faces::Given => Ok(Self::Given),
            Faces::Corpus if crops => Ok(Self::Given),
            Faces::Corpus | Faces::Centre => {
                tracing::warn!("no boxes of faces are given: each frame's centre counts as the face (--faces says otherwise)");
                Ok(Self::Centre)
            }
            Faces::Boxes(file) => Ok(Self::Boxes(FaceBoxes::read(file)?)),
            #[cfg(feature = "detect")]
            Faces::Detect(model) => Ok(Self::Detect(FaceModel::read(model)?)),
            #[cfg(not(feature = "detect"))]
            Faces::Detect(model) => Err(DataError::Packed {
                dir: model.clone(),
                why: "this program was built without a face detector: build it with --features detect, or give boxes as csv".to_owned(),
            }),
        }
    }

    /// As `packed.json` says it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Centre => "centre",
            Self::Boxes(_) => "boxes",
            #[cfg(feature = "detect")]
            Self::Detect(_) => "detect",
        }
    }

    /// What a clip's bytes depend on.
    pub(crate) fn key(&self, split: &str, clip: &str) -> String {
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
        match self {
            Self::Given | Self::Centre => "centre".to_owned(),
            Self::Boxes(boxes) => boxes.track(split, clip).map_or_else(|| "none".to_owned(), |track| hash(&track.bytes())),
            #[cfg(feature = "detect")]
            Self::Detect(model) => model.key(),
        }
    }

    /// The boxes of a clip of `frames` frames whose video is read from its frame `first` on: nothing where the middle is taken, and
    /// an empty track where there is no face.
    pub(crate) fn track<'a>(
        &'a self,
        split: &str,
        clip: &str,
        video: &mut dyn FnMut() -> Result<VideoReader, DataError>,
        frames: usize,
    ) -> Result<Option<Cow<'a, FaceTrack>>, DataError> {
        // Only the detector looks at the video.
        let _ = (&video, frames);
        match self {
            Self::Given | Self::Centre => Ok(None),
            Self::Boxes(boxes) => Ok(Some(boxes.track(split, clip).map_or_else(|| Cow::Owned(FaceTrack::default()), Cow::Borrowed))),
            #[cfg(feature = "detect")]
            Self::Detect(model) => Ok(Some(Cow::Owned(Detector::new(model).track(&mut video()?, frames)?))),
        }
    }
}

/// Ranges of frames in words: `3–5, 9`.
pub(crate) fn ranges(frames: &[usize]) -> String {
    let mut parts: Vec<(usize, usize)> = Vec::new();
    for frame in frames {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *frame => *last = *frame,
            _ => parts.push((*frame, *frame)),
        }
    }
    let part = |(from, to): &(usize, usize)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    parts.iter().map(part).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed() {
        assert_eq!(Faces::parse("given", None), Ok(Faces::Given));
        assert_eq!(Faces::parse("a/b.csv", None), Ok(Faces::Boxes("a/b.csv".into())));
        assert_eq!(Faces::parse("detect", Some("m.bin".into())), Ok(Faces::Detect("m.bin".into())));
        assert!(Faces::parse("detect", None).unwrap_err().contains("--face-model"));
        assert!(Faces::parse("centre", Some("m.bin".into())).is_err());
        assert_eq!(Faces::parse("left", None).unwrap_err(), "--faces must be given, centre, detect or a .csv of boxes, is left");
    }

    #[test]
    fn ranges_are_short() {
        assert_eq!(ranges(&[3, 4, 5, 9, 11, 12]), "3-5, 9, 11-12");
        assert_eq!(ranges(&[]), "");
    }
}
