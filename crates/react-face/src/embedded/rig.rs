//! How far each expression channel moves each site at weight 1, in dm.
//!
//! A channel is a sum of bells (Gaussian weights over the resting face) and of weights that follow the rings round eyes
//! and mouth, so that lids close on their line and the two lips part although they touch at rest.

use super::builder::{Region, Site};
use super::profile::{EYE, MOUTH_WIDTH, MOUTH_Y, bell, bells};
use crate::math::{Vec3, add, scale, smoothstep};

/// The displacement of a site by a channel of [`crate::EXPRESSIONS`].
pub(super) fn displacement(channel: &str, site: &Site) -> Vec3 {
    match channel {
        "jawLeft" | "jawRight" | "mouthLeft" | "mouthRight" => {
            let to = if channel.ends_with("Left") { 1.0 } else { -1.0 };
            let amount = if channel.starts_with("jaw") { jaw(site) } else { lip_area(site) };
            return [0.085 * to * amount, 0.0, 0.0];
        }
        _ => {}
    }
    let (name, side) = match (channel.strip_suffix("Left"), channel.strip_suffix("Right")) {
        (Some(name), _) => (name, 1.0),
        (_, Some(name)) => (name, -1.0),
        _ => (channel, 0.0),
    };
    match name {
        "browDown" | "browInnerUp" | "browOuterUp" => brows(name, side, site),
        "eyeBlink" | "eyeSquint" | "eyeWide" => lids(name, side, site),
        "eyeLookDown" | "eyeLookIn" | "eyeLookOut" | "eyeLookUp" => gaze(name, side, site),
        "cheekPuff" | "cheekSquint" | "noseSneer" => cheeks(name, side, site),
        "jawForward" | "jawOpen" | "mouthClose" | "tongueOut" => opening(name, site),
        _ => mouth(name, side, site),
    }
}

fn is_face(site: &Site) -> bool {
    matches!(site.region, Region::Skin | Region::Lid { .. } | Region::Lips { .. } | Region::Brow)
}

/// 1 on the person's `side` of the face, smooth over the midline.
fn half(site: &Site, side: f32) -> f32 {
    smoothstep(-0.05, 0.05, site.p[0] * side)
}

/// 0 on the upper lip and above, 1 on the lower lip and below, between at the corners.
fn below_mouth(site: &Site) -> f32 {
    match site.region {
        Region::Lips { sin, .. } => smoothstep(-0.75, 0.75, -sin),
        Region::LowerTeeth => 1.0,
        Region::Tongue { tip } => 0.75 + 0.2 * tip,
        Region::Skin | Region::Lid { .. } | Region::Brow => smoothstep(0.07, -0.09, site.p[1] - MOUTH_Y),
        _ => 0.0,
    }
}

/// How much a site follows the jaw.
fn jaw(site: &Site) -> f32 {
    let front = smoothstep(-0.12, 0.30, site.p[2]);
    match site.region {
        Region::Lips { sin, weight, .. } => {
            let lip = 0.02 + 0.95 * smoothstep(-0.55, 1.0, -sin);
            let skin = smoothstep(0.10, -0.16, site.p[1] - MOUTH_Y);
            weight * lip + (1.0 - weight) * skin
        }
        Region::LowerTeeth | Region::Tongue { .. } => below_mouth(site),
        Region::Skin => smoothstep(0.12, -0.18, site.p[1] - MOUTH_Y) * front,
        _ => 0.0,
    }
}

/// 1 on the lips, fading out on the skin round them.
fn lip_area(site: &Site) -> f32 {
    match site.region {
        Region::Lips { weight, .. } => 0.25 + 0.75 * weight,
        Region::Skin => 0.6 * bell(site.p, 0.0, MOUTH_Y, 0.36, 0.20),
        _ => 0.0,
    }
}

/// 1 at the mouth's corner on `side`.
fn corner(site: &Site, side: f32) -> f32 {
    match site.region {
        Region::Lips { cos, weight, .. } => (cos * side).max(0.0).powf(1.6) * (0.3 + 0.7 * weight),
        Region::Skin => 0.5 * bell(site.p, side * MOUTH_WIDTH * 1.5, MOUTH_Y, 0.13, 0.13),
        _ => 0.0,
    }
}

