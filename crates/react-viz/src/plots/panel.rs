//! One panel: axes, and lines, bands and bars in it, through `plotters` into SVG.

use super::axis::Axis;
use super::series::{runs, thin};
use crate::colour::{Colour, hex};
use crate::error::VizError;
use crate::svg::Svg;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// `plotters` places points on whole units; three of them are one CSS pixel.
const SCALE: u32 = 3;

/// How a line is drawn: width in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen {
    pub(crate) colour: Colour,
    pub(crate) width: f64,
    pub(crate) opacity: f64,
    pub(crate) dashed: bool,
}

impl Pen {
    pub(crate) const fn new(colour: Colour, width: f64) -> Self {
        Self { colour, width, opacity: 1.0, dashed: false }
    }

    pub(crate) const fn faint(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    const fn solid(self) -> Self {
        Self { opacity: 1.0, ..self }
    }

    pub(crate) const fn dashed(self) -> Self {
        Self { dashed: true, ..self }
    }
}

/// What stands in a panel, in the order in which it is drawn.
#[derive(Clone, Debug)]
pub(crate) enum Mark {
    /// A line through points.
    Line(Vec<(f64, f64)>, Pen),
    /// A line at one height, with a word at its right end.
    Level(f64, Pen, String),
    /// A vertical line.
    Upright(f64, Pen),
    /// The area between two lines: x, low, high.
    Band(Vec<(f64, f64, f64)>, Pen),
    /// Bars from zero: left, right, height.
    Bars(Vec<(f64, f64, f64)>, Pen),
    /// A filled circle of a radius in CSS pixels.
    Dot((f64, f64), f64, Pen),
    /// A filled sign of half a width in CSS pixels.
    Sign((f64, f64), f64, Sign, Pen),
}

/// Signs beside circles, so that series differ without their colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    Circle,
    Square,
    Diamond,
}

/// A panel before it is drawn; sizes in CSS pixels.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Height of the ticks' text.
    pub(crate) font: f64,
    /// Whether the title stands above the panel.
    pub(crate) heading: bool,
    /// Room for names of levels at the right.
    pub(crate) right: u32,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) marks: Vec<Mark>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plot<'a> = DrawingArea<SVGBackend<'a>, Cartesian2d<Ticked, Ticked>>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// An axis as `plotters` wants it, with our ticks.
struct Ticked {
    place: RangedCoordf64,
    ticks: Vec<f64>,
}

impl From<&Axis> for Ticked {
    fn from(axis: &Axis) -> Self {
        Self { place: (axis.low..axis.high).into(), ticks: axis.ticks.clone() }
    }
}

impl Ranged for Ticked {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.place.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() { Vec::new() } else { self.ticks.clone() }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.place.range()
    }
}

impl Panel {
    /// The panel as SVG.
    pub(crate) fn draw(&self) -> Result<Svg, VizError> {
        let mut text = String::new();
        self.draw_into(&mut text).map_err(|e| VizError::Plot { title: self.title.clone(), reason: e.to_string() })?;
        // The element around it is ours.
        let body = text.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>")).map_or("", |(body, _)| body);
        let label = format!("{}: {} over {}", self.title, self.y.label, self.x.label);
        Svg::new(&label, self.width, self.height, page_colours(body.trim_start()), SCALE)
    }

    fn draw_into(&self, text: &mut String) -> Drawn {
        let root = SVGBackend::with_string(text, (self.width * SCALE, self.height * SCALE)).into_drawing_area();
        self.words(&root)?;
        let mut builder = ChartBuilder::on(&root);
        builder.margin_top(self.units(self.top())).margin_right(self.units(self.right()));
        builder.x_label_area_size(self.units(2.75 * self.font)).y_label_area_size(self.units(self.left()));
        let mut chart = builder.build_cartesian_2d(Ticked::from(&self.x), Ticked::from(&self.y))?;
        let (x_text, y_text) = (|v: &f64| self.x.text(*v), |v: &f64| self.y.text(*v));
        let mut mesh = chart.configure_mesh();
        mesh.bold_line_style(self.stroke(Pen::new(Colour::Ink, 0.6).faint(0.16)));
        mesh.axis_style(self.stroke(Pen::new(Colour::Ink, 0.8).faint(0.55))).label_style(self.words_of(self.font, 0.9));
        mesh.x_label_formatter(&x_text).y_label_formatter(&y_text);
        mesh.set_all_tick_mark_size(self.units(2.0)).draw()?;
        let plot = chart.plotting_area();
        self.marks.iter().try_for_each(|mark| self.mark(plot, mark))?;
        self.level_names(&root, plot)?;
        root.present()?;
        Ok(())
    }

