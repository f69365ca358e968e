//! Scores of emotional reaction intensities (ERI, Hume-Reaction).

use crate::input::shape;
use crate::{MetricsError, ccc, pearson};
use ndarray::ArrayView2;

/// The seven emotions, in the order of the challenge's table.
pub const ERI_EMOTIONS: [&str; 7] = ["Adoration", "Amusement", "Anxiety", "Disgust", "Empathic-Pain", "Fear", "Surprise"];

/// Scores of one emotion over a whole split.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EmotionScores {
    /// Its name.
    pub emotion: String,
    /// Pearson's correlation over the split; `None` where predictions or targets are constant.
    pub pearson: Option<f64>,
    /// Lin's concordance correlation coefficient.
    pub ccc: f64,
    /// Mean absolute error.
    pub mae: f64,
}

/// Scores of a whole split.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EriScores {
    /// Mean of the emotions' correlations, a constant one counting 0: the challenge's score.
    pub mean_pearson: f64,
    /// Mean of the emotions' concordances.
    pub mean_ccc: f64,
    /// Mean absolute error over subjects and emotions.
    pub mae: f64,
    /// Each emotion.
    pub emotions: Vec<EmotionScores>,
}

/// Scores intensities `prediction [N, 7]` against `target [N, 7]`, over the whole split of N subjects (never batch by batch:
/// a mean of batches' correlations is another number).
///
/// Source: S. Amiriparian et al., "MuSe 2022", L. Christ et al., "ABAW 5", the ERI challenge's mean Pearson correlation.
///
/// ```
/// use ndarray::Array2;
/// let target = Array2::from_shape_fn((5, 7), |(i, e)| (i * (e + 1)) as f32 / 40.0);
/// let scores = react_metrics::eri(target.mapv(|x| 0.5 * x).view(), target.view())?;
/// assert!((scores.mean_pearson - 1.0).abs() < 1e-6);
/// assert!(scores.mean_ccc < 1.0); // half the intensity correlates, but does not agree
/// # Ok::<(), react_metrics::MetricsError>(())
/// ```
///
/// # Errors
/// [`MetricsError`] where shapes differ, there is no subject, or a value is not finite.
pub fn eri(prediction: ArrayView2<'_, f32>, target: ArrayView2<'_, f32>) -> Result<EriScores, MetricsError> {
    eri_of(prediction, target, &ERI_EMOTIONS)
}

/// [`eri`] of any emotions, `[N, E]` each: the field's newer sets have six.
///
/// # Errors
/// As [`eri`].
pub fn eri_of<S: AsRef<str>>(
    prediction: ArrayView2<'_, f32>,
    target: ArrayView2<'_, f32>,
    emotions: &[S],
) -> Result<EriScores, MetricsError> {
    let (n, count) = (target.nrows(), emotions.len());
    if n == 0 || count == 0 || target.ncols() != count {
        return Err(shape("target", &format!("[N, {count}] with N ≥ 1"), target.shape()));
    }
    if prediction.shape() != target.shape() {
        return Err(shape("prediction", &format!("[{n}, {count}]"), prediction.shape()));
    }
    for (what, array) in [("prediction", &prediction), ("target", &target)] {
        if let Some(((subject, emotion), value)) = array.indexed_iter().find(|(_, x)| !x.is_finite()) {
            let emotion = emotions[emotion].as_ref().to_owned();
            return Err(MetricsError::IntensityNotFinite { what, subject, emotion, value: *value });
        }
    }
    let scores = |(e, emotion): (usize, &S)| {
        let (p, t) = (prediction.column(e), target.column(e));
        let mae = p.iter().zip(t).map(|(p, t)| (f64::from(*p) - f64::from(*t)).abs()).sum::<f64>() / n as f64;
        Ok(EmotionScores { emotion: emotion.as_ref().to_owned(), pearson: pearson(p, t)?, ccc: ccc(p, t)?, mae })
    };
    let emotions = emotions.iter().enumerate().map(scores).collect::<Result<Vec<_>, MetricsError>>()?;
    let mean = |f: fn(&EmotionScores) -> f64| emotions.iter().map(f).sum::<f64>() / emotions.len() as f64;
    Ok(EriScores { mean_pearson: mean(|e| e.pearson.unwrap_or(0.0)), mean_ccc: mean(|e| e.ccc), mae: mean(|e| e.mae), emotions })
}
