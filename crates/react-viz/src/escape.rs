//! Text for HTML and XML.

/// `text` with the characters that HTML and XML give a meaning replaced by entities, and control characters by U+FFFD.
///
/// ```
/// assert_eq!(react_viz::escape("<b onclick='x'>&\"\u{7}"), "&lt;b onclick=&#39;x&#39;&gt;&amp;&quot;\u{FFFD}");
/// ```
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !c.is_ascii_whitespace() => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
    out
}
