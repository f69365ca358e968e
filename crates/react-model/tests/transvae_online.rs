//! The online Trans-VAE against PyTorch: outputs, gradients, four steps of training, the tail (tests/fixtures/transvae).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use candle_core::{Device, IndexOp, Tensor};
use common::transvae::Case;
use common::{bits, distance};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_model::Mode;
use react_model::loss::{LossWeights, loss};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::transvae::{Noise, Reaction, Tail, Windows};

#[test]
fn outputs_are_those_of_the_published_program() {
    let case = Case::online("transvae_online", Tail::Zeros, &Device::Cpu);
    case.check_outputs(&Mode::eval(), 1e-4);
    let behaviour = case.model.encode(&case.frames, &case.audio, &Mode::eval()).unwrap();
    assert!(distance(behaviour.tensor(), &case.io["speaker_behaviour_feature"]) < 1e-4);
    assert_eq!(behaviour.windows().iter().map(|w| w.dims()[1]).collect::<Vec<_>>(), [8, 16, 24, 32]);
}

/// Training makes one graph of all windows, evaluation one window after the other.
#[test]
fn outputs_with_a_gradient_are_the_same() {
    Case::online("transvae_online", Tail::Zeros, &Device::Cpu).check_outputs(&Mode::train(0, 0).without_dropout(), 1e-4);
}

#[test]
fn a_tail_of_zeros_is_the_published_one() {
    let case = Case::online("transvae_online_tail", Tail::Zeros, &Device::Cpu);
    case.check_outputs(&Mode::eval(), 1e-4);
    let reaction = case.react(&Noise::Mean, &Mode::eval());
    assert!(bits(&reaction.emotion.get().i((.., 24..)).unwrap()).iter().all(|x| *x == 0));
}

#[test]
fn a_generated_tail_is_one_more_window_and_changes_nothing_before_it() {
    let zeros = Case::online("transvae_online_tail", Tail::Zeros, &Device::Cpu);
    let case = Case::online("transvae_online_tail", Tail::Generate, &Device::Cpu);
    let noise = Noise::samples(1, &[0], 1, 1.0);
    let (before, all) = (zeros.react(&noise, &Mode::eval()), case.react(&noise, &Mode::eval()));
    assert_eq!((before.latents.len(), all.latents.len()), (3, 4));
    let first = |x: &Reaction| bits(&x.coeffs.get().i((.., ..24)).unwrap());
    assert_eq!(first(&before), first(&all));
    let tail = all.coeffs.get().i((.., 24..)).unwrap();
    assert!(bits(&tail).iter().all(|x| *x != 0));
    // A clip shorter than a window is one window.
    let short = case.model.with_windows(Windows::of(64)).unwrap();
    let behaviour = short.encode(&case.frames, &case.audio, &Mode::eval()).unwrap();
    assert_eq!(short.react(&behaviour, &noise, &Mode::eval()).unwrap().latents.len(), 1);
    let none = case.model.with_windows(Windows { frames: 64, tail: Tail::Zeros }).unwrap();
    let error = none.encode(&case.frames, &case.audio, &Mode::eval()).unwrap_err();
    assert_eq!(error.to_string(), "window: 30 frames hold no window of 64");
}

#[test]
fn recorded_gradients_are_those_of_the_graph() {
    let case = Case::online("transvae_online", Tail::Generate, &Device::Cpu);
    let [recorded, graph] = [true, false].map(|recorded| case.gradients(&Mode::train(11, 5), recorded));
    assert_eq!(recorded.iter().count(), graph.iter().count());
    for ((name, found), (of, want)) in recorded.iter().zip(graph.iter()) {
        let far = distance(found, want);
        assert!(name == of && far < 1e-5, "{name}, {of}: {far}");
    }
}

#[test]
fn gradients_are_those_of_the_published_program() {
    let case = Case::online("transvae_online", Tail::Generate, &Device::Cpu);
    let (worst, name) = case.distance_of_gradients(&Mode::train(0, 0).without_dropout(), None, 1e-6);
    assert!(worst < 1e-3, "{name}: {worst}");
}

#[test]
fn four_steps_of_training_follow_the_published_program() {
    Case::online("transvae_online", Tail::Generate, &Device::Cpu).check_steps(&Mode::train(0, 0).without_dropout(), 1e-3);
}

