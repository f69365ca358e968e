//! The challenge's naive baselines.

use crate::MetricsError;
use crate::input::{least, shape};
use ndarray::{Array1, Array2, Array3, Array4, ArrayView2, ArrayView3, Axis, Ix3};
use react_contracts::ATTRIBUTES;
use react_random::Draws;

/// A prediction that needs no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub enum Baseline {
    /// The listener's own real reaction.
    #[serde(rename = "GT")]
    GroundTruth,
    /// Every value uniform in [0, 1): FRDiv 1/6 and FRVar 1/12, as in the published table.
    Random,
    /// The speaker's own attributes.
    Mime,
    /// The mean training listener, frame by frame.
    #[serde(rename = "MeanSeq")]
    MeanSequence,
    /// The mean training listener, over all frames.
    #[serde(rename = "MeanFr")]
    MeanFrame,
}

impl Baseline {
    /// All, in the order of the published table.
    pub const ALL: [Self; 5] = [Self::GroundTruth, Self::Random, Self::Mime, Self::MeanSequence, Self::MeanFrame];

    /// Its name in the published table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::GroundTruth => "GT",
            Self::Random => "Random",
            Self::Mime => "Mime",
            Self::MeanSequence => "MeanSeq",
            Self::MeanFrame => "MeanFr",
        }
    }
}

/// The mean reaction of the training listeners.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanReaction {
    sequence: Array2<f32>,
    frame: Array1<f32>,
}

impl MeanReaction {
    /// From each training listener's `[T, 25]`, in f64. Where lengths differ, a frame's mean is over those that have it.
    ///
    /// ```
    /// use ndarray::Array2;
    /// use react_metrics::MeanReaction;
    /// let (short, long) = (Array2::from_elem((2, 25), 1.0f32), Array2::from_elem((3, 25), 0.0f32));
    /// let mean = MeanReaction::new([short.view(), long.view()])?;
    /// assert_eq!(mean.sequence().column(0).to_vec(), [0.5, 0.5, 0.0]);
    /// # Ok::<(), react_metrics::MetricsError>(())
    /// ```
    ///
    /// # Errors
    /// [`MetricsError`] where there is no listener, or one is not `[T, 25]`.
    pub fn new<'a>(listeners: impl IntoIterator<Item = ArrayView2<'a, f32>>) -> Result<Self, MetricsError> {
        let mut sums = Array2::<f64>::zeros((0, ATTRIBUTES));
        let mut counts: Vec<u32> = Vec::new();
        for (i, listener) in listeners.into_iter().enumerate() {
            if listener.ncols() != ATTRIBUTES {
                return Err(shape(&format!("training listener {i}"), "[T, 25]", listener.shape()));
            }
            for (t, frame) in listener.rows().into_iter().enumerate() {
                if t == counts.len() {
                    counts.push(0);
                    sums.push_row(Array1::zeros(ATTRIBUTES).view()).map_err(|_| shape("training listener", "[T, 25]", listener.shape()))?;
                }
                counts[t] += 1;
                sums.row_mut(t).zip_mut_with(&frame, |sum, x| *sum += f64::from(*x));
            }
        }
        least("frames of the training listeners", 1, counts.len())?;
        sums.rows_mut().into_iter().zip(&counts).for_each(|(mut row, n)| row /= f64::from(*n));
        let frame = sums.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(ATTRIBUTES));
        Ok(Self { sequence: sums.mapv(|x| x as f32), frame: frame.mapv(|x| x as f32) })
    }

    /// The mean sequence `[T, 25]`.
    #[must_use]
    pub fn sequence(&self) -> ArrayView2<'_, f32> {
        self.sequence.view()
    }
}

/// Makes baselines' predictions of K samples each.
#[derive(Clone, Copy, Debug)]
pub struct Baselines<'a> {
    /// K.
    pub samples: usize,
    /// Seed of [`Baseline::Random`]; a value depends on (seed, clip, sample, position) only.
    pub seed: u64,
    /// Needed by [`Baseline::MeanSequence`] and [`Baseline::MeanFrame`].
    pub mean: Option<&'a MeanReaction>,
}

