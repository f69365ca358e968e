//! Unconstrained dynamic time warping of many pairs at once, one pair a lane.
//!
//! i frames of the prediction · j frames of the listener · c channels of a part · l lanes
//!
//! ```text
//! D(i,j) = ‖a_i − b_j‖² + min(D(i−1,j), D(i,j−1), D(i−1,j−1))        DTW(a, b) = √D(T−1, T−1)
//! ```
//! Source: H. Sakoe, S. Chiba, "Dynamic programming algorithm optimization for spoken word recognition", 1978, without a
//! window. The lanes walk down strips of several rows, so that each listener frame is loaded once for
//! all of them.

use crate::input::{Series, shape};
use crate::simd::{InstructionSet, Kernel, Real, Simd, Vectors};
use crate::{MetricsError, channels};
use ndarray::ArrayView2;
use std::ops::Range;

/// The parts of the reaction distance: AUs, valence and arousal, expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Affect,
    Expressions,
    Au,
}

impl Part {
    /// In the order in which they are computed: the cheapest, which also weighs most, first.
    pub(crate) const ALL: [Part; 3] = [Part::Affect, Part::Expressions, Part::Au];

    pub(crate) fn channels(self) -> Range<usize> {
        match self {
            Part::Affect => channels::AFFECT,
            Part::Expressions => channels::EXPRESSIONS,
            Part::Au => channels::AU,
        }
    }

    /// What this part's DTW is divided by.
    pub(crate) fn divisor(self) -> f64 {
        match self {
            Part::Affect => 1.0,
            Part::Expressions => 8.0,
            Part::Au => 15.0,
        }
    }
}

