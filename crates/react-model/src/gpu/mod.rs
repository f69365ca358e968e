//! The operations on a GPU: each as a plan of kernels (`kernels/*.cu`), matrix products and convolutions.
#![cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "plans run on a GPU, and in tests on the emulator"))]

pub(crate) mod attention;
pub(crate) mod conv3d;
pub(crate) mod conv_block;
pub(crate) mod conv_norm;
pub(crate) mod convolution;
pub(crate) mod convolved;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub(crate) mod dropout;
#[cfg(test)]
pub(crate) mod emulator;
pub(crate) mod few_rows;
pub(crate) mod latent;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod lstm;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod running;
pub(crate) mod sum;
#[cfg(test)]
pub(crate) mod testing;

use candle_core::{Device, Result, Tensor};
use plan::Plan;

/// Whether a tensor lies on a GPU.
pub(crate) fn is_gpu(tensor: &Tensor) -> bool {
    tensor.device().is_cuda()
}

/// Runs a plan on a GPU: contiguous inputs in the plan's order, outputs as flat tensors. Nothing waits for the device.
pub(crate) fn run_op(plan: &Plan, device: &Device, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    #[cfg(feature = "cuda")]
    return cuda::run_tensors(plan, device, inputs);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = (plan, device, inputs);
        candle_core::bail!("react-model was built without the feature cuda")
    }
}

/// [`run_op`] of a plan with `N` outputs.
pub(crate) fn run_for<const N: usize>(plan: &Plan, device: &Device, inputs: &[&Tensor]) -> Result<[Tensor; N]> {
    match run_op(plan, device, inputs)?.try_into() {
        Ok(outputs) => Ok(outputs),
        Err(outputs) => candle_core::bail!("a plan has {} outputs, not {N}", outputs.len()),
    }
}

/// The plans of the published sizes, and of a batch of 32, are not run anywhere without a card: here at least is what would be asked of it.
#[cfg(test)]
mod tests {
    use super::conv_block::ConvBlock;
    use super::conv_norm::ConvNorm;
    use super::convolution::Conv;
    use super::norm::Views;
    use super::plan::{Plan, Step, Type};
    use super::{attention, dropout, layer_norm, linear, lstm, optimizer, pool, sum};
    use crate::Precision;
    use crate::kernels::{AttentionShape, DropKey, LstmShape, Tail};
    use crate::ops::Then;

    /// Whether a card takes all of it: launches, and products and convolutions within the libraries' 32-bit sizes.
    fn check(name: &str, plan: &Plan) {
        let below = |n: usize| assert!(n < 1 << 31, "{name}: a size of {n}");
        for step in &plan.steps {
            match step {
                Step::Launch(launch) => plan.check(launch).unwrap_or_else(|what| panic!("{name}: {what}")),
                Step::Product(p) => [p.batch, p.m, p.n, p.k, p.m * p.k, p.k * p.n, p.m * p.n].into_iter().for_each(below),
                Step::Convolution(c) => {
                    below(c.batch * c.input.iter().product::<usize>() * c.cin);
                    below(c.batch * c.output().iter().product::<usize>() * c.cout);
                }
            }
        }
    }

    /// The video's five blocks: channels in and out, kernel, stride and pixels of what comes in.
    const BLOCKS: [(usize, usize, usize, usize, usize, Tail); 5] = [
        (3, 32, 7, 2, 224, Tail::ReluMaxPool),
        (32, 128, 7, 2, 55, Tail::Relu),
        (128, 128, 3, 2, 28, Tail::Relu),
        (128, 128, 3, 1, 14, Tail::ReluAdd),
        (128, 128, 3, 2, 14, Tail::Relu),
    ];

    fn conv((cin, cout, kernel, stride, size): (usize, usize, usize, usize, usize), batch: usize, precision: Precision) -> Conv {
        let (input, kernel, stride, padding) = ([1, size, size], [1, kernel, kernel], [1, stride, stride], [0, kernel / 2, kernel / 2]);
        let (bytes, row) = (cin == 3, kernel.iter().product::<usize>() * cin);
        Conv { batch, input, cin, cout, kernel, stride, padding, bytes, input_gradient: !bytes, precision, row }
    }

