//! `react-train predict`: reactions to one speaker, from arrays or straight from a video and its sound.

mod checkpoint;
mod input;
mod picture;

pub use checkpoint::Checkpoint;

use crate::Compute;
use crate::cli;
use crate::cli::PredictTask;
use crate::tensors::{array, tensor};
use anyhow::{Context, Result, ensure};
use candle_core::Tensor;
use ndarray::{ArrayD, Axis, Ix3};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_media::FrameShape;
use react_metrics::seams;
use react_model::transvae::{self, Latent, Noise, Reaction, Stream, StreamConfig, TransVae, Windows};
use std::path::Path;

/// Generates the reactions and writes reaction_3dmm.npy `[K, T, 58]` (mean not added), reaction_emotion.npy `[K, T, 25]`,
/// latent_mu.npy and latent_std.npy `[windows, d]` (of the first sample, where each has its own); with `--render` also reaction.mp4
/// and reaction.png. Returns a line that says so.
///
/// # Errors
/// Where the checkpoint, the video or the sound cannot be read, their lengths do not fit, or the checkpoint is of another task.
pub fn predict(args: &cli::Predict, compute: &Compute) -> Result<String> {
    ensure!(args.temperature.is_finite() && args.temperature >= 0.0, "--temperature must be 0 or more, is {}", args.temperature);
    let files = Files::of(args)?;
    let checkpoint = Checkpoint::read_on(files.checkpoint, compute)?;
    check_task(args, &files, &checkpoint.model)?;
    let sizes = checkpoint.frames;
    let shape = FrameShape { shorter: args.shorter.unwrap_or(sizes.shorter), crop: args.crop.unwrap_or(sizes.crop) };
    let (pixels, fps) = input::read_frames(files.video, &shape)?;
    let audio = input::read_features(files.audio, pixels.len_of(Axis(1)), fps, checkpoint.model.config().audio_features)?;
    let speaker = args.render.then(|| pixels.index_axis(Axis(0), 0).to_owned());
    let frames = Frames::new(tensor(pixels, compute.device())?).map_err(|error| error.at(files.video))?;
    let audio = AudioFeatures::new(tensor(audio, compute.device())?).map_err(|error| error.at(files.audio))?;
    let reaction = react(args, compute, &checkpoint.model, &frames, &audio).with_context(|| files.video.display().to_string())?;
    let coeffs = array(reaction.coeffs.get())?;
    let outputs = [
        ("reaction_3dmm.npy", coeffs.clone()),
        ("reaction_emotion.npy", array(reaction.emotion.get())?),
        ("latent_mu.npy", latents(&reaction, |latent| &latent.mu)?),
        ("latent_std.npy", latents(&reaction, |latent| &latent.std)?),
    ];
    for (name, values) in &outputs {
        react_store::write_npy(&files.out.join(name), values)?;
    }
    let mut lines = vec![format!("{} reactions of {} frames in {}", args.samples, frames.frames(), files.out.display())];
    let coeffs = coeffs.into_dimensionality::<Ix3>()?;
    if args.task == Some(PredictTask::Online)
        && let Some(seams) = seams(coeffs.view(), args.window)
    {
        let ratio = seams.ratio().map_or_else(|| "nothing moves inside".to_owned(), |ratio| format!("{ratio:.2} times"));
        lines.push(format!("3DMM jump at window borders {:.4}, inside windows {:.4} ({ratio})", seams.border, seams.inside));
    }
    if let Some(speaker) = speaker {
        lines.push(picture::write(args, files.out, &checkpoint, speaker, coeffs, fps)?);
    }
    Ok(lines.join("\n"))
}

/// The files that a prediction needs.
struct Files<'a> {
    checkpoint: &'a Path,
    video: &'a Path,
    audio: &'a Path,
    out: &'a Path,
}

