use super::axis::Axis;
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::scores::number;
use crate::svg::{Figure, Key, KeyShape};
use ndarray::{ArrayView1, ArrayView2};

/// Predicted over labelled intensities, a panel an emotion with Pearson's correlation in its title: `labels` and `predictions` `[clips, emotions]` in [0, 1].
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
        let title = match correlation(label, prediction) {
            Some(r) => format!("{emotion}: r = {}", number(Some(r), 2)),
            None => format!("{emotion}: constant"),
        };
        panels.push(Panel { title, width: 210, height: 210, font: 10.5, heading: true, right: 8, x, y, marks }.draw()?);
    }
    Ok(Figure {
        title: "Predicted and labelled intensities".to_owned(),
        caption: "A dot a clip; on the broken line prediction and label agree. r: Pearson's correlation.".to_owned(),
        keys: vec![Key::new("clip", Colour::Blue, KeyShape::Dot), Key::new("agreement", Colour::Ink, KeyShape::Dashed)],
        panels,
        columns: 4,
    })
}

/// Pearson's; none where one side is constant.
fn correlation(x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>) -> Option<f64> {
    let centred = |values: ArrayView1<'_, f32>| {
        let values = values.mapv(f64::from);
        let mean = values.sum() / values.len() as f64;
        values - mean
    };
    let (x, y) = (centred(x), centred(y));
    let scale = (x.dot(&x) * y.dot(&y)).sqrt();
    (scale > 1e-12).then(|| x.dot(&y) / scale)
}
