//! Trans-VAE, the challenge's baseline: a speaker's face and voice in, a listener's facial reaction out.
//!
//! Song et al., "REACT 2023: the first Multi-modal Multiple Appropriate Facial Reaction Generation Challenge", 2023; parameter
//! names and arithmetic are those of the program published with it.
//!
//! ```text
//! speaker_behaviour_encoder      behaviour = Linear(cat(video encoder(frames), Linear(audio)))
//! reaction_decoder.vae_model     [mu, logvar, …] = encoder layer([mu_token, logvar_token, Linear(behaviour)…])
//!                                z = mu + eps·std        std = √exp(logvar)
//! reaction_decoder               r = decoder₂(decoder₁(positions, z), decoder₁(positions, z))
//!                                coeffs = Linear(r)      emotion = Linear(Linear(cat(coeffs, r)))
//! ```
//!
//! Axes: b clips · k samples of a clip · t frames · h, w pixels · c channels · d width of the model (128).

mod decoder;
mod latent;
mod noise;
mod online;
mod stream;
mod video;
mod windows;

pub use decoder::ReactionDecoder;
pub use latent::{Latent, LatentModel};
pub use noise::Noise;
pub use online::OnlineDecoder;
pub use stream::{Stream, StreamConfig};
pub use video::{SpeakerBehaviourEncoder, VideoEncoder};
pub use windows::{Tail, Task, Windows};

use crate::layers::{Linear, NormOrder, TransformerConfig};
use crate::tape;
use crate::{Mode, ModelError, Result, Scope};
use candle_core::Tensor;
use react_contracts::{ATTRIBUTES, AudioFeatures, COEFFS, Coeffs3dmm, Emotion, Frames, ReactionCoeffs, Reactions};

/// Sizes of the model.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// d, the width of the model: a multiple of 4 and of `heads`.
    pub width: usize,
    /// Heads of every attention.
    pub heads: usize,
    /// Audio features of a frame.
    pub audio_features: usize,
    /// Probability of every dropout.
    pub dropout: f32,
    /// Whether the clip is answered as a whole or window by window; the online model has more layers.
    pub task: Task,
    /// How online clips are cut.
    pub windows: Windows,
}

impl Default for Config {
    /// The published model, offline.
    fn default() -> Self {
        Self {
            width: 128,
            heads: 4,
            audio_features: react_contracts::AUDIO_FEATURES,
            dropout: 0.1,
            task: Task::Offline,
            windows: Windows::default(),
        }
    }
}

impl Config {
    /// The published model at another width.
    #[must_use]
    pub fn of_width(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// The published online model at any width.
    #[must_use]
    pub fn online(width: usize, windows: Windows) -> Self {
        Self { width, task: Task::Online, windows, ..Self::default() }
    }

    fn check(&self) -> Result<()> {
        let fault = |field, what: String| Err(ModelError::Config { field, what });
        if self.width == 0 || !self.width.is_multiple_of(4) || self.width > 4096 {
            return fault("width", format!("must be a multiple of 4 up to 4096, is {}", self.width));
        }
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            return fault("heads", format!("must divide the width {}, is {}", self.width, self.heads));
        }
        if self.audio_features == 0 || self.audio_features > 4096 {
            return fault("audio_features", format!("must be 1 to 4096, is {}", self.audio_features));
        }
        if self.windows.frames == 0 {
            return fault("windows.frames", "must be 1 or more, is 0".to_owned());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fault("dropout", format!("must be in [0, 1), is {}", self.dropout));
        }
        Ok(())
    }

    fn transformer(&self) -> TransformerConfig {
        TransformerConfig {
            width: self.width,
            heads: self.heads,
            feed_forward: 2 * self.width,
            dropout: self.dropout,
            order: NormOrder::Post,
        }
    }
}

/// What the model knows of the speaker: f32 `[b, t, d]`, online one for each window, of all frames up to its end. One encoding
/// serves every pass and every sample.
#[derive(Clone, Debug)]
pub struct Behaviour {
    windows: Vec<Tensor>,
    frames: usize,
}

