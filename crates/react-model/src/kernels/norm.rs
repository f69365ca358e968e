//! InstanceNorm over (t, h, w) with what follows it, on channels-last frames, forward and backward.
//!
//! ```text
//! z = (y − mean)·rstd     rstd = 1/√(var + 1e-5)     mean and biased variance per clip and channel, over N = t·h·w
//! out = relu(z),   x + relu(z),   or   maxpool(relu(z))        3×3 window, stride 2, no padding
//! dy = rstd·(dz − Σdz/N − z·Σ(dz·z)/N)
//! ```
//!
//! Rows are walked as flat memory: statistics are repeated to a whole number of vectors ([`Tiled`]).

use super::simd::{multiversion, with_simd};

/// Added to the variance.
const EPSILON: f64 = 1e-5;

/// What follows the normalisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// ReLU.
    Relu,
    /// ReLU, then the block's input is added.
    ReluAdd,
    /// ReLU, then max pooling: 3×3, stride 2, no padding.
    ReluMaxPool,
}

/// Count, mean and sum of squared deviations per channel, of a part of a clip.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    count: f64,
    mean: Vec<f64>,
    squares: Vec<f64>,
}

impl Moments {
    /// Of one frame `[pixels, channels]`.
    pub(crate) fn of(frame: &[f32], channels: usize) -> Self {
        let count = (frame.len() / channels) as f64;
        let tile = tile_len(channels);
        let mut sum = vec![0.0; tile];
        let zeros = vec![0.0; tile];
        accumulate(frame, &zeros, false, &mut sum);
        let mean: Vec<f64> = fold(&sum, channels).iter().map(|s| s / count).collect();
        let shift: Vec<f32> = (0..tile).map(|i| mean[i % channels] as f32).collect();
        let mut squares = vec![0.0; tile];
        accumulate(frame, &shift, true, &mut squares);
        Self { count, mean, squares: fold(&squares, channels) }
    }

    /// The moments of both parts together (Chan, Golub and LeVeque).
    pub(crate) fn merge(&mut self, other: &Self) {
        let total = self.count + other.count;
        for ((mean, squares), (other_mean, other_squares)) in
            self.mean.iter_mut().zip(&mut self.squares).zip(other.mean.iter().zip(&other.squares))
        {
            let delta = other_mean - *mean;
            *mean += delta * other.count / total;
            *squares += other_squares + delta * delta * self.count * other.count / total;
        }
        self.count = total;
    }

    /// Mean and biased variance per channel.
    pub(crate) fn mean_and_variance(&self) -> Vec<(f32, f32)> {
        self.mean.iter().zip(&self.squares).map(|(mean, squares)| (*mean as f32, (squares / self.count) as f32)).collect()
    }

    /// Mean and 1/√(variance + eps) per channel.
    pub(crate) fn finish(&self) -> Vec<[f32; 2]> {
        self.mean
            .iter()
            .zip(&self.squares)
            .map(|(mean, squares)| [*mean as f32, (1.0 / (squares / self.count + EPSILON).sqrt()) as f32])
            .collect()
    }
}

/// Length of a repeated row of channels that is a whole number of vectors.
fn tile_len(channels: usize) -> usize {
    let gcd = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    channels * (64 / gcd(channels, 64))
}

fn fold(tiled: &[f64], channels: usize) -> Vec<f64> {
    let mut out = vec![0.0; channels];
    for row in tiled.chunks_exact(channels) {
        out.iter_mut().zip(row).for_each(|(o, x)| *o += x);
    }
    out
}

/// A clip's statistics, repeated for flat walks.
pub(crate) struct Tiled {
    channels: usize,
    mean: Vec<f32>,
    rstd: Vec<f32>,
    /// Σdz/N and Σ(dz·z)/N; empty in the forward pass.
    grad: [Vec<f32>; 2],
}

