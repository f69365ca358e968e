//! The two branches.

use super::{Backbone, Config};
use crate::layers::{EncoderLayer, Linear, NormOrder, TcnBlock, TransformerConfig, positions};
use crate::tape;
use crate::{Mode, Result, Scope};
use candle_core::Tensor;

/// Heads of every attention.
const HEADS: usize = 4;

fn transformer(width: usize, dropout: f32) -> TransformerConfig {
    TransformerConfig { width, heads: HEADS, feed_forward: 2 * width, dropout, order: NormOrder::Pre }
}

fn encoder(layers: usize, config: &TransformerConfig, scope: &Scope) -> Result<Vec<EncoderLayer>> {
    (0..layers).map(|i| EncoderLayer::new(config, &scope.at("layers").at(&i.to_string()))).collect()
}

/// `x + positions`, `[…, t, d]`.
fn placed(x: &Tensor) -> Result<Tensor> {
    let (_, t, d) = x.dims3()?;
    Ok(tape::add(x, &positions(t, d, x.device())?)?)
}

/// What both branches do over time: `[b, t, d]` → `[b, d]`.
#[derive(Clone, Debug)]
pub struct Temporal {
    tcn: Vec<TcnBlock>,
    encoder: Vec<EncoderLayer>,
}

impl Temporal {
    fn new(width: usize, scope: &Scope) -> Result<Self> {
        let tcn = [1, 2, 4].into_iter().enumerate();
        let tcn = tcn.map(|(i, dilation)| TcnBlock::new(width, dilation, 0.2, &scope.at("tcn").at(&i.to_string())));
        Ok(Self { tcn: tcn.collect::<Result<_>>()?, encoder: encoder(4, &transformer(width, 0.2), &scope.at("encoder"))? })
    }

    fn forward(&self, x_btd: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut x = x_btd.clone();
        for block in &self.tcn {
            x = block.forward(&x, mode)?;
        }
        x = placed(&x)?;
        for layer in &self.encoder {
            x = layer.forward(&x, mode)?;
        }
        Ok(tape::mean_over(&x, &[1])?)
    }
}

/// Which places of a frame matter: tokens `[n, s, d]` → a vector a frame `[n, d]`, and each place's share in it `[n, s]`.
#[derive(Clone, Debug)]
pub struct SpatialAttention {
    layers: Vec<EncoderLayer>,
    gate: Linear,
}

impl SpatialAttention {
    fn new(width: usize, scope: &Scope) -> Result<Self> {
        Ok(Self { layers: encoder(2, &transformer(width, 0.1), &scope.at("spatial"))?, gate: Linear::new(width, 1, &scope.at("gate"))? })
    }

    fn forward(&self, tokens_nsd: &Tensor, mode: &Mode) -> Result<(Tensor, Tensor)> {
        let mut x = placed(tokens_nsd)?;
        for layer in &self.layers {
            x = layer.forward(&x, mode)?;
        }
        let share_ns1 = tape::softmax(&self.gate.forward(&x, mode)?, 1)?;
        Ok((tape::sum_over(&tape::mul(&x, &share_ns1)?, 1)?, share_ns1.squeeze(2)?))
    }
}

/// The face.
#[derive(Clone, Debug)]
pub struct VideoBranch {
    eye: Eye,
    temporal: Temporal,
}

/// What looks at a frame.
#[derive(Clone, Debug)]
enum Eye {
    /// A network that learns, on pixels.
    Pixels(Box<(Backbone, SpatialAttention)>),
    /// A network that looked before and does not learn; its values are projected.
    Frozen(Linear),
}

impl VideoBranch {
    pub(super) fn new(config: &Config, scope: &Scope) -> Result<Self> {
        let width = config.width();
        let eye = match config.frame_features {
            None => {
                let backbone = Backbone::new(config.stem, &scope.at("backbone"))?;
                Eye::Pixels(Box::new((backbone, SpatialAttention::new(width, scope)?)))
            }
            Some(features) => Eye::Frozen(Linear::new(features, width, &scope.at("project"))?),
        };
        Ok(Self { eye, temporal: Temporal::new(width, &scope.at("temporal"))? })
    }

    /// Whether it sees pixels, and not what a frozen network saw.
    pub(super) fn sees_pixels(&self) -> bool {
        matches!(self.eye, Eye::Pixels(_))
    }

    /// frames u8 `[b, t, h, w, 3]`, or features `[b, t, features]` → the face `[b, d]`, and the shares of the places `[b·t, s]`.
    pub(super) fn forward(&self, seen: &Tensor, mode: &Mode) -> Result<(Tensor, Option<Tensor>)> {
        match &self.eye {
            Eye::Frozen(project) => Ok((self.temporal.forward(&project.forward(seen, mode)?, mode)?, None)),
            Eye::Pixels(eye) => {
                let (backbone, attention) = eye.as_ref();
                let (b, t, h, w, c) = seen.dims5()?;
                let x_nhwc = backbone.forward(&seen.reshape((b * t, h, w, c))?, mode)?;
                let (vectors_nd, share_ns) = attention.forward(&tape::flatten(&x_nhwc, 1)?, mode)?;
                let d = vectors_nd.dim(1)?;
                Ok((self.temporal.forward(&tape::reshape(&vectors_nd, (b, t, d))?, mode)?, Some(share_ns)))
            }
        }
    }
}

/// The voice.
#[derive(Clone, Debug)]
pub struct AudioBranch {
    project: Linear,
    temporal: Temporal,
}

impl AudioBranch {
    pub(super) fn new(cepstra: usize, width: usize, scope: &Scope) -> Result<Self> {
        Ok(Self { project: Linear::new(cepstra, width, &scope.at("project"))?, temporal: Temporal::new(width, &scope.at("temporal"))? })
    }

    /// mfcc `[b, steps, cepstra]` → `[b, d]`.
    pub(super) fn forward(&self, mfcc: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.temporal.forward(&self.project.forward(mfcc, mode)?, mode)
    }
}
