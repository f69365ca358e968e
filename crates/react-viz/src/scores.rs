//! Scores of several systems, ready for a table: what is measured, how, and whose numbers they are.

use serde::{Deserialize, Serialize};

/// Which way a metric is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
    /// Neither: it describes.
    Neither,
}

impl Better {
    /// An arrow for a table's head, or nothing.
    #[must_use]
    pub const fn arrow(self) -> &'static str {
        match self {
            Self::Higher => "↑",
            Self::Lower => "↓",
            Self::Neither => "",
        }
    }
}

/// By whose definition a metric is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// The challenge's definition with its artefacts: comparable with published tables.
    Published,
    /// The definition without the artefacts: comparable between clips, sample counts and programs.
    Sound,
}

impl Mode {
    /// The word that tables use.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Sound => "sound",
        }
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// The name, as papers print it.
    pub name: String,
    /// By whose definition.
    pub mode: Mode,
    /// Which way it is read.
    pub better: Better,
    /// Digits after the point.
    pub digits: usize,
    /// One sentence that says what it measures; shown where the reader asks.
    pub about: String,
    /// Whether it is a difference, printed with its sign.
    #[serde(default)]
    pub signed: bool,
}

impl Metric {
    /// A metric of any name.
    #[must_use]
    pub fn new(name: &str, mode: Mode, better: Better, digits: usize, about: &str) -> Self {
        Self { name: name.to_owned(), mode, better, digits, about: about.to_owned(), signed: false }
    }

    /// The difference of this metric between two systems: printed with its sign, read the same way.
    #[must_use]
    pub fn difference(&self, name: &str) -> Self {
        Self { name: name.to_owned(), signed: true, ..self.clone() }
    }

    /// A value as the metric's tables print it.
    #[must_use]
    pub fn print(&self, value: Option<f64>) -> String {
        if self.signed { signed(value, self.digits) } else { number(value, self.digits) }
    }

    /// The six metrics of the REACT challenge that need no network, in the order of its tables and by its definitions:
    /// FRCorr, FRDist, FRDiv, FRVar, FRDvs, FRSyn.
    #[must_use]
    pub fn react() -> Vec<Self> {
        use Better::{Higher, Lower};
        let published = |name, better, digits, about| Self::new(name, Mode::Published, better, digits, about);
        vec![
            published("FRCorr", Higher, 3, "Concordance with the best appropriate real reaction, summed over the samples."),
            published("FRDist", Lower, 2, "Time-warped distance to the nearest appropriate real reaction, summed over the samples."),
            published("FRDiv", Higher, 4, "Mean squared difference between the samples of one clip."),
            published("FRVar", Higher, 4, "Variance over time."),
            published("FRDvs", Higher, 4, "Mean squared difference between reactions to different speakers."),
            published("FRSyn", Lower, 2, "Frames of lag at which the reaction correlates most with the speaker."),
        ]
    }
}

/// One number of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The number; `None`, NaN and infinities print as a dash.
    pub value: Option<f64>,
    /// Its interval, low and high.
    pub interval: Option<(f64, f64)>,
}

impl Score {
    /// A number with its interval.
    #[must_use]
    pub const fn with_interval(value: f64, low: f64, high: f64) -> Self {
        Self { value: Some(value), interval: Some((low, high)) }
    }

    /// The value, where it is a finite number.
    #[must_use]
    pub fn finite(&self) -> Option<f64> {
        self.value.filter(|v| v.is_finite())
    }
}

impl From<f64> for Score {
    fn from(value: f64) -> Self {
        Self { value: Some(value), interval: None }
    }
}

impl From<Option<f64>> for Score {
    fn from(value: Option<f64>) -> Self {
        Self { value, interval: None }
    }
}

/// Whose numbers a row holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// This run.
    Model,
    /// This run with something taken away: shuffled speakers, no sound, no picture.
    Control,
    /// A naive baseline.
    Baseline,
    /// The real listeners.
    Truth,
    /// Fresh draws from the process that made the data.
    Oracle,
    /// Numbers from a publication, not computed here.
    Published,
    /// What one row has more than another.
    Difference,
}

impl Kind {
    /// The word that tables use.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Model => "this run",
            Self::Control => "control",
            Self::Baseline => "baseline",
            Self::Truth => "ground truth",
            Self::Oracle => "oracle",
            Self::Published => "from a paper",
            Self::Difference => "difference",
        }
    }

    /// Whether the row takes part in the search for the best number of a column.
    const fn competes(self) -> bool {
        matches!(self, Self::Model | Self::Baseline)
    }
}

