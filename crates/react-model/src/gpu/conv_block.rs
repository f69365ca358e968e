//! [`crate::ops::conv_block`] on a GPU.
//!
//! ```text
//! forward    bytes → cells · cuDNN · y → moments of each frame → statistics of each view · y → result (and winners of the pool)
//! backward   y, gradient → two sums of each view · y, gradient → dy · cuDNN twice
//! ```

use super::convolution::Conv;
use super::norm::{Backward, Follow, Norm, Views, With};
use super::plan::{Plan, Slot, Type};
use crate::kernels::Tail;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConvBlock {
    pub(crate) conv: Conv,
    pub(crate) views: Views,
    pub(crate) tail: Tail,
}

impl ConvBlock {
    fn norm(&self) -> Norm {
        let [_, height, width] = self.conv.output();
        Norm {
            element: self.conv.element(),
            size: [height, width],
            channels: self.conv.cout,
            affine: false,
            follow: if self.tail == Tail::ReluMaxPool { Follow::ReluMaxPool { padding: 0 } } else { Follow::Relu },
            views: self.views.clone(),
        }
    }

    fn arguments(&self, plan: &mut Plan) -> [Slot; 2] {
        [plan.input(self.conv.source(), self.conv.in_len()), plan.input(Type::F32, self.conv.cout * self.conv.taps())]
    }

    /// x, w → the result; with `keep` also y, the statistics, and with a pool its winners.
    pub(crate) fn forward(&self, keep: bool) -> Plan {
        let (norm, mut plan) = (self.norm(), Plan::default());
        let [x, w] = self.arguments(&mut plan);
        let out = plan.output(norm.element, norm.out_len());
        let kept = |plan: &mut Plan, element, len| if keep { plan.output(element, len) } else { plan.scratch(element, len) };
        let y = kept(&mut plan, norm.element, norm.y_len());
        let statistics = kept(&mut plan, Type::F32, norm.statistics_len());
        let winners = norm.winners_len().filter(|_| keep).map(|len| plan.output(Type::U8, len));
        self.conv.forward(&mut plan, x, w, y);
        let moments = plan.scratch(Type::F64, norm.moments_len());
        norm.moments(&mut plan, y, moments);
        norm.statistics(&mut plan, moments, statistics, With::default());
        norm.forward(&mut plan, y, statistics, (self.tail == Tail::ReluAdd).then_some(x), out, winners);
        plan
    }

