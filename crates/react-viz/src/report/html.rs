//! The page. All text from outside goes through [`escape`]; drawings were checked when they were made.

use super::scores::{clip_table, score_table};
use super::{Example, Picture, Report, video_name};
use crate::colour::DARK;
use crate::error::VizError;
use crate::escape::escape;
use crate::plots::losses;
use crate::scores::number;
use crate::svg::Figure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Nothing is fetched from anywhere: what the page shows is in it, or lies beside it.
const POLICY: &str =
    "default-src 'none'; img-src data:; media-src data: file: 'self'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The whole page; `folder`: where the videos lie, if not inside.
pub(super) fn page(report: &Report, folder: Option<&str>) -> Result<String, VizError> {
    let sections = sections(report, folder)?;
    let title = escape(&report.title);
    let run = escape(&report.run);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}{}{run}</title>\n<style>\n{}@media (prefers-color-scheme: dark) {{ {DARK} }}\n</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header>\n<h1>{title}</h1>\n",
        if run.is_empty() { "" } else { " – " },
        include_str!("style.css"),
    );
    if !run.is_empty() {
        out.push_str(&format!("<p class=\"run\">Run <strong>{run}</strong></p>\n"));
    }
    out.push_str(&paragraphs(&report.summary, "summary"));
    out.push_str(&facts(&report.facts));
    out.push_str("<nav aria-label=\"Contents\"><ul>\n");
    for section in &sections {
        out.push_str(&format!("<li><a href=\"#{}\">{}</a></li>\n", section.id, section.title));
    }
    out.push_str("</ul></nav>\n</header>\n<main id=\"main\">\n");
    for Section { id, title, body } in &sections {
        out.push_str(&format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{body}</section>\n"
        ));
    }
    out.push_str(&format!("</main>\n<script>\n{}</script>\n</body>\n</html>\n", include_str!("script.js")));
    Ok(out)
}

struct Section {
    id: &'static str,
    title: &'static str,
    body: String,
}

/// The sections that have something to show, in order.
fn sections(report: &Report, folder: Option<&str>) -> Result<Vec<Section>, VizError> {
    let history = if report.history.is_empty() { String::new() } else { figure(&losses(&report.history)?) };
    let examples = report.examples.iter().enumerate().map(|(i, e)| example(i, e, folder)).collect::<String>();
    let clips = report.clips.as_ref().filter(|c| !c.rows.is_empty()).map(|c| clip_table(c, &report.examples)).unwrap_or_default();
    let all = [
        ("scores", "Scores", report.tables.iter().map(score_table).collect()),
        ("examples", "Examples", report.pictures.iter().map(picture).collect::<String>() + &examples),
        ("training", "Training", history),
        ("plots", "Plots", side_by_side(&report.figures)),
        ("clips", "Clip by clip", clips),
        ("again", "Run it again", commands(&report.rerun)),
        ("configuration", "Configuration", folded("The whole configuration", &report.configuration)),
        ("environment", "Environment", environment(&report.environment)),
        ("notes", "Notes", list(&report.notes)),
    ];
    Ok(all.into_iter().filter(|s: &(_, _, String)| !s.2.is_empty()).map(|(id, title, body)| Section { id, title, body }).collect())
}

fn paragraphs(text: &str, class: &str) -> String {
    text.split("\n\n").filter(|p| !p.trim().is_empty()).map(|p| format!("<p class=\"{class}\">{}</p>\n", escape(p.trim()))).collect()
}

fn facts(facts: &[(String, String)]) -> String {
    if facts.is_empty() {
        return String::new();
    }
    let items: String =
        facts.iter().map(|(name, value)| format!("<div><dt>{}</dt><dd>{}</dd></div>\n", escape(name), escape(value))).collect();
    format!("<dl class=\"facts\">\n{items}</dl>\n")
}

