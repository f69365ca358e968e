//! Decoding H.264 samples of an mp4: `rusty_h264` behind checks of what it is given.

mod bits;
mod sps;

use crate::MediaError;
use crate::color::{Coefficients, ColorSpace, Planes, to_rgb};
use crate::error::{check_size, guarded};
use rusty_h264_common::YuvFrame;
use rusty_h264_decoder::Decoder;
use sps::{Sps, color_space};
use std::path::{Path, PathBuf};

const START_CODE: [u8; 4] = [0, 0, 0, 1];
const SPS: u8 = 7;
const PPS: u8 = 8;
const IDR: u8 = 5;

/// The most reference pictures of the largest size that is allowed; smaller pictures may have more.
const MOST_REFERENCES: usize = 8;

/// A decoder of one stream.
pub(crate) struct H264 {
    file: PathBuf,
    decoder: Decoder,
    sps: Sps,
    length_size: usize,
    coefficients: Coefficients,
    max_pixels: usize,
    /// Whether parameter sets may change on the way (`avc3`).
    in_band: bool,
    /// The parameter sets, until the first sample is decoded behind them.
    annex_b: Vec<u8>,
}

impl H264 {
    pub(crate) fn new(
        file: &Path,
        parameters: &[Vec<u8>],
        length_size: usize,
        container: Option<ColorSpace>,
        in_band: bool,
        max_pixels: usize,
    ) -> Result<Self, MediaError> {
        let nal = parameters.iter().find(|nal| kind(nal) == Some(SPS));
        let nal = nal.ok_or_else(|| MediaError::damaged(file, "its H.264 track has no sequence parameter set"))?;
        let sps = check_sps(file, nal, max_pixels)?;
        let mut annex_b = Vec::new();
        for nal in parameters {
            annex_b.extend_from_slice(&START_CODE);
            annex_b.extend_from_slice(nal);
        }
        let coefficients = Coefficients::new(color_space(&sps, container));
        Ok(Self { file: file.to_owned(), decoder: Decoder::new(), sps, length_size, coefficients, max_pixels, in_band, annex_b })
    }

    /// Width and height of the pictures.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.sps.width, self.sps.height)
    }

    /// Whether decoding can start at this sample: it is an IDR picture, and brings its parameter sets where its track has none.
    pub(crate) fn starts(&self, sample: &[u8]) -> bool {
        let has = |wanted| nals(sample, self.length_size).any(|nal| nal.ok().and_then(kind) == Some(wanted));
        has(IDR) && (!self.in_band || has(SPS) && has(PPS))
    }

    /// Whether nothing but the picture of this sample depends on it.
    pub(crate) fn is_disposable(&self, sample: &[u8]) -> bool {
        let mut slices = 0;
        for nal in nals(sample, self.length_size) {
            let header = nal.ok().and_then(|nal| nal.first().copied()).unwrap_or(u8::MAX);
            match header & 0x1f {
                // Slices: those of a reference picture say so in their header.
                1..=4 if header & 0x60 == 0 => slices += 1,
                // Access unit delimiters, supplemental information, filler.
                6 | 9 | 12 => {}
                _ => return false,
            }
        }
        slices > 0
    }

    /// Decodes one sample of the file: one picture, in decoding order.
    pub(crate) fn decode(&mut self, index: usize, sample: &[u8]) -> Result<YuvFrame, MediaError> {
        for nal in nals(sample, self.length_size) {
            let nal = nal.map_err(|()| MediaError::damaged(&self.file, format!("the NAL units of frame {index} overrun it")))?;
            if kind(nal) == Some(SPS) {
                let sps = check_sps(&self.file, nal, self.max_pixels)?;
                if (sps.width, sps.height) != self.size() {
                    return Err(MediaError::unsupported(&self.file, format!("a change of the picture's size (at frame {index})")));
                }
            }
            self.annex_b.extend_from_slice(&START_CODE);
            self.annex_b.extend_from_slice(nal);
        }
        let frame = guarded(&self.file, || self.decoder.decode(&self.annex_b))?.map_err(|why| MediaError::frame(&self.file, index, why))?;
        self.annex_b.clear();
        frame.ok_or_else(|| MediaError::frame(&self.file, index, "the picture is incomplete"))
    }

    pub(crate) fn to_rgb(&self, index: usize, frame: &YuvFrame, rgb: &mut Vec<u8>) -> Result<(), MediaError> {
        let ((width, height), (left, top)) = (self.size(), self.sps.crop_left_top);
        // The decoder cuts at the right and the bottom; offsets at the left and the top are even.
        let stride = frame.width;
        let plane = |plane, left, top, stride| slice_from(plane, top * stride + left);
        let planes = Planes {
            y: plane(&frame.y, left, top, stride),
            u: plane(&frame.u, left / 2, top / 2, stride / 2),
            v: plane(&frame.v, left / 2, top / 2, stride / 2),
            y_stride: stride,
            c_stride: stride / 2,
            rows_a_chroma: 2,
        };
        ((left + width, top + height) == (frame.width, frame.height))
            .then(|| to_rgb(&planes, width, height, &self.coefficients, rgb))
            .flatten()
            .ok_or_else(|| MediaError::frame(&self.file, index, format!("it has {}×{} pixels", frame.width, frame.height)))
    }
}

