//! [`crate::ops::conv3d`] on a GPU.

use super::convolution::{Conv, numbers};
use super::norm::column_sums;
use super::plan::{Arg, Plan, Type};

/// x, w, the bias if there is one → y.
pub(crate) fn forward(conv: &Conv, bias: bool) -> Plan {
    forward_then(conv, bias, false)
}

/// x, w, bias → relu(y).
pub(crate) fn forward_relu(conv: &Conv) -> Plan {
    forward_then(conv, true, true)
}

fn forward_then(conv: &Conv, bias: bool, relu: bool) -> Plan {
    let mut plan = Plan::default();
    let (x, w) = (plan.input(conv.source(), conv.in_len()), plan.input(Type::F32, conv.cout * conv.taps()));
    let bias = bias.then(|| plan.input(Type::F32, conv.cout));
    let y = plan.output(conv.element(), conv.out_len());
    conv.forward(&mut plan, x, w, y);
    if let Some(bias) = bias {
        let rows = conv.out_len() / conv.cout;
        let args = [vec![Arg::Array(y), Arg::Array(bias)], numbers(&[rows, conv.cout, usize::from(relu)])].concat();
        let kernel = if conv.element() == Type::Bf16 { "react_bias_bf16" } else { "react_bias_f32" };
        plan.blocks(kernel, [rows.div_ceil(16) as u32, 1, 1], 256, 0, args);
    }
    plan
}

/// x, w, y's gradient → dw, dx where it is wanted, the bias' where there is one.
pub(crate) fn backward(conv: &Conv, bias: bool) -> Plan {
    let mut plan = Plan::default();
    let (x, w) = (plan.input(conv.source(), conv.in_len()), plan.input(Type::F32, conv.cout * conv.taps()));
    let grad = plan.input(conv.element(), conv.out_len());
    let dw = plan.output(Type::F32, conv.cout * conv.taps());
    let dx = conv.input_gradient.then(|| plan.output(conv.element(), conv.in_len()));
    conv.backward(&mut plan, [x, w, grad], dw, dx, false);
    if bias {
        let db = plan.output(Type::F32, conv.cout);
        column_sums(&mut plan, conv.element(), conv.out_len() / conv.cout, conv.cout, grad, db);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Precision;
    use crate::gpu::emulator::{Host, run};
    use crate::gpu::testing::{close, normal, tensor, whole};
    use crate::ops::{Conv3dShape, conv3d};
    use candle_core::{DType, Tensor, Var};

    /// Kernel, stride, padding, channels in and out.
    type Case = ([usize; 3], [usize; 3], [usize; 3], [usize; 2]);

    fn values(of: &Tensor) -> Vec<f32> {
        of.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn check((kernel, stride, padding, [cin, cout]): Case, bytes: bool, precision: Precision) {
        let exact = precision == Precision::Bf16;
        let (element, tolerance) = if exact { (Type::Bf16, 2e-2) } else { (Type::F32, 2e-5) };
        let input = [4, 7, 6];
        let conv = Conv {
            batch: 2,
            input,
            cin,
            cout,
            kernel,
            stride,
            padding,
            bytes,
            input_gradient: !bytes,
            precision,
            row: cin * kernel.iter().product::<usize>(),
        };
        let n = conv.in_len();
        let x: Vec<f32> = match (bytes, exact) {
            (true, true) => normal(n, "x").iter().map(|x| if *x > 0.3 { 255.0 } else { 0.0 }).collect(),
            (true, false) => normal(n, "x").iter().map(|x| (x * 60.0 + 128.0).clamp(0.0, 255.0).floor()).collect(),
            (false, true) => whole(n, "x", 2.0),
            (false, false) => normal(n, "x"),
        };
        let w = if exact { whole(cout * conv.taps(), "w", 1.0) } else { normal(cout * conv.taps(), "w") };
        let b = if exact { whole(cout, "b", 3.0) } else { normal(cout, "b") };
        let shape = [vec![2], input.to_vec(), vec![cin]].concat();
        let x_var = Var::from_tensor(&tensor(&x, &shape)).unwrap();
        let x_tensor = if bytes { tensor(&x, &shape).to_dtype(DType::U8).unwrap() } else { x_var.as_tensor().clone() };
        let w_var = Var::from_tensor(&tensor(&w, &[cout, cin, kernel[0], kernel[1], kernel[2]])).unwrap();
        let b_var = Var::from_tensor(&tensor(&b, &[cout])).unwrap();
        let want = conv3d(&x_tensor, &w_var, Some(&b_var), Conv3dShape { stride, padding, precision: Precision::F32 }).unwrap();
        let grad = Host::of(element, &normal(want.elem_count(), "grad")).floats();
        let gradients = (&want * tensor(&grad, want.dims())).unwrap().sum_all().unwrap().backward().unwrap();
        let of = |var: &Var| values(gradients.get(var).unwrap());
        let name = format!("{conv:?}");
        let arguments = [Host::of(conv.source(), &x), Host::F32(w)];
        let Some(done) = run(&forward(&conv, true), &[&arguments[..], &[Host::F32(b.clone())]].concat()) else { return };
        close(&done.outputs[0].floats(), &values(&want), tolerance, &name);
        let Some(cut) = run(&forward_relu(&conv), &[&arguments[..], &[Host::F32(b)]].concat()) else { return };
        let want: Vec<f32> = done.outputs[0].floats().iter().map(|y| y.max(0.0)).collect();
        close(&cut.outputs[0].floats(), &want, 1e-6, &format!("ReLU of {name}"));
        let Some(back) = run(&backward(&conv, true), &[&arguments[..], &[Host::of(element, &grad)]].concat()) else { return };
        close(&back.outputs[0].floats(), &of(&w_var), tolerance, &format!("dw of {name}"));
        close(&back.outputs[back.outputs.len() - 1].floats(), &of(&b_var), tolerance, &format!("bias' gradient of {name}"));
        if !bytes {
            close(&back.outputs[1].floats(), &of(&x_var), tolerance, &format!("dx of {name}"));
        }
    }

    #[test]
    fn clips_in_all_three_axes() {
        for precision in [Precision::F32, Precision::Bf16] {
            for case in [
                ([2, 3, 3], [1, 2, 2], [1, 1, 1], [3, 8]),
                ([3, 2, 1], [2, 1, 3], [0, 1, 0], [8, 5]),
                ([1, 3, 5], [1, 1, 2], [0, 0, 2], [4, 16]),
            ] {
                check(case, false, precision);
                check(case, true, precision);
            }
        }
    }
}
