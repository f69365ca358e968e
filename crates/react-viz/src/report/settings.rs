//! Settings side by side.

use super::Settings;
use crate::escape::escape;

/// Keys × runs.
pub(super) fn table(settings: &Settings) -> String {
    if settings.rows.is_empty() {
        return "<p class=\"caption\">No setting differs.</p>\n".to_owned();
    }
    let heads: String = settings.runs.iter().map(|run| format!("<th scope=\"col\">{}</th>", escape(run))).collect();
    let mut out = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Settings that differ\">\n<table class=\"settings\">\n\
         <thead>\n<tr><th scope=\"col\" class=\"name\">Setting</th>{heads}</tr>\n</thead>\n<tbody>\n"
    );
    for (key, values) in &settings.rows {
        out.push_str(&format!("<tr><th scope=\"row\" class=\"name\"><code>{}</code></th>", escape(key)));
        for i in 0..settings.runs.len() {
            let value = values.get(i).map_or("", String::as_str);
            out.push_str(&if value.is_empty() { "<td>–</td>".to_owned() } else { format!("<td><code>{}</code></td>", escape(value)) });
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    out
}
