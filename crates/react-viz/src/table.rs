//! Scores as text: for the terminal, for a paper, for a spreadsheet.

use crate::scores::{Mode, ScoreRow, ScoreTable, number};

/// A table for the terminal, in columns of equal width, numbers to the right, intervals in brackets under their numbers, notes
/// below.
///
/// ```
/// use react_viz::{Kind, Metric, ScoreRow, ScoreTable, table};
/// let table = ScoreTable {
///     metrics: Metric::react().into_iter().take(2).collect(),
///     rows: vec![ScoreRow::new("Mime", Kind::Baseline, &[Some(0.71), None])],
///     ..Default::default()
/// };
/// let want = "\
/// System  FRCorr ↑  FRDist ↓
/// ──────────────────────────
/// Mime       0.710         –
/// ";
/// assert_eq!(table::text(&table), want);
/// ```
#[must_use]
pub fn text(table: &ScoreTable) -> String {
    let mut lines: Vec<Vec<String>> = vec![std::iter::once("System".to_owned()).chain(table.metrics.iter().map(heading)).collect()];
    if table.metrics.iter().any(|m| m.mode != Mode::Published) {
        lines.push(std::iter::once(String::new()).chain(table.metrics.iter().map(|m| m.mode.label().to_owned())).collect());
    }
    let heads = lines.len();
    let mut notes = Vec::new();
    for row in &table.rows {
        let values = table.metrics.iter().enumerate().map(|(c, m)| number(row.score(c).value, m.digits));
        lines.push(std::iter::once(named(row, &mut notes)).chain(values).collect());
        let intervals: Vec<_> = (0..table.metrics.len()).map(|c| interval(table, row, c)).collect();
        if intervals.iter().any(|i| !i.is_empty()) {
            lines.push(std::iter::once(String::new()).chain(intervals).collect());
        }
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..=table.metrics.len()).map(width).collect();
    let mut out = String::new();
    for title in [&table.title, &table.caption].into_iter().filter(|t| !t.is_empty()) {
        out.push_str(&plain(title));
        out.push('\n');
    }
    for (i, line) in lines.iter().enumerate() {
        if i == heads {
            out.push_str(&"─".repeat(widths.iter().sum::<usize>() + 2 * table.metrics.len()));
            out.push('\n');
        }
        let mut text = format!("{:<w$}", line[0], w = widths[0]);
        for (cell, w) in line[1..].iter().zip(&widths[1..]) {
            text.push_str(&format!("  {cell:>w$}"));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    for (i, note) in notes.iter().enumerate() {
        out.push_str(&format!("[{}] {note}\n", i + 1));
    }
    out
}

fn heading(metric: &crate::scores::Metric) -> String {
    format!("{} {}", plain(&metric.name), metric.better.arrow()).trim_end().to_owned()
}

/// The system's name, with the number of its note.
fn named(row: &ScoreRow, notes: &mut Vec<String>) -> String {
    let mut name = plain(&row.system);
    if let Some(note) = &row.note {
        notes.push(plain(note));
        name.push_str(&format!(" [{}]", notes.len()));
    }
    name
}

fn interval(table: &ScoreTable, row: &ScoreRow, column: usize) -> String {
    let (score, digits) = (row.score(column), table.metrics[column].digits);
    match (score.finite(), score.interval) {
        (Some(_), Some((low, high))) => format!("[{}, {}]", number(Some(low), digits), number(Some(high), digits)),
        _ => String::new(),
    }
}

/// Without control characters: a name must not steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One row for a LaTeX `tabular`: the system and its numbers, the best of a column in bold.
///
/// ```
/// use react_viz::{Kind, Metric, ScoreRow, ScoreTable, table};
/// let table = ScoreTable {
///     metrics: Metric::react().into_iter().take(2).collect(),
///     rows: vec![ScoreRow::new("ours_v2", Kind::Model, &[Some(2.1), None])],
///     ..Default::default()
/// };
/// assert_eq!(table::latex_row(&table, 0), r"ours\_v2 & 2.100 & -- \\");
/// ```
#[must_use]
pub fn latex_row(table: &ScoreTable, row: usize) -> String {
    let Some(scores) = table.rows.get(row) else { return String::new() };
    let mut out = latex_escape(&scores.system);
    for (column, metric) in table.metrics.iter().enumerate() {
        let value = number(scores.score(column).value, metric.digits);
        let value = match value.split_once('e') {
            _ if value == "–" => "--".to_owned(),
            Some((mantissa, exponent)) => format!(r"${mantissa}\cdot 10^{{{exponent}}}$"),
            None => value,
        };
        out.push_str(&if table.is_best(row, column) { format!(r" & \textbf{{{value}}}") } else { format!(" & {value}") });
    }
    out.push_str(r" \\");
    out
}

/// The whole table as a LaTeX `tabular` (package `booktabs`).
#[must_use]
pub fn latex(table: &ScoreTable) -> String {
    let mut out = format!("\\begin{{tabular}}{{l{}}}\n\\toprule\nSystem", "r".repeat(table.metrics.len()));
    for metric in &table.metrics {
        let arrow = match metric.better.arrow() {
            "↑" => r" $\uparrow$",
            "↓" => r" $\downarrow$",
            _ => "",
        };
        let mode = if metric.mode == Mode::Published { "" } else { " (sound)" };
        out.push_str(&format!(" & {}{mode}{arrow}", latex_escape(&metric.name)));
    }
    out.push_str(" \\\\\n\\midrule\n");
    for row in 0..table.rows.len() {
        out.push_str(&latex_row(table, row));
        out.push('\n');
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n");
    out
}

fn latex_escape(text: &str) -> String {
    let mut out = String::new();
    for c in plain(text).chars() {
        match c {
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => out.extend(['\\', c]),
            '~' => out.push_str(r"\textasciitilde{}"),
            '^' => out.push_str(r"\textasciicircum{}"),
            '\\' => out.push_str(r"\textbackslash{}"),
            c => out.push(c),
        }
    }
    out
}

/// The whole table as CSV (RFC 4180, comma, point, full precision): a line a system, with `low` and `high` columns for metrics
/// that have an interval anywhere. A number that is not there is an empty field.
#[must_use]
pub fn csv(table: &ScoreTable) -> String {
    let with_interval: Vec<bool> = (0..table.metrics.len()).map(|c| table.rows.iter().any(|r| r.score(c).interval.is_some())).collect();
    let mut head = vec!["system".to_owned(), "kind".to_owned()];
    for (metric, &interval) in table.metrics.iter().zip(&with_interval) {
        let name = if metric.mode == Mode::Published { metric.name.clone() } else { format!("{} ({})", metric.name, metric.mode.label()) };
        head.push(name.clone());
        if interval {
            head.extend([format!("{name} low"), format!("{name} high")]);
        }
    }
    let mut out = csv_line(&head);
    for row in &table.rows {
        out.push_str(&csv_row(row, &with_interval));
    }
    out
}

/// One line of [`csv`]: `with_interval` says which metrics have `low` and `high` columns.
#[must_use]
pub fn csv_row(row: &ScoreRow, with_interval: &[bool]) -> String {
    let exact = |v: Option<f64>| v.filter(|v| v.is_finite()).map(|v| v.to_string()).unwrap_or_default();
    let mut fields = vec![row.system.clone(), row.kind.label().to_owned()];
    for (column, &interval) in with_interval.iter().enumerate() {
        let score = row.score(column);
        fields.push(exact(score.value));
        if interval {
            fields.extend([exact(score.interval.map(|i| i.0)), exact(score.interval.map(|i| i.1))]);
        }
    }
    csv_line(&fields)
}

fn csv_line(fields: &[String]) -> String {
    let quote = |f: &String| if f.contains([',', '"', '\n', '\r']) { format!("\"{}\"", f.replace('"', "\"\"")) } else { f.clone() };
    let mut line = fields.iter().map(quote).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}
