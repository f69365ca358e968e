//! What the plots of an evaluation need beside its scores: synchrony over lag, spread of the attributes, jumps at window borders,
//! latents.

use super::data::Data;
use super::{Evaluation, MODEL};
use crate::Run;
use crate::config::{Config, Task};
use anyhow::{Context, Result};
use ndarray::{Array3, ArrayView1, ArrayView2, ArrayView3, ArrayView4, Axis, Ix3, s};
use rayon::prelude::*;
use react_contracts::ATTRIBUTES;
use react_contracts::channels::EMOTION;
use react_metrics::Baseline;
use serde::{Deserialize, Serialize};

/// Lags are from −this to this, as FRSyn's.
const LAGS: i32 = 49;
/// Frames that both sides must have at a lag, and half of all: correlations of less are noise.
const OVERLAP: usize = 25;
/// Clips that synchrony and spread are measured on at most, evenly chosen.
const MOST_CLIPS: usize = 200;
/// Appropriate real listeners of a clip that are compared at most.
const MOST_LISTENERS: usize = 20;

/// What plots show of an evaluation and scores do not; `analysis.json` and `latent_mu.npy` hold it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Analysis {
    /// The key of the evaluation that it belongs to.
    pub key: String,
    /// Frames per second.
    pub fps: f64,
    /// Correlation with the speaker over lag: the network's, the control's with shuffled speakers, the real listeners', the oracle's.
    pub lags: Vec<Lags>,
    /// Standard deviation of each attribute between reactions to the same clip, at the same moment.
    pub between: Vec<Channels>,
    /// Standard deviation of each attribute over the time of a reaction.
    pub over_time: Vec<Channels>,
    /// Online, the attributes' mean jump from frame to frame by the frame's place in its window.
    pub jumps: Vec<Jumps>,
    /// Mean valence of each clip's real listener.
    pub valence: Vec<f64>,
}

/// Synchrony of a system.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Lags {
    /// The system.
    pub system: String,
    /// (lag in frames, mean correlation); positive: the reaction follows the speaker.
    pub points: Vec<(i32, f64)>,
}

/// A number an attribute.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Channels {
    /// The system.
    pub system: String,
    /// 25 of them.
    pub values: Vec<f64>,
}

/// Jumps of a system.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Jumps {
    /// The system.
    pub system: String,
    /// The mean jump to frame 0, 1, … of a window from the frame before.
    pub by_place: Vec<f64>,
}

/// The words for the real listeners.
pub(crate) const REAL: &str = "real listener";

impl Analysis {
    /// The part that needs no network.
    pub(super) fn of_real_listeners(key: &str, data: &Data, config: &Config) -> Self {
        let valence = EMOTION.iter().position(|name| *name == "valence").unwrap_or(0);
        let listener = data.listener.view();
        let mean_valence = |clip: ArrayView2<'_, f32>| f64::from(clip.column(valence).mean().unwrap_or(0.0));
        let mut this = Self {
            key: key.to_owned(),
            fps: data.fps,
            lags: Vec::new(),
            between: Vec::new(),
            over_time: vec![Channels { system: REAL.to_owned(), values: over_time(listener.insert_axis(Axis(1))) }],
            jumps: Vec::new(),
            valence: listener.outer_iter().map(mean_valence).collect(),
        };
        if let Some(values) = between_appropriate(listener, data.split.neighbours().view()) {
            this.between.push(Channels { system: REAL.to_owned(), values });
        }
        if config.model.task == Task::Online {
            let jumps = Jumps { system: REAL.to_owned(), by_place: jumps(listener.insert_axis(Axis(1)), config.evaluate.window) };
            this.jumps.push(jumps);
        }
        this
    }

    /// A system's reactions `[N, K, T, 25]`.
    pub(super) fn add(&mut self, system: &str, data: &Data, prediction: ArrayView4<'_, f32>) {
        let truth = Baseline::GroundTruth.name();
        let name = if system == truth { REAL } else { system };
        if [MODEL, "speakers shuffled", truth, "oracle"].contains(&system) {
            self.lags.push(Lags { system: name.to_owned(), points: lags(prediction, data.speaker.view()) });
        }
        if [MODEL, "oracle"].contains(&system) {
            let at = if system == MODEL { 0 } else { self.between.len() };
            if let Some(values) = between(prediction) {
                self.between.insert(at, Channels { system: name.to_owned(), values });
            }
            let at = if system == MODEL { 0 } else { self.over_time.len() };
            self.over_time.insert(at, Channels { system: name.to_owned(), values: over_time(prediction) });
        }
        if system == MODEL
            && let Some(window) = self.jumps.first().map(|real| real.by_place.len())
        {
            self.jumps.insert(0, Jumps { system: name.to_owned(), by_place: jumps(prediction, window) });
        }
    }