fn brows(name: &str, side: f32, site: &Site) -> Vec3 {
    if !is_face(site) {
        return [0.0; 3];
    }
    let above_eye = smoothstep(0.15, 0.23, site.p[1]);
    match name {
        "browDown" => {
            let b = bell(site.p, side * 0.21, 0.28, 0.20, 0.14) * above_eye;
            let inner = bell(site.p, side * 0.09, 0.26, 0.13, 0.13) * above_eye;
            [-side * 0.03 * b, -0.050 * b - 0.055 * inner, 0.02 * inner]
        }
        "browInnerUp" => [0.0, 0.115 * above_eye * bells(site.p, 0.11, 0.29, 0.13, 0.17).min(1.0), 0.0],
        _ => [0.0, 0.105 * above_eye * bell(site.p, side * 0.35, 0.29, 0.16, 0.17), 0.0],
    }
}

fn lids(name: &str, side: f32, site: &Site) -> Vec3 {
    let Region::Lid { side: mine, sin, weight, gap } = site.region else {
        let under = if name == "eyeSquint" { bell(site.p, side * EYE[0], -0.07, 0.14, 0.07) } else { 0.0 };
        return if is_face(site) { [0.0, 0.03 * under, 0.015 * under] } else { [0.0; 3] };
    };
    if mine != side {
        return [0.0; 3];
    }
    let upper = smoothstep(-0.1, 0.1, sin);
    match name {
        "eyeBlink" => {
            let close = if gap > 0.0 { -0.88 * gap } else { -0.12 * gap };
            [0.0, close * weight, 0.012 * upper * weight * sin.max(0.0)]
        }
        "eyeSquint" => [0.0, weight * (0.028 * (1.0 - upper) - 0.022 * upper * sin.max(0.0)) * sin.abs().sqrt(), 0.006 * weight],
        _ => [0.0, weight * sin * (0.048 * upper + 0.022 * (1.0 - upper)), -0.006 * weight],
    }
}

fn gaze(name: &str, side: f32, site: &Site) -> Vec3 {
    let (x, y) = match name {
        "eyeLookDown" => (0.0, -0.052),
        "eyeLookUp" => (0.0, 0.052),
        "eyeLookIn" => (-0.066 * side, 0.0),
        _ => (0.066 * side, 0.0),
    };
    match site.region {
        Region::Iris { side: mine, share } if mine == side => scale([x, y, -0.010], share),
        Region::Lid { side: mine, sin, weight, .. } if mine == side && sin > 0.0 => [0.0, 0.55 * y * weight * sin, 0.0],
        _ => [0.0; 3],
    }
}

fn cheeks(name: &str, side: f32, site: &Site) -> Vec3 {
    if !is_face(site) {
        return [0.0; 3];
    }
    let p = site.p;
    match name {
        "cheekPuff" => {
            let b = bells(p, 0.36, -0.34, 0.15, 0.17);
            let lips = lip_area(site) * 0.02;
            [0.21 * b * p[0], 0.0, 0.085 * b + lips]
        }
        "cheekSquint" => {
            let b = bell(p, side * 0.31, -0.12, 0.17, 0.11);
            let lid = lower_lid(site, side) * 0.025;
            [0.0, 0.050 * b + lid, 0.045 * b]
        }
        _ => {
            let wing = bell(p, side * 0.10, -0.15, 0.075, 0.12);
            let lip = (1.0 - below_mouth(site)) * lip_area(site) * half(site, side) * bell(p, side * 0.10, MOUTH_Y, 0.12, 0.2);
            let brow = bell(p, side * 0.08, 0.22, 0.09, 0.08) * smoothstep(0.13, 0.2, p[1]);
            [0.02 * side * wing, 0.055 * wing + 0.030 * lip - 0.025 * brow, 0.025 * wing]
        }
    }
}

fn lower_lid(site: &Site, side: f32) -> f32 {
    match site.region {
        Region::Lid { side: mine, sin, weight, .. } if mine == side => weight * (-sin).max(0.0),
        _ => 0.0,
    }
}