/// Unconstrained DTW of two series `a [T, C]`, `b [T', C]` in f64: √ of the least sum of squared Euclidean frame
/// distances over the steps (1,0), (0,1), (1,1).
///
/// ```
/// use ndarray::arr2;
/// use react_metrics::dtw;
/// let (a, b) = (arr2(&[[0.0], [3.0], [3.0]]), arr2(&[[0.0], [0.0], [3.0]]));
/// assert_eq!(dtw(a.view(), b.view())?, 0.0); // the same path at another pace
/// assert_eq!(dtw(a.view(), arr2(&[[1.0], [3.0]]).view())?, 1.0);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError::Shape`] where the channels differ or a series has no frame.
pub fn dtw(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Result<f64, MetricsError> {
    if a.nrows() == 0 {
        return Err(shape("first series", "[T, C] with T ≥ 1", a.shape()));
    }
    if b.nrows() == 0 || b.ncols() != a.ncols() {
        return Err(shape("second series", &format!("[T, {}] with T ≥ 1", a.ncols()), b.shape()));
    }
    let mut row = vec![f64::INFINITY; b.nrows()];
    for (i, x) in a.rows().into_iter().enumerate() {
        let (mut left, mut diagonal) = (f64::INFINITY, if i == 0 { 0.0 } else { f64::INFINITY });
        for (y, cell) in b.rows().into_iter().zip(&mut row) {
            let cost = x.iter().zip(y).fold(0.0, |sum, (x, y)| sum + (f64::from(*x) - f64::from(*y)).powi(2));
            let value = cost + cell.min(left).min(diagonal);
            (diagonal, left, *cell) = (*cell, value, value);
        }
    }
    Ok(row[b.nrows() - 1].sqrt())
}

/// The distance of FRDist between two reactions `a [T, 25]`, `b [T', 25]`, over the frames that both have:
/// DTW(AUs)/15 + DTW(valence, arousal) + DTW(expressions)/8.
///
/// ```
/// use ndarray::Array2;
/// use react_metrics::reaction_distance;
/// let (a, mut b) = (Array2::zeros((4, 25)), Array2::zeros((4, 25)));
/// b.column_mut(15).fill(0.5); // valence
/// assert_eq!(reaction_distance(a.view(), b.view())?, 1.0); // √(4 · 0.25)
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError::Shape`] where an array is not `[T, 25]`.
pub fn reaction_distance(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> Result<f64, MetricsError> {
    let frames = a.nrows().min(b.nrows());
    for (what, array) in [("first reaction", &a), ("second reaction", &b)] {
        if array.ncols() != react_contracts::ATTRIBUTES {
            return Err(shape(what, "[T, 25]", array.shape()));
        }
    }
    let part = |part: Part| {
        let Range { start, end } = part.channels();
        let cut = ndarray::s![..frames, start..end];
        Ok(dtw(a.slice(cut), b.slice(cut))? / part.divisor())
    };
    Ok(part(Part::Affect)? + part(Part::Expressions)? + part(Part::Au)?)
}

/// A pair to warp, over its first `frames` frames.
#[derive(Clone, Copy)]
pub(crate) struct Lane<'a> {
    pub(crate) a: Series<'a>,
    pub(crate) b: Series<'a>,
    pub(crate) frames: usize,
    /// A value of D above this does not matter.
    pub(crate) enough: f64,
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
    /// D of each lane; infinite where it is above the lane's `enough`.
    pub(crate) squared: [f64; 16],
    /// Cells computed in each lane.
    pub(crate) cells: usize,
}

struct Job<'a, R: Real> {
    channels: usize,
    lanes: &'a [Lane<'a>],
    scratch: &'a mut Scratch<R>,
}

/// f32 or f64 lanes.
pub(crate) trait Precision: Real {
    /// Warps up to `LANES` pairs.
    fn warp(set: InstructionSet, part: Part, lanes: &[Lane<'_>], scratch: &mut Scratch<Self>) -> Warped;
}

macro_rules! precision {
    ($real:ty) => {
        impl Kernel for Job<'_, $real> {
            type Output = Warped;
            #[inline(always)]
            fn run<S: Simd>(self, simd: S) -> Warped {
                match self.channels {
                    2 => walk::<$real, S, 2>(simd, self.lanes, self.scratch),
                    8 => walk::<$real, S, 8>(simd, self.lanes, self.scratch),
                    _ => walk::<$real, S, 15>(simd, self.lanes, self.scratch),
                }
            }
        }

        impl Precision for $real {
            fn warp(set: InstructionSet, part: Part, lanes: &[Lane<'_>], scratch: &mut Scratch<Self>) -> Warped {
                let channels = part.channels();
                let frames = lanes.iter().map(|l| l.frames).max().unwrap_or(0);
                pack::<$real>(&mut scratch.a, lanes.iter().map(|l| l.a.cut(l.frames)), frames, channels.clone());
                pack::<$real>(&mut scratch.b, lanes.iter().map(|l| l.b.cut(l.frames)), frames, channels.clone());
                set.run(Job::<$real> { channels: channels.len(), lanes, scratch })
            }
        }
    };
}
precision!(f32);
precision!(f64);

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

/// Walks down the rows in strips. Columns where every lane is above its `enough` are dead: costs are not negative, so no path
/// through them matters, and a strip only covers the columns that live cells reach (D. F. Silva, G. E. A. P. A. Batista,
/// "Speeding up all-pairwise dynamic time warping matrix calculation", 2016). A dead cell may hold too small a value, but never one
/// that is not above `enough`.
#[inline(always)]
fn walk<R: Real, S: Vectors<R>, const C: usize>(simd: S, lanes: &[Lane<'_>], scratch: &mut Scratch<R>) -> Warped {
    let Scratch { a, b, state } = scratch;
    let frames = a.len() / C;
    state.clear();
    state.resize(frames, R::block(R::INFINITY));
    let mut ends: Vec<usize> = lanes.iter().map(|l| l.frames).collect();
    ends.sort_unstable();
    ends.dedup();
    // Lanes that are unused or finished have always had enough: no cost is below −1.
    let none = R::at_least(-1.0);
    let mut enough = R::block(none);
    for (lane, enough) in lanes.iter().zip(enough.as_mut()) {
        *enough = R::at_least(lane.enough);
    }
    let mut warped = Warped { squared: [f64::INFINITY; 16], cells: 0 };
    let (mut i, mut live) = (0, 0..0);
    for end in ends {
        while i < end {
            let limit = simd.load(&enough);
            let left = live.start;
            let rows = &a[i * C..];
            let (height, reached) = if S::WIDE && end - i >= 8 {
                (8, strip::<R, S, C, 8>(simd, i == 0, rows, b, state, live, limit))
            } else if end - i >= 2 {
                (2, strip::<R, S, C, 2>(simd, i == 0, rows, b, state, live, limit))
            } else {
                (1, strip::<R, S, C, 1>(simd, i == 0, rows, b, state, live, limit))
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
        for l in (0..lanes.len()).filter(|l| lanes[*l].frames == end) {
            let squared = state[end - 1].as_ref()[l];
            if live.contains(&(end - 1)) && squared <= enough.as_ref()[l] {
                warped.squared[l] = squared.to_f64();
            }
            enough.as_mut()[l] = none;
        }
    }
    warped
}

/// The next `ROWS` rows of D, column by column from the first live one, from the row above them in `state`, which then holds the
/// last of them. Returns the column at which it could stop: the last one, or one beyond `live` where all lanes are dead.
#[inline(always)]
fn strip<R: Real, S: Vectors<R>, const C: usize, const ROWS: usize>(
    simd: S,
    first: bool,
    a: &[R::Block],
    b: &[R::Block],
    state: &mut [R::Block],
    live: Range<usize>,
    limit: S::V,
) -> usize {
    let Some(a) = a.as_chunks::<C>().0.first_chunk::<ROWS>() else { return state.len() };
    let b = b.as_chunks::<C>().0;
    let infinity = simd.splat(R::INFINITY);
    let mut left = [infinity; ROWS];
    let mut corner = if first { simd.splat(R::default()) } else { infinity };
    for (b, cell) in b[live.clone()].iter().zip(&mut state[live.clone()]) {
        column(simd, a, b, cell, &mut left, &mut corner);
    }
    for (j, (b, cell)) in b[live.end..].iter().zip(&mut state[live.end..]).enumerate() {
        column(simd, a, b, cell, &mut left, &mut corner);
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

/// One column of a strip: `left` holds the column before it, `corner` the cell above that.
#[inline(always)]
fn column<R: Real, S: Vectors<R>, const C: usize, const ROWS: usize>(
    simd: S,
    a: &[[R::Block; C]; ROWS],
    b: &[R::Block; C],
    cell: &mut R::Block,
    left: &mut [S::V; ROWS],
    corner: &mut S::V,
) {
    let mut cost = [simd.splat(R::default()); ROWS];
    for c in 0..C {
        let listener = simd.load(&b[c]);
        for r in 0..ROWS {
            let difference = simd.sub(simd.load(&a[r][c]), listener);
            cost[r] = simd.mul_add(difference, difference, cost[r]);
        }
    }
    let above = simd.load(cell);
    let (mut up, mut diagonal) = (above, *corner);
    for r in 0..ROWS {
        let best = simd.min(simd.min(left[r], diagonal), up);
        diagonal = left[r];
        up = simd.add(cost[r], best);
        left[r] = up;
    }
    *corner = above;
    simd.store(up, cell);
}

/// The cost of the straight path over the first frames: what D is at most.
pub(crate) fn straight(lane: &Lane<'_>, part: Part) -> f64 {
    let channels = part.channels();
    let mut sums = [0.0; react_contracts::ATTRIBUTES];
    for t in 0..lane.frames {
        let (a, b) = (lane.a.frame(t), lane.b.frame(t));
        for c in channels.clone() {
            sums[c] += (f64::from(a[c]) - f64::from(b[c])).powi(2);
        }
    }
    sums[channels].iter().sum()
}