impl Tiled {
    pub(crate) fn new(stats: &[[f32; 2]]) -> Self {
        let channels = stats.len();
        let tile = tile_len(channels);
        let get = |which: usize| (0..tile).map(|i| stats[i % channels][which]).collect::<Vec<_>>();
        Self { channels, mean: get(0), rstd: get(1), grad: [Vec::new(), Vec::new()] }
    }

    /// The statistics together with the gradient's two means.
    pub(crate) fn with_gradient(stats: &[[f32; 2]], sums: &[f64], count: f64) -> Self {
        let mut tiled = Self::new(stats);
        let (channels, tile) = (stats.len(), tiled.mean.len());
        tiled.grad = [0, 1].map(|which| (0..tile).map(|i| (sums[which * channels + i % channels] / count) as f32).collect());
        tiled
    }

    /// `out` of one frame `y` `[h, w, c]`; `x` is the block's input where the tail adds it, `scratch` holds a row.
    pub(crate) fn forward(&self, tail: Tail, y: &[f32], width: usize, x: &[f32], out: &mut [f32], scratch: &mut Vec<f32>) {
        match tail {
            Tail::Relu => relu(y, &self.mean, &self.rstd, out),
            Tail::ReluAdd => relu_add(y, x, &self.mean, &self.rstd, out),
            Tail::ReluMaxPool => {
                scratch.resize(width * self.channels, 0.0);
                max_pool(y, width, self.channels, &self.mean, &self.rstd, scratch, out);
            }
        }
    }

    /// Adds Σdz and Σ(dz·z) per channel of one frame to `sums` `[2, channels]`.
    pub(crate) fn gradient_sums(&self, tail: Tail, y: &[f32], out: &[f32], grad: &[f32], sums: &mut [f64]) {
        let tile = self.mean.len();
        let (mut first, mut second) = (vec![0.0; tile], vec![0.0; tile]);
        match tail {
            // z at the pixel that won a window is the window's output.
            Tail::Relu | Tail::ReluMaxPool => sums_of_output(out, grad, &mut first, &mut second),
            Tail::ReluAdd => sums_of_input(y, grad, &self.mean, &self.rstd, &mut first, &mut second),
        }
        for (sum, part) in sums.iter_mut().zip(fold(&first, self.channels).into_iter().chain(fold(&second, self.channels))) {
            *sum += part;
        }
    }

    /// dy of one frame; row `oy` of it is written from `start(oy)` on.
    pub(crate) fn gradient(
        &self,
        tail: Tail,
        y: &[f32],
        width: usize,
        grad: &[f32],
        dy: &mut [f32],
        start: impl Fn(usize) -> usize,
        scratch: &mut Winners,
    ) {
        let row = width * self.channels;
        let [first, second] = &self.grad;
        if tail != Tail::ReluMaxPool {
            for (oy, (y, g)) in y.chunks_exact(row).zip(grad.chunks_exact(row)).enumerate() {
                relu_gradient(y, g, &self.mean, &self.rstd, first, second, &mut dy[start(oy)..][..row]);
            }
            return;
        }
        let (rows, pooled_width) = (y.len() / row, (width - 3) / 2 + 1);
        let pooled_row = pooled_width * self.channels;
        scratch.clear(pooled_width + 2, self.channels);
        for oy in 0..rows.div_ceil(2) {
            std::mem::swap(&mut scratch.above, &mut scratch.here);
            match grad.chunks_exact(pooled_row).nth(oy) {
                Some(grad) => {
                    let windows = PoolRow { y: &y[2 * oy * row..][..3 * row], width, channels: self.channels };
                    find_winners(windows, grad, &self.mean, &mut scratch.here.0, &mut scratch.here.1);
                }
                None => scratch.here.0.fill(NOBODY),
            }
            for odd in 0..2.min(rows - 2 * oy) {
                let pixels = PoolRow { y: &y[(2 * oy + odd) * row..][..row], width, channels: self.channels };
                let stats = [&self.mean[..], &self.rstd, first, second].map(|s| &s[..self.channels]);
                pool_gradient(pixels, odd == 1, scratch, stats, &mut dy[start(2 * oy + odd)..][..row]);
            }
        }
    }
}

