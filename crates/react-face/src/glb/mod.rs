//! An animated head as binary glTF 2.0: morph targets and two joints.
//!
//! One mesh with 52 morph targets (sparse: the vertices that a channel moves); one animation of the weights and of the
//! joint `head`. What does not follow the head wholly (neck, shoulders) hangs on the joint `body` for the rest, which
//! gives w·(R·p + t) + (1 − w)·p as [`crate::Head::pose`] has it. Lengths are dm, as in the coefficients.

mod surface;
mod writer;

use crate::avatar::Avatar;
use crate::error::FaceError;
use crate::math::Vec3;
use crate::raster::{CENTRE, DISTANCE, FOCAL};
use ndarray::ArrayView2;
use serde_json::{Value, json};
use surface::Surface;
use writer::Writer;

/// Nodes by number.
const FIGURE: u32 = 0;
const HEAD: u32 = 1;
const BODY: u32 = 2;

pub(crate) fn write(avatar: &Avatar, coeffs: ArrayView2<'_, f32>, fps: f64) -> Result<Vec<u8>, FaceError> {
    crate::avatar::check_coeffs(coeffs)?;
    if coeffs.nrows() == 0 {
        return Err(FaceError::argument("coeffs", "at least one frame", 0));
    }
    if !(fps.is_finite() && fps > 0.0 && fps <= 1000.0) {
        return Err(FaceError::argument("fps", "more than 0, at most 1000", fps));
    }
    let surface = Surface::new(avatar);
    let mut out = Writer::default();
    let mesh = mesh(&surface, &mut out);
    let animation = animation(coeffs, fps, &mut out);
    let (accessors, views) = (out.accessors(), out.views());
    let document = json!({
        "asset": {"version": "2.0", "generator": concat!("react-face ", env!("CARGO_PKG_VERSION")), "extras": {"unit": "dm"}},
        "scene": 0,
        "scenes": [{"nodes": [FIGURE, BODY, 3]}],
        "nodes": [
            {"name": "figure", "mesh": 0, "skin": 0},
            {"name": "head"},
            {"name": "body", "children": [HEAD]},
            {"name": "camera", "camera": 0, "translation": [0.0, 0.0, DISTANCE]},
        ],
        "cameras": [{
            "type": "perspective",
            "perspective": {"yfov": 2.0 * f64::from(CENTRE / FOCAL).atan(), "aspectRatio": 1.0, "znear": 1.0, "zfar": 100.0},
        }],
        "meshes": [mesh],
        "skins": [{"joints": [HEAD, BODY], "skeleton": BODY}],
        "materials": [{
            "name": "colours of the vertices",
            "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9},
            "doubleSided": surface.open,
        }],
        "animations": [animation],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": out.bytes().len()}],
    });
    container(&document, out.bytes())
}

fn mesh(surface: &Surface, out: &mut Writer) -> Value {
    let count = surface.positions.len();
    let position = out.vectors(&surface.positions, true, true);
    let normal = out.vectors(&surface.normals.iter().map(|n| unit(*n)).collect::<Vec<_>>(), false, true);
    let color = out.vectors(&surface.colors, false, true);
    let (joints, weights) = joints(&surface.follow);
    let (joints, weights) = (out.joints(&joints), out.weights(&weights));
    let indices = out.indices(surface.triangles.as_flattened(), count);
    let targets: Vec<Value> = out.sparse(&surface.targets, count).into_iter().map(|accessor| json!({"POSITION": accessor})).collect();
    json!({
        "name": "face",
        "primitives": [{
            "attributes": {"POSITION": position, "NORMAL": normal, "COLOR_0": color, "JOINTS_0": joints, "WEIGHTS_0": weights},
            "indices": indices,
            "material": 0,
            "targets": targets,
        }],
        "extras": {"targetNames": surface.names},
    })
}

/// A normal of unit length also where a vertex has no triangle.
fn unit(n: Vec3) -> Vec3 {
    let length = n.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    if length > 0.5 { n.map(|v| (f64::from(v) / length) as f32) } else { [0.0, 0.0, 1.0] }
}

