//! Attention of many heads without an array of queries × keys.

use super::dropout;
use super::plan::{Arg, Plan, Slot, Type};
use crate::kernels::AttentionShape;

/// Threads of a block.
const THREADS: u32 = 128;
/// Queries of a block, forward and for their gradient.
const QUERIES: usize = 32;
/// Keys of a step over keys.
const KEYS: usize = 128;
/// Keys of a block for their gradient.
const BLOCK_KEYS: usize = 32;
/// Queries of a step over queries.
const STEP_QUERIES: usize = 64;

/// Where queries, keys and values lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// In rows of 3·c: queries, keys, values.
    Together,
    /// Queries in rows of c; keys and values in rows of 2·c.
    Apart,
    /// Queries in rows of c; keys and values within rows of `row`, of which each sequence has `room`, the keys from element `first` on.
    Within { room: usize, row: usize, first: usize },
}

/// How a head's columns are worked on, `C` at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Columns {
    /// Of the three instances of each kernel, which.
    class: usize,
    count: usize,
    /// Blocks that share out the columns of a result.
    chunks: usize,
}

impl Columns {
    fn of(width: usize) -> Self {
        let class = [16, 32].iter().position(|most| width <= *most).unwrap_or(2);
        let count = [16, 32, 64][class];
        Self { class, count, chunks: width.div_ceil(count) }
    }

    /// Bytes of rows of C in shared memory.
    fn bytes(&self, rows: usize) -> usize {
        rows * (self.count + 4) * size_of::<f32>()
    }

    /// Bytes of a step's keys or values, whose place probabilities or their gradients take afterwards.
    fn keys_or_weights(&self) -> usize {
        self.bytes(KEYS).max(QUERIES * (KEYS + 16) * size_of::<f32>())
    }
}

impl Rows {
    /// Elements of the arrays: one, or two.
    fn lengths(self, shape: &AttentionShape) -> Vec<usize> {
        let (c, of) = (shape.heads * shape.width, |length: usize| shape.batch * length);
        match self {
            Self::Together => vec![of(shape.queries) * 3 * c],
            Self::Apart => vec![of(shape.queries) * c, of(shape.keys) * 2 * c],
            Self::Within { room, row, .. } => vec![of(shape.queries) * c, of(room) * row],
        }
    }

    /// Arrays of queries, and of keys and values.
    fn of(slots: &[Slot]) -> [Slot; 2] {
        [slots[0], slots[slots.len() - 1]]
    }

    /// Rows of keys and values of a sequence; columns of a row of queries, of a row of keys and values, and where in it keys and values
    /// begin.
    fn places(self, shape: &AttentionShape) -> [usize; 5] {
        let c = shape.heads * shape.width;
        match self {
            Self::Together => [shape.keys, 3 * c, 3 * c, c, 2 * c],
            Self::Apart => [shape.keys, c, 2 * c, 0, c],
            Self::Within { room, row, first } => [room, c, row, first, first + c],
        }
    }
}

fn lengths(shape: &AttentionShape) -> Arg {
    shape.lengths.as_ref().map_or(Arg::Absent, |l| Arg::Numbers(l.iter().map(|n| *n as u32).collect()))
}

/// What all kernels are told: sizes, places, dropout.
fn sizes(shape: &AttentionShape, rows: Rows) -> Vec<Arg> {
    let sizes = [shape.heads, shape.queries, shape.keys, shape.width, usize::from(shape.causal)];
    let numbers = sizes.into_iter().chain(rows.places(shape)).map(Arg::Size);
    numbers.chain(dropout::args(shape.drop.as_ref())).collect()
}

/// Elements of a number for every query of every head.
fn queries(shape: &AttentionShape) -> usize {
    shape.batch * shape.heads * shape.queries
}

