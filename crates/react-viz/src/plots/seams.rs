use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};

/// Mean jumps from frame to frame, by the frame's place in its window.
#[derive(Clone, Copy, Debug)]
pub struct SeamCurve<'a> {
    /// Whose reaction.
    pub label: &'a str,
    /// The mean jump to frame 0, 1, … of a window from the frame before it: jump 0 crosses the border.
    pub jumps: &'a [f64],
}

/// Window seams: how far a reaction jumps from frame to frame around the borders of the windows it was generated in. Without seams
/// the curve is level; the first curve is this run's, the others (the real listener, who has no windows) are for comparison.
///
/// # Errors
/// Where no curve has two numbers.
pub fn seam_curves(curves: &[SeamCurve<'_>]) -> Result<Figure, VizError> {
    let Some(high) = extent(curves.iter().filter(|c| c.jumps.len() > 1).flat_map(|c| c.jumps).copied()).map(|range| range.1) else {
        return Err(VizError::Empty { what: "window seams".to_owned() });
    };
    let mut marks = vec![Mark::Upright(0.0, Pen::new(Colour::Ink, 1.0).faint(0.6).dashed())];
    let mut keys = Vec::new();
    let (mut first, mut last) = (0, 0);
    for (curve, &colour) in curves.iter().zip([Colour::Blue, Colour::Ink, Colour::Green].iter().cycle()) {
        let window = i64::try_from(curve.jumps.len()).unwrap_or(0);
        // Borders in the middle, half a window at either side.
        let (from, to) = (window / 2 - window, window / 2);
        (first, last) = (first.min(from), last.max(to));
        let at = |offset: i64| curve.jumps[offset.rem_euclid(window.max(1)) as usize];
        let points: Vec<(f64, f64)> = (from..=to).filter(|_| window > 1).map(|offset| (offset as f64, at(offset))).collect();
        let pen = Pen::new(colour, 1.8);
        marks.extend(points.iter().filter(|p| p.1.is_finite()).map(|&p| Mark::Dot(p, 2.8, pen)));
        marks.push(Mark::Line(points, pen));
        keys.push(Key::new(curve.label, colour, KeyShape::Line));
    }
    keys.push(Key::new("first frame of a window", Colour::Ink, KeyShape::Dashed));
    let mut x = Axis::linear("frames after the first frame of a window", first as f64 - 0.3, last as f64 + 0.3, 8);
    x.ticks.retain(|tick| tick.fract() == 0.0);
    let y = Axis::linear("mean jump of the attributes", 0.0, 1.08 * high.max(1e-9), 5);
    let title = "Window seams".to_owned();
    let panel = Panel { title: title.clone(), width: 560, height: 260, font: 12.0, heading: false, right: 16, x, y, marks };
    let caption =
        "Jump: Euclidean distance of the 25 attributes from one frame to the next, mean over clips and samples. Without seams a curve is \
                   level; a peak at 0 is a jump between windows."
            .to_owned();
    Ok(Figure { title, caption, keys, panels: vec![panel.draw()?], columns: 1 })
}