/// Which of a window's nine pixels won, and what gradient it gets, for a row of windows; with a place for nobody at both ends.
#[derive(Default)]
pub(crate) struct Winners {
    here: (Vec<f32>, Vec<f32>),
    above: (Vec<f32>, Vec<f32>),
}

/// A window without a winner: all its pixels are cut by the ReLU, or it lies outside.
const NOBODY: f32 = -1.0;

impl Winners {
    fn clear(&mut self, windows: usize, channels: usize) {
        for (winner, grad) in [&mut self.here, &mut self.above] {
            winner.clear();
            winner.resize(windows * channels, NOBODY);
            grad.clear();
            grad.resize(windows * channels, 0.0);
        }
    }
}

/// Rows of pixels `[rows, width, channels]`.
#[derive(Clone, Copy)]
struct PoolRow<'a> {
    y: &'a [f32],
    width: usize,
    channels: usize,
}

with_simd! {
    /// The winner (the first of equals, row by row) and the gradient of each window of three rows.
    fn find_winners<S>(rows: PoolRow<'_>, grad: &[f32], mean: &[f32], winner: &mut [f32], gradient: &mut [f32]) {
        let PoolRow { y, width, channels } = rows;
        let (row, windows) = (width * channels, (width - 3) / 2 + 1);
        assert!(y.len() == 3 * row && grad.len() == windows * channels && mean.len() >= channels);
        assert!(winner.len() == (windows + 2) * channels && gradient.len() == winner.len());
        unsafe {
            let nobody = S::splat(&NOBODY);
            for ox in 0..windows {
                for c in (0..channels).step_by(S::LANES) {
                    let n = S::LANES.min(channels - c);
                    let load = |p: *const f32| if n == S::LANES { S::load(p) } else { S::load_first(p, n) };
                    let store = |p: *mut f32, v| if n == S::LANES { S::store(p, v) } else { S::store_first(p, v, n) };
                    let corner = y.as_ptr().add(2 * ox * channels + c);
                    let (mut best, mut who) = (load(corner), S::zero());
                    for k in 1..9 {
                        let v = load(corner.add(k / 3 * row + k % 3 * channels));
                        who = S::if_greater(v, best, S::splat(&TAPS[k]), who);
                        best = S::if_greater(v, best, v, best);
                    }
                    let who = S::if_greater(best, load(mean.as_ptr().add(c)), who, nobody);
                    store(winner.as_mut_ptr().add((ox + 1) * channels + c), who);
                    store(gradient.as_mut_ptr().add((ox + 1) * channels + c), load(grad.as_ptr().add(ox * channels + c)));
                }
            }
        }
    }
}

/// Numbers of a window's pixels as they are compared.
static TAPS: [f32; 9] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];

with_simd! {
    /// dy of a row of pixels: each collects from the windows (up to four) that it won.
    fn pool_gradient<S>(pixels: PoolRow<'_>, odd: bool, windows: &Winners, stats: [&[f32]; 4], dy: &mut [f32]) {
        let PoolRow { y, width, channels } = pixels;
        let places = ((width - 3) / 2 + 3) * channels;
        let all = [&windows.here.0, &windows.here.1, &windows.above.0, &windows.above.1];
        assert!(all.iter().all(|w| w.len() == places) && stats.iter().all(|s| s.len() == channels));
        assert!(y.len() == width * channels && dy.len() == y.len());
        unsafe {
            for x in 0..width {
                for c in (0..channels).step_by(S::LANES) {
                    let n = S::LANES.min(channels - c);
                    let load = |p: *const f32| if n == S::LANES { S::load(p) } else { S::load_first(p, n) };
                    // Windows are counted from 1: place 0 and the last hold nobody.
                    let place = (x / 2 + 1) * channels + c;
                    let from = |above: bool, back: bool, tap: usize| {
                        let (winner, grad) = if above { (all[2], all[3]) } else { (all[0], all[1]) };
                        let at = if back { place - channels } else { place };
                        S::if_equal(load(winner.as_ptr().add(at)), S::splat(&TAPS[tap]), load(grad.as_ptr().add(at)))
                    };
                    let dz = match (odd, x % 2 == 1) {
                        (false, false) => S::add(S::add(from(false, false, 0), from(false, true, 2)), S::add(from(true, false, 6), from(true, true, 8))),
                        (false, true) => S::add(from(false, false, 1), from(true, false, 7)),
                        (true, false) => S::add(from(false, false, 3), from(false, true, 5)),
                        (true, true) => from(false, false, 4),
                    };
                    let [mean, rstd, first, second] = stats.map(|s| load(s.as_ptr().add(c)));
                    let z = S::mul(S::sub(load(y.as_ptr().add(x * channels + c)), mean), rstd);
                    let v = S::mul(rstd, S::sub(S::sub(dz, first), S::mul(z, second)));
                    let p = dy.as_mut_ptr().add(x * channels + c);
                    if n == S::LANES { S::store(p, v) } else { S::store_first(p, v, n) }
                }
            }
        }
    }
}

