//! An avatar as other programs show meshes: one colour a vertex, and positions for each frame.

use crate::avatar::Avatar;
use crate::head::{Head, Mesh};
use crate::math::Vec3;
use crate::shading::{ALBEDO, Shading};
use std::collections::BTreeMap;

/// The mesh of an [`Avatar`] with one colour a vertex; a vertex of several materials becomes one for each.
///
/// ```
/// use react_face::Avatar;
/// let solid = Avatar::default().solid();
/// let (positions, normals) = solid.pose(&[0.0; 58]);
/// assert_eq!(positions.len(), solid.colors().len());
/// assert_eq!(positions.len(), normals.len());
/// assert!(solid.triangles().iter().flatten().all(|v| (*v as usize) < positions.len()));
/// ```
#[derive(Clone, Debug)]
pub struct Solid {
    avatar: Avatar,
    triangles: Vec<[u32; 3]>,
    colors: Vec<Vec3>,
    bytes: Vec<[u8; 3]>,
    origin: Vec<u32>,
}

impl Solid {
    pub(crate) fn new(avatar: &Avatar) -> Self {
        let mesh = posed(avatar, &[0.0; 58]);
        let grey = matches!(avatar, Avatar::FaceVerse(person) if matches!(person.shading(), Shading::Grey { .. }));
        let mut new = BTreeMap::new();
        let (mut origin, mut colors) = (Vec::new(), Vec::new());
        let corners = mesh.topology.triangles.iter().zip(&mesh.topology.materials).map(|(t, material)| {
            t.map(|v| {
                *new.entry((v, *material as usize)).or_insert_with(|| {
                    let (albedo, tint) = (mesh.palette[*material as usize], mesh.tints[v as usize]);
                    let own = std::array::from_fn(|i| (albedo[i] * tint[i]).clamp(0.0, 1.0));
                    colors.push(if grey { [ALBEDO; 3] } else { own });
                    origin.push(v);
                    origin.len() as u32 - 1
                })
            })
        });
        let triangles = corners.collect();
        let bytes = colors.iter().map(|c| c.map(|v| (v * 255.0 + 0.5) as u8)).collect();
        Self { avatar: avatar.clone(), triangles, colors, bytes, origin }
    }

    /// Vertex numbers of each triangle, counter-clockwise from outside.
    #[must_use]
    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.triangles
    }

    /// The colour of each vertex without light, sRGB.
    #[must_use]
    pub fn colors(&self) -> &[[u8; 3]] {
        &self.bytes
    }

    /// Positions (dm; x right, y up, z towards the camera) and unit normals of each vertex in the frame of 58 coefficients.
    #[must_use]
    pub fn pose(&self, coeffs: &[f32; 58]) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
        let mesh = posed(&self.avatar, coeffs);
        let gather = |values: &[Vec3]| self.origin.iter().map(|v| values[*v as usize]).collect();
        (gather(&mesh.positions), gather(&mesh.normals))
    }

    /// The colours in 0…1.
    pub(crate) fn shades(&self) -> &[Vec3] {
        &self.colors
    }

    /// The vertex of the avatar's own mesh that each vertex stands for.
    pub(crate) fn origin(&self) -> &[u32] {
        &self.origin
    }
}

fn posed(avatar: &Avatar, coeffs: &[f32; 58]) -> Mesh {
    match avatar {
        Avatar::Embedded(person) => Head::embedded().pose(person, coeffs),
        Avatar::FaceVerse(person) => person.pose(coeffs),
    }
}
