//! A long short-term memory over a whole sequence, forward and backward through time.
//!
//! ```text
//! [i f g o] = σ, σ, tanh, σ of (p_t + h_{t−1}·Wᵀ)       p the input's projection with both biases
//! c_t = f∘c_{t−1} + i∘g        h_t = o∘tanh(c_t)
//! do = dh∘tanh(c)   dc += dh∘o∘(1 − tanh²c)   di = dc∘g   dg = dc∘i   df = dc∘c_{t−1}   dc_{t−1} = dc∘f
//! dp = the gates' derivatives ∘ [di df dg do]   dh_{t−1} = grad_{t−1} + dp_t·W   dW = Σ_t dp_tᵀ·h_{t−1}
//! ```

use super::elementary::{sigmoid, tanh};
use super::simd::multiversion;
use super::tile::{Lhs, Out, Packed, Panels, panel, product};
use rayon::prelude::*;

/// Sizes of an LSTM over `batch` sequences.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LstmShape {
    pub(crate) batch: usize,
    pub(crate) frames: usize,
    /// h, channels of the state.
    pub(crate) width: usize,
}

/// What the backward pass needs of the forward pass.
pub(crate) struct LstmTrace {
    /// Gates i, f, g, o after their functions, `[batch, frames, 4·width]`.
    gates: Vec<f32>,
    /// Cells, `[batch, frames, width]`.
    cells: Vec<f32>,
}

/// Gradients of an LSTM.
pub(crate) struct LstmGradient {
    /// Of the projection, `[batch, frames, 4·width]`.
    pub(crate) projected: Vec<f32>,
    /// Of W, `[4·width, width]`.
    pub(crate) weight: Vec<f32>,
    /// Of h₀ and c₀, `[2, batch, width]`.
    pub(crate) state: Vec<f32>,
}

impl LstmShape {
    /// Sequences that one task works on: what a row gives does not depend on it.
    fn rows(&self) -> usize {
        self.batch.div_ceil(rayon::current_num_threads()).max(1)
    }

    /// h `[batch, frames, width]` of a projection `[batch, frames, 4·width]`, W `[4·width, width]` and h₀, c₀ `[2, batch, width]`.
    pub(crate) fn forward(&self, projected: &[f32], weight: &[f32], state: &[f32]) -> (Vec<f32>, LstmTrace) {
        let Self { batch, frames, width } = *self;
        let (rows, gate_row, row) = (self.rows(), frames * 4 * width, frames * width);
        let packed = Packed::new(width, 4 * width, panel(rows, 4 * width), |k, j| weight[j * width + k]);
        let mut gates = projected.to_vec();
        let mut cells = vec![0.0; batch * row];
        let mut out = vec![0.0; batch * row];
        let (h0, c0) = state.split_at(batch * width);
        let tasks = gates.par_chunks_mut(rows * gate_row).zip(cells.par_chunks_mut(rows * row)).zip(out.par_chunks_mut(rows * row));
        tasks.zip(h0.par_chunks(rows * width).zip(c0.par_chunks(rows * width))).for_each(|(((gates, cells), out), (h0, c0))| {
            let rows = h0.len() / width;
            for t in 0..frames {
                let before = match t {
                    0 => Lhs { data: h0, offset: 0, row: width, step: 1 },
                    _ => Lhs { data: out, offset: (t - 1) * width, row, step: 1 },
                };
                let sum = Out { data: gates, offset: t * 4 * width, row: gate_row };
                product(rows, 4 * width, width, &[(0, 0)], before, packed.panels(0), sum, true);
                for b in 0..rows {
                    let (past, here) = cells[b * row..][..row].split_at_mut(t * width);
                    let past = if t == 0 { &c0[b * width..][..width] } else { &past[(t - 1) * width..] };
                    let gates = &mut gates[b * gate_row + t * 4 * width..][..4 * width];
                    cell(gates, past, &mut here[..width], &mut out[b * row + t * width..][..width]);
                }
            }
        });
        (out, LstmTrace { gates, cells })
    }

