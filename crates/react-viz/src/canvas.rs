//! A picture in memory: rectangles, pictures in pictures, captions.

use crate::error::VizError;
use crate::font;
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// An RGB picture, `[h][w][3]`.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgb: Vec<u8>,
}

impl Canvas {
    /// A picture of one colour.
    pub(crate) fn new(width: usize, height: usize, colour: [u8; 3]) -> Self {
        Self { width, height, rgb: colour.repeat(width * height) }
    }

    /// Puts `picture` (`[h][w][3]`) with its corner at (x, y); what does not fit is cut.
    pub(crate) fn put(&mut self, picture: &[u8], width: usize, x: usize, y: usize) {
        let fits = width.min(self.width.saturating_sub(x));
        for (row, line) in picture.chunks_exact(width.max(1) * 3).take(self.height.saturating_sub(y)).enumerate() {
            let at = ((y + row) * self.width + x) * 3;
            self.rgb[at..at + fits * 3].copy_from_slice(&line[..fits * 3]);
        }
    }

    /// Writes `text` with its first capital's top left corner at (x, y), capitals `size` pixels high.
    pub(crate) fn write(&mut self, text: &str, x: f32, y: f32, size: f32, colour: [u8; 3]) {
        let unit = size / font::CAPITAL;
        let half = (0.085 * size).max(0.6);
        for line in font::strokes(text) {
            let points: Vec<_> = line.into_iter().map(|(px, py)| (x + px * unit, y + py * unit)).collect();
            self.stroke(&points, half, colour);
        }
    }

    /// Width in pixels of [`Canvas::write`]'s `text`.
    pub(crate) fn text_width(text: &str, size: f32) -> f32 {
        font::width(text) * size / font::CAPITAL
    }

    /// A line with round ends, `2·half` wide, its edge smooth over a pixel.
    fn stroke(&mut self, points: &[(f32, f32)], half: f32, colour: [u8; 3]) {
        let reach = half + 1.0;
        let span = |pick: fn(&(f32, f32)) -> f32, limit: usize| {
            let low = points.iter().map(pick).fold(f32::INFINITY, f32::min) - reach;
            let high = points.iter().map(pick).fold(f32::NEG_INFINITY, f32::max) + reach;
            (low.max(0.0) as usize).min(limit)..(high.max(0.0).ceil() as usize).min(limit)
        };
        for row in span(|p| p.1, self.height) {
            for column in span(|p| p.0, self.width) {
                let centre = (column as f32 + 0.5, row as f32 + 0.5);
                let away = points.windows(2).map(|ends| distance(centre, ends[0], ends[1])).fold(f32::INFINITY, f32::min);
                let cover = (half + 0.5 - away).clamp(0.0, 1.0);
                let at = (row * self.width + column) * 3;
                for (old, new) in self.rgb[at..at + 3].iter_mut().zip(colour) {
                    *old = (f32::from(*old) + (f32::from(new) - f32::from(*old)) * cover).round() as u8;
                }
            }
        }
    }
}

/// Distance of `p` from the line between `a` and `b`.
fn distance(p: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (p.0 - a.0 - along * dx).hypot(p.1 - a.1 - along * dy)
}

/// Scales frames into squares: as large as fits, centred, on a ground of one colour.
///
/// ```
/// let mut fitter = react_viz::video::Fitter::new(8, [7; 3]);
/// let mut square = vec![0; 8 * 8 * 3];
/// fitter.fit_into(&[200; 16 * 8 * 3], 16, 8, &mut square)?;
/// assert_eq!((square[0], square[4 * 8 * 3]), (7, 200));
/// # Ok::<(), react_viz::VizError>(())
/// ```
#[derive(Clone)]
pub struct Fitter {
    resizer: Resizer,
    options: ResizeOptions,
    side: usize,
    ground: [u8; 3],
}

impl Fitter {
    /// Squares of `side` pixels.
    #[must_use]
    pub fn new(side: usize, ground: [u8; 3]) -> Self {
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        Self { resizer: Resizer::new(), options, side, ground }
    }

    /// Writes the square `[side][side][3]` of a frame `[height][width][3]`, RGB.
    ///
    /// # Errors
    /// Where a buffer has another length.
    pub fn fit_into(&mut self, rgb: &[u8], width: usize, height: usize, square: &mut [u8]) -> Result<(), VizError> {
        let side = self.side;
        for (what, buffer, want) in [("frame", rgb.len(), width * height * 3), ("square", square.len(), side * side * 3)] {
            if buffer != want {
                return Err(VizError::Shape { what: what.to_owned(), axis: "bytes", want, got: buffer });
            }
        }
        if (width, height) == (side, side) {
            square.copy_from_slice(rgb);
            return Ok(());
        }
        let longer = width.max(height).max(1);
        let scaled = |n: usize| ((n * side + longer / 2) / longer).clamp(1, side);
        let (w, h) = (scaled(width), scaled(height));
        let failed = |reason: String| VizError::Scale { width, height, reason };
        // Typed images: the untyped ones would compile every kind of pixel into this crate.
        let source = TypedImageRef::<U8x3>::from_buffer(width as u32, height as u32, rgb).map_err(|e| failed(e.to_string()))?;
        let mut pixels = vec![0; w * h * 3];
        let mut target = TypedImage::<U8x3>::from_buffer(w as u32, h as u32, &mut pixels).map_err(|e| failed(e.to_string()))?;
        self.resizer.resize_typed(&source, &mut target, &self.options).map_err(|e| failed(e.to_string()))?;
        square.chunks_exact_mut(3).for_each(|pixel| pixel.copy_from_slice(&self.ground));
        let (x, y) = ((side - w) / 2, (side - h) / 2);
        for (row, line) in pixels.chunks_exact(w * 3).enumerate() {
            let at = ((y + row) * side + x) * 3;
            square[at..at + w * 3].copy_from_slice(line);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Fitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fitter").field("side", &self.side).field("ground", &self.ground).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caption_leaves_ink_where_its_letters_are() {
        let mut canvas = Canvas::new(60, 20, [0; 3]);
        canvas.write("I", 10.0, 4.0, 12.0, [255; 3]);
        let lit: Vec<usize> = (0..60).filter(|x| canvas.rgb[(10 * 60 + x) * 3] > 128).collect();
        assert_eq!(lit, [9, 10]);
        assert_eq!(canvas.rgb[(18 * 60 + 10) * 3], 0);
    }

    #[test]
    fn pictures_are_cut_at_the_edge() {
        let mut canvas = Canvas::new(4, 4, [0; 3]);
        canvas.put(&[9; 3 * 3 * 3], 3, 2, 3);
        assert_eq!(canvas.rgb.iter().filter(|&&v| v == 9).count(), 2 * 3);
        canvas.write("XXXXXXXX", -30.0, -30.0, 12.0, [255; 3]);
    }

    #[test]
    fn a_wide_frame_is_letterboxed() {
        let mut fitter = Fitter::new(8, [7; 3]);
        let mut square = vec![0; 8 * 8 * 3];
        fitter.fit_into(&[200; 16 * 8 * 3], 16, 8, &mut square).unwrap();
        assert_eq!((square[0], square[4 * 8 * 3], square[7 * 8 * 3]), (7, 200, 7));
        fitter.fit_into(&[200; 3], 1, 1, &mut square).unwrap();
        assert_eq!(square, [200; 8 * 8 * 3]);
        assert!(fitter.fit_into(&[200; 4], 1, 1, &mut square).is_err());
    }
}
