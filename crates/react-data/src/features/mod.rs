//! Kaldi-style MFCC, per video frame with deltas (78 values at 25 frames/s) and over a whole file (ERI).
//!
//! One 25 ms window x of n samples, of windows every 10 ms that lie wholly inside the signal (snip edges):
//! 1. x ← x − mean(x); energy e = max(ln Σx², 0);
//! 2. pre-emphasis x\[i\] ← x\[i\] − 0.97·x\[i−1\], the first sample against itself;
//! 3. Povey window (½ − ½cos(2πi/(n−1)))^0.85, zeros up to the next power of two, power spectrum;
//! 4. triangular filters in mel(f) = 1127·ln(1 + f/700) from 20 Hz to Nyquist; ln with floor 2⁻²³;
//! 5. orthonormal DCT-II; cepstrum i times 1 + 11·sin(πi/22); where asked, cepstrum 0 is replaced by e.
//!
//! Source: D. Povey et al., "The Kaldi speech recognition toolkit", ASRU 2011 (`compute-mfcc-feats`), with Kaldi's defaults but
//! no dither and an energy floor of 1.

mod tables;

use crate::DataError;
use ndarray::Array2;
use react_contracts::FEATURES_PER_WINDOW;
use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};
use std::sync::Arc;
use tables::Tables;

/// Cepstra of one window in the per-frame features.
const CEPSTRA: usize = FEATURES_PER_WINDOW / 3;
const PRE_EMPHASIS: f32 = 0.97;
/// Floor under the logarithms of energies: f32's epsilon, 1.19e-7.
const LOG_FLOOR: f32 = f32::EPSILON;
/// Sampling rates that are understood, in Hz: below, no filter fits under Nyquist; above, nothing records sound.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// What an [`Mfcc`] computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MfccConfig {
    /// Samples per second.
    pub rate: u32,
    /// Triangular mel filters.
    pub mel_bins: usize,
    /// Cepstra kept, at most `mel_bins`.
    pub cepstra: usize,
    /// Whether the window's log energy replaces cepstrum 0.
    pub energy: bool,
}

impl MfccConfig {
    /// The REACT features' windows: 23 filters, 13 cepstra, energy as the first.
    #[must_use]
    pub fn react(rate: u32) -> Self {
        Self { rate, mel_bins: 23, cepstra: CEPSTRA, energy: true }
    }

    /// ERI's windows: 40 filters, 40 cepstra.
    #[must_use]
    pub fn eri(rate: u32) -> Self {
        Self { rate, mel_bins: 40, cepstra: 40, energy: false }
    }
}

/// Computes MFCC windows; holds tables and buffers, so make one and use it for many.
pub struct Mfcc {
    tables: Tables,
    energy: bool,
    fft: Arc<dyn RealToComplex<f32>>,
    centred: Vec<f32>,
    padded: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    power: Vec<f32>,
    log_mel: Vec<f32>,
}

impl std::fmt::Debug for Mfcc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mfcc").field("window", &self.tables.window.len()).field("cepstra", &self.tables.cepstra).finish_non_exhaustive()
    }
}

impl Mfcc {
    /// Builds tables and buffers.
    ///
    /// # Errors
    /// [`DataError::Audio`] for a rate outside 1,000 to 768,000 Hz, or more cepstra than filters.
    pub fn new(config: MfccConfig) -> Result<Self, DataError> {
        if !RATES.contains(&config.rate) {
            return Err(DataError::Audio(format!("a sampling rate of {} Hz is not understood (1,000 to 768,000)", config.rate)));
        }
        if config.cepstra == 0 || config.cepstra > config.mel_bins || config.mel_bins > 256 {
            let (cepstra, bins) = (config.cepstra, config.mel_bins);
            return Err(DataError::Audio(format!("{cepstra} cepstra of {bins} mel filters do not exist (1 ≤ cepstra ≤ filters ≤ 256)")));
        }
        let tables = Tables::new(config);
        let fft = RealFftPlanner::new().plan_fft_forward(tables.fft_size);
        Ok(Self {
            energy: config.energy,
            centred: vec![0.0; tables.window.len()],
            padded: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; tables.fft_size / 2],
            log_mel: vec![0.0; config.mel_bins],
            fft,
            tables,
        })
    }

    /// Windows that lie wholly inside `samples` samples.
    #[must_use]
    pub fn windows(&self, samples: usize) -> usize {
        match samples.checked_sub(self.tables.window.len()) {
            Some(rest) => 1 + rest / self.tables.shift,
            None => 0,
        }
    }

    /// The cepstra of one window, into `out` (as long as `cepstra`); `samples` is one window long.
    fn window(&mut self, samples: &[f32], out: &mut [f32]) {
        let Self { tables, centred, padded, spectrum, scratch, power, log_mel, .. } = self;
        let n = tables.window.len();
        let mean = sum(samples) / n as f32;
        for (centred, sample) in centred.iter_mut().zip(samples) {
            *centred = sample - mean;
        }
        padded[0] = (centred[0] - PRE_EMPHASIS * centred[0]) * tables.window[0];
        for ((padded, pair), weight) in padded[1..].iter_mut().zip(centred.windows(2)).zip(&tables.window[1..]) {
            *padded = (pair[1] - PRE_EMPHASIS * pair[0]) * weight;
        }
        padded[n..].fill(0.0);
        self.fft.process_with_scratch(padded, spectrum, scratch).expect("the planner made the buffers of this transform");
        for (power, bin) in power.iter_mut().zip(spectrum.iter()) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
        for (log_mel, filter) in log_mel.iter_mut().zip(&tables.filters) {
            let bins = &power[filter.first..filter.first + filter.weights.len()];
            *log_mel = dot(bins, &filter.weights).max(LOG_FLOOR).ln();
        }
        for (out, row) in out.iter_mut().zip(tables.dct.chunks_exact(log_mel.len())) {
            *out = dot(row, log_mel);
        }
        if self.energy {
            // The floor of 1 on the energy is one of 0 on its logarithm.
            out[0] = dot(centred, centred).max(LOG_FLOOR).ln().max(0.0);
        }
    }
}

