use crate::Inputs;
use crate::channels::{AFFECT, EMOTION};
use crate::concordance::Centred;
use crate::diversity::Spread;
use crate::input::Series;
use crate::synchrony::Lag;
use react_contracts::ATTRIBUTES;
use serde::Serialize;

/// What scores alone do not show about predictions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diagnostics {
    /// Channels that do not change over time in some predictions, with the share of predictions in which they do not.
    pub constant_channels: Vec<ChannelShare>,
    /// Channels with at least 99 % of their values at one end of their range, where real listeners have less.
    pub saturated_channels: Vec<Saturation>,
    /// Predictions in which no channel moves, as (clip, sample).
    pub frozen: Vec<(usize, usize)>,
    /// Samples of a clip that are the same, value for value, as an earlier one, as (clip, earlier, later).
    pub duplicates: Vec<(usize, usize, usize)>,
    /// Share of FRDiv that is an offset between samples: what remains of it when each is replaced by its mean over time. 1:
    /// the samples are one movement at different levels. `None` where FRDiv is 0.
    pub offset_share: Option<f64>,
    /// Predictions whose published FRSyn was decided by a NaN (49 in most cases), of all N·K; `None` without speakers.
    pub nan_lags: Option<usize>,
    /// N·K.
    pub predictions: usize,
}

/// How much of a channel is affected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChannelShare {
    /// Its index, 0..25.
    pub channel: usize,
    /// Its name.
    pub name: &'static str,
    /// In (0, 1].
    pub share: f64,
}

/// A channel at an end of its range.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Saturation {
    /// Its index, 0..25.
    pub channel: usize,
    /// Its name.
    pub name: &'static str,
    /// The end: 0 or 1, or −1 or 1 for valence and arousal. Values beyond it count.
    pub bound: f32,
    /// Share of the predictions' values there.
    pub share: f64,
    /// Share of the real listeners' values there.
    pub real_share: f64,
}

/// Share of values at one end from which a channel counts as saturated.
const SATURATED: f64 = 0.99;

impl Diagnostics {
    /// What a reader of the scores should know, a sentence each; empty where nothing is wrong.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let list = |items: Vec<String>| items.join(", ");
        let mut out = Vec::new();
        if !self.frozen.is_empty() {
            out.push(format!("{} of {} predictions are frozen: no channel moves", self.frozen.len(), self.predictions));
        }
        if !self.constant_channels.is_empty() {
            let names = self.constant_channels.iter().map(|c| format!("{} ({})", c.name, percent(c.share))).collect();
            out.push(format!("channels that do not change, in a share of the predictions: {}", list(names)));
        }
        if !self.saturated_channels.is_empty() {
            let names = self.saturated_channels.iter().map(|c| format!("{} at {}", c.name, c.bound)).collect();
            out.push(format!("channels at an end of their range where real listeners are not: {}", list(names)));
        }
        if !self.duplicates.is_empty() {
            out.push(format!("{} samples repeat an earlier sample of their clip", self.duplicates.len()));
        }
        if let Some(share) = self.offset_share.filter(|s| *s > 0.95) {
            out.push(format!("{} of FRDiv is only an offset between samples", percent(share)));
        }
        if let Some(nan) = self.nan_lags.filter(|n| *n > 0) {
            out.push(format!("FRSyn of {nan} of {} predictions is decided by NaN lags (constant channels)", self.predictions));
        }
        out
    }
}

/// What one clip contributes.
#[derive(Default)]
pub(crate) struct Clues {
    constant: [usize; ATTRIBUTES],
    /// Values at the low and high end: of predictions, of the listener.
    ends: [[usize; 2]; ATTRIBUTES],
    real_ends: [[usize; 2]; ATTRIBUTES],
    frozen: Vec<usize>,
    duplicates: Vec<(usize, usize)>,
    pub(crate) spread: Spread,
    nan_lags: Option<usize>,
    /// Predictions that have a lag in the sound mode.
    pub(crate) sound_lags: usize,
}

fn bounds(channel: usize) -> [f32; 2] {
    if AFFECT.contains(&channel) { [-1.0, 1.0] } else { [0.0, 1.0] }
}

fn count_ends(ends: &mut [[usize; 2]; ATTRIBUTES], series: Series<'_>) {
    for frame in series.values.chunks_exact(ATTRIBUTES) {
        for (c, x) in frame.iter().enumerate() {
            let [low, high] = bounds(c);
            ends[c][0] += usize::from(*x <= low);
            ends[c][1] += usize::from(*x >= high);
        }
    }
}

pub(crate) fn clues(inputs: &Inputs<'_>, i: usize, samples: &[Centred], spread: Spread, lags: Option<&[Lag]>) -> Clues {
    let mut clues = Clues {
        spread,
        nan_lags: lags.map(|lags| lags.iter().filter(|l| l.nan).count()),
        sound_lags: lags.map_or(0, |lags| lags.iter().filter(|l| l.sound.is_some()).count()),
        ..Clues::default()
    };
    for (k, sample) in samples.iter().enumerate() {
        let constant = sample.constant();
        clues.constant.iter_mut().zip(constant).for_each(|(count, constant)| *count += usize::from(constant));
        if constant.iter().all(|c| *c) {
            clues.frozen.push(k);
        }
        let same = |earlier: &usize| inputs.prediction(i, *earlier).values == inputs.prediction(i, k).values;
        if let Some(earlier) = (0..k).find(same) {
            clues.duplicates.push((earlier, k));
        }
        count_ends(&mut clues.ends, inputs.prediction(i, k));
    }
    count_ends(&mut clues.real_ends, inputs.listener(i));
    clues
}

pub(crate) fn diagnose(inputs: &Inputs<'_>, clips: &[Clues]) -> Diagnostics {
    let predictions = inputs.clips() * inputs.samples();
    let values: usize = (0..inputs.clips()).map(|i| inputs.frames(i) * inputs.samples()).sum();
    let real_values: usize = (0..inputs.clips()).map(|i| inputs.listener(i).frames()).sum();
    let mut diagnostics = Diagnostics { predictions, ..Diagnostics::default() };
    for (channel, name) in EMOTION.into_iter().enumerate() {
        let constant: usize = clips.iter().map(|c| c.constant[channel]).sum();
        if constant > 0 {
            diagnostics.constant_channels.push(ChannelShare { channel, name, share: constant as f64 / predictions as f64 });
        }
        for (end, bound) in bounds(channel).into_iter().enumerate() {
            let share = clips.iter().map(|c| c.ends[channel][end]).sum::<usize>() as f64 / values as f64;
            let real_share = clips.iter().map(|c| c.real_ends[channel][end]).sum::<usize>() as f64 / real_values as f64;
            if share >= SATURATED && real_share < SATURATED {
                diagnostics.saturated_channels.push(Saturation { channel, name, bound, share, real_share });
            }
        }
    }
    for (i, clip) in clips.iter().enumerate() {
        diagnostics.frozen.extend(clip.frozen.iter().map(|k| (i, *k)));
        diagnostics.duplicates.extend(clip.duplicates.iter().map(|(earlier, later)| (i, *earlier, *later)));
    }
    let diversity: f64 = clips.iter().map(|c| c.spread.diversity).sum();
    let offset: f64 = clips.iter().map(|c| c.spread.offset).sum();
    diagnostics.offset_share = (diversity > 0.0).then(|| (offset / diversity).min(1.0));
    diagnostics.nan_lags = clips.iter().map(|c| c.nan_lags).sum();
    diagnostics
}
