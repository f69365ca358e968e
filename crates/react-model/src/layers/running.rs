//! Attention of a few rows that never change to a sequence that grows without end.
//!
//! ```text
//! out_i = Σ_j exp(q_i·k_j/√w) v_j / Σ_j exp(q_i·k_j/√w)        both sums are kept, and the keys are not
//! ```
//!
//! The sums are f64 and relative to the largest exponent so far (Milakov, Gimelshein, "Online normalizer calculation for softmax",
//! 2018): a conversation of hours neither overflows nor loses its newest frames.

use super::{EncoderLayer, MultiHeadAttention};
use crate::gpu::{is_gpu, run_for, running as on_gpu};
use crate::{Mode, ModelError, Result};
use candle_core::{Device, Tensor};

/// The first rows of a post-norm encoder layer over a sequence that grows ([`EncoderLayer::running`]).
#[derive(Clone, Debug)]
pub struct RunningEncoder {
    layer: EncoderLayer,
    /// The rows themselves, `[n, q, c]`.
    first: Tensor,
    attention: RunningAttention,
}

impl EncoderLayer {
    /// [`Self::forward_first`] of a sequence that grows: it begins with `first` `[n, q, c]`, whose results are wanted. What they
    /// attend to comes by [`RunningEncoder::push`], and costs the same however long the sequence is. Evaluation only.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn running(&self, first: &Tensor) -> Result<RunningEncoder> {
        let seen = self.norm1.before(first, &Mode::eval())?;
        let attention = RunningAttention::new(&self.self_attn, &seen)?;
        let mut running = RunningEncoder { layer: self.clone(), first: first.clone(), attention };
        running.push(first)?;
        Ok(running)
    }
}

impl RunningEncoder {
    /// The sequence goes on with x `[n, s, c]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn push(&mut self, x: &Tensor) -> Result<()> {
        let mode = Mode::eval();
        let kv = self.layer.self_attn.keys_and_values(&self.layer.norm1.before(x, &mode)?, &mode)?;
        self.attention.push(&kv)
    }

    /// The first rows, `[n, q, c]`, if the sequence ended with x `[n, s, c]`. It does not change.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn with(&self, x: &Tensor) -> Result<Tensor> {
        let mode = Mode::eval();
        let mut ended = self.clone();
        ended.push(x)?;
        let heads = ended.attention.output(x.device())?;
        let y = self.layer.norm1.after_linear(&self.first, &heads, self.layer.self_attn.out(), &mode)?;
        self.layer.feed_forward.forward(&y, &mode)
    }
}

/// The sums of every row, query and head.
#[derive(Clone, Debug)]
struct RunningAttention {
    /// n, q, c, heads.
    sizes: [usize; 4],
    sums: Sums,
}

#[derive(Clone, Debug)]
enum Sums {
    Host(HostSums),
    /// Tensors are never written to: each push makes new ones.
    Device {
        queries: Tensor,
        weights: Tensor,
        values: Tensor,
        /// The attention to the frames so far, f32 `[n, q, c]`.
        output: Tensor,
    },
}

#[derive(Clone, Debug)]
struct HostSums {
    /// `[n, q, c]`, scaled by 1/√w.
    queries: Vec<f32>,
    /// Largest exponent so far and Σ exp, `[n, q, heads]`.
    weights: Vec<[f64; 2]>,
    /// Σ exp·v, `[n, q, c]`.
    values: Vec<f64>,
}

impl RunningAttention {
    fn new(layer: &MultiHeadAttention, first: &Tensor) -> Result<Self> {
        let (n, q, c) = first.dims3()?;
        let heads = layer.heads();
        let scale = 1.0 / ((c / heads) as f64).sqrt();
        let queries = (layer.queries(first, &Mode::eval())? * scale)?.flatten_all()?;
        let sizes = [n, q, c, heads];
        let sums = if is_gpu(first) {
            let device = first.device();
            let weights = Tensor::from_vec([f64::NEG_INFINITY, 0.0].repeat(n * q * heads), 2 * n * q * heads, device)?;
            let values = Tensor::zeros(n * q * c, candle_core::DType::F64, device)?;
            Sums::Device { output: queries.zeros_like()?, queries, weights, values }
        } else {
            let weights = vec![[f64::NEG_INFINITY, 0.0]; n * q * heads];
            Sums::Host(HostSums { queries: queries.to_vec1()?, weights, values: vec![0.0; n * q * c] })
        };
        Ok(Self { sizes, sums })
    }

