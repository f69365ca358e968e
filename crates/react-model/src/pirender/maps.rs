//! Feature maps, their statistics, and how a layer reads them: normalised and through the leaky ReLU as they are read, so that what a
//! norm makes is never stored.

use crate::kernels::{multiversion, part};
use std::collections::BTreeMap;

/// Slope of the leaky ReLU below 0.
pub(super) const SLOPE: f32 = 0.1;
/// Added to variances.
const EPSILON: f64 = 1e-5;
/// Parts of a map that a sum is made of; the sums of parts are added in their order.
const PARTS: usize = 16;

/// Feature maps `[h, w, c]`, and sums over the pixels of each channel.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) size: [usize; 2],
    pub(super) c: usize,
    pub(super) data: Vec<f32>,
    pub(super) sums: Sums,
}

/// Per channel: the sum and the sum of squares over the pixels.
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    of: Vec<f64>,
    squares: Vec<f64>,
}

impl Map {
    /// Maps of memory from the pool, whatever it holds, and sums of nothing.
    pub(super) fn new(pool: &mut Pool, size: [usize; 2], c: usize) -> Self {
        let sums = Sums { of: vec![0.0; c], squares: vec![0.0; c] };
        Self { size, c, data: pool.take(size[0] * size[1] * c), sums }
    }

    /// The same once more.
    pub(super) fn copy(&self, pool: &mut Pool) -> Self {
        let mut copy = Self { sums: self.sums.clone(), ..Self::new(pool, self.size, self.c) };
        copy.data.copy_from_slice(&self.data);
        copy
    }

    /// Floats of a row.
    pub(super) fn row(&self) -> usize {
        self.size[1] * self.c
    }

    /// The maps of some rows for writing.
    pub(super) fn rows_mut(&mut self, rows: std::ops::Range<usize>) -> &mut [f32] {
        let row = self.row();
        &mut self.data[rows.start * row..rows.end * row]
    }

    /// Adds some rows to the sums: each row once.
    pub(super) fn count(&mut self, rows: std::ops::Range<usize>) {
        let row = self.row();
        let values = &self.data[rows.start * row..rows.end * row];
        add_moments(values, self.c, &mut self.sums.of, &mut self.sums.squares);
    }

    /// Sums over all pixels anew.
    pub(super) fn count_all(&mut self) {
        self.sums.of.fill(0.0);
        self.sums.squares.fill(0.0);
        for p in 0..PARTS {
            self.count(part(self.size[0], PARTS, p));
        }
    }

    fn pixels(&self) -> f64 {
        (self.size[0] * self.size[1]) as f64
    }

    /// InstanceNorm of every channel: (x − mean)/√(variance + ε).
    pub(super) fn instance_norm(&self) -> Vec<Affine> {
        let n = self.pixels();
        let channels = self.sums.of.iter().zip(&self.sums.squares);
        channels.map(|(sum, squares)| Affine::normalising(sum / n, squares / n)).collect()
    }

    pub(super) fn give_back(self, pool: &mut Pool) {
        pool.give(self.data);
    }
}

/// LayerNorm over channels and pixels of all maps, with weight and bias per channel.
pub(super) fn layer_norm(maps: &[&Map], weight: &[f32], bias: &[f32]) -> Norm {
    let n: f64 = maps.iter().map(|map| map.pixels() * map.c as f64).sum();
    let total = |of: fn(&Sums) -> &[f64]| maps.iter().flat_map(|map| of(&map.sums)).sum::<f64>();
    let all = Affine::normalising(total(|s| &s.of) / n, total(|s| &s.squares) / n);
    let channels = weight.iter().zip(bias).map(|(w, b)| all.then(*w, *b)).collect::<Vec<_>>();
    Norm::new(&channels)
}

/// x ↦ scale·x + shift.
#[derive(Clone, Copy, Debug)]
pub(super) struct Affine {
    scale: f64,
    shift: f64,
}

