//! Video → a fixed number of square frames.

use super::boxes::FaceTrack;
use super::sampling::{Sampling, uniform_frames};
use crate::DataError;
use react_media::{FrameShape, Resizer, VideoInfo, VideoReader};
use std::path::Path;

/// Buffers of one worker: a decoded frame, a square of it, the resizer's own.
#[derive(Default)]
pub(super) struct VideoBuffers {
    rgb: Vec<u8>,
    square: Vec<u8>,
    resizer: Resizer,
}

/// Where the face is in a clip's frames.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// In the largest square of the picture's middle.
    Centre,
    /// In these boxes.
    Boxes(&'a FaceTrack),
}

/// The frames of a clip.
pub(super) struct Pictures {
    /// u8 `[count, crop, crop, 3]`.
    pub(super) bytes: Vec<u8>,
    /// Frames that the video has.
    pub(super) frames: usize,
    /// Chosen frames without a box of their own.
    pub(super) faceless: usize,
}

/// Pictures with nothing brighter than this are black.
const BLACKEST: u8 = 16;

impl Pictures {
    /// Whether there is nothing to be seen.
    pub(super) fn black(&self) -> bool {
        self.bytes.iter().all(|shade| *shade <= BLACKEST)
    }
}

/// Decodes a video up to the last frame that is wanted, and resizes only those that are.
pub(super) fn read_pictures(
    file: &Path,
    count: usize,
    crop: usize,
    sampling: &Sampling,
    place: Place<'_>,
    buffers: &mut VideoBuffers,
) -> Result<Pictures, DataError> {
    let damaged = |what: String| DataError::Media(react_media::MediaError::Damaged { file: file.to_owned(), what });
    let mut video = VideoReader::open(file)?;
    let VideoInfo { width, height, frames, .. } = *video.info();
    if frames == 0 {
        return Err(damaged("it has no frame".to_owned()));
    }
    let chosen = match sampling {
        Sampling::Listed(chosen) => chosen.clone(),
        Sampling::Uniform | Sampling::NoFace => uniform_frames(frames, count),
    };
    if let Some(beyond) = chosen.iter().find(|frame| **frame >= frames) {
        return Err(DataError::FrameList { file: file.to_owned(), frame: *beyond, frames });
    }
    let shape = FrameShape { shorter: crop, crop };
    let mut bytes = vec![0; count * shape.bytes()];
    let mut places = bytes.chunks_exact_mut(shape.bytes());
    let mut decoded = 0;
    let mut last: Option<(usize, Vec<u8>)> = None;
    let mut faceless = 0;
    for frame in chosen.iter().take(count) {
        let Some(out) = places.next() else { break };
        if let Some((_, same)) = last.as_ref().filter(|(at, _)| at == frame) {
            out.copy_from_slice(same);
        } else {
            while decoded <= *frame {
                if !video.next_frame(&mut buffers.rgb)? {
                    return Err(damaged(format!("it promises {frames} frames and has {decoded}")));
                }
                decoded += 1;
            }
            square(buffers, (width, height), *frame, place, &shape, out)?;
            last = Some((*frame, out.to_vec()));
        }
        faceless += usize::from(matches!(place, Place::Boxes(track) if !track.has(*frame)));
    }
    Ok(Pictures { bytes, frames, faceless })
}

/// Brings the square of a frame that the face is in to its packed size.
fn square(
    buffers: &mut VideoBuffers,
    (width, height): (usize, usize),
    frame: usize,
    place: Place<'_>,
    shape: &FrameShape,
    out: &mut [u8],
) -> Result<(), DataError> {
    let VideoBuffers { rgb, square, resizer } = buffers;
    let Place::Boxes(track) = place else { return Ok(resizer.apply(rgb, width, height, shape, out)?) };
    let (left, top, side) = track.square(frame, width, height);
    square.clear();
    // What lies beyond the picture is black.
    square.resize(side * side * 3, 0);
    for (row, target) in square.chunks_exact_mut(side * 3).enumerate() {
        let Some(y) = top.checked_add_unsigned(row).and_then(|y| usize::try_from(y).ok()).filter(|y| *y < height) else { continue };
        let (skip, from) = (left.min(0).unsigned_abs(), left.max(0).unsigned_abs());
        let length = side.saturating_sub(skip).min(width.saturating_sub(from)) * 3;
        target[skip * 3..][..length].copy_from_slice(&rgb[(y * width + from) * 3..][..length]);
    }
    Ok(resizer.apply(square, side, side, shape, out)?)
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
        let mut buffers = VideoBuffers { rgb, ..VideoBuffers::default() };
        let shape = |crop| FrameShape { shorter: crop, crop };
        // A box of 4 pixels becomes a square of 5, from (1, 2) or (2, 3) on; of the same size, so nothing is resized.
        let mut out = vec![9; 5 * 5 * 3];
        let track = boxes.track("a").unwrap();
        let (left, top, side) = track.square(0, 12, 8);
        assert_eq!(side, 5);
        square(&mut buffers, (12, 8), 0, Place::Boxes(track), &shape(5), &mut out).unwrap();
        assert_eq!(out[0], (top * 12 + left) as u8);
        assert_eq!(out[(4 * 5 + 4) * 3], ((top + 4) * 12 + left + 4) as u8);
        // A square of 10 in a picture 8 high: two rows are black.
        let mut out = vec![9; 10 * 10 * 3];
        let track = boxes.track("b").unwrap();
        assert_eq!(track.square(0, 12, 8), (0, -1, 10));
        square(&mut buffers, (12, 8), 0, Place::Boxes(track), &shape(10), &mut out).unwrap();
        assert_eq!((out[5 * 3], out[(10 + 5) * 3], out[(9 * 10 + 5) * 3]), (0, 5, 0));
    }
}
