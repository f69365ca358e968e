//! Everything but the skin: eyes, lashes, brows, the inside of the mouth, ears, hair, neck and shoulders.

use super::builder::{Builder, Region};
use super::profile::{EYE, MOUTH_Y, depth, skin_at, width};
use super::skin::{lid, lid_gap, lips};
use crate::head::Material;
use crate::math::{Vec3, smoothstep};
use std::f32::consts::{FRAC_PI_2, PI, TAU};

const BALL: f32 = 0.165;

pub(super) fn build(b: &mut Builder) {
    for side in [1.0, -1.0] {
        eye(b, side);
        lashes(b, side);
        brow(b, side);
        nostril(b, side);
        ear(b, side);
    }
    mouth(b);
    hair(b);
    neck(b);
}

/// The middle of an eyeball, just so deep that its front stays behind the lids.
pub(super) fn ball_centre(side: f32) -> Vec3 {
    let front = skin_at(EYE[0], EYE[1]);
    [side * EYE[0], EYE[1], front[2] - BALL + 0.004]
}

fn ring_on_ball(b: &mut Builder, side: f32, radius: f32, n: usize, lift: f32, region: Region, tint: impl Fn(f32) -> f32) -> Vec<u32> {
    let c = ball_centre(side);
    let toward = side * 0.06; // Eyes look straight on, the ball's surface a little outwards.
    (0..n)
        .map(|k| {
            let (sin, cos) = (TAU * k as f32 / n as f32).sin_cos();
            let (x, y) = (radius * cos, radius * sin);
            let z = (BALL * BALL - x * x - y * y).max(0.0).sqrt() + lift;
            b.tinted([c[0] + x + toward * 0.1, c[1] + y, c[2] + z], region, [tint(sin); 3])
        })
        .collect()
}

fn eye(b: &mut Builder, side: f32) {
    let c = ball_centre(side);
    let hub = b.vertex([c[0], c[1], c[2] + BALL], Region::Ball);
    let shadow = |sin: f32| 1.0 - 0.28 * smoothstep(0.0, 1.0, sin);
    let rings: Vec<_> = [0.06, 0.105, 0.15].map(|r| ring_on_ball(b, side, r, 14, 0.0, Region::Ball, shadow)).into_iter().collect();
    b.fan(hub, &rings[0], Material::EyeWhite, c);
    let closed: Vec<Vec<u32>> = rings.iter().map(|r| r.iter().chain(&r[..1]).copied().collect()).collect();
    b.strip(&closed, Material::EyeWhite, c);
    for (radius, n, lift, material, share) in [(0.063, 16, 0.012, Material::Iris, 1.0), (0.030, 12, 0.016, Material::Pupil, 1.0)] {
        let region = Region::Iris { side, share };
        let hub = b.vertex([c[0] + side * 0.006, c[1], c[2] + BALL + lift], region);
        let ring = ring_on_ball(b, side, radius, n, lift, region, |sin| 1.0 - 0.35 * sin);
        b.fan(hub, &ring, material, c);
    }
    let region = Region::Iris { side, share: 0.6 };
    let glint = [(-0.008, 0.020), (-0.030, 0.020), (-0.030, 0.042), (-0.008, 0.042)]
        .map(|(x, y)| b.vertex([c[0] + x, c[1] + y, c[2] + BALL + 0.017], region));
    b.fan(glint[0], &glint[1..], Material::Glint, c);
    b.triangle([glint[0], glint[2], glint[3]], Material::Glint, [0.0, 0.0, 1.0]);
}

/// A dark line on the upper lid's edge; with the eye closed it is what one sees.
fn lashes(b: &mut Builder, side: f32) {
    let row = |b: &mut Builder, rise: f32| -> Vec<u32> {
        (0..=10)
            .map(|k| {
                let theta = -0.12 + (PI + 0.12) * k as f32 / 10.0;
                let [dx, dy] = lid(theta, 1.03);
                let outer = 1.0 + 0.5 * theta.cos();
                let p = skin_at(EYE[0] + dx, EYE[1] + dy);
                let region = Region::Lid { side, sin: theta.sin().max(0.0), weight: 1.0, gap: lid_gap(theta.max(0.0)) };
                b.vertex([side * p[0], p[1] + rise * outer * theta.sin().max(0.25), p[2] + 0.046], region)
            })
            .collect()
    };
    let rows = [row(b, -0.004), row(b, 0.016)];
    b.strip(&rows, Material::Lash, [0.0, 0.0, -50.0]);
}

