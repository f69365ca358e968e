//! Emotional reaction intensities from a face, a voice, or both: the dual-branch network.
//!
//! After the dual-branch system of the Hume-Reaction track (Yu et al., "A Dual Branch Network for Emotional Reaction Intensity
//! Estimation", 2023), whose authors published a figure, an abstract and numbers; what those leave open is chosen here.
//!
//! ```text
//! video   frame → backbone → tokens + positions → 2 pre-norm Transformer layers → Σ softmax(gate)·token → v_t
//!         v = temporal(v_1 … v_t)
//! audio   a = temporal(Linear(mfcc))
//! temporal(x) = mean over time of 4 pre-norm Transformer layers (TCN(x) + positions),  TCN: 3 causal blocks, dilation 1, 2, 4
//! intensity = σ(Linear(drop(relu(Linear(cat(a, v))))))                a modality that is missing is a vector of zeros
//! ```
//!
//! Axes: b clips · t frames · n = b·t · s tokens of a frame · c channels · d = 4·stem width · e emotions.

mod backbone;
mod branch;
mod loss;

pub use backbone::Backbone;
pub use branch::{AudioBranch, SpatialAttention, Temporal, VideoBranch};
pub use loss::{EriLoss, eri_loss};

use crate::layers::{LayerDropout, Linear};
use crate::ops::Activation;
use crate::tape;
use crate::{Mode, ModelError, Result, Scope};
use candle_core::{DType, Device, Tensor};
use react_random::Draws;

/// Which modalities the network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modalities {
    /// The voice alone.
    Audio,
    /// The face alone.
    Video,
    /// Both.
    Fusion,
}

/// Sizes of the network.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Its modalities.
    pub modalities: Modalities,
    /// Channels of the stem; d is four times as many. 64 as in ResNet-18.
    pub stem: usize,
    /// Cepstra of a step of sound.
    pub cepstra: usize,
    /// Emotions: seven in Hume-Reaction.
    pub emotions: usize,
    /// Values of a frame that a frozen network has seen before ([`crate::frozen`]); without it the network sees pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_features: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Self { modalities: Modalities::Fusion, stem: 64, cepstra: 40, emotions: 7, frame_features: None }
    }
}

impl Config {
    /// d, the width of both branches.
    #[must_use]
    pub fn width(&self) -> usize {
        4 * self.stem
    }

    fn check(&self) -> Result<()> {
        for (field, value, most) in [
            ("stem", self.stem, 1024),
            ("cepstra", self.cepstra, 4096),
            ("emotions", self.emotions, 4096),
            ("frame_features", self.frame_features.unwrap_or(1), 65_536),
        ] {
            if value == 0 || value > most {
                return Err(ModelError::Config { field, what: format!("must be 1 to {most}, is {value}") });
            }
        }
        Ok(())
    }
}

/// What the network is shown: a modality that it has not is ignored.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Faces, u8 `[b, t, h, w, 3]`.
    pub frames: Option<Tensor>,
    /// What a frozen network saw of each frame, f32 `[b, t, features]`, for networks that were made for it.
    pub features: Option<Tensor>,
    /// Sound, f32 `[b, steps, cepstra]`.
    pub mfcc: Option<Tensor>,
    /// 1 where a clip's modality is there, 0 where it is missing, f32 `[b, 2]` (audio, video); without it all are there.
    pub keep: Option<Tensor>,
}

/// What it answers.
#[derive(Clone, Debug)]
pub struct Output {
    /// Intensities in (0, 1), `[b, e]`.
    pub intensity: Tensor,
    /// The voice, `[b, d]`, as it came from its branch.
    pub audio: Option<Tensor>,
    /// The face, `[b, d]`.
    pub video: Option<Tensor>,
    /// What share of a frame's vector each place in it has, `[n, s]`, rows of the picture one after the other; none where a frozen
    /// network looked.
    pub attention: Option<Tensor>,
}

/// The dual-branch network.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, Params, eri::{Config, Eri, Input, Modalities}};
/// let params = Params::new(7);
/// let model = Eri::new(Config { stem: 4, modalities: Modalities::Fusion, ..Config::default() }, &params.root())?;
/// let frames = Tensor::zeros((2, 3, 48, 48, 3), DType::U8, &Cpu)?;
/// let mfcc = Tensor::zeros((2, 16, 40), DType::F32, &Cpu)?;
/// // The second clip has no sound.
/// let keep = Tensor::new(&[[1f32, 1.0], [0.0, 1.0]], &Cpu)?;
/// let out = model.forward(&Input { frames: Some(frames), mfcc: Some(mfcc), keep: Some(keep), ..Input::default() }, &Mode::eval())?;
/// assert_eq!(out.intensity.dims(), [2, 7]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Eri {
    config: Config,
    audio: Option<AudioBranch>,
    video: Option<VideoBranch>,
    head: [Linear; 2],
    dropout: LayerDropout,
}

