//! Convolution by 3×3 with stride 1 in 16 multiplications for four pixels instead of 36: Winograd's F(2×2, 3×3).
//!
//! ```text
//! y  = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A          d: 4×4 pixels of input, y: 2×2 of output, g: the kernel; ⊙ sums over the input channels
//! dg = Gᵀ[(Bᵀ d B) ⊙ (A dy Aᵀ)]G         the same read backwards; ⊙ sums over tiles
//!
//! Bᵀ = 1  0 −1  0      G = 1    0    0       Aᵀ = 1  1  1  0
//!      0  1  1  0          1/2  1/2  1/2          0  1 −1 −1
//!      0 −1  1  0          1/2 −1/2  1/2
//!      0  1  0 −1          0    0    1
//! ```
//!
//! Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", 2016. The transforms hold no factor but 1/2, so the result is as
//! exact as the plain sum's. Each of the 16 places of a tile is one matrix product over a block of tiles.

use super::memory::Scratch;
use super::simd::with_simd;
use super::tile::{Lhs, Out, Packed, Panels, panel, product};
use rayon::prelude::*;
use std::ops::Range;

/// Places of a transformed tile.
pub(crate) const PLACES: usize = 16;
/// Tiles that are worked on together: rows of a product.
pub(crate) const TILES: usize = 112;

/// Frames `[rows, columns, channels]`, `row` and `frame` floats apart, the first at `start`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plane {
    pub(crate) start: usize,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) channels: usize,
    pub(crate) row: usize,
    pub(crate) frame: usize,
}

impl Plane {
    /// Where pixel (y, x) of a frame begins, if it is there.
    fn pixel(&self, frame: usize, y: usize, x: usize) -> Option<usize> {
        let inside = y < self.rows && x < self.columns;
        inside.then(|| self.start + frame * self.frame + y * self.row + x * self.channels)
    }

    /// That all pixels of `count` frames lie in `data`.
    fn check(&self, count: usize, data: &[f32]) {
        if let Some(last) = count.checked_sub(1).and_then(|f| self.pixel(f, self.rows - 1, self.columns - 1)) {
            assert!(last + self.channels <= data.len(), "{self:?} with {count} frames lies in {} floats", data.len());
        }
    }
}

/// Tiles of `[height, width]` pixels of output.
pub(crate) fn tiles(size: [usize; 2]) -> usize {
    size[0].div_ceil(2) * size[1].div_ceil(2)
}

/// Frame, first row and first column of tile `i`.
fn place(i: usize, size: [usize; 2]) -> (usize, usize, usize) {
    let (in_frame, in_row) = (tiles(size), size[1].div_ceil(2));
    (i / in_frame, i % in_frame / in_row * 2, i % in_row * 2)
}

/// Even blocks of at most [`TILES`].
fn blocks(count: usize) -> impl Iterator<Item = Range<usize>> {
    let parts = count.div_ceil(TILES);
    (0..parts).map(move |p| super::part(count, parts, p))
}

/// G g Gᵀ for all pairs of channels: a matrix `[depth, columns]` a place.
#[derive(Debug)]
pub(crate) struct Kernels {
    places: Vec<Packed>,
    depth: usize,
    columns: usize,
}

impl Kernels {
    /// Of weights `[cout, cin, 3, 3]`; `back` for the gradient of the input, whose convolution has the kernels turned and the channels
    /// exchanged.
    pub(crate) fn new(weights: &[f32], cin: usize, cout: usize, back: bool) -> Self {
        let (depth, columns) = if back { (cout, cin) } else { (cin, cout) };
        let width = panel(TILES, columns);
        let of_place = |place: usize| {
            let factors = factors(place, back);
            Packed::with(depth, columns, width, |p, data| {
                let inside = width.min(columns - p * width);
                for (k, row) in data.chunks_exact_mut(width).enumerate() {
                    for (j, value) in row[..inside].iter_mut().enumerate() {
                        let j = p * width + j;
                        let (co, ci) = if back { (k, j) } else { (j, k) };
                        let kernel = &weights[(co * cin + ci) * 9..][..9];
                        *value = kernel.iter().zip(&factors).map(|(g, f)| g * f).sum();
                    }
                }
            })
        };
        Self { places: (0..PLACES).into_par_iter().map(of_place).collect(), depth, columns }
    }
}

