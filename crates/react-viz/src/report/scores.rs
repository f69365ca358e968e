//! Tables of the report: scores of systems, and scores clip by clip.

use super::{ClipTable, Example, player};
use crate::escape::escape;
use crate::scores::{Better, Kind, Metric, Mode, Score, ScoreRow, ScoreTable, number, signed};

/// Systems × metrics, with the definition over each group of metrics.
pub(super) fn score_table(table: &ScoreTable) -> String {
    let title = escape(if table.title.is_empty() { "Systems" } else { &table.title });
    let mut out = format!("<h3>{title}</h3>\n");
    if !table.caption.is_empty() {
        out.push_str(&format!("<p class=\"caption\">{}</p>\n", escape(&table.caption)));
    }
    out.push_str(&format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}\">\n<table class=\"scores\">\n<thead>\n{}<tr><th scope=\"col\" class=\"name\">System</th>",
        modes(&table.metrics)
    ));
    table.metrics.iter().for_each(|m| out.push_str(&format!("<th scope=\"col\" title=\"{}\">{}</th>", escape(&m.about), heading(m))));
    out.push_str("</tr>\n</thead>\n<tbody>\n");
    for (i, row) in table.rows.iter().enumerate() {
        out.push_str(&score_row(table, i, row));
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    out
}

fn heading(metric: &Metric) -> String {
    let words = match metric.better {
        Better::Higher => "higher is better",
        Better::Lower => "lower is better",
        Better::Neither => "",
    };
    let arrow = metric.better.arrow();
    let arrow =
        if arrow.is_empty() { String::new() } else { format!(" <span class=\"arrow\" role=\"img\" aria-label=\"{words}\">{arrow}</span>") };
    format!("<span class=\"label\">{}</span>{arrow}", escape(&metric.name))
}

/// The row above the heads that says by whose definition the metrics below are computed.
fn modes(metrics: &[Metric]) -> String {
    if metrics.is_empty() {
        return String::new();
    }
    let mut out = "<tr class=\"modes\"><td class=\"name\"></td>".to_owned();
    for group in metrics.chunk_by(|a, b| a.mode == b.mode) {
        let (mode, title) = match group[0].mode {
            Mode::Published => (Mode::Published, "The challenge's own definition, with its artefacts: comparable with published tables"),
            Mode::Sound => (Mode::Sound, "Without the artefacts: comparable between clips, numbers of samples and programs"),
        };
        let label = mode.label();
        out.push_str(&format!(
            "<th scope=\"colgroup\" colspan=\"{}\"><span class=\"badge {label}\" title=\"{title}\">{label} definition</span></th>",
            group.len()
        ));
    }
    out.push_str("</tr>\n");
    out
}

fn score_row(table: &ScoreTable, i: usize, row: &ScoreRow) -> String {
    let kind = row.kind.label();
    let class = kind.replace(' ', "-");
    let mut out = format!("<tr class=\"{class}\"><th scope=\"row\" class=\"name\">{}", escape(&row.system));
    if !row.system.eq_ignore_ascii_case(kind) {
        out.push_str(&format!(" <span class=\"kind\">{kind}</span>"));
    }
    if let Some(note) = &row.note {
        out.push_str(&format!("<span class=\"note\">{}</span>", escape(note)));
    }
    out.push_str("</th>");
    for (column, metric) in table.metrics.iter().enumerate() {
        let score = row.score(column);
        let value = if row.kind == Kind::Difference { difference(metric, score) } else { metric.print(score.value) };
        let value =
            if table.is_best(i, column) { format!("<strong title=\"best of this run and the baselines\">{value}</strong>") } else { value };
        out.push_str(&format!("<td>{value}{}</td>", interval(score, metric.digits)));
    }
    out.push_str("</tr>\n");
    out
}

fn interval(score: Score, digits: usize) -> String {
    match (score.finite(), score.interval) {
        (Some(_), Some((low, high))) => {
            format!("<span class=\"interval\">{} – {}</span>", number(Some(low), digits), number(Some(high), digits))
        }
        _ => String::new(),
    }
}

