//! Convolutions on a GPU: what stands between an operation's arguments and cuDNN.

use super::plan::{Arg, Convolution, Direction, Plan, Slot, Type};
use crate::Precision;

/// cuDNN takes arrays of fewer elements.
const MOST_ELEMENTS: usize = 1 << 31;

/// Channels below which a strided convolution runs over cells (`kernels/input.cu`), where its input has no gradient.
const FEW_CHANNELS: usize = 8;

/// A convolution of clips `[batch, t, h, w, cin]` by a weight `[cout, cin, kt, kh, kw]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conv {
    pub(crate) batch: usize,
    /// t, h, w.
    pub(crate) input: [usize; 3],
    pub(crate) cin: usize,
    pub(crate) cout: usize,
    pub(crate) kernel: [usize; 3],
    pub(crate) stride: [usize; 3],
    pub(crate) padding: [usize; 3],
    /// Whether the input is bytes; otherwise it is what `precision` computes in.
    pub(crate) bytes: bool,
    /// Whether the input's gradient is wanted.
    pub(crate) input_gradient: bool,
    pub(crate) precision: Precision,
    /// Numbers from one output channel's weights to the next one's.
    pub(crate) row: usize,
}

/// Pictures cut into cells of stride×stride pixels, zeros around them included: the convolution over them has stride 1 and no padding
/// along height and width.
#[derive(Clone, Copy, Debug)]
struct Cells {
    /// Of a cell, in pixels.
    stride: [usize; 2],
    /// Pixels before the picture.
    before: [usize; 2],
    /// Taps of nothing before the kernel's first.
    shift: [usize; 2],
    /// Rows and columns of cells.
    size: [usize; 2],
    /// Cells that the kernel covers.
    kernel: [usize; 2],
    /// Channels, as many as 128-bit vectors hold.
    channels: usize,
}

impl Conv {
    /// Of the output and everything in between.
    pub(crate) fn element(&self) -> Type {
        if self.precision == Precision::Bf16 { Type::Bf16 } else { Type::F32 }
    }

    /// Of the input.
    pub(crate) fn source(&self) -> Type {
        if self.bytes { Type::U8 } else { self.element() }
    }

