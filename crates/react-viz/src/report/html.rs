//! The page. All text from outside goes through [`escape`]; drawings were checked when they were made.

use super::scores::{clip_table, score_table};
use super::{Example, Picture, Report, media, player, settings};
use crate::colour::DARK;
use crate::error::VizError;
use crate::escape::escape;
use crate::plots::losses;
use crate::svg::Figure;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Nothing is fetched from anywhere: what the page shows is in it, or lies beside it. `blob:` is what the page's script makes of its own
/// videos.
const POLICY: &str = "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; media-src blob: data: file: 'self'; \
                      style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/// The page's programs, in the order in which they stand in it.
const SCRIPTS: [&str; 5] = [
    include_str!("script/glb.js"),
    include_str!("script/draw.js"),
    include_str!("script/player.js"),
    include_str!("script/table.js"),
    include_str!("script/page.js"),
];

/// The whole page; `folder`: where the videos lie, if not inside.
pub(super) fn page(report: &Report, folder: Option<&str>) -> Result<String, VizError> {
    let sections = sections(report)?;
    let title = escape(&report.title);
    let run = escape(&report.run);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{title}{}{run}</title>\n<style>\n{}\
         @media screen and (prefers-color-scheme: dark) {{ :root:not([data-theme=\"light\"]) {{ {DARK} }} }}\n\
         @media screen {{ :root[data-theme=\"dark\"] {{ {DARK} }} }}\n\
         </style>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n",
        if run.is_empty() { "" } else { " – " },
        include_str!("style.css"),
    );
    out.push_str(&contents(&sections));
    out.push_str("<header class=\"top\">\n");
    if !run.is_empty() {
        out.push_str(&format!("<p class=\"run\">{run}</p>\n"));
    }
    out.push_str(&format!("<h1>{title}</h1>\n"));
    out.push_str(&paragraphs(&report.summary, "summary"));
    out.push_str(&facts(&report.facts));
    out.push_str("</header>\n<main id=\"main\">\n");
    for Section { id, title, body } in &sections {
        out.push_str(&format!(
            "<section id=\"{id}\" aria-labelledby=\"{id}-title\">\n<h2 id=\"{id}-title\">{title}</h2>\n{body}</section>\n"
        ));
    }
    out.push_str("</main>\n");
    out.push_str(player::TEMPLATE);
    out.push_str(&media::store(report, folder));
    out.push_str(&format!("<script>\n\"use strict\";\n{}</script>\n</body>\n</html>\n", SCRIPTS.concat()));
    Ok(out)
}

/// The bar on top: links to the sections, and the choice of light or dark.
fn contents(sections: &[Section]) -> String {
    let link = |s: &Section| format!("<li><a href=\"#{}\">{}</a></li>\n", s.id, s.title);
    format!(
        "<div class=\"bar\"><nav aria-label=\"Contents\"><ul>\n{}</ul></nav>\
         <button type=\"button\" id=\"theme\" aria-label=\"Switch between light and dark\" title=\"Light or dark\" hidden>◐</button></div>\n",
        sections.iter().map(link).collect::<String>()
    )
}

struct Section {
    id: &'static str,
    title: &'static str,
    body: String,
}

/// The sections that have something to show, in order.
fn sections(report: &Report) -> Result<Vec<Section>, VizError> {
    let history = if report.history.is_empty() { String::new() } else { figure(&losses(&report.history)?) };
    let featured = report.examples.iter().enumerate().filter(|(_, e)| e.featured);
    let examples = featured.enumerate().map(|(place, (i, e))| example(i, e, place == 0)).collect::<String>();
    let clips = report.clips.as_ref().filter(|c| !c.rows.is_empty()).map(|c| clip_table(c, &report.examples)).unwrap_or_default();
    let all = [
        ("scores", "Scores", report.tables.iter().map(score_table).collect()),
        ("settings", "Settings that differ", report.settings.as_ref().map(settings::table).unwrap_or_default()),
        ("examples", "Examples", examples + &report.pictures.iter().map(picture).collect::<String>()),
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

fn example(i: usize, example: &Example, first: bool) -> String {
    let name = escape(&example.name);
    let id = i + 1;
    let mut out = format!(
        "<article class=\"example\" id=\"example-{id}\" aria-labelledby=\"example-{id}-title\">\n<h3 id=\"example-{id}-title\">{name}</h3>\n"
    );
    out.push_str(&paragraphs(&example.caption, "caption"));
    out.push_str(&player::host(i, example).unwrap_or_default());
    if !example.scores.is_empty() {
        out.push_str("<dl class=\"facts small\">\n");
        for (metric, value) in &example.scores {
            out.push_str(&format!(
                "<div><dt>{} {}</dt><dd>{}</dd></div>\n",
                escape(&metric.name),
                metric.better.arrow(),
                metric.print(*value)
            ));
        }
        out.push_str("</dl>\n");
    }
    for (j, plots) in example.figures.iter().enumerate() {
        let open = if first && j == 0 { " open" } else { "" };
        out.push_str(&format!("<details{open}>\n<summary>{}</summary>\n{}</details>\n", escape(&plots.title), figure(plots)));
    }
    out.push_str("</article>\n");
    out
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