    pub(super) fn write(&self, run: &Run, means: &Array3<f32>) -> Result<()> {
        react_store::write_npy(&run.file("latent_mu.npy"), means)?;
        let text = serde_json::to_string(self)?;
        Ok(react_store::write_atomic(&run.file("analysis.json"), |file| file.write_all(text.as_bytes()))?)
    }

    /// The analysis of an evaluation, with the means of the latents `[N, windows, d]`; none where the run was evaluated by a version
    /// that made none.
    ///
    /// # Errors
    /// Where a file is there and cannot be read.
    pub fn read(run: &Run, evaluation: &Evaluation) -> Result<Option<(Self, Array3<f32>)>> {
        let (path, latents) = (run.file("analysis.json"), run.file("latent_mu.npy"));
        if !(path.is_file() && latents.is_file()) {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let this: Self = serde_json::from_str(&text).with_context(|| format!("{} is no analysis", path.display()))?;
        let means = react_store::read_npy_f32(&latents)?.into_dimensionality::<Ix3>();
        let means = means.with_context(|| format!("{} is not [clips, windows, d]", latents.display()))?;
        let fits = this.key == evaluation.key && means.len_of(Axis(0)) == evaluation.clips.len();
        Ok(fits.then_some((this, means)))
    }
}

/// At most so many clips, evenly chosen.
fn chosen(clips: usize) -> Vec<usize> {
    let count = clips.min(MOST_CLIPS);
    (0..count).map(|i| i * clips / count).collect()
}

/// Mean correlation of each clip's first reaction with its speaker at each lag, over clips and the attributes that move on both sides.
fn lags(prediction: ArrayView4<'_, f32>, speaker: ArrayView3<'_, f32>) -> Vec<(i32, f64)> {
    let frames = prediction.len_of(Axis(2)).min(speaker.len_of(Axis(1)));
    let most = LAGS.min(i32::try_from(frames.saturating_sub(OVERLAP.max(frames.div_ceil(2)))).unwrap_or(0));
    let of_clip = |clip: usize| -> Vec<(f64, u32)> {
        let (reaction, speaker) = (prediction.slice(s![clip, 0, ..frames, ..]), speaker.slice(s![clip, ..frames, ..]));
        let mut sums = vec![(0.0, 0); 2 * most as usize + 1];
        for channel in 0..ATTRIBUTES {
            let series = |of: ArrayView2<'_, f32>| of.column(channel).iter().map(|v| f64::from(*v)).collect::<Vec<f64>>();
            let (y, x) = (series(reaction), series(speaker));
            for (lag, sum) in (-most..=most).zip(&mut sums) {
                let (late, early) = (lag.max(0) as usize, (-lag).max(0) as usize);
                let n = frames - late.max(early);
                if let Some(r) = correlation(&y[late..late + n], &x[early..early + n]) {
                    *sum = (sum.0 + r, sum.1 + 1);
                }
            }
        }
        sums
    };
    let clips: Vec<Vec<(f64, u32)>> = chosen(prediction.len_of(Axis(0))).into_par_iter().map(of_clip).collect();
    let mean = |i: usize| {
        let (sum, count) = clips.iter().fold((0.0, 0), |(sum, count), clip| (sum + clip[i].0, count + clip[i].1));
        (count > 0).then(|| sum / f64::from(count))
    };
    (-most..=most).enumerate().filter_map(|(i, lag)| Some((lag, mean(i)?))).collect()
}

/// Pearson's; none where a side is constant.
fn correlation(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len() as f64;
    let (mx, my) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        let (a, b) = (a - mx, b - my);
        xy += a * b;
        xx += a * a;
        yy += b * b;
    }
    let scale = (xx * yy).sqrt();
    (scale > 1e-9 * n).then(|| (xy / scale).clamp(-1.0, 1.0))
}

fn deviation(values: ArrayView1<'_, f32>) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    (values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n).sqrt()
}

/// The mean of each attribute's numbers over what is chosen, summed in order.
fn means(of_clips: Vec<Vec<f64>>) -> Vec<f64> {
    let count = of_clips.len().max(1) as f64;
    (0..ATTRIBUTES).map(|c| of_clips.iter().map(|clip| clip[c]).sum::<f64>() / count).collect()
}

/// Between the reactions of a clip: the standard deviation over K, mean over frames and clips; none of a single reaction.
fn between(prediction: ArrayView4<'_, f32>) -> Option<Vec<f64>> {
    let of_clip = |clip: usize| between_of(prediction.index_axis(Axis(0), clip));
    (prediction.len_of(Axis(1)) > 1).then(|| means(chosen(prediction.len_of(Axis(0))).into_par_iter().map(of_clip).collect()))
}

