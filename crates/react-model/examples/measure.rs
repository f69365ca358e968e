//! What `cargo xtask bench model` measures on our side, one case a process; each prints lines of JSON:
//! `cargo run --release -p react-model --example measure -- kernels`. The sizes are those of tests/peers/model.py.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use candle_core::{CpuStorage, CustomOp1, Device::Cpu, Layout, Shape, Tensor, Var};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_model::layers::Lstm;
use react_model::loss::{LossWeights, loss};
use react_model::ops::{Conv3dShape, conv3d, conv3d_gradients, self_attention};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::transvae::{Config, Noise, Stream, StreamConfig, TransVae, Windows};
use react_model::{Mode, Params, Result};
use react_random::Draws;
use serde_json::json;
use std::time::Instant;

const HELP: &str = "\
measure kernels [NAME…]                    bare convolutions, attention, LSTM, and a matrix product
measure offline CLIPS FRAMES PIXELS         a training step
measure online CLIPS FRAMES PIXELS WINDOW   a training step in windows, exact mode
measure evaluate FRAMES PIXELS SAMPLES      one clip, encoded once
measure stream PIXELS WINDOW MINUTES        a conversation at 25 frames/s";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = args.iter().skip(1).filter_map(|n| n.parse().ok()).collect();
    match (args.first().map_or("", String::as_str), &numbers[..]) {
        ("kernels", _) => kernels(&args[1..]),
        ("offline", &[clips, frames, size]) => training("offline", Config::of_width(128), clips, frames, size),
        ("online", &[clips, frames, size, window]) => training("online", Config::online(128, Windows::of(window)), clips, frames, size),
        ("evaluate", &[frames, size, samples]) => evaluate(frames, size, samples),
        ("stream", &[size, window, minutes]) => stream(size, window, minutes),
        _ => {
            println!("{HELP}");
            Ok(())
        }
    }
}

/// A line of /proc/self/status in MB: the largest resident memory (VmHWM) or that of now (VmRSS).
fn memory_mb(key: &str) -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn frames(clips: usize, frames: usize, size: usize) -> Result<Frames<Tensor>> {
    let bytes: Vec<u8> = (0..clips * frames * size * size * 3).map(|i| (i * 31 / 7 % 256) as u8).collect();
    Ok(Frames::new(Tensor::from_vec(bytes, (clips, frames, size, size, 3), &Cpu)?)?)
}

/// A training step as the published program makes it, with one pass through the encoder.
fn training(case: &str, config: Config, b: usize, t: usize, size: usize) -> Result<()> {
    let params = Params::new(7);
    let model = TransVae::new(config, &params.root())?;
    let mut adam = AdamW::new(AdamWConfig::default());
    let (video, audio) = (frames(b, t, size)?, AudioFeatures::new(normal(&[b, t, 78])?)?);
    let (emotion, coeffs) = (Emotion::new(normal(&[b, t, 25])?)?, Coeffs3dmm::new(normal(&[b, t, 58])?)?);
    let mut step = 0;
    // Where a step takes long, one says enough.
    let seconds = best(if b * t > 256 { 1 } else { 5 }, || {
        step += 1;
        let mode = Mode::train(7, step);
        let behaviour = model.encode(&video, &audio, &mode)?;
        let first = model.react(&behaviour, &Noise::training(7, step, 0), &mode)?;
        let second = model.react(&behaviour.detach(), &Noise::training(7, step, 1), &mode.another_pass(1).without_gradient())?;
        let loss = loss(&first, &second, &emotion, &coeffs, &LossWeights::default())?;
        let gradients = Gradients::collect(&params, &loss.total.backward()?);
        adam.step(&params, &gradients, 1e-5)
    })?;
    report(json!({"case": case, "seconds": seconds, "frames": b * t, "peak_mb": memory_mb("VmHWM")}));
    Ok(())
}

fn evaluate(t: usize, size: usize, samples: usize) -> Result<()> {
    let params = Params::new(7);
    let model = TransVae::new(Config::of_width(128), &params.root())?;
    let (video, audio) = (frames(1, t, size)?, AudioFeatures::new(normal(&[1, t, 78])?)?);
    let seconds = best(3, || {
        let behaviour = model.encode(&video, &audio, &Mode::eval())?;
        model.react(&behaviour, &Noise::samples(1, &[0], samples, 1.0), &Mode::eval())
    })?;
    report(json!({"case": "evaluate", "seconds": seconds, "frames": t, "peak_mb": memory_mb("VmHWM")}));
    Ok(())
}

/// Time and memory of every window of a conversation.
fn stream(size: usize, window: usize, minutes: usize) -> Result<()> {
    let params = Params::new(7);
    let model = TransVae::new(Config::online(128, Windows::of(window)), &params.root())?;
    let mut stream = Stream::new(&model, StreamConfig { window, ..StreamConfig::default() })?;
    let (video, audio) = (frames(1, window, size)?, AudioFeatures::new(normal(&[1, window, 78])?)?);
    let windows = minutes * 60 * 25 / window;
    let mut times = Vec::with_capacity(windows);
    let mut early_mb = None;
    for i in 0..windows {
        let start = Instant::now();
        stream.push(&video, &audio)?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if i == windows / 8 {
            early_mb = memory_mb("VmRSS");
        }
    }
    let part = |share: f64, times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get((share * (sorted.len().max(1) - 1) as f64).round() as usize).copied()
    };
    let quarter = times.len() / 4;
    report(json!({
        "case": "stream", "windows": windows, "p50_ms": part(0.5, &times), "p99_ms": part(0.99, &times),
        "first_quarter_p50_ms": part(0.5, &times[..quarter]), "last_quarter_p50_ms": part(0.5, &times[times.len() - quarter..]),
        "early_mb": early_mb, "late_mb": memory_mb("VmRSS"), "peak_mb": memory_mb("VmHWM"),
    }));
    Ok(())
}

