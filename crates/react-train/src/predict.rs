//! `react-train predict`: reactions to one speaker, from arrays or straight from a video and its sound.

use crate::cli;
use crate::config::Frames as FrameSizes;
use crate::tensors::{array, tensor};
use anyhow::{Context, Result, ensure};
use candle_core::Device;
use ndarray::{Array4, Array5, Axis, Ix2, Ix4};
use react_contracts::{AudioFeatures, FEATURES_PER_WINDOW, Frames};
use react_data::mfcc_per_frame;
use react_media::{FrameShape, Resizer, VideoReader, read_audio};
use react_model::transvae::{Config, Noise, TransVae};
use react_model::weights::{self, Tensors};
use react_model::{Mode, Params};
use std::path::Path;

/// Frame rate of the corpora, for frames that come without one.
const FPS: f64 = 25.0;
/// The published size of frames, for checkpoints that do not say theirs.
const PUBLISHED_FRAMES: FrameSizes = FrameSizes { shorter: 256, crop: 224 };

/// A network read from a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// The network.
    pub model: TransVae,
    /// The frames that it was trained on.
    pub frames: FrameSizes,
}

impl Checkpoint {
    /// Reads a checkpoint of this program (.safetensors) or of the published one (.pth); the width comes from its weights.
    ///
    /// # Errors
    /// Where the file cannot be read, or its tensors are not those of the network.
    pub fn read(path: &Path) -> Result<Self> {
        let tensors = Tensors::read(path)?;
        let params = Params::new(0);
        let model =
            TransVae::new(Config::of_width(tensors.transvae_width()?), &params.root()).with_context(|| path.display().to_string())?;
        weights::load(&tensors, &params)?;
        let frames = match tensors.note().values.get("frames") {
            Some(text) => serde_json::from_str(text).with_context(|| format!("{}: its note on frames", path.display()))?,
            None => PUBLISHED_FRAMES,
        };
        Ok(Self { model, frames })
    }
}

/// Converts a checkpoint of either kind to safetensors; returns the number of parameters.
///
/// # Errors
/// As [`Checkpoint::read`], and where the new file cannot be written.
pub fn convert(from: &Path, to: &Path) -> Result<usize> {
    let tensors = Tensors::read(from)?;
    let params = Params::new(0);
    TransVae::new(Config::of_width(tensors.transvae_width()?), &params.root()).with_context(|| from.display().to_string())?;
    weights::load(&tensors, &params)?;
    weights::save(to, &params, None, &tensors.note().values)?;
    Ok(params.count())
}

/// Generates the reactions and writes reaction_3dmm.npy `[K, T, 58]` (mean not added), reaction_emotion.npy `[K, T, 25]`,
/// latent_mu.npy and latent_std.npy `[windows, d]`; returns a line that says so.
///
/// # Errors
/// Where the checkpoint, the video or the sound cannot be read, or their lengths do not fit.
pub fn predict(args: &cli::Predict) -> Result<String> {
    ensure!(args.temperature.is_finite() && args.temperature >= 0.0, "--temperature must be 0 or more, is {}", args.temperature);
    let checkpoint = Checkpoint::read(&args.checkpoint)?;
    let shape =
        FrameShape { shorter: args.shorter.unwrap_or(checkpoint.frames.shorter), crop: args.crop.unwrap_or(checkpoint.frames.crop) };
    let (frames, fps) = read_frames(&args.speaker_video, &shape)?;
    let audio = read_features(&args.speaker_audio, frames.len_of(Axis(1)), fps)?;
    let (k, model) = (args.samples as usize, &checkpoint.model);
    let frames = Frames::new(tensor(frames, &Device::Cpu)?).map_err(|error| error.at(&args.speaker_video))?;
    let audio = AudioFeatures::new(tensor(audio, &Device::Cpu)?).map_err(|error| error.at(&args.speaker_audio))?;
    let behaviour = model.encode(&frames, &audio, &Mode::eval())?;
    let noise = Noise::samples(args.seed, &[0], k, args.temperature as f32);
    let reaction = model.react(&behaviour, &noise, &Mode::eval())?;
    let latents = |part: fn(&react_model::transvae::Latent) -> &candle_core::Tensor| -> Result<_> {
        let rows = reaction.latents.iter().map(|latent| Ok(array(part(latent))?.index_axis_move(Axis(0), 0)));
        let rows = rows.collect::<Result<Vec<_>>>()?;
        Ok(ndarray::stack(Axis(0), &rows.iter().map(|row| row.view()).collect::<Vec<_>>())?)
    };
    let outputs = [
        ("reaction_3dmm.npy", array(reaction.coeffs.get())?),
        ("reaction_emotion.npy", array(reaction.emotion.get())?),
        ("latent_mu.npy", latents(|latent| &latent.mu)?),
        ("latent_std.npy", latents(|latent| &latent.std)?),
    ];
    for (name, values) in &outputs {
        react_store::write_npy(&args.out.join(name), values)?;
    }
    Ok(format!("{k} reactions of {} frames in {}", reaction.emotion.frames(), args.out.display()))
}

/// Frames `[1, t, h, w, 3]` and their rate, from an array as it is or a video resized and cropped.
fn read_frames(path: &Path, shape: &FrameShape) -> Result<(Array5<u8>, f64)> {
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

/// Audio features `[1, t, 78]`: an array as it is, or computed from sound for `frames` frames.
fn read_features(path: &Path, frames: usize, fps: f64) -> Result<ndarray::Array3<f32>> {
    if is_npy(path) {
        let features = react_store::read_npy_f32(path)?;
        let found = features.shape().to_vec();
        let features = features
            .into_dimensionality::<Ix2>()
            .ok()
            .filter(|array| array.nrows() == frames && array.ncols().is_multiple_of(FEATURES_PER_WINDOW));
        return Ok(features
            .with_context(|| format!("{}: wanted f32 [{frames},78] for {frames} frames, found {found:?}", path.display()))?
            .insert_axis(Axis(0)));
    }
    let sound = read_audio(path)?;
    Ok(mfcc_per_frame(&sound.mono(), sound.rate, frames, fps).with_context(|| path.display().to_string())?.insert_axis(Axis(0)))
}

fn is_npy(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
}
