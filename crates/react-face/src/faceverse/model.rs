//! The model's arrays, checked against each other.

use super::source::{Numbers, Source};
use crate::channels::EXPRESSIONS;
use crate::error::FaceError;
use crate::head::{Material, Topology};
use crate::math::Vec3;
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Largest file that is read: the published model has about 70 MB, the largest of its family less than 1 GB.
const MOST_BYTES: u64 = 2 << 30;
/// Values that the expression basis is summed over at once.
pub(super) const LANES: usize = 16;

/// The morphable model FaceVerse v2: mean shape and texture, and how identity, expression and texture change them.
///
/// Shared, not copied, by clones. The model's files are licensed by their authors and not contained here.
#[derive(Clone)]
pub struct FaceVerse(pub(super) Arc<Model>);

pub(super) struct Model {
    pub(super) file: PathBuf,
    pub(super) mean_shape: Vec<f32>,
    /// 0…255.
    pub(super) mean_texture: Vec<f32>,
    pub(super) identity: Basis,
    pub(super) texture: Basis,
    /// `[3n/LANES][52][LANES]`: a block of coordinates stays in registers while the channels are summed.
    pub(super) expression: Vec<[f32; LANES]>,
    pub(super) topology: Arc<Topology>,
    /// The triangles round each vertex, `width` a vertex; `triangles.len()` means none.
    pub(super) around: Vec<u32>,
    pub(super) around_width: usize,
    pub(super) keypoints: Vec<u32>,
    pub(super) skin: Vec<f32>,
    pub(super) names: Vec<String>,
}

/// A linear basis, `[rows][columns]`.
pub(super) struct Basis {
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

impl Basis {
    /// `mean + basis · weights`; fewer weights than columns leave the rest 0.
    pub(super) fn apply(&self, mean: &[f32], weights: &[f32]) -> Vec<f32> {
        if self.columns == 0 {
            return mean.to_vec();
        }
        let rows = self.values.chunks_exact(self.columns);
        let sum = |row: &[f32]| row.iter().zip(weights).map(|(b, w)| f64::from(*b) * f64::from(*w)).sum::<f64>();
        mean.iter().zip(rows).map(|(mean, row)| (f64::from(*mean) + sum(row)) as f32).collect()
    }
}

impl fmt::Debug for FaceVerse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaceVerse({}, {} vertices, {} triangles)", self.0.file.display(), self.vertices(), self.triangles().len())
    }
}

impl FaceVerse {
    /// Reads the published `.npy` (a pickled dict, interpreted without running anything) or an `.npz` of the same arrays.
    ///
    /// Read are `meanshape`, `meantex`, `idBase`, `exBase`, `texBase`, `tri`, `point_buf`, `keypoints`, `skinmask`, and
    /// `exp_name_list` where it is there. The `*_select` arrays of a smaller mesh are left alone, as the published program
    /// leaves them: it draws the whole model. Vertex and triangle numbers are 0-based, or 1-based throughout.
    ///
    /// # Errors
    /// Where the file cannot be read, the pickle asks for more than arrays, or the arrays do not fit each other.
    pub fn read(path: &Path) -> Result<Self, FaceError> {
        let bytes = whole(path)?;
        Self::parse(&bytes, path)
    }

    /// As [`FaceVerse::read`], from the file's bytes; errors name `path`.
    ///
    /// # Errors
    /// As [`FaceVerse::read`].
    pub fn parse(bytes: &[u8], path: &Path) -> Result<Self, FaceError> {
        let source = Source::open(bytes, path)?;
        let mean_shape = source.numbers("meanshape")?.values;
        if mean_shape.is_empty() || !mean_shape.len().is_multiple_of(3) {
            return Err(source.error("meanshape", format!("wanted three coordinates a vertex, found {} values", mean_shape.len())));
        }
        let rows = mean_shape.len();
        let mean_texture = exactly(&source, "meantex", rows)?;
        let identity = basis(&source, "idBase", rows)?;
        let texture = basis(&source, "texBase", rows)?;
        let expression = basis(&source, "exBase", rows)?;
        if expression.columns != EXPRESSIONS.len() {
            return Err(source.error("exBase", format!("wanted {} channels, found {}", EXPRESSIONS.len(), expression.columns)));
        }
        let vertices = rows / 3;
        let (triangles, first) = triangles(&source, vertices)?;
        let (around, around_width) = around(&source, vertices, triangles.len(), first)?;
        let keypoints = source.numbers("keypoints")?.values;
        let keypoints = keypoints.iter().map(|v| index(*v, first, vertices)).collect::<Option<Vec<u32>>>();
        let keypoints = keypoints.ok_or_else(|| source.error("keypoints", format!("wanted numbers of {vertices} vertices")))?;
        let skin = exactly(&source, "skinmask", vertices)?;
        let names = source.names("exp_name_list", EXPRESSIONS.len());
        let names = names.unwrap_or_else(|| EXPRESSIONS.map(str::to_owned).to_vec());
        let materials = vec![Material::Skin; triangles.len()];
        Ok(Self(Arc::new(Model {
            file: path.to_owned(),
            mean_shape,
            mean_texture,
            identity,
            texture,
            expression: blocks(&expression),
            topology: Arc::new(Topology { triangles, materials, open: true }),
            around,
            around_width,
            keypoints,
            skin,
            names,
        })))
    }