    /// t', h', w'.
    pub(crate) fn output(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| (self.input[axis] + 2 * self.padding[axis] - self.kernel[axis]) / self.stride[axis] + 1)
    }

    /// Elements of the input.
    pub(crate) fn in_len(&self) -> usize {
        self.batch * self.input.iter().product::<usize>() * self.cin
    }

    /// Elements of the output.
    pub(crate) fn out_len(&self) -> usize {
        self.batch * self.output().iter().product::<usize>() * self.cout
    }

    /// Weights of one output channel.
    pub(crate) fn taps(&self) -> usize {
        self.cin * self.kernel.iter().product::<usize>()
    }

    /// Whether the input must be rearranged, and how.
    fn cells(&self) -> Option<Cells> {
        let few = self.cin < FEW_CHANNELS && self.stride[1] * self.stride[2] > 1 && !self.input_gradient;
        if !(self.bytes || few) {
            return None;
        }
        let axis = |axis: usize| {
            let (s, p, k) = (self.stride[axis], self.padding[axis], self.kernel[axis]);
            let shift = (s - p % s) % s;
            let kernel = (k + shift).div_ceil(s);
            (shift, p + shift, kernel, self.output()[axis] - 1 + kernel)
        };
        let (y, x) = (axis(1), axis(2));
        let stride = [self.stride[1], self.stride[2]];
        let vector = vector(self.element());
        Some(Cells {
            stride,
            before: [y.1, x.1],
            shift: [y.0, x.0],
            size: [y.3, x.3],
            kernel: [y.2, x.2],
            channels: (stride[0] * stride[1] * self.cin).next_multiple_of(vector),
        })
    }

    /// y from x and w.
    pub(crate) fn forward(&self, plan: &mut Plan, x: Slot, w: Slot, y: Slot) {
        let w = self.weight(plan, w);
        self.forward_arranged(plan, x, w, y);
    }

    /// The same with w as [`Self::arrangement`] leaves it.
    pub(crate) fn forward_arranged(&self, plan: &mut Plan, x: Slot, w: Slot, y: Slot) {
        let x = self.arranged(plan, x);
        self.steps(plan, Direction::Forward, x, w, y, false);
    }

    /// dw, and dx where it is given, from dy. With `add`, dx is added to what the array holds.
    pub(crate) fn backward(&self, plan: &mut Plan, [x, w, dy]: [Slot; 3], dw: Slot, dx: Option<Slot>, add: bool) {
        let arranged = self.arranged(plan, x);
        let sums = plan.scratch(self.element(), self.weight_len());
        self.steps(plan, Direction::Weight, arranged, sums, dy, false);
        let n = self.cout * self.taps();
        let args = [vec![Arg::Array(sums), Arg::Array(dw), Arg::Size(n)], self.weight_sizes()].concat();
        plan.each(if self.element() == Type::Bf16 { "react_weight_gradient_bf16" } else { "react_weight_gradient_f32" }, n, 256, args);
        if let Some(dx) = dx {
            let w = self.weight(plan, w);
            self.steps(plan, Direction::Input, dx, w, dy, add);
        }
    }

    /// x as the convolution reads it.
    fn arranged(&self, plan: &mut Plan, x: Slot) -> Slot {
        let Some(cells) = self.cells() else { return x };
        let frames = self.batch * self.input[0];
        let [rows, columns] = cells.size;
        let out = plan.scratch(self.element(), frames * rows * columns * cells.channels);
        let vectors = cells.channels / vector(self.element());
        let kernel = match (self.source(), self.element()) {
            (Type::U8, Type::Bf16) => "react_cells_u8_bf16",
            (Type::U8, _) => "react_cells_u8_f32",
            (Type::Bf16, _) => "react_cells_bf16_bf16",
            _ => "react_cells_f32_f32",
        };
        let sizes = [
            self.input[1],
            self.input[2],
            self.cin,
            cells.stride[0],
            cells.stride[1],
            cells.before[0],
            cells.before[1],
            rows,
            columns,
            vectors,
        ];
        let args = [vec![Arg::Array(x), Arg::Array(out)], numbers(&sizes)].concat();
        plan.blocks(kernel, [frames as u32, (rows * columns * vectors).div_ceil(256) as u32, 1], 256, 0, args);
        out
    }

    /// w → w as the convolution reads it, whatever the input's size and number.
    pub(crate) fn arrangement(&self) -> Plan {
        let mut plan = Plan::default();
        let w = plan.input(Type::F32, self.cout * self.taps());
        let out = plan.output(self.element(), self.weight_len());
        self.arrange(&mut plan, w, out);
        plan
    }

    /// w as the convolution reads it.
    fn weight(&self, plan: &mut Plan, w: Slot) -> Slot {
        let out = plan.scratch(self.element(), self.weight_len());
        self.arrange(plan, w, out);
        out
    }

    fn arrange(&self, plan: &mut Plan, w: Slot, out: Slot) {
        let n = self.weight_len();
        let args = [vec![Arg::Array(w), Arg::Array(out), Arg::Size(n)], self.weight_sizes()].concat();
        plan.each(if self.element() == Type::Bf16 { "react_weight_bf16" } else { "react_weight_f32" }, n, 256, args);
    }

    /// Elements of a weight as the convolution reads it.
    pub(crate) fn weight_len(&self) -> usize {
        let [kt, kh, kw] = self.kernel;
        self.cout * kt * self.cells().map_or(kh * kw * self.cin, |c| c.kernel[0] * c.kernel[1] * c.channels)
    }

    /// `Sizes` of `kernels/convolution.cu`.
    fn weight_sizes(&self) -> Vec<Arg> {
        let [kt, kh, kw] = self.kernel;
        let plain = Cells { stride: [1; 2], before: [0; 2], shift: [0; 2], size: [0; 2], kernel: [kh, kw], channels: self.cin };
        let cells = self.cells().unwrap_or(plain);
        let ([rows, columns], [sy, sx], [shift_y, shift_x]) = (cells.kernel, cells.stride, cells.shift);
        numbers(&[self.cin, kt, kh, kw, self.row, rows, columns, cells.channels, sy, sx, shift_y, shift_x])
    }

    /// The convolution itself, in as few steps as cuDNN's largest arrays allow.
    fn steps(&self, plan: &mut Plan, direction: Direction, x: Slot, w: Slot, y: Slot, add: bool) {
        let [t, h, wide] = self.input;
        let [kt, kh, kw] = self.kernel;
        let mut step = Convolution {
            direction,
            first: 0,
            batch: self.batch,
            input: [t, h, wide],
            cin: self.cin,
            cout: self.cout,
            kernel: [kt, kh, kw],
            stride: self.stride,
            padding: self.padding,
            tf32: self.precision.rounds_factors(),
            add,
            x,
            w,
            y,
        };
        if let Some(cells) = self.cells() {
            step.input = [t, cells.size[0], cells.size[1]];
            step.cin = cells.channels;
            step.kernel = [kt, cells.kernel[0], cells.kernel[1]];
            step.stride = [self.stride[0], 1, 1];
            step.padding = [self.padding[0], 0, 0];
        }
        // Where time does not matter all frames are one batch of pictures.
        if step.kernel[0] == 1 && step.stride[0] == 1 && step.padding[0] == 0 {
            step.batch *= t;
            step.input[0] = 1;
        }
        let largest = (step.input.iter().product::<usize>() * step.cin).max(step.output().iter().product::<usize>() * step.cout);
        let at_once = ((MOST_ELEMENTS - 1) / largest).max(1);
        let all = step.batch;
        for first in (0..all).step_by(at_once) {
            step.first = first;
            step.batch = at_once.min(all - first);
            step.add = add || (direction == Direction::Weight && first > 0);
            plan.convolution(step);
        }
    }
}

