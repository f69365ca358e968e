//! A long short-term memory over a whole sequence: one launch forward, one for the recurrence backward.

use super::linear::{matrix, product};
use super::plan::{Arg, Matrix, Plan, Slot, Type};
use crate::kernels::LstmShape;

/// The width whose weights a block keeps.
const WIDTH: usize = 128;
/// Sequences up to which a block has one: each has then a multiprocessor of its own.
const ALONE: usize = 128;

/// Bytes of shared memory of the kernels of width 128, forward and backward: what of the weights is not in registers (of a thread's
/// 128 it has 80 or 84, with two sequences a block 64), and two frames of h or dp in pieces of 36.
fn shared(sequences: usize) -> [u32; 2] {
    let [forward, backward] = if sequences == 1 { [48, 44] } else { [64, 64] };
    [(forward * 512 + 2 * sequences * 4 * 36) * 4, (backward * 512 + 2 * sequences * 16 * 36) * 4].map(|n| n as u32)
}

fn sequences(batch: usize) -> usize {
    if batch <= ALONE { 1 } else { 2 }
}

fn sizes(numbers: &[usize]) -> impl Iterator<Item = Arg> {
    numbers.iter().copied().map(Arg::Size)
}

/// Where the first h and c are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// h₀ and c₀, `[2, batch, width]`.
    Stacked,
    /// Both are `[batch, width]`, the same.
    Same,
}

/// Inputs: the projection `[batch, frames, 4·width]`, W `[4·width, width]`, the first state; outputs h, and where they are kept for a
/// backward pass the gates and the cells.
pub(crate) fn forward(shape: &LstmShape, from: State, keep: bool) -> Plan {
    let LstmShape { batch, frames, width } = *shape;
    let mut plan = Plan::default();
    let projected = plan.input(Type::F32, batch * frames * 4 * width);
    let weight = plan.input(Type::F32, 4 * width * width);
    let first_cell = if from == State::Stacked { batch * width } else { 0 };
    let state = plan.input(Type::F32, first_cell + batch * width);
    let out = plan.output(Type::F32, batch * frames * width);
    let mut args: Vec<Arg> = [projected, weight, state, out].map(Arg::Array).into();
    if keep {
        args.push(Arg::Array(plan.output(Type::F32, batch * frames * 4 * width)));
        args.push(Arg::Array(plan.output(Type::F32, batch * frames * width)));
    } else {
        args.extend([Arg::Absent, Arg::Absent]);
    }
    if width == WIDTH {
        let each = sequences(batch);
        args.extend(sizes(&[batch, frames, first_cell]));
        let kernel = if each == 1 { "react_lstm_128_1" } else { "react_lstm_128_2" };
        plan.blocks(kernel, [batch.div_ceil(each) as u32, 1, 1], 4 * WIDTH as u32, shared(each)[0], args);
    } else {
        args.extend(sizes(&[width, batch, frames, first_cell]));
        plan.blocks("react_lstm_any", [batch as u32, 1, 1], 256, 6 * width as u32 * 4, args);
    }
    plan
}

/// Inputs: W, h₀ and c₀, gates, cells, h and its gradient; outputs the gradients of the projection, W and the first state.
pub(crate) fn backward(shape: &LstmShape) -> Plan {
    let LstmShape { batch, frames, width } = *shape;
    let (depth, mut plan) = (batch * frames, Plan::default());
    let lengths = [4 * width * width, 2 * batch * width, depth * 4 * width, depth * width, depth * width, depth * width];
    let inputs: [Slot; 6] = lengths.map(|n| plan.input(Type::F32, n));
    let dp = plan.output(Type::F32, depth * 4 * width);
    let dw = plan.output(Type::F32, 4 * width * width);
    let dstate = plan.output(Type::F32, 2 * batch * width);
    let before = plan.scratch(Type::F32, depth * width);
    let mut args: Vec<Arg> = inputs.into_iter().chain([dp, before, dstate]).map(Arg::Array).collect();
    if width == WIDTH {
        let each = sequences(batch);
        args.extend(sizes(&[batch, frames]));
        let kernel = if each == 1 { "react_lstm_gradient_128_1" } else { "react_lstm_gradient_128_2" };
        plan.blocks(kernel, [batch.div_ceil(each) as u32, 1, 1], 4 * WIDTH as u32, shared(each)[1], args);
    } else {
        args.extend(sizes(&[width, batch, frames]));
        plan.blocks("react_lstm_gradient_any", [batch as u32, 1, 1], 256, 6 * width as u32 * 4, args);
    }
    let down = Matrix { transposed: true, ..matrix(dp, 4 * width) };
    product(&mut plan, [4 * width, width, depth], down, matrix(before, width), matrix(dw, width), false);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, gradients, normal};
    use crate::ops::lstm;

    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn a_sequence_goes_on_from_a_frame() {
        for (batch, frames, width) in [(2, 3, 7), (2, 2, 128)] {
            let shape = LstmShape { batch, frames, width };
            let [projected, weight] = [normal(batch * frames * 4 * width, "projected"), normal(4 * width * width, "weight")].map(Host::F32);
            let last = normal(batch * width, "last");
            let given = [projected.clone(), weight.clone(), Host::F32(last.repeat(2))];
            let Some(want) = emulator::run(&forward(&shape, State::Stacked, false), &given) else { return };
            let found = emulator::run(&forward(&shape, State::Same, false), &[projected, weight, Host::F32(last)]).unwrap();
            assert_eq!(found.outputs, want.outputs);
        }
    }

    #[test]
    fn a_sequence_is_the_one_on_the_cpu() {
        for (batch, frames, width) in [(1, 1, 1), (3, 5, 7), (2, 4, 40), (2, 3, 128), (ALONE + 1, 2, 128)] {
            let shape = LstmShape { batch, frames, width };
            let scaled = |n, name: &str, scale: f32| normal(n, name).iter().map(|x| x * scale).collect::<Vec<f32>>();
            let projected = scaled(batch * frames * 4 * width, "projected", 1.5);
            let weight = scaled(4 * width * width, "weight", 1.0 / (width as f32).sqrt());
            let (state, grad) = (normal(2 * batch * width, "state"), normal(batch * frames * width, "grad"));
            let arguments: [(&[f32], &[usize]); 3] =
                [(&projected, &[batch, frames, 4 * width]), (&weight, &[4 * width, width]), (&state, &[2, batch, width])];
            let (h, want) = gradients(&arguments, &grad, |t| lstm(&t[0], &t[1], &t[2]));
            let [projected, weight, state, grad] = [projected, weight, state, grad].map(Host::F32);
            let given = [projected, weight.clone(), state.clone()];
            let Some(done) = emulator::run(&forward(&shape, State::Stacked, true), &given) else { return };
            close(&done.outputs[0].floats(), &h, TOLERANCE, "h");
            assert_eq!(emulator::run(&forward(&shape, State::Stacked, false), &given).unwrap().outputs[..], done.outputs[..1]);
            let [h, gates, cells] = <[Host; 3]>::try_from(done.outputs).unwrap();
            let found = emulator::run(&backward(&shape), &[weight, state, gates, cells, h, grad]).unwrap().outputs;
            for (i, name) in ["projected", "weight", "state"].into_iter().enumerate() {
                close(&found[i].floats(), &want[i], TOLERANCE, &format!("{name} of {batch}, {frames}, {width}"));
            }
        }
    }
}
