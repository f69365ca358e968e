//! Transformer layers with PyTorch's semantics: ReLU, LayerNorm eps 1e-5, post-norm or pre-norm.
//!
//! ```text
//! post-norm   encoder   x ← LN₁(x + drop(SA(x)))                              x ← LN₂(x + drop(FF(x)))
//!             decoder   x ← LN₁(x + drop(SA(x, causal)))   x ← LN₂(x + drop(CA(x, memory)))   x ← LN₃(x + drop(FF(x)))
//! pre-norm    encoder   x ← x + drop(SA(LN₁(x)))                              x ← x + drop(FF(LN₂(x)))
//!             decoder   x ← x + drop(SA(LN₁(x), causal))   x ← x + drop(CA(LN₂(x), memory))   x ← x + drop(FF(LN₃(x)))
//! FF(x) = W₂·drop(relu(W₁·x + b₁)) + b₂
//! ```
//!
//! Post-norm is Vaswani et al., "Attention Is All You Need", 2017; pre-norm is Xiong et al., "On Layer Normalization in the
//! Transformer Architecture", 2020.

use super::{LayerNorm, Linear, MultiHeadAttention};
use crate::ops::{Activation, FewLayer, Mask, add_dropped, few_linear, is_few, rows};
use crate::tape;
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
    /// Where the LayerNorms are.
    pub order: NormOrder,
}

/// Where a Transformer layer normalises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormOrder {
    /// After each residual connection: PyTorch's `norm_first=False`.
    #[default]
    Post,
    /// Before each part: PyTorch's `norm_first=True`.
    Pre,
}

/// The two linear layers after the attention, with their residual connection and norm.
#[derive(Clone, Debug)]
pub(super) struct FeedForward {
    linear1: Linear,
    linear2: Linear,
    around: Residual,
}

/// A residual connection with its norm: `LN(x + dropout(f(x)))` or `x + dropout(f(LN(x)))`.
#[derive(Clone, Debug)]
pub(super) struct Residual {
    norm: LayerNorm,
    order: NormOrder,
    dropout: f32,
    site: String,
}

impl Residual {
    fn new(config: &TransformerConfig, number: usize, scope: &Scope) -> Result<Self> {
        let norm = LayerNorm::new(config.width, &scope.at(&format!("norm{number}")))?;
        Ok(Self { norm, order: config.order, dropout: config.dropout, site: scope.path(&format!("dropout{number}")) })
    }

    /// Whether the part inside sees x itself.
    pub(super) fn is_after(&self) -> bool {
        self.order == NormOrder::Post
    }

    /// What the part inside sees of x.
    pub(super) fn before(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        match self.order {
            NormOrder::Post => Ok(x.clone()),
            NormOrder::Pre => self.norm.forward(x, mode),
        }
    }

    /// The connection around what the part inside gives.
    pub(super) fn after(&self, x: &Tensor, inside: &Tensor, mode: &Mode) -> Result<Tensor> {
        match self.order {
            NormOrder::Post => self.norm.forward_sum(x, inside, self.dropout, mode, &self.site),
            NormOrder::Pre => Ok(add_dropped(x, inside, self.dropout, mode, &self.site)?),
        }
    }

    /// The same of a part whose end is a linear layer; what comes before that may be `[b, 1, c]`, the same for all frames.
    pub(super) fn after_linear(&self, x: &Tensor, inside: &Tensor, last: &Linear, mode: &Mode) -> Result<Tensor> {
        if is_few(inside, mode) && is_few(x, mode) {
            if self.order == NormOrder::Post
                && let Some(y) = self.norm.forward_linear(x, inside, last, mode)?
            {
                return Ok(y);
            }
            if self.order == NormOrder::Pre && rows(inside) == rows(x) {
                let layer = FewLayer { addend: Some(x.clone()), ..last.few_layer(mode) };
                if let Some(y) = few_linear(&[inside], 0, &[layer], None)?.pop() {
                    return Ok(y);
                }
            }
        }
        let y = last.forward(inside, mode)?;
        let y = if y.dims() == x.dims() { y } else { tape::expand(&y, x.shape())? };
        self.after(x, &y, mode)
    }

