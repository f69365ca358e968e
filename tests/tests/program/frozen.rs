//! Intensities from what a frozen network sees: weights from a file, features computed once, training on them.

use crate::{fails, succeeds, text};
use candle_core::{DType, Device::Cpu, Tensor};
use candle_nn::{VarBuilder, VarMap};
use candle_transformers::models::dinov2::vit_small;
use react_model::frozen::{FrozenEncoder, Kind};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn tiny<'a>(preset: &'a str, command: &[&'a str]) -> Vec<&'a str> {
    let set = [
        "corpus.root=\"corpus\"",
        "corpus.packed=\"packed\"",
        "clip.crop=32",
        "clip.frames=1",
        "clip.steps=8",
        "train.epochs=2",
        "train.batch=4",
        "model.stem=2",
        "model.frame_features=\"dinov2-small\"",
    ];
    let set = set.iter().flat_map(|key| ["--set", *key]);
    ["--config", preset].into_iter().chain(command.iter().copied()).chain(set).collect()
}

/// Small random weights of DINOv2-S in its own names, as a file.
fn random_weights(path: &Path, seed: u32) {
    let asked = VarMap::new();
    vit_small(VarBuilder::from_varmap(&asked, DType::F32, &Cpu)).unwrap();
    let shapes: Vec<(String, Vec<usize>)> =
        asked.data().lock().unwrap().iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).collect();
    let mut tensors = HashMap::new();
    for (name, shape) in shapes {
        let mut state = name.bytes().fold(seed, |state, byte| state.wrapping_mul(31).wrapping_add(u32::from(byte)));
        let scale = if shape.len() > 1 { 2.0 / (shape[1..].iter().product::<usize>() as f32).sqrt() } else { 0.3 };
        let values = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * scale
        });
        let values: Vec<f32> = values.take(shape.iter().product()).collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Cpu).unwrap());
    }
    candle_core::safetensors::save(&tensors, path).unwrap();
}

/// The feature files of all splits that there are.
fn features(packed: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for split in ["train", "val", "test"] {
        let folder = packed.join(split).join("dinov2-small");
        files.extend(std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
}

#[test]
fn frozen_features_from_weights_to_a_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weights = folder.join("dinov2.safetensors");
    random_weights(&weights, 1);
    succeeds(folder, &["synth", "--corpus", "hume", "--pairs", "6", "--frames", "25", "--size", "64", "--out", "corpus"]);
    let prepare = tiny("eri-video-small", &["prepare", "--frame-features", "dinov2-small", "--weights", text(&weights)]);
    let (out, _) = succeeds(folder, &prepare);
    let packed = folder.join("packed");
    let files = features(&packed);
    let total = files.len();
    assert!(total >= 6 && out.contains(&format!("{total} of {total} clips")), "{out}");

    // What is stored is what the network sees of the stored frames.
    let one = files.iter().find(|file| file.starts_with(packed.join("val"))).unwrap();
    let encoder = FrozenEncoder::load(Kind::DinoV2Small, &weights, &Cpu).unwrap();
    let frames = react_store::read_npy_u8(&packed.join("val/frames").join(one.file_name().unwrap())).unwrap();
    let seen = encoder.features(frames.into_dimensionality::<ndarray::Ix4>().unwrap().view()).unwrap();
    assert_eq!(react_store::read_npy_f32(one).unwrap().into_dimensionality::<ndarray::Ix2>().unwrap(), seen);

    // A run that was stopped goes on: only what is missing is computed, to the same bytes.
    let bytes = std::fs::read(&files[0]).unwrap();
    std::fs::remove_file(&files[0]).unwrap();
    let (out, _) = succeeds(folder, &prepare);
    assert!(out.contains(&format!("1 of {total} clips")), "{out}");
    assert_eq!(std::fs::read(&files[0]).unwrap(), bytes);

    // Other weights are not mixed in.
    let others = folder.join("others.safetensors");
    random_weights(&others, 2);
    let error = fails(folder, &tiny("eri-video-small", &["prepare", "--frame-features", "dinov2-small", "--weights", text(&others)]));
    assert!(error.contains("other weights"), "{error}");

    // Both presets that have a face train on them; a prediction from files needs the weights again.
    for preset in ["eri-video-small", "eri-fusion-small"] {
        succeeds(folder, &tiny(preset, &["train"]));
        let (out, _) = succeeds(folder, &tiny(preset, &["evaluate"]));
        assert!(out.contains("seed 0"), "{out}");
    }
    let checkpoint = "runs/eri-video-small/seed-0/best.safetensors";
    let clip = std::fs::read_dir(folder.join("corpus/val/mp4")).unwrap().next().unwrap().unwrap().path();
    let predict = ["predict", "--task", "eri", "--checkpoint", checkpoint, "--speaker-video", text(&clip), "--out", "one"];
    let error = fails(folder, &predict);
    assert!(error.contains("--weights"), "{error}");
    succeeds(folder, &[&predict[..], &["--weights", text(&weights)]].concat());
    assert_eq!(std::fs::read_to_string(folder.join("one/intensities.csv")).unwrap().lines().count(), 8);
}
