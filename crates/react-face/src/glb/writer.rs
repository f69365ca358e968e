//! Accessors and the bytes behind them.

use crate::head::Basis;
use crate::math::Vec3;
use serde_json::{Value, json};

/// Component types by glTF's numbers.
#[derive(Clone, Copy)]
pub(super) enum Component {
    U8 = 5121,
    U16 = 5123,
    U32 = 5125,
    F32 = 5126,
}

/// What the bytes of a view are for, by glTF's numbers.
const VERTICES: u32 = 34962;
const INDICES: u32 = 34963;

#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    views: Vec<Value>,
    accessors: Vec<Value>,
}

impl Writer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn accessors(&self) -> Vec<Value> {
        self.accessors.clone()
    }

    pub(super) fn views(&self) -> Vec<Value> {
        self.views.clone()
    }

    fn view(&mut self, bytes: impl IntoIterator<Item = u8>, target: Option<u32>) -> usize {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let mut view = json!({"buffer": 0, "byteOffset": start, "byteLength": self.bytes.len() - start});
        if let Some(target) = target {
            view["target"] = json!(target);
        }
        // Every view begins at a multiple of four, as floats must.
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self.views.push(view);
        self.views.len() - 1
    }

    fn accessor(&mut self, accessor: Value) -> usize {
        self.accessors.push(accessor);
        self.accessors.len() - 1
    }

    fn floats(&mut self, values: &[f32], width: usize, kind: &str, target: Option<u32>) -> usize {
        let view = self.view(values.iter().flat_map(|v| v.to_le_bytes()), target);
        self.accessor(json!({"bufferView": view, "componentType": Component::F32 as u32, "count": values.len() / width, "type": kind}))
    }

    /// Vectors of vertices (`target`; positions need `bounds`) or of an animation.
    pub(super) fn vectors(&mut self, values: &[Vec3], bounds: bool, target: bool) -> usize {
        let at = self.floats(values.as_flattened(), 3, "VEC3", target.then_some(VERTICES));
        if bounds {
            (self.accessors[at]["min"], self.accessors[at]["max"]) = limits(values.iter().copied());
        }
        at
    }

    pub(super) fn joints(&mut self, values: &[[u8; 4]]) -> usize {
        let view = self.view(values.as_flattened().iter().copied(), Some(VERTICES));
        self.accessor(json!({"bufferView": view, "componentType": Component::U8 as u32, "count": values.len(), "type": "VEC4"}))
    }

    pub(super) fn weights(&mut self, values: &[[f32; 4]]) -> usize {
        self.floats(values.as_flattened(), 4, "VEC4", Some(VERTICES))
    }

    pub(super) fn quaternions(&mut self, values: &[[f32; 4]]) -> usize {
        self.floats(values.as_flattened(), 4, "VEC4", None)
    }

    pub(super) fn scalars(&mut self, values: &[f32]) -> usize {
        self.floats(values, 1, "SCALAR", None)
    }

    /// Times, ascending.
    pub(super) fn times(&mut self, values: &[f32]) -> usize {
        let at = self.scalars(values);
        let ends = [values.first(), values.last()].map(|v| v.copied().map_or(0.0, f64::from));
        (self.accessors[at]["min"], self.accessors[at]["max"]) = (json!([ends[0]]), json!([ends[1]]));
        at
    }

    /// Vertex numbers of triangles, in the smallest type that reaches `vertices`.
    pub(super) fn indices(&mut self, values: &[u32], vertices: usize) -> usize {
        let (component, bytes) = numbers(values.iter().copied(), vertices);
        let view = self.view(bytes, Some(INDICES));
        self.accessor(json!({"bufferView": view, "componentType": component as u32, "count": values.len(), "type": "SCALAR"}))
    }

    /// Morph targets: accessors that are 0 but at the vertices which a channel moves.
    pub(super) fn sparse(&mut self, targets: &[Basis], vertices: usize) -> Vec<usize> {
        let (component, indices) = numbers(targets.iter().flatten().map(|(v, _)| *v), vertices);
        let indices = self.view(indices, None);
        let values = self.view(targets.iter().flatten().flat_map(|(_, d)| *d).flat_map(f32::to_le_bytes), None);
        let size = if matches!(component, Component::U16) { 2 } else { 4 };
        let mut before = 0;
        let mut out = Vec::new();
        for target in targets {
            let still = (target.len() < vertices).then_some([0.0; 3]);
            let (min, max) = limits(target.iter().map(|(_, d)| *d).chain(still));
            let mut accessor = json!({"componentType": Component::F32 as u32, "count": vertices, "type": "VEC3", "min": min, "max": max});
            if !target.is_empty() {
                accessor["sparse"] = json!({
                    "count": target.len(),
                    "indices": {"bufferView": indices, "byteOffset": before * size, "componentType": component as u32},
                    "values": {"bufferView": values, "byteOffset": before * 12},
                });
            }
            before += target.len();
            out.push(self.accessor(accessor));
        }
        out
    }
}

fn limits(values: impl Iterator<Item = Vec3>) -> (Value, Value) {
    let (mut least, mut most) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    for v in values {
        least = std::array::from_fn(|axis| least[axis].min(v[axis]));
        most = std::array::from_fn(|axis| most[axis].max(v[axis]));
    }
    (json!(least.map(f64::from)), json!(most.map(f64::from)))
}

fn numbers(values: impl Iterator<Item = u32>, vertices: usize) -> (Component, Vec<u8>) {
    // The highest number of a type means "begin anew" in glTF.
    if vertices <= usize::from(u16::MAX) {
        (Component::U16, values.flat_map(|v| (v as u16).to_le_bytes()).collect())
    } else {
        (Component::U32, values.flat_map(u32::to_le_bytes).collect())
    }
}
