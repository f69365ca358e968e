//! The exported animation, read back by an independent reader: counts, names, and a frame computed from the file alone.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use gltf::animation::util::ReadOutputs;
use ndarray::Array2;
use react_face::{Avatar, EXPRESSIONS, FaceVerse, FaceVersePerson, Head, Person, expression};
use react_random::Draws;
use std::path::Path;

const FRAMES: usize = 20;

/// A face that talks, blinks and looks about.
fn coeffs() -> Array2<f32> {
    let channel = |name: &str| expression(name).unwrap();
    let (jaw, blink, smile) = (channel("jawOpen"), channel("eyeBlinkLeft"), channel("mouthSmileRight"));
    Array2::from_shape_fn((FRAMES, 58), |(t, c)| {
        let x = t as f32 * 0.3;
        match c {
            c if c == jaw => 0.4 + 0.4 * x.sin(),
            c if c == blink => 0.5 - 0.5 * x.cos(),
            c if c == smile => 0.7,
            52 => 0.2 * x.sin(),
            53 => 0.6 * (0.7 * x).cos(),
            54 => 0.1 * x,
            55..58 => 0.1 * (x + c as f32).sin(),
            _ => 0.02 * ((t * 58 + c) as f32).sin(),
        }
    })
}

/// The vertices of a key frame: morph targets, then the two joints.
struct Read {
    document: gltf::Document,
    blob: Vec<u8>,
    names: Vec<String>,
}

impl Read {
    fn new(bytes: &[u8]) -> Self {
        // Checks the document against the specification as far as the crate does.
        let gltf::Gltf { document, blob } = gltf::Gltf::from_slice(bytes).unwrap();
        let json = gltf::Glb::from_slice(bytes).unwrap().json;
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        let names = serde_json::from_value(json["meshes"][0]["extras"]["targetNames"].clone()).unwrap();
        Self { document, blob: blob.unwrap(), names }
    }

    fn primitive(&self) -> gltf::Primitive<'_> {
        self.document.meshes().next().unwrap().primitives().next().unwrap()
    }

    fn vertices(&self, frame: usize) -> Vec<[f32; 3]> {
        let primitive = self.primitive();
        let reader = primitive.reader(|_| Some(&self.blob[..]));
        let mut positions: Vec<[f32; 3]> = reader.read_positions().unwrap().collect();
        let (mut turn, mut shift, mut weights) = ([0.0; 4], [0.0; 3], Vec::new());
        for channel in self.document.animations().next().unwrap().channels() {
            let reader = channel.reader(|_| Some(&self.blob[..]));
            let times: Vec<f32> = reader.read_inputs().unwrap().collect();
            assert!(times.len() == FRAMES && times.windows(2).all(|pair| (pair[1] - pair[0] - 0.04).abs() < 1e-6));
            let node = channel.target().node().name().unwrap().to_owned();
            match reader.read_outputs().unwrap() {
                ReadOutputs::MorphTargetWeights(values) if node == "figure" => {
                    weights = values.into_f32().skip(frame * 52).take(52).collect();
                }
                ReadOutputs::Rotations(values) if node == "head" => turn = values.into_f32().nth(frame).unwrap(),
                ReadOutputs::Translations(mut values) if node == "head" => shift = values.nth(frame).unwrap(),
                _ => panic!("what moves {node}?"),
            }
        }
        let targets: Vec<_> = reader.read_morph_targets().collect();
        assert_eq!((targets.len(), weights.len()), (52, 52));
        for ((displacements, _, _), weight) in targets.into_iter().zip(&weights) {
            for (p, d) in positions.iter_mut().zip(displacements.unwrap()) {
                (0..3).for_each(|axis| p[axis] += weight * d[axis]);
            }
        }
        let joints = reader.read_joints(0).unwrap().into_u16();
        let shares = reader.read_weights(0).unwrap().into_f32();
        let moved = positions.iter().zip(joints.zip(shares)).map(|(p, (joints, shares))| {
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            let parts = joints.iter().zip(shares).map(|(joint, share)| (if *joint == 0 { rigid(turn, shift, *p) } else { *p }, share));
            parts.fold([0.0; 3], |sum, (p, share)| std::array::from_fn(|axis| sum[axis] + share * p[axis]))
        });
        moved.collect()
    }

    fn triangles(&self) -> Vec<[u32; 3]> {
        let primitive = self.primitive();
        let reader = primitive.reader(|_| Some(&self.blob[..]));
        reader.read_indices().unwrap().into_u32().collect::<Vec<_>>().as_chunks::<3>().0.to_vec()
    }
}