fn report(values: serde_json::Value) {
    println!("{values}");
}

/// Seconds since `clock`, or, with MEASURE=processor, processor time of all threads: for machines that are busy with other work too
/// (Linux; use one thread, as idle ones may spin).
fn now(clock: Instant) -> f64 {
    if std::env::var_os("MEASURE").is_none_or(|m| m != "processor") {
        return clock.elapsed().as_secs_f64();
    }
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() * 1e-9
}

/// The shortest of some runs, in seconds, after one to warm up.
fn best<T>(rounds: usize, mut run: impl FnMut() -> Result<T>) -> Result<f64> {
    run()?;
    let clock = Instant::now();
    let mut best = f64::INFINITY;
    for _ in 0..rounds {
        let start = now(clock);
        run()?;
        best = best.min(now(clock) - start);
    }
    Ok(best)
}

fn normal(shape: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0; shape.iter().product()];
    Draws::new(1, "measure", shape.len() as u32, 0).fill_normal(&mut values);
    Ok(Tensor::from_vec(values, shape, &Cpu)?)
}

/// Ends a graph with a gradient that is there already.
struct Given(Tensor);

impl CustomOp1 for Given {
    fn name(&self) -> &'static str {
        "given"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), ().into()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.0.clone()))
    }
}

/// Times a forward pass without a graph, and a backward pass alone.
fn both(name: &str, rounds: usize, leaves: &[Tensor], run: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let detached: Vec<Tensor> = leaves.iter().map(Tensor::detach).collect();
    let seconds = best(rounds, || run(&detached))?;
    report(json!({"kernel": name, "direction": "forward", "seconds": seconds}));
    let y = run(leaves)?;
    let end = y.apply_op1(Given(normal(y.dims())?))?;
    let seconds = best(rounds, || Ok(end.backward()?))?;
    report(json!({"kernel": name, "direction": "backward", "seconds": seconds}));
    Ok(())
}

/// Name, channels in and out, kernel, stride, pixels that come in.
const CONVS: [(&str, usize, usize, usize, usize, usize); 5] = [
    ("conv1", 3, 32, 7, 2, 224),
    ("conv2", 32, 128, 7, 2, 55),
    ("conv3", 128, 128, 3, 2, 28),
    ("conv4", 128, 128, 3, 1, 14),
    ("conv5", 128, 128, 3, 2, 14),
];
const FRAMES: usize = 32;

/// The bare kernels, all or those named.
fn kernels(names: &[String]) -> Result<()> {
    let wanted = |name: &str| names.is_empty() || names.iter().any(|n| n == name);
    let leaf = |t: Tensor| -> Result<Tensor> { Ok(Var::from_tensor(&t)?.into_inner()) };
    for (name, cin, cout, k, s, size) in CONVS.into_iter().filter(|c| wanted(c.0)) {
        let shape = Conv3dShape { stride: [1, s, s], padding: [0, k / 2, k / 2] };
        let w = leaf(normal(&[cout, cin, 1, k, k])?)?;
        let dims = (1, FRAMES, size, size, cin);
        let x = if cin == 3 {
            let bytes: Vec<u8> = (0..FRAMES * size * size * 3).map(|i| (i * 31 / 7 % 256) as u8).collect();
            Tensor::from_vec(bytes, dims, &Cpu)?
        } else {
            leaf(normal(&[1, FRAMES, size, size, cin])?)?
        };
        let (x_alone, w_alone) = (x.detach(), w.detach());
        let seconds = best(5, || Ok(conv3d(&x_alone, &w_alone, None, shape)?))?;
        report(json!({"kernel": name, "direction": "forward", "seconds": seconds}));
        let grad = normal(conv3d(&x_alone, &w_alone, None, shape)?.dims())?;
        let seconds = best(5, || Ok(conv3d_gradients(&x, &w, &grad, shape)?))?;
        report(json!({"kernel": name, "direction": "backward", "seconds": seconds}));
    }
    let (b, t, d) = (4, 256, 128);
    let qkv = leaf(normal(&[b, t, 3 * d])?)?;
    if wanted("attention") {
        both("attention", 10, &[qkv], |x| Ok(self_attention(&x[0], 4, true, 0.0, &Mode::eval(), "site")?))?;
    }
    if wanted("lstm") {
        let params = Params::new(0);
        let lstm = Lstm::new(d, d, &params.root())?;
        let x = leaf(normal(&[b, t, d])?)?;
        both("lstm", 10, &[x], |x| {
            let mode = if x[0].is_variable() { Mode::train(0, 0) } else { Mode::eval() };
            lstm.forward(&x[0], None, &mode)
        })?;
    }
    if wanted("gemm") {
        let (a, c) = (normal(&[1536, 1536])?, normal(&[1536, 1536])?);
        let seconds = best(10, || Ok(a.matmul(&c)?))?;
        report(json!({"kernel": "gemm", "direction": "forward", "seconds": seconds}));
    }
    Ok(())
}
