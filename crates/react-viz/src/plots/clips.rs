use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::scores::{Metric, number};
use crate::svg::{Figure, Key, KeyShape};

/// One metric clip by clip: sorted bars, with the means of other systems as named lines.
///
/// `values` are this run's scores, one a clip; those that are no number are counted in the caption and left out. `means` are
/// (system, mean) of the systems to compare with.
///
/// # Errors
/// Where no clip has a score.
pub fn per_clip(metric: &Metric, values: &[Option<f64>], means: &[(&str, f64)]) -> Result<Figure, VizError> {
    let mut sorted: Vec<f64> = values.iter().copied().flatten().filter(|v| v.is_finite()).collect();
    if sorted.is_empty() {
        return Err(VizError::Empty { what: format!("{} per clip", metric.name) });
    }
    sorted.sort_by(|a, b| b.total_cmp(a));
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let bars = sorted.iter().enumerate().map(|(i, &v)| (i as f64 + 0.1, i as f64 + 0.9, v)).collect();
    let mut marks = vec![Mark::Bars(bars, Pen::new(Colour::Sky, 1.0).faint(0.5))];
    let named = |name: &str, value: f64| format!("{name} {}", number(Some(value), 2));
    marks.push(Mark::Level(mean, Pen::new(Colour::Blue, 1.8), named("this run", mean)));
    let lines =
        means.iter().filter(|(_, v)| v.is_finite()).map(|&(name, v)| Mark::Level(v, Pen::new(Colour::Ink, 1.2).dashed(), named(name, v)));
    marks.extend(lines);
    let longest = marks.iter().map(|m| if let Mark::Level(_, _, name) = m { name.chars().count() } else { 0 }).max().unwrap_or(0);
    let heights = || sorted.iter().copied().chain(means.iter().map(|m| m.1)).chain([0.0]);
    let (low, high) = extent(heights()).unwrap_or((0.0, 1.0));
    let air = 0.04 * (high - low);
    let y = Axis::linear(&format!("{} {}", metric.name, metric.better.arrow()), if low < 0.0 { low - air } else { 0.0 }, high + air, 5);
    let mut x = Axis::linear("clips, sorted by score", 0.0, sorted.len() as f64, 6);
    x.ticks.retain(|t| t.fract() == 0.0);
    let title = format!("{} per clip", metric.name);
    let panel =
        Panel { title: title.clone(), width: 560, height: 270, font: 12.0, heading: false, right: 16 + 6 * longest as u32, x, y, marks };
    let mut caption = format!("{} Definition: {}.", metric.about, metric.mode.label());
    if sorted.len() < values.len() {
        caption.push_str(&format!(" {} of {} clips have no score.", values.len() - sorted.len(), values.len()));
    }
    let keys = vec![
        Key::new("one clip", Colour::Sky, KeyShape::Area),
        Key::new("mean of this run", Colour::Blue, KeyShape::Line),
        Key::new("mean of another system", Colour::Ink, KeyShape::Dashed),
    ];
    Ok(Figure {
        title,
        caption: caption.trim().to_owned(),
        keys: if means.is_empty() { keys[..2].to_vec() } else { keys },
        panels: vec![panel.draw()?],
        columns: 1,
    })
}
