use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen, Sign};
use crate::colour::Colour;
use crate::error::VizError;
use crate::scores::Metric;
use crate::svg::{Figure, Key, KeyShape};
use react_contracts::ATTRIBUTES;
use react_contracts::channels::EMOTION;

/// Clips of a system that are drawn at most, evenly chosen among the sorted ones.
const MOST: usize = 300;

/// One system's values of a metric.
#[derive(Clone, Copy, Debug)]
pub struct OfClips<'a> {
    /// The system.
    pub label: &'a str,
    /// A value a clip.
    pub values: &'a [f64],
}

/// Metrics clip by clip for several systems: a panel a metric, a row a system, a dot a clip, an upright line at the mean. The first
/// system is this run's.
///
/// # Errors
/// Where there is no metric, or one has no number.
pub fn systems_by_clip(title: &str, metrics: &[(&Metric, Vec<OfClips<'_>>)]) -> Result<Figure, VizError> {
    let empty = || VizError::Empty { what: title.to_owned() };
    let mut panels = Vec::with_capacity(metrics.len());
    for (metric, systems) in metrics {
        let finite = systems.iter().flat_map(|system| system.values).copied().filter(|v| v.is_finite());
        let (low, high) = extent(finite.chain([0.0])).filter(|_| systems.iter().any(|s| !s.values.is_empty())).ok_or_else(empty)?;
        let names: Vec<&str> = systems.iter().map(|system| system.label).collect();
        let y = Axis::named("", &names);
        let air = 0.04 * (high - low);
        let x = Axis::linear(&format!("{} {} per clip", metric.name, metric.better.arrow()), low - air, high + air, 4);
        let mut marks = Vec::new();
        for (row, system) in systems.iter().enumerate() {
            let colour = if row == 0 { Colour::Blue } else { Colour::Ink };
            marks.extend(strip(system.values, y.place_of(row), colour));
        }
        let height = 66 + 21 * systems.len() as u32;
        let title = metric.name.clone();
        panels.push(Panel { title, width: 330, height, font: 11.0, heading: true, right: 12, x, y, marks }.draw()?);
    }
    if panels.is_empty() {
        return Err(empty());
    }
    let about: Vec<String> = metrics.iter().map(|(metric, _)| metric.about.clone()).filter(|about| !about.is_empty()).collect();
    Ok(Figure {
        title: title.to_owned(),
        caption: about.join(" "),
        keys: vec![
            Key::new("a clip of this run", Colour::Blue, KeyShape::Dot),
            Key::new("a clip of another system", Colour::Ink, KeyShape::Dot),
            Key::new("mean (upright)", Colour::Vermillion, KeyShape::Line),
        ],
        columns: panels.len().min(3),
        panels,
    })
}

/// One row: dots moved up and down by their rank, so that equal ones do not hide each other, and the mean.
fn strip(values: &[f64], y: f64, colour: Colour) -> Vec<Mark> {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    if sorted.is_empty() {
        return Vec::new();
    }
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len().min(MOST);
    let pen = Pen::new(colour, 1.0).faint(if colour == Colour::Ink { 0.3 } else { 0.5 });
    let dot = |i: usize| {
        // Multiples of the golden ratio spread evenly over an interval.
        let up = ((i + 1) as f64 * 0.618_033_988_75).fract() - 0.5;
        Mark::Dot((sorted[i * sorted.len() / count], y + 0.56 * up), 1.7, pen)
    };
    let mut marks: Vec<Mark> = (0..count).map(dot).collect();
    marks.push(Mark::Line(vec![(mean, y - 0.4), (mean, y + 0.4)], Pen::new(Colour::Vermillion, 2.4)));
    marks
}

/// One series of [`spread`].
#[derive(Clone, Copy, Debug)]
pub struct Spread<'a> {
    /// Whose.
    pub label: &'a str,
    /// A standard deviation an attribute: 25.
    pub values: &'a [f64],
}

/// How much each attribute varies: a panel a kind of variation (its name, the words under its axis), a row an attribute, a sign a
/// series. A label has one look in all panels; the first two are this run's and the real listeners'.
///
/// # Errors
/// Where there is nothing to draw, or a series has not 25 values.
pub fn spread(title: &str, caption: &str, panels: &[(&str, &str, Vec<Spread<'_>>)]) -> Result<Figure, VizError> {
    const LOOKS: [(Colour, Sign, KeyShape); 4] = [
        (Colour::Blue, Sign::Circle, KeyShape::Dot),
        (Colour::Ink, Sign::Diamond, KeyShape::Diamond),
        (Colour::Green, Sign::Square, KeyShape::Square),
        (Colour::Purple, Sign::Circle, KeyShape::Dot),
    ];
    let mut labels: Vec<&str> = Vec::new();
    let mut drawn = Vec::with_capacity(panels.len());
    for (heading, words, series) in panels {
        let y = Axis::named("", &EMOTION);
        let mut marks = Vec::new();
        for one in series {
            if one.values.len() != ATTRIBUTES {
                let what = format!("spread of {}", one.label);
                return Err(VizError::Shape { what, axis: "attributes", want: ATTRIBUTES, got: one.values.len() });
            }
            let place = labels.iter().position(|label| *label == one.label).unwrap_or_else(|| {
                labels.push(one.label);
                labels.len() - 1
            });
            let (colour, sign, _) = LOOKS[place % LOOKS.len()];
            let points = one.values.iter().enumerate().filter(|(_, v)| v.is_finite());
            marks.extend(points.map(|(i, &v)| Mark::Sign((v, y.place_of(i)), 3.4, sign, Pen::new(colour, 1.0).faint(0.9))));
        }
        let high = extent(series.iter().flat_map(|one| one.values).copied()).map_or(1.0, |range| range.1);
        let x = Axis::linear(words, -0.02 * high, 1.06 * high, 4);
        let title = (*heading).to_owned();
        drawn.push(
            Panel { title, width: 400, height: 66 + 15 * ATTRIBUTES as u32, font: 11.0, heading: true, right: 12, x, y, marks }.draw()?,
        );
    }
    if labels.is_empty() {
        return Err(VizError::Empty { what: title.to_owned() });
    }
    let keys = labels.iter().enumerate().map(|(i, label)| Key::new(label, LOOKS[i % LOOKS.len()].0, LOOKS[i % LOOKS.len()].2)).collect();
    Ok(Figure { title: title.to_owned(), caption: caption.to_owned(), keys, columns: drawn.len().min(2), panels: drawn })
}
