//! Many warps at once, one pair a lane.
//!
//! i frames of the prediction · j frames of the listener · c channels of a part · l lanes
//!
//! The lanes walk down strips of several rows, so that each listener frame is loaded once for all of them. In f32 the cost of a cell
//! is computed either from differences or from products, see [`Form`]; in f64 always from differences, without fused
//! operations, so that the bits are those of [`dtw`](crate::dtw).

use crate::dtw::Part;
use crate::input::Series;
use crate::simd::{InstructionSet, Kernel, Real, Simd, Vectors};
use std::array::{from_mut, from_ref};
use std::ops::Range;

/// A pair to warp, over its first `frames` frames.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    pub(crate) a: Series<'a>,
    pub(crate) b: Series<'a>,
    pub(crate) frames: usize,
    /// A value of D above this does not matter.
    pub(crate) enough: f64,
    /// How the costs are to be computed.
    pub(crate) form: Form,
}

/// How the cost of a cell is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// Σ (a − b)²: never negative, only a relative error.
    Differences,
    /// ‖a‖² + ‖b‖² − 2 a·b, in f32: half the instructions, but an absolute error too, for D at most `margin`.
    Products { margin: f64 },
}

/// Greatest ‖a‖² + ‖b‖² of two frames for which products are taken: beyond it their absolute error is felt.
const PRODUCTS_UP_TO: f64 = 64.0;

impl Form {
    /// For f32; `squares` is at least ‖a‖² + ‖b‖² of any two frames.
    ///
    /// The C + 2 steps of a cell each round a number of at most 2 (‖a‖² + ‖b‖²), and both norms are rounded: less than
    /// (2C + 6) u squares a cell, over a path of at most 2T − 1 cells, and the sums along it are wrong by their relative error γ of that.
    pub(crate) fn of(frames: usize, channels: usize, squares: f64) -> Self {
        if channels < 8 || !(0.0..=PRODUCTS_UP_TO).contains(&squares) {
            return Self::Differences;
        }
        // Something for numbers below the f32 range.
        let cell = (2 * channels + 6) as f64 * 2f64.powi(-24) * (squares + 1e-6);
        Self::Products { margin: cell * (2 * frames) as f64 * (1.0 + gamma(frames, channels)) }
    }

    pub(crate) fn margin(self) -> f64 {
        match self {
            Self::Differences => 0.0,
            Self::Products { margin } => margin,
        }
    }
}

/// Bound of the relative error of D computed in f32 (Higham's γ): a path of at most 2T − 1 cells, each a sum of C squares of
/// differences, all not negative. Minima commute with rounding, so the bound of a path is the bound of the best path.
pub(crate) fn gamma(frames: usize, channels: usize) -> f64 {
    let nu = (2 * frames + channels + 4) as f64 * 2f64.powi(-24);
    if nu < 0.5 { nu / (1.0 - nu) } else { f64::INFINITY }
}

/// Buffers of one thread.
pub(crate) struct Scratch<R: Real> {
    a: Vec<R::Block>,
    b: Vec<R::Block>,
    state: Vec<R::Block>,
}

impl<R: Real> Default for Scratch<R> {
    fn default() -> Self {
        Self { a: Vec::new(), b: Vec::new(), state: Vec::new() }
    }
}

/// What became of a vector of lanes.
pub(crate) struct Warped {
    /// D of each lane; infinite where it is certainly above the lane's `enough`.
    pub(crate) squared: [f64; 16],
    /// Cells computed in each lane.
    pub(crate) cells: usize,
}

struct Job<'a, R: Real> {
    channels: usize,
    products: bool,
    lanes: &'a [Lane<'a>],
    scratch: &'a mut Scratch<R>,
}

/// f32 or f64 lanes.
pub(crate) trait Precision: Real {
    /// Warps up to `LANES` pairs.
    fn warp(set: InstructionSet, part: Part, lanes: &[Lane<'_>], scratch: &mut Scratch<Self>) -> Warped;
}

impl Kernel for Job<'_, f32> {
    type Output = Warped;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Warped {
        match (self.channels, self.products) {
            (2, _) => walk::<f32, S, 2, false>(simd, self.lanes, self.scratch),
            (8, false) => walk::<f32, S, 8, false>(simd, self.lanes, self.scratch),
            (8, true) => walk::<f32, S, 9, true>(simd, self.lanes, self.scratch),
            (_, false) => walk::<f32, S, 15, false>(simd, self.lanes, self.scratch),
            (_, true) => walk::<f32, S, 16, true>(simd, self.lanes, self.scratch),
        }
    }
}

impl Kernel for Job<'_, f64> {
    type Output = Warped;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Warped {
        match self.channels {
            2 => walk::<f64, S, 2, false>(simd, self.lanes, self.scratch),
            8 => walk::<f64, S, 8, false>(simd, self.lanes, self.scratch),
            _ => walk::<f64, S, 15, false>(simd, self.lanes, self.scratch),
        }
    }
}