impl Affine {
    fn normalising(mean: f64, mean_of_squares: f64) -> Self {
        let variance = mean_of_squares - mean * mean;
        // Rounding may take it below 0 where all values are alike; what is no number stays that.
        let variance = if variance < 0.0 { 0.0 } else { variance };
        let scale = 1.0 / (variance + EPSILON).sqrt();
        Self { scale, shift: -mean * scale }
    }

    /// weight·(this) + bias.
    pub(super) fn then(self, weight: f32, bias: f32) -> Self {
        let weight = f64::from(weight);
        Self { scale: self.scale * weight, shift: self.shift * weight + f64::from(bias) }
    }
}

/// An affine map of every channel.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Norm {
    pub(super) fn new(channels: &[Affine]) -> Self {
        Self { scale: channels.iter().map(|a| a.scale as f32).collect(), shift: channels.iter().map(|a| a.shift as f32).collect() }
    }
}

/// What a convolution reads: maps beside each other, normalised and through the leaky ReLU where there is a norm.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    maps: &'a [&'a Map],
    norm: Option<&'a Norm>,
    /// Every pixel twice in both directions.
    double: bool,
}

impl<'a> Source<'a> {
    /// The maps as they are.
    pub(super) fn plain(maps: &'a [&'a Map]) -> Self {
        Self { maps, norm: None, double: false }
    }

    /// leaky(norm(maps)); the norm's channels are those of all maps.
    pub(super) fn normed(maps: &'a [&'a Map], norm: &'a Norm) -> Self {
        Self { maps, norm: Some(norm), double: false }
    }

    /// Twice the size, by the nearest pixel.
    pub(super) fn doubled(self) -> Self {
        Self { double: true, ..self }
    }

    pub(super) fn size(&self) -> [usize; 2] {
        let size = self.maps.first().map_or([0, 0], |map| map.size);
        if self.double { size.map(|n| 2 * n) } else { size }
    }

    pub(super) fn channels(&self) -> usize {
        self.maps.iter().map(|map| map.c).sum()
    }

    /// Row `y` of the picture into `out`: `left` pixels of zeros, the row, zeros to the end. Rows outside are zeros.
    pub(super) fn row(&self, y: Option<usize>, left: usize, out: &mut [f32]) {
        let ([height, width], c) = (self.size(), self.channels());
        let Some(y) = y.filter(|y| *y < height) else { return out.fill(0.0) };
        let (before, rest) = out.split_at_mut(left * c);
        let (inside, after) = rest.split_at_mut(width * c);
        before.fill(0.0);
        after.fill(0.0);
        let (step, y) = if self.double { (2, y / 2) } else { (1, y) };
        let mut first = 0;
        for map in self.maps {
            let from = &map.data[y * map.row()..][..map.row()];
            match self.norm {
                Some(Norm { scale, shift }) => {
                    let channels = first..first + map.c;
                    read_normed(from, &scale[channels.clone()], &shift[channels], &mut inside[first..], c * step);
                }
                None => read(from, map.c, &mut inside[first..], c * step),
            }
            first += map.c;
        }
        if self.double {
            for pair in inside.chunks_exact_mut(2 * c) {
                pair.copy_within(..c, c);
            }
        }
    }
}

/// A thread's memory for maps: those of a frame are the same as those of the frame before.
#[derive(Debug, Default)]
pub(super) struct Pool {
    free: BTreeMap<usize, Vec<Vec<f32>>>,
}

impl Pool {
    /// n floats, whatever they are.
    pub(super) fn take(&mut self, n: usize) -> Vec<f32> {
        let free = self.free.get_mut(&n).and_then(Vec::pop);
        free.unwrap_or_else(|| crate::kernels::memory::zeros(n))
    }

    /// Keeps memory for the next that wants as much.
    pub(super) fn give(&mut self, memory: Vec<f32>) {
        self.free.entry(memory.len()).or_default().push(memory);
    }
}

