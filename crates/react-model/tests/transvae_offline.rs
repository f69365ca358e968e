//! The offline Trans-VAE against PyTorch: outputs, gradients and four steps of training (tests/fixtures/transvae).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use candle_core::{Device, Tensor};
use common::transvae::Case;
use common::{distance, fixture};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_model::loss::{LossWeights, loss};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::transvae::{Config, Noise, TransVae};
use react_model::weights::{self, Tensors};
use react_model::{Mode, ModelError, Params};

#[test]
fn outputs_are_those_of_the_published_program() {
    let case = Case::offline(&Device::Cpu);
    case.check_outputs(&Mode::eval(), 1e-4);
    let behaviour = case.model.encode(&case.frames, &case.audio, &Mode::eval()).unwrap();
    assert!(distance(behaviour.tensor(), &case.io["speaker_behaviour_feature"]) < 1e-4);
}

#[test]
fn recorded_gradients_are_those_of_the_graph() {
    let case = Case::offline(&Device::Cpu);
    let [recorded, graph] = [true, false].map(|recorded| case.gradients(&Mode::train(11, 5), recorded));
    assert_eq!(recorded.iter().count(), graph.iter().count());
    for ((name, found), (of, want)) in recorded.iter().zip(graph.iter()) {
        let far = distance(found, want);
        assert!(name == of && far < 1e-5, "{name}, {of}: {far}");
    }
}

#[test]
fn gradients_are_those_of_the_published_program() {
    let (worst, name) = Case::offline(&Device::Cpu).distance_of_gradients(&Mode::train(0, 0).without_dropout(), Some("fusion."), 1e-6);
    assert!(worst < 1e-3, "{name}: {worst}");
}

#[test]
fn four_steps_of_training_follow_the_published_program() {
    Case::offline(&Device::Cpu).check_steps(&Mode::train(0, 0).without_dropout(), 1e-3);
}

#[test]
fn ten_samples_at_once_are_ten_samples_one_by_one() {
    let case = Case::offline(&Device::Cpu);
    let mode = Mode::eval();
    let behaviour = case.model.encode(&case.frames, &case.audio, &mode).unwrap();
    let width = case.model.config().width;
    let together = case.model.react(&behaviour, &Noise::samples(3, &[8, 5], 10, 1.0), &mode).unwrap();
    let (together, _) = together.samples(10).unwrap();
    let alone = case.model.react(&behaviour, &Noise::Given(sample(3, &[(8, 4), (5, 4)], width)), &mode).unwrap();
    let fourth = together.get().narrow(1, 4, 1).unwrap().squeeze(1).unwrap();
    assert!(distance(&fourth, alone.emotion.get()) < 1e-6);
    let cold = case.model.react(&behaviour, &Noise::samples(3, &[8, 5], 1, 0.0), &mode).unwrap();
    let mean = case.model.react(&behaviour, &Noise::Mean, &mode).unwrap();
    assert_eq!(distance(cold.emotion.get(), mean.emotion.get()), 0.0);
}

/// Draws of (clip, sample) pairs, as documented.
fn sample(seed: u64, names: &[(u32, u32)], width: usize) -> Tensor {
    let mut eps = vec![0.0; names.len() * width];
    for (row, (clip, sample)) in eps.chunks_exact_mut(width).zip(names) {
        react_random::Draws::new(seed, "latent", *clip, *sample).fill_normal(row);
    }
    Tensor::from_vec(eps, (1, names.len(), width), &Device::Cpu).unwrap()
}

/// A training step with every dropout on.
fn full_step(threads: usize) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(64 << 20).build().unwrap();
    pool.install(|| {
        let case = Case::offline(&Device::Cpu);
        let mode = Mode::train(11, 5);
        let behaviour = case.model.encode(&case.frames, &case.audio, &mode).unwrap();
        let draw = |pass| Noise::training(11, 5, pass);
        let first = case.model.react(&behaviour, &draw(0), &mode).unwrap();
        let second = case.model.react(&behaviour.detach(), &draw(1), &mode.another_pass(1).without_gradient()).unwrap();
        assert!(distance(first.emotion.get(), second.emotion.get()) > 1e-3, "two passes draw differently");
        let emotion = Emotion::new(case.io["listener_emotion"].clone()).unwrap();
        let coeffs = Coeffs3dmm::new(case.io["listener_3dmm"].clone()).unwrap();
        let loss = loss(&first, &second, &emotion, &coeffs, &LossWeights::default()).unwrap();
        let mut gradients = Gradients::collect(&case.params, &loss.total.backward().unwrap());
        for (name, _) in case.params.all() {
            if !name.starts_with("fusion.") {
                let gradient = gradients.get(&name).unwrap_or_else(|| panic!("{name} has no gradient"));
                let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                assert!(values.iter().all(|g| g.is_finite()), "{name}");
            }
        }
        gradients.clip(1.0).unwrap();
        AdamW::new(AdamWConfig::default()).step(&case.params, &gradients, 1e-3).unwrap();
        case.params.all().iter().map(|(_, v)| v.flatten_all().unwrap().to_vec1().unwrap()).collect()
    })
}

#[test]
fn a_step_is_the_same_on_any_number_of_threads_and_every_gradient_is_finite() {
    let one = full_step(1);
    assert!(one == full_step(1) && one == full_step(2) && one == full_step(3));
}

#[test]
fn a_clip_may_be_longer_than_the_published_table_of_positions() {
    let frames = 5003;
    let model = TransVae::new(Config::of_width(16), &Params::new(1).root()).unwrap();
    let video = Frames::new(Tensor::zeros((1, frames, 17, 17, 3), candle_core::DType::U8, &Device::Cpu).unwrap()).unwrap();
    let audio = AudioFeatures::new(Tensor::zeros((1, frames, 78), candle_core::DType::F32, &Device::Cpu).unwrap()).unwrap();
    let behaviour = model.encode(&video, &audio, &Mode::eval()).unwrap();
    let reaction = model.react(&behaviour, &Noise::Mean, &Mode::eval()).unwrap();
    let emotion = reaction.emotion.get().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(emotion.len(), frames * 25);
    assert!(emotion.iter().all(|x| x.is_finite()));
    let positions = react_model::layers::positions(6001, 16, &Device::Cpu).unwrap();
    let last = positions.narrow(0, 6000, 1).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!((f64::from(last[0]) - 6000f64.sin()).abs() < 1e-6);
}

#[test]
fn a_file_that_does_not_fit_names_tensor_and_shapes() {
    let tensors = Tensors::read(&fixture("transvae", "transvae_offline.weights.safetensors")).unwrap();
    let params = Params::new(0);
    TransVae::new(Config::of_width(16), &params.root()).unwrap();
    let before = params.get("fusion.weight").unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let error = weights::load(&tensors, &params).unwrap_err();
    assert!(matches!(error, ModelError::Shape { .. }));
    let text = error.to_string();
    assert!(text.ends_with("fusion.bias: the model wants [16], the file holds [32]"), "{text}");
    assert_eq!(before, params.get("fusion.weight").unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap());
}
