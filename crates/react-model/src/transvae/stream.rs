use super::latent::RunningLatent;
use super::online::{Past, fused_part};
use super::video::VideoStream;
use super::{Noise, Reaction, Task, TransVae};
use crate::{Mode, ModelError, Precision, Result};
use candle_core::Tensor;
use react_contracts::{AudioFeatures, Coeffs3dmm, ContractError, Emotion, Frames};

/// How a conversation is answered.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamConfig {
    /// Frames of a window: a reaction comes whenever as many have come in. 8 are 320 ms at 25 frames/s.
    pub window: usize,
    /// Frames of its own past that the 3DMM decoder looks back on.
    pub past: usize,
    /// Reactions generated at once.
    pub samples: usize,
    /// Seed of the latent draws.
    pub seed: u64,
    /// What the draws are multiplied by; 0 takes the latent means.
    pub temperature: f32,
    /// How exactly a GPU computes.
    pub precision: Precision,
}

impl Default for StreamConfig {
    /// One reaction in windows of 8 frames, over the last 30 s of the past.
    fn default() -> Self {
        Self { window: 8, past: 750, samples: 1, seed: 0, temperature: 1.0, precision: Precision::default() }
    }
}

/// The online model in a conversation: frames and audio features go in as they come, every window's reaction comes out, at a cost
/// in time and memory that does not grow with the conversation.
///
/// The model's weights must not change while a conversation goes on: what does not depend on the frames is computed once.
///
/// What differs from [`TransVae::react`], which sees every window's whole past anew:
/// - a frame is convolved once, when it comes, and normalised by the mean and variance of all frames up to the end of its window;
///   it is not normalised again when later frames change them. Only the first window is the same to the bit.
/// - the latent tokens' attention over the past is a running sum: the same up to rounding.
/// - the 3DMM decoder looks back on [`StreamConfig::past`] frames; as long as the conversation is shorter, on all.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_contracts::{AudioFeatures, Frames};
/// use react_model::{Params, transvae::{Config, Stream, StreamConfig, TransVae, Windows}};
/// let params = Params::new(7);
/// let model = TransVae::new(Config::online(16, Windows::of(8)), &params.root())?;
/// let mut stream = Stream::new(&model, StreamConfig::default())?;
/// let mut answered = 0;
/// for _ in 0..20 {
///     let frame = Frames::new(Tensor::zeros((1, 1, 32, 32, 3), DType::U8, &Cpu)?)?;
///     let audio = AudioFeatures::new(Tensor::zeros((1, 1, 78), DType::F32, &Cpu)?)?;
///     for reaction in stream.push(&frame, &audio)? {
///         answered += reaction.coeffs.frames();
///     }
/// }
/// assert_eq!(answered, 16);
/// assert_eq!(stream.finish()?.map(|reaction| reaction.coeffs.frames()), Some(4));
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stream {
    model: TransVae,
    config: StreamConfig,
    noise: Noise,
    video: VideoStream,
    latent: RunningLatent,
    past: Past,
    /// What came in and is not answered yet: frames `[1, m, h, w, 3]` and features `[1, m, 78]`, m < window.
    waiting: Option<(Tensor, Tensor)>,
    windows: usize,
}

impl Stream {
    /// A conversation that begins.
    ///
    /// # Errors
    /// [`ModelError::Config`] where the model is not online, or a size is 0.
    pub fn new(model: &TransVae, config: StreamConfig) -> Result<Self> {
        let fault = |field, what: &str| Err(ModelError::Config { field, what: what.to_owned() });
        if model.config.task != Task::Online {
            return fault("task", "must be online: this model has no layers for windows");
        }
        for (field, size) in [("window", config.window), ("past", config.past), ("samples", config.samples)] {
            if size == 0 {
                return fault(field, "must be 1 or more, is 0");
            }
        }
        Ok(Self {
            noise: Noise::samples(config.seed, &[0], config.samples, config.temperature),
            video: model.speaker_behaviour_encoder.stream(),
            latent: model.reaction_decoder.vae_model.running(config.samples)?,
            past: Past::default(),
            waiting: None,
            windows: 0,
            model: model.clone(),
            config,
        })
    }

