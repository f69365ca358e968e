//! The reference vectors on an NVIDIA card: f32 within 1e-3, bf16 within 2e-2 (tests/fixtures). Without a card they pass without a
//! word; with `--nocapture` each prints a line of JSON with the largest distance that it found.
#![cfg(feature = "cuda")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "cargo xtask bench cuda reads the distances")]

mod common;

use candle_core::{DType, Device, Tensor, Var};
use common::transvae::Case;
use common::{distance, distance_of_gradients, fixture};
use react_model::device::{self, Choice, Readback, open};
use react_model::eri::{Config, Eri, Input, Modalities, eri_loss};
use react_model::ops::{Conv3dShape, conv3d, conv3d_gradients};
use react_model::optim::{AdamW, AdamWConfig, Gradients, Recording};
use react_model::transvae::{Noise, Stream, StreamConfig, Tail};
use react_model::weights::{self, Tensors};
use react_model::{Mode, Params, Precision};
use react_random::Draws;
use std::sync::{Mutex, PoisonError};

/// The card, on a thread whose stack is deep enough for a graph; one test at a time has it.
fn on_card(test: impl Fn(&Device) + Send + 'static) {
    static ONE: Mutex<()> = Mutex::new(());
    let run = move || {
        let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(card) = open(Choice::Cuda(0)) {
            test(&card);
            device::synchronize(&card).unwrap();
        }
    };
    std::thread::Builder::new().stack_size(256 << 20).spawn(run).unwrap().join().unwrap();
}

fn tolerance(precision: Precision) -> f64 {
    if precision == Precision::F32 { 1e-3 } else { 2e-2 }
}

fn say(what: &str, precision: Precision, worst: f64) {
    println!("{{\"vectors\":\"{what}\",\"precision\":\"{precision}\",\"worst\":{worst:e}}}");
}

/// Gradients have a limit in f32 only. Below it nobody's are near: those of the convolutions are the small remainders of large sums
/// (each is followed by a normalisation), and pools change their winners. PyTorch with the same factors rounded is as far off, and
/// with autocast further: `tests/peers/precision.py`. What rounding may do to a convolution, [`convolutions`] limits.
fn say_gradients(what: &str, precision: Precision, (worst, name): (f64, String)) {
    assert!(precision != Precision::F32 || worst < tolerance(precision), "{name}: {worst}");
    say(what, precision, worst);
}

fn transvae(precision: Precision) {
    on_card(move |card| {
        let (eval, train) = (Mode::eval().with_precision(precision), Mode::train(0, 0).without_dropout().with_precision(precision));
        let (limit, offline) = (tolerance(precision), Case::offline(card));
        let online = |name: &str, tail| Case::online(name, tail, card);
        let mut worst = offline.check_outputs(&eval, limit);
        worst = worst.max(online("transvae_online", Tail::Zeros).check_outputs(&eval, limit));
        worst = worst.max(online("transvae_online", Tail::Zeros).check_outputs(&train, limit));
        worst = worst.max(online("transvae_online_tail", Tail::Zeros).check_outputs(&eval, limit));
        say("outputs", precision, worst);
        say_gradients("gradients offline", precision, offline.distance_of_gradients(&train, Some("fusion."), limit * 1e-3));
        let worst = online("transvae_online", Tail::Generate).distance_of_gradients(&train, None, limit * 1e-3);
        say_gradients("gradients online", precision, worst);
        let worst = offline.check_steps(&train, limit);
        say("four steps", precision, worst.max(online("transvae_online", Tail::Generate).check_steps(&train, limit)));
    });
}