/// What each of the nine weights counts in a place of G g Gᵀ.
fn factors(place: usize, turned: bool) -> [f32; 9] {
    const G: [[f32; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
    std::array::from_fn(|i| {
        let i = if turned { 8 - i } else { i };
        G[place / 4][i / 3] * G[place % 4][i % 3]
    })
}

/// y of `count` frames, written or added to; where the input ends before the last tiles do, it goes on as zeros.
pub(crate) fn forward(count: usize, x: &[f32], from: Plane, kernels: &Kernels, y: &mut [f32], to: Plane, accumulate: bool) {
    from.check(count, x);
    to.check(count, y);
    let (cin, cout, size) = (kernels.depth, kernels.columns, [to.rows, to.columns]);
    assert!(from.channels == cin && to.channels == cout);
    let (mut seen, mut products) = (Scratch::any(PLACES * TILES * cin), Scratch::any(PLACES * TILES * cout));
    let zeros = vec![0.0; cin];
    let mut nowhere = vec![0.0; cout];
    for block in blocks(count * tiles(size)) {
        let rows = block.len();
        transform_inputs(x, from, size, block.clone(), &zeros, &mut seen);
        for (place, kernel) in kernels.places.iter().enumerate() {
            let a = Lhs { data: &seen, offset: place * TILES * cin, row: cin, step: 1 };
            let c = Out { data: &mut products, offset: place * TILES * cout, row: cout };
            product(rows, cout, cin, &[(0, 0)], a, kernel.panels(0), c, false);
        }
        for (row, tile) in block.enumerate() {
            let (frame, y0, x0) = place(tile, size);
            let from: [*const f32; PLACES] = std::array::from_fn(|place| products[(place * TILES + row) * cout..][..cout].as_ptr());
            let pixels: [Option<usize>; 4] = std::array::from_fn(|i| to.pixel(frame, y0 + i / 2, x0 + i % 2));
            let into = pixels.map(|at| at.map_or(nowhere.as_mut_ptr(), |at| y[at..][..cout].as_mut_ptr()));
            back_from_places(from, into, cout, accumulate);
        }
    }
}

/// Adds to `sums`, `[16, cin, cout]`, what `count` frames give to the gradient of the transformed kernels.
pub(crate) fn weight_gradient(count: usize, x: &[f32], from: Plane, dy: &[f32], of: Plane, sums: &mut [f32]) {
    from.check(count, x);
    of.check(count, dy);
    let (cin, cout, size) = (from.channels, of.channels, [of.rows, of.columns]);
    let (mut seen, mut grads) = (Scratch::any(PLACES * TILES * cin), Scratch::any(PLACES * TILES * cout));
    let zeros = vec![0.0; cin.max(cout)];
    let width = panel(cin, cout);
    for block in blocks(count * tiles(size)) {
        let depth = block.len();
        transform_inputs(x, from, size, block.clone(), &zeros, &mut seen);
        for (row, tile) in block.enumerate() {
            let (frame, y0, x0) = place(tile, size);
            let pixels = std::array::from_fn(|i| of.pixel(frame, y0 + i / 2, x0 + i % 2).map_or(&zeros[..cout], |at| &dy[at..][..cout]));
            let into = std::array::from_fn(|place| grads[(place * TILES + row) * cout..][..cout].as_mut_ptr());
            to_places(pixels.map(<[f32]>::as_ptr), into, cout);
        }
        for place in 0..PLACES {
            let a = Lhs { data: &seen, offset: place * TILES * cin, row: 1, step: cin };
            let c = Out { data: sums, offset: place * cin * cout, row: cout };
            product(cin, cout, depth, &[(0, 0)], a, Panels::rows(&grads, place * TILES * cout, cout, width), c, true);
        }
    }
}

/// Gᵀ s G: from the gradient of the transformed kernels `[16, cin, cout]` to that of the weights, `[cout, cin, 3, 3]`.
pub(crate) fn weights_of(sums: &[f32], cin: usize, cout: usize) -> Vec<f32> {
    let factors: [[f32; 9]; PLACES] = std::array::from_fn(|place| factors(place, false));
    let mut out = vec![0.0; cout * cin * 9];
    out.par_chunks_mut(cin * 9).enumerate().for_each(|(co, out)| {
        for (ci, kernel) in out.chunks_exact_mut(9).enumerate() {
            for (place, factors) in factors.iter().enumerate() {
                let sum = sums[(place * cin + ci) * cout + co];
                kernel.iter_mut().zip(factors).for_each(|(g, f)| *g += f * sum);
            }
        }
    });
    out
}

/// Bᵀ d B of a block of tiles into `[16, TILES, cin]`.
fn transform_inputs(x: &[f32], from: Plane, size: [usize; 2], block: Range<usize>, zeros: &[f32], seen: &mut [f32]) {
    let c = from.channels;
    for (row, tile) in block.enumerate() {
        let (frame, y0, x0) = place(tile, size);
        let pixels = std::array::from_fn(|i| from.pixel(frame, y0 + i / 4, x0 + i % 4).map_or(&zeros[..c], |at| &x[at..][..c]));
        let into = std::array::from_fn(|place| seen[(place * TILES + row) * c..][..c].as_mut_ptr());
        input_to_places(pixels.map(<[f32]>::as_ptr), into, c);
    }
}

/// Runs a loop over channels, a vector at a time and the rest as a part of one.
macro_rules! over_channels {
    ($simd:ident, $channels:ident, |$at:ident, $load:ident, $store:ident| $body:block) => {{
        let mut $at = 0;
        while $at + $simd::LANES <= $channels {
            let $load = |p: *const f32| $simd::load(p.add($at));
            let $store = |p: *mut f32, v| $simd::store(p.add($at), v);
            $body
            $at += $simd::LANES;
        }
        if $at < $channels {
            let rest = $channels - $at;
            let $load = |p: *const f32| $simd::load_first(p.add($at), rest);
            let $store = |p: *mut f32, v| $simd::store_first(p.add($at), v, rest);
            $body
        }
    }};
}

with_simd! {
    /// Bᵀ d B. All pointers are valid for `channels` floats; no output overlaps another array.
    fn input_to_places<S>(pixels: [*const f32; 16], into: [*mut f32; 16], channels: usize) {
        unsafe {
            over_channels!(S, channels, |at, load, store| {
                let mut columns = [[S::zero(); 4]; 4];
                for x in 0..4 {
                    let d = [load(pixels[x]), load(pixels[4 + x]), load(pixels[8 + x]), load(pixels[12 + x])];
                    columns[x] = [S::sub(d[0], d[2]), S::add(d[1], d[2]), S::sub(d[2], d[1]), S::sub(d[1], d[3])];
                }
                for i in 0..4 {
                    let d = [columns[0][i], columns[1][i], columns[2][i], columns[3][i]];
                    store(into[4 * i], S::sub(d[0], d[2]));
                    store(into[4 * i + 1], S::add(d[1], d[2]));
                    store(into[4 * i + 2], S::sub(d[2], d[1]));
                    store(into[4 * i + 3], S::sub(d[1], d[3]));
                }
            });
        }
    }
}

with_simd! {
    /// Aᵀ m A, written or added. Pointers as above; those of pixels outside may be the same.
    fn back_from_places<S>(places: [*const f32; 16], into: [*mut f32; 4], channels: usize, accumulate: bool) {
        unsafe {
            over_channels!(S, channels, |at, load, store| {
                let mut rows = [[S::zero(); 4]; 2];
                for x in 0..4 {
                    let m = [load(places[x]), load(places[4 + x]), load(places[8 + x]), load(places[12 + x])];
                    rows[0][x] = S::add(S::add(m[0], m[1]), m[2]);
                    rows[1][x] = S::sub(S::sub(m[1], m[2]), m[3]);
                }
                for (i, m) in rows.into_iter().enumerate() {
                    let y = [S::add(S::add(m[0], m[1]), m[2]), S::sub(S::sub(m[1], m[2]), m[3])];
                    for (x, y) in y.into_iter().enumerate() {
                        let p = into[2 * i + x];
                        store(p, if accumulate { S::add(load(p), y) } else { y });
                    }
                }
            });
        }
    }
}

with_simd! {
    /// A dy Aᵀ. Pointers as above.
    fn to_places<S>(pixels: [*const f32; 4], into: [*mut f32; 16], channels: usize) {
        unsafe {
            over_channels!(S, channels, |at, load, store| {
                let mut columns = [[S::zero(); 4]; 2];
                for x in 0..2 {
                    let (above, below) = (load(pixels[x]), load(pixels[2 + x]));
                    columns[x] = [above, S::add(above, below), S::sub(above, below), S::sub(S::zero(), below)];
                }
                for i in 0..4 {
                    let (left, right) = (columns[0][i], columns[1][i]);
                    store(into[4 * i], left);
                    store(into[4 * i + 1], S::add(left, right));
                    store(into[4 * i + 2], S::sub(left, right));
                    store(into[4 * i + 3], S::sub(S::zero(), right));
                }
            });
        }
    }
}