multiversion! {
    /// Adds x − shift, or its square, to a tile of sums. Partial sums of 64 tiles are f32, the rest f64.
    fn accumulate(frame: &[f32], shift: &[f32], square: bool, sum: &mut [f64]) {
        let tile = shift.len();
        let mut part = [0.0f32; 64];
        for block in frame.chunks(64 * tile) {
            for lane in 0..tile / 64 {
                let shift: &[f32; 64] = shift[lane * 64..].first_chunk().unwrap_or(&[0.0; 64]);
                part = [0.0; 64];
                for row in block.chunks(tile) {
                    let row = row.get(lane * 64..).unwrap_or(&[]);
                    if let Some(row) = row.first_chunk::<64>() {
                        if square {
                            for i in 0..64 {
                                part[i] += (row[i] - shift[i]) * (row[i] - shift[i]);
                            }
                        } else {
                            for i in 0..64 {
                                part[i] += row[i];
                            }
                        }
                    } else {
                        for (i, x) in row.iter().enumerate() {
                            part[i] += if square { (x - shift[i]) * (x - shift[i]) } else { *x };
                        }
                    }
                }
                for (s, p) in sum[lane * 64..][..64].iter_mut().zip(&part) {
                    *s += f64::from(*p);
                }
            }
        }
        let _ = part;
    }
}

/// ReLU that lets NaN through.
#[inline(always)]
fn positive(z: f32) -> f32 {
    if z <= 0.0 { 0.0 } else { z }
}

multiversion! {
    fn relu(y: &[f32], mean: &[f32], rstd: &[f32], out: &mut [f32]) {
        let tile = mean.len();
        for (y, out) in y.chunks(tile).zip(out.chunks_mut(tile)) {
            for (((o, y), m), r) in out.iter_mut().zip(y).zip(mean).zip(rstd) {
                *o = positive((y - m) * r);
            }
        }
    }
}

multiversion! {
    fn relu_add(y: &[f32], x: &[f32], mean: &[f32], rstd: &[f32], out: &mut [f32]) {
        let tile = mean.len();
        for ((y, x), out) in y.chunks(tile).zip(x.chunks(tile)).zip(out.chunks_mut(tile)) {
            for ((((o, y), x), m), r) in out.iter_mut().zip(y).zip(x).zip(mean).zip(rstd) {
                *o = x + positive((y - m) * r);
            }
        }
    }
}

