//! The table: what was measured, beside what, and what was asked for.

use serde_json::{Value, json};
use std::fmt::Write;

#[derive(Default)]
pub(super) struct Rows(Vec<Row>);

/// One measurement.
pub(super) struct Row {
    name: String,
    value: Option<f64>,
    unit: &'static str,
    peer: Option<f64>,
    ratio: Option<f64>,
    /// In words.
    asked: Option<String>,
    met: Option<bool>,
}

impl Row {
    pub(super) fn new(name: &str, value: Option<f64>, unit: &'static str) -> Self {
        Self { name: name.to_owned(), value, unit, peer: None, ratio: None, asked: None, met: None }
    }

    fn ask(mut self, words: String, met: Option<bool>) -> Self {
        (self.asked, self.met) = (Some(words), met);
        self
    }

    /// The value itself is bounded.
    pub(super) fn at_most(self, limit: Option<f64>) -> Self {
        let Some(limit) = limit else { return self };
        let met = self.value.map(|value| value <= limit);
        let unit = self.unit;
        self.ask(format!("≤ {limit} {unit}"), met)
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

    /// It ran at all, as was asked.
    pub(super) fn fits(self) -> Self {
        self.ask("fits".to_owned(), Some(true))
    }

    /// It was asked for, and failed.
    pub(super) fn failed(mut self) -> Self {
        self.met = Some(false);
        self
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

impl Rows {
    pub(super) fn add(&mut self, row: Row) {
        self.0.push(row);
    }

    pub(super) fn table(&self) -> String {
        let mut out = "| what | ours | | beside | ratio | asked for | met |\n|---|---|---|---|---|---|---|\n".to_owned();
        for row in &self.0 {
            let peer = row.peer.map_or_else(|| "–".to_owned(), |peer| shown(Some(peer)));
            let ratio = row.ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{}×", shown(Some(ratio))));
            let met = match (&row.asked, row.met) {
                (_, Some(true)) => "yes",
                (_, Some(false)) => "**no**",
                (Some(_), None) => "not known",
                (None, None) => "",
            };
            let asked = row.asked.as_deref().unwrap_or("–");
            // Writing to a string cannot fail.
            let _ = writeln!(out, "| {} | {} | {} | {peer} | {ratio} | {asked} | {met} |", row.name, shown(row.value), row.unit);
        }
        out
    }

    pub(super) fn json(&self) -> Vec<Value> {
        let one = |row: &Row| json!({ "name": row.name, "value": row.value, "unit": row.unit, "peer": row.peer, "ratio": row.ratio, "asked": row.asked, "met": row.met });
        self.0.iter().map(one).collect()
    }
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
        let mut rows = Rows::default();
        rows.add(row().faster(Some(6.0), Some(3.0)));
        rows.add(Row::new("y", None, "MB").at_most(Some(1.0)));
        let table = rows.table();
        assert!(table.contains("| x | 2.00 | ms | 6.00 | 3.00× | ≥ 3× faster | yes |"), "{table}");
        assert!(table.contains("| y | not run | MB | – | – | ≤ 1 MB | not known |"), "{table}");
        assert_eq!(rows.json()[0]["met"], true);
    }
}
