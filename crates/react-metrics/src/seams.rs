use ndarray::{ArrayView2, ArrayView3};
use serde::Serialize;

/// How far a reaction jumps from frame to frame, at the borders of the windows that it was generated in and inside them.
///
/// ```text
/// jump(t) = ‖y_t − y_{t−1}‖     at a border: t is the first frame of a window     ratio = mean at borders / mean inside
/// ```
///
/// Ours: a network that answers window by window is known to be discontinuous between them, and no published metric sees it.
/// A ratio of 1 has no seams; where nothing moves inside the windows there is none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Seams {
    /// Mean jump at the borders, in the units of the channels.
    pub border: f64,
    /// Mean jump inside the windows.
    pub inside: f64,
}

impl Seams {
    /// `border / inside`; `None` where nothing moves inside.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.inside > 0.0).then(|| self.border / self.inside)
    }
}

/// The seams of reactions `[K, T, channels]` in windows of `window` frames, over all samples; `None` where there is no border or no
/// frame inside.
///
/// ```
/// use ndarray::Array3;
/// // Two windows of two frames: a step of 1 inside each, of 3 between them.
/// let y = Array3::from_shape_vec((1, 4, 1), vec![0.0, 1.0, 4.0, 5.0]).unwrap();
/// let seams = react_metrics::seams(y.view(), 2).unwrap();
/// assert_eq!((seams.border, seams.inside, seams.ratio()), (3.0, 1.0, Some(3.0)));
/// ```
#[must_use]
pub fn seams(reactions: ArrayView3<'_, f32>, window: usize) -> Option<Seams> {
    let (mut sums, mut counts) = ([0.0f64; 2], [0usize; 2]);
    for sample in reactions.outer_iter() {
        for t in 1..sample.nrows() {
            let border = usize::from(t.is_multiple_of(window.max(1)));
            sums[border] += jump(&sample, t);
            counts[border] += 1;
        }
    }
    (window > 0 && counts[0] > 0 && counts[1] > 0).then(|| Seams { border: sums[1] / counts[1] as f64, inside: sums[0] / counts[0] as f64 })
}

fn jump(sample: &ArrayView2<'_, f32>, t: usize) -> f64 {
    let pairs = sample.row(t).into_iter().zip(sample.row(t - 1));
    pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn windows_without_borders_or_insides_have_no_seams() {
        let y = Array3::zeros((2, 6, 3));
        assert!(seams(y.view(), 6).is_none() && seams(y.view(), 1).is_none() && seams(y.view(), 0).is_none());
        assert_eq!(seams(y.view(), 2).and_then(|s| s.ratio()), None);
        assert_eq!(seams(y.view(), 4).map(|s| s.border), Some(0.0));
    }
}