impl Baselines<'_> {
    /// The prediction `[K, T, 25]` for one clip, T that of `listener [T, 25]` (of `speaker` for Mime).
    ///
    /// The mean sequence is cut, or extended by its last frame.
    ///
    /// # Errors
    /// [`MetricsError`] where the speaker or the mean that the baseline needs is missing, or an array is not `[T, 25]`.
    pub fn reaction(
        &self,
        baseline: Baseline,
        clip: u32,
        listener: ArrayView2<'_, f32>,
        speaker: Option<ArrayView2<'_, f32>>,
    ) -> Result<Array3<f32>, MetricsError> {
        least("samples", 1, self.samples)?;
        let frames = listener.nrows();
        let mean = || self.mean.ok_or_else(|| MetricsError::Count { what: "training listeners".into(), want: "at least 1".into(), got: 0 });
        let one = match baseline {
            Baseline::GroundTruth => listener.to_owned(),
            Baseline::Random => return self.random(clip, frames),
            Baseline::Mime => speaker.ok_or(MetricsError::NoSpeaker { what: "Mime" })?.to_owned(),
            Baseline::MeanSequence => {
                let mean = mean()?.sequence();
                Array2::from_shape_fn((frames, ATTRIBUTES), |(t, c)| mean[[t.min(mean.nrows() - 1), c]])
            }
            Baseline::MeanFrame => {
                let mean = mean()?;
                Array2::from_shape_fn((frames, ATTRIBUTES), |(_, c)| mean.frame[c])
            }
        };
        if one.ncols() != ATTRIBUTES {
            return Err(shape(baseline.name(), "[T, 25]", one.shape()));
        }
        let all = one.broadcast((self.samples, one.nrows(), ATTRIBUTES)).map(|view| view.to_owned());
        all.ok_or_else(|| shape(baseline.name(), "[T, 25]", one.shape()))
    }

    fn random(&self, clip: u32, frames: usize) -> Result<Array3<f32>, MetricsError> {
        let mut samples = Array3::zeros(Ix3(self.samples, frames, ATTRIBUTES));
        for (k, mut sample) in samples.outer_iter_mut().enumerate() {
            let mut draws = Draws::new(self.seed, "metrics.random", clip, k as u32);
            sample.iter_mut().for_each(|x| *x = draws.uniform());
        }
        Ok(samples)
    }

    /// The predictions `[N, K, T, 25]` for `listener [N, T, 25]` and `speaker [N, T, 25]`.
    ///
    /// ```
    /// use ndarray::Array3;
    /// use react_metrics::{Baseline, Baselines, fr_div};
    /// let listener = Array3::zeros((4, 100, 25));
    /// let random = Baselines { samples: 10, seed: 0, mean: None }.stack(Baseline::Random, listener.view(), None)?;
    /// assert!((fr_div(random.view())? - 1.0 / 6.0).abs() < 0.002);
    /// # Ok::<(), react_metrics::MetricsError>(())
    /// ```
    ///
    /// # Errors
    /// As [`Baselines::reaction`]; also where listeners and speakers differ in shape.
    pub fn stack(
        &self,
        baseline: Baseline,
        listener: ArrayView3<'_, f32>,
        speaker: Option<ArrayView3<'_, f32>>,
    ) -> Result<Array4<f32>, MetricsError> {
        let (n, frames, channels) = listener.dim();
        if let Some(speaker) = speaker.filter(|s| s.shape() != listener.shape()) {
            return Err(shape("speaker", &format!("[{n}, {frames}, {channels}]"), speaker.shape()));
        }
        let mut all = Array4::zeros((n, self.samples, frames, ATTRIBUTES));
        for (i, mut clip) in all.outer_iter_mut().enumerate() {
            let speaker = speaker.as_ref().map(|s| s.index_axis(Axis(0), i));
            clip.assign(&self.reaction(baseline, i as u32, listener.index_axis(Axis(0), i), speaker)?);
        }
        Ok(all)
    }
}
