use super::planned::Planned;
use super::{floats, gradient, with_floats};
use crate::gpu::attention::{self as on_gpu, Rows};
use crate::gpu::{is_gpu, run_for, run_op};
use crate::kernels::{AttentionShape, Heads};
use crate::mode::Mode;
use crate::tape;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use std::sync::Arc;

/// Multi-head self-attention on projected rows: qkv `[b, t, 3·c]` (queries, keys, values) → `[b, t, c]`.
///
/// Each head: `dropout(softmax(Q·Kᵀ/√w + mask))·V`, w = c/heads. With `causal`, frame i sees frames 0..=i. `site` names the mask of
/// the probabilities' dropout. Vaswani et al., "Attention Is All You Need", 2017.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, ops::self_attention};
/// // Two frames, one channel; queries 0, so that every visible frame weighs the same.
/// let qkv = Tensor::new(&[[[0f32, 1.0, 2.0], [0.0, 5.0, 4.0]]], &Cpu)?;
/// let y = self_attention(&qkv, 1, true, 0.0, &Mode::eval(), "site")?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [2.0, 3.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn self_attention(qkv: &Tensor, heads: usize, causal: bool, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    masked_self_attention(qkv, heads, &Mask { causal, ..Mask::NONE }, p, mode, site)
}

/// Which keys a query does not see.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, ops::{Mask, masked_self_attention}};
/// // Queries 0: each frame gets the mean of the values that it sees. Of three frames the last is padding.
/// let qkv = Tensor::new(&[[[0f32, 0.0, 2.0], [0.0, 0.0, 4.0], [0.0, 0.0, 9.0]]], &Cpu)?;
/// let mean = |mask: &Mask| masked_self_attention(&qkv, 1, mask, 0.0, &Mode::eval(), "site")?.flatten_all()?.to_vec1::<f32>();
/// assert_eq!(mean(&Mask::NONE.with_lengths(&[2]))?, [3.0, 3.0, 3.0]);
/// assert_eq!(mean(&Mask::CAUSAL.with_lengths(&[2]))?, [2.0, 3.0, 3.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    causal: bool,
    lengths: Option<Arc<[usize]>>,
}

impl Mask {
    /// Every query sees every key.
    pub const NONE: Self = Self { causal: false, lengths: None };
    /// No query sees a key that comes after it; of fewer queries than keys, the queries are the last ones.
    pub const CAUSAL: Self = Self { causal: true, lengths: None };

    /// Hides the padding behind each sequence of a batch, too: sequence i has `lengths[i]` keys, at least 1.
    #[must_use]
    pub fn with_lengths(self, lengths: &[usize]) -> Self {
        Self { lengths: Some(lengths.into()), ..self }
    }

    fn check(&self, batch: usize, keys: usize, site: &str) -> Result<()> {
        match &self.lengths {
            Some(l) if l.len() != batch || l.iter().any(|n| *n == 0 || *n > keys) => {
                candle_core::bail!("attention {site}: lengths {l:?} are not 1 to {keys} for each of {batch} sequences")
            }
            _ => Ok(()),
        }
    }
}

/// [`self_attention`] with any mask.
///
/// # Errors
/// Candle's, where shapes or lengths do not fit.
pub fn masked_self_attention(qkv: &Tensor, heads: usize, mask: &Mask, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    let (batch, frames, width) = qkv.dims3()?;
    let width = head_width(width, 3, heads)?;
    mask.check(batch, frames, site)?;
    let Mask { causal, lengths } = mask.clone();
    let drop = mode.drop_key(p, site);
    let shape = AttentionShape { batch, heads, queries: frames, keys: frames, width, causal, lengths, drop };
    if is_gpu(qkv) {
        let keep = qkv.track_op();
        return tape::apply1(qkv, attention_on_gpu(shape, Rows::Together, keep));
    }
    tape::apply1(qkv, SelfAttention(shape))
}