    /// The connection around a part that ends with a linear layer; `inside` is what comes before that.
    fn around(&self, x: &Tensor, last: &Linear, mode: &Mode, inside: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        self.after_linear(x, &inside(&self.before(x, mode)?)?, last, mode)
    }
}

impl FeedForward {
    fn new(config: &TransformerConfig, norm: usize, scope: &Scope) -> Result<Self> {
        Ok(Self {
            linear1: Linear::new(config.width, config.feed_forward, &scope.at("linear1"))?,
            linear2: Linear::new(config.feed_forward, config.width, &scope.at("linear2"))?,
            around: Residual::new(config, norm, scope)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.around
            .around(x, &self.linear2, mode, |x| self.linear1.forward_then(x, Activation::ReluDropout { p: self.around.dropout }, mode))
    }
}

/// PyTorch's `TransformerEncoderLayer`, batch first.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::{EncoderLayer, NormOrder, TransformerConfig}};
/// let params = Params::new(0);
/// let config = TransformerConfig { width: 2, heads: 1, feed_forward: 4, dropout: 0.0, order: NormOrder::Post };
/// let layer = EncoderLayer::new(&config, &params.root())?;
/// // With two channels a LayerNorm leaves (±1, ∓1), whatever the weights.
/// let y = layer.forward(&Tensor::new(&[[[30f32, 1.0], [2.0, 50.0]]], &Cpu)?, &Mode::eval())?.to_vec3::<f32>()?;
/// assert!((y[0][0][0].abs() - 1.0).abs() < 1e-3 && (y[0][0][0] + y[0][0][1]).abs() < 1e-6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct EncoderLayer {
    pub(super) self_attn: MultiHeadAttention,
    pub(super) norm1: Residual,
    pub(super) feed_forward: FeedForward,
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
        self.forward_masked(x, &Mask::NONE, mode)
    }

    /// The same under a mask: of padded sequences, say.
    ///
    /// # Errors
    /// Candle's, where shapes or lengths do not fit.
    pub fn forward_masked(&self, x: &Tensor, mask: &Mask, mode: &Mode) -> Result<Tensor> {
        let x = self.norm1.around(x, self.self_attn.out(), mode, |x| self.self_attn.heads_masked(x, None, mask, mode))?;
        self.feed_forward.forward(&x, mode)
    }

    /// The first `count` rows of [`Self::forward`]'s result, and only their work: x `[b, t, c]` → `[b, count, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_first(&self, x: &Tensor, count: usize, mode: &Mode) -> Result<Tensor> {
        let first = |x: &Tensor| tape::contiguous(&tape::narrow(x, 1, 0, count)?);
        let seen = self.norm1.before(x, mode)?;
        let attended = self.self_attn.heads_to_cached(&first(&seen)?, &self.self_attn.keys_and_values(&seen, mode)?, false, mode)?;
        self.feed_forward.forward(&self.norm1.after_linear(&first(x)?, &attended, self.self_attn.out(), mode)?, mode)
    }
}

