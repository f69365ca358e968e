//! What `cargo xtask bench model` measures on our side, one case a process; each prints lines of JSON:
//! `cargo run --release -p react-model --example measure -- kernels`. The sizes are those of tests/peers/model.py. With `--device cuda`
//! (feature `cuda`) it is what `cargo xtask bench cuda` measures, beside tests/peers/model_cuda.py.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use candle_core::{CpuStorage, CustomOp1, DType, Device, Device::Cpu, Layout, Shape, Tensor, Var};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_model::device::{self, Choice, KernelTime, Readback, Sent};
use react_model::layers::Lstm;
use react_model::loss::{LossValues, LossWeights, loss};
use react_model::ops::{Conv3dShape, conv3d, conv3d_gradients, self_attention};
use react_model::optim::{AdamW, AdamWConfig, Gradients, Recording};
use react_model::transvae::{Config, Noise, Stream, StreamConfig, TransVae, Windows};
use react_model::{Mode, ModelError, Params, Precision, Result};
use react_random::Draws;
use serde_json::json;
use std::time::Instant;

const HELP: &str = "\
measure kernels [NAME…]                    bare convolutions, attention, LSTM, and a matrix product (processor only)
measure offline CLIPS FRAMES PIXELS         a training step
measure online CLIPS FRAMES PIXELS WINDOW   a training step in windows, exact mode
measure evaluate FRAMES PIXELS SAMPLES      one clip, encoded once
measure stream PIXELS WINDOW MINUTES        a conversation at 25 frames/s
measure device                              what the device is
measure peak                                its rate of matrix products and of copies (card only)
measure times CLIPS FRAMES PIXELS           what each kernel of a training step takes (card only)
--device cpu|cuda[:N] and --precision f32|tf32|bf16 may come last";

/// Backward passes recurse over the graph, which is deep in windows.
const STACK_BYTES: usize = 256 << 20;

/// Where and how exactly is computed.
struct Place {
    device: Device,
    precision: Precision,
}

impl Place {
    /// Takes what is said of it out of the arguments.
    fn of(args: &mut Vec<String>) -> Result<Self> {
        let mut value = |flag: &str| {
            let at = args.iter().position(|arg| arg == flag)?;
            args.remove(at);
            (at < args.len()).then(|| args.remove(at))
        };
        let choice = value("--device").map_or(Ok(Choice::Cpu), |text| text.parse())?;
        let usual = if choice == Choice::Cpu { Precision::F32 } else { Precision::Tf32 };
        let fault = |what| ModelError::Config { field: "precision", what };
        let precision = value("--precision").map_or(Ok(usual), |text| text.parse().map_err(fault))?;
        Ok(Self { device: device::open(choice)?, precision })
    }

    fn is_card(&self) -> bool {
        !self.device.is_cpu()
    }

    fn eval(&self) -> Mode {
        Mode::eval().with_precision(self.precision)
    }

    fn frames(&self, clips: usize, frames: usize, size: usize) -> Result<Frames<Tensor>> {
        let bytes: Vec<u8> = (0..clips * frames * size * size * 3).map(|i| (i * 31 / 7 % 256) as u8).collect();
        Ok(Frames::new(Tensor::from_vec(bytes, (clips, frames, size, size, 3), &self.device)?)?)
    }

    fn normal(&self, shape: &[usize]) -> Result<Tensor> {
        Ok(normal(shape)?.to_device(&self.device)?)
    }

    /// Seconds of a run: the shortest of some, or on a card, where nobody waits for a single one, the mean of many in a row.
    fn time<T>(&self, rounds: usize, mut run: impl FnMut() -> Result<T>) -> Result<f64> {
        if !self.is_card() {
            return best(rounds, run);
        }
        for _ in 0..3 {
            run()?;
        }
        // What cuDNN's algorithms were tried with is no memory of a step.
        device::forget_peak(&self.device)?;
        let mut seconds = f64::INFINITY;
        for _ in 0..3 {
            device::synchronize(&self.device)?;
            let start = Instant::now();
            for _ in 0..rounds {
                run()?;
            }
            device::synchronize(&self.device)?;
            seconds = seconds.min(start.elapsed().as_secs_f64() / rounds as f64);
        }
        Ok(seconds)
    }

    /// Says what a case took. Memory is the most that was in use: of the process, or of the card since it had warmed up.
    fn report(&self, case: &str, seconds: f64, frames: usize) -> Result<()> {
        report(json!({
            "case": case, "seconds": seconds, "frames": frames, "peak_mb": self.peak_mb()?, "precision": self.precision.to_string(),
            "deterministic": device::is_deterministic(),
        }));
        Ok(())
    }