impl Precision for f32 {
    fn warp(set: InstructionSet, part: Part, lanes: &[Lane<'_>], scratch: &mut Scratch<Self>) -> Warped {
        let channels = part.channels();
        let products = lanes.iter().all(|l| l.form != Form::Differences);
        let frames = lanes.iter().map(|l| l.frames).max().unwrap_or(0);
        let (a, b) = (lanes.iter().map(|l| l.a.cut(l.frames)), lanes.iter().map(|l| l.b.cut(l.frames)));
        if products {
            pack_products(&mut scratch.a, a, frames, channels.clone(), -2.0);
            pack_products(&mut scratch.b, b, frames, channels.clone(), 1.0);
        } else {
            pack::<f32>(&mut scratch.a, a, frames, channels.clone());
            pack::<f32>(&mut scratch.b, b, frames, channels.clone());
        }
        set.run(Job::<f32> { channels: channels.len(), products, lanes, scratch })
    }
}

impl Precision for f64 {
    fn warp(set: InstructionSet, part: Part, lanes: &[Lane<'_>], scratch: &mut Scratch<Self>) -> Warped {
        let channels = part.channels();
        let frames = lanes.iter().map(|l| l.frames).max().unwrap_or(0);
        pack::<f64>(&mut scratch.a, lanes.iter().map(|l| l.a.cut(l.frames)), frames, channels.clone());
        pack::<f64>(&mut scratch.b, lanes.iter().map(|l| l.b.cut(l.frames)), frames, channels.clone());
        set.run(Job::<f64> { channels: channels.len(), products: false, lanes, scratch })
    }
}

/// Lanes side by side: block `t·C + c` holds channel c of frame t of every lane; zeros after a lane's end.
fn pack<'a, R: Real>(blocks: &mut Vec<R::Block>, lanes: impl Iterator<Item = Series<'a>>, frames: usize, channels: Range<usize>) {
    blocks.clear();
    blocks.resize(frames * channels.len(), R::block(R::default()));
    for (l, series) in lanes.enumerate() {
        for (t, blocks) in blocks.chunks_exact_mut(channels.len()).take(series.frames()).enumerate() {
            for (x, block) in series.frame(t)[channels.clone()].iter().zip(blocks) {
                block.as_mut()[l] = R::from_f32(*x);
            }
        }
    }
}

/// As [`pack`], each frame's squared norm first, its channels times `factor` after it.
fn pack_products<'a>(
    blocks: &mut Vec<<f32 as Real>::Block>,
    lanes: impl Iterator<Item = Series<'a>>,
    frames: usize,
    channels: Range<usize>,
    factor: f32,
) {
    let width = channels.len() + 1;
    blocks.clear();
    blocks.resize(frames * width, f32::block(0.0));
    for (l, series) in lanes.enumerate() {
        for (t, blocks) in blocks.chunks_exact_mut(width).take(series.frames()).enumerate() {
            let frame = &series.frame(t)[channels.clone()];
            blocks[0].0[l] = square(frame) as f32;
            for (x, block) in frame.iter().zip(&mut blocks[1..]) {
                block.0[l] = factor * x;
            }
        }
    }
}

/// ‖x‖².
pub(crate) fn square(frame: &[f32]) -> f64 {
    frame.iter().map(|x| f64::from(*x) * f64::from(*x)).sum()
}

