//! Linear layers of few rows: one launch each, and several of the same rows together.

use super::plan::{Arg, Plan, Slot, Type};

/// Rows up to which a product is this module's: each eight read the weights anew.
pub(crate) const MOST_ROWS: usize = 64;
/// Columns up to which a layer can be normalised at once.
pub(crate) const MOST_COLUMNS: usize = 512;
/// Layers of one launch.
const PARTS: usize = 3;
/// Threads of a block: four columns.
const THREADS: u32 = 128;

/// Up to three layers of the same rows.
#[derive(Clone, Debug)]
pub(crate) struct Few {
    pub(crate) rows: usize,
    /// Inputs from the first array and from the second, which there need not be.
    pub(crate) inputs: [usize; 2],
    /// Of a weight's rows: how many inputs they have, and the first that is used.
    pub(crate) row: usize,
    pub(crate) first: usize,
    pub(crate) relu: bool,
    pub(crate) parts: Vec<Part>,
    /// Where the parts are written that are in no array of their own.
    pub(crate) into: Option<Place>,
}

/// One layer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) columns: usize,
    pub(crate) bias: bool,
    pub(crate) addend: Addend,
    /// Where its result begins in a row of [`Place`]; without it the result is an output.
    pub(crate) column: Option<usize>,
}

/// What is added to a layer's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Addend {
    None,
    /// The same to each row.
    Row,
    Rows,
}

/// Rows of an array `[sequences, room, width]`: of every sequence `frames`, from `start` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) sequences: usize,
    pub(crate) room: usize,
    pub(crate) width: usize,
    pub(crate) frames: usize,
    pub(crate) start: usize,
}

impl Few {
    /// Inputs: x `[rows, inputs]`, the second such array where there is one, of every part W `[columns, row]`, b and the addend, as far as
    /// it has them, then the array that is written into. Outputs: the results of the other parts, `[rows, columns]`.
    pub(crate) fn plan(&self) -> Plan {
        let Self { rows, inputs: [inputs, others], row, first, relu, .. } = *self;
        let mut plan = Plan::default();
        let x = plan.input(Type::F32, rows * inputs);
        let x2 = optional(&mut plan, others > 0, rows * others);
        let given: Vec<[Arg; 3]> = self.parts.iter().map(|part| part.inputs(&mut plan, rows, row)).collect();
        let into = self.into.map(|into| (plan.input(Type::F32, into.sequences * into.room * into.width), into));
        let sizes = [inputs, others, rows, into.map_or(rows, |(_, into)| into.frames), first, row, usize::from(relu)];
        let mut args = vec![Arg::Array(x), x2];
        args.extend(sizes.map(Arg::Size));
        for (part, given) in self.parts.iter().zip(given) {
            let (y, [start, pitch, width]) = part.place(&mut plan, rows, into);
            let addend_row = if part.addend == Addend::Rows { part.columns } else { 0 };
            args.extend(given);
            args.push(Arg::Array(y));
            args.extend([part.columns, addend_row, start, pitch, width].map(Arg::Size));
        }
        for _ in self.parts.len()..PARTS {
            args.extend([Arg::Absent, Arg::Absent, Arg::Absent, Arg::Absent]);
            args.extend([0; 5].map(Arg::U32));
        }
        let columns: usize = self.parts.iter().map(|part| part.columns).sum();
        plan.blocks("react_linear_few", [columns.div_ceil(THREADS as usize / 32) as u32, rows.div_ceil(8) as u32, 1], THREADS, 0, args);
        plan
    }
}

fn optional(plan: &mut Plan, there: bool, len: usize) -> Arg {
    if there { Arg::Array(plan.input(Type::F32, len)) } else { Arg::Absent }
}

impl Part {
    /// A whole layer whose result is an array of its own.
    pub(crate) fn alone(columns: usize) -> Self {
        Self { columns, bias: true, addend: Addend::None, column: None }
    }

    fn inputs(&self, plan: &mut Plan, rows: usize, row: usize) -> [Arg; 3] {
        let weight = Arg::Array(plan.input(Type::F32, self.columns * row));
        let bias = optional(plan, self.bias, self.columns);
        let addend = if self.addend == Addend::Rows { rows * self.columns } else { self.columns };
        [weight, bias, optional(plan, self.addend != Addend::None, addend)]
    }

