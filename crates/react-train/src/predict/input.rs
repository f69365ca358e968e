//! The speaker: from arrays as they are, or straight from a video and its sound.

use anyhow::{Context, Result, ensure};
use ndarray::{Array4, Array5, Axis, Ix2, Ix4};
use react_data::mfcc_per_frame;
use react_media::{FrameShape, Resizer, VideoReader, read_audio};
use std::path::Path;

/// Frame rate of the corpora, for frames that come without one.
const FPS: f64 = 25.0;

/// Frames `[1, t, h, w, 3]` and their rate, from an array as it is or a video resized and cropped.
pub(super) fn read_frames(path: &Path, shape: &FrameShape) -> Result<(Array5<u8>, f64)> {
    if is_npy(path) {
        let frames = react_store::read_npy_u8(path)?;
        let found = frames.shape().to_vec();
        let frames: Array4<u8> = frames
            .into_dimensionality::<Ix4>()
            .ok()
            .with_context(|| format!("{}: wanted frames u8 [T,H,W,3], found {found:?}", path.display()))?;
        ensure!(!frames.is_empty(), "{}: holds no frame", path.display());
        return Ok((frames.insert_axis(Axis(0)), FPS));
    }
    let mut video = VideoReader::open(path)?;
    let (width, height, fps) = (video.info().width, video.info().height, video.info().fps);
    let (mut resizer, mut rgb, mut frames, mut count) = (Resizer::new(), Vec::new(), Vec::new(), 0);
    let mut frame = vec![0; shape.bytes()];
    while video.next_frame(&mut rgb)? {
        resizer.apply(&rgb, width, height, shape, &mut frame)?;
        frames.extend_from_slice(&frame);
        count += 1;
    }
    ensure!(count > 0, "{}: holds no frame", path.display());
    Ok((Array5::from_shape_vec((1, count, shape.crop, shape.crop, 3), frames)?, fps))
}

/// The network's `wanted` audio features `[1, t, wanted]`: an array as it is, or computed from sound for `frames` frames.
pub(super) fn read_features(path: &Path, frames: usize, fps: f64, wanted: usize) -> Result<ndarray::Array3<f32>> {
    if is_npy(path) {
        let features = react_store::read_npy_f32(path)?;
        let found = features.shape().to_vec();
        let features = features.into_dimensionality::<Ix2>().ok().filter(|array| array.dim() == (frames, wanted));
        return Ok(features
            .with_context(|| format!("{}: wanted f32 [{frames},{wanted}] for {frames} frames, found {found:?}", path.display()))?
            .insert_axis(Axis(0)));
    }
    let sound = read_audio(path)?;
    let features = mfcc_per_frame(&sound.mono(), sound.rate, frames, fps).with_context(|| path.display().to_string())?;
    let found = features.ncols();
    ensure!(
        found == wanted,
        "{}: at {fps:.2} frames/s a frame has {found} audio features, and the network was trained on {wanted}",
        path.display()
    );
    Ok(features.insert_axis(Axis(0)))
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}
