//! How far each identity channel moves each site at weight 1 (about one standard deviation), in dm.

use super::builder::{Region, Site};
use super::parts::ball_centre;
use super::profile::{EYE, MOUTH_Y, bell, bells};
use crate::math::{Vec3, add, scale, smoothstep, sub};

/// The identity channels, in the order of a person's shape weights.
pub(crate) const IDENTITY: [&str; 16] = [
    "faceWidth",
    "faceLength",
    "jawWidth",
    "chinLength",
    "eyeSize",
    "eyeSpacing",
    "noseLength",
    "noseWidth",
    "noseDepth",
    "mouthWidth",
    "lipFullness",
    "browHeight",
    "browThickness",
    "hairVolume",
    "hairLength",
    "cheekFullness",
];

/// The displacement of a site by an identity channel.
pub(super) fn displacement(channel: &str, site: &Site) -> Vec3 {
    let p = site.p;
    let [x, y, z] = p;
    let body = matches!(site.region, Region::Body);
    let inside = !matches!(site.region, Region::Neck | Region::Body | Region::Hair { .. });
    let face = matches!(site.region, Region::Skin | Region::Lid { .. } | Region::Lips { .. } | Region::Brow);
    match channel {
        "faceWidth" if !body => [0.035 * x, 0.0, 0.0],
        "faceLength" if !body => [0.0, 0.028 * y, 0.0],
        "jawWidth" if inside => [0.075 * x * smoothstep(-0.15, -0.5, y), 0.0, 0.0],
        "chinLength" if inside => [0.0, -0.035 * smoothstep(MOUTH_Y - 0.06, -0.72, y) * smoothstep(0.0, 0.3, z), 0.0],
        "eyeSize" => eyes(site, |d, side, near| {
            let grow = scale([d[0], d[1], 0.0], 0.055 * near);
            if side == 0.0 { [0.0; 3] } else { grow }
        }),
        "eyeSpacing" => eyes(site, |_, side, near| [0.014 * side * near, 0.0, 0.0]),
        "noseLength" if face => [0.0, -0.022 * bell(p, 0.0, -0.19, 0.14, 0.11), 0.0],
        "noseWidth" if face => [0.16 * x * bell(p, 0.0, -0.17, 0.15, 0.11), 0.0, 0.0],
        "noseDepth" if face => [0.0, 0.0, 0.030 * bell(p, 0.0, -0.13, 0.09, 0.12)],
        "mouthWidth" => [0.07 * x * mouth(site), 0.0, 0.0],
        "lipFullness" => match site.region {
            Region::Lips { sin, weight, .. } if z > 0.55 || weight > 0.9 => [0.0, 0.008 * sin * weight, 0.008 * weight],
            _ => [0.0; 3],
        },
        "browHeight" if face => [0.0, 0.014 * smoothstep(0.15, 0.22, y) * bells(p, 0.25, 0.27, 0.3, 0.2).min(1.0), 0.0],
        "browThickness" if matches!(site.region, Region::Brow) => [0.0, 0.22 * (y - brow_line(x.abs())), 0.0],
        "hairVolume" if matches!(site.region, Region::Hair { .. }) => {
            let rise = smoothstep(0.5, 0.8, y) * 0.055;
            [0.045 * x, rise, 0.035 * z]
        }
        "hairLength" => match site.region {
            Region::Hair { length } => [0.05 * x * length, -0.26 * length, -0.03 * length],
            _ => [0.0; 3],
        },
        "cheekFullness" if face => {
            let b = bells(p, 0.36, -0.28, 0.17, 0.18);
            [0.025 * b * x.signum(), 0.0, 0.02 * b]
        }
        _ => [0.0; 3],
    }
}

fn brow_line(x: f32) -> f32 {
    let t = ((x - 0.085) / 0.325).clamp(0.0, 1.0);
    0.245 + 0.055 * (std::f32::consts::PI * (0.12 + 0.72 * t)).sin() - 0.03 * t
}

fn mouth(site: &Site) -> f32 {
    match site.region {
        Region::Lips { weight, .. } => 0.3 + 0.7 * weight,
        Region::UpperTeeth | Region::LowerTeeth | Region::Tongue { .. } => 1.0,
        Region::Skin => bell(site.p, 0.0, MOUTH_Y, 0.30, 0.14),
        _ => 0.0,
    }
}

/// Applies `f` (offset from the eye's centre, side, nearness) to what belongs to an eye or lies about it.
fn eyes(site: &Site, f: impl Fn(Vec3, f32, f32) -> Vec3) -> Vec3 {
    let side = site.p[0].signum();
    let near = match site.region {
        Region::Lid { .. } | Region::Ball | Region::Iris { .. } => 1.0,
        Region::Skin | Region::Brow => bell(site.p, side * EYE[0], EYE[1], 0.20, 0.16),
        _ => return [0.0; 3],
    };
    add(f(sub(site.p, ball_centre(side)), side, near), [0.0; 3])
}