impl Eri {
    /// A network with parameters `audio`, `video` (what it has of them) and `head`.
    ///
    /// # Errors
    /// [`ModelError::Config`], [`ModelError::Duplicate`].
    pub fn new(config: Config, scope: &Scope) -> Result<Self> {
        config.check()?;
        let d = config.width();
        let audio = match config.modalities {
            Modalities::Video => None,
            Modalities::Audio | Modalities::Fusion => Some(AudioBranch::new(config.cepstra, d, &scope.at("audio"))?),
        };
        let video = match config.modalities {
            Modalities::Audio => None,
            Modalities::Video | Modalities::Fusion => Some(VideoBranch::new(&config, &scope.at("video"))?),
        };
        let inputs = d * (usize::from(audio.is_some()) + usize::from(video.is_some()));
        let head = scope.at("head");
        Ok(Self {
            config,
            audio,
            video,
            head: [Linear::new(inputs, d, &head.at("0"))?, Linear::new(d, config.emotions, &head.at("3"))?],
            dropout: LayerDropout::new(0.3, head.path("2")),
        })
    }

    /// The sizes that it was made with.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Intensities of a batch.
    ///
    /// # Errors
    /// [`ModelError::Config`] where a modality that the network has is not there, or shapes do not fit.
    pub fn forward(&self, input: &Input, mode: &Mode) -> Result<Output> {
        let missing = |field| ModelError::Config { field, what: "is missing: this network has a branch for it".to_owned() };
        let audio = match &self.audio {
            Some(branch) => Some(branch.forward(input.mfcc.as_ref().ok_or_else(|| missing("mfcc"))?, mode)?),
            None => None,
        };
        let (mut video, mut attention) = (None, None);
        if let Some(branch) = &self.video {
            let (seen, name) = if branch.sees_pixels() { (&input.frames, "frames") } else { (&input.features, "features") };
            let (vector, weights) = branch.forward(seen.as_ref().ok_or_else(|| missing(name))?, mode)?;
            (video, attention) = (Some(vector), weights);
        }
        let kept = |vector: &Tensor, column: usize| -> Result<Tensor> {
            match &input.keep {
                None => Ok(vector.clone()),
                Some(keep) if keep.dims() == [vector.dim(0)?, 2] => Ok(tape::mul(vector, &keep.narrow(1, column, 1)?)?),
                Some(keep) => {
                    let what = format!("must be [{}, 2], is {:?}", vector.dim(0)?, keep.dims());
                    Err(ModelError::Config { field: "keep", what })
                }
            }
        };
        let vectors = [audio.as_ref().map(|a| kept(a, 0)), video.as_ref().map(|v| kept(v, 1))];
        let vectors = vectors.into_iter().flatten().collect::<Result<Vec<_>>>()?;
        let hidden = self.head[0].forward_then(&tape::cat(&vectors, 1)?, Activation::RELU, mode)?;
        let hidden = self.dropout.forward(&hidden, mode)?;
        let intensity = tape::result(&tape::sigmoid(&self.head[1].forward(&hidden, mode)?)?)?;
        Ok(Output { intensity, audio, video, attention })
    }
}

/// Modality dropout: for each clip of a batch, with probability `p`, one of the two modalities is left out, never both: f32 `[b, 2]`
/// for [`Input::keep`], a function of (seed, step).
///
/// # Errors
/// Candle's.
pub fn modality_dropout(seed: u64, step: u32, batch: usize, p: f32) -> Result<Tensor> {
    let mut draws = Draws::new(seed, "modality dropout", step, 0);
    let mut keep = Vec::with_capacity(2 * batch);
    for _ in 0..batch {
        let (dropped, audio) = (draws.uniform() < p, draws.uniform() < 0.5);
        keep.extend([f32::from(!(dropped && audio)), f32::from(!dropped || audio)]);
    }
    Ok(Tensor::from_vec(keep, (batch, 2), &Device::Cpu)?.to_dtype(DType::F32)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modality_dropout_leaves_one() {
        let rows = modality_dropout(1, 2, 10_000, 0.3).unwrap().to_vec2::<f32>().unwrap();
        assert!(rows.iter().all(|row| row[0] + row[1] >= 1.0));
        let share = |column: usize| rows.iter().filter(|row| row[column] == 0.0).count() as f64 / 10_000.0;
        assert!((share(0) - 0.15).abs() < 0.02 && (share(1) - 0.15).abs() < 0.02, "{} {}", share(0), share(1));
        assert_eq!(rows, modality_dropout(1, 2, 10_000, 0.3).unwrap().to_vec2::<f32>().unwrap());
        assert_ne!(rows, modality_dropout(1, 3, 10_000, 0.3).unwrap().to_vec2::<f32>().unwrap());
    }
}
