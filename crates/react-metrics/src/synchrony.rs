//! FRSyn: by how many frames predictions lag behind the speaker.

use crate::input::Series;
use crate::simd::{F64x8, InstructionSet, Kernel, Real, Simd, Vectors};
use crate::{Inputs, MetricsError, Neighbours};
use ndarray::{ArrayView3, ArrayView4};
use react_contracts::ATTRIBUTES;

/// Lags run from −49 to 49 frames.
const LAGS: usize = 49;
/// Vectors that hold all lags.
const VECTORS: usize = (2 * LAGS + 1).div_ceil(8);
/// Frames that a lag of the sound mode overlaps at least.
const OVERLAP: usize = 25;
/// Where an overlap keeps less than this share of a channel's squares, its sums are computed again around its own mean.
const CANCELLATION: f64 = 1e-7;

/// The lag of one prediction, in frames, in both modes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lag {
    /// As published: NaN wins.
    pub(crate) published: f64,
    /// Whether a NaN won.
    pub(crate) nan: bool,
    /// Constant channels left out, at least 25 frames of overlap; `None` where no channel moves on both sides.
    pub(crate) sound: Option<f64>,
}

/// A series, prepared for correlation at any lag.
pub(crate) struct Moving {
    frames: usize,
    channels: Vec<Channel>,
}

struct Channel {
    /// Deviations from the mean.
    deviations: Vec<f64>,
    /// Sums of the first t deviations, and of their squares.
    sums: Vec<f64>,
    squares: Vec<f64>,
    /// Frames at the start, and at the end, over which the channel stays the same.
    still_start: usize,
    still_end: usize,
}

impl Moving {
    pub(crate) fn new(series: Series<'_>) -> Self {
        let channel = |c: usize| {
            let values: Vec<f64> = series.values[c..].iter().step_by(ATTRIBUTES).map(|x| f64::from(*x)).collect();
            Channel::new(&values)
        };
        Self { frames: series.frames(), channels: (0..ATTRIBUTES).map(channel).collect() }
    }
}

impl Channel {
    fn new(values: &[f64]) -> Self {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let deviations: Vec<f64> = values.iter().map(|x| x - mean).collect();
        let running = |f: fn(f64) -> f64| {
            let mut sum = 0.0;
            let rest = deviations.iter().map(move |x| {
                sum += f(*x);
                sum
            });
            std::iter::once(0.0).chain(rest).collect::<Vec<f64>>()
        };
        Self {
            sums: running(|x| x),
            squares: running(|x| x * x),
            still_start: values.iter().take_while(|x| **x == values[0]).count(),
            still_end: values.iter().rev().take_while(|x| **x == values[values.len() - 1]).count(),
            deviations,
        }
    }

    fn still(&self) -> bool {
        self.still_start == self.deviations.len()
    }

    fn still_between(&self, start: usize, end: usize) -> bool {
        end <= self.still_start || start + self.still_end >= self.deviations.len() || end - start < 2
    }
}

/// Σₜ p[t + lag] · s[t] for every lag, frames outside counting 0: `padded` is p with [`LAGS`] zeros before it and as many behind
/// as the last vector reads.
struct CrossProducts<'a> {
    padded: &'a [f64],
    speaker: &'a [f64],
}

impl Kernel for CrossProducts<'_> {
    type Output = [F64x8; VECTORS];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Output {
        cross(simd, self.padded, self.speaker)
    }
}

#[inline(always)]
fn cross<S: Vectors<f64>>(simd: S, padded: &[f64], speaker: &[f64]) -> [F64x8; VECTORS] {
    let mut sums = [simd.splat(0.0); VECTORS];
    for (t, s) in speaker.iter().enumerate() {
        let Some(p) = padded[t..].first_chunk::<{ VECTORS * 8 }>() else { break };
        let (s, p) = (simd.splat(*s), p.as_chunks::<8>().0);
        for v in 0..VECTORS {
            sums[v] = simd.mul_add(s, simd.load_array(&p[v]), sums[v]);
        }
    }
    let mut out = [f64::block(0.0); VECTORS];
    for v in 0..VECTORS {
        simd.store(sums[v], &mut out[v]);
    }
    out
}

/// r of one channel at each lag; `None` where a side is constant in the overlap, or the overlap has less than 2 frames.
fn correlations(set: InstructionSet, p: &Channel, s: &Channel) -> [Option<f64>; 2 * LAGS + 1] {
    let frames = p.deviations.len();
    if p.still() || s.still() {
        return [None; 2 * LAGS + 1];
    }
    let mut padded = vec![0.0; frames + VECTORS * 8 - 1];
    padded[LAGS..LAGS + frames].copy_from_slice(&p.deviations);
    let products = set.run(CrossProducts { padded: &padded, speaker: &s.deviations });
    std::array::from_fn(|index| {
        let (start_p, start_s) = (index.saturating_sub(LAGS), LAGS.saturating_sub(index));
        let n = frames.saturating_sub(start_p.max(start_s));
        let (p_range, s_range) = (start_p..start_p + n, start_s..start_s + n);
        if n < 2 || p.still_between(start_p, start_p + n) || s.still_between(start_s, start_s + n) {
            return None;
        }
        let sums = |c: &Channel, r: &std::ops::Range<usize>| (c.sums[r.end] - c.sums[r.start], c.squares[r.end] - c.squares[r.start]);
        let ((sum_p, square_p), (sum_s, square_s)) = (sums(p, &p_range), sums(s, &s_range));
        let (var_p, var_s) = (square_p - sum_p * sum_p / n as f64, square_s - sum_s * sum_s / n as f64);
        if var_p < CANCELLATION * p.squares[frames] || var_s < CANCELLATION * s.squares[frames] {
            return Some(two_pass(&p.deviations[p_range], &s.deviations[s_range]));
        }
        let covariance = products[index / 8].0[index % 8] - sum_p * sum_s / n as f64;
        Some((covariance / (var_p * var_s).sqrt()).clamp(-1.0, 1.0))
    })
}