/// Inputs: the array of [`Rows`] or both; outputs O `[batch, queries, c]`, and where they are kept for a backward pass the
/// maximum and the reciprocal sum of each query and head, `[batch, heads, queries, 2]`.
pub(crate) fn forward(shape: &AttentionShape, rows: Rows, keep: bool) -> Plan {
    let mut plan = Plan::default();
    let arrays: Vec<Slot> = rows.lengths(shape).into_iter().map(|n| plan.input(Type::F32, n)).collect();
    let [q, kv] = Rows::of(&arrays);
    let out = plan.output(Type::F32, queries(shape) * shape.width);
    let sums = if keep { Arg::Array(plan.output(Type::F32, queries(shape) * 2)) } else { Arg::Absent };
    let columns = Columns::of(shape.width);
    let shared = columns.bytes(QUERIES + KEYS) + columns.keys_or_weights();
    let mut args = vec![Arg::Array(q), Arg::Array(kv), lengths(shape), Arg::Array(out), sums];
    args.extend(sizes(shape, rows));
    let kernel = ["react_attention_16", "react_attention_32", "react_attention_64"][columns.class];
    let blocks = shape.batch * shape.heads * shape.queries.div_ceil(QUERIES);
    plan.blocks(kernel, [blocks as u32, columns.chunks as u32, 1], THREADS, shared as u32, args);
    plan
}

