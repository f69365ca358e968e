//! One clip, from its files to what the network reads.

use super::sampling::Sampling;
use super::sound::{CEPSTRA, Sound, read_sound};
use super::video::{Pictures, VideoBuffers, read_pictures};
use crate::DataError;
use crate::faces::Place;
use ndarray::{Array2, Array4};
use std::path::Path;

/// Sizes of a clip as the network reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipShape {
    /// Side of the frames, in pixels.
    pub crop: usize,
    /// Frames.
    pub frames: usize,
    /// Steps of sound.
    pub steps: usize,
}

impl Default for ClipShape {
    /// 32 frames of 112², 128 steps.
    fn default() -> Self {
        Self { crop: 112, frames: 32, steps: 128 }
    }
}

/// A clip as the network reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct EriClip {
    /// u8 RGB `[frames, crop, crop, 3]`; zeros where there is no video.
    pub frames: Array4<u8>,
    /// f32 `[steps, 40]`; zeros where there is no sound.
    pub mfcc: Array2<f32>,
    /// Sound, video: 1, or 0 where it is missing.
    pub keep: [f32; 2],
}

/// Brings a video and a sound to what the network reads, exactly as [`super::prepare_hume`] packs them with the face in the centre:
/// for prediction from files.
///
/// A modality that is not given is missing, as are black pictures and a sound that is silent (below −80 dB) or
/// shorter than 25 ms. `wav` may be any file that
/// holds sound, so also the mp4 itself. The video is decoded once, up to the last frame that is wanted.
///
/// # Errors
/// [`DataError`] where nothing is given, a size is 0, or a file cannot be read.
pub fn prepare_one(mp4: Option<&Path>, wav: Option<&Path>, shape: &ClipShape) -> Result<EriClip, DataError> {
    let ClipShape { crop, frames, steps } = *shape;
    if mp4.is_none() && wav.is_none() {
        return Err(DataError::Loader("a clip needs a video or a sound, and neither is given".to_owned()));
    }
    if [crop, frames, steps].iter().any(|size| !(1..=65_536).contains(size)) {
        return Err(DataError::Loader(format!("clips of {frames} frames of {crop} pixels and {steps} steps of sound do not exist")));
    }
    let sound = match wav {
        Some(file) => read_sound(file, steps)?,
        None => Sound::Silent,
    };
    let pictures = match mp4 {
        Some(file) => Some(read_pictures(file, frames, crop, &Sampling::Uniform, Place::Centre, &mut VideoBuffers::default())?),
        None => None,
    };
    let pictures = pictures.filter(|pictures| !pictures.black());
    let has_face = pictures.is_some();
    let bytes = pictures.map_or_else(|| vec![0; frames * crop * crop * 3], |Pictures { bytes, .. }| bytes);
    let frames = Array4::from_shape_vec((frames, crop, crop, 3), bytes).map_err(|error| DataError::Loader(error.to_string()))?;
    let (mfcc, has_sound) = match sound {
        Sound::Heard(mfcc) => (mfcc, true),
        Sound::Silent | Sound::TooShort => (Array2::zeros((steps, CEPSTRA)), false),
    };
    Ok(EriClip { frames, mfcc, keep: [f32::from(u8::from(has_sound)), f32::from(u8::from(has_face))] })
}