fn between_of(reactions: ArrayView3<'_, f32>) -> Vec<f64> {
    let frames = reactions.len_of(Axis(1));
    (0..ATTRIBUTES).map(|c| (0..frames).map(|t| deviation(reactions.slice(s![.., t, c]))).sum::<f64>() / frames.max(1) as f64).collect()
}

/// The same between the real listeners whose reactions are appropriate to the same clip.
fn between_appropriate(listener: ArrayView3<'_, f32>, neighbours: ArrayView2<'_, u8>) -> Option<Vec<f64>> {
    let of_clip = |clip: usize| {
        let row = neighbours.row(clip);
        let appropriate: Vec<usize> = (0..row.len()).filter(|other| *other == clip || row[*other] != 0).take(MOST_LISTENERS).collect();
        (appropriate.len() > 1).then(|| between_of(listener.select(Axis(0), &appropriate).view()))
    };
    let found: Vec<_> = chosen(listener.len_of(Axis(0))).into_par_iter().map(of_clip).collect();
    let found: Vec<_> = found.into_iter().flatten().collect();
    (!found.is_empty()).then(|| means(found))
}

/// Over time: the standard deviation over T, mean over reactions and clips.
fn over_time(prediction: ArrayView4<'_, f32>) -> Vec<f64> {
    let of_clip = |clip: usize| -> Vec<f64> {
        let reactions = prediction.index_axis(Axis(0), clip);
        let k = reactions.len_of(Axis(0)).max(1) as f64;
        (0..ATTRIBUTES).map(|c| reactions.outer_iter().map(|reaction| deviation(reaction.column(c))).sum::<f64>() / k).collect()
    };
    means(chosen(prediction.len_of(Axis(0))).into_par_iter().map(of_clip).collect())
}

/// The mean jump to each frame of a window from the frame before, over clips, reactions and windows.
fn jumps(prediction: ArrayView4<'_, f32>, window: usize) -> Vec<f64> {
    let mut sums = vec![(0.0, 0usize); window.max(1)];
    for clip in chosen(prediction.len_of(Axis(0))) {
        for reaction in prediction.index_axis(Axis(0), clip).outer_iter() {
            for t in 1..reaction.nrows() {
                let pairs = reaction.row(t).into_iter().zip(reaction.row(t - 1));
                let jump = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>().sqrt();
                let place = &mut sums[t % window.max(1)];
                *place = (place.0 + jump, place.1 + 1);
            }
        }
    }
    sums.into_iter().map(|(sum, count)| sum / count.max(1) as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array4;

    #[test]
    fn a_late_copy_peaks_at_its_lag() {
        let wave = |t: i32, c: usize| (t as f32 * (0.17 + 0.011 * c as f32)).sin();
        let speaker = Array3::from_shape_fn((2, 120, 25), |(i, t, c)| wave(t as i32 + 40 * i as i32, c));
        let late = Array4::from_shape_fn((2, 1, 120, 25), |(i, _, t, c)| wave(t as i32 + 40 * i as i32 - 9, c));
        let found = lags(late.view(), speaker.view());
        assert_eq!((found.len(), found[0].0), (99, -49));
        let top = found.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(top.0 == 9 && top.1 > 0.999, "{top:?}");
        // Short clips have fewer lags, and what stands still has none.
        assert_eq!(lags(late.slice(s![.., .., ..30, ..]), speaker.view()).len(), 11);
        assert!(lags(Array4::zeros((2, 1, 120, 25)).view(), speaker.view()).is_empty());
    }

    #[test]
    fn spread_and_jumps_of_known_reactions() {
        // Two reactions, 1 apart, that rise by 1 a frame and by 3 to each window's first.
        let value = |k: usize, t: usize| (k + t + 2 * (t / 4)) as f32;
        let reactions = Array4::from_shape_fn((3, 2, 12, 25), |(_, k, t, _)| value(k, t));
        assert!(between(reactions.view()).unwrap().iter().all(|v| (v - 0.5).abs() < 1e-9));
        assert!(between(reactions.slice(s![.., ..1, .., ..])).is_none());
        assert_eq!(jumps(reactions.view(), 4), [15.0, 5.0, 5.0, 5.0]);
        let steady = deviation(ndarray::Array1::from_iter((0..12).map(|t| value(0, t))).view());
        assert!(over_time(reactions.view()).iter().all(|v| (v - steady).abs() < 1e-9));
    }

    #[test]
    fn appropriate_listeners_are_the_neighbours() {
        let listener = Array3::from_shape_fn((3, 5, 25), |(i, ..)| [0.0, 2.0, 100.0][i]);
        let alone = ndarray::Array2::<u8>::eye(3);
        assert!(between_appropriate(listener.view(), alone.view()).is_none());
        let mut pair = alone;
        pair[[0, 1]] = 1;
        assert_eq!(between_appropriate(listener.view(), pair.view()).unwrap()[0], 1.0);
    }
}
