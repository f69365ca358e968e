//! One person of the model, posed: FaceVerse's equations.
//!
//! V = mean + identity·id + expression·exp (dm, model space), then V·R + t with R = (Rz·Ry·Rx)ᵀ; texture T = mean +
//! texture·tex (0…255), coloured T·light(n·R, γ).

use super::model::{FaceVerse, LANES, triples};
use crate::channels::EXPRESSIONS;
use crate::error::FaceError;
use crate::head::{MATERIALS, Mesh};
use crate::math::{Vec3, add, cross, normalised, rotation, scale, sub, transform};
use crate::shading::Shading;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A face of [`FaceVerse`]: one identity and texture, ready to be posed. Clones share it.
#[derive(Clone)]
pub struct FaceVersePerson {
    model: FaceVerse,
    /// Mean and identity, padded to whole blocks.
    neutral: Arc<Vec<[f32; LANES]>>,
    texture: Arc<Vec<Vec3>>,
    shading: Shading,
}

impl fmt::Debug for FaceVersePerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaceVersePerson").field("model", &self.model).field("shading", &self.shading).finish_non_exhaustive()
    }
}

impl PartialEq for FaceVersePerson {
    /// The same model in memory, the same face, drawn the same way.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model.0, &other.model.0)
            && self.neutral == other.neutral
            && self.texture == other.texture
            && self.shading == other.shading
    }
}

impl FaceVersePerson {
    /// The person with these identity coefficients (the model's 150, or fewer: the rest are 0) and the mean texture.
    ///
    /// # Errors
    /// Where there are more coefficients than the model has, or one is not finite.
    pub fn new(model: &FaceVerse, identity: &[f32]) -> Result<Self, FaceError> {
        check("identity", identity, model.0.identity.columns)?;
        let neutral = blocks(&model.0.identity.apply(&model.0.mean_shape, identity));
        let texture = Arc::new(triples(&model.0.mean_texture));
        Ok(Self { model: model.clone(), neutral: Arc::new(neutral), texture, shading: Shading::Grey { smooth: false } })
    }

