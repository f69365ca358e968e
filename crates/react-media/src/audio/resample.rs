use crate::MediaError;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

/// The highest rate that is resampled, in Hz; it bounds the length of the filter.
const MAX_RATE: u32 = 768_000;

/// Resamples mono sound from one rate (Hz) to another, with a band-limited filter in the frequency domain.
///
/// The result has ⌈len · to / from⌉ samples and no delay.
///
/// ```
/// let second = vec![0.25; 44_100];
/// let resampled = react_media::resample(&second, 44_100, 16_000)?;
/// assert_eq!(resampled.len(), 16_000);
/// assert!((resampled[8_000] - 0.25).abs() < 1e-4);
/// # Ok::<(), react_media::MediaError>(())
/// ```
///
/// # Errors
/// Where a rate is 0 or above 768 kHz.
pub fn resample(samples: &[f32], from: u32, to: u32) -> Result<Vec<f32>, MediaError> {
    if from == 0 || to == 0 || from > MAX_RATE || to > MAX_RATE {
        return Err(MediaError::Argument(format!("cannot resample from {from} Hz to {to} Hz")));
    }
    if from == to || samples.is_empty() {
        return Ok(samples.to_vec());
    }
    let failed = |why: &dyn std::fmt::Display| MediaError::Argument(format!("cannot resample from {from} Hz to {to} Hz: {why}"));
    let mut resampler = Fft::<f32>::new(from as usize, to as usize, block(from, to), 1, FixedSync::Both).map_err(|why| failed(&why))?;
    let input = InterleavedSlice::new(samples, 1, samples.len()).map_err(|why| failed(&why))?;
    Ok(resampler.process_all(&input, samples.len(), None).map_err(|why| failed(&why))?.take_data())
}

/// How many samples are transformed at a time: about a thousand, and an even multiple of what both rates can share.
///
/// The filter's middle is half a block away; were a block odd, the sound would be shifted by half a sample.
fn block(from: u32, to: u32) -> usize {
    let (mut gcd, mut rest) = (from, to);
    while rest > 0 {
        (gcd, rest) = (rest, gcd % rest);
    }
    let unit = 2 * (from / gcd) as usize;
    1024usize.div_ceil(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(hz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let count = (f64::from(rate) * seconds) as usize;
        (0..count).map(|i| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin() as f32 * 0.5).collect()
    }

    #[test]
    fn a_sine_stays_a_sine() {
        for (from, to) in [(44_100, 16_000), (16_000, 44_100), (48_000, 44_100), (22_050, 16_000)] {
            let out = resample(&sine(440., from, 1.5), from, to).unwrap();
            let want = sine(440., to, 1.5);
            assert_eq!(out.len(), want.len(), "{from} to {to}");
            // Its ends ring: the sound begins and ends there.
            let inner = 500..want.len() - 500;
            let worst = out[inner.clone()].iter().zip(&want[inner]).map(|(a, b)| (a - b).abs()).fold(0., f32::max);
            assert!(worst < 1e-4, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn blocks_are_even_on_both_sides() {
        assert_eq!(block(44_100, 16_000), 1764);
        assert_eq!(block(48_000, 16_000), 1026);
        assert_eq!(block(44_100, 44_101), 88_200);
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_gone() {
        let out = resample(&sine(9_000., 44_100, 1.), 44_100, 16_000).unwrap();
        let loudest = out[500..out.len() - 500].iter().fold(0f32, |loudest, x| loudest.max(x.abs()));
        assert!(loudest < 1e-3, "{loudest}");
    }

    #[test]
    fn impossible_rates_are_errors() {
        for (from, to) in [(0, 1), (1, 0), (u32::MAX, 44_100)] {
            assert!(resample(&[0.; 4], from, to).is_err());
        }
        assert_eq!(resample(&[1., 2.], 8_000, 8_000).unwrap(), [1., 2.]);
        assert!(resample(&[], 8_000, 16_000).unwrap().is_empty());
    }
}
