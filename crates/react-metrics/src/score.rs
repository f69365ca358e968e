use crate::bootstrap::{Bootstrap, Interval, bootstrap};
use crate::diagnostics::{Clues, Diagnostics, clues, diagnose};
use crate::progress::{OnProgress, Stage, Steps};
use crate::{Checkpoint, Inputs, InstructionSet, Pruning, concordance, diversity, frdist, mean, synchrony};
use rayon::prelude::*;
use serde::Serialize;

/// How to score.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Intervals over clips, where they are wanted.
    pub bootstrap: Option<Bootstrap>,
    /// The instructions to compute with; scores do not depend on it.
    pub instructions: InstructionSet,
    /// What an earlier, stopped run found, and who keeps what this one finds.
    pub checkpoint: Option<&'a Checkpoint<'a>>,
}

/// The challenge's metrics with the artefacts of its program: sums over the K samples, NaN lags win in FRSyn.
///
/// Serialises as flat keys `FRCorr`, `FRDist`, `FRDiv`, `FRVar`, `FRDvs`, `FRSyn`, `FRSyn_all`; FRSyn is null without speakers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Published<T = f64> {
    /// See [`fr_corr`](crate::fr_corr).
    #[serde(rename = "FRCorr")]
    pub fr_corr: T,
    /// See [`fr_dist`](crate::fr_dist).
    #[serde(rename = "FRDist")]
    pub fr_dist: T,
    /// See [`fr_div`](crate::fr_div).
    #[serde(rename = "FRDiv")]
    pub fr_div: T,
    /// See [`fr_var`](crate::fr_var).
    #[serde(rename = "FRVar")]
    pub fr_var: T,
    /// See [`fr_dvs`](crate::fr_dvs).
    #[serde(rename = "FRDvs")]
    pub fr_dvs: T,
    /// See [`fr_syn`](crate::fr_syn): of sample 0 only.
    #[serde(rename = "FRSyn")]
    pub fr_syn: Option<T>,
    /// The same of all samples.
    #[serde(rename = "FRSyn_all")]
    pub fr_syn_all: Option<T>,
}

/// The same metrics without the artefacts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sound {
    /// Mean over the samples: published / K.
    #[serde(rename = "FRCorr")]
    pub fr_corr: f64,
    /// Mean over the samples: published / K.
    #[serde(rename = "FRDist")]
    pub fr_dist: f64,
    /// As published.
    #[serde(rename = "FRDiv")]
    pub fr_div: f64,
    /// As published.
    #[serde(rename = "FRVar")]
    pub fr_var: f64,
    /// As published.
    #[serde(rename = "FRDvs")]
    pub fr_dvs: f64,
    /// Of all samples, in frames; channels that are constant on a side left out (0 where constant in an overlap only); at least
    /// 25 overlapping frames. Mean over the predictions that have one; `None` where none has.
    #[serde(rename = "FRSyn")]
    pub fr_syn: Option<f64>,
    /// Predictions without a sound FRSyn: no channel moves on both sides.
    pub predictions_without_fr_syn: Option<usize>,
}

/// Published scores of one clip. FRDvs is the clip's share: their mean over clips is FRDvs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClipScores {
    /// The published form.
    #[serde(flatten)]
    pub published: Published,
    /// Mean over the samples of the sound form.
    #[serde(rename = "FRSyn_sound")]
    pub fr_syn_sound: Option<f64>,
}

/// Everything that [`score`] finds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// The challenge's numbers, flat.
    #[serde(flatten)]
    pub published: Published,
    /// The same without artefacts.
    pub sound: Sound,
    /// N.
    pub clips: usize,
    /// K.
    pub samples: usize,
    /// 95 % bootstrap intervals over clips of the published numbers. FRDvs' is of its clips' shares (its mean clip is held).
    pub intervals: Option<Published<Interval>>,
    /// What the numbers alone do not show.
    pub diagnostics: Diagnostics,
    /// What FRDist's search was spared.
    pub pruning: Pruning,
    /// Scores of each clip, in order.
    pub per_clip: Vec<ClipScores>,
}

/// Scores predictions with all metrics, published and sound.
///
/// On all threads of the current rayon pool; the result is the same, bit for bit, on any number of them. `progress` is called
/// from any thread.
///
/// ```
/// use ndarray::{Array3, Array4};
/// use react_metrics::{Inputs, Neighbours, Options, score};
/// let listener = Array3::from_shape_fn((2, 60, 25), |(i, t, c)| ((i + 1) * t + c) as f32 % 7.0);
/// let prediction = Array4::from_shape_fn((2, 3, 60, 25), |(i, _, t, c)| listener[[i, t, c]]);
/// let neighbours = Neighbours::identity(2);
/// let inputs = Inputs::new(prediction.view(), listener.view(), None, &neighbours)?;
/// let scores = score(&inputs, &Options::default(), &|_| ());
/// assert!((scores.published.fr_corr - 3.0).abs() < 1e-8 && (scores.sound.fr_corr - 1.0).abs() < 1e-8);
/// assert_eq!((scores.published.fr_dist, scores.published.fr_div, scores.published.fr_syn), (0.0, 0.0, None));
/// assert_eq!(scores.diagnostics.warnings(), ["4 samples repeat an earlier sample of their clip"]);
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
#[must_use]
pub fn score(inputs: &Inputs<'_>, options: &Options<'_>, progress: OnProgress<'_>) -> Scores {
    let set = options.instructions;
    let listeners = concordance::centred_listeners(inputs);
    let steps = Steps::new(Stage::Clips, inputs.clips(), progress);
    let clips: Vec<(ClipScores, Clues)> = (0..inputs.clips())
        .into_par_iter()
        .map(|i| {
            let found = score_clip(inputs, set, i, &listeners);
            steps.advance(1);
            found
        })
        .collect();
    drop(listeners);
    let (mut per_clip, clues): (Vec<_>, Vec<_>) = clips.into_iter().unzip();
    let shares = diversity::between_clips(inputs, progress);
    let (distances, pruning) = frdist::per_clip(inputs, options, progress);
    for ((clip, fr_dvs), fr_dist) in per_clip.iter_mut().zip(shares).zip(distances) {
        (clip.published.fr_dvs, clip.published.fr_dist) = (fr_dvs, fr_dist);
    }
    let published = means(&per_clip);
    Scores {
        published,
        sound: sound(inputs, &published, &per_clip, &clues),
        clips: inputs.clips(),
        samples: inputs.samples(),
        intervals: options.bootstrap.map(|how| intervals(&per_clip, how)),
        diagnostics: diagnose(inputs, &clues),
        pruning,
        per_clip,
    }
}

