//! LayerNorm over the last axis.

use super::dropout;
use super::plan::{Arg, Plan, Type};
use crate::kernels::DropKey;

/// Warps of a block.
const WARPS: usize = 8;
/// Shared memory for the sums of a block.
const SUMS: usize = 48 << 10;

/// Which kernels a width has: the ones that keep a row in registers, or those that take any.
fn class(width: usize) -> usize {
    if !width.is_multiple_of(4) { 3 } else { [128, 256, 512].iter().position(|most| width <= *most).unwrap_or(3) }
}

/// Inputs x `[rows, width]`, γ, β; the output y.
pub(crate) fn forward(rows: usize, width: usize) -> Plan {
    let mut plan = Plan::default();
    let x = plan.input(Type::F32, rows * width);
    let affine = [plan.input(Type::F32, width), plan.input(Type::F32, width)];
    let y = plan.output(Type::F32, rows * width);
    let args = [x, affine[0], affine[1], y].map(Arg::Array).into_iter().chain([rows, width].map(Arg::Size)).collect();
    let kernel = ["react_layer_norm_128", "react_layer_norm_256", "react_layer_norm_512", "react_layer_norm_any"][class(width)];
    plan.each(kernel, rows * 32, WARPS as u32 * 32, args);
    plan
}

/// Inputs r and x `[rows, width]`, γ, β; the output the norm of x + r·mask.
pub(crate) fn of_sum(rows: usize, width: usize, drop: Option<&DropKey>) -> Plan {
    let mut plan = Plan::default();
    let (r, x) = (plan.input(Type::F32, rows * width), plan.input(Type::F32, rows * width));
    let affine = [plan.input(Type::F32, width), plan.input(Type::F32, width)];
    let y = plan.output(Type::F32, rows * width);
    let sizes = [rows, width].map(Arg::Size);
    let args = [x, r, affine[0], affine[1], y].map(Arg::Array).into_iter().chain(sizes).chain(dropout::args(drop)).collect();
    let kernels = ["react_residual_norm_128", "react_residual_norm_256", "react_residual_norm_512", "react_residual_norm_any"];
    plan.each(kernels[class(width)], rows * 32, WARPS as u32 * 32, args);
    plan
}

/// Inputs x, the gradient of y, γ; outputs dx, dγ, dβ.
pub(crate) fn backward(rows: usize, width: usize) -> Plan {
    let mut plan = Plan::default();
    let x = plan.input(Type::F32, rows * width);
    let grad = plan.input(Type::F32, rows * width);
    let gamma = plan.input(Type::F32, width);
    let dx = plan.output(Type::F32, rows * width);
    let sums = [plan.output(Type::F32, width), plan.output(Type::F32, width)];
    // As many warps as have room for their sums; two rows a warp at least, and no more blocks than a big card runs at once.
    let each = 2 * width * size_of::<f32>();
    let warps = (SUMS / each).clamp(1, WARPS);
    let per_block = rows.div_ceil(512).max(2 * warps);
    let blocks = rows.div_ceil(per_block);
    let partial = plan.scratch(Type::F32, blocks * 2 * width);
    let sizes = [rows, width, per_block].map(Arg::Size);
    let args = [x, grad, gamma, dx, partial].map(Arg::Array).into_iter().chain(sizes).collect();
    let kernels = [
        "react_layer_norm_gradient_128",
        "react_layer_norm_gradient_256",
        "react_layer_norm_gradient_512",
        "react_layer_norm_gradient_any",
    ];
    plan.blocks(kernels[class(width)], [blocks as u32, 1, 1], warps as u32 * 32, (warps * each) as u32, args);
    let args = [partial, sums[0], sums[1]].map(Arg::Array).into_iter().chain([blocks, width].map(Arg::Size)).collect();
    plan.each("react_layer_norm_parts", 2 * width * 32, 128, args);
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::emulator::{self, Host};
    use crate::gpu::testing::{close, gradients, normal, tensor};
    use crate::ops::{add_dropped, layer_norm};

    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn norms_are_those_on_the_cpu() {
        for (rows, width) in [(1, 1), (70, 16), (37, 128), (5, 132), (9, 256), (40, 7), (18, 400), (3, 516), (20, 1030)] {
            let x: Vec<f32> = normal(rows * width, "x").iter().map(|x| 3.0 * x + 5.0).collect();
            let (gamma, beta, grad) = (normal(width, "gamma"), normal(width, "beta"), normal(rows * width, "grad"));
            let arguments: [(&[f32], &[usize]); 3] = [(&x, &[rows, width]), (&gamma, &[width]), (&beta, &[width])];
            let (y, want) = gradients(&arguments, &grad, |t| layer_norm(&t[0], &t[1], &t[2]));
            let [x, gamma, beta] = [x, gamma, beta].map(Host::F32);
            let Some(done) = emulator::run(&forward(rows, width), &[x.clone(), gamma.clone(), beta]) else { return };
            close(&done.outputs[0].floats(), &y, TOLERANCE, "y");
            let found = emulator::run(&backward(rows, width), &[x, Host::F32(grad), gamma]).unwrap().outputs;
            for (i, name) in ["dx", "dgamma", "dbeta"].into_iter().enumerate() {
                close(&found[i].floats(), &want[i], TOLERANCE, &format!("{name} of {rows} × {width}"));
            }
        }
    }

    #[test]
    fn the_norm_of_a_sum_is_that_on_the_cpu() {
        let mode = crate::Mode::train(4, 11);
        for (rows, width, p) in [(3, 8, 0.0), (70, 128, 0.1), (41, 260, 0.4), (9, 7, 0.2), (20, 516, 0.1)] {
            let values = ["x", "r", "gamma", "beta"].map(|name| normal(if name.len() == 1 { rows * width } else { width }, name));
            let [x, r] = [0, 1].map(|i| tensor(&values[i], &[rows, width]));
            let [gamma, beta] = [2, 3].map(|i| tensor(&values[i], &[width]));
            let want = layer_norm(&add_dropped(&x, &r, p, &mode, "site").unwrap(), &gamma, &beta).unwrap();
            let [x, r, gamma, beta] = values.map(Host::F32);
            let plan = of_sum(rows, width, mode.drop_key(p, "site").as_ref());
            let Some(done) = emulator::run(&plan, &[r, x, gamma, beta]) else { return };
            close(&done.outputs[0].floats(), &want.flatten_all().unwrap().to_vec1().unwrap(), TOLERANCE, &format!("{rows} × {width}"));
        }
    }
}
