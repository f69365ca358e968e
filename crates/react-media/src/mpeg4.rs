//! Decoding MPEG-4 part 2 (`mp4v`, XviD, DivX): `oxideav-mpeg4video` behind checks of what it is given.

use crate::color::{Coefficients, ColorSpace, Planes, to_rgb};
use crate::error::{check_size, guarded};
use crate::{MediaError, video::Picture};
use oxideav_mpeg4video::compat::DecodeOptions;
use oxideav_mpeg4video::decoder::Mpeg4VideoDecoder;
use oxideav_mpeg4video::framestore::DecodedFrame;
use oxideav_mpeg4video::vol::{VolHeader, parse_video_object_layer};
use std::path::{Path, PathBuf};

/// The start codes of a picture (video object plane), and of a group of them.
const VOP: [u8; 4] = [0, 0, 1, 0xb6];
const GROUP: [u8; 4] = [0, 0, 1, 0xb3];

/// A decoder of one stream.
pub(crate) struct Mpeg4 {
    file: PathBuf,
    decoder: Mpeg4VideoDecoder,
    width: usize,
    height: usize,
    coefficients: Coefficients,
    /// Whether the container knows when each sample is shown; where it does not (AVI), pictures are numbered as they come out.
    timed: bool,
    come_out: u32,
}

impl Mpeg4 {
    /// `first` is the number of the sample that is decoded first.
    pub(crate) fn new(file: &Path, headers: &[u8], timed: bool, first: u32, max_pixels: usize) -> Result<Self, MediaError> {
        let layer = layers(headers).next();
        let layer = layer.ok_or_else(|| MediaError::damaged(file, "its MPEG-4 track has no video object layer"))?;
        let layer = layer.map_err(|why| MediaError::damaged(file, format!("its video object layer cannot be read ({why})")))?;
        let (width, height) = size(&layer);
        check_size(file, width, height, max_pixels)?;
        let mut decoder = Mpeg4VideoDecoder::with_options(DecodeOptions::ecosystem());
        guarded(file, || decoder.decode(headers))?.map_err(|why| MediaError::damaged(file, why.to_string()))?;
        let coefficients = Coefficients::new(ColorSpace::UNSPECIFIED);
        Ok(Self { file: file.to_owned(), decoder, width, height, coefficients, timed, come_out: first })
    }

    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Whether pictures keep the numbers of their samples.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// Decodes one sample; pictures come out in the order of presentation, each with the number of its sample.
    pub(crate) fn decode(&mut self, index: usize, sample: &[u8], out: &mut Vec<(u32, Picture)>) -> Result<(), MediaError> {
        if layers(sample).any(|layer| layer.ok().is_none_or(|layer| size(&layer) != self.size())) {
            return Err(MediaError::unsupported(&self.file, format!("a change of the picture's size (at frame {index})")));
        }
        let frames = guarded(&self.file, || self.decoder.decode_with_pts(sample, Some(index as i64)))?;
        let frames = frames.map_err(|why| MediaError::frame(&self.file, index, why))?;
        self.number(frames, out);
        Ok(())
    }

    /// Gives out the pictures still held back.
    pub(crate) fn flush(&mut self, out: &mut Vec<(u32, Picture)>) {
        let frames = self.decoder.flush();
        self.number(frames, out);
    }

    fn number(&mut self, frames: Vec<DecodedFrame>, out: &mut Vec<(u32, Picture)>) {
        for frame in frames {
            let number = if self.timed { frame.pts().and_then(|pts| u32::try_from(pts).ok()) } else { Some(self.come_out) };
            self.come_out += 1;
            out.extend(number.map(|number| (number, Picture::Mpeg4(Box::new(frame)))));
        }
    }

    pub(crate) fn to_rgb(&self, index: usize, frame: &DecodedFrame, rgb: &mut Vec<u8>) -> Result<(), MediaError> {
        let stride = self.width.next_multiple_of(16);
        let (y, u, v) = (frame.luma_samples(), frame.cb_samples(), frame.cr_samples());
        let planes = Planes { y, u, v, y_stride: stride, c_stride: stride / 2, rows_a_chroma: 2 };
        to_rgb(&planes, self.width, self.height, &self.coefficients, rgb)
            .ok_or_else(|| MediaError::frame(&self.file, index, "the picture is smaller than its header says"))
    }
}

/// The headers of a stream: those of its container, or else (in AVI) those in front of its first picture.
pub(crate) fn headers(container: Vec<u8>, first_sample: &[u8]) -> Vec<u8> {
    if layers(&container).next().is_some() {
        return container;
    }
    let picture = first_sample.windows(4).position(|code| code == VOP || code == GROUP).unwrap_or(first_sample.len());
    first_sample[..picture].to_vec()
}

/// How a picture is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From itself.
    Intra,
    /// From the one before it, as others may be from this.
    Predicted,
    /// From both sides; nothing depends on it.
    Between,
}

/// The kinds of the pictures in a sample.
pub(crate) fn kinds(sample: &[u8]) -> impl Iterator<Item = Kind> {
    sample.windows(5).filter(|code| code[..4] == VOP).map(|code| match code[4] >> 6 {
        0 => Kind::Intra,
        2 => Kind::Between,
        _ => Kind::Predicted,
    })
}

fn size(layer: &VolHeader) -> (usize, usize) {
    (usize::from(layer.width), usize::from(layer.height))
}

/// The video object layer headers (start codes 0x120 to 0x12f) in `data`.
fn layers(data: &[u8]) -> impl Iterator<Item = Result<VolHeader, String>> {
    data.windows(4)
        .enumerate()
        .filter(|(_, code)| code[..3] == [0, 0, 1] && code[3] & 0xf0 == 0x20)
        .map(|(at, _)| parse_video_object_layer(&data[at..], 0).map_err(|why| why.to_string()))
}
