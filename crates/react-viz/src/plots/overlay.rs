use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use super::series::smooth;
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};

/// One run's curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    /// The run.
    pub label: String,
    /// Its points.
    pub points: Vec<(f64, f64)>,
}

/// Curves of several runs over each other, a panel a quantity: long ones as running means, on a logarithmic axis where the numbers
/// stay positive and span more than a factor of 20. A label has one colour in all panels; beyond six runs lines are broken.
///
/// ```
/// use react_viz::plots::{Curve, overlay};
/// let run = |label: &str, end: f64| Curve { label: label.to_owned(), points: vec![(0.0, 9.0), (100.0, end)] };
/// let figure = overlay("Losses", &[("total", vec![run("a", 1.0), run("b", 2.0)])], "training step", "loss")?;
/// assert_eq!(figure.keys.len(), 2);
/// # Ok::<(), react_viz::VizError>(())
/// ```
///
/// # Errors
/// Where no curve has a number.
pub fn overlay(title: &str, panels: &[(&str, Vec<Curve>)], x: &str, y: &str) -> Result<Figure, VizError> {
    let mut labels: Vec<&str> = Vec::new();
    let mut drawn = Vec::with_capacity(panels.len());
    for (heading, curves) in panels {
        let all = || curves.iter().flat_map(|curve| &curve.points).filter(|p| p.0.is_finite() && p.1.is_finite());
        let Some((first, last)) = extent(all().map(|p| p.0)) else { continue };
        let mut marks = Vec::new();
        for curve in curves {
            let place = labels.iter().position(|label| *label == curve.label).unwrap_or_else(|| {
                labels.push(&curve.label);
                labels.len() - 1
            });
            let points: Vec<_> = curve.points.iter().copied().filter(|p| p.0.is_finite() && p.1.is_finite()).collect();
            let points = if points.len() > 60 { smooth(&points, points.len() / 40) } else { points };
            marks.push(Mark::Line(points, look(place).0));
        }
        let (x, y) = (Axis::linear(x, first, last, 4), Axis::log_where_it_helps(y, all().map(|p| p.1), 5));
        drawn.push(
            Panel { title: (*heading).to_owned(), width: 290, height: 200, font: 11.0, heading: true, right: 12, x, y, marks }.draw()?,
        );
    }
    if drawn.is_empty() {
        return Err(VizError::Empty { what: title.to_owned() });
    }
    let keys = labels.iter().enumerate().map(|(i, label)| {
        let (pen, shape) = look(i);
        Key::new(label, pen.colour, shape)
    });
    Ok(Figure { title: title.to_owned(), caption: String::new(), keys: keys.collect(), columns: drawn.len().min(3), panels: drawn })
}

/// How the run `place` is drawn.
fn look(place: usize) -> (Pen, KeyShape) {
    let pen = Pen::new(Colour::SERIES[place % Colour::SERIES.len()], 1.8);
    if place < Colour::SERIES.len() { (pen, KeyShape::Line) } else { (pen.dashed(), KeyShape::Dashed) }
}