fn brow(b: &mut Builder, side: f32) {
    let rows: Vec<Vec<u32>> = [-1.0, 0.2, 1.0]
        .into_iter()
        .map(|across: f32| {
            (0..8)
                .map(|k| {
                    let t = k as f32 / 7.0;
                    let x = 0.085 + 0.325 * t;
                    let arch = 0.245 + 0.055 * (PI * (0.12 + 0.72 * t)).sin() - 0.03 * t;
                    let half = 0.029 * (1.0 - 0.72 * t * t) * smoothstep(-0.35, 0.25, t);
                    let y = arch + across * half;
                    let p = skin_at(x, y);
                    b.vertex([side * p[0], p[1], p[2] + 0.016 + 0.012 * (1.0 - across.abs())], Region::Brow)
                })
                .collect()
        })
        .collect();
    b.strip(&rows, Material::Brow, [0.0, 0.0, -50.0]);
}

fn nostril(b: &mut Builder, side: f32) {
    let p = skin_at(0.052, -0.222);
    let at = |b: &mut Builder, x: f32, y: f32| b.vertex([side * (0.05 + x), -0.219 + y, p[2] + 0.035 + 0.4 * y], Region::Skin);
    let hub = at(b, 0.0, 0.0);
    let ring: Vec<u32> = (0..8)
        .map(|k| {
            let (sin, cos) = (TAU * k as f32 / 8.0).sin_cos();
            at(b, 0.027 * cos, 0.012 * sin + 0.004 * cos)
        })
        .collect();
    b.fan(hub, &ring, Material::Nostril, [0.0, 0.0, -50.0]);
}

fn mouth(b: &mut Builder) {
    let n = 24;
    let ring: Vec<u32> = (0..n)
        .map(|k| {
            let theta = TAU * k as f32 / n as f32;
            let [x, y] = lips(theta, 1);
            let (sin, cos) = theta.sin_cos();
            let p = skin_at(x * 0.96, y);
            b.vertex([p[0], p[1], p[2] - 0.10], Region::Lips { cos, sin, weight: 1.0 })
        })
        .collect();
    let front = skin_at(0.0, MOUTH_Y)[2];
    let hub = b.tinted([0.0, MOUTH_Y, front - 0.30], Region::Tongue { tip: 0.0 }, [0.45; 3]);
    b.fan(hub, &ring, Material::Mouth, [0.0, MOUTH_Y, -50.0]);
    for (region, top, bottom, wide) in
        [(Region::UpperTeeth, MOUTH_Y + 0.085, MOUTH_Y + 0.010, 0.175), (Region::LowerTeeth, MOUTH_Y - 0.020, MOUTH_Y - 0.080, 0.130)]
    {
        let rows: Vec<Vec<u32>> = [top, bottom]
            .into_iter()
            .map(|y| {
                (0..=8)
                    .map(|k| {
                        let t = k as f32 / 4.0 - 1.0;
                        let z = front - 0.055 - 0.085 * t * t;
                        b.tinted([wide * t, y, z], region, [1.0 - 0.4 * t * t; 3])
                    })
                    .collect()
            })
            .collect();
        b.strip(&rows, Material::Teeth, [0.0, 0.0, -50.0]);
    }
    tongue(b, front);
}

fn tongue(b: &mut Builder, front: f32) {
    let hub = b.vertex([0.0, MOUTH_Y - 0.055, front - 0.085], Region::Tongue { tip: 1.0 });
    let ring: Vec<u32> = (0..12)
        .map(|k| {
            let (sin, cos) = (TAU * k as f32 / 12.0).sin_cos();
            let tip = if sin > 0.0 { 0.25 } else { 1.0 };
            b.vertex([0.095 * cos, MOUTH_Y - 0.065 + 0.035 * sin, front - 0.105 - 0.05 * sin.max(0.0)], Region::Tongue { tip })
        })
        .collect();
    b.fan(hub, &ring, Material::Tongue, [0.0, MOUTH_Y - 0.06, -50.0]);
}

fn ear(b: &mut Builder, side: f32) {
    let centre = [side * (width(-0.02) - 0.01), -0.02, 0.02];
    let at = |b: &mut Builder, ring: f32, k: usize, out: f32, shade: f32| {
        let (sin, cos) = (TAU * k as f32 / 12.0).sin_cos();
        let taper = 1.0 + 0.25 * sin;
        let p = [centre[0] + side * (out + 0.055 * ring * taper * cos.max(-0.4)), centre[1] + 0.155 * ring * sin, centre[2] - 0.06 * cos];
        b.tinted(p, Region::Ear, [shade, shade * 0.95, shade * 0.93])
    };
    let hub = b.tinted([centre[0] + side * 0.03, centre[1], centre[2] + 0.01], Region::Ear, [0.72, 0.66, 0.64]);
    let inner: Vec<u32> = (0..=12).map(|k| at(b, 0.6, k % 12, 0.045, 0.86)).collect();
    let outer: Vec<u32> = (0..=12).map(|k| at(b, 1.0, k % 12, 0.035, 1.0)).collect();
    let back: Vec<u32> = (0..=12).map(|k| at(b, 0.85, k % 12, -0.05, 0.9)).collect();
    b.fan(hub, &inner[..12], Material::Skin, [0.0, 0.0, -1.5]);
    b.strip(&[inner, outer.clone()], Material::Skin, [0.0, 0.0, -1.5]);
    b.strip(&[outer, back], Material::Skin, centre);
}