    /// The array of the result, and in it the first element, numbers between sequences and between rows.
    fn place(&self, plan: &mut Plan, rows: usize, into: Option<(Slot, Place)>) -> (Slot, [usize; 3]) {
        match (self.column, into) {
            (Some(column), Some((slot, Place { room, width, start, .. }))) => (slot, [start * width + column, room * width, width]),
            _ => {
                let frames = into.map_or(rows, |(_, into)| into.frames);
                (plan.output(Type::F32, rows * self.columns), [0, frames * self.columns, self.columns])
            }
        }
    }
}

/// A layer whose result is added to a residual and normalised.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinearNorm {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    /// At most [`MOST_COLUMNS`].
    pub(crate) columns: usize,
    /// Rows that take the same row of x.
    pub(crate) repeat: usize,
}

impl LinearNorm {
    /// Inputs: x `[rows / repeat, inputs]`, W, b, the residual `[rows, columns]`, γ, β; output `[rows, columns]`.
    pub(crate) fn plan(&self) -> Plan {
        let Self { rows, inputs, columns, repeat } = *self;
        let lengths = [rows / repeat * inputs, columns * inputs, columns, rows * columns, columns, columns];
        let mut plan = Plan::default();
        let mut args: Vec<Arg> = lengths.into_iter().map(|n| Arg::Array(plan.input(Type::F32, n))).collect();
        args.push(Arg::Array(plan.output(Type::F32, rows * columns)));
        args.extend([inputs, columns, repeat].map(Arg::Size));
        plan.blocks("react_linear_norm", [rows as u32, 1, 1], MOST_COLUMNS as u32, 0, args);
        plan
    }
}

/// Outputs up to which a layer's gradients are one launch: those of four rows lie in shared memory.
pub(crate) const MOST_OUTPUTS: usize = 2048;

