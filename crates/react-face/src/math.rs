//! Three-vectors and the head's rotation.

/// x right in the picture, y up, z towards the camera.
pub(crate) type Vec3 = [f32; 3];

pub(crate) fn add(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] + b[0], a[1] + b[1], a[2] + b[2]]
}

pub(crate) fn sub(a: Vec3, b: Vec3) -> Vec3 {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

pub(crate) fn scale(a: Vec3, s: f32) -> Vec3 {
    [a[0] * s, a[1] * s, a[2] * s]
}

pub(crate) fn dot(a: Vec3, b: Vec3) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(crate) fn cross(a: Vec3, b: Vec3) -> Vec3 {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

pub(crate) fn normalised(a: Vec3) -> Vec3 {
    scale(a, 1.0 / (dot(a, a).sqrt() + 1e-9))
}

pub(crate) fn mix(a: Vec3, b: Vec3, t: f32) -> Vec3 {
    add(scale(a, 1.0 - t), scale(b, t))
}

pub(crate) fn transform(m: &[Vec3; 3], v: Vec3) -> Vec3 {
    [dot(m[0], v), dot(m[1], v), dot(m[2], v)]
}

/// 0 before `from`, 1 after `to`, smooth between (also where `from` > `to`).
pub(crate) fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The rotation Rz·Ry·Rx of angles (x, y, z) in rad, right-handed, as rows: a vertex v goes to `rotation · v`.
///
/// FaceVerse writes the same as V·R with R = (Rz·Ry·Rx)ᵀ for row vectors. Positive x nods down, positive y turns
/// towards the person's left, positive z tilts the head to the person's right.
///
/// ```
/// let quarter = std::f32::consts::FRAC_PI_2;
/// let m = react_face::rotation([quarter, 0.0, 0.0]);
/// assert!((m[2][1] - 1.0).abs() < 1e-6); // y turns to z
/// ```
#[must_use]
pub fn rotation(angles: [f32; 3]) -> [[f32; 3]; 3] {
    let [(sx, cx), (sy, cy), (sz, cz)] = angles.map(f32::sin_cos);
    [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first rotation of `faceverse_geometry.safetensors`, `rotation_matrix` = R for row vectors, so ours transposed.
    #[test]
    fn rotation_is_faceverse_s() {
        let m = rotation([0.513_593_9, 0.215_161_14, -0.139_601_78]);
        let want = [
            [0.967_437_74, -0.135_940_3, -0.213_504_87],
            [0.225_073_16, 0.847_914_8, 0.479_982_02],
            [0.115_785_04, -0.512_406_95, 0.850_901_3],
        ];
        for i in 0..3 {
            for j in 0..3 {
                assert!((m[j][i] - want[i][j]).abs() < 1e-6, "{i}, {j}: {} and {}", m[j][i], want[i][j]);
            }
        }
    }
}