fn opening(name: &str, site: &Site) -> Vec3 {
    let jaw = jaw(site);
    match name {
        "jawForward" => [0.0, 0.0, 0.09 * jaw],
        "jawOpen" => {
            let narrow = -0.20 * site.p[0] * lip_area(site);
            let upper = 0.014 * (1.0 - below_mouth(site)) * lip_area(site);
            [narrow, -0.225 * jaw + upper, -0.045 * jaw]
        }
        "mouthClose" => {
            let lips = lip_area(site) * if let Region::Lips { .. } | Region::Skin = site.region { 1.0 } else { 0.0 };
            [0.0, lips * (0.165 * below_mouth(site) - 0.035 * (1.0 - below_mouth(site))), 0.0]
        }
        _ => match site.region {
            Region::Tongue { tip } => [0.0, -0.055 * tip, 0.26 * tip],
            Region::Lips { sin, weight, .. } if sin < 0.0 => [0.0, 0.035 * sin * weight, 0.0],
            _ => [0.0; 3],
        },
    }
}

fn mouth(name: &str, side: f32, site: &Site) -> Vec3 {
    if !is_face(site) {
        return [0.0; 3];
    }
    let (lower, lips, c) = (below_mouth(site), lip_area(site), corner(site, side));
    let upper = 1.0 - lower;
    let x = site.p[0];
    // 1 in the middle of the lips, 0 at the corners.
    let (middle, red) = match site.region {
        Region::Lips { sin, weight, .. } => (sin.abs(), weight),
        _ => (bell(site.p, 0.0, MOUTH_Y, 0.2, 0.5), 0.0),
    };
    let sided = lips * half(site, side) * middle;
    match name {
        "mouthSmile" => smile(side, site, c, sided),
        "mouthFrown" => {
            let chin = bell(site.p, side * 0.06, MOUTH_Y - 0.17, 0.12, 0.07) * 0.02;
            [side * 0.012 * c, -0.092 * c + chin, -0.005 * c]
        }
        "mouthDimple" => [side * 0.055 * c, 0.012 * c, -0.05 * c],
        "mouthStretch" => [side * 0.095 * c, -0.028 * c, -0.03 * c],
        "mouthFunnel" => [-0.42 * x * lips, lips * middle * (0.052 * upper - 0.065 * lower), 0.085 * lips],
        "mouthPucker" => [-0.55 * x * lips, lips * middle * (0.010 * upper - 0.010 * lower), 0.105 * lips],
        "mouthRollLower" => [0.0, 0.050 * lower * red * middle, -0.022 * lower * red],
        "mouthRollUpper" => [0.0, -0.042 * upper * red * middle, -0.022 * upper * red],
        "mouthShrugLower" => {
            let chin = bell(site.p, 0.0, MOUTH_Y - 0.20, 0.17, 0.09);
            [0.0, 0.042 * lower * lips + 0.035 * chin + 0.014 * upper * lips * middle, 0.025 * lower * lips]
        }
        "mouthShrugUpper" => [0.0, 0.045 * upper * lips * middle, 0.030 * upper * lips],
        "mouthLowerDown" => [0.0, -0.072 * lower * sided, 0.0],
        "mouthUpperUp" => [0.0, 0.062 * upper * sided, 0.008 * upper * sided],
        "mouthPress" => {
            let squeeze = lips * half(site, side) * red;
            [0.05 * x * squeeze, squeeze * middle * (0.026 * lower - 0.022 * upper), -0.020 * squeeze]
        }
        _ => [0.0; 3],
    }
}

fn smile(side: f32, site: &Site, corner: f32, sided: f32) -> Vec3 {
    let lips = [side * 0.082 * corner, 0.098 * corner + 0.014 * sided * (1.0 - below_mouth(site)), -0.035 * corner - 0.01 * sided];
    let cheek = bell(site.p, side * 0.32, -0.15, 0.14, 0.11) * if matches!(site.region, Region::Lips { .. }) { 0.3 } else { 1.0 };
    let lid = lower_lid(site, side);
    add(lips, [side * 0.01 * cheek, 0.045 * cheek + 0.012 * lid, 0.055 * cheek])
}
