//! Panel videos: the speaker's frames beside listeners' faces, with sound; and single frames of a panel as PNG.

mod board;

use crate::canvas::Canvas;
pub use crate::canvas::Fitter;
use crate::error::VizError;
use crate::faces::Listener;
use board::Board;
use ndarray::ArrayView4;
use rayon::prelude::*;
use react_face::Portrait;
use react_media::{Audio, Quality, VideoWriter, write_png};
use std::ops::Range;
use std::path::{Path, PathBuf};

pub use board::{GROUND, MOST_IN_A_ROW};
pub(crate) use board::{WORDS, shortened};

/// Frames composed at once: enough to keep every core busy, few enough to stay in the cache of a small machine.
const BATCH: usize = 32;
/// Panel videos are for people to look at.
const QUALITY: Quality = Quality::Good;

/// What stands side by side in a video.
///
/// ```
/// use ndarray::{Array2, Array4};
/// use react_face::Avatar;
/// use react_viz::Listener;
/// use react_viz::video::{Film, Panel, Panels, write_panels};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("panels.mp4");
/// let (speaker, smile) = (Array4::zeros((10, 48, 48, 3)), Array2::zeros((10, 58)));
/// let avatar = Avatar::default();
/// let panels = [
///     Panel::Film(Film { label: "Speaker", frames: speaker.view() }),
///     Panel::Face(Listener { label: "Sample 1", coeffs: smile.view(), avatar: &avatar }),
/// ];
/// let facts = write_panels(&path, &Panels { panels: &panels, fps: 25.0, side: 64, sound: None })?;
/// assert_eq!(facts.frames, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Panels<'a> {
    /// From left to right, and where there are more than [`MOST_IN_A_ROW`], in several rows as equal as can be.
    pub panels: &'a [Panel<'a>],
    /// Frames per second.
    pub fps: f64,
    /// Width and height of a panel in pixels.
    pub side: usize,
    /// What is heard from the first frame on; cut or followed by silence to the video's length.
    pub sound: Option<&'a Audio>,
}