    /// Keys and values `[n, s, 2·c]`.
    fn push(&mut self, kv: &Tensor) -> Result<()> {
        let [n, _, c, _] = self.sizes;
        let (rows, s, columns) = kv.dims3()?;
        if rows != n || columns != 2 * c {
            let what = format!("must be [{n}, s, {}], are {:?}", 2 * c, kv.dims());
            return Err(ModelError::Config { field: "keys and values", what });
        }
        match &mut self.sums {
            Sums::Host(sums) => sums.push(self.sizes, s, &kv.flatten_all()?.to_vec1::<f32>()?),
            Sums::Device { queries, weights, values, output } => {
                let plan = on_gpu::push(self.sizes, s);
                [*weights, *values, *output] = run_for(&plan, kv.device(), &[queries, &kv.contiguous()?, weights, values])?;
            }
        }
        Ok(())
    }

    /// `[n, q, c]`.
    fn output(&self, device: &Device) -> Result<Tensor> {
        let [n, q, c, heads] = self.sizes;
        match &self.sums {
            Sums::Host(sums) => {
                let heads = sums.values.chunks_exact(c / heads).zip(&sums.weights);
                let out: Vec<f32> = heads.flat_map(|(value, weight)| value.iter().map(|v| (v / weight[1]) as f32)).collect();
                Ok(Tensor::from_vec(out, (n, q, c), device)?)
            }
            Sums::Device { output, .. } => Ok(output.reshape((n, q, c))?),
        }
    }
}

impl HostSums {
    /// Keys and values of s frames a row.
    fn push(&mut self, [_, q, c, heads]: [usize; 4], s: usize, kv: &[f32]) {
        let (width, columns) = (c / heads, 2 * c);
        for (i, (weight, value)) in self.weights.iter_mut().zip(self.values.chunks_exact_mut(width)).enumerate() {
            let (row, head) = (i / (q * heads), i % heads);
            let query = &self.queries[i * width..][..width];
            for frame in kv[row * s * columns..][..s * columns].chunks_exact(columns) {
                let key = &frame[head * width..][..width];
                let exponent: f64 = query.iter().zip(key).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum();
                if exponent > weight[0] {
                    let shrink = (weight[0] - exponent).exp();
                    weight[1] *= shrink;
                    value.iter_mut().for_each(|v| *v *= shrink);
                    weight[0] = exponent;
                }
                let factor = (exponent - weight[0]).exp();
                weight[1] += factor;
                value.iter_mut().zip(&frame[c + head * width..]).for_each(|(sum, v)| *sum += factor * f64::from(*v));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Params;
    use crate::layers::{NormOrder, TransformerConfig};
    use candle_core::{Device, Tensor};
    use react_random::Draws;

    #[test]
    fn a_growing_sequence_gives_what_the_whole_gives() {
        for order in [NormOrder::Post, NormOrder::Pre] {
            let config = TransformerConfig { width: 16, heads: 4, feed_forward: 32, dropout: 0.1, order };
            let layer = EncoderLayer::new(&config, &Params::new(3).root()).unwrap();
            let mut values = vec![0.0f32; 3 * 42 * 16];
            Draws::new(1, "x", 0, 0).fill_normal(&mut values);
            // Exponents that grow along the way, so that the sums are rescaled.
            values.iter_mut().enumerate().for_each(|(i, v)| *v *= 1.0 + (i / 16 % 42) as f32);
            let x = Tensor::from_vec(values, (3, 42, 16), &Device::Cpu).unwrap();
            let part = |start: usize, count: usize| x.narrow(1, start, count).unwrap();
            let mut running = layer.running(&part(0, 2)).unwrap();
            for (start, count) in [(2, 8), (10, 1), (11, 23), (34, 8)] {
                let found = running.with(&part(start, count)).unwrap();
                let want = layer.forward_first(&part(0, start + count).contiguous().unwrap(), 2, &Mode::eval()).unwrap();
                let difference = (found - want).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(difference < 2e-4, "{order:?} at {start}: {difference}");
                running.push(&part(start, count)).unwrap();
            }
            assert!(running.push(&Tensor::zeros((2, 1, 16), candle_core::DType::F32, &Device::Cpu).unwrap()).is_err());
        }
    }
}
