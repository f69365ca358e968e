use react_random::Draws;
use serde::Serialize;

/// How to draw bootstrap intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Number of resampled sets of clips.
    pub replicates: u32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { replicates: 1000, seed: 0 }
    }
}

/// A 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The 2.5 % quantile.
    pub low: f64,
    /// The 97.5 % quantile.
    pub high: f64,
}

/// 95 % percentile intervals of the means of several measures of the same clips; all see the same resampled clips.
///
/// `measures[m][i]` is measure m of clip i. Draws are keyed by (seed, replicate), so intervals are the same on any number of
/// threads. Source: B. Efron, "Bootstrap methods: another look at the jackknife", 1979 (percentile method).
///
/// ```
/// use react_metrics::{Bootstrap, bootstrap};
/// let same = bootstrap(&[&[2.0, 2.0, 2.0]], Bootstrap::default());
/// assert_eq!((same[0].low, same[0].high), (2.0, 2.0));
/// let spread = bootstrap(&[&[0.0, 1.0, 2.0, 3.0]], Bootstrap { replicates: 500, seed: 7 });
/// assert!(spread[0].low < 1.0 && spread[0].high > 2.0);
/// ```
#[must_use]
pub fn bootstrap(measures: &[&[f64]], how: Bootstrap) -> Vec<Interval> {
    let n = measures.iter().map(|m| m.len()).min().unwrap_or(0);
    let mut means = vec![Vec::with_capacity(how.replicates as usize); measures.len()];
    for replicate in 0..how.replicates {
        let mut draws = Draws::new(how.seed, "metrics.bootstrap", replicate, 0);
        let clips: Vec<usize> = (0..n).map(|_| draws.below(n)).collect();
        for (means, measure) in means.iter_mut().zip(measures) {
            means.push(clips.iter().map(|i| measure[*i]).sum::<f64>() / n as f64);
        }
    }
    means.iter_mut().map(|means| Interval { low: quantile(means, 0.025), high: quantile(means, 0.975) }).collect()
}

/// Linear interpolation between order statistics; NaN of nothing.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = q * values.len().saturating_sub(1) as f64;
    let value = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
    let (low, high) = (value(at.floor() as usize), value(at.ceil() as usize));
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
        assert_eq!(quantile(&mut [0.0, 1.0], 0.25), 0.25);
    }

    #[test]
    fn a_normal_mean_is_covered_at_about_its_rate() {
        // 200 sets of 40 draws around 0: about 95 % of the intervals hold it (percentile intervals run a little narrow).
        let mut draws = Draws::new(1, "test", 0, 0);
        let mut held = 0;
        for set in 0..200 {
            let values: Vec<f64> = (0..40).map(|_| f64::from(draws.normal())).collect();
            let interval = bootstrap(&[&values], Bootstrap { replicates: 200, seed: set })[0];
            held += usize::from(interval.low <= 0.0 && 0.0 <= interval.high);
        }
        assert!((176..=198).contains(&held), "{held} of 200");
    }
}
