//! Lower bounds of a warp that cost O(T) instead of O(T²).
//!
//! An unconstrained path crosses every row and every column, and both corners. A frame is never nearer to any frame of a series
//! than to the box that holds them all (the whole-series form of LB_Keogh: E. Keogh, C. A. Ratanamahatana, "Exact indexing of
//! dynamic time warping", 2005); the corner cells are known (LB_Kim: S.-W. Kim et al., 2001).

use crate::dtw::Part;
use crate::input::Series;
use crate::simd::{InstructionSet, Kernel, Simd};
use crate::warp::square;
use react_contracts::ATTRIBUTES;

/// What is known of a series at a glance: the box that holds its frames, and how long they are.
pub(crate) struct Envelope {
    low: [f32; ATTRIBUTES],
    high: [f32; ATTRIBUTES],
    /// Greatest squared norm of a frame, by part in the order of [`Part::ALL`].
    pub(crate) squares: [f64; 3],
}

impl Envelope {
    pub(crate) fn new(series: Series<'_>) -> Self {
        let mut envelope = Self { low: [f32::INFINITY; ATTRIBUTES], high: [f32::NEG_INFINITY; ATTRIBUTES], squares: [0.0; 3] };
        for frame in series.values.chunks_exact(ATTRIBUTES) {
            for (c, x) in frame.iter().enumerate() {
                envelope.low[c] = envelope.low[c].min(*x);
                envelope.high[c] = envelope.high[c].max(*x);
            }
            for (squares, part) in envelope.squares.iter_mut().zip(Part::ALL) {
                *squares = squares.max(square(&frame[part.channels()]));
            }
        }
        envelope
    }
}

/// What D of each part (in the order of [`Part::ALL`]) reaches at least, in f32 with fewer roundings than a warp. Each series
/// comes with an envelope of at least its frames.
pub(crate) fn floors(set: InstructionSet, a: (Series<'_>, &Envelope), b: (Series<'_>, &Envelope)) -> [f64; 3] {
    let last = a.0.frames() - 1;
    let mut corners = [0.0f32; ATTRIBUTES];
    for t in [0, last].into_iter().take(if last == 0 { 1 } else { 2 }) {
        for (c, (x, y)) in a.0.frame(t).iter().zip(b.0.frame(t)).enumerate() {
            corners[c] += (x - y) * (x - y);
        }
    }
    let rows = set.run(Outside { series: a.0, envelope: b.1 });
    let columns = set.run(Outside { series: b.0, envelope: a.1 });
    Part::ALL.map(|part| {
        let sum = |x: &[f32; ATTRIBUTES]| x[part.channels()].iter().map(|x| f64::from(*x)).sum::<f64>();
        sum(&corners) + sum(&rows).max(sum(&columns))
    })
}

/// Squared distance of the frames between the first and the last from a box, per channel.
struct Outside<'a> {
    series: Series<'a>,
    envelope: &'a Envelope,
}

impl Kernel for Outside<'_> {
    type Output = [f32; ATTRIBUTES];

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> Self::Output {
        let mut sums = [0.0f32; ATTRIBUTES];
        let frames = self.series.frames();
        let Envelope { low, high, .. } = self.envelope;
        for t in 1..frames.saturating_sub(1) {
            let frame = self.series.frame(t);
            for c in 0..ATTRIBUTES {
                let outside = (low[c] - frame[c]).max(frame[c] - high[c]).max(0.0);
                sums[c] += outside * outside;
            }
        }
        sums
    }
}
