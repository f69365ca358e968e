//! Scaled dot-product attention of one head at a time, forward and backward; the probabilities are recomputed, never stored.
//!
//! ```text
//! P = softmax(Q·Kᵀ/√w + mask)    P̃ = dropout(P)    O = P̃·V          w width of a head; masks hide keys that come after a query or
//!                                                                    after the end of a padded sequence
//! dV = P̃ᵀ·dO    dP = dropout(dO·Vᵀ)    dS = P∘(dP − rowsum(P∘dP))/√w    dQ = dS·K    dK = dSᵀ·Q
//! ```

use super::elementary::exp;
use super::random::DropKey;
use super::simd::multiversion;
use super::tile::{Lhs, Out, Packed, Panels, panel, product};
use rayon::prelude::*;
use std::sync::Arc;

/// Sizes of an attention over `batch` sequences.
#[derive(Clone, Debug)]
pub(crate) struct AttentionShape {
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) queries: usize,
    pub(crate) keys: usize,
    /// Width of a head.
    pub(crate) width: usize,
    /// The queries are the last ones of the keys' sequence, and see none that comes after them: query i sees keys
    /// 0..=i + keys − queries.
    pub(crate) causal: bool,
    /// Keys of each sequence that are not padding, 1 to `keys`; all of them without.
    pub(crate) lengths: Option<Arc<[usize]>>,
    pub(crate) drop: Option<DropKey>,
}

/// Rows of queries, keys or values inside a wider matrix: (sequence, position, head, channel) lies at
/// `offset + (sequence·length + position)·row + head·width + channel`.
#[derive(Clone, Copy)]
pub(crate) struct Heads<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) offset: usize,
    pub(crate) row: usize,
}

/// Queries that share a pass over the keys.
const BLOCK: usize = 28;

impl AttentionShape {
    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// How many keys a query of a sequence sees, from the first.
    fn visible(&self, sequence: usize, query: usize) -> usize {
        let length = self.lengths.as_ref().map_or(self.keys, |l| l[sequence]);
        if self.causal { (query + 1 + self.keys.saturating_sub(self.queries)).min(length) } else { length }
    }

    /// Runs `task(sequence, head, part)` for every head in parallel; `part` is its share of the result, `each` floats.
    fn per_head(&self, each: usize, task: impl Fn(usize, usize, &mut [f32]) + Sync) -> Vec<f32> {
        let mut out = vec![0.0; self.batch * self.heads * each];
        if each > 0 {
            out.par_chunks_mut(each).enumerate().for_each(|(i, part)| task(i / self.heads, i % self.heads, part));
        }
        out
    }

    /// Spreads `[batch, head, position, width]` (with `each` floats a head, from `skip` on) into rows of a wider matrix.
    fn spread(&self, parts: &[f32], each: usize, skip: usize, length: usize, out: &mut [f32], offset: usize, row: usize) {
        out.par_chunks_mut((length * row).max(1)).enumerate().for_each(|(sequence, out)| {
            for head in 0..self.heads {
                let part = &parts[(sequence * self.heads + head) * each + skip..];
                for (from, to) in part.chunks_exact(self.width).zip(out.chunks_exact_mut(row)).take(length) {
                    to[offset + head * self.width..][..self.width].copy_from_slice(from);
                }
            }
        });
    }

    /// O, `[batch, queries, heads·width]`.
    pub(crate) fn forward(&self, q: Heads, k: Heads, v: Heads) -> Vec<f32> {
        let row = self.heads * self.width;
        let each = self.queries * self.width;
        let parts = self.per_head(each, |sequence, head, part| {
            let head = Head::new(self, sequence, head, [q, k, v]);
            let mut p = vec![0.0; BLOCK * self.keys];
            let mut mask = vec![0.0; self.keys];
            for first in (0..self.queries).step_by(BLOCK) {
                let rows = BLOCK.min(self.queries - first);
                let seen = head.probabilities(first, rows, &mut p);
                for (i, p) in p.chunks_exact_mut(self.keys).enumerate().take(rows) {
                    if let Some(drop) = &self.drop {
                        drop.fill(head.row_id(first + i), &mut mask[..seen]);
                        multiply(&mask[..seen], &mut p[..seen]);
                    }
                }
                let lhs = Lhs { data: &p, offset: 0, row: self.keys, step: 1 };
                product(
                    rows,
                    self.width,
                    seen,
                    &[(0, 0)],
                    lhs,
                    head.rows(2),
                    Out { data: part, offset: first * self.width, row: self.width },
                    false,
                );
            }
        });
        let mut out = vec![0.0; self.batch * self.queries * row];
        self.spread(&parts, each, 0, self.queries, &mut out, 0, row);
        out
    }

