//! [`crate::ops::conv_norm`] on a GPU.

use super::convolution::Conv;
use super::norm::{Backward, Follow, Norm, Views, With};
use super::plan::{Arg, Plan, Slot, Type};
use crate::ops::Then;

/// `conv.row` is the packed weight's: γ and β follow each output channel's taps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConvNorm {
    pub(crate) conv: Conv,
    pub(crate) then: Then,
    pub(crate) residual: bool,
    /// Whether mean and variance are given.
    pub(crate) fixed: bool,
}

impl ConvNorm {
    fn norm(&self) -> Norm {
        let [_, height, width] = self.conv.output();
        Norm {
            element: self.conv.element(),
            size: [height, width],
            channels: self.conv.cout,
            affine: true,
            follow: match self.then {
                Then::Nothing => Follow::Nothing,
                Then::Relu => Follow::Relu,
                Then::ReluMaxPool => Follow::ReluMaxPool { padding: 1 },
            },
            views: Views::one(self.conv.batch * self.conv.input[0]),
        }
    }

    fn arguments(&self, plan: &mut Plan) -> [Slot; 2] {
        [plan.input(self.conv.source(), self.conv.in_len()), plan.input(Type::F32, self.conv.cout * self.conv.row)]
    }

    /// x, packed weights, the residual, mean and variance where they are fixed → the result; mean and variance where they are not;
    /// with `keep` also y, the statistics, and with a pool its winners.
    pub(crate) fn forward(&self, keep: bool) -> Plan {
        let (norm, mut plan) = (self.norm(), Plan::default());
        let [x, packed] = self.arguments(&mut plan);
        let residual = self.residual.then(|| plan.input(norm.element, norm.y_len()));
        let given = self.fixed.then(|| [(); 2].map(|()| plan.input(Type::F32, norm.channels)));
        let out = plan.output(norm.element, norm.out_len());
        let observed = (!self.fixed).then(|| [(); 2].map(|()| plan.output(Type::F32, norm.channels)));
        let kept = |plan: &mut Plan, element, len| if keep { plan.output(element, len) } else { plan.scratch(element, len) };
        let y = kept(&mut plan, norm.element, norm.y_len());
        let statistics = kept(&mut plan, Type::F32, norm.statistics_len());
        let winners = norm.winners_len().filter(|_| keep).map(|len| plan.output(Type::U8, len));
        self.conv.forward(&mut plan, x, packed, y);
        let affine = (packed, self.conv.row, self.conv.taps());
        match given {
            Some(given) => norm.fixed_statistics(&mut plan, given, affine, statistics),
            None => {
                let moments = plan.scratch(Type::F64, norm.moments_len());
                norm.moments(&mut plan, y, moments);
                norm.statistics(&mut plan, moments, statistics, With { affine: Some(affine), observed, ..With::default() });
            }
        }
        norm.forward(&mut plan, y, statistics, residual, out, winners);
        plan
    }

    /// x, packed weights, y, the statistics, the winners of a pool, the result, its gradient → the packed weights' gradient, dx where it
    /// is wanted, the residual's with `through`.
    pub(crate) fn backward(&self, through: bool) -> Plan {
        let (norm, mut plan) = (self.norm(), Plan::default());
        let [x, packed] = self.arguments(&mut plan);
        let of = Backward {
            y: plan.input(norm.element, norm.y_len()),
            statistics: plan.input(Type::F32, norm.statistics_len()),
            winners: norm.winners_len().map(|len| plan.input(Type::U8, len)),
            result: plan.input(norm.element, norm.out_len()),
            grad: plan.input(norm.element, norm.out_len()),
            residual: self.residual,
        };
        let dpacked = plan.output(Type::F32, self.conv.cout * self.conv.row);
        let dx = self.conv.input_gradient.then(|| plan.output(norm.element, self.conv.in_len()));
        let through = through.then(|| plan.output(norm.element, norm.y_len()));
        let means = plan.scratch(Type::F32, norm.means_len());
        norm.gradient_means(&mut plan, of, means, Some((dpacked, self.conv.row, self.conv.taps())), self.fixed);
        let dy = plan.scratch(norm.element, norm.y_len());
        norm.gradient(&mut plan, of, means, dy, through);
        self.conv.backward(&mut plan, [x, packed, dy], dpacked, dx, false);
        plan
    }
}

