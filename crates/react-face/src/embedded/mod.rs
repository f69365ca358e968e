//! The embedded head: geometry made in code, so that nothing has to be licensed or downloaded.
//!
//! Like a scanned 3DMM it is linear: vertices = mean + Σ identity + Σ expression. The skin is a surface over a skull
//! profile ([`profile`]), triangulated round the holes of eyes and mouth ([`skin`]); the other parts are strips and fans
//! ([`parts`]). [`rig`] and [`identity`] say how each channel moves each site.

mod builder;
mod delaunay;
mod identity;
mod parts;
mod profile;
mod rig;
mod skin;

use crate::channels::EXPRESSIONS;
use crate::head::{Basis, Head, Topology};
use crate::math::{Vec3, add, dot, scale, smoothstep};
use builder::{Builder, Region, Site};
use std::sync::Arc;

pub(crate) use identity::IDENTITY;

/// The whole is made a little smaller and higher than it is drawn, so that an open mouth stays in FaceVerse's picture.
const SIZE: f32 = 0.92;
const RISE: f32 = 0.015;

pub(crate) fn head() -> Head {
    let mut b = Builder::default();
    skin::build(&mut b);
    parts::build(&mut b);
    let expression = EXPRESSIONS.iter().map(|channel| basis(&b.sites, |site| rig::displacement(channel, site))).collect();
    let identity = IDENTITY.iter().map(|channel| basis(&b.sites, |site| identity::displacement(channel, site))).collect();
    Head {
        mean: b.sites.iter().map(|site| add(scale(site.p, SIZE), [0.0, RISE, 0.0])).collect(),
        rigid: b.sites.iter().map(rigid).collect(),
        identity,
        expression,
        topology: Arc::new(Topology { triangles: b.triangles, materials: b.materials, open: false }),
        tints: Arc::new(b.tints),
    }
}

/// The sites that a channel moves, and how far.
fn basis(sites: &[Site], displacement: impl Fn(&Site) -> Vec3) -> Basis {
    let moved = sites.iter().enumerate().map(|(i, site)| (i as u32, scale(displacement(site), SIZE)));
    moved.filter(|(_, d)| dot(*d, *d) > 1e-7).collect()
}

/// How much a site follows the head's rotation and translation: shoulders stay.
fn rigid(site: &Site) -> f32 {
    match site.region {
        Region::Body => 0.0,
        Region::Neck => smoothstep(-0.95, -0.50, site.p[1]),
        _ => 1.0,
    }
}
