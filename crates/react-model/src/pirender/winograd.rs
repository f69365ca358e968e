//! Convolution by 3×3 with stride 1 in 36 multiplications for 16 pixels instead of 144: Winograd's F(4×4, 3×3), for inference.
//!
//! ```text
//! y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A        d: 6×6 pixels of input, y: 4×4 of output, g: the kernel; ⊙ sums over the input channels
//!
//! Bᵀ = 4  0 −5  0  1  0      G =  1/4    0     0        Aᵀ = 1  1  1  1  1  0
//!      0 −4 −4  1  1  0          −1/6  −1/6  −1/6            0  1 −1  2 −2  0
//!      0  4 −4 −1  1  0          −1/6   1/6  −1/6            0  1  1  4  4  0
//!      0 −2 −1  2  1  0          1/24  1/12   1/6            0  1 −1  8 −8  1
//!      0  2 −1 −2  1  0          1/24 −1/12   1/6
//!      0  4  0 −5  0  1            0     0     1
//! ```
//!
//! Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", 2016. Its rounding errors are some ten times those of the plain
//! sum: fit for pictures, not for gradients, which is why training has F(2×2, 3×3) (`kernels::winograd`).

#![allow(clippy::needless_range_loop, reason = "arithmetic over several arrays at once reads best by index")]

use super::maps::{Map, Pool, Source};
use crate::kernels::{Lhs, Out, Packed, multiversion, panel, product};

/// Pixels of a tile's side in the output and in the input.
const TILE: usize = 4;
const SEEN: usize = 6;
/// Places of a transformed tile.
const PLACES: usize = SEEN * SEEN;
/// Most tiles that are worked on together: rows of a product. Enough that reading the weights again for every block costs little.
const TILES: usize = 56;
/// Channels that the transforms take at once.
const LANES: usize = 16;

