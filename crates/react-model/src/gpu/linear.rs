//! A linear layer: its products, and what surrounds them.

use super::dropout;
use super::few_rows::{self, Few, MOST_OUTPUTS, MOST_ROWS, Part};
use super::plan::{Arg, Matrix, Plan, Product, Slot, Type};
use crate::kernels::DropKey;

/// Rows that a part of a column sum has, at least.
const PART: usize = 64;
/// Parts of a column sum, at most.
const PARTS: usize = 128;

/// Sizes of a layer, and what follows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) relu: bool,
    /// Whether products may round their factors to TF32.
    pub(crate) tf32: bool,
}

/// A whole array as a matrix of rows of `row`.
pub(crate) fn matrix(array: Slot, row: usize) -> Matrix {
    Matrix { array, offset: 0, row, batch_stride: 0, transposed: false }
}

/// One product of whole arrays.
pub(crate) fn product(plan: &mut Plan, [m, n, k]: [usize; 3], a: Matrix, b: Matrix, c: Matrix, tf32: bool) {
    plan.product(Product { batch: 1, m, n, k, a, b, c, add: false, tf32 });
}

/// Column sums of dz, and dz itself from the gradient where y (before it ReLU and dropout) is given.
pub(crate) fn column_sums(plan: &mut Plan, [rows, columns]: [usize; 2], grad: Slot, activation: Option<(Slot, Slot, f32)>, sums: Slot) {
    let per_part = rows.div_ceil(PARTS).max(PART);
    let parts = rows.div_ceil(per_part);
    let partial = if parts == 1 { sums } else { plan.scratch(Type::F32, parts * columns) };
    let (y, dz, scale) = activation.map_or((Arg::Absent, Arg::Absent, 1.0), |(y, dz, scale)| (Arg::Array(y), Arg::Array(dz), scale));
    let sizes = [rows, columns, per_part].map(Arg::Size);
    let args = [Arg::Array(grad), y, dz, Arg::Array(partial)].into_iter().chain(sizes).chain([Arg::F32(scale)]).collect();
    plan.blocks("react_linear_gradient", [columns.div_ceil(32) as u32, parts as u32, 1], 256, 0, args);
    if parts > 1 {
        let args = vec![Arg::Array(partial), Arg::Array(sums), Arg::Size(parts), Arg::Size(columns)];
        plan.each("react_linear_parts", columns, 64, args);
    }
}

impl Layer {
    /// Inputs x, W `[outputs, inputs]` and b; the output y. A row of the dropout mask has `span` elements, whole rows of y.
    pub(crate) fn forward(&self, drop: Option<&DropKey>, span: usize) -> Plan {
        let Self { rows, inputs, outputs, relu, tf32 } = *self;
        if rows <= MOST_ROWS && drop.is_none() {
            return Few { rows, inputs: [inputs, 0], row: inputs, first: 0, relu, parts: vec![Part::alone(outputs)], into: None }.plan();
        }
        let mut plan = Plan::default();
        let x = plan.input(Type::F32, rows * inputs);
        let w = plan.input(Type::F32, outputs * inputs);
        let b = plan.input(Type::F32, outputs);
        let total = rows * outputs;
        let y = plan.output(Type::F32, total);
        let across = Matrix { transposed: true, ..matrix(w, inputs) };
        product(&mut plan, [rows, outputs, inputs], matrix(x, inputs), across, matrix(y, outputs), tf32);
        let mut args = vec![Arg::Array(y), Arg::Array(b), Arg::Size(outputs), Arg::Size(total)];
        if relu {
            args.push(Arg::Size(span));
            args.extend(dropout::args(drop));
            // 16 threads for 128 elements.
            plan.each("react_linear_relu", total.div_ceil(span) * span.div_ceil(128) * 16, 256, args);
        } else {
            let threads = if outputs.is_multiple_of(4) { total / 4 } else { total };
            plan.each("react_linear_bias", threads, 256, args);
        }
        plan
    }