fn two_pass(x: &[f64], y: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mx, my) = (mean(x), mean(y));
    let sum = |f: &dyn Fn(f64, f64) -> f64| x.iter().zip(y).map(|(x, y)| f(x - mx, y - my)).sum::<f64>();
    let scale = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    if scale > 0.0 { (sum(&|x, y| x * y) / scale).clamp(-1.0, 1.0) } else { 0.0 }
}

/// The lag of prediction `p` behind speaker `s`, of the same length.
pub(crate) fn lag(set: InstructionSet, p: &Moving, s: &Moving) -> Lag {
    let r: Vec<_> = p.channels.iter().zip(&s.channels).map(|(p, s)| correlations(set, p, s)).collect();
    let offset = |index: usize| index.abs_diff(LAGS) as f64;

    // Published: correlations and their mean are rounded to f32; np.argmax takes the first NaN, else the first maximum.
    let mean_at = |index: usize| {
        let sum = r.iter().map(|c| c[index].map(|r| f64::from(r as f32))).try_fold(0.0, |sum, r| Some(sum + r?));
        sum.map_or(f32::NAN, |sum| (sum / ATTRIBUTES as f64) as f32)
    };
    let means: Vec<f32> = (0..=2 * LAGS).map(mean_at).collect();
    let nan = means.iter().position(|m| m.is_nan());
    let first_maximum = || (0..=2 * LAGS).rev().max_by(|x, y| means[*x].total_cmp(&means[*y])).unwrap_or(LAGS);
    let published = offset(nan.unwrap_or_else(first_maximum));

    let moving: Vec<usize> = (0..ATTRIBUTES).filter(|c| !p.channels[*c].still() && !s.channels[*c].still()).collect();
    let sound_at = |index: &usize| moving.iter().map(|c| r[*c][*index].unwrap_or(0.0)).sum::<f64>() as f32;
    let mut lags: Vec<usize> = (0..=2 * LAGS).filter(|index| index.abs_diff(LAGS) + OVERLAP <= p.frames).collect();
    // Of equals the one nearest to 0, of those the positive one.
    lags.sort_by_key(|index| (std::cmp::Reverse(index.abs_diff(LAGS)), *index));
    let best = lags.into_iter().max_by(|x, y| sound_at(x).total_cmp(&sound_at(y)));
    Lag { published, nan: nan.is_some(), sound: best.filter(|_| !moving.is_empty()).map(offset) }
}

/// The lags of all samples of clip `i`, over the frames that prediction and speaker both have; `None` without speakers.
pub(crate) fn clip(inputs: &Inputs<'_>, set: InstructionSet, i: usize) -> Option<Vec<Lag>> {
    let speaker = inputs.speaker(i)?;
    let frames = inputs.frames(i).min(speaker.frames());
    let speaker = Moving::new(speaker.cut(frames));
    Some((0..inputs.samples()).map(|k| lag(set, &Moving::new(inputs.prediction(i, k).cut(frames)), &speaker)).collect())
}

/// FRSyn of the published program: how far, in frames, predictions are from moving with the speaker.
///
/// ```text
/// FRSyn = 1/N Σᵢ |argmax over lag −49…49 of 1/25 Σ_c r(pᵢ₀[t + lag, c], sᵢ[t, c])|
/// ```
/// Of sample 0 only. A channel that is constant in an overlap makes that lag NaN, and the first NaN wins: one constant channel
/// gives 49. [`score`](crate::score()) reports it beside the sound form. Source: Song et al., "REACT 2024" (and REACT 2023).
///
/// `prediction [N, K, T, 25]`, `speaker [N, T, 25]`.
///
/// ```
/// use ndarray::{Array3, Array4};
/// let wave = |t: i32, c: usize| ((t as f32) * (0.11 + 0.01 * c as f32)).sin();
/// let speaker = Array3::from_shape_fn((1, 200, 25), |(_, t, c)| wave(t as i32, c));
/// let prediction = Array4::from_shape_fn((1, 1, 200, 25), |(.., t, c)| wave(t as i32 - 7, c)); // 7 frames late
/// assert_eq!(react_metrics::fr_syn(prediction.view(), speaker.view())?, 7.0);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] as [`Inputs::new`].
pub fn fr_syn(prediction: ArrayView4<'_, f32>, speaker: ArrayView3<'_, f32>) -> Result<f64, MetricsError> {
    let neighbours = Neighbours::identity(prediction.dim().0);
    let first = prediction.slice_move(ndarray::s![.., ..1.min(prediction.dim().1), .., ..]);
    let inputs = Inputs::new(first, speaker, Some(speaker), &neighbours)?;
    let first = |i| clip(&inputs, InstructionSet::Best, i).and_then(|lags| lags.first().map(|l| l.published));
    let lags: Vec<f64> = (0..inputs.clips()).filter_map(first).collect();
    Ok(crate::mean(&lags))
}