/// Inputs: the array of [`Rows`] or both, O, its gradient, and what the forward pass kept; outputs the gradients of the array or both.
pub(crate) fn backward(shape: &AttentionShape, rows: Rows) -> Plan {
    let mut plan = Plan::default();
    let lengths_of_arrays = rows.lengths(shape);
    let arrays: Vec<Slot> = lengths_of_arrays.iter().map(|n| plan.input(Type::F32, *n)).collect();
    let out = plan.input(Type::F32, queries(shape) * shape.width);
    let grad = plan.input(Type::F32, queries(shape) * shape.width);
    let sums = plan.input(Type::F32, queries(shape) * 2);
    let gradients: Vec<Slot> = lengths_of_arrays.iter().map(|n| plan.output(Type::F32, *n)).collect();
    let inner = plan.scratch(Type::F32, queries(shape));
    let numbers = [shape.heads, shape.queries, shape.width, queries(shape)].map(Arg::Size);
    let args = [out, grad, inner].map(Arg::Array).into_iter().chain(numbers).collect();
    plan.each("react_attention_inner", queries(shape) * 32, 256, args);

    let ([q, kv], [dq, dkv]) = (Rows::of(&arrays), Rows::of(&gradients));
    let columns = Columns::of(shape.width);
    let args = |to: Slot| {
        let given = [Arg::Array(q), Arg::Array(kv), lengths(shape)];
        let all = given.into_iter().chain([grad, sums, inner, to].map(Arg::Array)).chain(sizes(shape, rows));
        all.collect::<Vec<Arg>>()
    };
    let heads = shape.batch * shape.heads;
    let kernel = ["react_attention_queries_16", "react_attention_queries_32", "react_attention_queries_64"][columns.class];
    let shared = columns.bytes(2 * QUERIES + KEYS) + columns.keys_or_weights();
    let grid = [(heads * shape.queries.div_ceil(QUERIES)) as u32, columns.chunks as u32, 1];
    plan.blocks(kernel, grid, THREADS, shared as u32, args(dq));
    let kernel = ["react_attention_keys_16", "react_attention_keys_32", "react_attention_keys_64"][columns.class];
    let shared = columns.bytes(2 * BLOCK_KEYS + 2 * STEP_QUERIES) + BLOCK_KEYS * (STEP_QUERIES + 16) * size_of::<f32>();
    let grid = [(heads * shape.keys.div_ceil(BLOCK_KEYS)) as u32, columns.chunks as u32, 1];
    plan.blocks(kernel, grid, THREADS, shared as u32, args(dkv));
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, gradients, normal};
    use crate::ops::{Mask, masked_attention, masked_self_attention};

    const TOLERANCE: f32 = 1e-5;

    /// Forward and backward of one shape; whether there was a compiler.
    fn check([batch, heads, queries, keys, width]: [usize; 5], rows: Rows, causal: bool, lengths: Option<&[usize]>, p: f32) -> bool {
        let (mode, c) = (Mode::train(9, 2), heads * width);
        let drop = mode.drop_key(p, "site");
        let mask = if causal { Mask::CAUSAL } else { Mask::NONE };
        let mask = &lengths.map_or(mask.clone(), |l| mask.with_lengths(l));
        let shape = AttentionShape { batch, heads, queries, keys, width, causal, lengths: lengths.map(Into::into), drop };
        let name = format!("{batch}·{heads} heads of {width}, {queries} × {keys}, {rows:?}, {mask:?}, {p}");
        let grad = normal(batch * queries * c, "grad");
        let values: Vec<Vec<f32>> = rows.lengths(&shape).into_iter().zip(["q", "kv"]).map(|(n, name)| normal(n, name)).collect();
        let dims = match rows {
            Rows::Together => vec![vec![batch, queries, 3 * c]],
            _ => vec![vec![batch, queries, c], vec![batch, keys, 2 * c]],
        };
        let arguments: Vec<(&[f32], &[usize])> = values.iter().map(Vec::as_slice).zip(dims.iter().map(Vec::as_slice)).collect();
        let (y, want) = gradients(&arguments, &grad, |t| match rows {
            Rows::Together => masked_self_attention(&t[0], heads, mask, p, &mode, "site"),
            _ => masked_attention(&t[0], &t[1], heads, mask, p, &mode, "site"),
        });
        let mut inputs: Vec<Host> = values.into_iter().map(Host::F32).collect();
        let Some(done) = emulator::run(&forward(&shape, rows, true), &inputs) else { return false };
        close(&done.outputs[0].floats(), &y, TOLERANCE, &name);
        if p == 0.0 {
            assert_eq!(emulator::run(&forward(&shape, rows, false), &inputs).unwrap().outputs[..], done.outputs[..1]);
        }
        let [out, sums] = <[Host; 2]>::try_from(done.outputs).unwrap();
        inputs.extend([out, Host::F32(grad), sums]);
        let found = emulator::run(&backward(&shape, rows), &inputs).unwrap().outputs;
        for (found, want) in found.iter().zip(&want) {
            close(&found.floats(), want, TOLERANCE, &name);
        }
        true
    }

    #[test]
    fn attention_is_the_one_on_the_cpu() {
        for (sizes, p) in [
            ([2, 2, 5, 5, 8], 0.0),
            ([1, 2, 70, 70, 32], 0.1),
            ([1, 1, 150, 150, 32], 0.3),
            ([2, 1, 33, 33, 3], 0.2),
            ([1, 1, 40, 40, 64], 0.5),
            ([1, 1, 35, 35, 72], 0.1),
            ([1, 1, 20, 20, 130], 0.2),
        ] {
            for causal in [false, true] {
                if !check(sizes, Rows::Together, causal, None, p) {
                    return;
                }
            }
        }
    }

    #[test]
    fn attention_to_other_rows_is_the_one_on_the_cpu() {
        for (sizes, p) in [([2, 2, 37, 1, 32], 0.1), ([1, 2, 2, 131, 16], 0.2), ([1, 1, 70, 20, 12], 0.0), ([1, 1, 9, 140, 32], 0.1)] {
            // More queries than keys are not the last ones of them.
            let past = sizes[2] <= sizes[3];
            if !check(sizes, Rows::Apart, false, None, p) || past && !check(sizes, Rows::Apart, true, None, p) {
                return;
            }
        }
    }

    #[test]
    fn frames_within_a_larger_array_are_attended_to_as_others() {
        let [batch, heads, queries, keys, width] = [2, 2, 3, 9, 8];
        let (c, room, row) = (heads * width, 12, 4 * heads * width);
        let (q, all) = (normal(batch * queries * c, "q"), normal(batch * room * row, "all"));
        for (causal, start, column) in [(true, 2, 0), (false, 3, 2 * c)] {
            let shape = AttentionShape { batch, heads, queries, keys, width, causal, lengths: None, drop: None };
            let of = |b: usize, frame: usize| all[(b * room + start + frame) * row + column..][..2 * c].to_vec();
            let kv: Vec<f32> = (0..batch * keys).flat_map(|i| of(i / keys, i % keys)).collect();
            let Some(want) = emulator::run(&forward(&shape, Rows::Apart, false), &[Host::F32(q.clone()), Host::F32(kv)]) else { return };
            let rows = Rows::Within { room, row, first: start * row + column };
            let found = emulator::run(&forward(&shape, rows, false), &[Host::F32(q.clone()), Host::F32(all.clone())]).unwrap();
            assert_eq!(found.outputs, want.outputs);
        }
    }

    #[test]
    fn padding_is_not_seen() {
        let lengths = [1, 45, 129];
        for causal in [false, true] {
            if !check([3, 1, 129, 129, 16], Rows::Together, causal, Some(&lengths), 0.2) {
                return;
            }
            check([3, 1, 7, 129, 8], Rows::Apart, causal, Some(&lengths), 0.1);
        }
    }
}