    /// Gradients for `grad` `[batch, frames, width]` of the result `out`.
    pub(crate) fn backward(&self, weight: &[f32], state: &[f32], trace: &LstmTrace, out: &[f32], grad: &[f32]) -> LstmGradient {
        let Self { batch, frames, width } = *self;
        let (rows, gate_row, row) = (self.rows(), frames * 4 * width, frames * width);
        let panels = Panels::rows(weight, 0, width, panel(rows, width));
        let mut projected = vec![0.0; batch * gate_row];
        let mut gradient_state = vec![0.0; 2 * batch * width];
        let (dh0, dc0) = gradient_state.split_at_mut(batch * width);
        let c0 = &state[batch * width..];
        let ends = dh0.par_chunks_mut(rows * width).zip(dc0.par_chunks_mut(rows * width));
        projected.par_chunks_mut(rows * gate_row).zip(ends).enumerate().for_each(|(chunk, (dp, (dh, dc)))| {
            let (first, rows) = (chunk * rows, dh.len() / width);
            // dh and dc walk back to the state before the first frame.
            for t in (0..frames).rev() {
                for b in 0..rows {
                    let sequence = first + b;
                    let at = |t: usize| sequence * row + t * width..sequence * row + (t + 1) * width;
                    let past = if t == 0 { &c0[sequence * width..][..width] } else { &trace.cells[at(t - 1)] };
                    cell_gradient(
                        &trace.gates[sequence * gate_row + t * 4 * width..][..4 * width],
                        past,
                        &trace.cells[at(t)],
                        &grad[at(t)],
                        &dh[b * width..][..width],
                        &mut dc[b * width..][..width],
                        &mut dp[b * gate_row + t * 4 * width..][..4 * width],
                    );
                }
                let lhs = Lhs { data: dp, offset: t * 4 * width, row: gate_row, step: 1 };
                product(rows, width, 4 * width, &[(0, 0)], lhs, panels, Out { data: dh, offset: 0, row: width }, false);
            }
        });
        let weight = self.weight_gradient(&projected, &before(self, state, out));
        LstmGradient { projected, weight, state: gradient_state }
    }

    /// Σ over sequences and frames of dpᵀ·h_{t−1}, `[4·width, width]`.
    fn weight_gradient(&self, projected: &[f32], before: &[f32]) -> Vec<f32> {
        let (width, depth) = (self.width, self.batch * self.frames);
        let mut out = vec![0.0; 4 * width * width];
        out.par_chunks_mut(28 * width).enumerate().for_each(|(chunk, out)| {
            let lhs = Lhs { data: projected, offset: chunk * 28, row: 1, step: 4 * width };
            let panels = Panels::rows(before, 0, width, panel(28, width));
            product(out.len() / width, width, depth, &[(0, 0)], lhs, panels, Out { data: out, offset: 0, row: width }, false);
        });
        out
    }
}

/// h_{t−1} for each t: `[batch, frames, width]`.
fn before(shape: &LstmShape, state: &[f32], out: &[f32]) -> Vec<f32> {
    let (width, row) = (shape.width, shape.frames * shape.width);
    let mut before = Vec::with_capacity(out.len());
    for (h0, out) in state.chunks_exact(width).zip(out.chunks_exact(row)) {
        before.extend_from_slice(h0);
        before.extend_from_slice(&out[..row - width]);
    }
    before
}

multiversion! {
    /// One frame of one sequence: gates from sums to values, the new cell and h.
    fn cell(gates: &mut [f32], past: &[f32], cell: &mut [f32], out: &mut [f32]) {
        let width = out.len();
        let (input, rest) = gates.split_at_mut(width);
        let (forget, rest) = rest.split_at_mut(width);
        let (new, output) = rest.split_at_mut(width);
        let gates = input.iter_mut().zip(forget).zip(new.iter_mut().zip(output));
        for (((i, f), (g, o)), ((p, c), h)) in gates.zip(past.iter().zip(cell).zip(out)) {
            (*i, *f, *g, *o) = (sigmoid(*i), sigmoid(*f), tanh(*g), sigmoid(*o));
            *c = *f * p + *i * *g;
            *h = *o * tanh(*c);
        }
    }
}

multiversion! {
    /// The derivatives of [`cell`]: `dc` goes from this frame's cell to the one before, `dp` becomes that of the gates' sums.
    fn cell_gradient(gates: &[f32], past: &[f32], cell: &[f32], grad: &[f32], dh: &[f32], dc: &mut [f32], dp: &mut [f32]) {
        let width = cell.len();
        let (input, rest) = gates.split_at(width);
        let (forget, rest) = rest.split_at(width);
        let (new, output) = rest.split_at(width);
        let (d_input, rest) = dp.split_at_mut(width);
        let (d_forget, rest) = rest.split_at_mut(width);
        let (d_new, d_output) = rest.split_at_mut(width);
        for j in 0..width.min(past.len()).min(grad.len()).min(dh.len()).min(dc.len()) {
            let (i, f, g, o) = (input[j], forget[j], new[j], output[j]);
            let (squashed, h) = (tanh(cell[j]), grad[j] + dh[j]);
            let c = dc[j] + h * o * (1.0 - squashed * squashed);
            d_input[j] = c * g * i * (1.0 - i);
            d_forget[j] = c * past[j] * f * (1.0 - f);
            d_new[j] = c * i * (1.0 - g * g);
            d_output[j] = h * squashed * o * (1.0 - o);
            dc[j] = c * f;
        }
    }
}