    /// dQ, dK and dV, written where Q, K and V lie in matrices of `rows[i]` columns, from `offsets[i]` on; a matrix may be shared.
    pub(crate) fn backward(&self, q: Heads, k: Heads, v: Heads, grad: &[f32], out: &mut [&mut [f32]], places: [(usize, usize, usize); 3]) {
        let row = self.heads * self.width;
        let each = (self.queries + 2 * self.keys) * self.width;
        let grad = Heads { data: grad, offset: 0, row };
        let parts = self.per_head(each, |sequence, head, part| {
            let head = Head::new(self, sequence, head, [q, k, v]);
            head.gradient(grad, part);
        });
        let lengths = [self.queries, self.keys, self.keys];
        let mut skip = 0;
        for (length, (matrix, offset, row)) in lengths.into_iter().zip(places) {
            self.spread(&parts, each, skip, length, out[matrix], offset, row);
            skip += length * self.width;
        }
    }
}

/// One head of one sequence.
struct Head<'a> {
    shape: &'a AttentionShape,
    id: usize,
    /// Start of the head's first row in Q, K and V.
    parts: [Heads<'a>; 3],
    keys_across: Packed,
}

impl<'a> Head<'a> {
    fn new(shape: &'a AttentionShape, sequence: usize, head: usize, parts: [Heads<'a>; 3]) -> Self {
        let lengths = [shape.queries, shape.keys, shape.keys];
        let mut i = 0;
        let parts = parts.map(|p| {
            let start = p.offset + sequence * lengths[i] * p.row + head * shape.width;
            i += 1;
            Heads { offset: start, ..p }
        });
        let keys_across = across(shape, parts[1]);
        Self { shape, id: sequence * shape.heads + head, parts, keys_across }
    }

    /// Names a row of the dropout mask.
    fn row_id(&self, query: usize) -> u32 {
        (self.id * self.shape.queries + query) as u32
    }

    /// Q, K or V as the right-hand side of a product.
    fn rows(&self, which: usize) -> Panels<'_> {
        let p = self.parts[which];
        Panels::rows(p.data, p.offset, p.row, panel(BLOCK, self.shape.width))
    }

    /// P of the queries from `first` on, in rows of `keys`; returns how many leading columns any of them sees.
    fn probabilities(&self, first: usize, rows: usize, p: &mut [f32]) -> usize {
        let keys = self.shape.keys;
        let sequence = self.id / self.shape.heads;
        let seen = self.shape.visible(sequence, first + rows - 1);
        let q = self.parts[0];
        let lhs = Lhs { data: q.data, offset: q.offset + first * q.row, row: q.row, step: 1 };
        product(rows, seen, self.shape.width, &[(0, 0)], lhs, self.keys_across.panels(0), Out { data: p, offset: 0, row: keys }, false);
        for (i, p) in p.chunks_exact_mut(keys).enumerate().take(rows) {
            let visible = self.shape.visible(sequence, first + i);
            softmax(&mut p[..visible], self.shape.scale());
            p[visible..seen].fill(0.0);
        }
        seen
    }

    /// dQ, dK, dV one after the other into `out`.
    fn gradient(&self, grad: Heads, out: &mut [f32]) {
        let shape = self.shape;
        let (width, keys) = (shape.width, shape.keys);
        let (dq, rest) = out.split_at_mut(shape.queries * width);
        let (dk, dv) = rest.split_at_mut(keys * width);
        let grad = Heads { offset: (self.id / shape.heads) * shape.queries * grad.row + (self.id % shape.heads) * width, ..grad };
        let values_across = across(shape, self.parts[2]);
        let mut p = vec![0.0; BLOCK * keys];
        let mut ds = vec![0.0; BLOCK * keys];
        let mut mask = vec![0.0; keys];
        for first in (0..shape.queries).step_by(BLOCK) {
            let rows = BLOCK.min(shape.queries - first);
            let seen = self.probabilities(first, rows, &mut p);
            let grad_rows = Lhs { data: grad.data, offset: grad.offset + first * grad.row, row: grad.row, step: 1 };
            product(rows, seen, width, &[(0, 0)], grad_rows, values_across.panels(0), Out { data: &mut ds, offset: 0, row: keys }, false);
            for (i, (p, ds)) in p.chunks_exact_mut(keys).zip(ds.chunks_exact_mut(keys)).enumerate().take(rows) {
                let (p, ds) = (&mut p[..seen], &mut ds[..seen]);
                if let Some(drop) = &shape.drop {
                    drop.fill(self.row_id(first + i), &mut mask[..seen]);
                    multiply(&mask[..seen], ds);
                }
                softmax_gradient(p, ds, shape.scale());
                if shape.drop.is_some() {
                    multiply(&mask[..seen], p);
                }
            }
            let narrow = panel(BLOCK, width);
            let down = |data| Lhs { data, offset: 0, row: 1, step: keys };
            let grad_panels = Panels::rows(grad.data, grad.offset + first * grad.row, grad.row, narrow);
            product(seen, width, rows, &[(0, 0)], down(&p), grad_panels, Out { data: dv, offset: 0, row: width }, true);
            let q = self.parts[0];
            let query_panels = Panels::rows(q.data, q.offset + first * q.row, q.row, narrow);
            product(seen, width, rows, &[(0, 0)], down(&ds), query_panels, Out { data: dk, offset: 0, row: width }, true);
            let lhs = Lhs { data: &ds, offset: 0, row: keys, step: 1 };
            product(rows, width, seen, &[(0, 0)], lhs, self.rows(1), Out { data: dq, offset: first * width, row: width }, false);
        }
    }
}

