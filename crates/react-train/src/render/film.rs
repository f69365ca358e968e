//! The speaker's pictures and sound, as a video shows them.

use anyhow::{Context, Result, ensure};
use ndarray::{Array4, Ix4};
use react_media::{Audio, AudioOptions, MediaError, VideoReader, read_audio_with};
use react_viz::video::{Fitter, GROUND};
use std::path::Path;

/// Frame rate of the corpora, for frames that come without one.
pub(crate) const FPS: f64 = 25.0;

/// Pictures for a panel.
#[derive(Clone, Debug)]
pub(crate) struct Film {
    /// u8 `[t, h, w, 3]`: of a video squares of the panel's size, of an array as they are.
    pub(crate) frames: Array4<u8>,
    /// Frames per second.
    pub(crate) fps: f64,
    /// Frames that the file has.
    pub(crate) of: usize,
}

/// Reads at most `most` frames from frame `first` on. Of a video each becomes a square at once, so that a recording of any size takes
/// no more memory than its panel.
pub(crate) fn read_film(path: &Path, first: usize, most: usize, side: usize) -> Result<Film> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy")) {
        let frames = react_store::read_npy_u8(path)?;
        let found = frames.shape().to_vec();
        let frames: Array4<u8> = frames
            .into_dimensionality::<Ix4>()
            .ok()
            .filter(|frames| frames.dim().3 == 3 && !frames.is_empty())
            .with_context(|| format!("{}: wanted frames u8 [T,H,W,3], found {found:?}", path.display()))?;
        let of = frames.dim().0;
        return Ok(Film { frames, fps: FPS, of });
    }
    let mut video = VideoReader::open(path)?;
    let (width, height, fps, of) = (video.info().width, video.info().height, video.info().fps, video.info().frames);
    ensure!(first < of, "{}: it has {of} frames, and frame {first} is wanted", path.display());
    video.seek(first)?;
    let count = most.min(of - first);
    let (mut fitter, mut rgb, mut frames) = (Fitter::new(side, GROUND), Vec::new(), Array4::zeros((count, side, side, 3)));
    for (t, mut square) in frames.outer_iter_mut().enumerate() {
        ensure!(video.next_frame(&mut rgb)?, "{}: it ends at frame {}", path.display(), first + t);
        let square = square.as_slice_mut().context("a picture in one piece")?;
        fitter.fit_into(&rgb, width, height, square)?;
    }
    Ok(Film { frames, fps, of })
}

/// The stretch of a file's sound that belongs to some frames; none where the file holds none.
pub(crate) fn read_sound(path: &Path, from: f64, seconds: f64) -> Result<Option<Audio>> {
    match read_audio_with(path, &AudioOptions { from, seconds, ..AudioOptions::default() }) {
        Ok(sound) => Ok(Some(sound)),
        Err(MediaError::NoTrack { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
