//! The frozen networks against candle-transformers' own, with random weights.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{DType, Device::Cpu, Tensor};
use candle_nn::{Module, VarBuilder, VarMap};
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};
use candle_transformers::models::{convnext, dinov2};
use ndarray::{Array4, s};
use react_model::frozen::{FrozenEncoder, Kind};
use react_random::Draws;
use std::collections::HashMap;

/// Small random weights for every tensor that a model asks for, by its name; and the model.
fn weights<M>(model: impl Fn(VarBuilder) -> candle_core::Result<M>, more: Option<(String, Vec<usize>)>) -> (HashMap<String, Tensor>, M) {
    let asked = VarMap::new();
    model(VarBuilder::from_varmap(&asked, DType::F32, &Cpu)).unwrap();
    let shapes: Vec<(String, Vec<usize>)> =
        asked.data().lock().unwrap().iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).chain(more).collect();
    let mut tensors = HashMap::new();
    for (name, shape) in shapes {
        // Cheap numbers: there are 88 million of them.
        let mut state = react_random::fnv1a(&name);
        let scale = if shape.len() > 1 { 2.0 / (shape[1..].iter().product::<usize>() as f32).sqrt() } else { 0.3 };
        let mut draw = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * scale
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| draw()).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Cpu).unwrap());
    }
    let model = model(VarBuilder::from_tensors(tensors.clone(), DType::F32, &Cpu)).unwrap();
    (tensors, model)
}

fn frames() -> Array4<u8> {
    let mut draws = Draws::new(2, "pixels", 0, 0);
    Array4::from_shape_fn((2, 224, 224, 3), |_| draws.below(256) as u8)
}

/// As the networks see the frames, by their published scales.
fn scaled(frames: &Array4<u8>, mean: [f32; 3], std: [f32; 3]) -> Tensor {
    let x = Array4::from_shape_fn((2, 3, 224, 224), |(n, c, y, x)| (f32::from(frames[[n, y, x, c]]) / 255.0 - mean[c]) / std[c]);
    Tensor::from_vec(x.into_raw_vec_and_offset().0, (2, 3, 224, 224), &Cpu).unwrap()
}

fn check(kind: Kind, tensors: HashMap<String, Tensor>, want: &[Vec<f32>]) {
    let frames = frames();
    let encoder = FrozenEncoder::from_tensors(kind, tensors.clone(), &Cpu).unwrap();
    let found = encoder.features(frames.view()).unwrap();
    assert_eq!(found.dim(), (2, kind.values()));
    let scale = want.iter().flatten().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(scale > 1e-3 && scale.is_finite());
    for (row, want) in found.outer_iter().zip(want) {
        let difference = row.iter().zip(want).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
        assert!(difference < 1e-4 * scale, "{kind:?}: {difference} of {scale}");
    }
    // A batch is its frames one by one.
    let alone = encoder.features(frames.slice(s![1..2, .., .., ..])).unwrap();
    let difference = alone.row(0).iter().zip(found.row(1)).fold(0.0f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(difference < 1e-4 * scale, "{kind:?}: {difference}");
    // From a file, and with a tensor missing.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    assert_eq!(FrozenEncoder::load(kind, &path, &Cpu).unwrap().kind(), kind);
    let missing =
        tensors.keys().find(|name| name.contains("norm1") || name.contains("stem") || name.contains("class_emb")).unwrap().clone();
    let less: HashMap<String, Tensor> = tensors.into_iter().filter(|(name, _)| *name != missing).collect();
    candle_core::safetensors::save(&less, &path).unwrap();
    let error = FrozenEncoder::load(kind, &path, &Cpu).unwrap_err().to_string();
    assert!(error.contains("x.safetensors") && error.contains(&missing), "{error}");
}

const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

#[test]
fn convnext_is_its_own() {
    let (tensors, model) = weights(|vb| convnext::convnext_no_final_layer(&convnext::Config::tiny(), vb), None);
    let encoder = FrozenEncoder::from_tensors(Kind::ConvnextTiny, tensors.clone(), &Cpu).unwrap();
    let grey = |side: usize| encoder.features(Array4::from_elem((1, side, side, 3), 90).view()).unwrap();
    assert!(grey(112).iter().zip(&grey(224)).all(|(a, b)| (a - b).abs() < 1e-4), "frames of another size are resized");
    let want = model.forward(&scaled(&frames(), IMAGENET[0], IMAGENET[1])).unwrap().to_vec2().unwrap();
    check(Kind::ConvnextTiny, tensors, &want);
}

#[test]
fn clip_is_its_own() {
    let (tensors, model) = weights(
        |vb| ClipVisionTransformer::new(vb, &ClipVisionConfig::vit_base_patch32()),
        Some(("embeddings.class_embedding".to_owned(), vec![768])),
    );
    let (mean, std) = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.2613026, 0.2757771]);
    let want = model.forward(&scaled(&frames(), mean, std)).unwrap().to_vec2().unwrap();
    check(Kind::ClipVitB32, tensors, &want);
}

/// Against the patches' mean, which candle-transformers gives on its own; the class token is in front of it.
#[test]
fn dinov2_is_its_own() {
    let (mut tensors, model) = weights(dinov2::vit_small, None);
    let x = scaled(&frames(), IMAGENET[0], IMAGENET[1]);
    let means: Vec<Vec<f32>> = (0..2)
        .map(|i| {
            let patches = model.get_intermediate_layers(&x.narrow(0, i, 1).unwrap(), &[11], false, false, true).unwrap();
            patches.squeeze(0).unwrap().mean(1).unwrap().squeeze(0).unwrap().to_vec1().unwrap()
        })
        .collect();
    tensors.retain(|name, _| !name.starts_with("head."));
    let encoder = FrozenEncoder::from_tensors(Kind::DinoV2Small, tensors.clone(), &Cpu).unwrap();
    let found = encoder.features(frames().view()).unwrap();
    let want: Vec<Vec<f32>> =
        found.outer_iter().zip(&means).map(|(row, mean)| row.iter().take(384).chain(mean).copied().collect()).collect();
    assert!(found.row(0).iter().take(384).any(|v| v.abs() > 1e-3));
    check(Kind::DinoV2Small, tensors, &want);
}

#[test]
fn an_unknown_network_is_named() {
    assert!(Kind::named("dinov2-huge").unwrap_err().to_string().contains("dinov2-small, convnext-tiny, clip-vit-b32"));
}
