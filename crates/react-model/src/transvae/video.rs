//! The speaker's side.
//!
//! ```text
//! video     conv 3→d/4, 7×7, s2, p3 → IN → ReLU → max pool 3×3, s2       block(conv) = ReLU(IN(conv)), IN over (t, h, w)
//!           → block(d/4→d, 7×7, s2, p3) → block(d→d, 3×3, s2, p1)
//!           → x + block(d→d, 3×3, s1, p1) → block(d→d, 3×3, s2, p1) → mean over h, w → Linear d→d
//! behaviour = Linear 2d→d (cat(video, Linear 78→d (audio)))
//! ```
//!
//! Online, window i is told by the frames up to its end e_i, normalised anew for every window: conv 1 comes before any norm, so
//! its output is computed once for all windows.
//!
//! The published kernels are 3-D with a temporal size of 1, `[o, c, 1, kh, kw]`: frames meet in the norms only.

use super::Config;
use crate::layers::Linear;
use crate::ops::{ConvBlockShape, Convolved, Running, Tail, conv_block, conv_blocks, picture_mean};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;
use react_contracts::{AudioFeatures, ContractError, Frames};
use std::ops::Range;

/// One convolution with what follows it.
#[derive(Clone, Debug)]
struct Block {
    weight: Tensor,
    stride: usize,
    padding: usize,
    tail: Tail,
}

impl Block {
    fn shape(&self, mode: &Mode) -> ConvBlockShape {
        ConvBlockShape { frames: 0, stride: self.stride, padding: self.padding, tail: self.tail, precision: mode.precision() }
    }

    fn forward(&self, x_nhwc: &Tensor, frames: usize, mode: &Mode) -> Result<Tensor> {
        let shape = ConvBlockShape { frames, ..self.shape(mode) };
        Ok(conv_block(x_nhwc, &mode.parameter(&self.weight), shape)?)
    }

    fn convolve(&self, x_nhwc: &Tensor, mode: &Mode) -> Result<Convolved> {
        Ok(Convolved::new(x_nhwc, &self.weight.detach(), self.shape(mode))?)
    }

    /// The next frames of a conversation, normalised by the moments of all frames so far.
    fn next(&self, x_nhwc: &Tensor, running: &mut Running, mode: &Mode) -> Result<Tensor> {
        Ok(running.next(x_nhwc, &self.weight.detach(), self.shape(mode))?)
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
        let clips: Vec<Range<usize>> = (0..b).map(|clip| clip * t..(clip + 1) * t).collect();
        self.head(&self.convolutions(frames, &clips, mode)?, b, mode)
    }

    /// All five blocks: of u8 frames `[b, t, h, w, 3]` as one sequence → what the views show of them, `[Σ len, h', w', d]`.
    fn convolutions(&self, frames: &Frames<Tensor>, views: &[Range<usize>], mode: &Mode) -> Result<Tensor> {
        let x_nhwc = frames.get().flatten(0, 1)?;
        let blocks: Vec<_> = self.blocks.iter().map(|block| (mode.parameter(&block.weight), block.shape(mode))).collect();
        Ok(conv_blocks(&x_nhwc, &blocks, views)?)
    }

    /// Mean over the picture, and the linear layer: `[b·t, h, w, d]` → `[b, t, d]`.
    fn head(&self, x_nhwc: &Tensor, b: usize, mode: &Mode) -> Result<Tensor> {
        let x_nc = picture_mean(x_nhwc)?;
        let (n, width) = x_nc.dims2()?;
        self.fc.forward(&tape::reshape(&x_nc, (b, n / b, width))?, mode)
    }

    /// What the windows that end at `ends` see: `[b, e, d]` each, normalised over the frames up to e.
    ///
    /// # Errors
    /// Candle's, where the frames are too small.
    pub fn prefixes(&self, frames: &Frames<Tensor>, ends: &[usize], mode: &Mode) -> Result<Vec<Tensor>> {
        match ends {
            [end] if *end == frames.frames() => Ok(vec![self.forward(frames, mode)?]),
            _ if mode.has_gradient() => self.prefixes_at_once(frames, ends, mode),
            _ => self.prefixes_in_turn(frames, ends, mode),
        }
    }