/// A difference, marked as one for the better or the worse where the metric has a direction.
fn difference(metric: &Metric, score: Score) -> String {
    let value = signed(score.value, metric.digits);
    match (metric.better, score.finite()) {
        _ if number(score.value, metric.digits) == number(Some(0.0), metric.digits) => value,
        (Better::Higher, Some(v)) => format!("<span class=\"{}\">{value}</span>", if v > 0.0 { "gain" } else { "loss" }),
        (Better::Lower, Some(v)) => format!("<span class=\"{}\">{value}</span>", if v < 0.0 { "gain" } else { "loss" }),
        _ => value,
    }
}

/// Clips × metrics; the page's script sorts it by the column whose head is pressed, filters it by name, and opens a row's video below it.
pub(super) fn clip_table(table: &ClipTable, examples: &[Example]) -> String {
    let button = |label: String| format!("<button type=\"button\"><span class=\"order\" aria-hidden=\"true\"></span>{label}</button>");
    let with_video = table.rows.iter().filter(|row| examples.iter().any(|e| e.name == row.clip && e.video.is_some())).count();
    let mut out = format!(
        "<p class=\"caption\">{}</p>\n\
         <div class=\"tools\"><label>Filter <input type=\"search\" class=\"filter\" placeholder=\"part of a clip's name\" autocomplete=\"off\"></label>\
         <output class=\"count\" aria-live=\"polite\">{} clips</output></div>\n\
         <div class=\"scroll tall\" tabindex=\"0\" role=\"region\" aria-label=\"Scores clip by clip\">\n<table class=\"scores sortable\">\n<thead>\n{}<tr>\
         <th scope=\"col\" class=\"name\" aria-sort=\"none\">{}</th>",
        words(with_video, table),
        table.rows.len(),
        modes(&table.metrics),
        button("<span class=\"label\">Clip</span>".to_owned())
    );
    for metric in &table.metrics {
        out.push_str(&format!("<th scope=\"col\" aria-sort=\"none\" title=\"{}\">{}</th>", escape(&metric.about), button(heading(metric))));
    }
    out.push_str("</tr>\n</thead>\n<tbody>\n");
    for row in &table.rows {
        let name = escape(&row.clip);
        let example = examples.iter().position(|e| e.name == row.clip).filter(|&i| player::host(i, &examples[i]).is_some());
        let open = example.map(|i| {
            format!(
                "<button type=\"button\" class=\"play\" data-clip=\"{}\" aria-expanded=\"false\" aria-label=\"Video of {name}\"></button>",
                i + 1
            )
        });
        // Long names break between their parts first.
        let parts = name.replace('/', "/<wbr>");
        out.push_str(&format!("<tr><th scope=\"row\" class=\"name\">{}<span class=\"clip\">{parts}</span></th>", open.unwrap_or_default()));
        for (column, metric) in table.metrics.iter().enumerate() {
            let score = row.scores.get(column).copied().unwrap_or_default();
            let value = score.finite().map(|v| v.to_string()).unwrap_or_default();
            let shown = if metric.signed { difference(metric, score) } else { metric.print(score.value) };
            out.push_str(&format!("<td data-value=\"{value}\">{shown}{}</td>", interval(score, metric.digits)));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    out
}

/// What can be done with the table of clips.
fn words(with_video: usize, table: &ClipTable) -> String {
    let mut words = "Press a column's head to sort by it, again for the other way round.".to_owned();
    match with_video {
        0 => {}
        all if all == table.rows.len() => words.push_str(" ▶ opens a clip's video."),
        some => words.push_str(&format!(" ▶ opens a clip's video: {some} of {} have one.", table.rows.len())),
    }
    if !table.note.is_empty() {
        words.push_str(&format!(" {}", escape(&table.note)));
    }
    words
}