/// q·p·q⁻¹ + t.
fn rigid([x, y, z, w]: [f32; 4], shift: [f32; 3], p: [f32; 3]) -> [f32; 3] {
    let cross = |a: [f32; 3], b: [f32; 3]| [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
    let u = [x, y, z];
    let inner: [f32; 3] = std::array::from_fn(|i| cross(u, p)[i] + w * p[i]);
    let outer = cross(u, inner);
    std::array::from_fn(|i| p[i] + 2.0 * outer[i] + shift[i])
}

fn row(coeffs: &Array2<f32>, frame: usize) -> [f32; 58] {
    coeffs.row(frame).to_vec().try_into().unwrap()
}

/// The corners of all triangles lie where the crate's own geometry puts them.
fn same(read: &Read, frame: usize, positions: &[[f32; 3]], triangles: &[[u32; 3]], tolerance: f32) {
    let (vertices, theirs) = (read.vertices(frame), read.triangles());
    assert_eq!(theirs.len(), triangles.len());
    for (a, b) in theirs.as_flattened().iter().zip(triangles.as_flattened()) {
        let (a, b) = (vertices[*a as usize], positions[*b as usize]);
        assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < tolerance), "frame {frame}: {a:?} and {b:?}");
    }
}

#[test]
fn the_embedded_head() {
    let (head, coeffs) = (Head::embedded(), coeffs());
    let person = Person::draw(&mut Draws::new(1, "person", 3, 0));
    let bytes = Avatar::from(person.clone()).glb(coeffs.view(), 25.0).unwrap();
    let read = Read::new(&bytes);
    assert_eq!(read.names, EXPRESSIONS);
    for frame in [0, 7, FRAMES - 1] {
        let mesh = head.pose(&person, &row(&coeffs, frame));
        same(&read, frame, mesh.positions(), mesh.triangles(), 2e-5);
    }
    assert!(bytes.len() < 400_000, "{} bytes", bytes.len());
    let primitive = read.primitive();
    let colors: Vec<[f32; 3]> = primitive.reader(|_| Some(&read.blob[..])).read_colors(0).unwrap().into_rgb_f32().collect();
    let skin = person.color(react_face::Material::Skin).map(|c| ((c + 0.055) / 1.055).powf(2.4));
    assert!(colors.iter().any(|c| c.iter().zip(skin).all(|(a, b)| (a - b).abs() < 0.01)), "no vertex is of skin {skin:?}");
}

#[test]
fn a_faceverse_model() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/face/faceverse_geometry.model.npy"));
    let person = FaceVersePerson::new(&FaceVerse::read(path).unwrap(), &[0.5; 150]).unwrap();
    let coeffs = coeffs();
    let read = Read::new(&Avatar::from(person.clone()).glb(coeffs.view(), 25.0).unwrap());
    for frame in [0, 11] {
        let mesh = person.pose(&row(&coeffs, frame));
        same(&read, frame, mesh.positions(), mesh.triangles(), 3e-4);
    }
}

#[test]
fn what_is_no_animation_is_an_error() {
    let glb = |coeffs: Array2<f32>, fps| Avatar::default().glb(coeffs.view(), fps).unwrap_err().to_string();
    assert_eq!(glb(Array2::zeros((5, 57)), 25.0), "coeffs: wanted 58 values a frame, found 57");
    assert_eq!(glb(Array2::zeros((0, 58)), 25.0), "coeffs: wanted at least one frame, found 0");
    assert_eq!(glb(Array2::zeros((5, 58)), f64::NAN), "fps: wanted more than 0, at most 1000, found NaN");
    let mut broken = Array2::zeros((5, 58));
    broken[[3, 7]] = f32::INFINITY;
    assert_eq!(glb(broken, 25.0), "coeffs: wanted finite values, found inf at frame 3, channel 7");
}
