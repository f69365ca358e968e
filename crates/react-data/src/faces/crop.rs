//! A frame, or the square of it that the face is in, at its packed size.

use super::FaceTrack;
use crate::DataError;
use react_media::{FrameShape, Resizer};

/// Left, top and side in pixels.
pub(crate) type Square = (isize, isize, usize);

/// Where the face is in a clip's frames.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// In the middle: the shorter side is resized, then the centre is cut.
    Centre,
    /// In these boxes: the square around the face is resized to the packed size.
    Boxes(&'a FaceTrack),
    /// In these squares, found from boxes earlier; one for each frame.
    Squares(&'a [Square]),
}

/// Buffers of one worker: a square of a frame, the resizer's own.
#[derive(Default)]
pub(crate) struct Cropper {
    square: Vec<u8>,
    resizer: Resizer,
}

impl Cropper {
    /// Brings frame number `frame`, RGB24 of `width` × `height` pixels, to its packed size, into `out` (`shape.bytes()` long).
    pub(crate) fn apply(
        &mut self,
        rgb: &[u8],
        (width, height): (usize, usize),
        frame: usize,
        place: Place<'_>,
        shape: &FrameShape,
        out: &mut [u8],
    ) -> Result<(), DataError> {
        let Self { square, resizer } = self;
        let (left, top, side) = match place {
            Place::Centre => return Ok(resizer.apply(rgb, width, height, shape, out)?),
            Place::Boxes(track) => track.square(frame, width, height),
            Place::Squares(squares) => {
                let square = squares.get(frame).filter(|(_, _, side)| (1..=4 * width.max(height)).contains(side));
                *square.ok_or_else(|| DataError::Loader(format!("frame {frame} has no square that fits {width}×{height} pixels")))?
            }
        };
        square.clear();
        // What lies beyond the picture is black.
        square.resize(side * side * 3, 0);
        for (row, target) in square.chunks_exact_mut(side * 3).enumerate() {
            let Some(y) = top.checked_add_unsigned(row).and_then(|y| usize::try_from(y).ok()).filter(|y| *y < height) else { continue };
            let (skip, from) = (left.min(0).unsigned_abs(), left.max(0).unsigned_abs());
            let length = side.saturating_sub(skip).min(width.saturating_sub(from)) * 3;
            target[skip * 3..][..length].copy_from_slice(&rgb[(y * width + from) * 3..][..length]);
        }
        Ok(resizer.apply(square, side, side, &FrameShape { shorter: shape.crop, crop: shape.crop }, out)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::FaceBoxes;
    use super::*;

    #[test]
    fn a_box_is_cut_out_and_what_is_beyond_the_picture_is_black() {
        let folder = tempfile::tempdir().unwrap();
        let csv = folder.path().join("b.csv");
        std::fs::write(&csv, "clip,frame,x,y,w,h\na,0,2,3,4,4\nb,0,0,0,8,8\n").unwrap();
        let boxes = FaceBoxes::read(&csv).unwrap();
        let rgb: Vec<u8> = (0..12u8 * 8).flat_map(|i| [i, i, i]).collect();
        let mut cropper = Cropper::default();
        let shape = |crop| FrameShape { shorter: crop, crop };
        // A box of 4 pixels becomes a square of 5, from (1, 2) or (2, 3) on; of the same size, so nothing is resized.
        let mut out = vec![9; 5 * 5 * 3];
        let track = boxes.track("train", "a").unwrap();
        let (left, top, side) = track.square(0, 12, 8);
        assert_eq!(side, 5);
        cropper.apply(&rgb, (12, 8), 0, Place::Boxes(track), &shape(5), &mut out).unwrap();
        assert_eq!(out[0], (top * 12 + left) as u8);
        assert_eq!(out[(4 * 5 + 4) * 3], ((top + 4) * 12 + left + 4) as u8);
        // A square of 10 in a picture 8 high: two rows are black.
        let mut out = vec![9; 10 * 10 * 3];
        let track = boxes.track("train", "b").unwrap();
        assert_eq!(track.square(0, 12, 8), (0, -1, 10));
        cropper.apply(&rgb, (12, 8), 0, Place::Boxes(track), &shape(10), &mut out).unwrap();
        assert_eq!((out[5 * 3], out[(10 + 5) * 3], out[(9 * 10 + 5) * 3]), (0, 5, 0));
    }
}
