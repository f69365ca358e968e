//! Decoding the frames of motion JPEG with `rusty_jpeg`, to planes: interpolating the chroma, as JPEG decoders like to, would be
//! prettier than what OpenCV and FFmpeg give, but not the same.

use crate::MediaError;
use crate::color::{Coefficients, ColorSpace, Planes, to_rgb};
use crate::error::{check_size, guarded};
use rusty_jpeg::decode::{Decoder, PlanarImage};
use std::path::{Path, PathBuf};

/// A decoder of one motion JPEG stream.
pub(crate) struct Jpeg {
    file: PathBuf,
    size: (usize, usize),
    coefficients: Coefficients,
}

impl Jpeg {
    /// The size of the first frame, which that of every other is checked against.
    pub(crate) fn size_of(file: &Path, first_frame: &[u8]) -> Result<(usize, usize), MediaError> {
        let header = Header::read(first_frame).ok_or_else(|| MediaError::frame(file, 0, "it is no JPEG"))?;
        Ok((header.width, header.height))
    }

    pub(crate) fn new(file: &Path, size: (usize, usize), max_pixels: usize) -> Result<Self, MediaError> {
        check_size(file, size.0, size.1, max_pixels)?;
        let coefficients = Coefficients::new(ColorSpace { matrix: 5, full_range: true });
        Ok(Self { file: file.to_owned(), size, coefficients })
    }

    pub(crate) fn size(&self) -> (usize, usize) {
        self.size
    }

    pub(crate) fn decode(&self, index: usize, bytes: &[u8]) -> Result<PlanarImage, MediaError> {
        let header = Header::read(bytes).ok_or_else(|| MediaError::frame(&self.file, index, "it is no JPEG"))?;
        if (header.width, header.height) != self.size {
            return Err(MediaError::unsupported(&self.file, format!("a change of the picture's size (at frame {index})")));
        }
        if header.bits != 8 || header.components != 3 {
            let Header { bits, components, .. } = header;
            return Err(MediaError::codec(&self.file, format!("JPEG with {components} components of {bits} bits")));
        }
        let decode = || {
            let mut decoder = Decoder::new(bytes);
            decoder.set_single_threaded(true);
            decoder.decode_planar()
        };
        guarded(&self.file, decode)?.map_err(|why| MediaError::frame(&self.file, index, why))
    }

    pub(crate) fn to_rgb(&self, index: usize, image: &PlanarImage, rgb: &mut Vec<u8>) -> Result<(), MediaError> {
        let [y, u, v] = image.components.as_slice() else {
            return Err(MediaError::frame(&self.file, index, "it is not in colour"));
        };
        let rows_a_chroma = match image.chroma_subsampling() {
            Some((2, rows @ (1 | 2))) if u.stride == v.stride => rows,
            _ => return Err(MediaError::codec(&self.file, "JPEG that is neither 4:2:0 nor 4:2:2")),
        };
        let planes = Planes { y: &y.data, u: &u.data, v: &v.data, y_stride: y.stride, c_stride: u.stride, rows_a_chroma };
        to_rgb(&planes, self.size.0, self.size.1, &self.coefficients, rgb)
            .ok_or_else(|| MediaError::frame(&self.file, index, "its planes are smaller than its size"))
    }
}

/// What the frame header of a JPEG says (ITU-T T.81, B.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    bits: u8,
    width: usize,
    height: usize,
    components: u8,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[0xff, 0xd8])?;
        loop {
            let (&[0xff, marker], after) = rest.split_first_chunk::<2>()? else {
                return None;
            };
            // Markers may be padded with further 0xff.
            if marker == 0xff {
                rest = &rest[1..];
                continue;
            }
            let length = usize::from(u16::from_be_bytes(*after.first_chunk()?));
            let segment = after.get(2..length)?;
            // Start of frame, of any process.
            if matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
                let &[bits, h0, h1, w0, w1, components, ..] = segment else {
                    return None;
                };
                let (height, width) = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([w0, w1]));
                return Some(Self { bits, width: width.into(), height: height.into(), components });
            }
            rest = &after[length..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_header_is_found() {
        let bytes = [0xff, 0xd8, 0xff, 0xfe, 0, 3, 7, 0xff, 0xff, 0xc0, 0, 9, 8, 0, 20, 1, 0, 3, 0];
        assert_eq!(Header::read(&bytes), Some(Header { bits: 8, width: 256, height: 20, components: 3 }));
        for cut in 0..bytes.len() {
            assert_eq!(Header::read(&bytes[..cut]), None, "cut at {cut}");
        }
        assert_eq!(Header::read(&[0xff, 0xd8, 0xff, 0xfe, 0, 0, 0xff, 0xc0]), None);
    }
}