    /// Inputs x, W, the gradient of y, and y where ReLU follows (kept elements were multiplied by `scale`); outputs dW, db, and dx where
    /// it is wanted.
    pub(crate) fn backward(&self, scale: f32, input_gradient: bool) -> Plan {
        let Self { rows, inputs, outputs, relu, tf32 } = *self;
        if rows <= MOST_ROWS && outputs <= MOST_OUTPUTS {
            return few_rows::gradients([rows, inputs, outputs], relu, scale, input_gradient);
        }
        let mut plan = Plan::default();
        let x = plan.input(Type::F32, rows * inputs);
        let w = plan.input(Type::F32, outputs * inputs);
        let grad = plan.input(Type::F32, rows * outputs);
        let activation = relu.then(|| {
            let y = plan.input(Type::F32, rows * outputs);
            (y, plan.scratch(Type::F32, rows * outputs), scale)
        });
        let dw = plan.output(Type::F32, outputs * inputs);
        let db = plan.output(Type::F32, outputs);
        column_sums(&mut plan, [rows, outputs], grad, activation, db);
        let dz = activation.map_or(grad, |(_, dz, _)| dz);
        let down = Matrix { transposed: true, ..matrix(dz, outputs) };
        product(&mut plan, [outputs, inputs, rows], down, matrix(x, inputs), matrix(dw, inputs), tf32);
        if input_gradient {
            let dx = plan.output(Type::F32, rows * inputs);
            product(&mut plan, [rows, inputs, outputs], matrix(dz, outputs), matrix(w, inputs), matrix(dx, inputs), tf32);
        }
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, gradients, normal};
    use crate::ops::{Activation, linear};

    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn a_layer_is_the_one_on_the_cpu() {
        let mode = Mode::train(3, 5);
        let relu = Activation::ReluDropout { p: 0.3 };
        for (rows, inputs, outputs, activation) in [
            (1, 3, 1, Activation::None),
            (70, 5, 36, Activation::None),
            (9, 12, 7, Activation::None),
            (200, 8, 40, relu),
            (65, 6, 5, relu),
            (3, 4, 130, Activation::ReluDropout { p: 0.0 }),
            (MOST_ROWS + 1, 4, 3, Activation::ReluDropout { p: 0.0 }),
            (5, 6, 40, relu),
            (64, 130, 9, relu),
            (16, 128, 260, Activation::None),
            (2, 300, MOST_OUTPUTS + 1, Activation::None),
        ] {
            let values = [normal(rows * inputs, "x"), normal(outputs * inputs, "w"), normal(outputs, "b")];
            let [x, w, b] = [values[0].clone(), values[1].clone(), values[2].clone()];
            let shapes: [&[usize]; 3] = [&[rows, inputs], &[outputs, inputs], &[outputs]];
            let grad = normal(rows * outputs, "grad");
            let (y, want) = gradients(&[(&x, shapes[0]), (&w, shapes[1]), (&b, shapes[2])], &grad, |t| {
                linear(&t[0], &t[1], &t[2], activation, &mode, "fc")
            });
            let (is_relu, p) = match activation {
                Activation::None => (false, 0.0),
                Activation::ReluDropout { p } => (true, p),
            };
            let layer = Layer { rows, inputs, outputs, relu: is_relu, tf32: false };
            let key = mode.drop_key(p, "fc");
            let [x, w, b] = values.map(Host::F32);
            let Some(done) = emulator::run(&layer.forward(key.as_ref(), 64 * outputs), &[x.clone(), w.clone(), b]) else { return };
            close(&done.outputs[0].floats(), &y, TOLERANCE, "y");
            assert_eq!(done.outputs[0].floats().iter().filter(|y| **y == 0.0).count(), y.iter().filter(|y| **y == 0.0).count());
            let mut inputs = vec![x, w, Host::F32(grad)];
            if is_relu {
                inputs.push(Host::F32(y));
            }
            let scale = if key.is_some() { crate::kernels::keep_scale(p) } else { 1.0 };
            let found = emulator::run(&layer.backward(scale, true), &inputs).unwrap().outputs;
            close(&found[2].floats(), &want[0], TOLERANCE, "dx");
            close(&found[0].floats(), &want[1], TOLERANCE, "dw");
            close(&found[1].floats(), &want[2], TOLERANCE, "db");
            assert_eq!(emulator::run(&layer.backward(scale, false), &inputs).unwrap().outputs[..], found[..2]);
        }
    }
}