/// MFCC of a whole signal: `[windows, cepstra]`, a window every 10 ms; ERI's features with [`MfccConfig::eri`].
///
/// `samples` are mono, in [−1, 1]. A signal shorter than 25 ms has no window.
///
/// ```
/// use react_data::{MfccConfig, mfcc};
/// let second: Vec<f32> = (0..16_000).map(|i| (i as f32 * 0.1).sin()).collect();
/// assert_eq!(mfcc(&second, MfccConfig::eri(16_000))?.dim(), (98, 40));
/// # Ok::<(), react_data::DataError>(())
/// ```
///
/// # Errors
/// As [`Mfcc::new`].
pub fn mfcc(samples: &[f32], config: MfccConfig) -> Result<Array2<f32>, DataError> {
    let mut mfcc = Mfcc::new(config)?;
    let mut out = Array2::zeros((mfcc.windows(samples.len()), config.cepstra));
    let (length, shift) = (mfcc.tables.window.len(), mfcc.tables.shift);
    for (row, mut out) in out.outer_iter_mut().enumerate() {
        let start = row * shift;
        if let Some(out) = out.as_slice_mut() {
            mfcc.window(&samples[start..start + length], out);
        }
    }
    Ok(out)
}

/// Audio features of each video frame, f32 `[frames, 39·windows]`: 78 at 25 frames/s, 39 at 30.
///
/// `samples` are mono, in [−1, 1], `rate` in Hz. The signal is cut or padded with zeros to `frames`·floor(rate/fps); a frame's
/// features are those of its own samples: [static, delta, delta-delta] × 13 cepstra × windows. Deltas are 5-point regressions
/// over the frame's windows, edges replicated.
///
/// ```
/// let silence = vec![0.0; 44_100];
/// let features = react_data::mfcc_per_frame(&silence, 44_100, 25, 25.0)?;
/// assert_eq!(features.dim(), (25, 78));
/// assert_eq!(features[[0, 0]], 0.0); // the energy's floor
/// # Ok::<(), react_data::DataError>(())
/// ```
///
/// # Errors
/// [`DataError::Audio`] for a rate or frame rate that is not understood, or a video frame shorter than one window.
pub fn mfcc_per_frame(samples: &[f32], rate: u32, frames: usize, fps: f64) -> Result<Array2<f32>, DataError> {
    let mut mfcc = Mfcc::new(MfccConfig::react(rate))?;
    let per_frame = (f64::from(rate) / fps).floor();
    // Written so that NaN is refused too; an hour of sound for one frame is no video.
    if !(fps > 0.0 && per_frame <= f64::from(rate) * 3600.0) {
        return Err(DataError::Audio(format!("a frame rate of {fps} frames/s is not understood")));
    }
    let per_frame = per_frame as usize;
    let windows = mfcc.windows(per_frame);
    if windows == 0 {
        let what = format!("a frame of {per_frame} samples ({rate} Hz at {fps} frames/s) is shorter than a window of 25 ms");
        return Err(DataError::Audio(what));
    }
    let mut out = Array2::zeros((frames, FEATURES_PER_WINDOW * windows));
    let (length, shift) = (mfcc.tables.window.len(), mfcc.tables.shift);
    let mut frame = vec![0.0; per_frame];
    let mut cepstra = [0.0; CEPSTRA];
    for (index, mut row) in out.outer_iter_mut().enumerate() {
        let own = samples.get(index.saturating_mul(per_frame)..).unwrap_or_default();
        let own = &own[..own.len().min(per_frame)];
        frame[..own.len()].copy_from_slice(own);
        frame[own.len()..].fill(0.0);
        let Some(row) = row.as_slice_mut() else { continue };
        for window in 0..windows {
            mfcc.window(&frame[window * shift..window * shift + length], &mut cepstra);
            for (c, value) in cepstra.iter().enumerate() {
                row[c * windows + window] = *value;
            }
        }
        let (statics, rest) = row.split_at_mut(CEPSTRA * windows);
        let (first, second) = rest.split_at_mut(CEPSTRA * windows);
        deltas(statics, first, windows);
        deltas(first, second, windows);
    }
    Ok(out)
}

