//! The FID network against PyTorch, with weights that are a formula (tests/fixtures/inception).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{Device, Tensor};
use ndarray::{Array2, Array4};
use react_model::inception::Inception;
use react_model::{ModelError, Result};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/inception")).join(name)
}

#[derive(serde::Deserialize)]
struct Parameter {
    j: usize,
    name: String,
    shape: Vec<usize>,
}

/// All tensors of the network, by name.
fn parameters() -> BTreeMap<String, Parameter> {
    let all: Vec<Parameter> = serde_json::from_slice(&std::fs::read(fixture("inception_parameters.json")).unwrap()).unwrap();
    all.into_iter().map(|p| (p.name.clone(), p)).collect()
}

/// The formula of the reference: s = sin(0.37·i + 1.7·j + 0.5).
fn formula(p: &Parameter) -> Vec<f32> {
    let per_channel: usize = p.shape[1..].iter().product();
    let scale = |s: f64| match p.name.rsplit('.').next().unwrap() {
        "running_var" => 1.0 + 0.25 * s,
        "running_mean" | "bias" => 0.05 * s,
        "weight" if p.name.ends_with("bn.weight") => 1.0 + 0.1 * s,
        _ => (4.0 / per_channel as f64).sqrt() * s,
    };
    let count: usize = p.shape.iter().product();
    (0..count).map(|i| scale((0.37 * i as f64 + 1.7 * p.j as f64 + 0.5).sin()) as f32).collect()
}

fn distance(a: &Array2<f32>, b: &Tensor) -> f64 {
    assert_eq!(a.shape(), b.dims());
    let b = b.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let norm: f64 = b.iter().map(|b| f64::from(*b).powi(2)).sum();
    let difference: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    (difference / norm).sqrt()
}

#[test]
fn feature_maps_are_those_of_the_reference() {
    let parameters = parameters();
    let inception = Inception::new(|name, shape| {
        let p = &parameters[name];
        assert_eq!(p.shape, shape, "{name}");
        Ok(formula(p))
    })
    .unwrap();
    let io: HashMap<String, Tensor> = candle_core::safetensors::load(fixture("inception_features.safetensors"), &Device::Cpu).unwrap();
    let bytes = io["images_u8"].flatten_all().unwrap().to_vec1::<u8>().unwrap();
    let images = Array4::from_shape_vec((3, 96, 96, 3), bytes).unwrap();
    let found = inception.feature_means(images.view()).unwrap();
    for (name, found) in [("pool64", &found.first), ("pool192", &found.second), ("pool768", &found.third), ("pool2048", &found.last)] {
        let distance = distance(found, &io[name]);
        assert!(distance < 1e-3, "{name}: {distance}");
    }
    // More frames than pass through together, in any order.
    let eleven = Array4::from_shape_fn((11, 96, 96, 3), |(n, y, x, c)| images[[n % 3, y, x, c]]);
    let features = inception.features(eleven.view()).unwrap();
    for (n, row) in features.outer_iter().enumerate() {
        assert_eq!(row, found.last.row(n % 3));
    }
    assert!(inception.features(Array4::zeros((1, 8, 8, 4)).view()).is_err());
    assert_eq!(inception.features(Array4::zeros((0, 8, 8, 3)).view()).unwrap().dim(), (0, 2048));
}

#[test]
fn a_file_that_does_not_fit_is_an_error_with_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let load = |tensors: &[(&str, &[usize])]| -> Result<Inception> {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
        let tensors: HashMap<_, _> = tensors.iter().map(|(name, shape)| (*name, zeros(shape))).collect();
        let file = dir.path().join("inception.safetensors");
        candle_core::safetensors::save(&tensors, &file).unwrap();
        Inception::load(&file)
    };
    match load(&[("Conv2d_1a_3x3.bn.bias", &[32])]).unwrap_err() {
        ModelError::Missing { name, want, .. } => assert_eq!((name.as_str(), want), ("Conv2d_1a_3x3.conv.weight", vec![32, 3, 3, 3])),
        other => panic!("{other}"),
    }
    let error = load(&[("Conv2d_1a_3x3.conv.weight", &[32, 3, 5, 5])]).unwrap_err().to_string();
    assert!(error.contains("Conv2d_1a_3x3.conv.weight: the model wants [32, 3, 3, 3], the file holds [32, 3, 5, 5]"), "{error}");
    assert!(matches!(Inception::load(&dir.path().join("none.pth")).unwrap_err(), ModelError::File { .. }));
}
