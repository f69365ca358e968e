//! Plain vector graphics: what the plots are made of, and the check that a drawing read from a file is no more than that.

use crate::colour::{Colour, DARK};
use crate::error::VizError;
use crate::escape::escape;
use serde::{Deserialize, Serialize};

/// Elements that a drawing may have.
const ELEMENTS: [&str; 9] = ["circle", "g", "line", "path", "polygon", "polyline", "rect", "svg", "text"];
/// Attributes that an element may have: shapes and colours, nothing that links or runs.
const ATTRIBUTES: [&str; 32] = [
    "class",
    "cx",
    "cy",
    "d",
    "dx",
    "dy",
    "fill",
    "fill-opacity",
    "font-family",
    "font-size",
    "font-style",
    "font-weight",
    "height",
    "opacity",
    "points",
    "r",
    "rx",
    "stroke",
    "stroke-dasharray",
    "stroke-linecap",
    "stroke-linejoin",
    "stroke-width",
    "text-anchor",
    "transform",
    "viewBox",
    "width",
    "x",
    "x1",
    "x2",
    "y",
    "y1",
    "y2",
];

/// A drawing: shapes and text, whose ink has the colour of the text around it.
///
/// ```
/// use react_viz::Svg;
/// let dot = Svg::new("a dot", 10, 10, r#"<circle cx="5" cy="5" r="2" fill="currentColor"/>"#.into(), 1)?;
/// assert!(dot.standalone().starts_with("<svg xmlns="));
/// assert!(Svg::new("no", 10, 10, "<script>alert(1)</script>".into(), 1).is_err());
/// # Ok::<(), react_viz::VizError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSvg")]
pub struct Svg {
    label: String,
    width: u32,
    height: u32,
    scale: u32,
    body: String,
}

#[derive(Deserialize)]
struct RawSvg {
    label: String,
    width: u32,
    height: u32,
    scale: u32,
    body: String,
}

impl TryFrom<RawSvg> for Svg {
    type Error = VizError;
    fn try_from(raw: RawSvg) -> Result<Self, VizError> {
        Self::new(&raw.label, raw.width, raw.height, raw.body, raw.scale)
    }
}

impl Svg {
    /// A drawing of `width` × `height` CSS pixels with the elements of `body`, whose units are 1/`scale` pixel.
    /// `label` says in words what it shows, for those who do not see it.
    ///
    /// # Errors
    /// [`VizError::Svg`] where the body is not well-formed or has anything but shapes and text.
    pub fn new(label: &str, width: u32, height: u32, body: String, scale: u32) -> Result<Self, VizError> {
        check(&body).map_err(VizError::Svg)?;
        Ok(Self { label: label.to_owned(), width, height, scale: scale.max(1), body })
    }

    /// Width in CSS pixels.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in CSS pixels.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// What it shows, in words.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The element for use inside an HTML page.
    #[must_use]
    pub fn inline(&self) -> String {
        let label = escape(&self.label);
        format!("<svg class=\"plot\" role=\"img\" aria-label=\"{label}\" {}>\n{}</svg>\n", self.frame(), self.body)
    }

    /// A file of its own, dark on light pages and light on dark ones.
    #[must_use]
    pub fn standalone(&self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" {}>\n<title>{}</title>\n<style>:root{{color:#1f2328}}@media (prefers-color-scheme:dark){{:root{{color:#e6e6e6}}{DARK}}}</style>\n{}</svg>\n",
            self.frame(),
            escape(&self.label),
            self.body
        )
    }

    /// A drawing whose ink is `ink`, its named colours changed by `style`: what a renderer without pages draws.
    pub(crate) fn inked(&self, ink: &str, style: &str) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" color=\"{ink}\" {}>\n<style>{style}</style>\n{}</svg>\n",
            self.frame(),
            self.body
        )
    }

    /// The element inside another drawing, its corner at (`x`, `y`) CSS pixels.
    fn nested(&self, x: u32, y: u32) -> String {
        format!("<svg x=\"{x}\" y=\"{y}\" {}>\n{}</svg>\n", self.frame(), self.body)
    }

    fn frame(&self) -> String {
        let Self { width, height, scale, .. } = self;
        format!("width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {} {}\" stroke-linejoin=\"round\"", width * scale, height * scale)
    }
}