/// 5-point regression Σ k·x\[t+k\] / 10 over k = −2…2 along rows of `windows` values, edges replicated.
fn deltas(values: &[f32], out: &mut [f32], windows: usize) {
    for (values, out) in values.chunks_exact(windows).zip(out.chunks_exact_mut(windows)) {
        for (t, out) in out.iter_mut().enumerate() {
            let at = |k: isize| values[t.saturating_add_signed(k).min(windows - 1)];
            *out = ((at(1) - at(-1)) + 2.0 * (at(2) - at(-2))) / 10.0;
        }
    }
}

/// Σ a·b in eight running sums: the order that processors add fast in, and always the same.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let mut lanes = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

/// Σ a, added as [`dot`] does.
fn sum(a: &[f32]) -> f32 {
    let (a, rest) = a.as_chunks::<8>();
    let mut lanes = [0.0f32; 8];
    for a in a {
        for (lane, a) in lanes.iter_mut().zip(a) {
            *lane += a;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn fixture(name: &str) -> PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/audio")).join(name)
    }

    /// Largest difference from the reference, whose shape must be ours.
    fn worst(ours: &Array2<f32>, reference: &str) -> f32 {
        let theirs = react_store::read_npy_f32(&fixture(reference)).unwrap();
        assert_eq!(ours.shape(), theirs.shape());
        ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn features_per_frame_are_the_published_ones() {
        for name in ["speech_16k_mono", "speech_44k_mono", "speech_44k_stereo_short"] {
            let audio = react_media::read_audio(&fixture(&format!("{name}.wav"))).unwrap();
            let ours = mfcc_per_frame(&audio.mono(), audio.rate, 30, 25.0).unwrap();
            let worst = worst(&ours, &format!("{name}.mfcc.npy"));
            assert!(worst < 2e-3, "{name}: {worst}");
        }
    }

    #[test]
    fn features_of_a_file_are_eris() {
        let audio = react_media::read_audio(&fixture("speech_16k_mono.wav")).unwrap();
        let worst = worst(&mfcc(&audio.mono(), MfccConfig::eri(audio.rate)).unwrap(), "speech_16k_mono.eri_mfcc.npy");
        assert!(worst < 2e-3, "{worst}");
    }

    #[test]
    fn deltas_of_a_ramp_and_of_one_window() {
        let mut out = [0.0; 5];
        deltas(&[0.0, 1.0, 2.0, 3.0, 4.0], &mut out, 5);
        assert_eq!(out, [0.5, 0.8, 1.0, 0.8, 0.5]);
        let mut one = [9.0];
        deltas(&[3.0], &mut one, 1);
        assert_eq!(one, [0.0]);
        // Two windows, as at 25 frames/s: ±2 reach the edges, so both deltas are 0.3·(x1 − x0).
        let mut two = [0.0; 2];
        deltas(&[1.0, 2.0], &mut two, 2);
        assert!((two[0] - 0.3).abs() < 1e-7 && (two[1] - 0.3).abs() < 1e-7, "{two:?}");
    }

    #[test]
    fn at_30_frames_a_second_a_frame_holds_one_window() {
        let features = mfcc_per_frame(&[0.25; 4410], 44_100, 3, 30.0).unwrap();
        assert_eq!(features.dim(), (3, 39));
    }

    #[test]
    fn what_cannot_be_is_an_error() {
        let error = |rate, fps| mfcc_per_frame(&[0.0; 100], rate, 2, fps).unwrap_err().to_string();
        assert_eq!(
            error(44_100, 60.0),
            "audio features: a frame of 735 samples (44100 Hz at 60 frames/s) is shorter than a window of 25 ms"
        );
        assert_eq!(error(0, 25.0), "audio features: a sampling rate of 0 Hz is not understood (1,000 to 768,000)");
        for fps in [0.0, -25.0, f64::NAN, 1e-9] {
            assert!(error(44_100, fps).contains("frame rate of"), "{fps}");
        }
        assert!(mfcc(&[0.0; 100], MfccConfig { cepstra: 41, ..MfccConfig::eri(16_000) }).is_err());
        assert_eq!(mfcc(&[0.0; 399], MfccConfig::eri(16_000)).unwrap().dim(), (0, 40));
    }
}