const G: [[f64; 3]; SEEN] = [
    [0.25, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// G g Gᵀ for all pairs of channels: a matrix `[inputs, outputs]` a place.
#[derive(Debug)]
pub(super) struct Tiles {
    places: Vec<Packed>,
    inputs: usize,
    outputs: usize,
}

impl Tiles {
    /// Whether the channels are whole vectors.
    pub(super) fn fit(inputs: usize, outputs: usize) -> bool {
        inputs.is_multiple_of(LANES) && outputs.is_multiple_of(LANES)
    }

    /// Of weights `[outputs, inputs, 3, 3]`.
    pub(super) fn new(weights: &[f32], inputs: usize, outputs: usize) -> Self {
        let width = panel(TILES, outputs);
        let of_place = |place: usize| {
            let factors: [f64; 9] = std::array::from_fn(|i| G[place / SEEN][i / 3] * G[place % SEEN][i % 3]);
            Packed::new(inputs, outputs, width, |ci, co| {
                let kernel = &weights[(co * inputs + ci) * 9..][..9];
                kernel.iter().zip(&factors).map(|(g, f)| f64::from(*g) * f).sum::<f64>() as f32
            })
        };
        Self { places: (0..PLACES).map(of_place).collect(), inputs, outputs }
    }

    /// y = conv(x) + bias, with the sums of its channels.
    pub(super) fn forward(&self, pool: &mut Pool, x: &Source<'_>, bias: &[f32], y: &mut Map) {
        let [height, width] = y.size;
        let columns = width.div_ceil(TILE);
        // Tile rows that one strip of the input is read for: narrow pictures give full products that way.
        let strip_tiles = (TILES / columns).max(1);
        let row = (columns * TILE + 2) * self.inputs;
        let mut work = Work {
            strip: pool.take((strip_tiles * TILE + 2) * row),
            row,
            columns,
            seen: pool.take(PLACES * TILES * self.inputs),
            products: pool.take(PLACES * TILES * self.outputs),
        };
        for first in (0..height).step_by(strip_tiles * TILE) {
            let rows = first..(first + strip_tiles * TILE).min(height);
            for (i, line) in work.strip.chunks_exact_mut(row).enumerate() {
                x.row((first + i).checked_sub(1), 1, line);
            }
            let count = rows.len().div_ceil(TILE) * columns;
            let blocks = count.div_ceil(TILES);
            for block in 0..blocks {
                self.block(&mut work, crate::kernels::part(count, blocks, block), bias, y.rows_mut(rows.clone()), width);
            }
            y.count(rows);
        }
        [work.strip, work.seen, work.products].into_iter().for_each(|memory| pool.give(memory));
    }

    /// Some tiles of a strip, into the strip's rows of y, `[rows, width, outputs]`.
    fn block(&self, work: &mut Work, tiles: std::ops::Range<usize>, bias: &[f32], y: &mut [f32], width: usize) {
        let Work { strip, row, columns, seen, products } = work;
        let (inputs, outputs, count) = (self.inputs, self.outputs, tiles.len());
        let corner = |tile: usize| [tile / *columns * TILE, tile % *columns * TILE];
        for (i, tile) in tiles.clone().enumerate() {
            let [ty, tx] = corner(tile);
            see(&strip[ty * *row + tx * inputs..], *row, inputs, &mut seen[i * inputs..], TILES * inputs);
        }
        for (place, weights) in self.places.iter().enumerate() {
            let a = Lhs { data: seen, offset: place * TILES * inputs, row: inputs, step: 1 };
            let out = Out { data: products, offset: place * TILES * outputs, row: outputs };
            product(count, outputs, inputs, &[(0, 0)], a, weights.panels(0), out, false);
        }
        for (i, tile) in tiles.enumerate() {
            let [ty, tx] = corner(tile);
            let y = &mut y[(ty * width + tx) * outputs..];
            // The picture may end inside the last tiles.
            let pixels = [TILE.min((y.len() + tx * outputs) / (width * outputs)), TILE.min(width - tx)];
            write(&products[i * outputs..], TILES * outputs, bias, y, width * outputs, pixels);
        }
    }
}

struct Work {
    strip: Vec<f32>,
    /// Floats of a row of the strip.
    row: usize,
    /// Tiles of a row.
    columns: usize,
    seen: Vec<f32>,
    products: Vec<f32>,
}

type Vector = [f32; LANES];

/// Bᵀ d of six vectors.
#[inline(always)]
fn input_axis(d: [Vector; SEEN]) -> [Vector; SEEN] {
    let mut t = [[0.0; LANES]; SEEN];
    for l in 0..LANES {
        let (even, odd) = (d[4][l] - 4.0 * d[2][l], d[3][l] - 4.0 * d[1][l]);
        let (near, far) = (d[4][l] - d[2][l], 2.0 * (d[3][l] - d[1][l]));
        t[0][l] = 4.0 * d[0][l] - 5.0 * d[2][l] + d[4][l];
        t[1][l] = even + odd;
        t[2][l] = even - odd;
        t[3][l] = near + far;
        t[4][l] = near - far;
        t[5][l] = 4.0 * d[1][l] - 5.0 * d[3][l] + d[5][l];
    }
    t
}

/// Aᵀ m of six vectors.
#[inline(always)]
fn output_axis(m: [Vector; SEEN]) -> [Vector; TILE] {
    let mut s = [[0.0; LANES]; TILE];
    for l in 0..LANES {
        let (sum, difference) = (m[1][l] + m[2][l], m[1][l] - m[2][l]);
        let (far_sum, far_difference) = (m[3][l] + m[4][l], m[3][l] - m[4][l]);
        s[0][l] = m[0][l] + sum + far_sum;
        s[1][l] = difference + 2.0 * far_difference;
        s[2][l] = sum + 4.0 * far_sum;
        s[3][l] = difference + 8.0 * far_difference + m[5][l];
    }
    s
}

#[inline(always)]
fn load(x: &[f32], at: usize) -> Vector {
    let mut v = [0.0; LANES];
    v.copy_from_slice(&x[at..at + LANES]);
    v
}

multiversion! {
    /// Bᵀ d B of the 6×6 pixels at the beginning of x, whose rows are `row` floats apart, into places `place` floats apart.
    fn see(x: &[f32], row: usize, channels: usize, seen: &mut [f32], place: usize) {
        for c in (0..channels).step_by(LANES) {
            let mut half = [[[0.0; LANES]; SEEN]; SEEN];
            for column in 0..SEEN {
                half[column] = input_axis(std::array::from_fn(|i| load(x, i * row + column * channels + c)));
            }
            for i in 0..SEEN {
                let t = input_axis(std::array::from_fn(|column| half[column][i]));
                for (j, t) in t.iter().enumerate() {
                    seen[(i * SEEN + j) * place + c..][..LANES].copy_from_slice(t);
                }
            }
        }
    }
}

multiversion! {
    /// Aᵀ m A + bias of places `place` floats apart, into so many rows and columns of pixels at the beginning of y.
    fn write(products: &[f32], place: usize, bias: &[f32], y: &mut [f32], row: usize, pixels: [usize; 2]) {
        let channels = bias.len();
        for c in (0..channels).step_by(LANES) {
            let bias = load(bias, c);
            let mut half = [[[0.0; LANES]; TILE]; SEEN];
            for column in 0..SEEN {
                half[column] = output_axis(std::array::from_fn(|i| load(products, (i * SEEN + column) * place + c)));
            }
            for i in 0..pixels[0] {
                let s = output_axis(std::array::from_fn(|column| half[column][i]));
                for (j, s) in s.iter().enumerate().take(pixels[1]) {
                    let out = &mut y[i * row + j * channels + c..][..LANES];
                    for l in 0..LANES {
                        out[l] = s[l] + bias[l];
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use react_random::Draws;

    /// Against the definition, in f64: sizes that end inside a tile, blocks of part of a row and of several rows.
    #[test]
    fn tiles_give_the_sums_of_the_definition() {
        for (size, inputs, outputs) in [([2, 2], 16, 32), ([5, 7], 48, 16), ([10, 300], 16, 16), ([23, 18], 32, 48)] {
            let [height, width] = size;
            let mut draws = Draws::new(1, "tiles", width as u32, 0);
            let mut pool = Pool::default();
            let mut x = Map::new(&mut pool, size, inputs);
            let (mut weights, mut bias) = (vec![0.0; outputs * inputs * 9], vec![0.0; outputs]);
            [&mut x.data, &mut weights, &mut bias].into_iter().for_each(|values| draws.fill_normal(values));
            let mut y = Map::new(&mut pool, size, outputs);
            Tiles::new(&weights, inputs, outputs).forward(&mut pool, &Source::plain(&[&x]), &bias, &mut y);
            let want = |oy: usize, ox: usize, co: usize| {
                let mut sum = f64::from(bias[co]);
                for (ky, kx) in (0..9).map(|i| (i / 3, i % 3)) {
                    let (iy, ix) = ((oy + ky).wrapping_sub(1), (ox + kx).wrapping_sub(1));
                    for ci in (0..inputs).filter(|_| iy < height && ix < width) {
                        let weight = weights[(co * inputs + ci) * 9 + ky * 3 + kx];
                        sum += f64::from(x.data[(iy * width + ix) * inputs + ci]) * f64::from(weight);
                    }
                }
                sum
            };
            // As large as a sum of so many products is.
            let scale = (9.0 * inputs as f64).sqrt();
            for (i, found) in y.data.iter().enumerate() {
                let want = want(i / outputs / width, i / outputs % width, i % outputs);
                assert!((f64::from(*found) - want).abs() < 3e-5 * scale, "{size:?}, {i}: {found}, not {want}");
            }
        }
    }
}
