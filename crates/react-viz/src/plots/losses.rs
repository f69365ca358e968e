use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use super::series::smooth;
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};
use serde::{Deserialize, Serialize};

/// The losses of one training step, or of one validation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// The step, from 0.
    pub step: u64,
    /// What is minimised; `None` where it was not computed.
    pub total: Option<f64>,
    /// Mean squared error of attributes and coefficients.
    pub reconstruction: Option<f64>,
    /// Kullback–Leibler divergence of the latent from N(0, 1), before its weight.
    pub kl: Option<f64>,
    /// The diversity term, before its weight.
    pub diversity: Option<f64>,
}

/// The losses of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LossHistory {
    /// Each training step, or each that was logged.
    pub train: Vec<LossPoint>,
    /// Each validation.
    pub validation: Vec<LossPoint>,
    /// The step whose weights were kept as the best.
    pub best_step: Option<u64>,
}

impl LossHistory {
    /// Whether there is nothing to draw.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.train.is_empty() && self.validation.is_empty()
    }
}

type Part = (&'static str, fn(&LossPoint) -> Option<f64>);

const PARTS: [Part; 4] =
    [("Total", |p| p.total), ("Reconstruction", |p| p.reconstruction), ("KL divergence", |p| p.kl), ("Diversity", |p| p.diversity)];

/// Loss curves: a panel each for total, reconstruction, KL and diversity (those that were computed), over training steps;
/// each step faint, their running mean strong, validation as a line with dots. The axis is logarithmic where a loss stays
/// positive and spans more than a factor of 20.
///
/// # Errors
/// Where the history is empty.
pub fn losses(history: &LossHistory) -> Result<Figure, VizError> {
    let panels = PARTS.iter().filter_map(|part| panel(history, part)).map(|p| p.draw()).collect::<Result<Vec<_>, _>>()?;
    if panels.is_empty() {
        return Err(VizError::Empty { what: "loss history".to_owned() });
    }
    let mut keys = Vec::new();
    if !history.train.is_empty() {
        keys.push(Key::new("training, each step", Colour::Blue, KeyShape::Thin));
        keys.push(Key::new("training, running mean", Colour::Blue, KeyShape::Line));
    }
    if !history.validation.is_empty() {
        keys.push(Key::new("validation", Colour::Vermillion, KeyShape::Line));
    }
    if history.best_step.is_some() {
        keys.push(Key::new("best checkpoint", Colour::Ink, KeyShape::Dashed));
    }
    Ok(Figure {
        title: "Losses".to_owned(),
        caption: if panels.len() > 1 { "KL and diversity are shown before their weights.".to_owned() } else { String::new() },
        keys,
        columns: panels.len(),
        panels,
    })
}

fn panel(history: &LossHistory, &(name, part): &Part) -> Option<Panel> {
    let line = |points: &[LossPoint]| points.iter().filter_map(|p| Some((p.step as f64, part(p)?))).collect::<Vec<_>>();
    let (train, validation) = (line(&history.train), line(&history.validation));
    let all = || train.iter().chain(&validation);
    let (first, last) = extent(all().map(|p| p.0))?;
    let mut marks = Vec::new();
    if let Some(best) = history.best_step {
        marks.push(Mark::Upright(best as f64, Pen::new(Colour::Ink, 1.0).faint(0.7).dashed()));
    }
    if train.len() > 60 {
        let mean = smooth(&train, train.len() / 40);
        marks.push(Mark::Line(train.clone(), Pen::new(Colour::Blue, 0.7).faint(0.4)));
        marks.push(Mark::Line(mean, Pen::new(Colour::Blue, 1.8)));
    } else {
        marks.push(Mark::Line(train.clone(), Pen::new(Colour::Blue, 1.8)));
    }
    let pen = Pen::new(Colour::Vermillion, 1.8);
    marks.push(Mark::Line(validation.clone(), pen));
    let y = Axis::log_where_it_helps("loss", all().map(|p| p.1), 5);
    let dots = validation.iter().filter(|p| y.place(p.1).is_finite()).map(|&(x, v)| Mark::Dot((x, y.place(v)), 2.4, pen));
    marks.extend(dots);
    let x = Axis::linear("training step", first, last, 4);
    Some(Panel { title: name.to_owned(), width: 270, height: 190, font: 11.0, heading: true, right: 12, x, y, marks })
}