multiversion! {
    /// The largest of a window is found before it is normalised: z grows with y.
    fn max_pool(y: &[f32], width: usize, channels: usize, mean: &[f32], rstd: &[f32], line: &mut [f32], out: &mut [f32]) {
        let row = width * channels;
        let pooled_row = ((width - 3) / 2 + 1) * channels;
        for (oy, out) in out.chunks_exact_mut(pooled_row).enumerate() {
            let rows = &y[2 * oy * row..][..3 * row];
            let (a, rest) = rows.split_at(row);
            let (b, c) = rest.split_at(row);
            for (((l, a), b), c) in line.iter_mut().zip(a).zip(b).zip(c) {
                let ab = if *b > *a { *b } else { *a };
                *l = if *c > ab { *c } else { ab };
            }
            for (ox, out) in out.chunks_exact_mut(channels).enumerate() {
                let window = &line[2 * ox * channels..][..3 * channels];
                let (a, rest) = window.split_at(channels);
                let (b, c) = rest.split_at(channels);
                for ((o, a), (b, c)) in out.iter_mut().zip(a).zip(b.iter().zip(c)) {
                    let ab = if *b > *a { *b } else { *a };
                    *o = if *c > ab { *c } else { ab };
                }
            }
            let tile = mean.len();
            for out in out.chunks_mut(tile) {
                for ((o, m), r) in out.iter_mut().zip(mean).zip(rstd) {
                    *o = positive((*o - m) * r);
                }
            }
        }
    }
}

multiversion! {
    fn sums_of_output(out: &[f32], grad: &[f32], first: &mut [f64], second: &mut [f64]) {
        let tile = first.len();
        for (out, grad) in out.chunks(tile).zip(grad.chunks(tile)) {
            for (((o, g), s1), s2) in out.iter().zip(grad).zip(first.iter_mut()).zip(second.iter_mut()) {
                let g = if *o > 0.0 { *g } else { 0.0 };
                *s1 += f64::from(g);
                *s2 += f64::from(g * o);
            }
        }
    }
}

multiversion! {
    fn sums_of_input(y: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32], first: &mut [f64], second: &mut [f64]) {
        let tile = first.len();
        for (y, grad) in y.chunks(tile).zip(grad.chunks(tile)) {
            let stats = mean.iter().zip(rstd).zip(first.iter_mut().zip(second.iter_mut()));
            for ((y, g), ((m, r), (s1, s2))) in y.iter().zip(grad).zip(stats) {
                let z = (y - m) * r;
                let g = if z > 0.0 { *g } else { 0.0 };
                *s1 += f64::from(g);
                *s2 += f64::from(g * z);
            }
        }
    }
}

