//! The skin of the face: one sheet with holes for eyes and mouth, rings round them, and points elsewhere, triangulated.

use super::builder::{Builder, Region};
use super::delaunay::triangulate;
use super::profile::{BOTTOM, EYE, EYE_LOWER, EYE_UPPER, EYE_WIDTH, MOUTH_WIDTH, MOUTH_Y, TOP, azimuth, bell, bells, skin};
use crate::head::Material;
use crate::math::Vec3;
use std::f32::consts::{PI, TAU};

/// Points on half a ring of the mouth, both corners and the midline included.
const MOUTH_HALF: usize = 8;
const EYE_RING: usize = 16;
/// Plane units per rad of azimuth, about the skull's radius.
const RADIUS: f32 = 0.56;

struct Point {
    /// Where it lies in the plane that is triangulated (azimuth·RADIUS, height).
    plane: [f32; 2],
    p: Vec3,
    region: Region,
    hole: Option<Hole>,
    lip: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Hole {
    Eye,
    Mouth,
}

/// The lid's edge at angle θ (0 outer corner, π inner), relative to the eye's centre, scaled from the centre.
pub(super) fn lid(theta: f32, scale: f32) -> [f32; 2] {
    let (sin, cos) = theta.sin_cos();
    let height = if sin > 0.0 { EYE_UPPER } else { EYE_LOWER };
    [EYE_WIDTH * cos * scale, height * sin.abs().powf(0.9) * sin.signum() * scale + 0.012 * cos]
}

/// How far above the closed line the edge lies at angle θ; the line is the lower lid's.
pub(super) fn lid_gap(theta: f32) -> f32 {
    lid(theta, 1.0)[1] - lid(-theta.abs(), 1.0)[1]
}

/// The lips at angle θ: ring 0 is the opening (closed at rest), 1 the border of the red, 2 and 3 the skin round it.
pub(super) fn lips(theta: f32, ring: usize) -> [f32; 2] {
    let (sin, cos) = theta.sin_cos();
    let wide = MOUTH_WIDTH * [0.90, 1.04, 1.35, 1.85][ring];
    let tall = if sin > 0.0 { [0.001, 0.058, 0.105, 0.15][ring] } else { [0.001, 0.075, 0.13, 0.195][ring] };
    let bow = if ring == 1 && sin > 0.0 { 0.012 * (-(cos / 0.22).powi(2)).exp() } else { 0.0 };
    let curl = 0.016 * cos * cos;
    [wide * cos, MOUTH_Y + tall * sin.abs().powf(0.85) * sin.signum() - bow + curl]
}

fn point(x: f32, y: f32, lift: f32, region: Region) -> Point {
    let u = azimuth(x, y);
    let mut p = skin(u, y);
    p[2] += lift;
    Point { plane: [u * RADIUS, y], p, region, hole: None, lip: false }
}

fn eye_points(out: &mut Vec<Point>) {
    for (ring, (scale, weight, lift)) in [(1.0, 1.0, 0.034), (1.25, 0.45, 0.030), (1.62, 0.08, 0.008)].into_iter().enumerate() {
        for k in 0..EYE_RING {
            let theta = TAU * k as f32 / EYE_RING as f32;
            let [dx, dy] = lid(theta, scale);
            let gap = if theta <= PI { lid_gap(theta) } else { -lid_gap(TAU - theta) };
            let region = Region::Lid { side: 1.0, sin: theta.sin(), weight, gap };
            let mut at = point(EYE[0] + dx, EYE[1] + dy, lift, region);
            at.hole = (ring == 0).then_some(Hole::Eye);
            out.push(at);
        }
    }
}

fn mouth_points(out: &mut Vec<Point>) {
    for ring in 0..4 {
        for k in 0..=2 * MOUTH_HALF {
            let theta = -PI / 2.0 + PI * k as f32 / (2 * MOUTH_HALF) as f32;
            let [x, y] = lips(theta, ring);
            let (sin, cos) = theta.sin_cos();
            let region = Region::Lips { cos, sin, weight: [1.0, 1.0, 0.75, 0.35][ring] };
            let x = if k == 0 || k == 2 * MOUTH_HALF { 0.0 } else { x };
            let mut at = point(x, y, [-0.012, 0.012, 0.0, 0.0][ring], region);
            if ring == 0 {
                // Opened in the plane, so that it is a hole there; closed in space.
                at.plane[1] = MOUTH_Y + 0.016 * cos * cos + 0.030 * sin;
                at.hole = Some(Hole::Mouth);
            }
            at.lip = ring <= 1;
            out.push(at);
        }
    }
}

fn far_enough(points: &[Point], plane: [f32; 2], distance: f32) -> bool {
    points.iter().all(|o| (o.plane[0] - plane[0]).hypot(o.plane[1] - plane[1]) > distance)
}

/// Points elsewhere on the half with x ≥ 0, finer on the nose, coarser at the sides.
fn fill(out: &mut Vec<Point>) {
    let add = |x: f32, y: f32, distance: f32, out: &mut Vec<Point>| {
        let at = point(x, y, 0.0, Region::Skin);
        let eye = ((x - EYE[0]) / (1.6 * EYE_WIDTH)).hypot((y - EYE[1]) / (1.6 * EYE_UPPER)) < 1.0;
        let mouth = (x / (1.8 * MOUTH_WIDTH)).hypot((y - MOUTH_Y) / 0.15) < 1.0;
        if !eye && !mouth && far_enough(out, at.plane, distance) {
            out.push(at);
        }
    };
    for y in [0.27, 0.20, 0.13, 0.06, 0.0, -0.05, -0.10, -0.145, -0.185, -0.215, -0.245] {
        for x in [0.0, 0.045, 0.085, 0.13] {
            add(x, y, 0.028, out);
        }
    }
    for row in 0..=14 {
        let y = BOTTOM + (TOP - BOTTOM) * row as f32 / 14.0;
        add(0.0, y, 0.05, out);
        for column in 0..12 {
            let s = 0.045 + (column as f32 + 0.5 * (row % 2) as f32) * 0.098;
            let u = s / RADIUS;
            if u < 1.5 {
                add(super::profile::width(y) * u.sin(), y, 0.062, out);
            } else if u < 1.95 && far_enough(out, [s, y], 0.062) {
                out.push(Point { plane: [s, y], p: skin(u, y), region: Region::Skin, hole: None, lip: false });
            }
        }
    }
}

/// Warm cheeks and nose, shaded sockets, lid folds and a line under the lip.
fn tint(p: Vec3, region: Region) -> Vec3 {
    let blush = 0.8 * bells(p, 0.33, -0.17, 0.14, 0.11) + 0.45 * bell(p, 0.0, -0.15, 0.09, 0.07);
    let mut dark = 0.10 * bells(p, EYE[0], EYE[1] + 0.02, 0.17, 0.12) + 0.10 * bell(p, 0.0, MOUTH_Y - 0.105, 0.10, 0.02);
    dark += 0.25 * super::profile::bell(p, 0.0, BOTTOM, 0.5, 0.09);
    if let Region::Lid { sin, weight, .. } = region
        && sin > 0.1
        && (0.4..0.5).contains(&weight)
    {
        dark += 0.14;
    }
    [1.0 - dark + 0.02 * blush, 1.0 - 1.05 * dark - 0.10 * blush, 1.0 - 1.1 * dark - 0.09 * blush]
}

pub(super) fn build(b: &mut Builder) {
    let mut points = Vec::new();
    eye_points(&mut points);
    mouth_points(&mut points);
    fill(&mut points);
    let half = points.len();
    // Both halves go in, so that edges lie along the midline; the triangles of x ≥ 0 are kept and mirrored.
    let mut plane: Vec<[f64; 2]> = points.iter().map(|at| at.plane.map(f64::from)).collect();
    let mirrored: Vec<usize> = (0..half).filter(|i| points[*i].plane[0] > 1e-4).collect();
    let reflected: Vec<_> = mirrored.iter().map(|i| [-plane[*i][0], plane[*i][1]]).collect();
    plane.extend(reflected);
    let triangles: Vec<[usize; 3]> = triangulate(&plane).into_iter().filter(|t| t.iter().all(|v| *v < half)).collect();

    let base = b.sites.len() as u32;
    for at in &points {
        b.tinted(at.p, at.region, tint(at.p, at.region));
    }
    let mut mirror: Vec<u32> = (base..base + half as u32).collect();
    for i in mirrored {
        let at = &points[i];
        let region = match at.region {
            Region::Lid { sin, weight, gap, .. } => Region::Lid { side: -1.0, sin, weight, gap },
            Region::Lips { cos, sin, weight } => Region::Lips { cos: -cos, sin, weight },
            other => other,
        };
        let p = [-at.p[0], at.p[1], at.p[2]];
        mirror[i] = b.tinted(p, region, tint(p, at.region));
    }
    for t in triangles {
        let hole = points[t[0]].hole;
        if hole.is_some() && t.iter().all(|v| points[*v].hole == hole) {
            continue;
        }
        let material = if t.iter().all(|v| points[*v].lip) { Material::Lips } else { Material::Skin };
        let outward = |t: [u32; 3], b: &Builder| {
            let p = b.sites[t[0] as usize].p;
            [p[0], 0.0, p[2] + 0.2]
        };
        let right = t.map(|v| base + v as u32);
        b.triangle(right, material, outward(right, b));
        let left = t.map(|v| mirror[v]);
        b.triangle(left, material, outward(left, b));
    }
}
