//! Every own operation's gradient against finite differences, in random directions.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{Device, Tensor, Var};
use react_model::ops::*;
use react_model::{Mode, Precision};
use react_random::Draws;

fn normal(name: &str, shape: &[usize]) -> Vec<f32> {
    let mut values = vec![0.0; shape.iter().product()];
    Draws::new(9, name, 0, 0).fill_normal(&mut values);
    values
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Compares ⟨gradient, v⟩ of Σ r·f(inputs), r fixed, with the central difference along v, for each input and four directions.
/// Where a ReLU or a maximum bends, the step must be small: few elements may cross.
fn check(name: &str, shapes: &[&[usize]], epsilon: f32, f: impl Fn(&[Tensor]) -> candle_core::Result<Tensor>) {
    let values: Vec<Vec<f32>> = shapes.iter().enumerate().map(|(i, s)| normal(&format!("{name} {i}"), s)).collect();
    let tensors = |values: &[Vec<f32>]| -> Vec<Tensor> {
        let vars = values.iter().zip(shapes).map(|(v, s)| Var::from_vec(v.clone(), *s, &Device::Cpu).unwrap());
        vars.map(|v| v.into_inner()).collect()
    };
    let inputs = tensors(&values);
    let out = f(&inputs).unwrap();
    let weights = normal(&format!("{name} weights"), out.dims());
    let r = Tensor::from_vec(weights.clone(), out.dims(), &Device::Cpu).unwrap();
    let grads = (out * r).unwrap().sum_all().unwrap().backward().unwrap();
    let value = |values: &[Vec<f32>]| {
        let out = f(&tensors(values)).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        dot(&out, &weights)
    };
    for (i, input) in inputs.iter().enumerate() {
        let gradient = grads.get(input).unwrap_or_else(|| panic!("{name}: input {i} has no gradient"));
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let norm = dot(&gradient, &gradient).sqrt();
        for direction in 0..4 {
            let v = normal(&format!("{name} {i} {direction}"), shapes[i]);
            let difference = |epsilon: f32| {
                let step = |sign: f32| {
                    let mut moved = values.clone();
                    moved[i].iter_mut().zip(&v).for_each(|(x, v)| *x += sign * epsilon * v);
                    value(&moved)
                };
                (step(1.0) - step(-1.0)) / (2.0 * f64::from(epsilon))
            };
            let want = dot(&gradient, &v);
            // Kinks (ReLU, maxima) disturb long steps and rounding short ones; a wrong gradient disagrees with all.
            let found = [1.0, 0.5, 0.25].map(|part| difference(part * epsilon));
            // ⟨gradient, v⟩ is of the size of the gradient's norm.
            let agrees = |difference: &f64| (difference - want).abs() < 0.01 * norm + 1e-6;
            assert!(found.iter().any(agrees), "{name}, input {i}: {found:?} against {want}, norm {norm}");
        }
    }
}

#[test]
fn linear_layers() {
    for (rows, inputs, outputs) in [(7, 5, 3), (130, 33, 58), (3, 64, 25)] {
        let shapes: [&[usize]; 3] = [&[2, rows, inputs], &[outputs, inputs], &[outputs]];
        check("linear", &shapes, 1e-2, |x| linear(&x[0], &x[1], &x[2], Activation::None, &Mode::eval(), "site"));
        let mode = Mode::train(3, 4);
        check("linear relu dropout", &shapes, 2e-4, |x| linear(&x[0], &x[1], &x[2], Activation::ReluDropout { p: 0.3 }, &mode, "site"));
    }
}

#[test]
fn layer_norms() {
    for width in [3, 16, 40] {
        check("layer norm", &[&[2, 70, width], &[width], &[width]], 1e-3, |x| layer_norm(&x[0], &x[1], &x[2]));
    }
}

#[test]
fn dropouts() {
    let mode = Mode::train(3, 4);
    check("dropout", &[&[3, 50]], 1e-2, |x| dropout(&x[0], 0.2, &mode, "site"));
    check("add dropped", &[&[3, 50], &[3, 50]], 1e-2, |x| add_dropped(&x[0], &x[1], 0.2, &mode, "site"));
    check("add", &[&[3, 50], &[3, 50]], 1e-2, |x| add_dropped(&x[0], &x[1], 0.2, &Mode::eval(), "site"));
}

#[test]
fn attentions() {
    for (mode, causal) in [(Mode::eval(), false), (Mode::eval(), true), (Mode::train(1, 2), true), (Mode::train(1, 2), false)] {
        for (frames, width) in [(5, 4), (37, 24), (60, 64)] {
            check("self-attention", &[&[2, frames, 3 * width]], 1e-2, |x| self_attention(&x[0], 4, causal, 0.1, &mode, "site"));
        }
        check("attention", &[&[2, 31, 16], &[2, 45, 32]], 1e-2, |x| attention(&x[0], &x[1], 2, 0.1, &mode, "site"));
        check("attention to one", &[&[2, 31, 16], &[2, 1, 32]], 1e-2, |x| attention(&x[0], &x[1], 2, 0.1, &mode, "site"));
    }
}

#[test]
fn convolution_blocks() {
    // Among tens of thousands of activations a few can lie nearer to a kink of ReLU than f32 can step (tests/conv_block_f64.rs); with these
    // sizes none does. (size, channels in and out, kernel, stride, tail): frames worked on alone and in groups, all tails, odd sizes.
    for (size, cin, cout, kernel, stride, tail) in [
        (9, 3, 4, 3, 1, Tail::Relu),
        (16, 3, 8, 7, 2, Tail::ReluMaxPool),
        (21, 8, 5, 7, 2, Tail::ReluMaxPool),
        (40, 8, 12, 7, 2, Tail::ReluMaxPool),
        (29, 12, 12, 3, 1, Tail::ReluAdd),
        (30, 16, 16, 3, 1, Tail::ReluAdd),
        (6, 20, 20, 3, 1, Tail::ReluAdd),
        (5, 16, 33, 3, 2, Tail::Relu),
    ] {
        let shape = ConvBlockShape { frames: 2, stride, padding: kernel / 2, tail, precision: Precision::F32 };
        let shapes: [&[usize]; 2] = [&[4, size, size, cin], &[cout, cin, 1, kernel, kernel]];
        check(&format!("block {size} {cin} {cout} {tail:?}"), &shapes, 2e-4, |x| conv_block(&x[0], &x[1], shape));
    }
}

#[test]
fn convolutions_in_time() {
    // Frames alone and in groups; kernels, strides and padding of every axis.
    for (dims, cout, kernel, stride, padding) in [
        ([2, 5, 6, 7, 3], 4, [3, 3, 3], [1, 1, 1], [1, 1, 1]),
        ([1, 8, 9, 8, 4], 3, [3, 5, 2], [2, 2, 1], [1, 2, 0]),
        ([2, 7, 3, 4, 2], 5, [2, 1, 1], [3, 1, 1], [1, 0, 0]),
        ([2, 3, 40, 40, 6], 7, [2, 3, 3], [1, 2, 2], [0, 1, 1]),
    ] {
        let shape = Conv3dShape { stride, padding, precision: Precision::F32 };
        let shapes: [&[usize]; 3] = [&dims, &[cout, dims[4], kernel[0], kernel[1], kernel[2]], &[cout]];
        check("conv3d", &shapes, 1e-2, |x| conv3d(&x[0], &x[1], Some(&x[2]), shape));
        check("conv3d without bias", &shapes[..2], 1e-2, |x| conv3d(&x[0], &x[1], None, shape));
    }
}

#[test]
fn pools_in_time() {
    for (kernel, stride, padding) in [([2, 2, 2], [2, 2, 2], [0, 1, 0]), ([3, 2, 3], [1, 1, 2], [1, 0, 1])] {
        check("max pool", &[&[2, 5, 6, 7, 3]], 2e-4, |x| max_pool3d(&x[0], MaxPool3dShape { kernel, stride, padding }));
    }
}

#[test]
fn lstms() {
    for (batch, frames, width) in [(1, 5, 3), (3, 12, 16), (5, 2, 20)] {
        let shapes: [&[usize]; 3] = [&[batch, frames, 4 * width], &[4 * width, width], &[2, batch, width]];
        check("lstm", &shapes, 1e-3, |x| lstm(&x[0], &x[1], &x[2]));
    }
}

#[test]
fn padded_attentions() {
    let lengths = Mask::NONE.with_lengths(&[31, 7]);
    check("padded", &[&[2, 31, 48]], 1e-2, |x| masked_self_attention(&x[0], 4, &lengths, 0.1, &Mode::train(1, 2), "site"));
    let both = Mask::CAUSAL.with_lengths(&[45, 20]);
    check("padded past", &[&[2, 31, 16], &[2, 45, 32]], 1e-2, |x| masked_attention(&x[0], &x[1], 2, &both, 0.0, &Mode::eval(), "site"));
}

/// Bytes give what the same frames as floats give, and the weight's gradient is the same.
#[test]
fn attentions_to_the_past() {
    for (queries, keys) in [(1, 1), (3, 9), (8, 40)] {
        let shapes: [&[usize]; 2] = [&[2, queries, 8], &[2, keys, 16]];
        check("attention to the past", &shapes, 1e-2, |x| attention_to_past(&x[0], &x[1], 2, 0.0, &Mode::eval(), "site"));
        check("the same, dropped", &shapes, 1e-2, |x| attention_to_past(&x[0], &x[1], 2, 0.2, &Mode::train(3, 4), "site"));
    }
}

/// Views that overlap, leave a frame out, and begin in the middle.
#[test]
fn convolution_blocks_of_views() {
    for (tail, views) in [(Tail::ReluMaxPool, vec![0..2, 0..4, 3..5]), (Tail::Relu, vec![1..2, 1..5]), (Tail::ReluAdd, vec![0..1, 1..6])] {
        let (cin, stride) = if tail == Tail::ReluAdd { (6, 1) } else { (4, 2) };
        let shape = ConvBlockShape { frames: 0, stride, padding: 1, tail, precision: Precision::F32 };
        let shapes: [&[usize]; 2] = [&[6, 14, 15, cin], &[6, cin, 1, 3, 3]];
        check(&format!("views {tail:?}"), &shapes, 2e-4, |x| conv_block_of_views(&x[0], &x[1], &views, shape));
    }
}

#[test]
fn normalised_convolutions() {
    let run = |x: &[Tensor], fixed, shape| Ok(conv_norm(&x[0], &x[1], &x[2], x.get(3), fixed, shape)?.0);
    for (size, cin, cout, kernel, stride, then) in [
        (5, 3, 3, 3, 1, Then::Nothing),
        (6, 4, 16, 3, 2, Then::Relu),
        (6, 32, 34, 3, 1, Then::Nothing),
        (5, 6, 7, 1, 2, Then::Nothing),
        (9, 2, 18, 3, 1, Then::ReluMaxPool),
        (6, 3, 4, 3, 1, Then::ReluMaxPool),
    ] {
        let name = format!("conv norm {size} {cin} {cout} {kernel} {stride} {then:?}");
        let shape = ConvNormShape { stride, padding: kernel / 2, then, precision: Precision::F32 };
        let out = (size - 1) / stride + 1;
        let shapes: [&[usize]; 4] = [&[3, size, size, cin], &[cout, cin, kernel, kernel], &[2, cout], &[3, out, out, cout]];
        // Few maxima change within a short step.
        let step = if then == Then::ReluMaxPool { 2e-4 } else { 2e-3 };
        check(&name, &shapes[..3], step, |x| run(x, None, shape));
        let fixed = ChannelStatistics {
            mean: Tensor::full(0.3f32, cout, &Device::Cpu).unwrap(),
            variance: Tensor::full(1.7f32, cout, &Device::Cpu).unwrap(),
            rows: None,
        };
        check(&name, &shapes[..3], step, |x| run(x, Some(fixed.clone()), shape));
        if then != Then::ReluMaxPool {
            check(&name, &shapes, step, |x| run(x, None, shape));
        }
    }
}

#[test]
fn bytes_are_scaled_floats() {
    let bytes: Vec<u8> = (0..4 * 20 * 20 * 3).map(|i| (i * 37 % 256) as u8).collect();
    let floats: Vec<f32> = bytes.iter().map(|b| (f32::from(*b) / 255.0 - 0.5) / 0.5).collect();
    let w = Var::from_vec(normal("w", &[8, 3, 1, 7, 7]), &[8, 3, 1, 7, 7], &Device::Cpu).unwrap();
    let shape = ConvBlockShape { frames: 2, stride: 2, padding: 3, tail: Tail::ReluMaxPool, precision: Precision::F32 };
    let run = |x: Tensor| {
        let y = conv_block(&x, w.as_tensor(), shape).unwrap();
        let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        (flat(&y), flat(grads.get(w.as_tensor()).unwrap()))
    };
    let dims = [4, 20, 20, 3];
    assert_eq!(
        run(Tensor::from_vec(bytes, &dims[..], &Device::Cpu).unwrap()),
        run(Tensor::from_vec(floats, &dims[..], &Device::Cpu).unwrap())
    );
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    let shape = ConvBlockShape { frames: 2, stride: 2, padding: 0, tail: Tail::ReluMaxPool, precision: Precision::F32 };
    let unit = Conv3dShape { stride: [1; 3], padding: [0; 3], precision: Precision::F32 };
    for (x, w) in [([1, 2, 4, 4, 3], [5, 3, 3, 1, 1]), ([1, 2, 4, 4, 3], [5, 2, 1, 1, 1]), ([1, 2, 4, 4, 3], [5, 3, 1, 5, 1])] {
        assert!(conv3d(&zeros(&x), &zeros(&w), None, unit).is_err(), "{x:?} {w:?}");
    }
    assert!(conv3d(&zeros(&[1, 1, 1, 1, 2]), &zeros(&[3, 2, 1, 1, 1]), Some(&zeros(&[2])), unit).is_err());
    assert!(max_pool3d(&zeros(&[1, 2, 4, 4, 3]), MaxPool3dShape { kernel: [3, 1, 1], stride: [1; 3], padding: [0; 3] }).is_err());
    assert!(max_pool3d(&zeros(&[1, 2, 4, 4, 3]), MaxPool3dShape { kernel: [2, 2, 2], stride: [1; 3], padding: [2, 0, 0] }).is_err());
    assert!(lstm(&zeros(&[2, 3, 8]), &zeros(&[8, 2]), &zeros(&[2, 1, 2])).is_err());
    for (x, w) in [
        ([4, 9, 9, 3], [8, 4, 1, 3, 3]),
        ([3, 9, 9, 3], [8, 3, 1, 3, 3]),
        ([4, 2, 9, 3], [8, 3, 1, 3, 3]),
        ([4, 6, 6, 3], [8, 3, 1, 3, 3]),
        ([4, 9, 9, 3], [8, 3, 2, 3, 3]),
    ] {
        assert!(conv_block(&zeros(&x), &zeros(&w), shape).is_err(), "{x:?} {w:?}");
    }
    assert!(linear(&zeros(&[2, 3]), &zeros(&[4, 2]), &zeros(&[4]), Activation::None, &Mode::eval(), "fc").is_err());
    assert!(self_attention(&zeros(&[1, 2, 10]), 4, true, 0.0, &Mode::eval(), "a").is_err());
    assert!(attention(&zeros(&[1, 2, 8]), &zeros(&[1, 0, 16]), 4, 0.0, &Mode::eval(), "a").is_err());
    assert!(layer_norm(&zeros(&[2, 3]), &zeros(&[2]), &zeros(&[3])).is_err());
}
