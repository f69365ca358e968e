use super::Linear;
use crate::ops::{
    Activation, FewLayer, FramesOf, Mask, attention, attention_to_past, attention_within, linear, masked_attention, masked_self_attention,
    self_attention,
};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;

/// Multi-head attention with projections: PyTorch's `MultiheadAttention`, batch first.
///
/// `out·concat_h(dropout(softmax(Q_h·K_hᵀ/√w + mask))·V_h)`, with Q, K, V = x·Wᵀ + b; `in_proj_weight` `[3c, c]` stacks the three.
/// Vaswani et al., "Attention Is All You Need", 2017.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, Params, layers::MultiHeadAttention};
/// let params = Params::new(0);
/// let layer = MultiHeadAttention::new(1, 1, 0.0, &params.root())?;
/// // Queries and keys 0, values and output as they come: a causal mean.
/// params.get("in_proj_weight").unwrap().set(&Tensor::new(&[[0f32], [0.0], [1.0]], &Cpu)?)?;
/// params.get("out_proj.weight").unwrap().set(&Tensor::new(&[[1f32]], &Cpu)?)?;
/// let y = layer.attend_to_itself(&Tensor::new(&[[[2f32], [4.0]]], &Cpu)?, true, &Mode::eval())?;
/// assert_eq!(y.to_vec3::<f32>()?, [[[2.0], [3.0]]]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    weight: Tensor,
    bias: Tensor,
    out: Linear,
    heads: usize,
    width: usize,
    dropout: f32,
    site: String,
}

impl MultiHeadAttention {
    /// A layer of `heads` heads over `width` channels, with `dropout` on the probabilities.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(width: usize, heads: usize, dropout: f32, scope: &Scope) -> Result<Self> {
        let weight = scope.get("in_proj_weight", &[3 * width, width], Init::xavier(width, 3 * width))?;
        let bias = scope.get("in_proj_bias", &[3 * width], Init::Zeros)?;
        let out = Linear::with_bias(width, width, Init::Zeros, &scope.at("out_proj"))?;
        Ok(Self { weight, bias, out, heads, width, dropout, site: scope.path("probabilities") })
    }

    /// x `[b, t, c]` → `[b, t, c]`; with `causal`, frame i sees frames 0..=i.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn attend_to_itself(&self, x: &Tensor, causal: bool, mode: &Mode) -> Result<Tensor> {
        self.out.forward(&self.heads_of_itself(&self.project(x, 0, 3, mode)?, causal, mode)?, mode)
    }

    /// The heads' results for queries, keys and values of the same rows, `[b, t, 3·c]` → `[b, t, c]`.
    pub(super) fn heads_of_itself(&self, qkv: &Tensor, causal: bool, mode: &Mode) -> Result<Tensor> {
        Ok(self_attention(qkv, self.heads, causal, self.dropout, mode, &self.site)?)
    }

    /// x `[b, t, c]`, memory `[b, s, c]` → `[b, t, c]`; every frame sees the whole memory.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn attend_to(&self, x: &Tensor, memory: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.attend_to_cached(x, &self.keys_and_values(memory, mode)?, false, mode)
    }

    /// What attention reads of a memory `[b, s, c]`: keys and values, `[b, s, 2·c]`. They can be kept and extended along s.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn keys_and_values(&self, memory: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.project(memory, 1, 2, mode)
    }

    /// Attention of x `[b, t, c]` to keys and values made before; with `causal`, x stands for the last t of their s frames.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn attend_to_cached(&self, x: &Tensor, kv: &Tensor, causal: bool, mode: &Mode) -> Result<Tensor> {
        self.out.forward(&self.heads_to_cached(x, kv, causal, mode)?, mode)
    }

    /// The heads' results of [`Self::attend_to_cached`], before the projection.
    pub(super) fn heads_to_cached(&self, x: &Tensor, kv: &Tensor, causal: bool, mode: &Mode) -> Result<Tensor> {
        let q = self.project(x, 0, 1, mode)?;
        let attend = if causal { attention_to_past } else { attention };
        Ok(attend(&q, kv, self.heads, self.dropout, mode, &self.site)?)
    }

    /// The same of queries `[b, t, c]` to frames that lie in a larger array on a GPU.
    pub(super) fn heads_within(&self, q: &Tensor, frames: &FramesOf, causal: bool) -> Result<Tensor> {
        Ok(attention_within(q, frames, self.heads, causal)?)
    }

    /// Attention under any mask: of x `[b, t, c]` to itself, or to a memory `[b, s, c]` → `[b, t, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes or lengths do not fit.
    pub fn attend_masked(&self, x: &Tensor, memory: Option<&Tensor>, mask: &Mask, mode: &Mode) -> Result<Tensor> {
        self.out.forward(&self.heads_masked(x, memory, mask, mode)?, mode)
    }

    /// The heads' results of [`Self::attend_masked`], before the projection.
    pub(super) fn heads_masked(&self, x: &Tensor, memory: Option<&Tensor>, mask: &Mask, mode: &Mode) -> Result<Tensor> {
        Ok(match memory {
            None => masked_self_attention(&self.project(x, 0, 3, mode)?, self.heads, mask, self.dropout, mode, &self.site)?,
            Some(memory) => {
                let (q, kv) = (self.project(x, 0, 1, mode)?, self.keys_and_values(memory, mode)?);
                masked_attention(&q, &kv, self.heads, mask, self.dropout, mode, &self.site)?
            }
        })
    }

    /// Queries of x `[b, t, c]`, not scaled.
    pub(super) fn queries(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.project(x, 0, 1, mode)
    }

    /// What follows the heads.
    pub(super) fn out(&self) -> &Linear {
        &self.out
    }

    pub(super) fn heads(&self) -> usize {
        self.heads
    }

    /// `count` of the three projections, from `first` on.
    pub(super) fn project(&self, x: &Tensor, first: usize, count: usize, mode: &Mode) -> Result<Tensor> {
        let [weight, bias] = self.projection(first, count, mode)?;
        Ok(linear(x, &weight, &bias, Activation::None, mode, &self.site)?)
    }

    /// The same as one of several layers of the same few rows.
    pub(super) fn few_layer(&self, first: usize, count: usize, mode: &Mode) -> Result<FewLayer> {
        let [weight, bias] = self.projection(first, count, mode)?;
        Ok(FewLayer { bias: Some(bias), ..FewLayer::of(weight) })
    }

    /// Weight and bias of some of the projections.
    fn projection(&self, first: usize, count: usize, mode: &Mode) -> Result<[Tensor; 2]> {
        let (mut weight, mut bias) = (mode.parameter(&self.weight), mode.parameter(&self.bias));
        if count < 3 {
            [weight, bias] = [
                tape::part(&weight, 0, first * self.width, count * self.width)?,
                tape::part(&bias, 0, first * self.width, count * self.width)?,
            ];
        }
        Ok([weight, bias])
    }
}