    fn peak_mb(&self) -> Result<Option<f64>> {
        Ok(match device::peak_bytes(&self.device)? {
            Some(bytes) => Some(bytes as f64 / f64::from(1 << 20)),
            None => memory_mb("VmHWM"),
        })
    }
}

fn main() -> std::process::ExitCode {
    let work = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(measure).map(std::thread::JoinHandle::join);
    match work {
        Ok(Ok(Ok(()))) => std::process::ExitCode::SUCCESS,
        Ok(Ok(Err(error))) => {
            println!("error: {error}");
            std::process::ExitCode::FAILURE
        }
        _ => std::process::ExitCode::FAILURE,
    }
}

fn measure() -> Result<()> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let at = Place::of(&mut args)?;
    let numbers: Vec<usize> = args.iter().skip(1).filter_map(|n| n.parse().ok()).collect();
    match (args.first().map_or("", String::as_str), &numbers[..]) {
        ("kernels", _) => kernels(&args[1..]),
        ("offline", &[clips, frames, size]) => training(&at, "offline", Config::of_width(128), clips, frames, size),
        ("online", &[clips, frames, size, window]) => {
            training(&at, "online", Config::online(128, Windows::of(window)), clips, frames, size)
        }
        ("evaluate", &[frames, size, samples]) => evaluate(&at, frames, size, samples),
        ("stream", &[size, window, minutes]) => stream(&at, size, window, minutes),
        ("device", _) => {
            let facts: serde_json::Map<_, _> = device::facts(&at.device)?.into_iter().map(|(name, value)| (name, value.into())).collect();
            report(facts.into());
            Ok(())
        }
        ("peak", _) if at.is_card() => peak(&at),
        ("times", &[clips, frames, size]) if at.is_card() => times(&at, clips, frames, size),
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

/// A training as the published program makes it, with one pass through the encoder, on a batch that is there.
struct Training<'a> {
    at: &'a Place,
    params: Params,
    model: TransVae,
    adam: AdamW,
    video: Frames<Tensor>,
    audio: AudioFeatures<Tensor>,
    emotion: Emotion<Tensor>,
    coeffs: Coeffs3dmm<Tensor>,
    readback: Readback,
    /// The numbers of the step before, on a card.
    sent: Option<[Sent; 2]>,
    step: u32,
}

impl<'a> Training<'a> {
    fn new(at: &'a Place, config: Config, b: usize, t: usize, size: usize) -> Result<Self> {
        let params = Params::on(7, &at.device);
        Ok(Self {
            model: TransVae::new(config, &params.root())?,
            params,
            adam: AdamW::new(AdamWConfig::default()),
            video: at.frames(b, t, size)?,
            audio: AudioFeatures::new(at.normal(&[b, t, 78])?)?,
            emotion: Emotion::new(at.normal(&[b, t, 25])?)?,
            coeffs: Coeffs3dmm::new(at.normal(&[b, t, 58])?)?,
            readback: Readback::new(&at.device),
            sent: None,
            step: 0,
            at,
        })
    }

    fn step(&mut self) -> Result<()> {
        self.step += 1;
        let (model, step) = (&self.model, self.step);
        let mode = Mode::train(7, step).with_precision(self.at.precision);
        let recording = self.at.is_card().then(Recording::begin);
        let behaviour = model.encode(&self.video, &self.audio, &mode)?;
        let first = model.react(&behaviour, &Noise::training(7, step, 0), &mode)?;
        let second = model.react(&behaviour.detach(), &Noise::training(7, step, 1), &mode.another_pass(1).without_gradient())?;
        let loss = loss(&first, &second, &self.emotion, &self.coeffs, &LossWeights::default())?;
        if !self.at.is_card() {
            let gradients = Gradients::collect(&self.params, &loss.total.backward()?);
            return self.adam.step(&self.params, &gradients, 1e-5);
        }
        // As training does: the numbers of a step are read when the next one is queued.
        let terms = self.readback.send(&loss.terms())?;
        let mut gradients = Gradients::of(&self.params, &loss.total, recording)?;
        let norm = self.adam.step_late(&self.params, &mut gradients, |_| 1e-5, None)?;
        let norm = self.readback.send(&[&norm])?;
        if let Some([terms, norm]) = self.sent.replace([terms, norm]) {
            LossValues::of(&self.readback.read(terms)?)?;
            AdamW::norm_of(&self.params, &self.readback.read(norm)?)?;
        }
        Ok(())
    }
}

fn training(at: &Place, case: &str, config: Config, b: usize, t: usize, size: usize) -> Result<()> {
    let mut training = Training::new(at, config, b, t, size)?;
    let rounds = match (at.is_card(), b * t > 256) {
        (true, _) => 10,
        // Where a step takes long, one says enough.
        (false, true) => 1,
        (false, false) => 5,
    };
    let seconds = at.time(rounds, || training.step())?;
    at.report(case, seconds, b * t)
}