/// Joint 0 is the head, 1 the body; a joint without weight must be named 0.
fn joints(follow: &[f32]) -> (Vec<[u8; 4]>, Vec<[f32; 4]>) {
    follow
        .iter()
        .map(|w| match *w {
            w if w >= 1.0 => ([0; 4], [1.0, 0.0, 0.0, 0.0]),
            w if w <= 0.0 => ([1, 0, 0, 0], [1.0, 0.0, 0.0, 0.0]),
            w => ([0, 1, 0, 0], [w, 1.0 - w, 0.0, 0.0]),
        })
        .unzip()
}

fn animation(coeffs: ArrayView2<'_, f32>, fps: f64, out: &mut Writer) -> Value {
    let times: Vec<f32> = (0..coeffs.nrows()).map(|t| (t as f64 / fps) as f32).collect();
    let weights: Vec<f32> = coeffs.rows().into_iter().flat_map(|row| row.iter().take(52).copied().collect::<Vec<_>>()).collect();
    let mut turns: Vec<[f32; 4]> = Vec::new();
    for row in coeffs.rows() {
        let turn = quaternion([row[52], row[53], row[54]]);
        // q and −q are the same turn; between frames the shorter way is meant.
        let back = turns.last().is_some_and(|last| last.iter().zip(&turn).map(|(a, b)| a * b).sum::<f32>() < 0.0);
        turns.push(if back { turn.map(|v| -v) } else { turn });
    }
    let shifts: Vec<Vec3> = coeffs.rows().into_iter().map(|row| [row[55], row[56], row[57]]).collect();
    let input = out.times(&times);
    let outputs = [out.scalars(&weights), out.quaternions(&turns), out.vectors(&shifts, false, false)];
    let samplers = outputs.map(|output| json!({"input": input, "output": output, "interpolation": "LINEAR"}));
    json!({
        "name": "reaction",
        "samplers": samplers,
        "channels": [
            {"sampler": 0, "target": {"node": FIGURE, "path": "weights"}},
            {"sampler": 1, "target": {"node": HEAD, "path": "rotation"}},
            {"sampler": 2, "target": {"node": HEAD, "path": "translation"}},
        ],
    })
}

/// The rotation Rz·Ry·Rx as x, y, z, w.
fn quaternion(angles: [f32; 3]) -> [f32; 4] {
    let [(sx, cx), (sy, cy), (sz, cz)] = angles.map(|angle| (f64::from(angle) / 2.0).sin_cos());
    [cz * cy * sx - sz * sy * cx, cz * sy * cx + sz * cy * sx, sz * cy * cx - cz * sy * sx, cz * cy * cx + sz * sy * sx].map(|v| v as f32)
}

/// The file: a header, the document, the numbers.
fn container(document: &Value, binary: &[u8]) -> Result<Vec<u8>, FaceError> {
    let mut text = document.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let length = 12 + 8 + text.len() + 8 + binary.len();
    let word = |v: usize| u32::try_from(v).map(u32::to_le_bytes);
    let too_long = |_| FaceError::argument("coeffs", "an animation of less than 4 GiB", length);
    let mut out = Vec::with_capacity(length);
    out.extend(b"glTF");
    out.extend(2u32.to_le_bytes());
    out.extend(word(length).map_err(too_long)?);
    for (kind, chunk) in [(b"JSON", text.as_slice()), (b"BIN\0", binary)] {
        out.extend(word(chunk.len()).map_err(too_long)?);
        out.extend(kind);
        out.extend(chunk);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::{rotation, transform};

    #[test]
    fn the_quaternion_turns_as_the_matrix() {
        let angles = [0.4, -0.7, 1.1];
        let [x, y, z, w] = quaternion(angles);
        let matrix = [
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
            [2.0 * (x * y + z * w), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - x * w)],
            [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), 1.0 - 2.0 * (x * x + y * y)],
        ];
        for v in [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.3, -0.2, 0.9]] {
            let (a, b) = (transform(&matrix, v), transform(&rotation(angles), v));
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-6), "{a:?} {b:?}");
        }
    }
}