fn slice_from(plane: &[u8], at: usize) -> &[u8] {
    plane.get(at..).unwrap_or_default()
}

fn check_sps(file: &Path, nal: &[u8], max_pixels: usize) -> Result<Sps, MediaError> {
    let sps = Sps::parse(nal).ok_or_else(|| MediaError::damaged(file, "its H.264 sequence parameter set cannot be read"))?;
    if let Some(what) = sps.unsupported() {
        return Err(MediaError::codec(file, what));
    }
    check_size(file, sps.width, sps.height, max_pixels)?;
    // The decoder allocates what is coded: a little more than is shown, unless the file means mischief.
    if sps.coded.0 - sps.width >= 32 || sps.coded.1 - sps.height >= 64 {
        check_size(file, sps.coded.0, sps.coded.1, max_pixels)?;
    }
    // Reference pictures, with what is kept of their motion, take most of the memory: no level of the standard has that many this large.
    let (pixels, references) = (sps.coded.0 * sps.coded.1, sps.references as usize);
    if pixels.saturating_mul(references) > max_pixels.saturating_mul(MOST_REFERENCES) {
        let what = format!("its {references} reference pictures of {}×{} pixels need more memory than is allowed", sps.width, sps.height);
        return Err(MediaError::damaged(file, what));
    }
    Ok(sps)
}

fn kind(nal: &[u8]) -> Option<u8> {
    nal.first().map(|header| header & 0x1f)
}

/// The NAL units of a sample, each behind its length; an error where a length overruns the sample.
fn nals(mut sample: &[u8], length_size: usize) -> impl Iterator<Item = Result<&[u8], ()>> {
    std::iter::from_fn(move || {
        if sample.is_empty() {
            return None;
        }
        let taken = sample.split_at_checked(length_size).and_then(|(length, rest)| {
            let length = length.iter().fold(0usize, |length, &byte| length << 8 | usize::from(byte));
            rest.split_at_checked(length)
        });
        let Some((nal, rest)) = taken else {
            sample = &[];
            return Some(Err(()));
        };
        sample = rest;
        Some(Ok(nal))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_followed_and_checked() {
        let sample = [0, 2, 0x65, 1, 0, 1, 0x67];
        let found: Vec<_> = nals(&sample, 2).map(Result::unwrap).collect();
        assert_eq!(found, [&[0x65, 1][..], &[0x67]]);
        assert_eq!(nals(&sample[..6], 2).last(), Some(Err(())));
        assert_eq!(nals(&[0, 0, 0], 4).collect::<Vec<_>>(), [Err(())]);
    }
}
