//! FaceVerse's geometry against the reference vectors (`faceverse_geometry.*`), and its file in every form.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_face::{FaceVerse, FaceVersePerson, harmonic_light, project, rotation};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/face")).join(name)
}

struct Reference(Vec<u8>);

impl Reference {
    fn read() -> Self {
        Self(std::fs::read(fixture("faceverse_geometry.safetensors")).unwrap())
    }

    /// The part of one of the two faces.
    fn of(&self, name: &str, face: usize) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.0).unwrap();
        let tensor = tensors.tensor(name).unwrap();
        let values: Vec<f32> = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        let size = values.len() / tensor.shape()[0];
        values[face * size..(face + 1) * size].to_vec()
    }
}

/// ‖out − ref‖ / ‖ref‖ must be below 1e-4.
fn close(name: &str, out: &[f32], want: &[f32]) {
    assert_eq!(out.len(), want.len(), "{name}");
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let error = norm(&mut out.iter().zip(want).map(|(a, b)| a - b)) / norm(&mut want.iter().copied());
    assert!(error < 1e-4, "{name}: relative error {error:e}");
}

fn model() -> FaceVerse {
    FaceVerse::read(&fixture("faceverse_geometry.model.npy")).unwrap()
}

fn turned(normals: &[[f32; 3]], angles: [f32; 3]) -> Vec<[f32; 3]> {
    let m = rotation(angles);
    normals.iter().map(|n| m.map(|row| row[0] * n[0] + row[1] * n[1] + row[2] * n[2])).collect()
}

#[test]
fn every_output_of_the_reference() {
    let (reference, model) = (Reference::read(), model());
    assert_eq!((model.vertices(), model.triangles().len(), model.coefficients()), (90, 160, (150, 40)));
    for face in 0..2 {
        let of = |name: &str| reference.of(name, face);
        let person = FaceVersePerson::new(&model, &of("id")).unwrap().textured(&of("tex")).unwrap();
        let mut coeffs = [0.0; 58];
        coeffs[..52].copy_from_slice(&of("exp"));
        coeffs[52..55].copy_from_slice(&of("rotation_angles"));
        coeffs[55..].copy_from_slice(&of("translation"));
        let shape = person.shape(coeffs[..52].try_into().unwrap());
        close("vertices_model", shape.as_flattened(), &of("vertices_model"));
        let angles = [coeffs[52], coeffs[53], coeffs[54]];
        let matrix = rotation(angles);
        let transposed: Vec<f32> = (0..9).map(|i| matrix[i % 3][i / 3]).collect();
        close("rotation_matrix", &transposed, &of("rotation_matrix"));
        let mesh = person.pose(&coeffs);
        close("vertices_world", mesh.positions().as_flattened(), &of("vertices_world"));
        let normals = person.normals(&shape);
        close("normals", normals.as_flattened(), &of("normals"));
        let world = turned(&normals, angles);
        close("normals of the mesh", mesh.normals().as_flattened(), world.as_flattened());
        let landmarks: Vec<[f32; 2]> = model.keypoints().iter().map(|v| project(mesh.positions()[*v as usize])).collect();
        close("landmarks_px", landmarks.as_flattened(), &of("landmarks_px"));
        let gamma: [f32; 27] = of("gamma").try_into().unwrap();
        let lit = |(n, t): (&[f32; 3], &[f32; 3])| {
            let light = harmonic_light(&gamma, *n);
            [t[0] * light[0], t[1] * light[1], t[2] * light[2]]
        };
        let colors: Vec<[f32; 3]> = world.iter().zip(person.texture()).map(lit).collect();
        close("vertex_color", colors.as_flattened(), &of("vertex_color"));
    }
}

/// The same arrays as protocols 0 to 5 write them, from Python 2's NumPy too, in Fortran order, as f32, counted from 1, and
/// as an npz archive: `make_faces.py` writes them.
#[test]
fn every_form_of_the_file() {
    let folder = fixture("forms");
    let want = FaceVerse::read(&folder.join("protocol4.npy")).unwrap();
    let expression: [f32; 52] = std::array::from_fn(|i| (i as f32 * 0.37).sin());
    let face = |model: &FaceVerse| FaceVersePerson::new(model, &[0.5, -0.25]).unwrap();
    let shape = face(&want).shape(&expression);
    let mut forms: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    forms.sort();
    assert_eq!(forms.len(), 11);
    for form in forms {
        let model = FaceVerse::read(&form).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(model.triangles(), want.triangles(), "{}", form.display());
        assert_eq!(model.keypoints(), want.keypoints(), "{}", form.display());
        let (a, b) = (face(&model), shape.as_flattened());
        close(&form.display().to_string(), a.shape(&expression).as_flattened(), b);
        close("normals", a.normals(&shape).as_flattened(), face(&want).normals(&shape).as_flattened());
    }
    // A list, an array of text, and a list of NumPy's scalars.
    for form in ["protocol5.npy", "single.npy", "fortran.npy"] {
        let named = FaceVerse::read(&folder.join(form)).unwrap();
        assert_eq!(named.expressions()[3], "channel 3", "{form}");
    }
    assert_eq!(want.expressions()[24], "jawOpen");
}

#[test]
fn the_listener_of_the_published_videos() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference_full.npy");
    let full = ndarray::Array2::from_shape_fn((1, 486), |(_, i)| (i as f32 * 0.1).sin());
    react_store::write_npy(&path, &full).unwrap();
    let person = FaceVersePerson::from_reference(&model(), &path).unwrap();
    assert_eq!(person, FaceVersePerson::new(person.model(), &full.as_slice().unwrap()[..150]).unwrap());
    react_store::write_npy(&path, &ndarray::arr1(&[0.0f32; 58])).unwrap();
    let error = FaceVersePerson::from_reference(&model(), &path).unwrap_err().to_string();
    assert!(error.contains("reference_full.npy") && error.contains("wanted at least the 150"), "{error}");
    let error = FaceVersePerson::new(&model(), &[f32::NAN]).unwrap_err().to_string();
    assert_eq!(error, "identity: wanted finite coefficients, found NaN at 0");
}