/// A cap from the hairline to the crown; the `length` of a site says how far long hair takes it down.
fn hair(b: &mut Builder) {
    let (columns, rows) = (32usize, 7usize);
    let grid: Vec<Vec<u32>> = (0..rows)
        .map(|row| {
            let t = row as f32 / (rows - 1) as f32;
            (0..=columns)
                .map(|column| {
                    let phi = TAU * (column % columns) as f32 / columns as f32;
                    let around = phi.min(TAU - phi);
                    let (p, length) = strand(phi, around, t);
                    let streak = 1.0 - 0.10 * ((column * 7) % 3) as f32 * (1.0 - t);
                    b.tinted(p, Region::Hair { length }, [streak; 3])
                })
                .collect()
        })
        .collect();
    b.strip(&grid[..rows - 1], Material::Hair, [0.0, 0.2, 0.0]);
    let crown = b.vertex([0.0, 0.905, -0.03], Region::Hair { length: 0.0 });
    b.fan(crown, &grid[rows - 2][..columns], Material::Hair, [0.0, 0.2, 0.0]);
}

/// The hair's surface at azimuth φ and t from the hairline (0) to the crown (1).
fn strand(phi: f32, around: f32, t: f32) -> (Vec3, f32) {
    let side = smoothstep(0.75, 1.35, around);
    let back = smoothstep(1.5, 2.3, around);
    let line = 0.555 - 0.035 * (2.0 * around).cos() + 0.03 * (phi - 0.6).sin();
    let start = line * (1.0 - side) + side * (0.10 * (1.0 - back) - 0.42 * back);
    let lift = 0.030 + 0.055 * smoothstep(0.0, 0.35, t) * (1.0 - 0.3 * side);
    let angle = t * FRAC_PI_2;
    // Up along an ellipse from the hairline to the crown.
    let crown = 0.88;
    let y = start + (crown - start) * angle.sin();
    let shrink = if y > 0.35 { (1.0 - ((y - 0.35) / (crown + 0.03 - 0.35)).powi(2)).max(0.0).sqrt() } else { 1.0 };
    let (wide, front) = (width(y.clamp(-0.2, 0.30)), depth(y.clamp(-0.2, 0.30)));
    let deep = if phi.cos() > 0.0 { front } else { front + 0.08 };
    let r = shrink;
    let tuck = if t == 0.0 && back < 0.5 { -0.012 } else { lift };
    let curve = phi.cos().signum() * phi.cos().abs().powf(0.85);
    ([(wide * r + tuck) * phi.sin(), y, (deep * r + tuck) * curve], side * (1.0 - t).powi(2))
}

fn neck(b: &mut Builder) {
    let rows: Vec<Vec<u32>> = [(-0.45, 0.30, -0.03), (-0.75, 0.29, -0.06), (-1.05, 0.36, -0.10)]
        .into_iter()
        .enumerate()
        .map(|(i, (y, r, z))| {
            (0..=14)
                .map(|k| {
                    let phi = -1.9 + 3.8 * k as f32 / 14.0;
                    let shade = [0.70, 0.80, 0.92][i];
                    b.tinted([r * phi.sin(), y, z + 0.85 * r * phi.cos()], Region::Neck, [shade, shade * 0.97, shade * 0.96])
                })
                .collect()
        })
        .collect();
    b.strip(&rows, Material::Skin, [0.0, -0.7, -0.3]);
    let rows: Vec<Vec<u32>> =
        [(-0.80, 0.335, 0.26, -0.10), (-0.86, 0.46, 0.36, -0.12), (-1.00, 0.95, 0.44, -0.14), (-1.4, 1.05, 0.5, -0.14)]
            .into_iter()
            .map(|(y, rx, rz, z)| {
                (0..=14)
                    .map(|k| {
                        let phi = -1.7 + 3.4 * k as f32 / 14.0;
                        let collar = if rx < 0.4 { 0.10 * phi.cos().max(0.0) } else { 0.0 };
                        b.vertex([rx * phi.sin(), y - collar, z + rz * phi.cos()], Region::Body)
                    })
                    .collect()
            })
            .collect();
    b.strip(&rows, Material::Shirt, [0.0, -1.1, -0.4]);
}