/// The transpose of a head's rows, packed: `[width, keys]`.
fn across(shape: &AttentionShape, rows: Heads) -> Packed {
    Packed::new(shape.width, shape.keys, panel(BLOCK, shape.keys), |c, j| rows.data[rows.offset + j * rows.row + c])
}

multiversion! {
    fn multiply(factor: &[f32], x: &mut [f32]) {
        for (x, f) in x.iter_mut().zip(factor) {
            *x *= f;
        }
    }
}

multiversion! {
    /// softmax(x·scale) in place.
    fn softmax(x: &mut [f32], scale: f32) {
        let mut maxima = [f32::NEG_INFINITY; 16];
        let (blocks, rest) = x.as_chunks::<16>();
        for block in blocks {
            for l in 0..16 {
                maxima[l] = if block[l] > maxima[l] { block[l] } else { maxima[l] };
            }
        }
        let max = maxima.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let mut sums = [0.0f32; 16];
        let (blocks, rest) = x.as_chunks_mut::<16>();
        for block in blocks {
            for l in 0..16 {
                block[l] = exp((block[l] - max) * scale);
                sums[l] += block[l];
            }
        }
        let mut sum: f32 = sums.iter().sum();
        for x in rest {
            *x = exp((*x - max) * scale);
            sum += *x;
        }
        let inverse = 1.0 / sum;
        for x in x.iter_mut() {
            *x *= inverse;
        }
    }
}

multiversion! {
    /// dP, already masked, to dS in place.
    fn softmax_gradient(p: &[f32], ds: &mut [f32], scale: f32) {
        let mut sums = [0.0f32; 16];
        let (p_blocks, p_rest) = p.as_chunks::<16>();
        let (d_blocks, d_rest) = ds.as_chunks::<16>();
        for (p, d) in p_blocks.iter().zip(d_blocks) {
            for l in 0..16 {
                sums[l] += p[l] * d[l];
            }
        }
        let dot = sums.iter().sum::<f32>() + p_rest.iter().zip(d_rest).map(|(p, d)| p * d).sum::<f32>();
        for (d, p) in ds.iter_mut().zip(p) {
            *d = p * (*d - dot) * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_three() {
        let mut x = [2.0f32.ln() * 2.0, 0.0, f32::NEG_INFINITY];
        softmax(&mut x, 0.5);
        assert!((x[0] - 2.0 / 3.0).abs() < 1e-6 && (x[1] - 1.0 / 3.0).abs() < 1e-6 && x[2] < 1e-30);
    }
}
