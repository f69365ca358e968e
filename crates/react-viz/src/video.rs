//! Panel videos: the speaker's frames beside listeners' faces.

use crate::canvas::{Canvas, Fitter};
use crate::error::VizError;
use crate::faces::Listener;
use ndarray::ArrayView4;
use rayon::prelude::*;
use react_face::{Head, Portrait};
use react_media::{Quality, VideoWriter};
use std::ops::Range;
use std::path::Path;

pub(crate) const GROUND: [u8; 3] = [22, 25, 30];
pub(crate) const WORDS: [u8; 3] = [232, 234, 237];
/// Frames composed at once: enough to keep every core busy, few enough to stay in the cache of a small machine.
const BATCH: usize = 32;

/// What stands side by side in a video.
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    /// The speaker's frames, u8 `[t, h, w, 3]` of any size; none where there is no picture of the speaker.
    pub speaker: Option<ArrayView4<'a, u8>>,
    /// The listeners, from left to right.
    pub listeners: &'a [Listener<'a>],
    /// Frames per second.
    pub fps: f64,
    /// Width and height of a panel in pixels.
    pub side: usize,
}

/// What was written: everything a player page must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFacts {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Number of frames: that of the shortest panel.
    pub frames: usize,
}

/// Panel videos are for people to look at.
const QUALITY: Quality = Quality::Good;

/// Writes the panels as an H.264 mp4, each with its caption above it.
///
/// The video is as long as the shortest panel. The same arrays give the same bytes on any number of threads.
///
/// # Errors
/// Where there is nothing to draw, an array has another shape, a coefficient is not finite, or the file cannot be written.
pub fn write_panels(path: &Path, panels: &Panels<'_>) -> Result<VideoFacts, VizError> {
    let frames = panels.check()?;
    let board = Board::new(panels);
    let Canvas { width, height, .. } = board.ground;
    let mut writer = VideoWriter::create(path, width, height, panels.fps, QUALITY)?;
    let head = Head::embedded();
    let portraits: Vec<Portrait> = panels.listeners.iter().map(|l| l.portrait(&head, panels.side)).collect();
    let compose = |range: Range<usize>| -> Result<Vec<_>, VizError> {
        let workshop = || (portraits.clone(), Fitter::new(panels.side, GROUND));
        let frame = |(portraits, fitter): &mut (Vec<Portrait>, Fitter), t| board.frame(panels, t, portraits, fitter);
        range.into_par_iter().map_init(workshop, frame).collect()
    };
    let mut ready = compose(0..frames.min(BATCH))?;
    for start in (BATCH..frames + BATCH).step_by(BATCH) {
        // The encoder takes one frame after the other; meanwhile the other cores compose what follows.
        let next = start.min(frames)..frames.min(start + BATCH);
        let (written, composed) = rayon::join(|| ready.iter().try_for_each(|frame| writer.push(frame)), || compose(next));
        written?;
        ready = composed?;
    }
    writer.finish()?;
    tracing::debug!(path = %path.display(), width, height, frames, "panel video written");
    Ok(VideoFacts { width, height, frames })
}

impl Panels<'_> {
    /// The number of frames, if everything can be drawn.
    fn check(&self) -> Result<usize, VizError> {
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {}", self.fps) });
        }
        if !(16..=1024).contains(&self.side) {
            return Err(VizError::Value { what: "side", reason: format!("must be 16 to 1024 pixels, is {}", self.side) });
        }
        check_speaker(self.speaker)?;
        self.listeners.iter().try_for_each(Listener::check)?;
        let lengths = self.speaker.iter().map(|s| s.dim().0).chain(self.listeners.iter().map(|l| l.coeffs.nrows()));
        lengths.min().filter(|&n| n > 0).ok_or_else(|| VizError::Empty { what: "panel video".to_owned() })
    }
}

pub(crate) fn check_speaker(speaker: Option<ArrayView4<'_, u8>>) -> Result<(), VizError> {
    let Some((_, h, w, channels)) = speaker.map(|s| s.dim()) else { return Ok(()) };
    if channels != 3 {
        return Err(VizError::Shape { what: "speaker frames".to_owned(), axis: "colours", want: 3, got: channels });
    }
    if h == 0 || w == 0 {
        return Err(VizError::Empty { what: "speaker frames".to_owned() });
    }
    Ok(())
}

/// The speaker's frame `t` as a square.
pub(crate) fn speaker_square(speaker: ArrayView4<'_, u8>, t: usize, fitter: &mut Fitter) -> Result<Vec<u8>, VizError> {
    let frame = speaker.index_axis_move(ndarray::Axis(0), t);
    let (h, w, _) = frame.dim();
    fitter.fit(&frame.as_standard_layout().iter().copied().collect::<Vec<u8>>(), w, h)
}

/// The part of the picture that does not move, and where the panels go.
struct Board {
    ground: Canvas,
    top: usize,
    gap: usize,
}

impl Board {
    fn new(panels: &Panels<'_>) -> Self {
        let labels: Vec<&str> = panels.speaker.iter().map(|_| "Speaker").chain(panels.listeners.iter().map(|l| l.label)).collect();
        let side = panels.side;
        let (size, gap) = (caption_size(side), (side / 32).max(2));
        let top = (2.6 * size).ceil() as usize;
        // H.264 stores colours for blocks of 2 × 2 pixels.
        let even = |n: usize| n + n % 2;
        let mut ground = Canvas::new(even(gap + labels.len() * (side + gap)), even(top + side + gap), GROUND);
        for (i, label) in labels.iter().enumerate() {
            let x = gap + i * (side + gap);
            let label = shortened(label, side as f32, size);
            ground.write(&label, x as f32 + 1.0, 0.8 * size, size, WORDS);
        }
        Self { ground, top, gap }
    }

    fn frame(&self, panels: &Panels<'_>, t: usize, portraits: &mut [Portrait], fitter: &mut Fitter) -> Result<Vec<u8>, VizError> {
        let mut canvas = self.ground.clone();
        let side = panels.side;
        let mut x = self.gap;
        if let Some(speaker) = panels.speaker {
            canvas.put(&speaker_square(speaker, t, fitter)?, side, x, self.top);
            x += side + self.gap;
        }
        let mut square = vec![0; side * side * 3];
        for (listener, portrait) in panels.listeners.iter().zip(portraits) {
            listener.frame(portrait, t, &mut square);
            canvas.put(&square, side, x, self.top);
            x += side + self.gap;
        }
        Ok(canvas.rgb)
    }
}

/// Height of capitals for panels of `side` pixels.
pub(crate) fn caption_size(side: usize) -> f32 {
    (side as f32 / 19.0).clamp(7.0, 16.0)
}

/// `text`, cut so that it is at most `width` pixels wide.
pub(crate) fn shortened(text: &str, width: f32, size: f32) -> String {
    let mut text = text.to_owned();
    while !text.is_empty() && Canvas::text_width(&text, size) > width {
        text.pop();
    }
    text
}