/// One row of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoreRow {
    /// The system's name.
    pub system: String,
    /// Whose numbers these are.
    pub kind: Kind,
    /// One number a metric, in the table's order; missing ones at the end print as a dash.
    pub scores: Vec<Score>,
    /// A remark on this row: where the numbers come from, what was taken away.
    pub note: Option<String>,
}

impl ScoreRow {
    /// A row without intervals or a note.
    #[must_use]
    pub fn new(system: &str, kind: Kind, values: &[Option<f64>]) -> Self {
        Self { system: system.to_owned(), kind, scores: values.iter().map(|&v| v.into()).collect(), note: None }
    }

    /// The score of one column; a dash where the row ends before it.
    #[must_use]
    pub fn score(&self, column: usize) -> Score {
        self.scores.get(column).copied().unwrap_or_default()
    }
}

/// Systems × metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreTable {
    /// What the table shows, for instance the split and the number of samples.
    pub title: String,
    /// What a reader must know to read it: the source of the intervals, of the published numbers, …
    pub caption: String,
    /// The columns.
    pub metrics: Vec<Metric>,
    /// The rows, in the order in which they are shown.
    pub rows: Vec<ScoreRow>,
}

impl ScoreTable {
    /// Whether `row` holds the best number of `column` among this run and the baselines, as it would be printed.
    /// Metrics without a direction have no best number, and neither has a column where all agree.
    ///
    /// ```
    /// use react_viz::{Kind, Metric, ScoreRow, ScoreTable};
    /// let mut table = ScoreTable { metrics: Metric::react(), ..Default::default() };
    /// table.rows.push(ScoreRow::new("real", Kind::Truth, &[Some(8.73)]));
    /// table.rows.push(ScoreRow::new("ours", Kind::Model, &[Some(2.1)]));
    /// table.rows.push(ScoreRow::new("mime", Kind::Baseline, &[Some(0.7)]));
    /// assert_eq!((0..3).map(|row| table.is_best(row, 0)).collect::<Vec<_>>(), [false, true, false]);
    /// ```
    #[must_use]
    pub fn is_best(&self, row: usize, column: usize) -> bool {
        let Some(metric) = self.metrics.get(column) else { return false };
        let sign = match metric.better {
            Better::Higher => 1.0,
            Better::Lower => -1.0,
            Better::Neither => return false,
        };
        let competing = |r: &ScoreRow| r.kind.competes().then(|| r.score(column).finite()).flatten();
        let values: Vec<f64> = self.rows.iter().filter_map(competing).collect();
        let Some(best) = values.iter().copied().reduce(|a, b| if b * sign > a * sign { b } else { a }) else { return false };
        let printed = number(Some(best), metric.digits);
        let Some(own) = self.rows.get(row).and_then(competing) else { return false };
        number(Some(own), metric.digits) == printed && values.iter().any(|&v| number(Some(v), metric.digits) != printed)
    }
}

/// A number with `digits` after the point; numbers below the last digit take an exponent, and what is no number is a dash.
///
/// ```
/// use react_viz::number;
/// assert_eq!(number(Some(2.1149), 2), "2.11");
/// assert_eq!(number(Some(0.00002), 2), "2.0e-5");
/// assert_eq!((number(None, 2), number(Some(f64::NAN), 2)), ("–".into(), "–".into()));
/// ```
#[must_use]
pub fn number(value: Option<f64>, digits: usize) -> String {
    let Some(value) = value.filter(|v| v.is_finite()) else { return "–".to_owned() };
    // 0.95: from there on the last digit rounds to 1.
    let least = 0.95 * 10f64.powi(-i32::try_from(digits).unwrap_or(i32::MAX));
    match value.abs() {
        0.0 => format!("{:.digits$}", 0.0),
        size if size < least => format!("{value:.1e}"),
        _ => format!("{value:.digits$}"),
    }
}

/// As [`number`], with a plus where it is positive and a true minus where it is negative: for differences.
///
/// ```
/// use react_viz::signed;
/// assert_eq!((signed(Some(0.25), 2), signed(Some(-0.25), 2), signed(Some(0.0), 2)), ("+0.25".into(), "−0.25".into(), "0.00".into()));
/// ```
#[must_use]
pub fn signed(value: Option<f64>, digits: usize) -> String {
    let size = number(value.map(f64::abs), digits);
    match value.filter(|v| v.is_finite()) {
        Some(v) if v > 0.0 => format!("+{size}"),
        Some(v) if v < 0.0 => format!("−{size}"),
        _ => size,
    }
}
