use super::MfccConfig;
use std::f64::consts::PI;

/// Lowest frequency of the first filter in Hz.
const LOW_HZ: f64 = 20.0;
const LIFTER: f64 = 22.0;

/// One triangular filter: its weights of the power spectrum from bin `first` on.
pub(super) struct Filter {
    pub(super) first: usize,
    pub(super) weights: Vec<f32>,
}

/// Everything about a window that does not depend on the signal.
pub(super) struct Tables {
    /// Povey window, 25 ms long.
    pub(super) window: Vec<f32>,
    /// Samples from one window to the next, 10 ms.
    pub(super) shift: usize,
    /// The window's length up to the next power of two.
    pub(super) fft_size: usize,
    pub(super) filters: Vec<Filter>,
    /// DCT with the lifter multiplied in, `[cepstra, mel_bins]`.
    pub(super) dct: Vec<f32>,
    pub(super) cepstra: usize,
}

impl Tables {
    pub(super) fn new(config: MfccConfig) -> Self {
        let length = config.rate as usize * 25 / 1000;
        let fft_size = length.next_power_of_two();
        Self {
            window: povey(length),
            shift: config.rate as usize / 100,
            fft_size,
            filters: mel_filters(config.mel_bins, fft_size, f64::from(config.rate)),
            dct: liftered_dct(config.cepstra, config.mel_bins),
            cepstra: config.cepstra,
        }
    }
}

fn povey(length: usize) -> Vec<f32> {
    let turn = 2.0 * PI / (length as f64 - 1.0);
    (0..length).map(|i| (0.5 - 0.5 * (turn * i as f64).cos()).max(0.0).powf(0.85) as f32).collect()
}

fn mel(hz: f64) -> f64 {
    1127.0 * (hz / 700.0).ln_1p()
}

/// Triangles of equal width in mel, between `LOW_HZ` and Nyquist; the Nyquist bin itself has no weight.
fn mel_filters(count: usize, fft_size: usize, rate: f64) -> Vec<Filter> {
    let (low, high) = (mel(LOW_HZ), mel(rate / 2.0));
    let step = (high - low) / (count as f64 + 1.0);
    let filter = |index: usize| {
        let left = low + index as f64 * step;
        let weight = |bin: usize| {
            let x = mel(bin as f64 * rate / fft_size as f64);
            ((x - left) / step).min((left + 2.0 * step - x) / step).max(0.0) as f32
        };
        let first = (0..fft_size / 2).find(|bin| weight(*bin) > 0.0).unwrap_or(0);
        let weights = (first..fft_size / 2).map(weight).take_while(|weight| *weight > 0.0).collect();
        Filter { first, weights }
    };
    (0..count).map(filter).collect()
}

/// Orthonormal DCT-II rows 0…`cepstra`, row i times 1 + (L/2)·sin(πi/L).
fn liftered_dct(cepstra: usize, bins: usize) -> Vec<f32> {
    let n = bins as f64;
    let row = |i: usize| {
        let scale = if i == 0 { (1.0 / n).sqrt() } else { (2.0 / n).sqrt() };
        let lift = 1.0 + 0.5 * LIFTER * (PI * i as f64 / LIFTER).sin();
        (0..bins).map(move |j| (lift * scale * (PI / n * (j as f64 + 0.5) * i as f64).cos()) as f32)
    };
    (0..cepstra).flat_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_at_44_and_16_khz() {
        let tables = Tables::new(MfccConfig::react(44_100));
        assert_eq!((tables.window.len(), tables.shift, tables.fft_size), (1102, 441, 2048));
        let tables = Tables::new(MfccConfig::eri(16_000));
        assert_eq!((tables.window.len(), tables.shift, tables.fft_size), (400, 160, 512));
    }

    #[test]
    fn filters_cover_the_band_and_the_dct_is_orthonormal() {
        let tables = Tables::new(MfccConfig::react(44_100));
        assert_eq!(tables.filters.len(), 23);
        assert_eq!(tables.filters[0].first, 1); // 21.5 Hz, the first bin above 20 Hz
        assert_eq!(tables.filters[22].first + tables.filters[22].weights.len(), 1024);
        let rows: Vec<_> = tables.dct.chunks_exact(23).collect();
        let norm: f32 = rows[0].iter().map(|x| x * x).sum();
        let across: f32 = rows[0].iter().zip(rows[5]).map(|(a, b)| a * b).sum();
        assert!((norm - 1.0).abs() < 1e-6 && across.abs() < 1e-5, "{norm} {across}");
        assert_eq!((tables.window[0], tables.window[1101]), (0.0, 0.0));
    }
}