    /// x, w, y, the statistics, the winners of a pool, the result, its gradient → dw, and dx where it is wanted. With `over_y` y's
    /// gradient, as large as y, takes y's place.
    pub(crate) fn backward(&self, over_y: bool) -> Plan {
        let (norm, mut plan) = (self.norm(), Plan::default());
        let [x, w] = self.arguments(&mut plan);
        let of = Backward {
            y: plan.input(norm.element, norm.y_len()),
            statistics: plan.input(Type::F32, norm.statistics_len()),
            winners: norm.winners_len().map(|len| plan.input(Type::U8, len)),
            result: plan.input(norm.element, norm.out_len()),
            grad: plan.input(norm.element, norm.out_len()),
            residual: false,
        };
        let dw = plan.output(Type::F32, self.conv.cout * self.conv.taps());
        let dx = self.conv.input_gradient.then(|| plan.output(norm.element, self.conv.in_len()));
        let means = plan.scratch(Type::F32, norm.means_len());
        norm.gradient_means(&mut plan, of, means, None, false);
        let dy = if over_y { of.y } else { plan.scratch(norm.element, norm.y_len()) };
        // A residual's gradient goes into dx first; the convolution's is added to it.
        let add = self.tail == Tail::ReluAdd;
        norm.gradient(&mut plan, of, means, dy, dx.filter(|_| add));
        self.conv.backward(&mut plan, [x, w, dy], dw, dx, add);
        plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::gpu::emulator::{Host, run};
    use crate::gpu::testing::{close, normal, tensor, whole};
    use crate::ops::{ConvBlockShape, conv_block_of_views};
    use candle_core::{DType, Device, Tensor, Var};
    use std::ops::Range;

    struct Case {
        frames: usize,
        size: [usize; 2],
        channels: [usize; 2],
        kernel: usize,
        stride: usize,
        padding: usize,
        tail: Tail,
        views: Vec<Range<usize>>,
        bytes: bool,
    }

    /// Forward and backward of a case on the emulator and on the CPU. `input_gradient` false: as for frames that nobody trains.
    fn check(case: &Case, precision: Precision, input_gradient: bool) {
        let Case { frames, size: [height, width], channels: [cin, cout], kernel, stride, padding, tail, ref views, bytes } = *case;
        let element = if precision == Precision::Bf16 { Type::Bf16 } else { Type::F32 };
        let tolerance = if precision == Precision::Bf16 { 2e-2 } else { 2e-5 };
        // In bf16 whole numbers: their sums are exact, and no ReLU and no window decides otherwise than on the CPU.
        let exact = precision == Precision::Bf16;
        let (n, taps) = (frames * height * width * cin, cout * cin * kernel * kernel);
        let x: Vec<f32> = match (bytes, exact) {
            (true, true) => normal(n, "x").iter().map(|x| if *x > 0.3 { 255.0 } else { 0.0 }).collect(),
            (true, false) => normal(n, "x").iter().map(|x| (x * 60.0 + 128.0).clamp(0.0, 255.0).floor()).collect(),
            (false, true) => whole(n, "x", 2.0),
            (false, false) => normal(n, "x"),
        };
        let w = if exact { whole(taps, "w", 1.0) } else { normal(taps, "w") };
        let x_host = if bytes { Host::U8(x.iter().map(|x| *x as u8).collect()) } else { Host::of(element, &x) };

        let x_tensor = tensor(&x, &[frames, height, width, cin]);
        let (x_var, x_tensor) = if bytes {
            (None, x_tensor.to_dtype(DType::U8).unwrap())
        } else {
            let var = Var::from_tensor(&x_tensor).unwrap();
            (Some(var.clone()), if input_gradient { var.as_tensor().clone() } else { x_tensor })
        };
        let w_var = Var::from_tensor(&tensor(&w, &[cout, cin, 1, kernel, kernel])).unwrap();
        let shape = ConvBlockShape { frames: 0, stride, padding, tail, precision: Precision::F32 };
        let want = conv_block_of_views(&x_tensor, &w_var, views, shape).unwrap();
        let grad = Host::of(element, &normal(want.elem_count(), "grad")).floats();
        let loss = (&want * &Tensor::from_slice(&grad, want.shape(), &Device::Cpu).unwrap()).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();

        let conv = Conv {
            batch: frames,
            input: [1, height, width],
            cin,
            cout,
            kernel: [1, kernel, kernel],
            stride: [1, stride, stride],
            padding: [0, padding, padding],
            bytes,
            input_gradient,
            precision,
            row: cin * kernel * kernel,
        };
        let block = ConvBlock { conv, views: Views::new(frames, views), tail };
        let name = format!("{size:?} {cin}→{cout} {kernel}/{stride} {tail:?} {views:?} {precision} bytes {bytes}", size = [height, width]);
        let Some(done) = run(&block.forward(true), &[x_host.clone(), Host::F32(w.clone())]) else { return };
        let want = want.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        close(&done.outputs[0].floats(), &want, tolerance, &format!("result of {name}"));
        let Some(only) = run(&block.forward(false), &[x_host.clone(), Host::F32(w.clone())]) else { return };
        assert_eq!((only.outputs.len(), &only.outputs[0]), (1, &done.outputs[0]), "{name}");

        let mut inputs = vec![x_host, Host::F32(w)];
        inputs.extend(done.outputs[1..].iter().cloned());
        inputs.extend([done.outputs[0].clone(), Host::of(element, &grad)]);
        let Some(back) = run(&block.backward(false), &inputs) else { return };
        let Some(over) = run(&block.backward(true), &inputs) else { return };
        assert!(back.inputs == inputs && back.outputs == over.outputs, "{name}: over y");
        let of = |var: &Var| gradients.get(var).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        close(&back.outputs[0].floats(), &of(&w_var), 2.0 * tolerance, &format!("dw of {name}"));
        if let Some(x) = x_var.filter(|_| input_gradient) {
            close(&back.outputs[1].floats(), &of(&x), 2.0 * tolerance, &format!("dx of {name}"));
        }
        assert_eq!(back.outputs.len(), 1 + usize::from(input_gradient));
    }

    fn clips(n: usize, frames: usize) -> Vec<Range<usize>> {
        (0..n).map(|i| i * frames..(i + 1) * frames).collect()
    }

    const BOTH: [Precision; 2] = [Precision::F32, Precision::Bf16];

    #[test]
    fn relu_of_clips() {
        for precision in BOTH {
            for (size, channels, kernel, stride) in
                [([7, 9], [5, 6], 3, 1), ([12, 10], [8, 16], 7, 2), ([6, 5], [16, 40], 3, 2), ([3, 4], [3, 72], 1, 1)]
            {
                let case = Case {
                    frames: 6,
                    size,
                    channels,
                    kernel,
                    stride,
                    padding: kernel / 2,
                    tail: Tail::Relu,
                    views: clips(2, 3),
                    bytes: false,
                };
                check(&case, precision, true);
            }
        }
    }

    /// More channels than a block has, more pixels than a part has.
    #[test]
    fn large_frames() {
        for precision in BOTH {
            let case = Case {
                frames: 2,
                size: [3, 3],
                channels: [2, 264],
                kernel: 1,
                stride: 1,
                padding: 0,
                tail: Tail::Relu,
                views: clips(1, 2),
                bytes: false,
            };
            check(&case, precision, true);
            check(&Case { channels: [2, 259], ..case }, precision, true);
            let case = Case {
                frames: 2,
                size: [130, 131],
                channels: [1, 8],
                kernel: 2,
                stride: 1,
                padding: 0,
                tail: Tail::Relu,
                views: clips(2, 1),
                bytes: false,
            };
            check(&case, precision, true);
        }
    }

    #[test]
    fn residual_blocks() {
        for precision in BOTH {
            for (size, channels) in [([5, 4], 8), ([3, 3], 5), ([6, 7], 24)] {
                let channels = [channels; 2];
                let case = Case {
                    frames: 5,
                    size,
                    channels,
                    kernel: 3,
                    stride: 1,
                    padding: 1,
                    tail: Tail::ReluAdd,
                    views: clips(1, 5),
                    bytes: false,
                };
                check(&case, precision, true);
                check(&Case { views: vec![0..1, 1..3, 3..5], ..case }, precision, true);
            }
        }
    }

    #[test]
    fn pools() {
        for precision in BOTH {
            for (size, channels, kernel, stride) in
                [([9, 7], [3, 8], 3, 1), ([10, 12], [4, 5], 3, 1), ([21, 18], [3, 16], 7, 2), ([13, 13], [8, 32], 3, 2)]
            {
                for bytes in [false, true] {
                    let case = Case {
                        frames: 4,
                        size,
                        channels,
                        kernel,
                        stride,
                        padding: kernel / 2,
                        tail: Tail::ReluMaxPool,
                        views: clips(2, 2),
                        bytes,
                    };
                    check(&case, precision, !bytes);
                    if !bytes {
                        check(&case, precision, false);
                    }
                }
            }
        }
    }

    /// Frames that several views show, and one that none does.
    #[test]
    fn views_of_the_same_frames() {
        for precision in BOTH {
            for (tail, bytes) in [(Tail::Relu, false), (Tail::ReluMaxPool, true), (Tail::ReluMaxPool, false)] {
                let case = Case {
                    frames: 8,
                    size: [14, 15],
                    channels: [3, 8],
                    kernel: 5,
                    stride: 2,
                    padding: 2,
                    tail,
                    views: vec![0..2, 4..6, 0..3, 4..7],
                    bytes,
                };
                check(&case, precision, !bytes);
                check(&Case { views: vec![1..3, 2..4, 5..7], channels: [3, 7], ..case }, precision, !bytes);
            }
        }
    }

    /// Bytes in cells of other shapes than the published model's.
    #[test]
    fn bytes_in_cells() {
        for (kernel, stride, padding, channels) in [(3, 1, 1, 3), (4, 3, 1, 2), (2, 3, 0, 1), (5, 2, 0, 3), (3, 2, 2, 5)] {
            for precision in BOTH {
                let case = Case {
                    frames: 2,
                    size: [11, 10],
                    channels: [channels, 8],
                    kernel,
                    stride,
                    padding,
                    tail: Tail::Relu,
                    views: clips(1, 2),
                    bytes: true,
                };
                check(&case, precision, false);
            }
        }
    }
}