/// How a series is drawn in a legend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyShape {
    /// A line.
    Line,
    /// A thin, faint line.
    Thin,
    /// A broken line.
    Dashed,
    /// An area.
    Area,
    /// A paler area.
    Pale,
    /// A filled circle.
    Dot,
    /// A filled square.
    Square,
    /// A filled square on its corner.
    Diamond,
}

/// One entry of a legend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What the series is.
    pub label: String,
    /// Its colour.
    pub colour: Colour,
    /// Its line.
    pub shape: KeyShape,
}

impl Key {
    pub(crate) fn new(label: &str, colour: Colour, shape: KeyShape) -> Self {
        Self { label: label.to_owned(), colour, shape }
    }

    /// The swatch, 24 × 12 units.
    pub(crate) fn swatch(&self) -> String {
        let (colour, name) = (self.colour.css(), self.colour.name());
        let line = |more: &str| format!("<line class=\"s-{name}\" x1=\"1\" y1=\"6\" x2=\"23\" y2=\"6\" stroke=\"{colour}\" {more}/>");
        let area = |opacity: &str| {
            format!("<rect class=\"f-{name}\" x=\"1\" y=\"1\" width=\"22\" height=\"10\" fill=\"{colour}\" opacity=\"{opacity}\"/>")
        };
        match self.shape {
            KeyShape::Line => line("stroke-width=\"2.5\""),
            KeyShape::Thin => line("stroke-width=\"1.2\" opacity=\"0.8\""),
            KeyShape::Dashed => line("stroke-width=\"2\" stroke-dasharray=\"6 3\""),
            KeyShape::Dot => format!("<circle class=\"f-{name}\" cx=\"12\" cy=\"6\" r=\"4\" fill=\"{colour}\"/>"),
            KeyShape::Square => {
                format!("<rect class=\"f-{name}\" x=\"8\" y=\"2\" width=\"8\" height=\"8\" fill=\"{colour}\"/>")
            }
            KeyShape::Diamond => format!("<polygon class=\"f-{name}\" points=\"7,6 12,1 17,6 12,11\" fill=\"{colour}\"/>"),
            KeyShape::Area => area("0.68"),
            KeyShape::Pale => area("0.28"),
        }
    }
}

/// Panels with a legend: what a plot function returns.
///
/// A report lays the panels out itself; [`Figure::svg`] puts them into one drawing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// The legend.
    pub keys: Vec<Key>,
    /// The panels, of one size.
    pub panels: Vec<Svg>,
    /// How many panels a row has where there is room.
    pub columns: usize,
}

impl Figure {
    /// All panels in one drawing, [`Figure::columns`] a row, title and legend above them.
    ///
    /// # Errors
    /// Where the figure has no panels.
    pub fn svg(&self) -> Result<Svg, VizError> {
        const GAP: u32 = 8;
        let (width, height) = match self.panels.first() {
            Some(_) => (self.panels.iter().map(Svg::width).max().unwrap_or(0), self.panels.iter().map(Svg::height).max().unwrap_or(0)),
            None => return Err(VizError::Empty { what: format!("figure {:?}", self.title) }),
        };
        let columns = self.columns.clamp(1, self.panels.len());
        let full = columns as u32 * (width + GAP) - GAP;
        let mut body = format!(
            "<text x=\"4\" y=\"18\" font-family=\"sans-serif\" font-size=\"15\" font-weight=\"bold\" fill=\"currentColor\">{}</text>\n",
            escape(&self.title)
        );
        let (mut x, mut y) = (4, 30);
        for key in &self.keys {
            let wide = 36 + 7 * key.label.chars().count() as u32;
            if x > 4 && x + wide > full {
                (x, y) = (4, y + 18);
            }
            body.push_str(&format!(
                "<g transform=\"translate({x} {y})\">{}<text x=\"29\" y=\"10\" font-family=\"sans-serif\" font-size=\"12\" fill=\"currentColor\">{}</text></g>\n",
                key.swatch(),
                escape(&key.label)
            ));
            x += wide;
        }
        let top = if self.keys.is_empty() { 28 } else { y + 22 };
        for (i, panel) in self.panels.iter().enumerate() {
            let (row, column) = ((i / columns) as u32, (i % columns) as u32);
            body.push_str(&panel.nested(column * (width + GAP), top + row * (height + GAP)));
        }
        let rows = self.panels.len().div_ceil(columns) as u32;
        Svg::new(&self.title, full, top + rows * (height + GAP) - GAP, body, 1)
    }