/// One of the pictures side by side.
#[derive(Clone, Copy, Debug)]
pub enum Panel<'a> {
    /// Pictures that are there.
    Film(Film<'a>),
    /// A face drawn from coefficients.
    Face(Listener<'a>),
}

/// Pictures that are there: a speaker's recording, a listener as a network painted them.
#[derive(Clone, Copy, Debug)]
pub struct Film<'a> {
    /// The caption.
    pub label: &'a str,
    /// u8 `[t, h, w, 3]`, RGB, of any size; fitted into the panel.
    pub frames: ArrayView4<'a, u8>,
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

/// Writes the panels as an H.264 mp4, each with its caption above it, and the sound as Opus.
///
/// The video is as long as the shortest panel. The same arrays give the same bytes on any number of threads.
///
/// # Errors
/// Where there is nothing to draw, an array has another shape, a coefficient or sample of sound is not finite, or the file cannot be
/// written.
pub fn write_panels(path: &Path, panels: &Panels<'_>) -> Result<VideoFacts, VizError> {
    let frames = panels.check()?;
    let board = Board::new(panels);
    let Canvas { width, height, .. } = board.ground;
    let mut writer = match panels.sound {
        Some(sound) => VideoWriter::create_with_sound(path, width, height, panels.fps, QUALITY, sound)?,
        None => VideoWriter::create(path, width, height, panels.fps, QUALITY)?,
    };
    let painters: Vec<Painter> = panels.panels.iter().map(|panel| Painter::new(panel, panels.side)).collect();
    let compose = |range: Range<usize>| -> Result<Vec<_>, VizError> {
        let frame = |painters: &mut Vec<Painter>, t| board.frame(panels, t, painters);
        range.into_par_iter().map_init(|| painters.clone(), frame).collect()
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

/// Writes the frames of one panel as `folder/000000.png`, `folder/000001.png`, …, `side` pixels wide and high; returns how many there are.
///
/// # Errors
/// As [`write_panels`].
pub fn write_frames(folder: &Path, panel: &Panel<'_>, side: usize) -> Result<usize, VizError> {
    check_side(side)?;
    panel.check()?;
    std::fs::create_dir_all(folder).map_err(|source| VizError::Folder { path: folder.to_owned(), source })?;
    let painter = Painter::new(panel, side);
    let write = |(painter, square): &mut (Painter, Vec<u8>), t: usize| {
        painter.paint(panel, t, square)?;
        let path: PathBuf = folder.join(format!("{t:06}.png"));
        Ok(write_png(&path, square, side, side)?)
    };
    (0..panel.len()).into_par_iter().map_init(|| (painter.clone(), vec![0; side * side * 3]), write).collect::<Result<(), VizError>>()?;
    Ok(panel.len())
}

impl Panels<'_> {
    /// The number of frames, if everything can be drawn.
    fn check(&self) -> Result<usize, VizError> {
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {}", self.fps) });
        }
        check_side(self.side)?;
        self.panels.iter().try_for_each(Panel::check)?;
        let shortest = self.panels.iter().map(Panel::len).min();
        shortest.filter(|&n| n > 0).ok_or_else(|| VizError::Empty { what: "panel video".to_owned() })
    }
}

fn check_side(side: usize) -> Result<(), VizError> {
    if (16..=1024).contains(&side) {
        return Ok(());
    }
    Err(VizError::Value { what: "side", reason: format!("must be 16 to 1024 pixels, is {side}") })
}

impl Panel<'_> {
    /// The caption.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Self::Film(film) => film.label,
            Self::Face(listener) => listener.label,
        }
    }

    /// Frames that it has.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Film(film) => film.frames.dim().0,
            Self::Face(listener) => listener.coeffs.nrows(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn check(&self) -> Result<(), VizError> {
        match self {
            Self::Film(film) => check_film(film.label, film.frames),
            Self::Face(listener) => listener.check(),
        }
    }
}

/// Refuses pictures of no size or other colours.
pub(crate) fn check_film(label: &str, frames: ArrayView4<'_, u8>) -> Result<(), VizError> {
    let (_, h, w, channels) = frames.dim();
    let what = || format!("frames of {label}");
    if channels != 3 {
        return Err(VizError::Shape { what: what(), axis: "colours", want: 3, got: channels });
    }
    if h == 0 || w == 0 {
        return Err(VizError::Empty { what: what() });
    }
    Ok(())
}

/// Draws one panel, frame after frame; holds every buffer.
#[derive(Clone)]
enum Painter {
    Film(Fitter),
    Face(Box<Portrait>),
}

impl Painter {
    fn new(panel: &Panel<'_>, side: usize) -> Self {
        match panel {
            Panel::Film(_) => Self::Film(Fitter::new(side, GROUND)),
            Panel::Face(listener) => Self::Face(Box::new(listener.portrait(side))),
        }
    }

    /// The square of frame `t`, which must exist.
    fn paint(&mut self, panel: &Panel<'_>, t: usize, square: &mut [u8]) -> Result<(), VizError> {
        match (self, panel) {
            (Self::Film(fitter), Panel::Film(film)) => fitted(film.frames, t, fitter, square),
            (Self::Face(portrait), Panel::Face(listener)) => {
                listener.frame(portrait, t, square);
                Ok(())
            }
            // A painter is made for its panel.
            _ => Ok(()),
        }
    }
}

/// Frame `t` as a square.
pub(crate) fn fitted(frames: ArrayView4<'_, u8>, t: usize, fitter: &mut Fitter, square: &mut [u8]) -> Result<(), VizError> {
    let frame = frames.index_axis_move(ndarray::Axis(0), t);
    let (h, w, _) = frame.dim();
    match frame.as_slice() {
        Some(pixels) => fitter.fit_into(pixels, w, h, square),
        None => fitter.fit_into(&frame.iter().copied().collect::<Vec<u8>>(), w, h, square),
    }
}