/// What each kernel of an offline step takes, longest first.
fn times(at: &Place, b: usize, t: usize, size: usize) -> Result<()> {
    let mut training = Training::new(at, Config::of_width(128), b, t, size)?;
    for _ in 0..3 {
        training.step()?;
    }
    let (made, times) = device::kernel_times(|| training.step())?;
    made?;
    for KernelTime { name, runs, milliseconds } in times {
        report(json!({"kernel": name, "runs": runs, "ms": milliseconds}));
    }
    Ok(())
}

fn evaluate(at: &Place, t: usize, size: usize, samples: usize) -> Result<()> {
    let params = Params::on(7, &at.device);
    let model = TransVae::new(Config::of_width(128), &params.root())?;
    let (video, audio) = (at.frames(1, t, size)?, AudioFeatures::new(at.normal(&[1, t, 78])?)?);
    let seconds = at.time(3, || {
        let behaviour = model.encode(&video, &audio, &at.eval())?;
        let reaction = model.react(&behaviour, &Noise::samples(1, &[0], samples, 1.0), &at.eval())?;
        // An answer is there when the host has it.
        Ok(reaction.emotion.get().flatten_all()?.to_vec1::<f32>()?)
    })?;
    at.report("evaluate", seconds, t)
}

/// Time and memory of every window of a conversation: on a card with the frames' way there and the answer's way back.
fn stream(at: &Place, size: usize, window: usize, minutes: usize) -> Result<()> {
    let params = Params::on(7, &at.device);
    let model = TransVae::new(Config::online(128, Windows::of(window)), &params.root())?;
    let mut stream = Stream::new(&model, StreamConfig { window, precision: at.precision, ..StreamConfig::default() })?;
    let here = Place { device: Cpu, precision: at.precision };
    let (video, audio) = (here.frames(1, window, size)?.into_inner(), here.normal(&[1, window, 78])?);
    let windows = minutes * 60 * 25 / window;
    let mut times = Vec::with_capacity(windows);
    let mut early_mb = None;
    for i in 0..windows {
        let start = Instant::now();
        let (video, audio) = (Frames::new(video.to_device(&at.device)?)?, AudioFeatures::new(audio.to_device(&at.device)?)?);
        for reaction in stream.push(&video, &audio)? {
            reaction.coeffs.get().flatten_all()?.to_vec1::<f32>()?;
            reaction.emotion.get().flatten_all()?.to_vec1::<f32>()?;
        }
        times.push(start.elapsed().as_secs_f64() * 1e3);
        if i == windows / 8 {
            early_mb = memory_mb("VmRSS");
        }
    }
    // The first windows of a card load its kernels and choose its convolutions.
    let times = if at.is_card() { times.split_off(times.len().min(20)) } else { times };
    let part = |share: f64, times: &[f64]| {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.get((share * (sorted.len().max(1) - 1) as f64).round() as usize).copied()
    };
    let quarter = times.len() / 4;
    report(json!({
        "case": "stream", "windows": windows, "p50_ms": part(0.5, &times), "p99_ms": part(0.99, &times),
        "first_quarter_p50_ms": part(0.5, &times[..quarter]), "last_quarter_p50_ms": part(0.5, &times[times.len() - quarter..]),
        "early_mb": early_mb, "late_mb": memory_mb("VmRSS"), "peak_mb": at.peak_mb()?, "precision": at.precision.to_string(),
    }));
    Ok(())
}

/// What the card does at most, for floors: products of large matrices, and a copy (bytes read and written).
fn peak(at: &Place) -> Result<()> {
    const N: usize = 8192;
    let (a, b) = (at.normal(&[N, N])?, at.normal(&[N, N])?);
    for precision in [Precision::F32, Precision::Tf32, Precision::Bf16] {
        let element = if precision == Precision::Bf16 { DType::BF16 } else { DType::F32 };
        candle_core::cuda::set_gemm_reduced_precision_f32(precision == Precision::Tf32);
        let (a, b) = (a.to_dtype(element)?, b.to_dtype(element)?);
        let seconds = at.time(5, || Ok(a.matmul(&b)?))?;
        report(json!({"peak": precision.to_string(), "tflops": 2.0 * (N as f64).powi(3) / seconds * 1e-12}));
    }
    let large = Tensor::zeros(1 << 30, DType::F32, &at.device)?;
    let seconds = at.time(5, || Ok(large.copy()?))?;
    report(json!({"peak": "bandwidth", "gb_s": 2.0 * 4.0 * f64::from(1 << 30) / seconds * 1e-9}));
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
        let shape = Conv3dShape { stride: [1, s, s], padding: [0, k / 2, k / 2], precision: Precision::F32 };
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