/// Elements of a vector of 128 bits.
pub(super) fn vector(element: Type) -> usize {
    if element == Type::Bf16 { 8 } else { 4 }
}

/// Sizes as arguments.
pub(super) fn numbers(sizes: &[usize]) -> Vec<Arg> {
    sizes.iter().copied().map(Arg::Size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::plan::Step;

    #[test]
    fn the_first_layer_runs_over_cells() {
        let conv = Conv {
            batch: 1024,
            input: [1, 224, 224],
            cin: 3,
            cout: 32,
            kernel: [1, 7, 7],
            stride: [1, 2, 2],
            padding: [0, 3, 3],
            bytes: true,
            input_gradient: false,
            precision: Precision::Bf16,
            row: 147,
        };
        let mut plan = Plan::default();
        let (x, w, y) = (plan.input(Type::U8, conv.in_len()), plan.input(Type::F32, 32 * 147), plan.output(Type::Bf16, conv.out_len()));
        conv.forward(&mut plan, x, w, y);
        let Some(Step::Convolution(step)) = plan.steps.last() else { panic!("a convolution comes last") };
        assert_eq!((step.input, step.kernel, step.stride, step.padding), ([1, 115, 115], [1, 4, 4], [1; 3], [0; 3]));
        assert_eq!((step.cin, step.output(), step.batch), (16, [1, 112, 112], 1024));
        // 2^31 elements and more come in parts.
        let mut plan = Plan::default();
        let large = Conv { batch: 8192, ..conv };
        large.forward(&mut plan, x, w, y);
        let parts: Vec<(usize, usize)> =
            plan.steps.iter().filter_map(|s| if let Step::Convolution(c) = s { Some((c.first, c.batch)) } else { None }).collect();
        assert_eq!(parts, [(0, 5349), (5349, 2843)]);
    }
}
