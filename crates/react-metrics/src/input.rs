use crate::{MetricsError, Neighbours};
use ndarray::{ArrayView2, ArrayView3, ArrayView4, Axis, CowArray, Dimension, Ix2, Ix3};
use rayon::prelude::*;
use react_contracts::ATTRIBUTES;

/// What is scored: predictions, real listeners, speakers where there are any, and who is appropriate for whom. Checked.
///
/// One form for arrays (`[N, K, T, 25]`) and for clips of different lengths (one array a clip); views are not copied
/// unless they are laid out in another order than `[.., T, 25]`.
pub struct Inputs<'a> {
    pub(crate) predictions: Vec<CowArray<'a, f32, Ix3>>,
    pub(crate) listeners: Vec<CowArray<'a, f32, Ix2>>,
    pub(crate) speakers: Option<Vec<CowArray<'a, f32, Ix2>>>,
    pub(crate) neighbours: &'a Neighbours,
    samples: usize,
}

/// Frames of 25 attributes, contiguous: `[t, 25]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'a> {
    pub(crate) values: &'a [f32],
}

impl<'a> Series<'a> {
    pub(crate) fn frames(self) -> usize {
        self.values.len() / ATTRIBUTES
    }

    pub(crate) fn frame(self, t: usize) -> &'a [f32] {
        &self.values[t * ATTRIBUTES..(t + 1) * ATTRIBUTES]
    }

    /// The first `frames`.
    pub(crate) fn cut(self, frames: usize) -> Self {
        Self { values: &self.values[..frames * ATTRIBUTES] }
    }
}

impl<'a> Inputs<'a> {
    /// Arrays of clips of one length: `prediction [N, K, T, 25]`, `listener [N, T, 25]`, `speaker [N, T, 25]`.
    ///
    /// ```
    /// use ndarray::{Array3, Array4};
    /// use react_metrics::{Inputs, Neighbours};
    /// let (prediction, listener) = (Array4::zeros((2, 3, 4, 25)), Array3::zeros((2, 5, 25)));
    /// let neighbours = Neighbours::identity(2);
    /// let error = Inputs::new(prediction.view(), listener.view(), None, &neighbours).err().unwrap();
    /// assert_eq!(error.to_string(), "listener: expected shape [2, 4, 25], got [2, 5, 25]");
    /// ```
    ///
    /// # Errors
    /// [`MetricsError`]: a shape that does not fit (wanted and got), no clip, no sample, fewer than 2 frames, or a value
    /// that is not finite (clip, sample, frame, channel).
    pub fn new(
        prediction: ArrayView4<'a, f32>,
        listener: ArrayView3<'a, f32>,
        speaker: Option<ArrayView3<'a, f32>>,
        neighbours: &'a Neighbours,
    ) -> Result<Self, MetricsError> {
        let (n, _, t, channels) = prediction.dim();
        if channels != ATTRIBUTES {
            return Err(shape("prediction", "[N, K, T, 25]", prediction.shape()));
        }
        let others = [Some(("listener", &listener)), speaker.as_ref().map(|s| ("speaker", s))];
        for (what, array) in others.into_iter().flatten() {
            if array.shape() != [n, t, ATTRIBUTES] {
                return Err(shape(what, &format!("[{n}, {t}, {ATTRIBUTES}]"), array.shape()));
            }
        }
        let clips = |array: ArrayView3<'a, f32>| (0..n).map(|i| array.index_axis_move(Axis(0), i)).collect();
        let predictions = (0..n).map(|i| prediction.index_axis_move(Axis(0), i)).collect();
        Self::from_clips(predictions, clips(listener), speaker.map(clips), neighbours)
    }

