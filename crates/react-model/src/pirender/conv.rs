//! Convolutions of one picture, row by row: a strip of input rows is read (and normalised) into a small padded buffer, and the crate's
//! matrix kernel runs over it. No im2col, and no normalised or padded copy of a whole map.

use super::maps::{Map, Pool, Source};
use super::winograd::Tiles;
use crate::kernels::{Lhs, Out, Packed, panel, product};

/// Rows of the matrix kernel that weights are packed for.
const ROWS: usize = 28;
/// Rows of output that a strip of input is read for.
const STRIP: usize = 8;
/// Up to this many channels of output the taps become channels, and are added up afterwards: vectors of three would be mostly empty.
const NARROW: usize = 4;

/// A convolution with "same" padding, its weights packed for the way it runs.
#[derive(Debug)]
pub(super) struct Conv {
    kernel: usize,
    stride: usize,
    padding: usize,
    inputs: usize,
    bias: Vec<f32>,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Direct(Packed),
    /// One column for each of (row of the kernel, column of the kernel from the last on, output).
    Narrow(Packed),
    Tiles(Tiles),
}

impl Conv {
    /// Of weights `[outputs, inputs, kernel, kernel]`; stride 1 with padding (kernel − 1)/2, or stride 2 with kernel 4 and padding 1.
    pub(super) fn new(weights: &[f32], bias: Vec<f32>, kernel: usize, stride: usize) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / (outputs * kernel * kernel);
        let padding = if stride == 1 { (kernel - 1) / 2 } else { 1 };
        let at = |co: usize, ci: usize, ky: usize, kx: usize| weights[((co * inputs + ci) * kernel + ky) * kernel + kx];
        let way = if kernel == 3 && stride == 1 && Tiles::fit(inputs, outputs) {
            Way::Tiles(Tiles::new(weights, inputs, outputs))
        } else if outputs <= NARROW && stride == 1 {
            let columns = kernel * kernel * outputs;
            Way::Narrow(Packed::new(inputs, columns, panel(ROWS, columns), |ci, j| {
                let (ky, kx, co) = (j / (kernel * outputs), j / outputs % kernel, j % outputs);
                at(co, ci, ky, kernel - 1 - kx)
            }))
        } else {
            let row = kernel * inputs;
            Way::Direct(Packed::new(kernel * row, outputs, panel(ROWS, outputs), |k, co| at(co, k % inputs, k / row, k / inputs % kernel)))
        };
        Self { kernel, stride, padding, inputs, bias, way }
    }

    /// y, with the sums of its channels.
    pub(super) fn forward(&self, pool: &mut Pool, x: &Source<'_>) -> Map {
        self.run(pool, x, None)
    }

    /// The same without a bias (all 0), added to `start`: what other channels of the input give, with theirs.
    pub(super) fn forward_onto(&self, pool: &mut Pool, x: &Source<'_>, start: &Map) -> Map {
        self.run(pool, x, Some(start))
    }

    fn run(&self, pool: &mut Pool, x: &Source<'_>, start: Option<&Map>) -> Map {
        debug_assert_eq!(x.channels(), self.inputs);
        let mut y = Map::new(pool, x.size().map(|n| n / self.stride), self.bias.len());
        match &self.way {
            Way::Tiles(tiles) => tiles.forward(pool, x, &self.bias, &mut y),
            Way::Direct(weights) => self.direct(pool, x, weights, start, &mut y),
            Way::Narrow(weights) => self.narrow(pool, x, weights, start, &mut y),
        }
        y
    }

    fn direct(&self, pool: &mut Pool, x: &Source<'_>, weights: &Packed, start: Option<&Map>, y: &mut Map) {
        let (outputs, [height, width]) = (self.bias.len(), y.size);
        let row = (x.size()[1] + 2 * self.padding) * self.inputs;
        let strip_rows = (STRIP - 1) * self.stride + self.kernel;
        let mut strip = pool.take(strip_rows * row);
        let depth = self.kernel * self.inputs;
        let segments: Vec<_> = (0..self.kernel).map(|ky| (ky * row, ky * depth * weights.width())).collect();
        for first in (0..height).step_by(STRIP) {
            let rows = first..(first + STRIP).min(height);
            for (i, line) in strip.chunks_exact_mut(row).enumerate() {
                x.row((first * self.stride + i).checked_sub(self.padding), self.padding, line);
            }
            match start {
                Some(start) => y.rows_mut(rows.clone()).copy_from_slice(&start.data[rows.start * start.row()..rows.end * start.row()]),
                None => y.rows_mut(rows.clone()).chunks_exact_mut(outputs).for_each(|pixel| pixel.copy_from_slice(&self.bias)),
            }
            for oy in rows.clone() {
                let a = Lhs { data: &strip, offset: (oy - first) * self.stride * row, row: self.stride * self.inputs, step: 1 };
                let out = Out { data: &mut y.data, offset: oy * width * outputs, row: outputs };
                product(width, outputs, depth, &segments, a, weights.panels(0), out, true);
            }
            y.count(rows);
        }
        pool.give(strip);
    }

    /// y[p + offset of a tap] += x[p]·w[tap]: all taps of a row of x at once, then every tap's part to its place.
    fn narrow(&self, pool: &mut Pool, x: &Source<'_>, weights: &Packed, start: Option<&Map>, y: &mut Map) {
        let (outputs, [height, width]) = (self.bias.len(), y.size);
        let (k, pad) = (self.kernel, self.padding);
        let columns = k * k * outputs;
        let taps = k * outputs;
        let mut line = pool.take(width * self.inputs);
        let mut products = pool.take(width * columns);
        // Rows of y with room for what falls beside the picture.
        let padded = (width + k - 1) * outputs;
        let mut sums = pool.take(height * padded);
        for pixel in sums.chunks_exact_mut(outputs) {
            pixel.copy_from_slice(&self.bias);
        }
        for iy in 0..height {
            x.row(Some(iy), 0, &mut line);
            let a = Lhs { data: &line, offset: 0, row: self.inputs, step: 1 };
            let out = Out { data: &mut products, offset: 0, row: columns };
            product(width, columns, self.inputs, &[(0, 0)], a, weights.panels(0), out, false);
            for ky in 0..k {
                // Row iy of x is row ky of the kernel for row iy + pad − ky of y.
                let Some(oy) = (iy + pad).checked_sub(ky).filter(|oy| *oy < height) else { continue };
                add_taps(&products[ky * taps..], columns, taps, outputs, &mut sums[oy * padded..][..padded]);
            }
        }
        for (y, sums) in y.data.chunks_exact_mut(width * outputs).zip(sums.chunks_exact(padded)) {
            y.copy_from_slice(&sums[pad * outputs..][..width * outputs]);
        }
        if let Some(start) = start {
            y.data.iter_mut().zip(&start.data).for_each(|(y, start)| *y += start);
        }
        y.count(0..height);
        [line, products, sums].into_iter().for_each(|memory| pool.give(memory));
    }
}

