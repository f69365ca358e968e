//! The speaker's side.
//!
//! ```text
//! video     conv 3→d/4, 7×7, s2, p3 → IN → ReLU → max pool 3×3, s2       block(conv) = ReLU(IN(conv)), IN over (t, h, w)
//!           → block(d/4→d, 7×7, s2, p3) → block(d→d, 3×3, s2, p1)
//!           → x + block(d→d, 3×3, s1, p1) → block(d→d, 3×3, s2, p1) → mean over h, w → Linear d→d
//! behaviour = Linear 2d→d (cat(video, Linear 78→d (audio)))
//! ```
//!
//! The published kernels are 3-D with a temporal size of 1, `[o, c, 1, kh, kw]`: frames meet in the norms only.

use super::Config;
use crate::layers::Linear;
use crate::ops::{ConvBlockShape, Tail, conv_block};
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;
use react_contracts::{AudioFeatures, ContractError, Frames};

/// One convolution with what follows it.
#[derive(Clone, Debug)]
struct Block {
    weight: Tensor,
    stride: usize,
    padding: usize,
    tail: Tail,
}

impl Block {
    fn forward(&self, x_nhwc: &Tensor, frames: usize, mode: &Mode) -> Result<Tensor> {
        let shape = ConvBlockShape { frames, stride: self.stride, padding: self.padding, tail: self.tail };
        Ok(conv_block(x_nhwc, &mode.parameter(&self.weight), shape)?)
    }
}

/// Five convolutions, a mean over the picture, a linear layer.
#[derive(Clone, Debug)]
pub struct VideoEncoder {
    blocks: Vec<Block>,
    fc: Linear,
}

impl VideoEncoder {
    /// Parameters `Conv3D.conv1.weight` … `Conv3D.conv5.weight` and `fc`.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(width: usize, scope: &Scope) -> Result<Self> {
        let convs = [
            (3, width / 4, 7, 2, Tail::ReluMaxPool),
            (width / 4, width, 7, 2, Tail::Relu),
            (width, width, 3, 2, Tail::Relu),
            (width, width, 3, 1, Tail::ReluAdd),
            (width, width, 3, 2, Tail::Relu),
        ];
        let mut blocks = Vec::new();
        for (i, (inputs, outputs, kernel, stride, tail)) in convs.into_iter().enumerate() {
            let init = Init::kaiming(inputs * kernel * kernel);
            let weight = scope.at("Conv3D").at(&format!("conv{}", i + 1)).get("weight", &[outputs, inputs, 1, kernel, kernel], init)?;
            blocks.push(Block { weight, stride, padding: kernel / 2, tail });
        }
        Ok(Self { blocks, fc: Linear::new(width, width, &scope.at("fc"))? })
    }

    /// frames u8 `[b, t, h, w, 3]` → `[b, t, d]`.
    ///
    /// # Errors
    /// Candle's, where the frames are too small.
    pub fn forward(&self, frames: &Frames<Tensor>, mode: &Mode) -> Result<Tensor> {
        let (b, t) = (frames.batch(), frames.frames());
        let mut x_nhwc = frames.get().reshape((b * t, frames.height(), frames.width(), 3))?;
        for block in &self.blocks {
            x_nhwc = block.forward(&x_nhwc, t, mode)?;
        }
        let x_nc = x_nhwc.mean((1, 2))?;
        let width = x_nc.dim(1)?;
        self.fc.forward(&x_nc.reshape((b, t, width))?, mode)
    }
}

/// Video and audio to one feature per frame.
#[derive(Clone, Debug)]
pub struct SpeakerBehaviourEncoder {
    video_encoder: VideoEncoder,
    audio_feature_map: Linear,
    fusion_layer: Linear,
    audio_features: usize,
}

impl SpeakerBehaviourEncoder {
    pub(super) fn new(config: &Config, scope: &Scope) -> Result<Self> {
        let d = config.width;
        Ok(Self {
            video_encoder: VideoEncoder::new(d, &scope.at("video_encoder"))?,
            audio_feature_map: Linear::new(config.audio_features, d, &scope.at("audio_feature_map"))?,
            fusion_layer: Linear::new(2 * d, d, &scope.at("fusion_layer"))?,
            audio_features: config.audio_features,
        })
    }

    /// The video's half: frames u8 `[b, t, h, w, 3]` → `[b, t, d]`.
    ///
    /// # Errors
    /// Candle's, where the frames are too small.
    pub fn video_feature(&self, frames: &Frames<Tensor>, mode: &Mode) -> Result<Tensor> {
        self.video_encoder.forward(frames, mode)
    }

    pub(super) fn forward(&self, frames: &Frames<Tensor>, audio: &AudioFeatures<Tensor>, mode: &Mode) -> Result<Tensor> {
        let fault = |axis, name, want: usize, found| ContractError::axis("speaker_audio", axis, name, want, found);
        if audio.batch() != frames.batch() {
            return Err(fault(0, "batch", frames.batch(), audio.batch()).into());
        }
        if audio.frames() != frames.frames() {
            return Err(fault(1, "frames", frames.frames(), audio.frames()).into());
        }
        if audio.features() != self.audio_features {
            return Err(fault(2, "features", self.audio_features, audio.features()).into());
        }
        let video_btd = self.video_feature(frames, mode)?;
        let audio_btd = self.audio_feature_map.forward(audio.get(), mode)?;
        self.fusion_layer.forward(&Tensor::cat(&[&video_btd, &audio_btd], 2)?, mode)
    }
}
