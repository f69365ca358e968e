//! Scores for people and for other programs.

use anyhow::Result;
use react_metrics::{Accuracy, Interval, Scores};
use react_viz::table::{csv, latex_row};
use react_viz::{Better, Kind, Metric, Mode, Score, ScoreRow, ScoreTable};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// FRRea, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Realism {
    /// The Fréchet distance, and of what.
    Found { distance: f64, real: usize, generated: usize, features: usize },
    /// Why it was not computed.
    Missing(String),
}

/// Everything that one call found.
pub(crate) struct Found<'a> {
    pub(crate) name: String,
    pub(crate) scores: Option<&'a Scores>,
    pub(crate) accuracy: Option<&'a Accuracy>,
    pub(crate) realism: Realism,
    pub(crate) names: &'a [String],
}

/// A row of the table: a metric in both forms.
struct Line {
    name: &'static str,
    better: Better,
    digits: usize,
    published: Option<f64>,
    interval: Option<Interval>,
    sound: Option<f64>,
    note: &'static str,
}

impl Found<'_> {
    fn lines(&self) -> Vec<Line> {
        use Better::{Higher, Lower, Neither};
        let mut lines = Vec::new();
        let mut line = |name, better, digits, published, interval, sound, note| {
            lines.push(Line { name, better, digits, published, interval, sound, note });
        };
        if let Some(scores) = self.scores {
            let (p, s, i) = (&scores.published, &scores.sound, scores.intervals.as_ref());
            line("FRCorr", Higher, 3, Some(p.fr_corr), i.map(|i| i.fr_corr), Some(s.fr_corr), "sum over samples | mean");
            line("FRDist", Lower, 2, Some(p.fr_dist), i.map(|i| i.fr_dist), Some(s.fr_dist), "sum over samples | mean");
            line("FRDiv", Higher, 4, Some(p.fr_div), i.map(|i| i.fr_div), Some(s.fr_div), "");
            line("FRVar", Higher, 4, Some(p.fr_var), i.map(|i| i.fr_var), Some(s.fr_var), "");
            line("FRDvs", Higher, 4, Some(p.fr_dvs), i.map(|i| i.fr_dvs), Some(s.fr_dvs), "");
            line("FRSyn", Lower, 2, p.fr_syn, i.and_then(|i| i.fr_syn), s.fr_syn, "sample 0, NaN wins | all samples, no NaN");
            line("FRSyn_all", Lower, 2, p.fr_syn_all, i.and_then(|i| i.fr_syn_all), None, "all samples, NaN wins");
        }
        if let Some(found) = self.accuracy {
            line("ACC", Higher, 3, None, None, Some(found.acc), "ours: the published program leaves it empty");
            line("ACC chance", Neither, 3, None, None, Some(found.chance), "share of appropriate pairs");
        }
        let distance = match self.realism {
            Realism::Found { distance, .. } => Some(distance),
            Realism::Missing(_) => None,
        };
        line("FRRea", Lower, 2, distance, None, None, "");
        lines
    }

    /// The table for a terminal: both forms side by side, each column saying which it is.
    pub(crate) fn text(&self) -> String {
        let number = |value: Option<f64>, digits| react_viz::number(value, digits);
        let mut rows = vec![["".to_owned(), "published".to_owned(), "95 % over clips".to_owned(), "sound".to_owned(), "".to_owned()]];
        for line in self.lines() {
            let interval = line
                .interval
                .map_or_else(String::new, |i| format!("[{}, {}]", number(Some(i.low), line.digits), number(Some(i.high), line.digits)));
            let name = format!("{} {}", line.name, line.better.arrow());
            let (published, sound) = (number(line.published, line.digits), number(line.sound, line.digits));
            rows.push([name, published, interval, sound, line.note.to_owned()]);
        }
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let w: Vec<usize> = (0..5).map(width).collect();
        let mut out = String::new();
        match self.scores {
            Some(scores) => {
                let _ = writeln!(out, "{}: {} clips, {} samples each", self.name, scores.clips, scores.samples);
            }
            None => {
                let _ = writeln!(out, "{}", self.name);
            }
        }
        for row in rows {
            let [name, published, interval, sound, note] = row;
            let text = format!("{name:<n$}  {published:>p$}  {interval:>i$}  {sound:>s$}  {note}", n = w[0], p = w[1], i = w[2], s = w[3]);
            let _ = writeln!(out, "{}", text.trim_end());
        }
        let _ = match &self.realism {
            Realism::Found { real, generated, features, .. } => {
                writeln!(out, "FRRea: {real} real and {generated} generated vectors of {features} features")
            }
            Realism::Missing(why) => writeln!(out, "FRRea: not computed: {why}"),
        };
        if let Some(scores) = self.scores {
            let p = &scores.pruning;
            let (share, spared) = (100.0 * p.share(), 100.0 * p.spared());
            let _ = writeln!(out, "FRDist left out {share:.1} % of {} pairs and {spared:.1} % of the terms, provably", p.pairs);
            scores.diagnostics.warnings().iter().for_each(|warning| {
                let _ = writeln!(out, "note: {warning}");
            });
        }
        out.trim_end().to_owned()
    }

    /// The published numbers as flat keys, everything else beside them.
    pub(crate) fn json(&self) -> Result<Value> {
        let mut json = match self.scores {
            Some(scores) => serde_json::to_value(scores)?,
            None => json!({}),
        };
        json["name"] = self.name.clone().into();
        if !self.names.is_empty() {
            json["names"] = self.names.into();
        }
        json["ACC"] = self.accuracy.map(|a| a.acc).into();
        json["accuracy"] = serde_json::to_value(self.accuracy)?;
        (json["FRRea"], json["FRRea_reason"]) = match &self.realism {
            Realism::Found { distance, .. } => ((*distance).into(), Value::Null),
            Realism::Missing(why) => (Value::Null, why.clone().into()),
        };
        if let Realism::Found { real, generated, features, .. } = self.realism {
            json["FRRea_of"] = json!({ "real": real, "generated": generated, "features": features });
        }
        json["warnings"] = self.scores.map(|scores| scores.diagnostics.warnings()).into();
        Ok(json)
    }

    /// One line of a table with a column for each metric, of one form.
    fn table(&self, modes: &[Mode]) -> ScoreTable {
        let (mut metrics, mut scores) = (Vec::new(), Vec::new());
        for mode in modes {
            for line in self.lines() {
                let published = *mode == Mode::Published;
                let interval = line.interval.filter(|_| published).map(|i| (i.low, i.high));
                let value = if published { line.published } else { line.sound };
                let ours = line.name.starts_with("ACC");
                if (published && ours) || (!published && matches!(line.name, "FRSyn_all" | "FRRea")) {
                    continue;
                }
                metrics.push(Metric::new(line.name, *mode, line.better, line.digits, line.note));
                scores.push(Score { value, interval });
            }
        }
        let row = ScoreRow { system: self.name.clone(), kind: Kind::Model, scores, note: None };
        ScoreTable { metrics, rows: vec![row], ..ScoreTable::default() }
    }

    /// A head line and a line with all numbers in full precision.
    pub(crate) fn csv(&self) -> String {
        csv(&self.table(&[Mode::Published, Mode::Sound]))
    }

    /// A row of a LaTeX table for each form, the columns named in comments.
    pub(crate) fn latex(&self) -> String {
        let mut out = String::new();
        for mode in [Mode::Published, Mode::Sound] {
            let table = self.table(&[mode]);
            let names: Vec<&str> = table.metrics.iter().map(|metric| metric.name.as_str()).collect();
            let _ = writeln!(out, "% {}: {}\n{}", mode.label(), names.join(" & "), latex_row(&table, 0));
        }
        out
    }
}

/// Writes a text atomically, where a file is named.
pub(crate) fn write(path: Option<&Path>, text: impl FnOnce() -> Result<String>) -> Result<()> {
    if let Some(path) = path {
        let text = text()?;
        react_store::write_atomic(path, |file| file.write_all(text.as_bytes()))?;
    }
    Ok(())
}
