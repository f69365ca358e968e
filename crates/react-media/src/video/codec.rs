//! The decoders of the coded streams, behind one face.

use crate::MediaError;
use crate::color::ColorSpace;
use crate::h264::H264;
use crate::jpeg::Jpeg;
use crate::mpeg4::{self, Kind, Mpeg4};
use oxideav_mpeg4video::framestore::DecodedFrame;
use rusty_h264_common::YuvFrame;
use rusty_jpeg::decode::PlanarImage;
use std::path::Path;

/// A decoded picture.
pub(crate) enum Picture {
    H264(YuvFrame),
    Mpeg4(Box<DecodedFrame>),
    Jpeg(PlanarImage),
}

/// The decoders by name, for the record of who made these bytes. All are young, and pinned to these versions.
const DECODERS: [&str; 3] = ["rusty_h264-decoder 0.17.0", "oxideav-mpeg4video 0.1.8", "rusty_jpeg 0.3.2"];

/// What a decoder must know before its first sample.
#[derive(Debug)]
pub(super) enum Recipe {
    H264 {
        parameters: Vec<Vec<u8>>,
        in_band: bool,
        length_size: usize,
        color: Option<ColorSpace>,
    },
    /// Whether the container knows when each sample is shown; where it does not (AVI), pictures are numbered as they come out.
    Mpeg4 {
        headers: Vec<u8>,
        timed: bool,
    },
    Jpeg {
        size: (usize, usize),
    },
}

impl Recipe {
    /// `codec` and `decoder` of [`super::VideoInfo`].
    pub(super) fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::H264 { .. } => ("h264", DECODERS[0]),
            Self::Mpeg4 { .. } => ("mpeg4", DECODERS[1]),
            Self::Jpeg { .. } => ("mjpeg", DECODERS[2]),
        }
    }

    /// A decoder whose first sample will be that of number `first`.
    pub(super) fn decoder(&self, file: &Path, first: usize, max_pixels: usize) -> Result<StreamDecoder, MediaError> {
        Ok(match self {
            Self::H264 { parameters, in_band, length_size, color } => {
                StreamDecoder::H264(Box::new(H264::new(file, parameters, *length_size, *color, *in_band, max_pixels)?))
            }
            Self::Mpeg4 { headers, timed } => StreamDecoder::Mpeg4(Box::new(Mpeg4::new(file, headers, *timed, first as u32, max_pixels)?)),
            Self::Jpeg { size } => StreamDecoder::Jpeg(Jpeg::new(file, *size, max_pixels)?),
        })
    }
}

/// A decoder of one stream.
pub(super) enum StreamDecoder {
    H264(Box<H264>),
    Mpeg4(Box<Mpeg4>),
    Jpeg(Jpeg),
}

impl StreamDecoder {
    /// Width and height of the pictures.
    pub(super) fn size(&self) -> (usize, usize) {
        match self {
            Self::H264(h264) => h264.size(),
            Self::Mpeg4(mpeg4) => mpeg4.size(),
            Self::Jpeg(jpeg) => jpeg.size(),
        }
    }

    /// Whether decoding can start at this sample.
    pub(super) fn starts(&self, sample: &[u8]) -> bool {
        match self {
            Self::H264(h264) => h264.starts(sample),
            Self::Mpeg4(_) => mpeg4::kinds(sample).next() == Some(Kind::Intra),
            Self::Jpeg(_) => true,
        }
    }

    /// Whether nothing but the picture of this sample depends on it.
    pub(super) fn is_disposable(&self, sample: &[u8]) -> bool {
        match self {
            Self::H264(h264) => h264.is_disposable(sample),
            Self::Mpeg4(mpeg4) => mpeg4.is_timed() && mpeg4::kinds(sample).eq([Kind::Between]),
            Self::Jpeg(_) => true,
        }
    }

    /// Decodes one sample; pictures are added to `out`, each with the number of its sample.
    pub(super) fn decode(&mut self, index: usize, sample: &[u8], out: &mut Vec<(u32, Picture)>) -> Result<(), MediaError> {
        match self {
            Self::H264(h264) => out.push((index as u32, Picture::H264(h264.decode(index, sample)?))),
            Self::Mpeg4(mpeg4) => mpeg4.decode(index, sample, out)?,
            Self::Jpeg(jpeg) => out.push((index as u32, Picture::Jpeg(jpeg.decode(index, sample)?))),
        }
        Ok(())
    }

    /// Gives out the pictures still held back.
    pub(super) fn flush(&mut self, out: &mut Vec<(u32, Picture)>) {
        if let Self::Mpeg4(mpeg4) = self {
            mpeg4.flush(out);
        }
    }

    pub(super) fn to_rgb(&self, file: &Path, number: u32, picture: &Picture, rgb: &mut Vec<u8>) -> Result<(), MediaError> {
        let index = number as usize;
        match (self, picture) {
            (Self::H264(h264), Picture::H264(frame)) => h264.to_rgb(index, frame, rgb),
            (Self::Mpeg4(mpeg4), Picture::Mpeg4(frame)) => mpeg4.to_rgb(index, frame, rgb),
            (Self::Jpeg(jpeg), Picture::Jpeg(frame)) => jpeg.to_rgb(index, frame, rgb),
            _ => Err(MediaError::frame(file, index, "the decoder gave a picture of another kind")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DECODERS;

    #[test]
    fn the_decoders_are_those_of_the_workspace() {
        let manifest = include_str!("../../../../Cargo.toml");
        for decoder in DECODERS {
            let (name, version) = decoder.split_once(' ').unwrap();
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            assert!(line.contains(&format!("\"={version}\"")), "{line}");
        }
    }
}