    /// One array a clip: `predictions[i] [K, Tᵢ, 25]`, `listeners[i]` and `speakers[i] [·, 25]`, of any lengths.
    ///
    /// A pair of series is compared over the shorter one's frames; FRDvs over the frames that all predictions have.
    ///
    /// # Errors
    /// As [`Inputs::new`].
    pub fn from_clips(
        predictions: Vec<ArrayView3<'a, f32>>,
        listeners: Vec<ArrayView2<'a, f32>>,
        speakers: Option<Vec<ArrayView2<'a, f32>>>,
        neighbours: &'a Neighbours,
    ) -> Result<Self, MetricsError> {
        let n = predictions.len();
        let samples = predictions.first().map_or(0, |p| p.dim().0);
        least("clips", 1, n)?;
        least("samples", 1, samples)?;
        let counts = [Some(("listener clips", listeners.len())), speakers.as_ref().map(|s| ("speaker clips", s.len()))];
        for (what, got) in counts.into_iter().flatten().chain([("rows of neighbours", neighbours.clips())]) {
            if got != n {
                return Err(MetricsError::Count { what: what.into(), want: format!("{n} (as predictions)"), got });
            }
        }
        for (i, p) in predictions.iter().enumerate() {
            if p.dim().0 != samples || p.dim().2 != ATTRIBUTES {
                return Err(shape(&format!("prediction of clip {i}"), &format!("[{samples}, T, {ATTRIBUTES}]"), p.shape()));
            }
            least(&format!("frames of the prediction of clip {i}"), 2, p.dim().1)?;
        }
        let single = |what: &str, clips: &[ArrayView2<'a, f32>]| {
            clips.iter().enumerate().try_for_each(|(i, c)| {
                if c.ncols() != ATTRIBUTES {
                    return Err(shape(&format!("{what} of clip {i}"), &format!("[T, {ATTRIBUTES}]"), c.shape()));
                }
                least(&format!("frames of the {what} of clip {i}"), 2, c.nrows())
            })
        };
        single("listener", &listeners)?;
        speakers.as_deref().map_or(Ok(()), |s| single("speaker", s))?;
        let inputs = Self {
            predictions: predictions.into_iter().map(contiguous).collect(),
            listeners: listeners.into_iter().map(contiguous).collect(),
            speakers: speakers.map(|s| s.into_iter().map(contiguous).collect()),
            neighbours,
            samples,
        };
        inputs.check_finite()?;
        Ok(inputs)
    }

    fn check_finite(&self) -> Result<(), MetricsError> {
        let check = |i| {
            (0..self.samples).try_for_each(|k| finite("prediction", i, Some(k), self.prediction(i, k)))?;
            finite("listener", i, None, self.listener(i))?;
            self.speaker(i).map_or(Ok(()), |s| finite("speaker", i, None, s))
        };
        // The first, not the fastest, so that an error does not depend on the threads.
        (0..self.clips()).into_par_iter().find_map_first(|i| check(i).err()).map_or(Ok(()), Err)
    }

    /// N, the number of clips.
    #[must_use]
    pub fn clips(&self) -> usize {
        self.predictions.len()
    }

    /// K, the number of samples of each clip.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Calls `f` with the shape and the values of each clip's prediction, in order.
    pub fn each_prediction(&self, mut f: impl FnMut(&[usize], &[f32])) {
        self.predictions.iter().for_each(|p| f(p.shape(), slice(p)));
    }

    /// Calls `f` with the shape and the values of each listener, in order.
    pub fn each_listener(&self, mut f: impl FnMut(&[usize], &[f32])) {
        self.listeners.iter().for_each(|l| f(l.shape(), slice(l)));
    }

    /// Frames of the prediction of clip `i`.
    pub(crate) fn frames(&self, i: usize) -> usize {
        self.predictions[i].dim().1
    }

    pub(crate) fn prediction(&self, i: usize, k: usize) -> Series<'_> {
        let one = self.frames(i) * ATTRIBUTES;
        Series { values: &slice(&self.predictions[i])[k * one..(k + 1) * one] }
    }

    pub(crate) fn listener(&self, i: usize) -> Series<'_> {
        Series { values: slice(&self.listeners[i]) }
    }

    pub(crate) fn speaker(&self, i: usize) -> Option<Series<'_>> {
        self.speakers.as_ref().map(|s| Series { values: slice(&s[i]) })
    }
}

/// Standard layout is established by [`contiguous`], so the slice always exists.
fn slice<'a, D: Dimension>(array: &'a CowArray<'_, f32, D>) -> &'a [f32] {
    array.as_slice().unwrap_or_default()
}

fn contiguous<'a, D: Dimension>(view: ndarray::ArrayView<'a, f32, D>) -> CowArray<'a, f32, D> {
    if view.is_standard_layout() { CowArray::from(view) } else { CowArray::from(view.as_standard_layout().into_owned()) }
}

pub(crate) fn finite(what: &'static str, clip: usize, sample: Option<usize>, series: Series<'_>) -> Result<(), MetricsError> {
    // A sum of zeros stays 0 unless a value is NaN or infinite: a branchless pass, then a search where it failed.
    if series.values.iter().map(|x| x * 0.0).sum::<f32>() == 0.0 {
        return Ok(());
    }
    match series.values.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(at) => {
            let (frame, channel) = (at / ATTRIBUTES, at % ATTRIBUTES);
            Err(MetricsError::NotFinite { what, clip, sample, frame, channel, value: series.values[at] })
        }
    }
}

pub(crate) fn shape(what: &str, want: &str, got: &[usize]) -> MetricsError {
    MetricsError::Shape { what: what.to_owned(), want: want.to_owned(), got: got.to_vec() }
}

pub(crate) fn least(what: &str, want: usize, got: usize) -> Result<(), MetricsError> {
    if got >= want { Ok(()) } else { Err(MetricsError::Count { what: what.to_owned(), want: format!("at least {want}"), got }) }
}