multiversion! {
    fn relu_gradient(y: &[f32], grad: &[f32], mean: &[f32], rstd: &[f32], first: &[f32], second: &[f32], out: &mut [f32]) {
        let tile = mean.len();
        for ((y, g), out) in y.chunks(tile).zip(grad.chunks(tile)).zip(out.chunks_mut(tile)) {
            let stats = mean.iter().zip(rstd).zip(first.iter().zip(second));
            for (((o, y), g), ((m, r), (s1, s2))) in out.iter_mut().zip(y).zip(g).zip(stats) {
                let z = (y - m) * r;
                let dz = if z > 0.0 { *g } else { 0.0 };
                *o = r * (dz - s1 - z * s2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use react_random::Draws;

    fn normal(n: usize, purpose: &str) -> Vec<f32> {
        let mut x = vec![0.0; n];
        Draws::new(6, purpose, 0, 0).fill_normal(&mut x);
        x
    }

    #[test]
    fn moments_of_parts_are_moments_of_the_whole() {
        for channels in [1, 3, 8, 20, 64, 100] {
            let x: Vec<f32> = normal(333 * channels, "moments").iter().map(|x| x * 3.0 + 100.0).collect();
            let mut merged = Moments::of(&x[..100 * channels], channels);
            merged.merge(&Moments::of(&x[100 * channels..], channels));
            for (c, [mean, rstd]) in merged.finish().into_iter().enumerate() {
                let column: Vec<f64> = x.iter().skip(c).step_by(channels).map(|x| f64::from(*x)).collect();
                let want = column.iter().sum::<f64>() / 333.0;
                let variance = column.iter().map(|x| (x - want).powi(2)).sum::<f64>() / 333.0;
                assert!((f64::from(mean) - want).abs() < 1e-4, "{channels}: {mean} {want}");
                assert!((f64::from(rstd) * (variance + EPSILON).sqrt() - 1.0).abs() < 1e-5);
            }
        }
    }

    /// Forward and backward of all tails against sums written out, with ties among the pixels of a window.
    #[test]
    fn tails_are_their_definition() {
        for (height, width, channels) in [(7, 9, 5), (8, 8, 16), (5, 6, 40), (3, 3, 1)] {
            for tail in [Tail::Relu, Tail::ReluAdd, Tail::ReluMaxPool] {
                let n = height * width * channels;
                let y: Vec<f32> = normal(n, "y").iter().map(|y| (y * 2.0).round() / 2.0).collect();
                let x = normal(n, "x");
                let stats: Vec<[f32; 2]> = (0..channels).map(|c| [0.1 * c as f32 + 0.05, 1.0 + 0.2 * c as f32]).collect();
                let (rows, columns) = if tail == Tail::ReluMaxPool { ((height - 3) / 2 + 1, (width - 3) / 2 + 1) } else { (height, width) };
                let grad = normal(rows * columns * channels, "grad");
                let at = |i: usize, j: usize, c: usize| (i * width + j) * channels + c;
                let z = |i: usize, j: usize, c: usize| f64::from(y[at(i, j, c)] - stats[c][0]) * f64::from(stats[c][1]);
                let (mut want, mut dz) = (vec![0.0f64; grad.len()], vec![0.0f64; n]);
                for (i, j, c) in (0..rows).flat_map(|i| (0..columns).flat_map(move |j| (0..channels).map(move |c| (i, j, c)))) {
                    let out = (i * columns + j) * channels + c;
                    let mut winner = (i, j);
                    if tail == Tail::ReluMaxPool {
                        let window = (0..9).map(|k| (2 * i + k / 3, 2 * j + k % 3));
                        winner = window.reduce(|a, b| if y[at(b.0, b.1, c)] > y[at(a.0, a.1, c)] { b } else { a }).unwrap();
                    }
                    let value = z(winner.0, winner.1, c);
                    want[out] = value.max(0.0) + if tail == Tail::ReluAdd { f64::from(x[out]) } else { 0.0 };
                    if value > 0.0 {
                        dz[at(winner.0, winner.1, c)] += f64::from(grad[out]);
                    }
                }
                let mut out = vec![0.0; grad.len()];
                Tiled::new(&stats).forward(tail, &y, width, &x, &mut out, &mut Vec::new());
                let close = |a: &[f32], b: &[f64]| a.iter().zip(b).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4 * (1.0 + b.abs()));
                assert!(close(&out, &want), "{tail:?} {height}×{width}×{channels}");
                let mut sums = vec![0.0; 2 * channels];
                Tiled::new(&stats).gradient_sums(tail, &y, &out, &grad, &mut sums);
                let pixels = (height * width) as f64;
                let mut want_dy = vec![0.0; n];
                for c in 0..channels {
                    let places = || (0..height).flat_map(|i| (0..width).map(move |j| (i, j)));
                    let first: f64 = places().map(|(i, j)| dz[at(i, j, c)]).sum();
                    let second: f64 = places().map(|(i, j)| dz[at(i, j, c)] * z(i, j, c)).sum();
                    assert!((sums[c] - first).abs() < 1e-3 && (sums[channels + c] - second).abs() < 1e-3, "{tail:?} {c}");
                    for (i, j) in places() {
                        want_dy[at(i, j, c)] = f64::from(stats[c][1]) * (dz[at(i, j, c)] - first / pixels - z(i, j, c) * second / pixels);
                    }
                }
                let mut dy = vec![0.0; n];
                let tiled = Tiled::with_gradient(&stats, &sums, pixels);
                tiled.gradient(tail, &y, width, &grad, &mut dy, |row| row * width * channels, &mut Winners::default());
                assert!(close(&dy, &want_dy), "gradient, {tail:?} {height}×{width}×{channels}");
            }
        }
    }
}