    /// Width of the axis' name and numbers at the left.
    fn left(&self) -> f64 {
        let widest = self.y.ticks.iter().map(|&t| self.y.text(t).chars().count()).max().unwrap_or(1);
        1.6 * self.font + 0.6 * self.font * widest as f64 + 6.0
    }

    /// Height of the title.
    fn top(&self) -> f64 {
        if self.heading { 1.55 * self.font + 3.0 } else { 0.6 * self.font }
    }

    /// Room at the right, at least for half of the last tick's text.
    fn right(&self) -> f64 {
        let last = self.x.ticks.last().map_or(0, |&t| self.x.text(t).chars().count());
        f64::from(self.right).max(0.33 * self.font * last as f64 + 2.0)
    }

    fn units(&self, pixels: f64) -> i32 {
        (pixels * f64::from(SCALE)).round() as i32
    }

    fn stroke(&self, pen: Pen) -> ShapeStyle {
        ShapeStyle { color: paint(pen), filled: false, stroke_width: (pen.width * f64::from(SCALE)).round().max(1.0) as u32 }
    }

    fn words_of(&self, size: f64, opacity: f64) -> TextStyle<'static> {
        // `plotters` divides sizes by 1.24 on their way to SVG.
        let font = FontDesc::new(FontFamily::SansSerif, size * 1.24 * f64::from(SCALE), FontStyle::Normal);
        font.color(&paint(Pen::new(Colour::Ink, 1.0).faint(opacity)))
    }

    /// The title and the names of the axes.
    fn words(&self, root: &Area) -> Drawn {
        let (width, height) = (self.width * SCALE, self.height * SCALE);
        let (left, right) = (self.units(self.left()), width as i32 - self.units(self.right()));
        let (top, bottom) = (self.units(self.top()), height as i32 - self.units(2.75 * self.font));
        let title = FontDesc::new(FontFamily::SansSerif, self.font * 1.1 * 1.24 * f64::from(SCALE), FontStyle::Bold);
        let title = title.color(&paint(Pen::new(Colour::Ink, 1.0))).pos(Pos::new(HPos::Left, VPos::Top));
        if self.heading {
            root.draw_text(&clean(&self.title), &title, (left, self.units(1.0)))?;
        }
        let name = self.words_of(self.font, 0.9);
        root.draw_text(
            &clean(&self.x.label),
            &name.pos(Pos::new(HPos::Center, VPos::Bottom)),
            ((left + right) / 2, height as i32 - self.units(1.0)),
        )?;
        let upright = name.transform(FontTransform::Rotate270).pos(Pos::new(HPos::Center, VPos::Top));
        root.draw_text(&clean(&self.y.label), &upright, (self.units(1.0), (top + bottom) / 2))?;
        Ok(())
    }

    fn mark(&self, plot: &Plot, mark: &Mark) -> Drawn {
        let columns = (plot.dim_in_pixel().0 / SCALE) as usize;
        let line = |points: Vec<(f64, f64)>, pen: &Pen| plot.draw(&PathElement::new(points, self.stroke(*pen)));
        match mark {
            Mark::Line(points, pen) => {
                let placed: Vec<_> = points.iter().map(|&(x, y)| (self.x.place(x), self.y.place(y))).collect();
                for run in runs(&placed) {
                    line(thin(&run, columns), pen)?;
                }
            }
            Mark::Level(y, pen, _) => {
                let y = self.y.place(*y);
                if y.is_finite() {
                    line(vec![(self.x.low, y), (self.x.high, y)], pen)?;
                }
            }
            Mark::Upright(x, pen) => line(vec![(*x, self.y.low), (*x, self.y.high)], pen)?,
            Mark::Band(points, pen) => {
                let mut outline = thin(&points.iter().map(|p| (p.0, p.2)).collect::<Vec<_>>(), columns);
                outline.extend(thin(&points.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>(), columns).into_iter().rev());
                plot.draw(&Polygon::new(outline, paint(*pen)))?;
            }
            Mark::Bars(bars, pen) => {
                for &(left, right, height) in bars {
                    plot.draw(&Rectangle::new([(left, 0.0), (right, height)], paint(*pen).filled()))?;
                }
            }
            Mark::Dot(point, radius, pen) => plot.draw(&Circle::new(*point, self.units(*radius), paint(*pen).filled()))?,
            Mark::Sign(point, radius, sign, pen) => {
                let (r, style) = (self.units(*radius), paint(*pen));
                let diamond = r + r / 4;
                match sign {
                    Sign::Circle => plot.draw(&Circle::new(*point, r, style.filled()))?,
                    Sign::Square => plot.draw(&(EmptyElement::at(*point) + Rectangle::new([(-r, -r), (r, r)], style.filled())))?,
                    Sign::Diamond => {
                        let corners = vec![(-diamond, 0), (0, -diamond), (diamond, 0), (0, diamond)];
                        plot.draw(&(EmptyElement::at(*point) + Polygon::new(corners, style)))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The names of the levels, moved apart where they would cover each other.
    fn level_names(&self, root: &Area, plot: &Plot) -> Drawn {
        let mut names: Vec<(i32, &str, Pen)> = Vec::new();
        for mark in &self.marks {
            if let Mark::Level(y, pen, name) = mark
                && self.y.place(*y).is_finite()
            {
                names.push((plot.map_coordinate(&(self.x.high, self.y.place(*y))).1, name, *pen));
            }
        }
        names.sort_by_key(|n| n.0);
        let (line, range) = (self.units(1.15 * self.font), plot.get_pixel_range());
        for i in 1..names.len() {
            names[i].0 = names[i].0.max(names[i - 1].0 + line);
        }
        let mut floor = range.1.end;
        for name in names.iter_mut().rev() {
            name.0 = name.0.min(floor);
            floor = name.0 - line;
        }
        let style = self.words_of(self.font, 1.0).pos(Pos::new(HPos::Left, VPos::Center));
        for (y, name, pen) in names {
            root.draw_text(&clean(name), &style.color(&paint(pen.solid())), (range.0.end + self.units(5.0), y))?;
        }
        Ok(())
    }
}

/// Without the control characters that XML forbids.
fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// The colour while drawing. A broken line is marked by the lowest bit of blue: `plotters` would draw each dash as an element.
fn paint(pen: Pen) -> RGBAColor {
    let [r, g, b] = pen.colour.rgb();
    RGBColor(r, g, b ^ u8::from(pen.dashed)).mix(pen.opacity)
}

/// Replaces the stand-ins of [`paint`]: ink by the page's text colour, marked colours by broken lines; names the others' classes.
fn page_colours(body: &str) -> String {
    let dashes = format!("stroke-dasharray=\"{} {}\"", 5 * SCALE, 3 * SCALE);
    let mut out = body.to_owned();
    for colour in Colour::SERIES.into_iter().chain([Colour::Ink]) {
        let [r, g, b] = colour.rgb();
        let (plain, marked, css, name) = (hex([r, g, b]), hex([r, g, b ^ 1]), colour.css(), colour.name());
        out = out.replace(&format!("stroke=\"{marked}\""), &format!("{dashes} stroke=\"{plain}\"")).replace(&marked, &plain);
        if colour != Colour::Ink {
            out = out.replace(&format!("stroke=\"{plain}\""), &format!("class=\"s-{name}\" stroke=\"{css}\""));
            out = out.replace(&format!("fill=\"{plain}\""), &format!("class=\"f-{name}\" fill=\"{css}\""));
        } else {
            out = out.replace(&plain, &css);
        }
    }
    out
}
