//! What `cargo xtask bench viz` measures of PIRender on our side, and what tests/peers/pirender.py compares, at published sizes with
//! weights by a formula: `cargo run --release -p react-model --example bench_pirender -- speed 8`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use candle_core::{Device::Cpu, Tensor};
use ndarray::{Array2, Array3};
use react_model::pirender::{PiRender, PiRenderConfig, WINDOW};
use react_model::{ModelError, Result};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

const HELP: &str = "\
bench_pirender speed FRAMES   frames of 256×256, after one turn to warm up: a line of JSON
bench_pirender cross FILE     two frames with all that lies between, as safetensors, for `pirender.py cross FILE`";

const SIZE: usize = 256;
/// Frames of the clip that `cross` draws two of.
const CLIP: usize = 40;
const DRAWN: [usize; 2] = [0, 20];

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["speed", frames] => speed(frames.parse().unwrap_or(8)),
        ["cross", file] => cross(file),
        _ => {
            println!("{HELP}");
            Ok(())
        }
    }
}

/// −0.5 … 0.5 by a hash of (j, i): the same numbers as in tests/peers/pirender.py.
fn noise(j: u32, i: u32) -> f32 {
    let mut x = i.wrapping_mul(747_796_405).wrapping_add(j.wrapping_mul(2_891_336_453)).wrapping_add(1);
    x = (x ^ (x >> 16)).wrapping_mul(0x045d_9f3b);
    x = (x ^ (x >> 16)).wrapping_mul(0x045d_9f3b);
    x ^= x >> 16;
    (f64::from(x) / 4_294_967_296.0 - 0.5) as f32
}

/// Uniform with the variance 1/inputs; weights of norms about 1, biases small.
fn net() -> Result<PiRender> {
    let config = PiRenderConfig::published();
    let numbers: BTreeMap<String, u32> = config.tensors().into_keys().zip(0..).collect();
    PiRender::new(&config, |name, shape| {
        let j = numbers.get(name).copied().unwrap_or_default();
        let count: usize = shape.iter().product();
        let (scale, shift) = match shape {
            [_, 1, 1] if name.ends_with("weight") => (0.2, 1.0),
            [_] | [_, 1, 1] => (0.1, 0.0),
            [_, rest @ ..] => ((12.0 / rest.iter().product::<usize>() as f64).sqrt() as f32, 0.0),
            [] => (0.0, 0.0),
        };
        Ok((0..count as u32).map(|i| noise(j, i) * scale + shift).collect())
    })
}

fn photograph() -> Array3<u8> {
    let byte = |y: usize, x: usize, c: usize| (128.0 + 100.0 * ((y * (c + 2)) as f64 / 40.0).sin() * (x as f64 / 31.0).cos()) as u8;
    Array3::from_shape_fn((SIZE, SIZE, 3), |(y, x, c)| byte(y, x, c))
}

fn coefficients(frames: usize) -> Array2<f32> {
    Array2::from_shape_fn((frames, 58), |(t, c)| noise(1000, (t * 58 + c) as u32))
}

fn speed(frames: usize) -> Result<()> {
    let net = net()?;
    let face = net.reference(photograph().view())?;
    let coeffs = coefficients(frames);
    let draw = || net.render(&face, coeffs.view(), |_, _| Ok::<(), ModelError>(()));
    draw()?;
    let start = Instant::now();
    draw()?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{}", json!({"case": "pirender", "seconds": seconds, "frames": frames, "peak_mb": peak_mb()}));
    Ok(())
}

fn peak_mb() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

fn cross(file: &str) -> Result<()> {
    let net = net()?;
    let face = net.reference(photograph().view())?;
    let coeffs = coefficients(CLIP);
    let mut tensors = HashMap::new();
    for t in DRAWN {
        let window = Array2::from_shape_fn((WINDOW, 58), |(i, c)| coeffs[[(t + i).saturating_sub(WINDOW / 2).min(CLIP - 1), c]]);
        let drawn = net.forward(&face, window.view())?;
        let descriptor = drawn.descriptor.to_vec();
        tensors.insert(format!("{t}.descriptor"), Tensor::from_vec(descriptor, net_width(), &Cpu)?);
        for (name, array) in [("flow", &drawn.flow), ("warped", &drawn.warped), ("frame", &drawn.frame)] {
            let values: Vec<f32> = array.iter().copied().collect();
            tensors.insert(format!("{t}.{name}"), Tensor::from_vec(values, array.dim(), &Cpu)?);
        }
    }
    Ok(candle_core::safetensors::save(&tensors, file)?)
}

fn net_width() -> usize {
    PiRenderConfig::published().descriptor
}
