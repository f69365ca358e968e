//! Unconstrained dynamic time warping, and the distance of FRDist made of it.
//!
//! ```text
//! D(i,j) = ‖a_i − b_j‖² + min(D(i−1,j), D(i,j−1), D(i−1,j−1))        DTW(a, b) = √D(T−1, T−1)
//! ```
//! Source: H. Sakoe, S. Chiba, "Dynamic programming algorithm optimization for spoken word recognition", 1978, without a
//! window. `warp.rs` computes many at once.

use crate::input::shape;
use crate::warp::Lane;
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
