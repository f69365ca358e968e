//! FFmpeg's pictures to RGB24.

use crate::MediaError;
use crate::color::{Coefficients, ColorSpace, Planes, to_rgb};
use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling;
use ffmpeg_next::{color, ffi, frame};
use std::path::Path;

/// Converts the pictures of one stream.
pub(super) struct Converter {
    width: usize,
    height: usize,
    scaler: Option<(Pixel, ColorSpace, Scaler)>,
}

/// swscale's context.
struct Scaler(scaling::Context);

// SAFETY: a context belongs to whoever holds it; swscale keeps nothing that is bound to a thread.
unsafe impl Send for Scaler {}

impl Converter {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, height, scaler: None }
    }

    pub(super) fn convert(&mut self, file: &Path, index: usize, frame: &frame::Video, rgb: &mut Vec<u8>) -> Result<(), MediaError> {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        if (width, height) != (self.width, self.height) {
            return Err(MediaError::unsupported(file, format!("a change of the picture's size (at frame {index})")));
        }
        let is_full = frame.color_range() == color::Range::JPEG || matches!(frame.format(), Pixel::YUVJ420P | Pixel::YUVJ422P);
        let space = ColorSpace { matrix: ffi::AVColorSpace::from(frame.color_space()) as u8, full_range: is_full };
        let rows_a_chroma = match frame.format() {
            Pixel::YUV420P | Pixel::YUVJ420P => 2,
            Pixel::YUV422P | Pixel::YUVJ422P => 1,
            _ => 0,
        };
        // SAFETY: the frame was just decoded; it has eight strides.
        let strides = unsafe { (*frame.as_ptr()).linesize };
        let are_upright = strides[..3].iter().all(|&stride| stride > 0);
        if rows_a_chroma > 0 && are_upright && frame.stride(1) == frame.stride(2) {
            let [y, u, v] = [0, 1, 2].map(|plane| frame.data(plane));
            let planes = Planes { y, u, v, y_stride: frame.stride(0), c_stride: frame.stride(1), rows_a_chroma };
            return to_rgb(&planes, width, height, &Coefficients::new(space), rgb)
                .ok_or_else(|| MediaError::frame(file, index, "its planes are smaller than its size"));
        }
        self.scale(file, frame, space, rgb)
    }

    fn scale(&mut self, file: &Path, frame: &frame::Video, space: ColorSpace, rgb: &mut Vec<u8>) -> Result<(), MediaError> {
        let failed = |what: &str| MediaError::codec(file, format!("its pixels' format ({what})"));
        let (w, h) = (frame.width(), frame.height());
        let (format, scaler) = match self.scaler.take() {
            Some((format, known, scaler)) if (format, known) == (frame.format(), space) => (format, scaler),
            _ => {
                let flags = scaling::Flags::BICUBIC;
                let context =
                    scaling::Context::get(frame.format(), w, h, Pixel::RGB24, w, h, flags).map_err(|why| failed(&why.to_string()))?;
                let mut scaler = Scaler(context);
                set_colors(&mut scaler, space);
                (frame.format(), scaler)
            }
        };
        rgb.resize(self.width * self.height * 3, 0);
        let (_, _, Scaler(context)) = self.scaler.insert((format, space, scaler));
        let (targets, strides) = ([rgb.as_mut_ptr()], [(self.width * 3) as i32]);
        // SAFETY: the context was made for pictures of this size and format, and `rgb` has room for all rows of the result; swscale
        // writes whole rows of three bytes a pixel, and reads the planes of a frame that outlives the call.
        let rows = unsafe {
            let source = &*frame.as_ptr();
            let (planes, lines) = (source.data.as_ptr().cast(), source.linesize.as_ptr());
            ffi::sws_scale(context.as_mut_ptr(), planes, lines, 0, h as i32, targets.as_ptr(), strides.as_ptr())
        };
        if rows == h as i32 { Ok(()) } else { Err(failed("swscale refused it")) }
    }
}

/// Has swscale read the picture's own matrix and range.
fn set_colors(scaler: &mut Scaler, space: ColorSpace) {
    // SAFETY: the context is whole; the tables of coefficients are swscale's own, and live for ever.
    unsafe {
        let from = ffi::sws_getCoefficients(i32::from(space.matrix));
        let to = ffi::sws_getCoefficients(ffi::SWS_CS_DEFAULT);
        ffi::sws_setColorspaceDetails(scaler.0.as_mut_ptr(), from, i32::from(space.full_range), to, 1, 0, 1 << 16, 1 << 16);
    }
}
