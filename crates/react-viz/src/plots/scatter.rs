use super::axis::Axis;
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};
use ndarray::ArrayView2;

/// Predicted over labelled intensities, a panel an emotion: `labels` and `predictions` `[clips, emotions]` in [0, 1].
///
/// # Errors
/// Where there is no clip, or the shapes do not fit.
pub fn intensities(emotions: &[String], labels: ArrayView2<'_, f32>, predictions: ArrayView2<'_, f32>) -> Result<Figure, VizError> {
    let what = "intensities".to_owned();
    if labels.is_empty() {
        return Err(VizError::Empty { what });
    }
    if labels.shape() != predictions.shape() || labels.ncols() != emotions.len() {
        return Err(VizError::Shape { what, axis: "emotions", want: emotions.len(), got: predictions.ncols() });
    }
    let mut panels = Vec::with_capacity(emotions.len());
    for (emotion, (label, prediction)) in emotions.iter().zip(labels.columns().into_iter().zip(predictions.columns())) {
        // The identity, along the plot's own diagonal.
        let mut marks = vec![Mark::Line(vec![(0.0, 0.0), (1.0, 1.0)], Pen::new(Colour::Ink, 0.8).dashed().faint(0.6))];
        let points = label.iter().zip(prediction).map(|(x, y)| (f64::from(*x), f64::from(*y)));
        marks.extend(points.map(|point| Mark::Dot(point, 1.6, Pen::new(Colour::Blue, 1.0).faint(0.45))));
        let axis = |name| Axis::linear(name, 0.0, 1.0, 3);
        let (x, y) = (axis("label"), axis("prediction"));
        let title = emotion.clone();
        panels.push(Panel { title, width: 190, height: 190, font: 10.0, heading: true, right: 8, x, y, marks }.draw()?);
    }
    Ok(Figure {
        title: "Predicted and labelled intensities".to_owned(),
        caption: "A dot a clip; on the dashed line prediction and label agree.".to_owned(),
        keys: vec![Key::new("clip", Colour::Blue, KeyShape::Line), Key::new("agreement", Colour::Ink, KeyShape::Dashed)],
        panels,
        columns: 4,
    })
}