impl Behaviour {
    /// Features of a whole clip that were computed before, f32 `[b, t, d]`.
    ///
    /// # Errors
    /// [`ModelError::Config`] where there are not three axes.
    pub fn new(features_btd: Tensor) -> Result<Self> {
        match *features_btd.dims() {
            [_, frames, _] => Ok(Self { windows: vec![features_btd], frames }),
            ref found => Err(ModelError::Config { field: "behaviour", what: format!("must be [b, t, d], is {found:?}") }),
        }
    }

    /// The features of the last window: of all frames, `[b, t, d]`.
    #[must_use]
    pub fn tensor(&self) -> &Tensor {
        // There is always a window.
        &self.windows[self.windows.len() - 1]
    }

    /// The features of each window, `[b, e, d]`; offline one.
    #[must_use]
    pub fn windows(&self) -> &[Tensor] {
        &self.windows
    }

    /// The same without the graph behind it: for a pass that needs no gradient.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { windows: self.windows.iter().map(Tensor::detach).collect(), frames: self.frames }
    }
}

/// What the model answers: rows of a batch are clips, or the samples of each clip one after the other.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// Emotion attributes, `[b·k, t, 25]`.
    pub emotion: Emotion<Tensor>,
    /// 3DMM coefficients minus the mean face, `[b·k, t, 58]`.
    pub coeffs: Coeffs3dmm<Tensor>,
    /// The latent distribution of each window, `[b, d]`; online, from the second window on, each sample has its own, `[b·k, d]`.
    pub latents: Vec<Latent>,
}

impl Reaction {
    /// The end of what a [`crate::optim::Recording`] holds.
    fn recorded(self) -> Result<Self> {
        let of = |latent: Latent| -> Result<Latent> {
            let [mu, std, logvar] = [&latent.mu, &latent.std, &latent.logvar].map(tape::result);
            Ok(Latent { mu: mu?, std: std?, logvar: logvar? })
        };
        Ok(Self {
            emotion: Emotion::new(tape::result(self.emotion.get())?)?,
            coeffs: Coeffs3dmm::new(tape::result(self.coeffs.get())?)?,
            latents: self.latents.into_iter().map(of).collect::<Result<_>>()?,
        })
    }

    /// Attributes and coefficients as `samples` of each clip: `[n, k, t, 25]` and `[n, k, t, 58]`.
    ///
    /// # Errors
    /// Where the batch is not a multiple of `samples`.
    pub fn samples(&self, samples: usize) -> Result<(Reactions<Tensor>, ReactionCoeffs<Tensor>)> {
        let (rows, frames) = (self.emotion.batch(), self.emotion.frames());
        if samples == 0 || !rows.is_multiple_of(samples) {
            return Err(ModelError::Config { field: "samples", what: format!("{rows} rows are not clips of {samples} samples") });
        }
        let clips = rows / samples;
        let emotion = self.emotion.get().reshape((clips, samples, frames, ATTRIBUTES))?;
        Ok((Reactions::new(emotion)?, ReactionCoeffs::new(self.coeffs.get().reshape((clips, samples, frames, COEFFS))?)?))
    }
}

/// The model: offline it sees the whole clip before it answers, online ([`Config::online`]) the frames up to the end of each window.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_contracts::{AudioFeatures, Frames};
/// use react_model::{Mode, Params, transvae::{Config, Noise, TransVae}};
/// let params = Params::new(7);
/// let model = TransVae::new(Config::of_width(16), &params.root())?;
/// let frames = Frames::new(Tensor::zeros((1, 3, 32, 32, 3), DType::U8, &Cpu)?)?;
/// let audio = AudioFeatures::new(Tensor::zeros((1, 3, 78), DType::F32, &Cpu)?)?;
/// let behaviour = model.encode(&frames, &audio, &Mode::eval())?;
/// let ten = Noise::samples(1, &[42], 10, 1.0); // seed 1, clip number 42, ten samples
/// let (emotion, coeffs) = model.react(&behaviour, &ten, &Mode::eval())?.samples(10)?;
/// assert_eq!((emotion.get().dims(), coeffs.get().dims()), (&[1, 10, 3, 25][..], &[1, 10, 3, 58][..]));
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TransVae {
    config: Config,
    fusion: Linear,
    speaker_behaviour_encoder: SpeakerBehaviourEncoder,
    reaction_decoder: ReactionDecoder,
}