    /// How many vertices the mesh has.
    #[must_use]
    pub fn vertices(&self) -> usize {
        self.0.mean_shape.len() / 3
    }

    /// Vertex numbers of each triangle.
    #[must_use]
    pub fn triangles(&self) -> &[[u32; 3]] {
        &self.0.topology.triangles
    }

    /// Vertex numbers of the landmarks.
    #[must_use]
    pub fn keypoints(&self) -> &[u32] {
        &self.0.keypoints
    }

    /// 1 where a vertex is skin, 0 elsewhere.
    #[must_use]
    pub fn skin(&self) -> &[f32] {
        &self.0.skin
    }

    /// How many coefficients of identity and of texture there are (published: 150 and 251).
    #[must_use]
    pub fn coefficients(&self) -> (usize, usize) {
        (self.0.identity.columns, self.0.texture.columns)
    }

    /// The 52 expression channels by name: the file's own, or else [`EXPRESSIONS`].
    #[must_use]
    pub fn expressions(&self) -> &[String] {
        &self.0.names
    }
}

/// The file's bytes, no more than its length said.
fn whole(path: &Path) -> Result<Vec<u8>, FaceError> {
    let io = |source| react_store::StoreError::Io { action: "read", file: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let refuse = |why: String| react_store::StoreError::Npy { file: path.to_owned(), why };
    if length > MOST_BYTES {
        return Err(refuse(format!("its {length} bytes are more than the {} GiB that a model may have", MOST_BYTES >> 30)).into());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length as usize).map_err(|_| refuse(format!("its {length} bytes do not fit into memory")))?;
    file.take(length).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn exactly(source: &Source<'_>, key: &str, count: usize) -> Result<Vec<f32>, FaceError> {
    let Numbers { shape, values } = source.numbers(key)?;
    if values.len() == count {
        Ok(values)
    } else {
        Err(source.error(key, format!("wanted {count} values as meanshape has them, found {shape:?}")))
    }
}

fn basis(source: &Source<'_>, key: &str, rows: usize) -> Result<Basis, FaceError> {
    let Numbers { shape, values } = source.numbers(key)?;
    let columns = shape.last().copied().unwrap_or(0);
    if shape.len() < 2 || columns.checked_mul(rows) != Some(values.len()) {
        return Err(source.error(key, format!("wanted [{rows}, channels] as meanshape has them, found {shape:?}")));
    }
    Ok(Basis { columns, values })
}

/// A 0-based number below `end`.
fn index(value: f32, first: u32, end: usize) -> Option<u32> {
    let whole = value.fract() == 0.0 && value >= first as f32;
    let index = (value as u32).checked_sub(first)?;
    (whole && (index as usize) < end).then_some(index)
}

/// The triangles, and the number that the file gives the first vertex.
fn triangles(source: &Source<'_>, vertices: usize) -> Result<(Vec<[u32; 3]>, u32), FaceError> {
    let Numbers { shape, values } = source.numbers("tri")?;
    if shape.len() != 2 || shape[1] != 3 || values.is_empty() {
        return Err(source.error("tri", format!("wanted [triangles, 3], found {shape:?}")));
    }
    let (least, most) = values.iter().fold((f32::MAX, f32::MIN), |(least, most), v| (least.min(*v), most.max(*v)));
    // Numbers from 1, as MATLAB counts: only these reach the number of vertices.
    let first = u32::from(least >= 1.0 && most == vertices as f32);
    let corner = |v: &f32| index(*v, first, vertices).ok_or_else(|| source.error("tri", format!("vertex {v} of {vertices}")));
    let out = values.as_chunks::<3>().0.iter().map(|[a, b, c]| Ok([corner(a)?, corner(b)?, corner(c)?]));
    Ok((out.collect::<Result<_, FaceError>>()?, first))
}

fn around(source: &Source<'_>, vertices: usize, triangles: usize, first: u32) -> Result<(Vec<u32>, usize), FaceError> {
    let Numbers { shape, values } = source.numbers("point_buf")?;
    if shape.len() != 2 || shape[0] != vertices || shape[1] == 0 {
        return Err(source.error("point_buf", format!("wanted [{vertices}, triangles round a vertex], found {shape:?}")));
    }
    // One past the last triangle stands for none.
    let one = |v: &f32| index(*v, first, triangles + 1).ok_or_else(|| source.error("point_buf", format!("triangle {v} of {triangles}")));
    Ok((values.iter().map(one).collect::<Result<_, _>>()?, shape[1]))
}

fn blocks(basis: &Basis) -> Vec<[f32; LANES]> {
    let rows: Vec<&[f32]> = basis.values.chunks_exact(basis.columns).collect();
    let block = |rows: &[&[f32]], channel: usize| std::array::from_fn(|lane| rows.get(lane).map_or(0.0, |row| row[channel]));
    rows.chunks(LANES).flat_map(|rows| (0..basis.columns).map(move |channel| block(rows, channel))).collect()
}

/// Pairs of three coordinates.
pub(super) fn triples(values: &[f32]) -> Vec<Vec3> {
    values.as_chunks::<3>().0.to_vec()
}