    /// One graph for all windows, so that the backward pass goes through conv 1 once.
    fn prefixes_at_once(&self, frames: &Frames<Tensor>, ends: &[usize], mode: &Mode) -> Result<Vec<Tensor>> {
        let (b, t) = (frames.batch(), frames.frames());
        let clips = |end: usize| (0..b).map(move |clip| clip * t..clip * t + end);
        let views: Vec<Range<usize>> = ends.iter().flat_map(|end| clips(*end)).collect();
        // After the first block a frame has as many copies as there are windows that see it.
        let x_nc = picture_mean(&self.convolutions(frames, &views, mode)?)?;
        let width = x_nc.dim(1)?;
        let mut start = 0;
        let windows = ends.iter().map(|end| {
            let x_btd = tape::reshape(&tape::narrow(&x_nc, 0, start, b * end)?, (b, *end, width))?;
            start += b * end;
            self.fc.forward(&x_btd, mode)
        });
        windows.collect()
    }

    /// One window after the other, so that memory holds one window's arrays.
    fn prefixes_in_turn(&self, frames: &Frames<Tensor>, ends: &[usize], mode: &Mode) -> Result<Vec<Tensor>> {
        let Some((first, others)) = self.blocks.split_first() else { return Ok(Vec::new()) };
        let mut windows = vec![Vec::new(); ends.len()];
        for clip in 0..frames.batch() {
            let x_thwc = frames.get().narrow(0, clip, 1)?.squeeze(0)?;
            let convolved = first.convolve(&x_thwc, mode)?;
            let mut running = Running::default();
            for (window, end) in windows.iter_mut().zip(ends) {
                running.up_to(&convolved, *end)?;
                let mut x_nhwc = convolved.normalise(0..*end, &running, &x_thwc)?;
                for block in others {
                    x_nhwc = block.forward(&x_nhwc, *end, mode)?;
                }
                window.push(self.head(&x_nhwc, 1, mode)?);
            }
        }
        windows.iter().map(|clips| Ok(Tensor::cat(clips, 0)?)).collect()
    }
}

/// The video encoder in a conversation: every frame is convolved once, and normalised by the moments of all frames so far.
#[derive(Clone, Debug)]
pub(super) struct VideoStream {
    encoder: VideoEncoder,
    running: Vec<Running>,
}

impl VideoStream {
    pub(super) fn new(encoder: &VideoEncoder) -> Self {
        Self { encoder: encoder.clone(), running: vec![Running::default(); encoder.blocks.len()] }
    }

    /// The next frames u8 `[1, t, h, w, 3]` → `[1, t, d]`.
    pub(super) fn next(&mut self, frames: &Frames<Tensor>, mode: &Mode) -> Result<Tensor> {
        let mut x_nhwc = frames.get().squeeze(0)?;
        for (block, running) in self.encoder.blocks.iter().zip(&mut self.running) {
            x_nhwc = block.next(&x_nhwc, running, mode)?;
        }
        self.encoder.head(&x_nhwc, 1, mode)
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

    /// What the windows that end at `ends` know of the speaker: `[b, e, d]` each.
    pub(super) fn forward(
        &self,
        frames: &Frames<Tensor>,
        audio: &AudioFeatures<Tensor>,
        ends: &[usize],
        mode: &Mode,
    ) -> Result<Vec<Tensor>> {
        self.check(frames, audio)?;
        let audio_btd = self.audio_feature_map.forward(audio.get(), mode)?;
        let videos = self.video_encoder.prefixes(frames, ends, mode)?;
        videos.iter().map(|video_bed| self.fuse(video_bed, &tape::narrow(&audio_btd, 1, 0, video_bed.dim(1)?)?, mode)).collect()
    }

    /// The same of the next frames of a conversation.
    pub(super) fn forward_stream(
        &self,
        video: &mut VideoStream,
        frames: &Frames<Tensor>,
        audio: &AudioFeatures<Tensor>,
        mode: &Mode,
    ) -> Result<Tensor> {
        self.check(frames, audio)?;
        let audio_btd = self.audio_feature_map.forward(audio.get(), mode)?;
        self.fuse(&video.next(frames, mode)?, &audio_btd, mode)
    }

    pub(super) fn stream(&self) -> VideoStream {
        VideoStream::new(&self.video_encoder)
    }

    fn fuse(&self, video_btd: &Tensor, audio_btd: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.fusion_layer.forward_both([video_btd, audio_btd], mode)
    }

    fn check(&self, frames: &Frames<Tensor>, audio: &AudioFeatures<Tensor>) -> Result<()> {
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
        Ok(())
    }
}