crate::kernels::multiversion! {
    /// Adds the `taps` first floats of every row of `products` to `sums`, each `outputs` floats further.
    fn add_taps(products: &[f32], columns: usize, taps: usize, outputs: usize, sums: &mut [f32]) {
        for (x, products) in products.chunks(columns).enumerate() {
            let sums = &mut sums[x * outputs..][..taps];
            for (sum, product) in sums.iter_mut().zip(products) {
                *sum += product;
            }
        }
    }
}

/// A transposed convolution of kernel 3, stride 2, padding 1 and output padding 1: twice the size.
///
/// ```text
/// y[2q + r, 2p + s] = Σ x[q + i, p + j]·w[:, :, r + 1 − 2i, s + 1 − 2j]      i = 0 … r, j = 0 … s
/// ```
#[derive(Debug)]
pub(super) struct Transposed {
    inputs: usize,
    outputs: usize,
    /// By row and column of the four pixels that one becomes.
    phases: [[Packed; 2]; 2],
}

impl Transposed {
    /// Of weights `[inputs, outputs, 3, 3]`.
    pub(super) fn new(weights: &[f32], outputs: usize) -> Self {
        let inputs = weights.len() / (outputs * 9);
        let phases = [0, 1].map(|r| {
            [0, 1].map(|s| {
                let row = (s + 1) * inputs;
                Packed::new((r + 1) * row, outputs, panel(ROWS, outputs), |k, co| {
                    let (i, j, ci) = (k / row, k / inputs % (s + 1), k % inputs);
                    weights[((ci * outputs + co) * 3 + r + 1 - 2 * i) * 3 + s + 1 - 2 * j]
                })
            })
        });
        Self { inputs, outputs, phases }
    }

    /// Adds to y, whose sums are left alone.
    pub(super) fn add(&self, pool: &mut Pool, x: &Source<'_>, y: &mut Map) {
        let [height, width] = x.size();
        let row = (width + 1) * self.inputs;
        let mut strip = pool.take((STRIP + 1) * row);
        for first in (0..height).step_by(STRIP) {
            for (i, line) in strip.chunks_exact_mut(row).enumerate() {
                x.row(Some(first + i), 0, line);
            }
            for q in first..(first + STRIP).min(height) {
                for (r, phases) in self.phases.iter().enumerate() {
                    for (s, weights) in phases.iter().enumerate() {
                        let depth = (s + 1) * self.inputs;
                        let segments = [(0, 0), (row, depth * weights.width())];
                        let a = Lhs { data: &strip, offset: (q - first) * row, row: self.inputs, step: 1 };
                        let offset = ((2 * q + r) * 2 * width + s) * self.outputs;
                        let out = Out { data: &mut y.data, offset, row: 2 * self.outputs };
                        product(width, self.outputs, depth, &segments[..=r], a, weights.panels(0), out, true);
                    }
                }
            }
        }
        pool.give(strip);
    }
}
