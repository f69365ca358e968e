use super::axis::Axis;
use super::panel::{Mark, Panel, Pen, Sign};
use super::pca::{Pca, pca};
use crate::colour::Colour;
use crate::error::VizError;
use crate::scores::number;
use crate::svg::{Figure, Key, KeyShape};
use ndarray::{ArrayView2, Axis as Dim};

/// Points that are drawn at most, evenly chosen: more would hide each other.
const MOST: usize = 3000;

/// The thirds of a value: the words of the legend, and how their points look.
const THIRDS: [(&str, Colour, Sign, KeyShape); 3] = [
    ("lowest third", Colour::Vermillion, Sign::Square, KeyShape::Square),
    ("middle third", Colour::Sky, Sign::Circle, KeyShape::Dot),
    ("highest third", Colour::Blue, Sign::Diamond, KeyShape::Diamond),
];

/// Where clips lie in the network's latent space.
#[derive(Clone, Copy, Debug)]
pub struct LatentPoints<'a> {
    /// Means of the latents, `[points, d]`.
    pub means: ArrayView2<'a, f32>,
    /// What a point is: `"clip"` or `"window"`.
    pub unit: &'a str,
    /// What colours the points, a panel each: a name and a value a point; a point without one is left out of that panel.
    pub by: &'a [(&'a str, &'a [Option<f64>])],
}

/// The latent space on the two axes of its highest variance (principal components), a panel a colouring: the thirds of the points
/// with the lowest, the middle and the highest values differ in colour and shape.
///
/// # Errors
/// Where there are less than 3 points, they are all the same, or the values are not as many.
pub fn latent_space(points: &LatentPoints<'_>) -> Result<Figure, VizError> {
    let n = points.means.nrows();
    for (_, values) in points.by {
        if values.len() != n {
            return Err(VizError::Shape { what: "latent space".to_owned(), axis: "points", want: n, got: values.len() });
        }
    }
    let kept: Vec<usize> = (0..n.min(MOST)).map(|i| i * n / n.min(MOST)).collect();
    let found = pca(points.means.select(Dim(0), &kept).view());
    let found = found.filter(|_| !points.by.is_empty()).ok_or_else(|| VizError::Empty { what: "latent space".to_owned() })?;
    let mut panels = Vec::with_capacity(points.by.len());
    for (name, values) in points.by {
        let values: Vec<Option<f64>> = kept.iter().map(|&i| values[i].filter(|v| v.is_finite())).collect();
        panels.push(panel(&found, name, &values).draw()?);
    }
    let caption = format!(
        "A point a {}: the mean of its latent, of {} dimensions, on the two axes along which they vary most.",
        points.unit,
        points.means.ncols()
    );
    Ok(Figure {
        title: "Latent space".to_owned(),
        caption,
        keys: THIRDS.iter().map(|(words, colour, _, shape)| Key::new(words, *colour, *shape)).collect(),
        columns: panels.len().min(2),
        panels,
    })
}

fn panel(found: &Pca, name: &str, values: &[Option<f64>]) -> Panel {
    let mut sorted: Vec<f64> = values.iter().copied().flatten().collect();
    sorted.sort_by(f64::total_cmp);
    let bound = |third: usize| sorted.get(third * sorted.len() / 3).copied().unwrap_or(0.0);
    let bounds = [bound(1), bound(2)];
    let radius = if values.len() > 500 { 2.0 } else { 3.4 };
    let mut marks = Vec::with_capacity(values.len());
    for (place, value) in found.coordinates.iter().zip(values) {
        let Some(value) = value else { continue };
        let (_, colour, sign, _) = THIRDS[usize::from(*value >= bounds[0]) + usize::from(*value >= bounds[1])];
        marks.push(Mark::Sign((place[0], place[1]), radius, sign, Pen::new(colour, 1.0).faint(0.75)));
    }
    let axis = |axis: usize, word: &str| {
        let label = format!("{word} principal axis ({:.0} % of the variance)", 100.0 * found.explained[axis]);
        Axis::around(&label, found.coordinates.iter().map(|c| c[axis]), 5)
    };
    let [low, high] = bounds.map(|bound| number(Some(bound), 2));
    Panel {
        title: format!("by {name} (thirds: {low}, {high})"),
        width: 400,
        height: 340,
        font: 11.5,
        heading: true,
        right: 12,
        x: axis(0, "first"),
        y: axis(1, "second"),
        marks,
    }
}
