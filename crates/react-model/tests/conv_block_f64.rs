//! [`conv_block`]'s gradient against differences of the same block written out in f64, whose steps can be so short that no ReLU
//! bends within them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{Device, Tensor, Var};
use react_model::Precision;
use react_model::ops::*;
use react_random::Draws;

/// Clips and frames of each.
const CLIPS: usize = 2;
const FRAMES: usize = 2;

#[derive(Clone, Copy, Debug)]
struct Block {
    size: usize,
    cin: usize,
    cout: usize,
    kernel: usize,
    stride: usize,
    tail: Tail,
}

impl Block {
    fn out(&self) -> usize {
        (self.size + self.kernel / 2 * 2 - self.kernel) / self.stride + 1
    }

    /// The convolution of all frames, `[n, out, out, cout]`.
    fn conv(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let Self { size, cin, cout, kernel, stride, .. } = *self;
        let out = self.out();
        let mut y = vec![0.0; CLIPS * FRAMES * out * out * cout];
        for (pixel, y) in y.chunks_exact_mut(cout).enumerate() {
            let (n, oy, ox) = (pixel / (out * out), pixel / out % out, pixel % out);
            for tap in 0..kernel * kernel {
                let (ky, kx) = (tap / kernel, tap % kernel);
                let (iy, ix) = ((oy * stride + ky).wrapping_sub(kernel / 2), (ox * stride + kx).wrapping_sub(kernel / 2));
                if iy < size && ix < size {
                    let x = &x[((n * size + iy) * size + ix) * cin..][..cin];
                    for (co, y) in y.iter_mut().enumerate() {
                        *y += x.iter().enumerate().map(|(ci, x)| x * w[(co * cin + ci) * kernel * kernel + tap]).sum::<f64>();
                    }
                }
            }
        }
        y
    }

    /// z = (y − mean)/√(var + 1e-5), over a clip's frames.
    fn norm(&self, mut y: Vec<f64>) -> Vec<f64> {
        let clip = FRAMES * self.out() * self.out() * self.cout;
        for y in y.chunks_exact_mut(clip) {
            for c in 0..self.cout {
                let count = (clip / self.cout) as f64;
                let column = |y: &[f64]| -> Vec<f64> { y.iter().skip(c).step_by(self.cout).copied().collect() };
                let mean = column(y).iter().sum::<f64>() / count;
                let variance = column(y).iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count;
                y.iter_mut().skip(c).step_by(self.cout).for_each(|v| *v = (*v - mean) / (variance + 1e-5).sqrt());
            }
        }
        y
    }

    fn forward(&self, x: &[f64], w: &[f64]) -> Vec<f64> {
        let z: Vec<f64> = self.norm(self.conv(x, w)).iter().map(|z| z.max(0.0)).collect();
        match self.tail {
            Tail::Relu => z,
            Tail::ReluAdd => z.iter().zip(x).map(|(z, x)| z + x).collect(),
            Tail::ReluMaxPool => {
                let (out, c) = (self.out(), self.cout);
                let pooled = (out - 3) / 2 + 1;
                let at = |i: usize| (i / (pooled * pooled * c), i / (pooled * c) % pooled, i / c % pooled, i % c);
                let window = |(n, y, x, c): (usize, usize, usize, usize)| {
                    (0..9).map(|k| z[((n * out + 2 * y + k / 3) * out + 2 * x + k % 3) * self.cout + c]).fold(f64::NEG_INFINITY, f64::max)
                };
                (0..CLIPS * FRAMES * pooled * pooled * c).map(|i| window(at(i))).collect()
            }
        }
    }
}

fn normal(name: &str, count: usize) -> Vec<f32> {
    let mut values = vec![0.0; count];
    Draws::new(9, name, 0, 0).fill_normal(&mut values);
    values
}

fn wide(x: &[f32]) -> Vec<f64> {
    x.iter().map(|x| f64::from(*x)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn gradients_are_those_of_the_block_in_double_precision() {
    let block = |size, cin, cout, kernel, stride, tail| Block { size, cin, cout, kernel, stride, tail };
    for block in [
        block(30, 12, 12, 3, 1, Tail::ReluAdd),
        block(29, 12, 12, 3, 1, Tail::ReluAdd),
        block(30, 12, 12, 3, 1, Tail::Relu),
        block(30, 12, 20, 3, 2, Tail::Relu),
        block(37, 8, 12, 7, 2, Tail::ReluMaxPool),
        block(10, 12, 12, 3, 1, Tail::ReluAdd),
    ] {
        let Block { size, cin, cout, kernel, stride, tail } = block;
        // The names that the test of finite differences gives its draws.
        let name = format!("block {size} {cin} {cout} {tail:?}");
        let (x_dims, w_dims) = ([CLIPS * FRAMES, size, size, cin], [cout, cin, 1, kernel, kernel]);
        let x = normal(&format!("{name} 0"), x_dims.iter().product());
        let w = normal(&format!("{name} 1"), w_dims.iter().product());
        let leaf = |v: &[f32], dims: &[usize]| Var::from_slice(v, dims, &Device::Cpu).unwrap().into_inner();
        let (x_leaf, w_leaf) = (leaf(&x, &x_dims), leaf(&w, &w_dims));
        let shape = ConvBlockShape { frames: FRAMES, stride, padding: kernel / 2, tail, precision: Precision::F32 };
        let out = conv_block(&x_leaf, &w_leaf, shape).unwrap();
        let r = normal(&format!("{name} weights"), out.elem_count());
        let loss = (&out * Tensor::from_slice(&r, out.dims(), &Device::Cpu).unwrap()).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        let flat = |t: &Tensor| wide(&t.flatten_all().unwrap().to_vec1::<f32>().unwrap());

        let (x, w, r) = (wide(&x), wide(&w), wide(&r));
        let want = block.forward(&x, &w);
        let worst = flat(&out).iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 2e-5, "{block:?}: forward {worst:e}");
        for (which, leaf) in [&x_leaf, &w_leaf].into_iter().enumerate() {
            let gradient = flat(gradients.get(leaf).unwrap());
            let norm = dot(&gradient, &gradient).sqrt();
            for direction in 0..3 {
                let v = wide(&normal(&format!("{name} {which} {direction}"), gradient.len()));
                let value = |step: f64| {
                    let moved = |values: &[f64]| -> Vec<f64> { values.iter().zip(&v).map(|(x, v)| x + step * v).collect() };
                    let out = if which == 0 { block.forward(&moved(&x), &w) } else { block.forward(&x, &moved(&w)) };
                    dot(&out, &r)
                };
                let found = (value(1e-8) - value(-1e-8)) / 2e-8;
                let error = (dot(&gradient, &v) - found).abs() / norm;
                assert!(error < 1e-4, "{block:?}, input {which}: {found} in double precision, error {error:e} of the norm {norm}");
            }
        }
    }
}
