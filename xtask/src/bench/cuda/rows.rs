//! What was measured, beside what, and what was asked for: bench-cuda.json, and the table in docs/performance.md.

use super::programs;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// Kernels that the words below the table name.
const LONGEST: usize = 12;

/// All that a run of the bench says, as it lies in bench-cuda.json.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Report {
    date: String,
    /// The card and its driver.
    card: Value,
    /// The peer's version, where there is one.
    peer: Option<Value>,
    /// What was run.
    pub(super) groups: Vec<String>,
    rows: Vec<Row>,
    /// What went wrong, for the words below the table.
    pub(super) failures: Vec<String>,
    /// What each kernel of a step takes, longest first.
    pub(super) kernels: Vec<Value>,
}

/// One measurement.
#[derive(Serialize, Deserialize)]
pub(super) struct Row {
    name: String,
    value: Option<f64>,
    unit: String,
    peer: Option<f64>,
    ratio: Option<f64>,
    /// In words.
    asked: Option<String>,
    met: Option<bool>,
}

impl Row {
    pub(super) fn new(name: &str, value: Option<f64>, unit: &str) -> Self {
        Self { name: name.to_owned(), value, unit: unit.to_owned(), peer: None, ratio: None, asked: None, met: None }
    }

    fn ask(mut self, words: String, met: Option<bool>) -> Self {
        (self.asked, self.met) = (Some(words), met);
        self
    }

    /// The value itself is bounded.
    pub(super) fn at_most(self, limit: Option<f64>) -> Self {
        let Some(limit) = limit else { return self };
        let met = self.value.map(|value| value <= limit);
        let words = format!("≤ {limit} {}", self.unit);
        self.ask(words, met)
    }

    /// A time beside the peer's: so many times less is asked for.
    pub(super) fn faster(self, peer: Option<f64>, times: Option<f64>) -> Self {
        let ratio = peer.zip(self.value).map(|(peer, value)| peer / value);
        let row = Self { peer, ratio, ..self };
        let Some(times) = times else { return row };
        row.ask(format!("≥ {times}× faster"), ratio.map(|ratio| ratio >= times))
    }

    /// A value that may be at most so many times another.
    pub(super) fn above(self, other: Option<f64>, times: Option<f64>) -> Self {
        let ratio = other.zip(self.value).map(|(other, value)| value / other);
        let row = Self { peer: other, ratio, ..self };
        let Some(times) = times else { return row };
        row.ask(format!("≤ {times}×"), ratio.map(|ratio| ratio <= times))
    }

    /// A rate that must be at least a share of another.
    pub(super) fn at_least_share(self, other: Option<f64>, share: f64) -> Self {
        let ratio = other.zip(self.value).map(|(other, value)| value / other);
        Self { peer: other, ratio, ..self }.ask(format!("≥ {share}×"), ratio.map(|ratio| ratio >= share))
    }

    /// Whether it ran at all, as was asked.
    pub(super) fn fits(self, ran: Option<bool>) -> Self {
        self.ask("fits".to_owned(), ran)
    }

    /// It was asked for, and failed.
    pub(super) fn failed(mut self) -> Self {
        self.met = Some(false);
        self
    }

    /// Whether it was asked for, and has no number.
    pub(super) fn is_wanting(&self) -> bool {
        self.asked.is_some() && self.value.is_none() && self.met.is_none()
    }

    /// Something that holds or does not.
    pub(super) fn holds(name: &str, asked: &str, holds: Option<bool>) -> Self {
        let value = holds.map(|holds| f64::from(u8::from(holds)));
        Self::new(name, value, "1 = yes").ask(asked.to_owned(), holds)
    }
}