    /// The listener of the published videos: the first 150 values of `reference_full.npy`.
    ///
    /// # Errors
    /// Where the file is no array of numbers, has fewer, or one is not finite.
    pub fn from_reference(model: &FaceVerse, path: &Path) -> Result<Self, FaceError> {
        let values = react_store::read_npy_f32(path)?;
        let wanted = model.0.identity.columns;
        let identity: Vec<f32> = values.iter().take(wanted).copied().collect();
        let refuse = |why| FaceError::Model { file: path.to_owned(), array: "identity".to_owned(), why };
        if identity.len() < wanted {
            return Err(refuse(format!(
                "wanted at least the {wanted} coefficients of {}, found {}",
                model.0.file.display(),
                identity.len()
            )));
        }
        match identity.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(refuse(format!("value {at} is {}", identity[at]))),
            None => Self::new(model, &identity),
        }
    }

    /// The same person with these texture coefficients (the model's 251, or fewer).
    ///
    /// # Errors
    /// As [`FaceVersePerson::new`].
    pub fn textured(mut self, texture: &[f32]) -> Result<Self, FaceError> {
        let model = &self.model.0;
        check("texture", texture, model.texture.columns)?;
        self.texture = Arc::new(triples(&model.texture.apply(&model.mean_texture, texture)));
        Ok(self)
    }

    /// The same person drawn otherwise than in the published flat grey.
    #[must_use]
    pub fn shaded(mut self, shading: Shading) -> Self {
        self.shading = shading;
        self
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &FaceVerse {
        &self.model
    }

    /// How the person is drawn.
    #[must_use]
    pub fn shading(&self) -> Shading {
        self.shading
    }

    /// The colour of each vertex without light, RGB in 0…255.
    #[must_use]
    pub fn texture(&self) -> &[[f32; 3]] {
        &self.texture
    }

    /// The vertices of an expression before rotation and translation, dm.
    #[must_use]
    pub fn shape(&self, expression: &[f32; 52]) -> Vec<[f32; 3]> {
        let mut out = vec![[0.0; 3]; self.model.vertices()];
        self.shape_into(expression, &mut out);
        out
    }

    fn shape_into(&self, expression: &[f32; 52], out: &mut [Vec3]) {
        let basis = self.model.0.expression.chunks_exact(EXPRESSIONS.len());
        let coordinates = out.as_flattened_mut().chunks_mut(LANES);
        for ((neutral, channels), out) in self.neutral.iter().zip(basis).zip(coordinates) {
            let mut sum = *neutral;
            for (weight, channel) in expression.iter().zip(channels) {
                for (sum, displacement) in sum.iter_mut().zip(channel) {
                    *sum += weight * displacement;
                }
            }
            out.copy_from_slice(&sum[..out.len()]);
        }
    }

    /// Unit normals: those of the triangles round each vertex, as `point_buf` lists them, by area.
    #[must_use]
    pub fn normals(&self, vertices: &[[f32; 3]]) -> Vec<[f32; 3]> {
        let mut out = vec![[0.0; 3]; self.model.vertices()];
        self.normals_into(vertices, &mut Vec::new(), &mut out);
        out
    }

    fn normals_into(&self, vertices: &[Vec3], faces: &mut Vec<Vec3>, out: &mut [Vec3]) {
        let model = &self.model.0;
        let corner = |v: u32| vertices.get(v as usize).copied().unwrap_or_default();
        faces.clear();
        faces.extend(model.topology.triangles.iter().map(|t| {
            let [a, b, c] = t.map(corner);
            cross(sub(a, b), sub(b, c))
        }));
        faces.push([0.0; 3]);
        for (normal, around) in out.iter_mut().zip(model.around.chunks_exact(model.around_width)) {
            *normal = normalised(around.iter().fold([0.0; 3], |sum, t| add(sum, faces[*t as usize])));
        }
    }

    /// The posed mesh of 58 coefficients: 52 of expression, rotation (rad), translation (dm).
    #[must_use]
    pub fn pose(&self, coeffs: &[f32; 58]) -> Mesh {
        let mut mesh = self.mesh();
        self.pose_into(coeffs, &mut Vec::new(), &mut mesh);
        mesh
    }

    pub(crate) fn mesh(&self) -> Mesh {
        let zeros = vec![[0.0; 3]; self.model.vertices()];
        let tints = Arc::new(self.texture.iter().map(|rgb| scale(*rgb, 1.0 / 255.0)).collect());
        let topology = Arc::clone(&self.model.0.topology);
        Mesh { positions: zeros.clone(), normals: zeros, topology, tints, palette: [[1.0; 3]; MATERIALS] }
    }

    pub(crate) fn pose_into(&self, coeffs: &[f32; 58], faces: &mut Vec<Vec3>, mesh: &mut Mesh) {
        let (expression, rigid) = coeffs.split_first_chunk::<52>().unwrap_or((&[0.0; 52], &[]));
        self.shape_into(expression, &mut mesh.positions);
        self.normals_into(&mesh.positions, faces, &mut mesh.normals);
        let [x, y, z, shift @ ..] = rigid else { return };
        let turn = rotation([*x, *y, *z]);
        let shift = std::array::from_fn(|axis| shift.get(axis).copied().unwrap_or(0.0));
        mesh.positions.iter_mut().for_each(|p| *p = add(transform(&turn, *p), shift));
        mesh.normals.iter_mut().for_each(|n| *n = transform(&turn, *n));
    }

    /// What each expression channel adds to the vertices at weight 1.
    pub(crate) fn displacements(&self, channel: usize) -> Vec<Vec3> {
        let blocks = self.model.0.expression.chunks_exact(EXPRESSIONS.len());
        let values: Vec<f32> = blocks.flat_map(|block| block[channel]).collect();
        triples(&values[..self.model.0.mean_shape.len()])
    }
}

fn check(what: &'static str, values: &[f32], most: usize) -> Result<(), FaceError> {
    if values.len() > most {
        return Err(FaceError::argument(what, format!("at most the model's {most} coefficients"), values.len()));
    }
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(FaceError::argument(what, "finite coefficients", format!("{} at {at}", values[at]))),
        None => Ok(()),
    }
}

fn blocks(values: &[f32]) -> Vec<[f32; LANES]> {
    values.chunks(LANES).map(|chunk| std::array::from_fn(|lane| chunk.get(lane).copied().unwrap_or(0.0))).collect()
}