/// leaky(x) = x where x > 0, else 0.1·x.
#[inline(always)]
pub(super) fn leaky(x: f32) -> f32 {
    let low = SLOPE * x;
    if x > low { x } else { low }
}

fn read(from: &[f32], c: usize, out: &mut [f32], step: usize) {
    for (from, out) in from.chunks_exact(c).zip(out.chunks_mut(step)) {
        out[..c].copy_from_slice(from);
    }
}

multiversion! {
    fn read_normed(from: &[f32], scale: &[f32], shift: &[f32], out: &mut [f32], step: usize) {
        let c = scale.len();
        for (from, out) in from.chunks_exact(c).zip(out.chunks_mut(step)) {
            let parameters = scale.iter().zip(shift);
            for ((out, x), (scale, shift)) in out[..c].iter_mut().zip(from).zip(parameters) {
                *out = leaky(x * scale + shift);
            }
        }
    }
}

multiversion! {
    fn add_moments(values: &[f32], c: usize, sums: &mut [f64], squares: &mut [f64]) {
        for pixel in values.chunks_exact(c) {
            for ((x, sum), square) in pixel.iter().zip(sums.iter_mut()).zip(squares.iter_mut()) {
                let x = f64::from(*x);
                *sum += x;
                *square += x * x;
            }
        }
    }
}

multiversion! {
    /// x += scale·y + shift, per channel.
    pub(super) fn add_affine(x: &mut [f32], y: &[f32], norm: &Norm) {
        let c = norm.scale.len();
        for (x, y) in x.chunks_exact_mut(c).zip(y.chunks_exact(c)) {
            let parameters = norm.scale.iter().zip(&norm.shift);
            for ((x, y), (scale, shift)) in x.iter_mut().zip(y).zip(parameters) {
                *x += y * scale + shift;
            }
        }
    }
}

multiversion! {
    /// a = leaky(norm(a)) + leaky(norm(b)), each by its own norm.
    pub(super) fn add_normed(a: &mut [f32], norm_a: &Norm, b: &[f32], norm_b: &Norm) {
        let c = norm_a.scale.len();
        let parameters = || norm_a.scale.iter().zip(&norm_a.shift).zip(norm_b.scale.iter().zip(&norm_b.shift));
        for (a, b) in a.chunks_exact_mut(c).zip(b.chunks_exact(c)) {
            for ((a, b), ((scale_a, shift_a), (scale_b, shift_b))) in a.iter_mut().zip(b).zip(parameters()) {
                *a = leaky(*a * scale_a + shift_a) + leaky(b * scale_b + shift_b);
            }
        }
    }
}

multiversion! {
    /// Means of 2×2 pixels of leaky(norm(x)): two rows of x into one of y.
    fn halve_rows(x: &[f32], norm: &Norm, y: &mut [f32]) {
        let c = norm.scale.len();
        let (above, below) = x.split_at(x.len() / 2);
        let pairs = above.chunks_exact(2 * c).zip(below.chunks_exact(2 * c));
        for (y, (above, below)) in y.chunks_exact_mut(c).zip(pairs) {
            let ((a, b), (d, e)) = (above.split_at(c), below.split_at(c));
            let (scale, shift) = (&norm.scale[..c], &norm.shift[..c]);
            for i in 0..c {
                let f = |x: f32| leaky(x * scale[i] + shift[i]);
                y[i] = 0.25 * ((f(a[i]) + f(b[i])) + (f(d[i]) + f(e[i])));
            }
        }
    }
}

/// Half the size: leaky(norm(x)), then the mean of 2×2 pixels.
pub(super) fn halve(pool: &mut Pool, x: &Map, norm: &Norm) -> Map {
    let mut y = Map::new(pool, x.size.map(|n| n / 2), x.c);
    let (row_x, row_y) = (x.row(), y.row());
    for (x, y) in x.data.chunks_exact(2 * row_x).zip(y.data.chunks_exact_mut(row_y)) {
        halve_rows(x, norm, y);
    }
    y
}
