//! The linear model and its posing.

use crate::channels::EXPRESSIONS;
use crate::embedded;
use crate::math::{Vec3, add, cross, mix, normalised, rotation, scale, sub, transform};
use crate::person::Person;
use std::sync::{Arc, LazyLock};

/// Identity weights of a [`Person`].
pub const IDENTITIES: usize = 16;

/// What a triangle is made of; a [`Person`] gives each material its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Material {
    /// Face, ears and neck.
    Skin,
    /// The red of the lips.
    Lips,
    /// Eyebrows.
    Brow,
    /// The line of the lashes.
    Lash,
    /// The white of the eyes.
    EyeWhite,
    /// Irises.
    Iris,
    /// Pupils.
    Pupil,
    /// The light's reflection in the eyes.
    Glint,
    /// The inside of the mouth.
    Mouth,
    /// Teeth.
    Teeth,
    /// The tongue.
    Tongue,
    /// Nostrils.
    Nostril,
    /// Hair.
    Hair,
    /// What is worn.
    Shirt,
}

/// How many materials there are.
pub(crate) const MATERIALS: usize = 14;

/// The vertices that a channel moves, each with its displacement at weight 1.
pub(crate) type Basis = Vec<(u32, Vec3)>;

/// Triangles with their materials: the same for every pose and person.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) triangles: Vec<[u32; 3]>,
    pub(crate) materials: Vec<Material>,
    /// Whether the mesh has an inside that can be seen, so that what faces away is drawn too.
    pub(crate) open: bool,
}

/// A head as a linear model: vertices = mean + Σ identity·basis + Σ expression·basis, then rotated and moved.
///
/// 1 unit is 1 dm, x to the right of the picture, y up, z towards the camera, the origin in the middle of the skull.
#[derive(Clone, Debug)]
pub struct Head {
    pub(crate) mean: Vec<Vec3>,
    /// How much each vertex follows rotation and translation (shoulders: 0).
    pub(crate) rigid: Vec<f32>,
    pub(crate) identity: Vec<Basis>,
    pub(crate) expression: Vec<Basis>,
    pub(crate) topology: Arc<Topology>,
    /// A colour factor for each vertex.
    pub(crate) tints: Arc<Vec<Vec3>>,
}

/// A posed head: positions and unit normals per vertex, with what is needed to draw it.
#[derive(Clone, Debug)]
pub struct Mesh {
    pub(crate) positions: Vec<Vec3>,
    pub(crate) normals: Vec<Vec3>,
    pub(crate) topology: Arc<Topology>,
    pub(crate) tints: Arc<Vec<Vec3>>,
    pub(crate) palette: [Vec3; MATERIALS],
}

impl Mesh {
    /// Vertex positions, dm.
    #[must_use]
    pub fn positions(&self) -> &[[f32; 3]] {
        &self.positions
    }

    /// Unit normals of the vertices, outwards.
    #[must_use]
    pub fn normals(&self) -> &[[f32; 3]] {
        &self.normals
    }

    /// Vertex numbers of each triangle, counter-clockwise from outside.
    #[must_use]
    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.topology.triangles
    }
}

impl Head {
    /// The head that the crate carries: about 1,800 triangles, the 52 channels of [`EXPRESSIONS`], 16 of identity.
    ///
    /// ```
    /// use react_face::{Head, Person, expression};
    /// let head = Head::embedded();
    /// let mut coeffs = [0.0; 58];
    /// let rest = head.pose(&Person::average(), &coeffs);
    /// coeffs[expression("jawOpen").unwrap()] = 1.0;
    /// let open = head.pose(&Person::average(), &coeffs);
    /// let lowest = |m: &react_face::Mesh| m.positions().iter().zip(rest.positions()).map(|(p, r)| p[1] - r[1]).fold(0.0, f32::min);
    /// assert!(lowest(&open) < -0.2); // the chin drops by more than 2 cm
    /// ```
    #[must_use]
    pub fn embedded() -> Self {
        static HEAD: LazyLock<Head> = LazyLock::new(embedded::head);
        HEAD.clone()
    }

    /// How many vertices a mesh of this head has.
    #[must_use]
    pub fn vertices(&self) -> usize {
        self.mean.len()
    }

    /// How many triangles a mesh of this head has.
    #[must_use]
    pub fn triangles(&self) -> usize {
        self.topology.triangles.len()
    }

    /// The head of `person` with the 58 coefficients: 52 of expression, rotation (rad), translation (dm).
    ///
    /// Rotation is about the skull's middle, as [`rotation`] defines it. Weights beyond 0…1 extrapolate linearly.
    #[must_use]
    pub fn pose(&self, person: &Person, coeffs: &[f32; 58]) -> Mesh {
        let mut mesh = self.mesh(person);
        self.pose_into(&self.neutral(person), coeffs, &mut mesh);
        mesh
    }

    /// A mesh to pose into, in the colours of `person`.
    pub(crate) fn mesh(&self, person: &Person) -> Mesh {
        let zeros = vec![[0.0; 3]; self.mean.len()];
        Mesh {
            positions: zeros.clone(),
            normals: zeros,
            topology: Arc::clone(&self.topology),
            tints: Arc::clone(&self.tints),
            palette: person.palette,
        }
    }

    /// The person's vertices without expression.
    pub(crate) fn neutral(&self, person: &Person) -> Vec<Vec3> {
        let mut out = self.mean.clone();
        for (weight, basis) in person.shape.iter().zip(&self.identity) {
            accumulate(&mut out, basis, *weight);
        }
        out
    }

    /// As [`Head::pose`], from the person's own neutral vertices, into a mesh made before.
    pub(crate) fn pose_into(&self, neutral: &[Vec3], coeffs: &[f32; 58], mesh: &mut Mesh) {
        let out = &mut mesh.positions;
        out.copy_from_slice(neutral);
        for (weight, basis) in coeffs[..EXPRESSIONS.len()].iter().zip(&self.expression) {
            if *weight != 0.0 {
                accumulate(out, basis, *weight);
            }
        }
        let turn = rotation([coeffs[52], coeffs[53], coeffs[54]]);
        let shift = [coeffs[55], coeffs[56], coeffs[57]];
        for (p, rigid) in out.iter_mut().zip(&self.rigid) {
            let moved = add(transform(&turn, *p), shift);
            *p = if *rigid == 1.0 { moved } else { mix(*p, moved, *rigid) };
        }
        normals(&mesh.positions, &mesh.topology.triangles, &mut mesh.normals);
    }
}

fn accumulate(out: &mut [Vec3], basis: &Basis, weight: f32) {
    for (vertex, d) in basis {
        let p = &mut out[*vertex as usize];
        *p = add(*p, scale(*d, weight));
    }
}

/// Normals of the vertices: their triangles' normals, weighted by area.
fn normals(positions: &[Vec3], triangles: &[[u32; 3]], out: &mut [Vec3]) {
    out.fill([0.0; 3]);
    for t in triangles {
        let [a, b, c] = t.map(|v| positions[v as usize]);
        let n = cross(sub(b, a), sub(c, a));
        for v in t {
            out[*v as usize] = add(out[*v as usize], n);
        }
    }
    out.iter_mut().for_each(|n| *n = normalised(*n));
}
