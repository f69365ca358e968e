//! Transformer layers with PyTorch's semantics: post-norm, ReLU, LayerNorm eps 1e-5.
//!
//! ```text
//! encoder   x ← LN₁(x + drop(SA(x)))                              x ← LN₂(x + drop(FF(x)))
//! decoder   x ← LN₁(x + drop(SA(x, causal)))   x ← LN₂(x + drop(CA(x, memory)))   x ← LN₃(x + drop(FF(x)))
//! FF(x) = W₂·drop(relu(W₁·x + b₁)) + b₂
//! ```

use super::{LayerNorm, Linear, MultiHeadAttention};
use crate::ops::{Activation, add_dropped};
use crate::{Mode, Result, Scope};
use candle_core::Tensor;

/// Sizes of a Transformer layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TransformerConfig {
    /// Channels.
    pub width: usize,
    /// Heads of each attention.
    pub heads: usize,
    /// Channels inside the feed-forward part.
    pub feed_forward: usize,
    /// Probability of each of the layer's dropouts.
    pub dropout: f32,
}

/// The two linear layers after the attention, with their residual connection and norm.
#[derive(Clone, Debug)]
struct FeedForward {
    linear1: Linear,
    linear2: Linear,
    norm: Residual,
}

/// `LN(x + dropout(r))`.
#[derive(Clone, Debug)]
struct Residual {
    norm: LayerNorm,
    dropout: f32,
    site: String,
}

impl Residual {
    fn new(config: &TransformerConfig, number: usize, scope: &Scope) -> Result<Self> {
        let norm = LayerNorm::new(config.width, &scope.at(&format!("norm{number}")))?;
        Ok(Self { norm, dropout: config.dropout, site: scope.path(&format!("dropout{number}")) })
    }

    fn forward(&self, x: &Tensor, r: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.norm.forward(&add_dropped(x, r, self.dropout, mode, &self.site)?, mode)
    }
}

impl FeedForward {
    fn new(config: &TransformerConfig, norm: usize, scope: &Scope) -> Result<Self> {
        Ok(Self {
            linear1: Linear::new(config.width, config.feed_forward, &scope.at("linear1"))?,
            linear2: Linear::new(config.feed_forward, config.width, &scope.at("linear2"))?,
            norm: Residual::new(config, norm, scope)?,
        })
    }

    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let inside = self.linear1.forward_then(x, Activation::ReluDropout { p: self.norm.dropout }, mode)?;
        self.norm.forward(x, &self.linear2.forward(&inside, mode)?, mode)
    }
}

/// PyTorch's `TransformerEncoderLayer`, post-norm.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::{EncoderLayer, TransformerConfig}};
/// let params = Params::new(0);
/// let layer = EncoderLayer::new(&TransformerConfig { width: 2, heads: 1, feed_forward: 4, dropout: 0.0 }, &params.root())?;
/// // With two channels a LayerNorm leaves (±1, ∓1), whatever the weights.
/// let y = layer.forward(&Tensor::new(&[[[30f32, 1.0], [2.0, 50.0]]], &Cpu)?, &Mode::eval())?.to_vec3::<f32>()?;
/// assert!((y[0][0][0].abs() - 1.0).abs() < 1e-3 && (y[0][0][0] + y[0][0][1]).abs() < 1e-6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncoderLayer {
    self_attn: MultiHeadAttention,
    norm1: Residual,
    feed_forward: FeedForward,
}

impl EncoderLayer {
    /// A layer with parameters `self_attn`, `linear1`, `linear2`, `norm1`, `norm2`.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(config: &TransformerConfig, scope: &Scope) -> Result<Self> {
        Ok(Self {
            self_attn: MultiHeadAttention::new(config.width, config.heads, config.dropout, &scope.at("self_attn"))?,
            norm1: Residual::new(config, 1, scope)?,
            feed_forward: FeedForward::new(config, 2, scope)?,
        })
    }

    /// x `[b, t, c]` → `[b, t, c]`, every frame seeing every frame.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let attended = self.self_attn.attend_to_itself(x, false, mode)?;
        self.feed_forward.forward(&self.norm1.forward(x, &attended, mode)?, mode)
    }

    /// The first `count` rows of [`Self::forward`]'s result, and only their work: x `[b, t, c]` → `[b, count, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_first(&self, x: &Tensor, count: usize, mode: &Mode) -> Result<Tensor> {
        let first = x.narrow(1, 0, count)?.contiguous()?;
        let attended = self.self_attn.attend_to(&first, x, mode)?;
        self.feed_forward.forward(&self.norm1.forward(&first, &attended, mode)?, mode)
    }
}

/// PyTorch's `TransformerDecoderLayer`, post-norm, causal mask on its self-attention only.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::{DecoderLayer, TransformerConfig}};
/// let params = Params::new(0);
/// let layer = DecoderLayer::new(&TransformerConfig { width: 8, heads: 4, feed_forward: 16, dropout: 0.1 }, &params.root())?;
/// let x = Tensor::ones((2, 5, 8), DType::F32, &Cpu)?;
/// let y = layer.forward(&x, &x.narrow(1, 0, 1)?, &Mode::train(1, 0))?;
/// assert_eq!(y.dims(), [2, 5, 8]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecoderLayer {
    self_attn: MultiHeadAttention,
    norm1: Residual,
    multihead_attn: MultiHeadAttention,
    norm2: Residual,
    feed_forward: FeedForward,
}

impl DecoderLayer {
    /// A layer with parameters `self_attn`, `multihead_attn`, `linear1`, `linear2`, `norm1`, `norm2`, `norm3`.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(config: &TransformerConfig, scope: &Scope) -> Result<Self> {
        let attention = |name| MultiHeadAttention::new(config.width, config.heads, config.dropout, &scope.at(name));
        Ok(Self {
            self_attn: attention("self_attn")?,
            norm1: Residual::new(config, 1, scope)?,
            multihead_attn: attention("multihead_attn")?,
            norm2: Residual::new(config, 2, scope)?,
            feed_forward: FeedForward::new(config, 3, scope)?,
        })
    }

    /// x `[b, t, c]`, memory `[b, s, c]` → `[b, t, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x: &Tensor, memory: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.forward_memory(&self.forward_self(x, mode)?, memory, mode)
    }

    /// The part before the memory: `LN₁(x + drop(SA(x)))`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_self(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.norm1.forward(x, &self.self_attn.attend_to_itself(x, true, mode)?, mode)
    }

    /// The part from the memory on, of what [`Self::forward_self`] gives.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_memory(&self, x: &Tensor, memory: &Tensor, mode: &Mode) -> Result<Tensor> {
        let x = self.norm2.forward(x, &self.multihead_attn.attend_to(x, memory, mode)?, mode)?;
        self.feed_forward.forward(&x, mode)
    }
}
