//! The skull: how wide and deep the head is at each height, and the surface that features sit on.

use crate::math::smoothstep;

/// Heights and places that several parts share; 1 unit is 1 dm.
pub(super) const EYE: [f32; 2] = [0.245, 0.06];
pub(super) const EYE_WIDTH: f32 = 0.122;
pub(super) const EYE_UPPER: f32 = 0.078;
pub(super) const EYE_LOWER: f32 = 0.052;
pub(super) const MOUTH_Y: f32 = -0.40;
pub(super) const MOUTH_WIDTH: f32 = 0.195;
pub(super) const BOTTOM: f32 = -0.80;
pub(super) const TOP: f32 = 0.68;

const WIDTH: [(f32, f32); 12] = [
    (-0.80, 0.05),
    (-0.76, 0.17),
    (-0.70, 0.26),
    (-0.60, 0.355),
    (-0.45, 0.435),
    (-0.25, 0.505),
    (0.0, 0.555),
    (0.2, 0.575),
    (0.4, 0.565),
    (0.6, 0.485),
    (0.75, 0.35),
    (0.85, 0.15),
];
const DEPTH: [(f32, f32); 12] = [
    (-0.80, 0.12),
    (-0.76, 0.34),
    (-0.70, 0.45),
    (-0.60, 0.505),
    (-0.45, 0.525),
    (-0.25, 0.545),
    (0.0, 0.56),
    (0.2, 0.575),
    (0.4, 0.56),
    (0.6, 0.47),
    (0.75, 0.33),
    (0.85, 0.12),
];

/// Cubic Hermite interpolation with finite-difference slopes, constant outside.
fn curve(knots: &[(f32, f32)], x: f32) -> f32 {
    let last = knots.len() - 1;
    if x <= knots[0].0 {
        return knots[0].1;
    }
    if x >= knots[last].0 {
        return knots[last].1;
    }
    let i = knots.windows(2).position(|pair| x <= pair[1].0).unwrap_or(last - 1);
    let slope = |k: usize| {
        let (a, b) = (k.saturating_sub(1), (k + 1).min(last));
        (knots[b].1 - knots[a].1) / (knots[b].0 - knots[a].0)
    };
    let (x0, y0) = knots[i];
    let (x1, y1) = knots[i + 1];
    let (h, t) = (x1 - x0, (x - x0) / (x1 - x0));
    let (t2, t3) = (t * t, t * t * t);
    y0 * (2.0 * t3 - 3.0 * t2 + 1.0) + slope(i) * h * (t3 - 2.0 * t2 + t) + y1 * (3.0 * t2 - 2.0 * t3) + slope(i + 1) * h * (t3 - t2)
}

pub(super) fn width(y: f32) -> f32 {
    curve(&WIDTH, y)
}

pub(super) fn depth(y: f32) -> f32 {
    curve(&DEPTH, y)
}

/// A bell around (cx, cy) with radii (sx, sy): exp(−dx²/sx² − dy²/sy²).
pub(super) fn bell(p: [f32; 3], cx: f32, cy: f32, sx: f32, sy: f32) -> f32 {
    let (dx, dy) = ((p[0] - cx) / sx, (p[1] - cy) / sy);
    (-dx * dx - dy * dy).exp()
}

/// The same bell on both sides of the face.
pub(super) fn bells(p: [f32; 3], cx: f32, cy: f32, sx: f32, sy: f32) -> f32 {
    bell(p, cx, cy, sx, sy) + bell(p, -cx, cy, sx, sy)
}

/// Where x lies on the skull at height y, as an angle from the front.
pub(super) fn azimuth(x: f32, y: f32) -> f32 {
    (x / width(y)).clamp(-0.999, 0.999).asin()
}

/// The skin at azimuth u (0 = front) and height y.
pub(super) fn skin(u: f32, y: f32) -> [f32; 3] {
    let front = u.cos();
    let p = [width(y) * u.sin(), y, depth(y) * front.signum() * front.abs().powf(0.85)];
    [p[0], p[1], p[2] + relief(p) * smoothstep(0.0, 0.4, front)]
}

/// The skin in front of (x, y).
pub(super) fn skin_at(x: f32, y: f32) -> [f32; 3] {
    skin(azimuth(x, y), y)
}

/// What the features add to the skull's depth.
fn relief(p: [f32; 3]) -> f32 {
    let [x, y, _] = p;
    let along = ((0.20 - y) / 0.36).clamp(0.0, 1.0);
    let ridge = (-(x / (0.055 + 0.03 * along)).powi(2)).exp()
        * (0.03 + 0.155 * along.powf(1.3))
        * smoothstep(0.30, 0.16, y)
        * smoothstep(-0.255, -0.175, y);
    let wings = bells(p, 0.082, -0.165, 0.05, 0.05) * 0.075;
    let lips = bell(p, 0.0, MOUTH_Y, 0.21, 0.13) * 0.07;
    let groove = -bell(p, 0.0, -0.51, 0.14, 0.035) * 0.02;
    let chin = bell(p, 0.0, -0.64, 0.15, 0.09) * 0.06;
    let cheeks = bells(p, 0.32, -0.14, 0.16, 0.14) * 0.035;
    let brow = bells(p, 0.20, 0.22, 0.20, 0.06) * 0.03;
    let sockets = -bells(p, EYE[0], EYE[1], 0.14, 0.10) * 0.045;
    ridge + wings + lips + groove + chin + cheeks + brow + sockets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_pass_their_knots_and_the_nose_leads() {
        assert!(WIDTH.iter().all(|(y, w)| (width(*y) - w).abs() < 1e-6));
        let tip = skin_at(0.0, -0.15)[2];
        assert!(tip > skin_at(0.0, 0.3)[2] && tip > skin_at(0.0, MOUTH_Y)[2], "{tip}");
        assert!((skin_at(0.3, 0.1)[0] - 0.3).abs() < 1e-5);
    }
}