    /// Writes [`Figure::svg`] as a file.
    ///
    /// # Errors
    /// Where the figure has no panels or the file cannot be written.
    pub fn write_svg(&self, path: &std::path::Path) -> Result<(), VizError> {
        let text = self.svg()?.standalone();
        Ok(react_store::write_atomic(path, |w| w.write_all(text.as_bytes()))?)
    }
}

/// Whether `body` is a sequence of well-formed elements of shapes and text.
fn check(body: &str) -> Result<(), String> {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        check_text(&rest[..at])?;
        let (tag, after) = rest[at + 1..].split_once('>').ok_or("an element does not end")?;
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim_end()) {
                return Err(format!("</{name}> closes nothing"));
            }
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_ascii_whitespace().next().unwrap_or("");
        if !ELEMENTS.contains(&name) {
            return Err(format!("<{name}> is neither a shape nor text"));
        }
        check_attributes(name, &tag[name.len()..])?;
        if !closed {
            open.push(name);
        }
    }
    check_text(rest)?;
    open.pop().map_or(Ok(()), |name| Err(format!("<{name}> is not closed")))
}

fn check_attributes(element: &str, text: &str) -> Result<(), String> {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let malformed = || format!("<{element}> has a malformed attribute at {:?}", rest.chars().take(20).collect::<String>());
        let (name, after) = rest.split_once("=\"").ok_or_else(malformed)?;
        let (value, after) = after.split_once('"').ok_or_else(malformed)?;
        if !ATTRIBUTES.contains(&name) {
            return Err(format!("<{element}> has the attribute {name:?}, which no drawing needs"));
        }
        // A reference to something outside could be fetched.
        if value.contains("url") || value.contains('\\') {
            return Err(format!("<{element}> refers to something outside"));
        }
        check_text(value)?;
        rest = after.trim_start();
    }
    Ok(())
}

/// Text whose ampersands all begin one of XML's own entities, without control characters.
fn check_text(text: &str) -> Result<(), String> {
    for part in text.split('&').skip(1) {
        if !["amp;", "lt;", "gt;", "quot;", "apos;", "#39;"].iter().any(|entity| part.starts_with(entity)) {
            return Err("a bare ampersand".to_owned());
        }
    }
    match text.chars().find(|c| c.is_control() && !c.is_ascii_whitespace()) {
        Some(c) => Err(format!("the control character {c:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Result<Svg, VizError> {
        Svg::new("", 1, 1, text.to_owned(), 1)
    }

    #[test]
    fn only_shapes_and_text_pass() {
        for good in ["", "<g><text x=\"1\">a &amp; b</text></g>", "<line x1=\"0\" y1=\"0\" x2=\"1\" y2=\"2\"/>\n"] {
            body(good).unwrap();
        }
        for bad in [
            "<g>",
            "</g>",
            "<g></text>",
            "<rect",
            "<script>x</script>",
            "<rect onclick=\"x\"/>",
            "<rect fill=url(http://x)/>",
            "<rect fill=\"url(http://x)\"/>",
            "<image href=\"x\"/>",
            "<text>a & b</text>",
            "<text>\u{0}</text>",
            "<style>*{}</style>",
            "<!-- -->",
            "<svg:script></svg:script>",
        ] {
            assert!(body(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_drawing_from_a_file_is_checked() {
        let good = body("<g></g>").unwrap();
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<Svg>(&text).unwrap(), good);
        assert!(serde_json::from_str::<Svg>(&text.replace("<g></g>", "<script></script>")).is_err());
    }

    #[test]
    fn a_figure_lays_out_its_panels() {
        let panel = |label: &str| Svg::new(label, 100, 50, format!("<text x=\"0\" y=\"9\">{label}</text>"), 3).unwrap();
        let keys = vec![Key::new("<speaker>", Colour::Blue, KeyShape::Line)];
        let figure =
            Figure { title: "a & b".into(), caption: String::new(), keys, panels: ["p", "q", "r"].map(panel).to_vec(), columns: 2 };
        let svg = figure.svg().unwrap();
        assert_eq!((svg.width(), svg.height()), (208, 52 + 108));
        let text = svg.standalone();
        assert!(text.contains("&lt;speaker&gt;") && text.contains("a &amp; b") && text.contains("<svg x=\"108\" y=\"52\""));
        assert!(Figure::default().svg().is_err());
    }
}