/// What needs no other prediction: all but FRDist and FRDvs.
fn score_clip(inputs: &Inputs<'_>, set: InstructionSet, i: usize, listeners: &[concordance::Centred]) -> (ClipScores, Clues) {
    let series: Vec<_> = (0..inputs.samples()).map(|k| inputs.prediction(i, k)).collect();
    let samples = concordance::centred_samples(inputs, i);
    let spread = diversity::spread(&series);
    let lags = synchrony::clip(inputs, set, i);
    let lags = lags.as_deref();
    let fr_syn_sound = lags.and_then(|lags| {
        let sound: Vec<f64> = lags.iter().filter_map(|l| l.sound).collect();
        (!sound.is_empty()).then(|| mean(&sound))
    });
    let published = Published {
        fr_corr: concordance::clip(inputs, set, i, &samples, listeners),
        fr_dist: 0.0,
        fr_div: spread.diversity,
        fr_var: mean(&series.iter().map(|s| diversity::variance(*s)).collect::<Vec<_>>()),
        fr_dvs: 0.0,
        fr_syn: lags.and_then(|lags| lags.first()).map(|l| l.published),
        fr_syn_all: lags.map(|lags| mean(&lags.iter().map(|l| l.published).collect::<Vec<_>>())),
    };
    (ClipScores { published, fr_syn_sound }, clues(inputs, i, &samples, spread, lags))
}

type Measure = fn(&Published) -> Option<f64>;

/// All measures; each gives a number for every clip, or for none.
const MEASURES: [Measure; 7] =
    [|p| Some(p.fr_corr), |p| Some(p.fr_dist), |p| Some(p.fr_div), |p| Some(p.fr_var), |p| Some(p.fr_dvs), |p| p.fr_syn, |p| p.fr_syn_all];

fn columns(per_clip: &[ClipScores]) -> [Vec<f64>; 7] {
    MEASURES.map(|measure| per_clip.iter().filter_map(|c| measure(&c.published)).collect())
}

fn means(per_clip: &[ClipScores]) -> Published {
    let [fr_corr, fr_dist, fr_div, fr_var, fr_dvs, fr_syn, fr_syn_all] = columns(per_clip);
    let (fr_syn, fr_syn_all) = ((!fr_syn.is_empty()).then(|| mean(&fr_syn)), (!fr_syn_all.is_empty()).then(|| mean(&fr_syn_all)));
    let [fr_corr, fr_dist, fr_div, fr_var, fr_dvs] = [fr_corr, fr_dist, fr_div, fr_var, fr_dvs].map(|column| mean(&column));
    Published { fr_corr, fr_dist, fr_div, fr_var, fr_dvs, fr_syn, fr_syn_all }
}

fn intervals(per_clip: &[ClipScores], how: Bootstrap) -> Published<Interval> {
    let columns = columns(per_clip);
    let present: Vec<&[f64]> = columns.iter().filter(|c| !c.is_empty()).map(Vec::as_slice).collect();
    let mut found = bootstrap(&present, how).into_iter();
    let [fr_corr, fr_dist, fr_div, fr_var, fr_dvs] =
        std::array::from_fn(|_| found.next().unwrap_or(Interval { low: f64::NAN, high: f64::NAN }));
    Published { fr_corr, fr_dist, fr_div, fr_var, fr_dvs, fr_syn: found.next(), fr_syn_all: found.next() }
}

fn sound(inputs: &Inputs<'_>, published: &Published, per_clip: &[ClipScores], clues: &[Clues]) -> Sound {
    let k = inputs.samples() as f64;
    let Published { fr_corr, fr_dist, fr_div, fr_var, fr_dvs, fr_syn, .. } = *published;
    // A clip's mean is over its predictions that have a lag: weighed by their number, the mean over all such predictions.
    let lags: Vec<(f64, usize)> = per_clip.iter().zip(clues).filter_map(|(c, clues)| Some((c.fr_syn_sound?, clues.sound_lags))).collect();
    let counted: usize = lags.iter().map(|(_, n)| n).sum();
    let total: f64 = lags.iter().map(|(lag, n)| lag * *n as f64).sum();
    Sound {
        fr_corr: fr_corr / k,
        fr_dist: fr_dist / k,
        fr_div,
        fr_var,
        fr_dvs,
        fr_syn: (counted > 0).then(|| total / counted as f64),
        predictions_without_fr_syn: fr_syn.map(|_| inputs.clips() * inputs.samples() - counted),
    }
}