/// PyTorch's `TransformerDecoderLayer`, batch first, causal mask on its self-attention only.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::{DecoderLayer, NormOrder, TransformerConfig}};
/// let params = Params::new(0);
/// let config = TransformerConfig { width: 8, heads: 4, feed_forward: 16, dropout: 0.1, order: NormOrder::Pre };
/// let layer = DecoderLayer::new(&config, &params.root())?;
/// let x = Tensor::ones((2, 5, 8), DType::F32, &Cpu)?;
/// let y = layer.forward(&x, &x.narrow(1, 0, 1)?, &Mode::train(1, 0))?;
/// assert_eq!(y.dims(), [2, 5, 8]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DecoderLayer {
    pub(super) self_attn: MultiHeadAttention,
    pub(super) norm1: Residual,
    pub(super) multihead_attn: MultiHeadAttention,
    pub(super) norm2: Residual,
    pub(super) feed_forward: FeedForward,
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
        if x.id() == memory.id() && is_few(x, mode) && self.norm1.is_after() {
            let (own, memory) = (self.self_attn.few_layer(0, 3, mode)?, self.multihead_attn.few_layer(1, 2, mode)?);
            if let [qkv, kv] = &few_linear(&[x], 0, &[own, memory], None)?[..] {
                let heads = self.self_attn.heads_of_itself(qkv, true, mode)?;
                let x = self.norm1.after_linear(x, &heads, self.self_attn.out(), mode)?;
                return self.forward_cached(&x, kv, mode);
            }
        }
        self.forward_memory(&self.forward_self(x, mode)?, memory, mode)
    }

    /// What the frames of a sequence leave to those that come after them: keys and values of x `[b, s, c]` for the
    /// self-attention, of `memory` `[b, s, c]` for the other.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn cache(&self, x: &Tensor, memory: &Tensor, mode: &Mode) -> Result<DecoderCache> {
        let own = self.self_attn.keys_and_values(&self.norm1.before(x, mode)?, mode)?;
        Ok(DecoderCache { own, memory: self.multihead_attn.keys_and_values(memory, mode)? })
    }

    /// The last rows of [`Self::forward`]'s result, and only their work: x `[b, t, c]` stands for the last t of the s frames in
    /// the cache, itself among them → `[b, t, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_last(&self, x: &Tensor, cache: &DecoderCache, mode: &Mode) -> Result<Tensor> {
        let x = self.norm1.around(x, self.self_attn.out(), mode, |x| self.self_attn.heads_to_cached(x, &cache.own, true, mode))?;
        self.forward_cached(&x, &cache.memory, mode)
    }

    /// The part before the memory: the self-attention.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_self(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.norm1
            .around(x, self.self_attn.out(), mode, |x| self.self_attn.heads_of_itself(&self.self_attn.project(x, 0, 3, mode)?, true, mode))
    }

    /// The part from the memory on, of what [`Self::forward_self`] gives.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward_memory(&self, x: &Tensor, memory: &Tensor, mode: &Mode) -> Result<Tensor> {
        let few = is_few(x, mode) && is_few(memory, mode) && self.norm2.is_after();
        if few && memory.dims3().is_ok_and(|(_, frames, _)| frames == 1) {
            // Of a single row every query gets the values.
            let values = self.multihead_attn.project(memory, 2, 1, mode)?;
            return self.feed_forward.forward(&self.norm2.after_linear(x, &values, self.multihead_attn.out(), mode)?, mode);
        }
        self.forward_cached(x, &self.multihead_attn.keys_and_values(memory, mode)?, mode)
    }

    /// The same with the memory's keys and values.
    fn forward_cached(&self, x: &Tensor, kv: &Tensor, mode: &Mode) -> Result<Tensor> {
        let heads = |x: &Tensor| self.multihead_attn.heads_to_cached(x, kv, false, mode);
        let x = self.norm2.around(x, self.multihead_attn.out(), mode, heads)?;
        self.feed_forward.forward(&x, mode)
    }
}

/// Keys and values of frames, for the frames after them ([`DecoderLayer::cache`]).
#[derive(Clone, Debug)]
pub struct DecoderCache {
    /// Of the self-attention, `[b, s, 2·c]`.
    own: Tensor,
    /// Of the attention to the memory, `[b, s, 2·c]`.
    memory: Tensor,
}

impl DecoderCache {
    /// These frames, and then more.
    ///
    /// # Errors
    /// Candle's, where batches or widths differ.
    pub fn then(&self, more: &Self) -> Result<Self> {
        let own = tape::cat(&[&self.own, &more.own], 1)?;
        Ok(Self { own, memory: tape::cat(&[&self.memory, &more.memory], 1)? })
    }

    /// The last `frames` of these frames, or all where there are fewer.
    ///
    /// # Errors
    /// Candle's.
    pub fn last(&self, frames: usize) -> Result<Self> {
        let cut = |kv: &Tensor| -> Result<Tensor> {
            let count = frames.min(kv.dim(1)?);
            // A copy, so that what is dropped is freed.
            Ok(kv.narrow(1, kv.dim(1)? - count, count)?.contiguous()?)
        };
        Ok(Self { own: cut(&self.own)?, memory: cut(&self.memory)? })
    }
}