    #[test]
    fn the_video_of_published_steps_fits_a_card() {
        // Offline 4 and 32 clips of 256 frames; a clip of 750; 4 clips in windows of 16, whose prefixes come after the first block.
        let whole = |clips: usize, frames: usize| (0..clips).map(|i| i * frames..(i + 1) * frames).collect::<Vec<_>>();
        let prefixes: Vec<_> = (1..=16).flat_map(|i| (0..4).map(move |clip| clip * 256..clip * 256 + 16 * i)).collect();
        for (frames, views) in [(1024, whole(4, 256)), (8192, whole(32, 256)), (750, whole(1, 750)), (1024, prefixes)] {
            for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
                let (mut frames, mut views) = (frames, views.clone());
                for (cin, cout, kernel, stride, size, tail) in BLOCKS {
                    let conv = conv((cin, cout, kernel, stride, size), frames, precision);
                    let block = ConvBlock { conv, views: Views::new(frames, &views), tail };
                    let name = format!("{frames} frames, {cin} → {cout}, {precision}");
                    [block.forward(false), block.forward(true), block.backward(false), block.backward(true)]
                        .iter()
                        .for_each(|p| check(&name, p));
                    frames = views.iter().map(ExactSizeIterator::len).sum();
                    let mut start = 0;
                    for view in &mut views {
                        *view = start..start + view.len();
                        start = view.end;
                    }
                }
                check(
                    "mean",
                    &pool::picture_mean(if precision == Precision::Bf16 { Type::Bf16 } else { Type::F32 }, [frames, 49, 128], true),
                );
            }
        }
    }

    #[test]
    fn the_layers_of_published_steps_fit_a_card() {
        let drop = || Some(DropKey::new(0.1, 7, "site", 3, 0));
        // Ten samples of 750 frames, and 32 clips of 256; of attention also the longest that is asked for.
        for (batch, frames) in [(10, 750), (32, 256), (32, 1024)] {
            let shape =
                AttentionShape { batch, heads: 4, queries: frames, keys: frames, width: 32, causal: true, lengths: None, drop: drop() };
            for rows in [attention::Rows::Together, attention::Rows::Apart] {
                check("attention", &attention::forward(&shape, rows, true));
                check("its gradient", &attention::backward(&shape, rows));
            }
            let shape = LstmShape { batch, frames, width: 128 };
            check("LSTM", &lstm::forward(&shape, lstm::State::Same, true));
            check("its gradient", &lstm::backward(&shape));
            let rows = batch * frames;
            for (inputs, outputs) in [(128, 128), (128, 512), (512, 128), (256, 128), (128, 58)] {
                let layer = linear::Layer { rows, inputs, outputs, relu: true, tf32: true };
                check("linear", &layer.forward(drop().as_ref(), 64 * outputs));
                check("its gradient", &layer.backward(1.1, true));
            }
            check("norm", &layer_norm::of_sum(rows, 128, drop().as_ref()));
            check("its gradient", &layer_norm::backward(rows, 128));
            check("dropout", &dropout::dropped(rows * 512, true, drop().as_ref()));
            check("sum", &sum::sum(8, rows * 512));
        }
        let parameters: Vec<_> =
            (0..160).map(|place| optimizer::Parameter { len: [128, 128 * 128 * 9, 128 * 32 * 49][place % 3], place }).collect();
        let constants = optimizer::Constants { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clip: Some(1.0) };
        check("AdamW", &optimizer::adamw(&parameters, &constants));
    }

    #[test]
    fn the_faces_of_intensities_fit_a_card() {
        // 8 clips of 32 frames of 112², by ResNet-18's widths.
        for (cin, cout, kernel, stride, size, then, residual) in [
            (3, 64, 7, 2, 112, Then::ReluMaxPool, false),
            (64, 64, 3, 1, 28, Then::Relu, true),
            (64, 128, 3, 2, 28, Then::Relu, false),
            (64, 128, 1, 2, 28, Then::Nothing, false),
            (256, 256, 3, 1, 7, Then::Relu, true),
        ] {
            let conv = Conv { bytes: false, ..conv((cin, cout, kernel, stride, size), 256, Precision::Tf32) };
            let plan = ConvNorm { conv: Conv { row: conv.taps() + 2, ..conv }, then, residual, fixed: false };
            check("a face", &plan.forward(true));
            check("its gradient", &plan.backward(residual));
        }
    }
}