#[test]
fn ten_samples_at_once_are_ten_samples_one_by_one() {
    let case = Case::online("transvae_online", Tail::Generate, &Device::Cpu);
    let mode = Mode::eval();
    let together = case.react(&Noise::samples(3, &[8, 5], 10, 1.0), &mode).samples(10).unwrap().0;
    let mut draws = Vec::new();
    for window in 0..4 {
        let purpose = if window == 0 { "latent".to_owned() } else { format!("latent, window {window}") };
        for clip in [8, 5] {
            let mut eps = vec![0.0f32; 32];
            react_random::Draws::new(3, &purpose, clip, 4).fill_normal(&mut eps);
            draws.extend(eps);
        }
    }
    let alone = case.react(&Noise::Given(Tensor::from_vec(draws, (4, 2, 32), &Device::Cpu).unwrap()), &mode);
    let fourth = together.get().narrow(1, 4, 1).unwrap().squeeze(1).unwrap();
    assert!(distance(&fourth, alone.emotion.get()) < 1e-5);
    let cold = case.react(&Noise::samples(3, &[8, 5], 1, 0.0), &mode);
    assert_eq!(distance(cold.emotion.get(), case.react(&Noise::Mean, &mode).emotion.get()), 0.0);
}

/// Frames and sounds after a window change nothing in it or before it.
#[test]
fn the_future_does_not_change_the_past() {
    let case = Case::online("transvae_online", Tail::Generate, &Device::Cpu);
    let noise = Noise::samples(1, &[0, 1], 2, 1.0);
    let before = case.react(&noise, &Mode::eval());
    // The last two windows change places.
    let keep = |x: &Tensor, axis: usize| Tensor::cat(&[0, 8, 24, 16].map(|start| x.narrow(axis, start, 8).unwrap()), axis).unwrap();
    let frames = Frames::new(keep(case.frames.get(), 1)).unwrap();
    let audio = AudioFeatures::new(keep(case.audio.get(), 1)).unwrap();
    let after = case.model.react(&case.model.encode(&frames, &audio, &Mode::eval()).unwrap(), &noise, &Mode::eval()).unwrap();
    let part = |x: &Reaction, range: std::ops::Range<usize>| {
        [bits(&x.coeffs.get().i((.., range.clone())).unwrap()), bits(&x.emotion.get().i((.., range)).unwrap())]
    };
    assert_eq!(part(&before, 0..16), part(&after, 0..16));
    assert_ne!(part(&before, 16..32), part(&after, 16..32));
}

/// A training step with every dropout on.
fn full_step(threads: usize) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(64 << 20).build().unwrap();
    pool.install(|| {
        let case = Case::online("transvae_online", Tail::Generate, &Device::Cpu);
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
            let gradient = gradients.get(&name).unwrap_or_else(|| panic!("{name} has no gradient"));
            let values = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert!(values.iter().all(|g| g.is_finite()), "{name}");
        }
        gradients.clip(1.0).unwrap();
        AdamW::new(AdamWConfig::default()).step(&case.params, &gradients, 1e-3).unwrap();
        case.params.all().iter().map(|(_, v)| v.flatten_all().unwrap().to_vec1().unwrap()).collect()
    })
}

#[test]
fn a_step_is_the_same_on_any_number_of_threads_and_every_gradient_is_finite() {
    let one = full_step(1);
    assert!(one == full_step(2) && one == full_step(3));
}

/// Cross-fading touches the first frames of the windows after the first, and nothing else.
#[test]
fn cross_fading_changes_the_seams_only() {
    let case = Case::online("transvae_online", Tail::Generate, &Device::Cpu);
    let noise = Noise::samples(1, &[0, 1], 2, 1.0);
    let behaviour = case.model.encode(&case.frames, &case.audio, &Mode::eval()).unwrap();
    let plain = case.model.react(&behaviour, &noise, &Mode::eval()).unwrap();
    let faded = case.model.react_crossfaded(&behaviour, &noise, 3, &Mode::eval()).unwrap();
    let frame = |x: &Reaction, t: usize| x.coeffs.get().i((.., t..=t)).unwrap();
    for t in 0..32 {
        let touched = t >= 8 && t % 8 < 3;
        assert_eq!(bits(&frame(&plain, t)) != bits(&frame(&faded, t)), touched, "frame {t}");
    }
    let jump = |x: &Reaction| [8, 16, 24].map(|t| distance(&frame(x, t), &frame(x, t - 1))).iter().sum::<f64>();
    assert!(jump(&faded) < 0.9 * jump(&plain), "{} {}", jump(&faded), jump(&plain));
    let without = case.model.react_crossfaded(&behaviour, &noise, 0, &Mode::eval()).unwrap();
    assert_eq!(bits(without.emotion.get()), bits(plain.emotion.get()));
}
