//! The intensity network against PyTorch: outputs, a missing modality, gradients with batch statistics (tests/fixtures/eri).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use candle_core::{Device, Tensor};
use common::{check_gradients, distance, fixture};
use react_model::eri::{Config, Eri, EriLoss, Input, Modalities, Output, eri_loss};
use react_model::optim::{Gradients, Recording};
use react_model::weights::{self, Tensors};
use react_model::{Mode, Params};
use std::collections::HashMap;

struct Case {
    name: &'static str,
    io: HashMap<String, Tensor>,
    params: Params,
    model: Eri,
}

impl Case {
    fn all() -> [Self; 3] {
        [Modalities::Audio, Modalities::Video, Modalities::Fusion].map(Self::new)
    }

    fn new(modalities: Modalities) -> Self {
        let name = match modalities {
            Modalities::Audio => "eri_audio",
            Modalities::Video => "eri_video",
            Modalities::Fusion => "eri_fusion",
        };
        let io = candle_core::safetensors::load(fixture("eri", &format!("{name}.io.safetensors")), &Device::Cpu).unwrap();
        let params = Params::new(0);
        let model = Eri::new(Config { modalities, stem: 8, ..Config::default() }, &params.root()).unwrap();
        weights::load(&Tensors::read(&fixture("eri", &format!("{name}.weights.safetensors"))).unwrap(), &params).unwrap();
        Self { name, io, params, model }
    }

    fn input(&self, keep: bool) -> Input {
        Input {
            frames: self.io.get("video_u8").map(|v| v.permute((0, 1, 3, 4, 2)).unwrap().contiguous().unwrap()),
            mfcc: self.io.get("mfcc").cloned(),
            keep: if keep { self.io.get("keep_audio_video").cloned() } else { None },
            features: None,
        }
    }

    fn run(&self, keep: bool, mode: &Mode) -> Output {
        self.model.forward(&self.input(keep), mode).unwrap()
    }

    fn check(&self, what: &str, found: &Tensor) {
        let distance = distance(found, &self.io[what]);
        assert!(distance < 1e-4, "{} {what}: {distance}", self.name);
    }

    fn loss(&self, mode: &Mode) -> EriLoss {
        eri_loss(&self.run(false, mode).intensity, &self.io["target"], 0.5).unwrap()
    }
}

#[test]
fn outputs_are_the_reference() {
    for case in Case::all() {
        let out = case.run(false, &Mode::eval());
        case.check("intensity", &out.intensity);
        for (name, found) in [("audio_embedding", &out.audio), ("video_embedding", &out.video), ("spatial_weights", &out.attention)] {
            assert_eq!(found.is_some(), case.io.contains_key(name), "{} {name}", case.name);
            if let Some(found) = found {
                case.check(name, found);
            }
        }
    }
}

#[test]
fn a_missing_modality_is_a_vector_of_zeros() {
    let case = Case::new(Modalities::Fusion);
    case.check("intensity_missing", &case.run(true, &Mode::eval()).intensity);
}

#[test]
fn training_normalises_by_the_batch() {
    for case in Case::all() {
        case.check("train_intensity", &case.run(false, &Mode::train(0, 0).without_dropout()).intensity);
    }
}

#[test]
fn gradients_are_the_reference() {
    for case in Case::all() {
        let loss = case.loss(&Mode::train(0, 0).without_dropout());
        let text = std::fs::read_to_string(fixture("eri", &format!("{}.json", case.name))).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (name, found) in [("loss", &loss.total), ("mse", &loss.mse), ("mean_pcc", &loss.correlation)] {
            let (found, want) = (f64::from(found.to_scalar::<f32>().unwrap()), json[name].as_f64().unwrap());
            assert!((found - want).abs() < 1e-4 * want.abs().max(0.1), "{} {name}: {found}, {want}", case.name);
        }
        let gradients = Gradients::collect(&case.params, &loss.total.backward().unwrap());
        check_gradients(&case.params, &gradients, fixture("eri", &format!("{}.grads.safetensors", case.name)), None);
    }
}

#[test]
fn recorded_gradients_are_those_of_the_graph() {
    for case in Case::all() {
        let [recorded, graph] = [true, false].map(|recorded| {
            let recording = recorded.then(Recording::begin);
            let out = case.run(case.io.contains_key("keep_audio_video"), &Mode::train(11, 5));
            let loss = eri_loss(&out.intensity, &case.io["target"], 0.5).unwrap();
            Gradients::of(&case.params, &loss.total, recording).unwrap()
        });
        assert_eq!(recorded.iter().count(), graph.iter().count(), "{}", case.name);
        for ((name, found), (of, want)) in recorded.iter().zip(graph.iter()) {
            if name == "video.gate.bias" {
                // It moves every place alike, and no softmax: both are what rounding leaves of 0.
                let left = [found, want].map(|gradient| gradient.to_vec1::<f32>().unwrap()[0].abs());
                assert!(left.iter().all(|left| *left < 1e-8), "{left:?}");
                continue;
            }
            let far = distance(found, want);
            assert!(name == of && far < 1e-4, "{} {name}, {of}: {far}", case.name);
        }
    }
}

#[test]
fn the_published_size() {
    let params = Params::new(0);
    Eri::new(Config::default(), &params.root()).unwrap();
    assert_eq!(params.count(), 10_563_144);
}

#[test]
fn running_statistics_are_saved_and_read() {
    let case = Case::new(Modalities::Video);
    case.run(false, &Mode::train(0, 0));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    weights::save(&path, &case.params, None, &std::collections::BTreeMap::new()).unwrap();
    let again = Case::new(Modalities::Video);
    weights::load(&Tensors::read(&path).unwrap(), &again.params).unwrap();
    let (a, b) = (case.run(false, &Mode::eval()).intensity, again.run(false, &Mode::eval()).intensity);
    assert_eq!(a.to_vec2::<f32>().unwrap(), b.to_vec2::<f32>().unwrap());
    assert!(distance(&a, &case.io["intensity"]) > 1e-6, "a batch moves the running statistics");
}

#[test]
fn what_does_not_fit_is_named() {
    let case = Case::new(Modalities::Fusion);
    let error = |input: &Input| case.model.forward(input, &Mode::eval()).unwrap_err().to_string();
    assert_eq!(error(&Input { mfcc: None, ..case.input(false) }), "mfcc: is missing: this network has a branch for it");
    assert_eq!(error(&Input { frames: None, ..case.input(false) }), "frames: is missing: this network has a branch for it");
    let keep = Some(Tensor::zeros((3, 2), candle_core::DType::F32, &Device::Cpu).unwrap());
    assert_eq!(error(&Input { keep, ..case.input(false) }), "keep: must be [4, 2], is [3, 2]");
    assert!(Eri::new(Config { emotions: 0, ..Config::default() }, &Params::new(0).root()).is_err());
}