/// The networks' convolutions on random numbers, forward and both gradients, against the processor's.
fn convolutions(precision: Precision) {
    // In TF32 a factor is off by up to 2⁻¹¹ of itself, in bf16 by 2⁻⁹, and so is a result: a third of that on average, a product's √2 of it.
    let limit = match precision {
        Precision::F32 => 1e-5,
        Precision::Tf32 => 5e-4,
        Precision::Bf16 => 5e-3,
    };
    on_card(move |card| {
        let random = |shape: &[usize], purpose: &str| {
            let mut values = vec![0.0f32; shape.iter().product()];
            Draws::new(5, purpose, 0, 0).fill_normal(&mut values);
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let there = |x: &Tensor| x.to_device(card).unwrap();
        let mut worst: f64 = 0.0;
        // Channels in and out, kernel, stride, padding, frames and pixels that come in.
        for (cin, cout, kernel, stride, padding, frames, size) in [
            (3, 32, [1, 7, 7], 2, 3, 5, 64),
            (32, 128, [1, 7, 7], 2, 3, 3, 27),
            (128, 128, [1, 3, 3], 2, 1, 6, 14),
            (128, 128, [1, 3, 3], 1, 1, 2, 7),
            (64, 128, [1, 1, 1], 2, 0, 3, 14),
            (16, 24, [3, 3, 3], 1, 1, 5, 9),
        ] {
            let shape = |precision| {
                let [kt, ..] = kernel;
                Conv3dShape { stride: [1, stride, stride], padding: [kt / 2, padding, padding], precision }
            };
            let w = random(&[&[cout, cin][..], &kernel].concat(), "weight");
            let x = random(&[2, frames, size, size, cin], "frames");
            let want = conv3d(&x, &w, None, shape(Precision::F32)).unwrap();
            let grad = random(want.dims(), "gradient");
            let leaf = |x: &Tensor| Var::from_tensor(x).unwrap().into_inner();
            let want_gradients = conv3d_gradients(&leaf(&x), &leaf(&w), &grad, shape(Precision::F32)).unwrap();
            let found = conv3d(&there(&x), &there(&w), None, shape(precision)).unwrap();
            let gradients = conv3d_gradients(&leaf(&there(&x)), &leaf(&there(&w)), &there(&grad), shape(precision)).unwrap();
            let pairs = [(Some(found), Some(want), "out"), (gradients.0, want_gradients.0, "dx"), (gradients.1, want_gradients.1, "dw")];
            for (found, want, what) in pairs {
                let far = distance(&found.unwrap().to_dtype(DType::F32).unwrap(), &want.unwrap());
                assert!(far < limit, "{what} of {cin} → {cout} channels, {kernel:?}: {far}");
                worst = worst.max(far);
            }
        }
        say("convolutions", precision, worst);
    });
}

fn eri(precision: Precision) {
    on_card(move |card| {
        let (mut worst, limit): (f64, f64) = (0.0, tolerance(precision));
        for (modalities, name) in [(Modalities::Audio, "eri_audio"), (Modalities::Video, "eri_video"), (Modalities::Fusion, "eri_fusion")] {
            let io = candle_core::safetensors::load(fixture("eri", &format!("{name}.io.safetensors")), card).unwrap();
            let params = Params::on(0, card);
            let model = Eri::new(Config { modalities, stem: 8, ..Config::default() }, &params.root()).unwrap();
            weights::load(&Tensors::read(&fixture("eri", &format!("{name}.weights.safetensors"))).unwrap(), &params).unwrap();
            let input = Input {
                frames: io.get("video_u8").map(|v| v.permute((0, 1, 3, 4, 2)).unwrap().contiguous().unwrap()),
                mfcc: io.get("mfcc").cloned(),
                ..Input::default()
            };
            let found = model.forward(&input, &Mode::eval().with_precision(precision)).unwrap().intensity;
            let distance = distance(&found, &io["intensity"]);
            assert!(distance < limit, "{name}: {distance}");
            let mode = Mode::train(0, 0).without_dropout().with_precision(precision);
            let recording = Recording::begin();
            let loss = eri_loss(&model.forward(&input, &mode).unwrap().intensity, &io["target"], 0.5).unwrap();
            let gradients = Gradients::of(&params, &loss.total, Some(recording)).unwrap();
            let file = fixture("eri", &format!("{name}.grads.safetensors"));
            worst = worst.max(distance);
            let far = distance_of_gradients(&params, &gradients, file, None, limit * 1e-3);
            say_gradients(&format!("gradients {name}"), precision, far);
        }
        say("intensities", precision, worst);
    });
}

macro_rules! tests {
    ($($name:ident: $check:ident($precision:ident);)*) => {
        $(#[test]
        fn $name() {
            $check(Precision::$precision);
        })*
    };
}

// `bench cuda` asks for those of a precision by the end of their names.
tests! {
    transvae_in_f32: transvae(F32);
    transvae_in_tf32: transvae(Tf32);
    transvae_in_bf16: transvae(Bf16);
    convolutions_in_f32: convolutions(F32);
    convolutions_in_tf32: convolutions(Tf32);
    convolutions_in_bf16: convolutions(Bf16);
    intensities_in_f32: eri(F32);
    intensities_in_tf32: eri(Tf32);
    intensities_in_bf16: eri(Bf16);
}

/// The same draws on both devices: a step with every dropout on, and a conversation.
#[test]
fn draws_and_streams_are_those_of_the_processor() {
    on_card(|card| {
        let devices = [&Device::Cpu, card];
        let [want, found] = devices.map(|device| {
            let case = Case::offline(device);
            case.react(&Noise::training(11, 5, 0), &Mode::train(11, 5)).emotion.get().to_device(&Device::Cpu).unwrap()
        });
        let dropped = distance(&found, &want);
        assert!(dropped < 1e-3, "{dropped}");
        let mut worst = dropped;
        // The second sees less of its past than there is, so that its end is forgotten and moved.
        for (samples, past) in [(1, 750), (2, 12)] {
            let [want, found] = devices.map(|device| {
                let case = Case::online("transvae_online", Tail::Generate, device);
                let config = StreamConfig { seed: 3, samples, past, ..StreamConfig::default() };
                let mut stream = Stream::new(&case.model, config).unwrap();
                let first = |x: &Tensor| x.narrow(0, 0, 1).unwrap().contiguous().unwrap();
                let frames = react_contracts::Frames::new(first(case.frames.get())).unwrap();
                let audio = react_contracts::AudioFeatures::new(first(case.audio.get())).unwrap();
                let push = |stream: &mut Stream| {
                    let reactions = stream.push(&frames, &audio).unwrap();
                    let emotion: Vec<_> = reactions.iter().map(|reaction| reaction.emotion.get()).collect();
                    Tensor::cat(&emotion, 1).unwrap().to_device(&Device::Cpu).unwrap()
                };
                let beginning = push(&mut stream);
                // Two that go on from the same past do not disturb each other.
                let mut twin = stream.clone();
                let [one, other] = [push(&mut stream), push(&mut twin)];
                assert_eq!(distance(&one, &other), 0.0);
                let [one, other] = [push(&mut stream), push(&mut twin)];
                assert_eq!(distance(&one, &other), 0.0);
                Tensor::cat(&[beginning, one], 1).unwrap()
            });
            let streamed = distance(&found, &want);
            assert!(streamed < 1e-3, "{samples} samples, {past} frames: {streamed}");
            worst = worst.max(streamed);
        }
        say("draws, streams", Precision::F32, worst);
    });
}

/// A gradient that is no number moves nothing, then and afterwards, and is named when somebody looks.
#[test]
fn a_gradient_that_is_not_finite_stops_everything_after_it() {
    on_card(|card| {
        let case = Case::offline(card);
        let mode = Mode::train(0, 0).without_dropout();

        let weights = || case.params.all().iter().map(|(_, v)| v.flatten_all().unwrap().to_vec1::<f32>().unwrap()).collect::<Vec<_>>();
        let before = weights();
        let (mut adam, mut readback) = (AdamW::new(AdamWConfig::default()), Readback::new(card));
        let poisoned = (case.loss(&mode).total * f64::NAN).unwrap();
        let mut said = Vec::new();
        for loss in [poisoned, case.loss(&mode).total] {
            let mut gradients = Gradients::collect(&case.params, &loss.backward().unwrap());
            let norm = adam.step_late(&case.params, &mut gradients, |_| 1e-3, Some(1.0)).unwrap();
            said.push(readback.send(&[&norm]).unwrap());
        }
        for sent in said {
            let error = AdamW::norm_of(&case.params, &readback.read(sent).unwrap()).unwrap_err();
            assert!(error.to_string().starts_with("gradient of "), "{error}");
        }
        assert!(before == weights());
    });
}
