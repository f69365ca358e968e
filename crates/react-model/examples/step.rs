//! Times training steps of Trans-VAE: `cargo run --release -p react-model --example step [-- name…]`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use candle_core::{Device::Cpu, Tensor};
use react_contracts::{AudioFeatures, Coeffs3dmm, Emotion, Frames};
use react_model::loss::{LossWeights, loss};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::transvae::{Config, Noise, TransVae};
use react_model::{Mode, Params, Result};
use react_random::Draws;
use std::time::Instant;

/// Name, clips, frames, pixels, width.
const CASES: [(&str, usize, usize, usize, usize); 3] =
    [("small", 16, 64, 56, 64), ("tiny", 16, 96, 32, 32), ("published", 1, 64, 224, 128)];

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "{:<10} {:>28} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>11}",
        "case", "B×T×S², d", "encode", "react", "second", "backward", "adamw", "step", "frames/s"
    );
    for case in CASES {
        if wanted.is_empty() || wanted.iter().any(|w| w == case.0) {
            run(case)?;
        }
    }
    Ok(())
}

fn normal(shape: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0; shape.iter().product()];
    Draws::new(1, "example", shape[2] as u32, 0).fill_normal(&mut values);
    Ok(Tensor::from_vec(values, shape, &Cpu)?)
}

fn run((name, b, t, size, d): (&str, usize, usize, usize, usize)) -> Result<()> {
    let params = Params::new(7);
    let model = TransVae::new(Config::of_width(d), &params.root())?;
    let mut adam = AdamW::new(AdamWConfig::default());
    let bytes: Vec<u8> = (0..b * t * size * size * 3).map(|i| (i * 31 / 7 % 256) as u8).collect();
    let frames = Frames::new(Tensor::from_vec(bytes, (b, t, size, size, 3), &Cpu)?)?;
    let audio = AudioFeatures::new(normal(&[b, t, 78])?)?;
    let (emotion, coeffs) = (Emotion::new(normal(&[b, t, 25])?)?, Coeffs3dmm::new(normal(&[b, t, 58])?)?);
    let mut best = [f64::INFINITY; 6];
    for step in 0..8 {
        let mode = Mode::train(7, step);
        let mut times = Vec::new();
        let mut clock = Instant::now();
        let mut lap = || {
            times.push(clock.elapsed().as_secs_f64() * 1e3);
            clock = Instant::now();
        };
        let behaviour = model.encode(&frames, &audio, &mode)?;
        lap();
        let first = model.react(&behaviour, &Noise::training(7, step, 0), &mode)?;
        lap();
        let second = model.react(&behaviour.detach(), &Noise::training(7, step, 1), &mode.another_pass(1).without_gradient())?;
        lap();
        let loss = loss(&first, &second, &emotion, &coeffs, &LossWeights::default())?;
        loss.values()?;
        let mut gradients = Gradients::collect(&params, &loss.total.backward()?);
        lap();
        gradients.clip(256.0)?;
        adam.step(&params, &gradients, 1e-5)?;
        lap();
        times.push(times.iter().sum());
        best.iter_mut().zip(&times).for_each(|(b, t)| *b = b.min(*t));
    }
    let [encode, react, second, backward, adamw, step] = best;
    let shape = format!("{b}×{t}×{size}², {d}");
    println!(
        "{name:<10} {shape:>28} {encode:>9.1} {react:>9.1} {second:>9.1} {backward:>9.1} {adamw:>9.1} {step:>9.1} {:>11.0}",
        (b * t) as f64 / step * 1e3
    );
    Ok(())
}
