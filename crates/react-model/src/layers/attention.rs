use super::Linear;
use crate::ops::{Activation, Mask, attention, attention_to_past, linear, masked_attention, masked_self_attention, self_attention};
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
        let qkv = self.project(x, 0, 3, mode)?;
        let y = self_attention(&qkv, self.heads, causal, self.dropout, mode, &self.site)?;
        self.out.forward(&y, mode)
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
        let q = self.project(x, 0, 1, mode)?;
        let attend = if causal { attention_to_past } else { attention };
        self.out.forward(&attend(&q, kv, self.heads, self.dropout, mode, &self.site)?, mode)
    }

    /// Attention under any mask: of x `[b, t, c]` to itself, or to a memory `[b, s, c]` → `[b, t, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes or lengths do not fit.
    pub fn attend_masked(&self, x: &Tensor, memory: Option<&Tensor>, mask: &Mask, mode: &Mode) -> Result<Tensor> {
        let y = match memory {
            None => masked_self_attention(&self.project(x, 0, 3, mode)?, self.heads, mask, self.dropout, mode, &self.site)?,
            Some(memory) => {
                let (q, kv) = (self.project(x, 0, 1, mode)?, self.keys_and_values(memory, mode)?);
                masked_attention(&q, &kv, self.heads, mask, self.dropout, mode, &self.site)?
            }
        };
        self.out.forward(&y, mode)
    }

    /// Queries of x `[b, t, c]`, not scaled.
    pub(super) fn queries(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.project(x, 0, 1, mode)
    }

    /// What follows the heads.
    pub(super) fn project_out(&self, y: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.out.forward(y, mode)
    }

    pub(super) fn heads(&self) -> usize {
        self.heads
    }

    /// `count` of the three projections, from `first` on.
    fn project(&self, x: &Tensor, first: usize, count: usize, mode: &Mode) -> Result<Tensor> {
        let (mut weight, mut bias) = (mode.parameter(&self.weight), mode.parameter(&self.bias));
        if count < 3 {
            weight = weight.narrow(0, first * self.width, count * self.width)?;
            bias = bias.narrow(0, first * self.width, count * self.width)?;
        }
        Ok(linear(x, &weight, &bias, Activation::None, mode, &self.site)?)
    }
}