/// Walks down the rows in strips. Columns where every lane is above its `enough` are dead: costs are not negative (but for the margin,
/// which the limit has twice), so no path through them matters, and a strip only covers the columns that live cells reach
/// (D. F. Silva, G. E. A. P. A. Batista, "Speeding up all-pairwise dynamic time warping matrix calculation", 2016). A dead cell may
/// hold too small a value, but never one that is not above the limit, and what comes of it is never below the limit less the margin.
#[inline(always)]
fn walk<R: Real, S: Vectors<R>, const W: usize, const PRODUCTS: bool>(simd: S, lanes: &[Lane<'_>], scratch: &mut Scratch<R>) -> Warped {
    let Scratch { a, b, state } = scratch;
    let frames = a.len() / W;
    state.clear();
    state.resize(frames, R::block(R::INFINITY));
    let mut ends: Vec<usize> = lanes.iter().map(|l| l.frames).collect();
    ends.sort_unstable();
    ends.dedup();
    // Lanes that are unused or finished have always had enough.
    let none = R::at_least(f64::NEG_INFINITY);
    let mut limits = R::block(none);
    for (lane, limit) in lanes.iter().zip(limits.as_mut()) {
        *limit = R::at_least(lane.enough + if PRODUCTS { 2.0 * lane.form.margin() } else { 0.0 });
    }
    let mut warped = Warped { squared: [f64::INFINITY; 16], cells: 0 };
    let (mut i, mut live) = (0, 0..0);
    for end in ends {
        while i < end {
            let limit = simd.load(&limits);
            let left = live.start;
            let rows = &a[i * W..];
            let (height, reached) = if S::WIDE && end - i >= 8 {
                (8, strip::<R, S, W, PRODUCTS, 8>(simd, i == 0, rows, b, state, live, limit))
            } else if end - i >= 2 {
                (2, strip::<R, S, W, PRODUCTS, 2>(simd, i == 0, rows, b, state, live, limit))
            } else {
                (1, strip::<R, S, W, PRODUCTS, 1>(simd, i == 0, rows, b, state, live, limit))
            };
            i += height;
            warped.cells += height * (reached - left);
            live = left..reached;
            while live.start < live.end && simd.all_above(simd.load(&state[live.start]), limit) {
                live.start += 1;
            }
            while live.start < live.end && simd.all_above(simd.load(&state[live.end - 1]), limit) {
                live.end -= 1;
            }
            if live.is_empty() {
                return warped;
            }
        }
        for (l, lane) in lanes.iter().enumerate().filter(|(_, lane)| lane.frames == end) {
            let squared = state[end - 1].as_ref()[l].to_f64();
            let margin = if PRODUCTS { lane.form.margin() } else { 0.0 };
            if live.contains(&(end - 1)) && squared <= R::at_least(lane.enough + margin).to_f64() {
                warped.squared[l] = squared;
            }
            limits.as_mut()[l] = none;
        }
    }
    warped
}

/// The next `ROWS` rows of D, column by column from the first live one, from the row above them in `state`, which then holds the
/// last of them. Returns the column at which it could stop: the last one, or one beyond `live` where all lanes are dead.
#[inline(always)]
fn strip<R: Real, S: Vectors<R>, const W: usize, const PRODUCTS: bool, const ROWS: usize>(
    simd: S,
    first: bool,
    a: &[R::Block],
    b: &[R::Block],
    state: &mut [R::Block],
    live: Range<usize>,
    limit: S::V,
) -> usize {
    let Some(a) = a.as_chunks::<W>().0.first_chunk::<ROWS>() else { return state.len() };
    let b = b.as_chunks::<W>().0;
    let infinity = simd.splat(R::INFINITY);
    let mut left = [infinity; ROWS];
    let mut corner = if first { simd.splat(R::default()) } else { infinity };
    let (b2, b1) = b[live.clone()].as_chunks::<2>();
    let (cells2, cells1) = state[live.clone()].as_chunks_mut::<2>();
    for (b, cells) in b2.iter().zip(cells2) {
        columns::<R, S, W, PRODUCTS, ROWS, 2>(simd, a, b, cells, &mut left, &mut corner);
    }
    for (b, cell) in b1.iter().zip(cells1) {
        columns::<R, S, W, PRODUCTS, ROWS, 1>(simd, a, from_ref(b), from_mut(cell), &mut left, &mut corner);
    }
    for (j, (b, cell)) in b[live.end..].iter().zip(&mut state[live.end..]).enumerate() {
        columns::<R, S, W, PRODUCTS, ROWS, 1>(simd, a, from_ref(b), from_mut(cell), &mut left, &mut corner);
        let mut least = left[0];
        for row in &left[1..] {
            least = simd.min(least, *row);
        }
        if simd.all_above(least, limit) {
            return live.end + j + 1;
        }
    }
    state.len()
}

/// The next columns of a strip, so that each prediction frame is loaded once for all of them: `left` holds the column before them,
/// `corner` the cell above that.
#[inline(always)]
fn columns<R: Real, S: Vectors<R>, const W: usize, const PRODUCTS: bool, const ROWS: usize, const COLUMNS: usize>(
    simd: S,
    a: &[[R::Block; W]; ROWS],
    b: &[[R::Block; W]; COLUMNS],
    cells: &mut [R::Block; COLUMNS],
    left: &mut [S::V; ROWS],
    corner: &mut S::V,
) {
    let mut cost = [[simd.splat(R::default()); ROWS]; COLUMNS];
    for c in 0..W {
        let mut listener = [simd.splat(R::default()); COLUMNS];
        for j in 0..COLUMNS {
            listener[j] = simd.load(&b[j][c]);
        }
        for r in 0..ROWS {
            let prediction = simd.load(&a[r][c]);
            for j in 0..COLUMNS {
                cost[j][r] = if !PRODUCTS {
                    let difference = simd.sub(prediction, listener[j]);
                    simd.mul_add(difference, difference, cost[j][r])
                } else if c == 0 {
                    simd.add(prediction, listener[j])
                } else {
                    simd.mul_add(prediction, listener[j], cost[j][r])
                };
            }
        }
    }
    for j in 0..COLUMNS {
        let above = simd.load(&cells[j]);
        let (mut up, mut diagonal) = (above, *corner);
        for r in 0..ROWS {
            let best = simd.min(simd.min(left[r], diagonal), up);
            diagonal = left[r];
            up = simd.add(cost[j][r], best);
            left[r] = up;
        }
        *corner = above;
        simd.store(up, &mut cells[j]);
    }
}