fn attention_on_gpu(shape: AttentionShape, rows: Rows, keep: bool) -> Planned {
    let (forward, result) = (on_gpu::forward(&shape, rows, keep), (shape.batch, shape.queries, shape.heads * shape.width));
    Planned::new("attention", forward, result, move |arguments, kept, out, grad| {
        let [sums] = kept else { candle_core::bail!("attention: backward without a forward that kept its sums") };
        let given: Vec<&Tensor> = arguments.iter().copied().chain([out, grad, sums]).collect();
        let gradients = run_op(&on_gpu::backward(&shape, rows), grad.device(), &given)?;
        let each = gradients.iter().zip(arguments).map(|(g, of)| g.reshape(of.shape()).map(Some));
        each.collect()
    })
}

/// Multi-head attention to other rows: q `[b, t, c]`, kv `[b, s, 2·c]` (keys, values) → `[b, t, c]`; no mask.
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn attention(q: &Tensor, kv: &Tensor, heads: usize, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    masked_attention(q, kv, heads, &Mask::NONE, p, mode, site)
}

/// Causal attention of the last frames of a sequence: q `[b, t, c]` of the last t of the s frames that kv `[b, s, 2·c]` (keys,
/// values) stands for → `[b, t, c]`; the last t rows of what [`self_attention`] gives for the whole sequence.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, ops::attention_to_past};
/// let q = Tensor::new(&[[[0f32], [0.0]]], &Cpu)?; // frames 1 and 2 of 3
/// let kv = Tensor::new(&[[[1f32, 2.0], [5.0, 4.0], [0.0, 9.0]]], &Cpu)?;
/// let y = attention_to_past(&q, &kv, 1, 0.0, &Mode::eval(), "site")?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [3.0, 5.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit or there are more queries than keys.
pub fn attention_to_past(q: &Tensor, kv: &Tensor, heads: usize, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    masked_attention(q, kv, heads, &Mask::CAUSAL, p, mode, site)
}

/// [`attention`] with any mask; lengths are those of the keys.
///
/// # Errors
/// Candle's, where shapes or lengths do not fit.
pub fn masked_attention(q: &Tensor, kv: &Tensor, heads: usize, mask: &Mask, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    let ((batch, queries, width), (kv_batch, keys, kv_width)) = (q.dims3()?, kv.dims3()?);
    if batch != kv_batch || kv_width != 2 * width || keys == 0 {
        candle_core::bail!("attention {site}: queries {:?} and keys and values {:?} do not fit", q.dims(), kv.dims());
    }
    let width = head_width(width, 1, heads)?;
    mask.check(batch, keys, site)?;
    let Mask { causal, lengths } = mask.clone();
    if causal && queries > keys {
        candle_core::bail!("attention {site}: {queries} queries are not the last of {keys} frames");
    }
    let shape = AttentionShape { batch, heads, queries, keys, width, causal, lengths, drop: mode.drop_key(p, site) };
    if is_gpu(q) {
        let keep = q.track_op() || kv.track_op();
        return tape::apply2(q, kv, attention_on_gpu(shape, Rows::Apart, keep));
    }
    tape::apply2(q, kv, CrossAttention(shape))
}

/// Keys and values of frames that lie in a larger array: `[b, room, columns]`, of each sequence `count` rows from `first` on, the keys from
/// `column` on and the values behind them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FramesOf<'a> {
    pub(crate) array: &'a Tensor,
    pub(crate) first: usize,
    pub(crate) count: usize,
    pub(crate) column: usize,
}

