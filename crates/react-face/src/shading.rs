//! How surfaces look: the studio's light, the published grey, and light in spherical harmonics.

use crate::math::{Vec3, cross, dot, normalised, scale, sub};
use std::f32::consts::PI;

/// How a mesh is coloured and lit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Shading {
    /// Its own colours under the key light of the [`crate::Look`], smooth.
    #[default]
    Studio,
    /// The grey face of the published 3D videos: albedo 200, ambient light 0.1, diffuse 0.95 from +z at infinity, before
    /// black, whatever the [`crate::Look`]. Flat as published: one normal a triangle; or smooth: one a vertex.
    Grey {
        /// Whether normals are those of the vertices.
        smooth: bool,
    },
    /// Its own colours under nine spherical harmonics for each of red, green and blue (FaceVerse's γ), smooth, before the
    /// background of the [`crate::Look`].
    Harmonics {
        /// γ, `[3][9]`, as the coefficients have it: [`harmonic_light`] adds 0.8 to the constant terms.
        gamma: [f32; 27],
    },
}

/// The published grey, of 1.
pub(crate) const ALBEDO: f32 = 200.0 / 255.0;
const AMBIENT: f32 = 0.1;
const DIFFUSE: f32 = 0.95;

/// The light on a unit normal, for red, green and blue: H·γᵀ, 0.8 added to each constant term.
///
/// H = `[a0c0, −a1c1·y, a1c1·z, −a1c1·x, a2c2·xy, −a2c2·yz, a2c2·(3z²−1)/(2√3), −a2c2·xz, a2c2·(x²−y²)/2]` with
/// a = (π, 2π/√3, 2π/√8) and c = (1/√(4π), √3/√(4π), 3√5/√(12π)).
///
/// ```
/// let light = react_face::harmonic_light(&[0.0; 27], [0.0, 0.0, 1.0]);
/// assert!((light[0] - 0.8 * std::f32::consts::PI.sqrt() / 2.0).abs() < 1e-6); // 0.8·a0·c0, from everywhere
/// ```
#[must_use]
pub fn harmonic_light(gamma: &[f32; 27], normal: [f32; 3]) -> [f32; 3] {
    let [x, y, z] = normal;
    let constant = PI / (4.0 * PI).sqrt();
    let first = 2.0 * PI / 3f32.sqrt() * 3f32.sqrt() / (4.0 * PI).sqrt();
    let second = 2.0 * PI / 8f32.sqrt() * 3.0 * 5f32.sqrt() / (12.0 * PI).sqrt();
    let h = [
        constant,
        -first * y,
        first * z,
        -first * x,
        second * x * y,
        -second * y * z,
        second * 0.5 / 3f32.sqrt() * (3.0 * z * z - 1.0),
        -second * x * z,
        second * 0.5 * (x * x - y * y),
    ];
    std::array::from_fn(|color| 0.8 * h[0] + h.iter().zip(&gamma[9 * color..]).map(|(h, g)| h * g).sum::<f32>())
}

/// The published grey of a unit normal, 0…255.
pub(crate) fn grey(normal: Vec3) -> f32 {
    255.0 * ALBEDO * (AMBIENT + DIFFUSE * normal[2].max(0.0))
}

/// The unit normal of a triangle.
pub(crate) fn face_normal([a, b, c]: [Vec3; 3]) -> Vec3 {
    let n = cross(sub(b, a), sub(c, a));
    let squared = dot(n, n);
    // A triangle may be so small that its normal's length is below the rounding that `normalised` adds.
    if squared > 1e-30 { scale(n, 1.0 / squared.sqrt()) } else { normalised(n) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_grey() {
        assert!((grey([0.0, 0.0, 1.0]) - 210.0).abs() < 1e-3);
        assert!((grey([0.0, 1.0, 0.0]) - 20.0).abs() < 1e-3);
        assert!((grey([0.0, 0.0, -1.0]) - 20.0).abs() < 1e-3);
        assert_eq!(face_normal([[0.0; 3], [1e-6, 0.0, 0.0], [0.0, 1e-6, 0.0]]), [0.0, 0.0, 1.0]);
    }
}
