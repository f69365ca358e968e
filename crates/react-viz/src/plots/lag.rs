use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};

/// Mean correlation with the speaker at each lag.
#[derive(Clone, Copy, Debug)]
pub struct LagCurve<'a> {
    /// Whose reaction.
    pub label: &'a str,
    /// (lag in frames, correlation); positive: the reaction follows the speaker.
    pub points: &'a [(i32, f64)],
}

/// How the curves look, in their order: this run's, the real listeners', a control, others.
const LOOKS: [(Colour, bool); 5] =
    [(Colour::Blue, false), (Colour::Ink, false), (Colour::Vermillion, true), (Colour::Green, false), (Colour::Purple, false)];

/// Synchrony over lag, what FRSyn is read from clip by clip: a curve a system, a dot at each curve's highest point. The first is
/// this run's, the second the real listeners'.
///
/// # Errors
/// Where no curve has a number, or `fps` is not positive.
pub fn lag_curves(curves: &[LagCurve<'_>], fps: f64) -> Result<Figure, VizError> {
    if !(fps.is_finite() && fps > 0.0) {
        return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {fps}") });
    }
    let seconds = |lag: i32| f64::from(lag) / fps;
    let all = || curves.iter().flat_map(|c| c.points).filter(|p| p.1.is_finite());
    let (Some((first, last)), Some((low, high))) = (extent(all().map(|p| seconds(p.0))), extent(all().map(|p| p.1).chain([0.0]))) else {
        return Err(VizError::Empty { what: "synchrony over lag".to_owned() });
    };
    let air = 0.06 * (high - low);
    let mut marks = vec![Mark::Upright(0.0, Pen::new(Colour::Ink, 0.8).faint(0.5))];
    let mut keys = Vec::new();
    for (curve, &(colour, dashed)) in curves.iter().zip(LOOKS.iter().cycle()) {
        let points: Vec<_> = curve.points.iter().map(|&(lag, v)| (seconds(lag), v)).collect();
        let top = points.iter().filter(|p| p.1.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1)).copied();
        let pen = Pen::new(colour, 1.8);
        marks.push(Mark::Line(points, if dashed { pen.dashed() } else { pen }));
        marks.extend(top.map(|p| Mark::Dot(p, 3.4, pen)));
        keys.push(Key::new(curve.label, colour, if dashed { KeyShape::Dashed } else { KeyShape::Line }));
    }
    let x = Axis::linear("lag (s), right: the reaction follows the speaker", first, last, 6);
    let y = Axis::linear("mean correlation", low - air, high + air, 5);
    let panel =
        Panel { title: "Synchrony over lag".to_owned(), width: 560, height: 260, font: 12.0, heading: false, right: 16, x, y, marks };
    let caption = "Correlation with the speaker at each lag, mean over clips and the attributes that move; dots are the curves' highest points. FRSyn is the mean \
                   distance of each clip's own highest point from lag 0."
        .to_owned();
    Ok(Figure { title: "Synchrony over lag".to_owned(), caption, keys, panels: vec![panel.draw()?], columns: 1 })
}
