use crate::MediaError;
use crate::png::check_buffer;
use fast_image_resize as fir;
use fir::images::{TypedImage, TypedImageRef};
use fir::pixels::U8x3;
use fir::{FilterType, ResizeAlg, ResizeOptions};

/// The frames that a model sees: the shorter side resized, then a square cut from the centre; in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameShape {
    /// What the shorter side is resized to, where it is not that already.
    pub shorter: usize,
    /// The side of the square cut from the centre.
    pub crop: usize,
}

impl Default for FrameShape {
    /// 256 and 224, as published.
    fn default() -> Self {
        Self { shorter: 256, crop: 224 }
    }
}

impl FrameShape {
    /// How many bytes a frame has: `crop · crop · 3`.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.crop * self.crop * 3
    }

    /// The size of a picture after resizing: torchvision's `Resize(shorter)`, the longer side rounded down.
    #[must_use]
    pub fn resized(&self, width: usize, height: usize) -> (usize, usize) {
        let scaled = |longer: usize, shorter: usize| (self.shorter as u64 * longer as u64 / shorter.max(1) as u64) as usize;
        if width <= height { (self.shorter, scaled(height, width)) } else { (scaled(width, height), self.shorter) }
    }
}

/// Resizes and crops frames; keeps its buffers from frame to frame.
///
/// ```
/// use react_media::{FrameShape, Resizer};
/// let shape = FrameShape { shorter: 2, crop: 2 };
/// let grey = [0, 0, 0, 100, 100, 100, 0, 0, 0, 100, 100, 100, 40, 40, 40, 60, 60, 60, 40, 40, 40, 60, 60, 60];
/// let mut out = [0; 12];
/// Resizer::new().apply(&grey, 4, 2, &shape, &mut out)?; // the middle two columns: the shorter side is 2 already
/// assert_eq!(out, [100, 100, 100, 0, 0, 0, 60, 60, 60, 40, 40, 40]);
/// # Ok::<(), react_media::MediaError>(())
/// ```
#[derive(Debug, Default)]
pub struct Resizer {
    inner: fir::Resizer,
    resized: Vec<u8>,
}

impl Resizer {
    /// A resizer without buffers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Brings RGB24 `rgb` `[height][width][3]` to `shape`, into `out` `[crop][crop][3]`.
    ///
    /// Resizing is bilinear with antialiasing, as Pillow's (to ±1: Pillow's filter weights have more bits); the crop's corner is
    /// rounded to even halves, as torchvision's `CenterCrop`.
    ///
    /// # Errors
    /// Where a buffer has the wrong length, or the crop is larger than the shorter side.
    pub fn apply(&mut self, rgb: &[u8], width: usize, height: usize, shape: &FrameShape, out: &mut [u8]) -> Result<(), MediaError> {
        check_buffer(rgb, width, height)?;
        if shape.crop == 0 || shape.crop > shape.shorter || out.len() != shape.bytes() {
            let FrameShape { shorter, crop } = shape;
            let what = format!("frames of {shorter} pixels cannot be cut to {crop}×{crop} into {} bytes", out.len());
            return Err(MediaError::Argument(what));
        }
        if width.min(height) == shape.shorter {
            crop(rgb, width, height, shape.crop, out);
            return Ok(());
        }
        let (new_width, new_height) = shape.resized(width, height);
        self.resize(rgb, (width, height), (new_width, new_height))?;
        crop(&self.resized, new_width, new_height, shape.crop, out);
        Ok(())
    }

    fn resize(&mut self, rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Result<(), MediaError> {
        let failed = |why: &dyn std::fmt::Display| {
            MediaError::Argument(format!("cannot resize {}×{} pixels to {}×{}: {why}", from.0, from.1, to.0, to.1))
        };
        let side = |pixels: usize| u32::try_from(pixels).map_err(|why| failed(&why));
        self.resized.resize(to.0 * to.1 * 3, 0);
        // Typed images: the untyped ones would compile every kind of pixel into this crate.
        let source = TypedImageRef::<U8x3>::from_buffer(side(from.0)?, side(from.1)?, rgb).map_err(|why| failed(&why))?;
        let mut target = TypedImage::<U8x3>::from_buffer(side(to.0)?, side(to.1)?, &mut self.resized).map_err(|why| failed(&why))?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.inner.resize_typed(&source, &mut target, &options).map_err(|why| failed(&why))
    }
}

/// Cuts a square of `side` from the centre of `rgb`.
fn crop(rgb: &[u8], width: usize, height: usize, side: usize, out: &mut [u8]) {
    let (left, top) = (half(width - side), half(height - side));
    for (from, to) in rgb.chunks_exact(width * 3).skip(top).zip(out.chunks_exact_mut(side * 3)) {
        to.copy_from_slice(&from[left * 3..][..side * 3]);
    }
}

/// Half of `n`, halves to even: Python's `round(n / 2)`.
fn half(n: usize) -> usize {
    n / 2 + usize::from(n % 4 == 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_even() {
        assert_eq!([0, 1, 2, 3, 4, 5, 6, 7, 32, 33].map(half), [0, 0, 1, 2, 2, 2, 3, 4, 16, 16]);
    }

    #[test]
    fn sizes_are_those_of_torchvision() {
        let shape = FrameShape::default();
        assert_eq!(shape.resized(640, 480), (341, 256));
        assert_eq!(shape.resized(480, 640), (256, 341));
        assert_eq!(shape.resized(1920, 1080), (455, 256));
        assert_eq!(shape.resized(100, 100), (256, 256));
    }
}