impl<'a> Files<'a> {
    fn of(args: &'a cli::Predict) -> Result<Self> {
        Ok(Self {
            checkpoint: args.needed("checkpoint", args.checkpoint.as_deref())?,
            video: args.needed("speaker-video", args.speaker_video.as_deref())?,
            audio: args.needed("speaker-audio", args.speaker_audio.as_deref())?,
            out: args.needed("out", args.out.as_deref())?,
        })
    }
}

fn check_task(args: &cli::Predict, files: &Files<'_>, model: &TransVae) -> Result<()> {
    let (of, word) = match model.config().task {
        transvae::Task::Offline => (PredictTask::Offline, "offline"),
        transvae::Task::Online => (PredictTask::Online, "online"),
    };
    ensure!(args.task == Some(of), "{}: the network in it is {word}, and --task says otherwise", files.checkpoint.display());
    let windows = of == PredictTask::Online;
    ensure!(windows || (args.overlap == 0 && !args.stream), "--overlap and --stream are for --task online: offline there are no windows");
    ensure!(args.overlap <= args.window, "--overlap must not exceed --window ({}), is {}", args.window, args.overlap);
    ensure!(!(args.stream && args.overlap > 0), "--stream answers each window once: it has no --overlap");
    Ok(())
}

fn react(
    args: &cli::Predict,
    compute: &Compute,
    model: &TransVae,
    frames: &Frames<Tensor>,
    audio: &AudioFeatures<Tensor>,
) -> Result<Reaction> {
    let (k, mode) = (args.samples as usize, compute.eval());
    let noise = Noise::samples(args.seed, &[0], k, args.temperature as f32);
    if args.stream {
        return stream(args, compute, model, frames, audio);
    }
    let model = model.with_windows(Windows { frames: args.window, tail: args.tail.into() })?;
    let behaviour = model.encode(frames, audio, &mode)?;
    Ok(match args.overlap {
        0 => model.react(&behaviour, &noise, &mode)?,
        overlap => model.react_crossfaded(&behaviour, &noise, overlap, &mode)?,
    })
}

/// The same as a conversation would be answered, frame by frame.
fn stream(
    args: &cli::Predict,
    compute: &Compute,
    model: &TransVae,
    frames: &Frames<Tensor>,
    audio: &AudioFeatures<Tensor>,
) -> Result<Reaction> {
    let config = StreamConfig {
        window: args.window,
        past: args.past,
        samples: args.samples as usize,
        seed: args.seed,
        temperature: args.temperature as f32,
        precision: compute.precision(),
    };
    let mut stream = Stream::new(model, config)?;
    let mut reactions = Vec::new();
    for t in 0..frames.frames() {
        let frame = Frames::new(frames.get().narrow(1, t, 1)?)?;
        reactions.extend(stream.push(&frame, &AudioFeatures::new(audio.get().narrow(1, t, 1)?)?)?);
    }
    reactions.extend(stream.finish()?);
    let emotion: Vec<&Tensor> = reactions.iter().map(|reaction| reaction.emotion.get()).collect();
    let coeffs: Vec<&Tensor> = reactions.iter().map(|reaction| reaction.coeffs.get()).collect();
    let (emotion, coeffs) = (Emotion::new(Tensor::cat(&emotion, 1)?)?, Coeffs3dmm::new(Tensor::cat(&coeffs, 1)?)?);
    Ok(Reaction { emotion, coeffs, latents: reactions.into_iter().flat_map(|reaction| reaction.latents).collect() })
}

/// One of the latent distribution's parts, `[windows, d]`.
fn latents(reaction: &Reaction, part: fn(&Latent) -> &Tensor) -> Result<ArrayD<f32>> {
    let rows = reaction.latents.iter().map(|latent| Ok(array(part(latent))?.index_axis_move(Axis(0), 0)));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    Ok(ndarray::stack(Axis(0), &rows.iter().map(|row| row.view()).collect::<Vec<_>>())?)
}