    /// Windows answered so far.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.windows
    }

    /// The next frames, u8 `[1, m, h, w, 3]`, and their audio features, `[1, m, 78]` → the reactions of the windows that they fill,
    /// `[samples, window, …]` each, with the window's latent distributions.
    ///
    /// # Errors
    /// Where frames and features do not agree, or the frames' size changes.
    pub fn push(&mut self, frames: &Frames<Tensor>, audio: &AudioFeatures<Tensor>) -> Result<Vec<Reaction>> {
        for (field, found) in [("speaker_video", frames.batch()), ("speaker_audio", audio.batch())] {
            if found != 1 {
                return Err(ContractError::axis(field, 0, "batch", 1, found).into());
            }
        }
        if audio.frames() != frames.frames() {
            return Err(ContractError::axis("speaker_audio", 1, "frames", frames.frames(), audio.frames()).into());
        }
        let (mut frames, mut audio) = (frames.get().clone(), audio.get().clone());
        if let Some((earlier, earlier_audio)) = &self.waiting {
            frames = Tensor::cat(&[earlier, &frames], 1)?;
            audio = Tensor::cat(&[earlier_audio, &audio], 1)?;
        }
        let (count, window) = (frames.dim(1)?, self.config.window);
        let mut reactions = Vec::with_capacity(count / window);
        for start in (0..count / window).map(|i| i * window) {
            reactions.push(self.answer(frames.narrow(1, start, window)?, audio.narrow(1, start, window)?)?);
        }
        let rest = count % window;
        // Copies, so that the answered frames are freed.
        let keep = |x: &Tensor| x.narrow(1, count - rest, rest)?.force_contiguous();
        self.waiting = if rest > 0 { Some((keep(&frames)?, keep(&audio)?)) } else { None };
        Ok(reactions)
    }

    /// The reaction to the frames that do not fill a window, if there are any; the conversation may go on after it.
    ///
    /// # Errors
    /// Candle's.
    pub fn finish(&mut self) -> Result<Option<Reaction>> {
        self.waiting.take().map(|(frames, audio)| self.answer(frames, audio)).transpose()
    }

    fn answer(&mut self, frames: Tensor, audio: Tensor) -> Result<Reaction> {
        let (frames, audio) = (Frames::new(frames.contiguous()?)?, AudioFeatures::new(audio.contiguous()?)?);
        let mode = Mode::eval().with_precision(self.config.precision);
        let behaviour = self.model.speaker_behaviour_encoder.forward_stream(&mut self.video, &frames, &audio, &mode)?;
        self.react(&behaviour)
    }

    /// behaviour of a window's frames `[1, w, d]` → their reaction.
    fn react(&mut self, behaviour_1wd: &Tensor) -> Result<Reaction> {
        let (mode, fusion, decoder) =
            (Mode::eval().with_precision(self.config.precision), &self.model.fusion, &self.model.reaction_decoder);
        let (_, frames, d) = behaviour_1wd.dims3()?;
        let base = fusion.forward_first(behaviour_1wd, &mode)?;
        let base_nwd = base.broadcast_as((self.config.samples, frames, d))?.contiguous()?;
        let (latent, sample_nd) = self.latent.with(&base_nwd, &self.noise, self.windows)?;
        let window = decoder.window(&sample_nd, frames, &mut self.past, &mode)?;
        self.latent.push(&fused_part(fusion, &window, Some(&base_nwd), &mode)?)?;
        self.past.keep(self.config.past)?;
        self.windows += 1;
        Ok(Reaction { emotion: Emotion::new(window.emotion)?, coeffs: Coeffs3dmm::new(window.coeffs)?, latents: vec![latent] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;
    use crate::transvae::{Behaviour, Config, Windows};
    use candle_core::{Device, IndexOp};
    use react_random::Draws;

    fn normal(shape: &[usize], purpose: &str) -> Tensor {
        let mut values = vec![0.0f32; shape.iter().product()];
        Draws::new(4, purpose, 0, 0).fill_normal(&mut values);
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    fn model() -> TransVae {
        TransVae::new(Config::online(16, Windows::of(8)), &Params::new(5).root()).unwrap()
    }

    fn conversation(frames: usize) -> (Frames<Tensor>, AudioFeatures<Tensor>) {
        let mut bytes = vec![0u8; frames * 24 * 24 * 3];
        let mut draws = Draws::new(9, "pixels", 0, 0);
        bytes.iter_mut().for_each(|b| *b = draws.below(256) as u8);
        let video = Tensor::from_vec(bytes, (1, frames, 24, 24, 3), &Device::Cpu).unwrap();
        (Frames::new(video).unwrap(), AudioFeatures::new(normal(&[1, frames, 78], "audio")).unwrap())
    }

    /// From the same behaviour on, streaming and the exact mode are the same up to rounding: the running sum and the cache.
    #[test]
    fn the_same_behaviour_gets_the_same_reactions() {
        let model = model();
        let features = normal(&[1, 43, 16], "behaviour");
        let ends = model.config().windows.ends(43).unwrap();
        let windows = ends.iter().map(|end| features.narrow(1, 0, *end).unwrap().contiguous().unwrap()).collect();
        let behaviour = Behaviour { windows, frames: 43 };
        let exact = model.react(&behaviour, &Noise::samples(3, &[0], 2, 1.0), &Mode::eval()).unwrap();
        let config = StreamConfig { samples: 2, seed: 3, ..StreamConfig::default() };
        let mut stream = Stream::new(&model, config.clone()).unwrap();
        let mut short = Stream::new(&model, StreamConfig { past: 8, ..config }).unwrap();
        let mut start = 0;
        for (i, end) in ends.into_iter().enumerate() {
            let part = features.narrow(1, start, end - start).unwrap().contiguous().unwrap();
            let (long, short) = (stream.react(&part).unwrap(), short.react(&part).unwrap());
            let want = exact.coeffs.get().i((.., start..end)).unwrap();
            assert!(distance(long.coeffs.get(), &want) < 1e-5, "window {i}");
            assert!(distance(long.emotion.get(), &exact.emotion.get().i((.., start..end)).unwrap()) < 1e-5);
            if i > 0 {
                assert!(distance(&long.latents[0].mu, &exact.latents[i].mu) < 1e-5);
            }
            // A past of 8 frames holds one window: the third is the first that misses something.
            assert_eq!(distance(short.coeffs.get(), &want) < 1e-5, i < 2, "window {i}");
            start = end;
        }
    }

    #[test]
    fn the_first_window_is_exact_and_chunks_do_not_matter() {
        let (model, (frames, audio)) = (model(), conversation(27));
        let config = StreamConfig { seed: 3, ..StreamConfig::default() };
        let at_once = Stream::new(&model, config.clone()).unwrap().push(&frames, &audio).unwrap();
        assert_eq!(at_once.len(), 3);
        let exact = model.react(&model.encode(&frames, &audio, &Mode::eval()).unwrap(), &Noise::samples(3, &[0], 1, 1.0), &Mode::eval());
        assert!(distance(at_once[0].coeffs.get(), &exact.unwrap().coeffs.get().i((.., ..8)).unwrap()) < 1e-5);
        for chunk in [1, 5, 11] {
            let mut stream = Stream::new(&model, config.clone()).unwrap();
            let mut reactions = Vec::new();
            for start in (0..27).step_by(chunk) {
                let count = chunk.min(27 - start);
                let frames = Frames::new(frames.get().narrow(1, start, count).unwrap()).unwrap();
                let audio = AudioFeatures::new(audio.get().narrow(1, start, count).unwrap()).unwrap();
                reactions.extend(stream.push(&frames, &audio).unwrap());
            }
            assert_eq!((reactions.len(), stream.windows()), (3, 3));
            for (a, b) in reactions.iter().zip(&at_once) {
                assert_eq!(distance(a.coeffs.get(), b.coeffs.get()), 0.0);
            }
            assert_eq!(stream.finish().unwrap().unwrap().coeffs.frames(), 3);
            assert!(stream.finish().unwrap().is_none());
        }
    }

    #[test]
    fn the_future_does_not_change_the_past() {
        let (model, (frames, audio)) = (model(), conversation(24));
        let all = Stream::new(&model, StreamConfig::default()).unwrap().push(&frames, &audio).unwrap();
        let (half, half_audio) = (frames.get().narrow(1, 0, 16).unwrap(), audio.get().narrow(1, 0, 16).unwrap());
        let mut stream = Stream::new(&model, StreamConfig::default()).unwrap();
        let first = stream.push(&Frames::new(half).unwrap(), &AudioFeatures::new(half_audio).unwrap()).unwrap();
        for (a, b) in first.iter().zip(&all) {
            assert_eq!(distance(a.emotion.get(), b.emotion.get()), 0.0);
        }
        // Another third window gets another answer.
        let other = Frames::new(frames.get().narrow(1, 0, 8).unwrap()).unwrap();
        let third = stream.push(&other, &AudioFeatures::new(audio.get().narrow(1, 0, 8).unwrap()).unwrap()).unwrap();
        assert!(distance(third[0].emotion.get(), all[2].emotion.get()) > 0.0);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let (model, (frames, audio)) = (model(), conversation(4));
        let offline = TransVae::new(Config::of_width(16), &Params::new(5).root()).unwrap();
        assert!(Stream::new(&offline, StreamConfig::default()).unwrap_err().to_string().starts_with("task: must be online"));
        assert!(Stream::new(&model, StreamConfig { past: 0, ..StreamConfig::default() }).is_err());
        let mut stream = Stream::new(&model, StreamConfig::default()).unwrap();
        let short = AudioFeatures::new(audio.get().narrow(1, 0, 3).unwrap()).unwrap();
        let error = stream.push(&frames, &short).unwrap_err().to_string();
        assert_eq!(error, "speaker_audio: axis 1 (frames) must be 4, is 3");
    }
}