/// A figure: title, legend, panels side by side as many as fit.
pub(super) fn figure(figure: &Figure) -> String {
    let widest = figure.panels.iter().map(crate::svg::Svg::width).max().unwrap_or(0);
    let mut out = format!(
        "<figure class=\"plots{}\">\n<figcaption><h3>{}</h3>\n",
        if figure.panels.len() > 1 { " wide" } else { "" },
        escape(&figure.title)
    );
    if !figure.caption.is_empty() {
        out.push_str(&format!("<p>{}</p>\n", escape(&figure.caption)));
    }
    if !figure.keys.is_empty() {
        out.push_str("<ul class=\"keys\">\n");
        for key in &figure.keys {
            out.push_str(&format!(
                "<li><svg width=\"24\" height=\"12\" viewBox=\"0 0 24 12\" aria-hidden=\"true\">{}</svg> {}</li>\n",
                key.swatch(),
                escape(&key.label)
            ));
        }
        out.push_str("</ul>\n");
    }
    out.push_str(&format!("</figcaption>\n<div class=\"panels\" style=\"--panel:{widest}px;--columns:{}\">\n", figure.columns.max(1)));
    figure.panels.iter().for_each(|p| out.push_str(&p.inline()));
    out.push_str("</div>\n</figure>\n");
    out
}

/// Figures of one panel each share a row where there is room.
fn side_by_side(figures: &[Figure]) -> String {
    if figures.is_empty() {
        String::new()
    } else {
        format!("<div class=\"pair\">\n{}</div>\n", figures.iter().map(figure).collect::<String>())
    }
}

fn picture(picture: &Picture) -> String {
    let caption =
        if picture.caption.is_empty() { String::new() } else { format!("<figcaption>{}</figcaption>\n", escape(&picture.caption)) };
    let data = STANDARD.encode(&picture.png);
    format!("<figure class=\"picture\">\n<img alt=\"{}\" src=\"data:image/png;base64,{data}\">\n{caption}</figure>\n", escape(&picture.alt))
}

fn example(i: usize, example: &Example, folder: Option<&str>) -> String {
    let name = escape(&example.name);
    let id = i + 1;
    let mut out = format!(
        "<article class=\"example\" id=\"example-{id}\" aria-labelledby=\"example-{id}-title\">\n<h3 id=\"example-{id}-title\">{name}</h3>\n"
    );
    out.push_str(&paragraphs(&example.caption, "caption"));
    if let Some(video) = &example.video {
        let source = match folder {
            Some(folder) => escape(&percent(&format!("{folder}/{}", video_name(i)))),
            None => format!("data:video/mp4;base64,{}", STANDARD.encode(&video.mp4)),
        };
        out.push_str(&format!(
            "<video controls loop muted playsinline preload=\"metadata\" width=\"{}\" height=\"{}\" aria-label=\"Speaker and listeners of {name}\" src=\"{source}\"></video>\n",
            video.width, video.height
        ));
    }
    if !example.scores.is_empty() {
        out.push_str("<dl class=\"facts small\">\n");
        for (metric, value) in &example.scores {
            out.push_str(&format!(
                "<div><dt>{} {}</dt><dd>{}</dd></div>\n",
                escape(&metric.name),
                metric.better.arrow(),
                number(*value, metric.digits)
            ));
        }
        out.push_str("</dl>\n");
    }
    for (j, plots) in example.figures.iter().enumerate() {
        let open = if i == 0 && j == 0 { " open" } else { "" };
        out.push_str(&format!("<details{open}>\n<summary>{}</summary>\n{}</details>\n", escape(&plots.title), figure(plots)));
    }
    out.push_str("</article>\n");
    out
}

/// A path for a link: what is neither a letter, a digit nor one of `-_./` as %XX.
fn percent(path: &str) -> String {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    path.bytes().map(|b| if safe(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

fn commands(commands: &[String]) -> String {
    if commands.is_empty() {
        return String::new();
    }
    format!("<pre class=\"commands\" tabindex=\"0\"><code>{}</code></pre>\n", escape(&commands.join("\n")))
}

fn folded(title: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    format!(
        "<details>\n<summary>{}</summary>\n<pre tabindex=\"0\"><code>{}</code></pre>\n</details>\n",
        escape(title),
        escape(text.trim_end())
    )
}

fn environment(lines: &[(String, String)]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let rows: String =
        lines.iter().map(|(k, v)| format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>\n", escape(k), escape(v))).collect();
    format!("<div class=\"scroll\"><table class=\"pairs\"><tbody>\n{rows}</tbody></table></div>\n")
}

fn list(notes: &[String]) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let items: String = notes.iter().map(|note| format!("<li>{}</li>\n", escape(note))).collect();
    format!("<ul class=\"notes\">\n{items}</ul>\n")
}
