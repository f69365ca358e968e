//! Convolutions whose statistics the caller keeps, on a GPU: online, a view grows with every window.

use super::convolution::Conv;
use super::norm::{Follow, Norm, Views, With};
use super::plan::{Plan, Slot, Type};
use crate::kernels::Tail;

/// A convolution and what follows its normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Convolved {
    pub(crate) conv: Conv,
    pub(crate) tail: Tail,
}

impl Convolved {
    fn norm(&self, views: Views) -> Norm {
        let [_, height, width] = self.conv.output();
        let follow = if self.tail == Tail::ReluMaxPool { Follow::ReluMaxPool { padding: 0 } } else { Follow::Relu };
        Norm { element: self.conv.element(), size: [height, width], channels: self.conv.cout, affine: false, follow, views }
    }

    fn arguments(&self, plan: &mut Plan) -> [Slot; 2] {
        [plan.input(self.conv.source(), self.conv.in_len()), plan.input(Type::F32, self.conv.cout * self.conv.taps())]
    }

    /// x, w → y and the moments f64 of each frame.
    pub(crate) fn convolve(&self) -> Plan {
        let (norm, mut plan) = (self.norm(Views::one(self.conv.batch)), Plan::default());
        let [x, w] = self.arguments(&mut plan);
        let y = plan.output(norm.element, norm.y_len());
        let moments = plan.output(Type::F64, norm.moments_len());
        self.conv.forward(&mut plan, x, w, y);
        norm.moments(&mut plan, y, moments);
        plan
    }

    /// The moments of `count` frames, and mean and squares f64 `[2, cout]` of the `earlier` frames before them where there are any →
    /// those of all together, and their statistics f32 `[2, cout]`.
    pub(crate) fn merge(&self, count: usize, earlier: usize) -> Plan {
        let (norm, mut plan) = (self.norm(Views::one(count)), Plan::default());
        let moments = plan.input(Type::F64, norm.moments_len());
        let before = (earlier > 0).then(|| plan.input(Type::F64, 2 * norm.channels));
        let merged = plan.output(Type::F64, 2 * norm.channels);
        let statistics = plan.output(Type::F32, 2 * norm.channels);
        let with = With { earlier: before.map(|slot| (slot, earlier)), merged: Some(merged), ..With::default() };
        norm.statistics(&mut plan, moments, statistics, with);
        plan
    }

    /// y and x of `count` frames, and statistics → the result.
    pub(crate) fn normalise(&self, count: usize) -> Plan {
        let (norm, mut plan) = (self.norm(Views::one(count)), Plan::default());
        let y = plan.input(norm.element, norm.y_len());
        let statistics = plan.input(Type::F32, norm.statistics_len());
        let residual = (self.tail == Tail::ReluAdd).then(|| plan.input(norm.element, norm.y_len()));
        let out = plan.output(norm.element, norm.out_len());
        norm.forward(&mut plan, y, statistics, residual, out, None);
        plan
    }

    /// x, w as [`Conv::arrangement`] leaves it, and mean and squares of the `earlier` frames where there are any → the result, normalised
    /// by what was seen so far, mean and squares of that, and its statistics.
    pub(crate) fn next(&self, earlier: usize) -> Plan {
        let (norm, mut plan) = (self.norm(Views::one(self.conv.batch)), Plan::default());
        let x = plan.input(self.conv.source(), self.conv.in_len());
        let w = plan.input(self.conv.element(), self.conv.weight_len());
        let before = (earlier > 0).then(|| plan.input(Type::F64, 2 * norm.channels));
        let out = plan.output(norm.element, norm.out_len());
        let merged = plan.output(Type::F64, 2 * norm.channels);
        let statistics = plan.output(Type::F32, norm.statistics_len());
        let y = plan.scratch(norm.element, norm.y_len());
        let moments = plan.scratch(Type::F64, norm.moments_len());
        self.conv.forward_arranged(&mut plan, x, w, y);
        norm.moments(&mut plan, y, moments);
        let with = With { earlier: before.map(|slot| (slot, earlier)), merged: Some(merged), ..With::default() };
        norm.statistics(&mut plan, moments, statistics, with);
        norm.forward(&mut plan, y, statistics, (self.tail == Tail::ReluAdd).then_some(x), out, None);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::gpu::emulator::{Host, run};
    use crate::gpu::testing::{close, normal, tensor, whole};
    use crate::ops::{ConvBlockShape, Running};

    /// A conversation of 2, 3 and 1 frames: the CPU's running statistics, and the plans in one step and in three.
    #[test]
    fn statistics_run_on() {
        for precision in [Precision::F32, Precision::Bf16] {
            for (tail, [cin, cout]) in [(Tail::Relu, [3, 8]), (Tail::ReluMaxPool, [4, 5]), (Tail::ReluAdd, [8, 8])] {
                let exact = precision == Precision::Bf16;
                let (element, tolerance) = if exact { (Type::Bf16, 2e-2) } else { (Type::F32, 2e-5) };
                let [height, width] = [6, 7];
                let frame = height * width * cin;
                let x = if exact { whole(6 * frame, "x", 2.0) } else { normal(6 * frame, "x") };
                let w = if exact { whole(cout * cin * 9, "w", 1.0) } else { normal(cout * cin * 9, "w") };
                let shape = ConvBlockShape { frames: 0, stride: 1, padding: 1, tail, precision: Precision::F32 };
                let mut running = Running::default();
                let mut earlier: Option<Host> = None;
                for (first, end) in [(0, 2), (2, 5), (5, 6)] {
                    let part = &x[first * frame..end * frame];
                    let want = running.next(&tensor(part, &[end - first, height, width, cin]), &tensor(&w, &[cout, cin, 1, 3, 3]), shape);
                    let want = want.unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
                    let conv = Conv {
                        batch: end - first,
                        input: [1, height, width],
                        cin,
                        cout,
                        kernel: [1, 3, 3],
                        stride: [1; 3],
                        padding: [0, 1, 1],
                        bytes: false,
                        input_gradient: false,
                        precision,
                        row: cin * 9,
                    };
                    let plans = Convolved { conv, tail };
                    let arguments = [Host::of(element, part), Host::F32(w.clone())];
                    let Some(mut arranged) = run(&conv.arrangement(), &arguments[1..]) else { return };
                    let inputs: Vec<Host> = [arguments[0].clone(), arranged.outputs.remove(0)].iter().chain(&earlier).cloned().collect();
                    let Some(next) = run(&plans.next(first), &inputs) else { return };
                    close(&next.outputs[0].floats(), &want, tolerance, &format!("{tail:?} from frame {first} on"));

                    let Some(convolved) = run(&plans.convolve(), &arguments) else { return };
                    let inputs: Vec<Host> = std::iter::once(&convolved.outputs[1]).chain(&earlier).cloned().collect();
                    let Some(merged) = run(&plans.merge(end - first, first), &inputs) else { return };
                    assert_eq!(merged.outputs, next.outputs[1..]);
                    let mut inputs = vec![convolved.outputs[0].clone(), merged.outputs[1].clone()];
                    inputs.extend((tail == Tail::ReluAdd).then(|| arguments[0].clone()));
                    let Some(out) = run(&plans.normalise(end - first), &inputs) else { return };
                    assert_eq!(out.outputs[0], next.outputs[0]);
                    earlier = Some(merged.outputs[0].clone());
                }
            }
        }
    }
}