impl TransVae {
    /// A model with new parameters. `fusion` is among them, as in the published file; offline it has no gradient.
    ///
    /// # Errors
    /// [`ModelError::Config`], [`ModelError::Duplicate`].
    pub fn new(config: Config, scope: &Scope) -> Result<Self> {
        config.check()?;
        Ok(Self {
            config,
            fusion: Linear::new(config.width + COEFFS + ATTRIBUTES, config.width, &scope.at("fusion"))?,
            speaker_behaviour_encoder: SpeakerBehaviourEncoder::new(&config, &scope.at("speaker_behaviour_encoder"))?,
            reaction_decoder: ReactionDecoder::new(&config, &scope.at("reaction_decoder"))?,
        })
    }

    /// The sizes that it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The part that looks at the speaker.
    #[must_use]
    pub fn encoder(&self) -> &SpeakerBehaviourEncoder {
        &self.speaker_behaviour_encoder
    }

    /// The same weights with the clip cut otherwise.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a window has no frames.
    pub fn with_windows(&self, windows: Windows) -> Result<Self> {
        let config = Config { windows, ..self.config };
        config.check()?;
        Ok(Self { config, ..self.clone() })
    }

    /// frames u8 `[b, t, h, w, 3]`, audio `[b, t, 78]` → behaviour `[b, t, d]`, online that of every window.
    ///
    /// # Errors
    /// Where batch, frames or features do not agree, the frames are smaller than 5×5 pixels, or the clip holds no window.
    pub fn encode(&self, frames: &Frames<Tensor>, audio: &AudioFeatures<Tensor>, mode: &Mode) -> Result<Behaviour> {
        let ends = match self.config.task {
            Task::Offline => vec![frames.frames()],
            Task::Online => self.config.windows.ends(frames.frames())?,
        };
        let windows = self.speaker_behaviour_encoder.forward(frames, audio, &ends, mode)?;
        Ok(Behaviour { windows, frames: frames.frames() })
    }

    /// What the model knows of the speaker, and a draw for each of b·k samples → reactions of t frames.
    ///
    /// # Errors
    /// Where the draws do not fit the batch.
    pub fn react(&self, behaviour: &Behaviour, noise: &Noise, mode: &Mode) -> Result<Reaction> {
        self.check(behaviour)?;
        let reaction = match self.config.task {
            Task::Offline => self.reaction_decoder.forward(behaviour.tensor(), noise, mode),
            Task::Online => self.reaction_decoder.forward_online(behaviour, &self.fusion, noise, 0, mode),
        }?;
        reaction.recorded()
    }

    /// [`Self::react`] of the online model without its seams: each window is generated `overlap` frames further than it reaches,
    /// and the next one's first frames are cross-faded with those. What the model sees of its own past is not: the windows
    /// themselves are as without it. No frame waits for a later window.
    ///
    /// # Errors
    /// As [`Self::react`], and [`ModelError::Config`] where the model is not online.
    pub fn react_crossfaded(&self, behaviour: &Behaviour, noise: &Noise, overlap: usize, mode: &Mode) -> Result<Reaction> {
        if self.config.task != Task::Online {
            return Err(ModelError::Config { field: "overlap", what: "is for windows: this model answers a clip as a whole".to_owned() });
        }
        self.check(behaviour)?;
        self.reaction_decoder.forward_online(behaviour, &self.fusion, noise, overlap, mode)
    }

    fn check(&self, behaviour: &Behaviour) -> Result<()> {
        let dims = behaviour.tensor().dims();
        if dims.last() == Some(&self.config.width) {
            return Ok(());
        }
        Err(ModelError::Config { field: "behaviour", what: format!("must be [b, t, {}], is {dims:?}", self.config.width) })
    }
}
