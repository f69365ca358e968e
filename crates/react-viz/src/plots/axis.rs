//! Axes: a range, round ticks, a name with its unit.

/// One axis of a panel. On a logarithmic axis everything but the printed ticks is log₁₀.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// Name and unit.
    pub(crate) label: String,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) log: bool,
    /// Where ticks stand, in the axis' own numbers.
    pub(crate) ticks: Vec<f64>,
    /// The ticks' names, where they are no numbers: tick i stands at i.
    pub(crate) names: Vec<String>,
}

impl Axis {
    /// A linear axis over exactly `low..high`, with about `ticks` round ticks.
    pub(crate) fn linear(label: &str, low: f64, high: f64, ticks: usize) -> Self {
        let (low, high) = widen(low, high);
        Self { label: label.to_owned(), low, high, log: false, ticks: round_ticks(low, high, ticks), names: Vec::new() }
    }

    /// Named places 0, 1, 2, …, the first at the top of an upright axis.
    pub(crate) fn named(label: &str, names: &[&str]) -> Self {
        let places = names.len().max(1);
        Self {
            label: label.to_owned(),
            low: -0.6,
            high: places as f64 - 0.4,
            log: false,
            ticks: (0..names.len()).map(|i| i as f64).collect(),
            names: names.iter().rev().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Where the name `index` of [`Axis::named`] stands.
    pub(crate) fn place_of(&self, index: usize) -> f64 {
        self.names.len().saturating_sub(1 + index) as f64
    }

    /// A linear axis around all of `values`, with a little air.
    pub(crate) fn around(label: &str, values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let air = 0.06 * (high - low);
        Self::linear(label, low - air, high + air, ticks)
    }

    /// Logarithmic where all values are positive and span more than a factor of 20, else linear from `around`.
    pub(crate) fn log_where_it_helps(label: &str, values: impl IntoIterator<Item = f64>, ticks: usize) -> Self {
        let values: Vec<f64> = values.into_iter().filter(|v| v.is_finite()).collect();
        match extent(values.iter().copied()) {
            Some((low, high)) if low > 0.0 && high > 20.0 * low => {
                let (a, b) = (low.log10(), high.log10());
                let air = 0.05 * (b - a);
                let (low, high) = (a - air, b + air);
                Self { label: format!("{label}, log scale"), low, high, log: true, ticks: log_ticks(low, high), names: Vec::new() }
            }
            _ => Self::around(label, values, ticks),
        }
    }

    /// The number for the axis; NaN where it has no place there.
    pub(crate) fn place(&self, value: f64) -> f64 {
        if !self.log {
            value
        } else if value > 0.0 {
            value.log10()
        } else {
            f64::NAN
        }
    }

    /// A tick's text.
    pub(crate) fn text(&self, tick: f64) -> String {
        if !self.names.is_empty() {
            return self.names.get(tick.round().max(0.0) as usize).cloned().unwrap_or_default();
        }
        if self.log {
            return short(10f64.powf(tick));
        }
        let step = self.ticks.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
        let largest = self.ticks.iter().fold(0.0f64, |m, t| m.max(t.abs()));
        if !step.is_finite() || largest >= 1e5 || step < 1e-4 {
            return short(tick);
        }
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let text = format!("{tick:.digits$}");
        // −0 and 0 are the same tick.
        text.strip_prefix('-')
            .filter(|rest| rest.bytes().all(|b| matches!(b, b'0' | b'.')))
            .map(str::to_owned)
            .unwrap_or(text)
            .replace('-', "−")
    }
}

/// The smallest and the largest finite value.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

/// A range that is not empty, as plotting needs.
fn widen(low: f64, high: f64) -> (f64, f64) {
    if !(low.is_finite() && high.is_finite()) {
        (0.0, 1.0)
    } else if high - low > 1e-12 * low.abs().max(high.abs()).max(1e-300) {
        (low, high)
    } else {
        let air = if low == 0.0 { 1.0 } else { 0.5 * low.abs() };
        (low - air, high + air)
    }
}

/// Multiples of 1, 2 or 5 · 10ⁿ within the range, at most `count + 1` of them.
fn round_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    let unit = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().map(|m| m * unit).find(|step| *step >= raw * 0.999).unwrap_or(10.0 * unit);
    let slack = 1e-9 * (high - low);
    let first = ((low - slack) / step).ceil() as i64;
    let last = ((high + slack) / step).floor() as i64;
    (first..=last).map(|i| i as f64 * step).collect()
}

/// Powers of ten, with 2 and 5 between them where the range is short, every second or third where it is long.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let within = |t: &f64| (low..=high).contains(t);
    let decades = (low.floor() as i64)..=(high.ceil() as i64);
    if high - low < 2.0 {
        return decades.flat_map(|d| [1.0f64, 2.0, 5.0].map(|m| m.log10() + d as f64)).filter(within).collect();
    }
    let every = ((high - low) / 5.0).ceil() as i64;
    decades.filter(|d| d.rem_euclid(every) == 0).map(|d| d as f64).filter(within).collect()
}

/// A number in few characters: `0.001`, `250`, `2e6`.
fn short(value: f64) -> String {
    let size = value.abs();
    let text = if value == 0.0 {
        "0".to_owned()
    } else if (0.001..10_000.0).contains(&size) {
        let digits = (1.0 - size.log10().floor()).clamp(0.0, 4.0) as usize;
        let text = format!("{value:.digits$}");
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    } else {
        let text = format!("{value:.1e}");
        text.replacen(".0e", "e", 1)
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&t| axis.text(t)).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(texts(&Axis::linear("", 0.0, 1.0, 4)), ["0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::linear("", -1.0, 1.0, 4)), ["−1.0", "−0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(texts(&Axis::linear("", 0.0, 30.0, 4)), ["0", "10", "20", "30"]);
        assert_eq!(texts(&Axis::linear("", 0.0, 3e6, 4)), ["0", "1e6", "2e6", "3e6"]);
    }

    #[test]
    fn logarithmic_only_where_it_helps() {
        let axis = Axis::log_where_it_helps("loss", [0.01, 1.0, 100.0], 4);
        assert!(axis.log && axis.label == "loss, log scale");
        assert_eq!(texts(&axis), ["0.01", "0.1", "1", "10", "100"]);
        assert_eq!(texts(&Axis::log_where_it_helps("", [1.0, 30.0], 4)), ["1", "2", "5", "10", "20"]);
        assert!(!Axis::log_where_it_helps("", [1.0, 2.0], 4).log);
        assert!(!Axis::log_where_it_helps("", [0.0, 200.0], 4).log);
    }

    #[test]
    fn names_stand_from_the_top() {
        let axis = Axis::named("system", &["first", "second"]);
        assert_eq!(texts(&axis), ["second", "first"]);
        assert_eq!((axis.place_of(0), axis.place_of(1), axis.text(axis.place_of(1))), (1.0, 0.0, "second".to_owned()));
    }

    #[test]
    fn empty_and_constant_ranges_can_be_drawn() {
        for axis in [Axis::around("", [], 4), Axis::around("", [3.0], 4), Axis::around("", [f64::NAN], 4), Axis::linear("", 0.0, 0.0, 4)] {
            assert!(axis.high > axis.low && !axis.ticks.is_empty(), "{axis:?}");
        }
    }
}
