//! Filmstrips: a picture of what comes out.

use crate::canvas::{Canvas, Fitter};
use crate::error::VizError;
use crate::faces::Listener;
use crate::video::{GROUND, WORDS, check_film, fitted, shortened};
use ndarray::ArrayView4;
use react_media::write_png;
use std::path::Path;

/// What a filmstrip shows: a row for the speaker and one a listener, a column a moment.
#[derive(Clone, Copy, Debug)]
pub struct Strip<'a> {
    /// The speaker's frames, u8 `[t, h, w, 3]` of any size.
    pub speaker: Option<ArrayView4<'a, u8>>,
    /// The listeners, from top to bottom.
    pub listeners: &'a [Listener<'a>],
    /// Frames per second.
    pub fps: f64,
    /// The frames to show, one a column.
    pub frames: &'a [usize],
    /// Width and height of a picture in pixels.
    pub side: usize,
}

/// Moments spread evenly over `frames` frames, for [`Strip::frames`]: the middles of `columns` equal parts.
///
/// ```
/// assert_eq!(react_viz::strip::evenly(100, 4), [12, 37, 62, 87]);
/// ```
#[must_use]
pub fn evenly(frames: usize, columns: usize) -> Vec<usize> {
    (0..columns).map(|i| (2 * i + 1) * frames / (2 * columns)).collect()
}

/// Draws a filmstrip and writes it as PNG; gives its width and height.
///
/// # Errors
/// Where there is nothing to draw, an array has another shape, a frame does not exist, a coefficient is not finite, or the
/// file cannot be written.
pub fn write_strip(path: &Path, strip: &Strip<'_>) -> Result<(usize, usize), VizError> {
    let canvas = draw(strip)?;
    write_png(path, &canvas.rgb, canvas.width, canvas.height)?;
    Ok((canvas.width, canvas.height))
}

/// Draws a filmstrip: the bytes of a PNG file.
///
/// # Errors
/// As [`write_strip`], but for the file.
pub fn strip_png(strip: &Strip<'_>) -> Result<Vec<u8>, VizError> {
    let canvas = draw(strip)?;
    crate::png::encode(&canvas.rgb, canvas.width, canvas.height)
}

fn draw(strip: &Strip<'_>) -> Result<Canvas, VizError> {
    strip.check()?;
    let side = strip.side;
    let (size, gap) = ((side as f32 / 9.0).clamp(7.0, 14.0), (side / 24).max(2));
    let labels: Vec<&str> = strip.speaker.iter().map(|_| "Speaker").chain(strip.listeners.iter().map(|l| l.label)).collect();
    let widest = labels.iter().map(|l| Canvas::text_width(l, size)).fold(0.0, f32::max).min(3.0 * side as f32);
    let left = (widest + 2.0 * size).ceil() as usize;
    let top = (2.4 * size).ceil() as usize;
    let place = |row: usize, column: usize| (left + column * (side + gap), top + row * (side + gap));
    let (width, height) = place(labels.len(), strip.frames.len());
    let mut canvas = Canvas::new(left + strip.frames.len() * (side + gap), top + labels.len() * (side + gap), GROUND);
    debug_assert!(width > 0 && height > 0);
    for (column, &t) in strip.frames.iter().enumerate() {
        let text = format!("{:.1} s", t as f64 / strip.fps);
        let x = place(0, column).0 as f32 + (side as f32 - Canvas::text_width(&text, size)) / 2.0;
        canvas.write(&text, x, 0.7 * size, size, WORDS);
    }
    for (row, label) in labels.iter().enumerate() {
        let y = place(row, 0).1 as f32 + (side as f32 - size) / 2.0;
        canvas.write(&shortened(label, widest, size), size, y, size, WORDS);
    }
    let mut row = 0;
    let mut square = vec![0; side * side * 3];
    if let Some(speaker) = strip.speaker {
        let mut fitter = Fitter::new(side, GROUND);
        for (column, &t) in strip.frames.iter().enumerate() {
            let (x, y) = place(row, column);
            fitted(speaker, t, &mut fitter, &mut square)?;
            canvas.put(&square, side, x, y);
        }
        row += 1;
    }
    for listener in strip.listeners {
        let mut portrait = listener.portrait(side);
        for (column, &t) in strip.frames.iter().enumerate() {
            let (x, y) = place(row, column);
            listener.frame(&mut portrait, t, &mut square);
            canvas.put(&square, side, x, y);
        }
        row += 1;
    }
    Ok(canvas)
}

impl Strip<'_> {
    fn check(&self) -> Result<(), VizError> {
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {}", self.fps) });
        }
        if !(16..=1024).contains(&self.side) {
            return Err(VizError::Value { what: "side", reason: format!("must be 16 to 1024 pixels, is {}", self.side) });
        }
        self.speaker.map_or(Ok(()), |speaker| check_film("the speaker", speaker))?;
        self.listeners.iter().try_for_each(Listener::check)?;
        let lengths = self.speaker.iter().map(|s| s.dim().0).chain(self.listeners.iter().map(|l| l.coeffs.nrows()));
        let shortest = lengths.min().filter(|_| !self.frames.is_empty()).ok_or_else(|| VizError::Empty { what: "filmstrip".to_owned() })?;
        match self.frames.iter().find(|&&t| t >= shortest) {
            Some(t) => Err(VizError::Value { what: "frames", reason: format!("frame {t} of {shortest} does not exist") }),
            None => Ok(()),
        }
    }
}