/// Running mean and variance move `momentum` of the way, in place, to a batch's mean and `unbiased` times its variance: four arrays
/// `[channels]` in that order.
pub(crate) fn running_statistics(channels: usize, momentum: f32, unbiased: f32) -> Plan {
    let mut plan = Plan::default();
    let mut args: Vec<Arg> = (0..4).map(|_| Arg::Array(plan.input(Type::F32, channels))).collect();
    args.extend([Arg::F32(momentum), Arg::F32(unbiased), Arg::Size(channels)]);
    plan.each("react_running_statistics", channels, 128, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::gpu::emulator::{Host, run};
    use crate::gpu::testing::{close, normal, tensor, whole};
    use crate::ops::{ChannelStatistics, ConvNormShape, conv_norm};
    use candle_core::{Tensor, Var};

    /// n, size, channels in and out, kernel, stride.
    type Case = (usize, [usize; 2], [usize; 2], usize, usize);

    fn values(of: &Tensor) -> Vec<f32> {
        of.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn check((n, [height, width], [cin, cout], kernel, stride): Case, then: Then, residual: bool, fixed: bool, precision: Precision) {
        let exact = precision == Precision::Bf16;
        let (element, tolerance) = if exact { (Type::Bf16, 2e-2) } else { (Type::F32, 2e-5) };
        let draw = |n: usize, name: &str, most: f32| if exact { whole(n, name, most) } else { normal(n, name) };
        let var = |values: &[f32], shape: &[usize]| Var::from_tensor(&tensor(values, shape)).unwrap();
        let conv = Conv {
            batch: n,
            input: [1, height, width],
            cin,
            cout,
            kernel: [1, kernel, kernel],
            stride: [1, stride, stride],
            padding: [0, kernel / 2, kernel / 2],
            bytes: false,
            input_gradient: true,
            precision,
            row: cin * kernel * kernel + 2,
        };
        let [_, rows, columns] = conv.output();
        let x = draw(conv.in_len(), "x", 2.0);
        let w = draw(cout * conv.taps(), "w", 1.0);
        // Away from 0, and of both signs.
        let affine: Vec<f32> = normal(2 * cout, "affine").iter().map(|a| a + 0.5f32.copysign(*a)).collect();
        let around = if exact { whole(conv.out_len(), "residual", 3.0) } else { normal(conv.out_len(), "residual") };
        let (x_var, w_var) = (var(&x, &[n, height, width, cin]), var(&w, &[cout, cin, kernel, kernel]));
        let (affine_var, around_var) = (var(&affine, &[2, cout]), var(&around, &[n, rows, columns, cout]));
        let (mean, variance) = (normal(cout, "mean"), normal(cout, "variance").iter().map(|v| v * v + 0.5).collect::<Vec<_>>());
        let given = fixed.then(|| ChannelStatistics { mean: tensor(&mean, &[cout]), variance: tensor(&variance, &[cout]), rows: None });
        let shape = ConvNormShape { stride, padding: kernel / 2, then, precision: Precision::F32 };
        let around_tensor = residual.then(|| around_var.as_tensor());
        let (want, statistics) = conv_norm(&x_var, &w_var, &affine_var, around_tensor, given, shape).unwrap();
        let grad = Host::of(element, &normal(want.elem_count(), "grad")).floats();
        let gradients = (&want * tensor(&grad, want.dims())).unwrap().sum_all().unwrap().backward().unwrap();
        let of = |var: &Var| values(gradients.get(var).unwrap());

        let mut packed = Vec::new();
        for (i, row) in w.chunks_exact(conv.taps()).enumerate() {
            packed.extend_from_slice(row);
            packed.extend([affine[i], affine[cout + i]]);
        }
        let plan = ConvNorm { conv, then, residual, fixed };
        let name = format!("{n} {height}×{width} {cin}→{cout} {kernel}/{stride} {then:?} residual {residual} fixed {fixed} {precision}");
        let arguments = [Host::of(element, &x), Host::F32(packed)];
        let mut inputs = arguments.to_vec();
        inputs.extend(residual.then(|| Host::of(element, &around)));
        if fixed {
            inputs.extend([Host::F32(mean), Host::F32(variance)]);
        }
        let Some(done) = run(&plan.forward(true), &inputs) else { return };
        close(&done.outputs[0].floats(), &values(&want), tolerance, &format!("result of {name}"));
        let Some(only) = run(&plan.forward(false), &inputs) else { return };
        assert_eq!(only.outputs[0], done.outputs[0], "{name}");
        let mut kept = &done.outputs[1..];
        if !fixed {
            close(&kept[0].floats(), &values(&statistics.mean), tolerance, &format!("mean of {name}"));
            close(&kept[1].floats(), &values(&statistics.variance), tolerance, &format!("variance of {name}"));
            kept = &kept[2..];
        }
        let inputs = [&arguments[..], kept, &[done.outputs[0].clone(), Host::of(element, &grad)]].concat();
        let Some(back) = run(&plan.backward(residual), &inputs) else { return };
        let (dw, daffine) = (of(&w_var), of(&affine_var));
        let got: Vec<f32> = back.outputs[0].floats();
        let rows = got.chunks_exact(conv.row);
        let weights: Vec<f32> = rows.clone().flat_map(|row| row[..conv.taps()].to_vec()).collect();
        close(&weights, &dw, 2.0 * tolerance, &format!("dw of {name}"));
        let pairs: Vec<f32> = (0..2).flat_map(|i| rows.clone().map(move |row| row[conv.taps() + i])).collect();
        close(&pairs, &daffine, 2.0 * tolerance, &format!("affine's gradient of {name}"));
        close(&back.outputs[1].floats(), &of(&x_var), 2.0 * tolerance, &format!("dx of {name}"));
        if residual {
            close(&back.outputs[2].floats(), &of(&around_var), 2.0 * tolerance, &format!("residual's gradient of {name}"));
        }
    }

    const CASES: [Case; 3] = [(3, [5, 6], [4, 8], 3, 1), (2, [7, 8], [3, 5], 3, 2), (2, [6, 5], [8, 24], 1, 2)];

    #[test]
    fn of_a_batch() {
        for precision in [Precision::F32, Precision::Bf16] {
            for case in CASES {
                check(case, Then::Nothing, false, false, precision);
                check(case, Then::Relu, false, false, precision);
                check(case, Then::Relu, true, false, precision);
                check(case, Then::ReluMaxPool, false, false, precision);
            }
        }
    }

    #[test]
    fn with_fixed_statistics() {
        for precision in [Precision::F32, Precision::Bf16] {
            check(CASES[0], Then::Relu, true, true, precision);
            check(CASES[1], Then::ReluMaxPool, false, true, precision);
            check(CASES[2], Then::Nothing, true, true, precision);
        }
    }

    #[test]
    fn running_statistics_move_a_tenth() {
        let inputs = [[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0], [11.0, 12.0, 13.0], [1.0, 2.0, 0.0]].map(|x| Host::F32(x.to_vec()));
        let Some(done) = run(&running_statistics(3, 0.1, 2.0), &inputs) else { return };
        close(&done.inputs[0].floats(), &[2.0, 3.0, 4.0], 1e-6, "mean");
        close(&done.inputs[1].floats(), &[3.8, 4.9, 5.4], 1e-6, "variance");
    }
}
