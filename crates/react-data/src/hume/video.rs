//! Video → a fixed number of square frames.

use super::sampling::{Sampling, uniform_frames};
use crate::DataError;
use crate::faces::{Cropper, Place};
use react_media::{FrameShape, VideoInfo, VideoReader};
use std::path::Path;

/// Buffers of one worker: a decoded frame, the cropper's own.
#[derive(Default)]
pub(super) struct VideoBuffers {
    rgb: Vec<u8>,
    cropper: Cropper,
}

/// The frames of a clip.
pub(super) struct Pictures {
    /// u8 `[count, crop, crop, 3]`.
    pub(super) bytes: Vec<u8>,
    /// Frames that the video has.
    pub(super) frames: usize,
    /// Chosen frames in which no face was found, by their numbers.
    pub(super) faceless: Vec<usize>,
    /// Who decoded them.
    pub(super) decoder: String,
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
    let mut last: Option<(usize, Vec<u8>)> = None;
    let mut faceless = Vec::new();
    for frame in chosen.iter().take(count) {
        let Some(out) = places.next() else { break };
        if let Some((_, same)) = last.as_ref().filter(|(at, _)| at == frame) {
            out.copy_from_slice(same);
        } else {
            // Frames in between are decoded where they must be, and never turned into RGB.
            video.seek(*frame)?;
            if !video.next_frame(&mut buffers.rgb)? {
                return Err(damaged(format!("it promises {frames} frames and ends before frame {frame}")));
            }
            buffers.cropper.apply(&buffers.rgb, (width, height), *frame, place, &shape, out)?;
            last = Some((*frame, out.to_vec()));
        }
        if matches!(place, Place::Boxes(track) if !track.shows(*frame)) {
            faceless.push(*frame);
        }
    }
    Ok(Pictures { bytes, frames, faceless, decoder: video.info().decoder.clone() })
}