/// Three digits that count.
fn shown(value: Option<f64>) -> String {
    let Some(value) = value else { return "not run".to_owned() };
    match value.abs() {
        0.0 => "0".to_owned(),
        x if x < 0.01 => format!("{value:.1e}"),
        x if x < 10.0 => format!("{value:.2}"),
        x if x < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// As a line of the table.
impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let peer = self.peer.map_or_else(|| "–".to_owned(), |peer| shown(Some(peer)));
        let ratio = self.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{}×", shown(Some(ratio))));
        let met = match (&self.asked, self.met) {
            (_, Some(true)) => "yes",
            (_, Some(false)) => "**no**",
            (Some(_), None) => "not known",
            (None, None) => "",
        };
        let asked = self.asked.as_deref().unwrap_or("–");
        write!(f, "| {} | {} | {} | {peer} | {ratio} | {asked} | {met} |", self.name, shown(self.value), self.unit)
    }
}

impl Report {
    pub(super) fn new(card: Value, peer: Option<Value>, failures: Vec<String>) -> Self {
        Self { date: programs::date(), card, peer, failures, ..Self::default() }
    }

    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not what bench cuda writes", path.display()))
    }

    pub(super) fn write(&self, path: &Path) -> Result<()> {
        std::fs::write(path, serde_json::to_string_pretty(self)? + "\n").with_context(|| format!("cannot write {}", path.display()))
    }

    /// Says a row at once: who stops the program has what was measured until then.
    pub(super) fn push(&mut self, row: Row) {
        println!("   {row}");
        self.rows.push(row);
    }

    /// Everything, as Markdown.
    pub(super) fn table(&self) -> String {
        let mut out = format!("{} on {}, {}.", self.date, text_of(&self.card, "device"), text_of(&self.card, "driver"));
        out += &match &self.peer {
            Some(peer) => format!(" The peer is PyTorch {} with cuDNN {}.", text_of(peer, "torch"), peer["cudnn"]),
            None => " The peer, PyTorch, was not run.".to_owned(),
        };
        out += "\n\n| what | ours | | beside | ratio | asked for | met |\n|---|---|---|---|---|---|---|\n";
        out.extend(self.rows.iter().map(|row| format!("{row}\n")));
        if !self.kernels.is_empty() {
            let longest =
                self.kernels.iter().take(LONGEST).map(|line| {
                    format!("{} {:.2} ms ({}×)", text_of(line, "kernel"), line["ms"].as_f64().unwrap_or_default(), line["runs"])
                });
            out += &format!("\nThe offline step's longest kernels, each timed alone: {}.\n", longest.collect::<Vec<_>>().join(", "));
        }
        if !self.failures.is_empty() {
            out += "\nWhat failed:\n\n";
            out.extend(self.failures.iter().map(|failure| format!("- {failure}\n")));
        }
        out
    }
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("unknown").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_whether_what_was_asked_for_is_met() {
        let met = |row: Row| row.met;
        let row = || Row::new("x", Some(2.0), "ms");
        assert_eq!(met(row().faster(Some(6.0), Some(3.0))), Some(true));
        assert_eq!(met(row().faster(Some(5.9), Some(3.0))), Some(false));
        assert_eq!(met(row().faster(None, Some(3.0))), None);
        assert_eq!(met(row().above(Some(1.0), Some(2.5))), Some(true));
        assert_eq!(met(row().above(Some(3.0), Some(0.5))), Some(false));
        assert_eq!(met(row().at_least_share(Some(2.1), 0.9)), Some(true));
        assert_eq!(met(row().at_most(Some(1.5))), Some(false));
        assert_eq!(met(row()), None);
        let mut report = Report::new(serde_json::json!({"device": "a card", "driver": "driver 1"}), None, vec!["y: broke".to_owned()]);
        report.push(row().faster(Some(6.0), Some(3.0)));
        report.push(Row::new("y", None, "MB").at_most(Some(1.0)));
        let table = report.table();
        assert!(table.contains("| x | 2.00 | ms | 6.00 | 3.00× | ≥ 3× faster | yes |"), "{table}");
        assert!(table.contains("| y | not run | MB | – | – | ≤ 1 MB | not known |"), "{table}");
        assert!(table.contains(" on a card, driver 1. The peer, PyTorch, was not run.") && table.ends_with("- y: broke\n"), "{table}");
        let json = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap().table(), table);
    }
}