/// The gradients of a layer of few rows. Inputs x `[rows, inputs]`, W `[outputs, inputs]`, the gradient of y, and y where ReLU follows
/// (kept elements were multiplied by `scale`); outputs dW, db, and dx where it is wanted.
pub(crate) fn gradients([rows, inputs, outputs]: [usize; 3], relu: bool, scale: f32, input_gradient: bool) -> Plan {
    /// Of a block: outputs (dW), rows (dx), columns and groups of threads.
    const BLOCK: [usize; 4] = [8, 4, 128, 4];
    let mut plan = Plan::default();
    let given = [rows * inputs, outputs * inputs, rows * outputs].map(|n| Arg::Array(plan.input(Type::F32, n)));
    let y = optional(&mut plan, relu, rows * outputs);
    let [dw, db] = [outputs * inputs, outputs].map(|n| Arg::Array(plan.output(Type::F32, n)));
    let dx = if input_gradient { Arg::Array(plan.output(Type::F32, rows * inputs)) } else { Arg::Absent };
    let of_weights = outputs.div_ceil(BLOCK[0]);
    let blocks = of_weights + if input_gradient { rows.div_ceil(BLOCK[1]) } else { 0 };
    let mut args: Vec<Arg> = given.into_iter().chain([y, dw, db, dx]).collect();
    args.extend([rows, inputs, outputs, of_weights].map(Arg::Size));
    args.push(Arg::F32(scale));
    let shared = (rows * BLOCK[0]).max(BLOCK[1] * outputs + BLOCK[3] * BLOCK[1] * BLOCK[2]) * 4;
    plan.blocks("react_linear_few_gradient", [blocks as u32, 1, 1], (BLOCK[2] * BLOCK[3]) as u32, shared as u32, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mode;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, normal, tensor};
    use crate::ops::{Activation, layer_norm, linear};

    const TOLERANCE: f32 = 1e-5;

    /// x·Wᵀ + b on the CPU.
    fn on_cpu(x: &[f32], w: &[f32], b: &[f32], relu: bool) -> Vec<f32> {
        let (columns, inputs) = (b.len(), w.len() / b.len());
        let (x, w, b) = (tensor(x, &[x.len() / inputs, inputs]), tensor(w, &[columns, inputs]), tensor(b, &[columns]));
        let activation = if relu { Activation::ReluDropout { p: 0.0 } } else { Activation::None };
        linear(&x, &w, &b, activation, &Mode::eval(), "fc").unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    fn hosts(values: &[&[f32]]) -> Vec<Host> {
        values.iter().map(|x| Host::F32(x.to_vec())).collect()
    }

    /// Rows of a and b side by side.
    fn beside(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
        let (n, m) = (a.len() / rows, b.len() / rows);
        (0..rows).flat_map(|i| [&a[i * n..][..n], &b[i * m..][..m]].concat()).collect()
    }

    #[test]
    fn a_layer_of_few_rows_is_the_one_on_the_cpu() {
        for (rows, [inputs, others], columns, relu) in
            [(1, [3, 0], 1, false), (8, [128, 0], 6, true), (9, [130, 2], 5, false), (17, [132, 24], 9, true), (2, [512, 0], 3, false)]
        {
            let (x, x2) = (normal(rows * inputs, "x"), normal(rows * others, "x2"));
            let (w, b) = (normal(columns * (inputs + others), "w"), normal(columns, "b"));
            let parts = vec![Part::alone(columns)];
            let few = Few { rows, inputs: [inputs, others], row: inputs + others, first: 0, relu, parts, into: None };
            let mut given = hosts(&[&x, &x2, &w, &b]);
            if others == 0 {
                given.remove(1);
            }
            let Some(done) = emulator::run(&few.plan(), &given) else { return };
            close(&done.outputs[0].floats(), &on_cpu(&beside(&x, &x2, rows), &w, &b, relu), TOLERANCE, "y");
        }
    }

    #[test]
    fn layers_of_the_same_rows_share_a_launch() {
        let (rows, inputs, row, first) = (6, 20, 31, 7);
        let x = normal(rows * inputs, "x");
        let w: Vec<Vec<f32>> = [5, 8, 8].iter().enumerate().map(|(i, n)| normal(n * row, &format!("w{i}"))).collect();
        let (bias, addend, row_addend) = (normal(5, "b"), normal(rows * 8, "addend"), normal(5, "row"));
        // Two sequences of three frames, the second and third part from frame 2 on in rows of 18.
        let into = Place { sequences: 2, room: 7, width: 18, frames: 3, start: 2 };
        let before = normal(2 * 7 * 18, "before");
        let parts = vec![
            Part { columns: 5, bias: true, addend: Addend::Row, column: None },
            Part { columns: 8, bias: false, addend: Addend::Rows, column: Some(1) },
            Part { columns: 8, bias: false, addend: Addend::None, column: Some(10) },
        ];
        let few = Few { rows, inputs: [inputs, 0], row, first, relu: false, parts, into: Some(into) };
        let given = hosts(&[&x, &w[0], &bias, &row_addend, &w[1], &addend, &w[2], &before]);
        let Some(done) = emulator::run(&few.plan(), &given) else { return };
        let used = |w: &[f32]| -> Vec<f32> { w.chunks_exact(row).flat_map(|r| r[first..first + inputs].to_vec()).collect() };
        let biases: Vec<f32> = bias.iter().zip(&row_addend).map(|(a, b)| a + b).collect();
        close(&done.outputs[0].floats(), &on_cpu(&x, &used(&w[0]), &biases, false), TOLERANCE, "first");
        let mut want = before;
        for (w, column) in [(&w[1], 1), (&w[2], 10)] {
            let y = on_cpu(&x, &used(w), &[0.0; 8], false);
            for (r, y) in y.chunks_exact(8).enumerate() {
                let at = ((r / 3 * 7) + 2 + r % 3) * 18 + column;
                for (c, y) in y.iter().enumerate() {
                    want[at + c] = y + if column == 1 { addend[r * 8 + c] } else { 0.0 };
                }
            }
        }
        close(&done.inputs[7].floats(), &want, TOLERANCE, "into");
    }

    #[test]
    fn a_layer_with_its_norm_is_the_one_on_the_cpu() {
        for (rows, inputs, columns, repeat) in [(2, 128, 128, 1), (6, 7, 20, 3), (4, 512, 130, 1), (4, 12, 512, 2), (1, 3, 1, 1)] {
            let (x, residual) = (normal(rows / repeat * inputs, "x"), normal(rows * columns, "residual"));
            let (w, b) = (normal(columns * inputs, "w"), normal(columns, "b"));
            let (gamma, beta) = (normal(columns, "gamma"), normal(columns, "beta"));
            let layer = LinearNorm { rows, inputs, columns, repeat };
            let Some(done) = emulator::run(&layer.plan(), &hosts(&[&x, &w, &b, &residual, &gamma, &beta])) else { return };
            let inside = on_cpu(&x, &w, &b, false);
            let sum: Vec<f32> =
                residual.iter().enumerate().map(|(i, r)| inside[i / columns / repeat * columns + i % columns] + r).collect();
            let want = layer_norm(&tensor(&sum, &[rows, columns]), &tensor(&gamma, &[columns]), &tensor(&beta, &[columns])).unwrap();
            close(&done.outputs[0].floats(), &want.flatten_all().unwrap().to_vec1::<f32>().unwrap(), TOLERANCE, "y");
        }
    }
}
