//! Sound → cepstra in a fixed number of steps.

use crate::{DataError, MfccConfig, mfcc};
use ndarray::{Array2, Axis};
use react_media::{MediaError, read_audio, resample};
use std::path::Path;

/// The rate that sound is brought to, Hz.
pub const SOUND_RATE: u32 = 16_000;
/// Cepstra of a window.
pub const CEPSTRA: usize = 40;
/// A sound whose root mean square is below this (−80 dB of full scale) is silence.
const SILENCE: f64 = 1e-4;

/// What a sound file holds.
pub(crate) enum Sound {
    /// Cepstra f32 `[steps, 40]`.
    Heard(Array2<f32>),
    /// Nothing above −80 dB.
    Silent,
    /// Less than one window of 25 ms.
    TooShort,
}

/// Reads a sound and brings it to cepstra in `steps` steps.
pub(crate) fn read_sound(file: &Path, steps: usize) -> Result<Sound, DataError> {
    let error = |why: String| DataError::Sound { file: file.to_owned(), why };
    let audio = read_audio(file)?;
    let samples = audio.mono();
    let energy = samples.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / samples.len().max(1) as f64;
    if !energy.is_finite() {
        return Err(error("a sample is not finite".to_owned()));
    }
    if energy.sqrt() < SILENCE {
        return Ok(Sound::Silent);
    }
    let samples = resample(&samples, audio.rate, SOUND_RATE).map_err(|why| match why {
        MediaError::Argument(why) => error(why),
        other => other.into(),
    })?;
    let cepstra = mfcc(&samples, MfccConfig::eri(SOUND_RATE))?;
    Ok(match cepstra.nrows() {
        0 => Sound::TooShort,
        _ => Sound::Heard(pool_steps(&cepstra, steps)),
    })
}

/// Brings rows to `steps` steps: step i is the mean of rows ⌊i·n/steps⌋ to ⌈(i + 1)·n/steps⌉ − 1, as PyTorch's
/// `AdaptiveAvgPool1d`; of fewer rows than steps some are repeated. No rows give zeros.
///
/// ```
/// use ndarray::array;
/// let rows = array![[1.0f32], [2.0], [4.0], [8.0], [16.0]];
/// assert_eq!(react_data::hume::pool_steps(&rows, 2), array![[7.0f32 / 3.0], [28.0 / 3.0]]);
/// assert_eq!(react_data::hume::pool_steps(&array![[1.0f32], [3.0]], 3), array![[1.0f32], [2.0], [3.0]]);
/// ```
#[must_use]
pub fn pool_steps(rows: &Array2<f32>, steps: usize) -> Array2<f32> {
    let n = rows.nrows();
    let mut out = Array2::zeros((steps, rows.ncols()));
    if n == 0 {
        return out;
    }
    for (i, mut out) in out.axis_iter_mut(Axis(0)).enumerate() {
        let (from, to) = (i * n / steps, ((i + 1) * n).div_ceil(steps));
        for (column, out) in out.iter_mut().enumerate() {
            let sum: f64 = (from..to).map(|row| f64::from(rows[[row, column]])).sum();
            *out = (sum / (to - from) as f64) as f32;
        }
    }
    out
}
