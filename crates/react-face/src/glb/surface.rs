//! What a glTF mesh needs of an avatar: linear colours, the share of each vertex that follows the head, and morph targets.

use crate::avatar::Avatar;
use crate::channels::EXPRESSIONS;
use crate::faceverse::FaceVersePerson;
use crate::head::{Basis, Head};
use crate::math::{Vec3, dot};

/// Displacements shorter than this (dm) are left out of FaceVerse's dense bases: 10 µm, a seventieth of a pixel.
const LEAST: f32 = 1e-4;

pub(super) struct Surface {
    pub(super) positions: Vec<Vec3>,
    pub(super) normals: Vec<Vec3>,
    /// Linear RGB, as glTF has colours.
    pub(super) colors: Vec<Vec3>,
    /// How much of the head's motion each vertex follows: shoulders 0.
    pub(super) follow: Vec<f32>,
    pub(super) triangles: Vec<[u32; 3]>,
    pub(super) targets: Vec<Basis>,
    pub(super) names: Vec<String>,
    /// Whether the inside can be seen.
    pub(super) open: bool,
}

impl Surface {
    pub(super) fn new(avatar: &Avatar) -> Self {
        let solid = avatar.solid();
        let (positions, normals) = solid.pose(&[0.0; 58]);
        let (follow, bases, names, open) = match avatar {
            Avatar::Embedded(_) => {
                let head = Head::embedded();
                (head.rigid, head.expression, EXPRESSIONS.map(str::to_owned).to_vec(), false)
            }
            Avatar::FaceVerse(person) => {
                let bases = (0..EXPRESSIONS.len()).map(|channel| moved(person, channel)).collect();
                (vec![1.0; person.model().vertices()], bases, person.model().expressions().to_vec(), true)
            }
        };
        let mut copies: Vec<Vec<u32>> = vec![Vec::new(); follow.len()];
        solid.origin().iter().enumerate().for_each(|(at, v)| copies[*v as usize].push(at as u32));
        let spread = |basis: &Basis| {
            let mut out: Basis = basis.iter().flat_map(|(v, d)| copies[*v as usize].iter().map(|at| (*at, *d))).collect();
            out.sort_unstable_by_key(|(v, _)| *v);
            out
        };
        Self {
            follow: solid.origin().iter().map(|v| follow[*v as usize]).collect(),
            targets: bases.iter().map(spread).collect(),
            colors: solid.shades().iter().map(|c| c.map(linear)).collect(),
            triangles: solid.triangles().to_vec(),
            positions,
            normals,
            names,
            open,
        }
    }
}

fn moved(person: &FaceVersePerson, channel: usize) -> Basis {
    let all = person.displacements(channel).into_iter().enumerate();
    all.filter(|(_, d)| dot(*d, *d) > LEAST * LEAST).map(|(v, d)| (v as u32, d)).collect()
}

/// sRGB to linear light.
fn linear(c: f32) -> f32 {
    if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
}