/// [`attention_to_past`], or without `causal` [`attention`], to frames of a larger array. On a GPU, without gradients and dropout.
pub(crate) fn attention_within(q: &Tensor, frames: &FramesOf, heads: usize, causal: bool) -> Result<Tensor> {
    let ((batch, queries, c), (sequences, room, row)) = (q.dims3()?, frames.array.dims3()?);
    let FramesOf { array, first, count: keys, column } = *frames;
    if batch != sequences || column + 2 * c > row || first + keys > room || keys == 0 || (causal && queries > keys) {
        candle_core::bail!("attention: queries {:?} do not fit {keys} frames of {:?} from {first} on", q.dims(), array.dims());
    }
    let shape = AttentionShape { batch, heads, queries, keys, width: head_width(c, 1, heads)?, causal, lengths: None, drop: None };
    let rows = Rows::Within { room, row, first: first * row + column };
    let [y] = run_for(&on_gpu::forward(&shape, rows, false), q.device(), &[&q.contiguous()?, array])?;
    y.reshape(q.shape())
}

fn head_width(width: usize, parts: usize, heads: usize) -> Result<usize> {
    if heads == 0 || width == 0 || !width.is_multiple_of(parts * heads) {
        candle_core::bail!("attention: a width of {width} cannot be {parts} × {heads} heads");
    }
    Ok(width / (parts * heads))
}

struct SelfAttention(AttentionShape);

impl SelfAttention {
    fn heads<'a>(&self, qkv: &'a [f32]) -> [Heads<'a>; 3] {
        let width = self.0.heads * self.0.width;
        [0, 1, 2].map(|i| Heads { data: qkv, offset: i * width, row: 3 * width })
    }
}

impl CustomOp1 for SelfAttention {
    fn name(&self) -> &'static str {
        "self_attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let [q, k, v] = self.heads(floats(qkv, layout, "self_attention")?);
        let s = &self.0;
        Ok((CpuStorage::F32(s.forward(q, k, v)), (s.batch, s.queries, s.heads * s.width).into()))
    }

    fn bwd(&self, qkv: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let mut out = vec![0.0; qkv.elem_count()];
        let width = self.0.heads * self.0.width;
        with_floats(qkv, "self_attention", |qkv| {
            let [q, k, v] = self.heads(qkv);
            with_floats(grad, "self_attention", |grad| {
                self.0.backward(q, k, v, grad, &mut [&mut out], [(0, 0, 3 * width), (0, width, 3 * width), (0, 2 * width, 3 * width)]);
                Ok(())
            })
        })?;
        gradient(qkv, out)
    }
}

struct CrossAttention(AttentionShape);

impl CrossAttention {
    fn heads<'a>(&self, q: &'a [f32], kv: &'a [f32]) -> [Heads<'a>; 3] {
        let width = self.0.heads * self.0.width;
        [
            Heads { data: q, offset: 0, row: width },
            Heads { data: kv, offset: 0, row: 2 * width },
            Heads { data: kv, offset: width, row: 2 * width },
        ]
    }
}

impl CustomOp2 for CrossAttention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, q: &CpuStorage, lq: &Layout, kv: &CpuStorage, lkv: &Layout) -> Result<(CpuStorage, Shape)> {
        let [q, k, v] = self.heads(floats(q, lq, "attention")?, floats(kv, lkv, "attention")?);
        let s = &self.0;
        Ok((CpuStorage::F32(s.forward(q, k, v)), (s.batch, s.queries, s.heads * s.width).into()))
    }

    fn bwd(&self, q: &Tensor, kv: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (mut dq, mut dkv) = (vec![0.0; q.elem_count()], vec![0.0; kv.elem_count()]);
        let width = self.0.heads * self.0.width;
        with_floats(q, "attention", |q| {
            with_floats(kv, "attention", |kv| {
                let [q, k, v] = self.heads(q, kv);
                with_floats(grad, "attention", |grad| {
                    self.0.backward(q, k, v, grad, &mut [&mut dq, &mut dkv], [(0, 0, width), (1, 0, 2 * width), (1, width, 2 * width)]);
                    Ok(())
                })
            })
        })?;
        Ok((gradient(q, dq)?, gradient(kv, dkv)?))
    }
}
