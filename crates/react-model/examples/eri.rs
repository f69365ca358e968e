//! A training step of the full-size intensity network (both branches): `cargo run --release -p react-model --example eri -- 8 32 112`
//! (clips, frames, pixels). Prints a line of JSON; tests/peers/eri.py is the same in PyTorch.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use candle_core::{DType, Device::Cpu, Tensor};
use react_model::eri::{Config, Eri, Input, eri_loss};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::{Mode, Params, Result};
use react_random::Draws;
use serde_json::json;
use std::time::Instant;

fn main() -> Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let [b, t, size] = sizes[..] else {
        println!("eri CLIPS FRAMES PIXELS");
        return Ok(());
    };
    // Backward passes recurse over the graph.
    let work = std::thread::Builder::new().stack_size(256 << 20).spawn(move || measure(b, t, size)).map(|work| work.join());
    match work {
        Ok(Ok(result)) => result,
        _ => {
            println!("the measurement did not end");
            Ok(())
        }
    }
}

fn measure(b: usize, t: usize, size: usize) -> Result<()> {
    react_model::keep_freed_memory();
    let params = Params::new(1);
    let model = Eri::new(Config::default(), &params.root())?;
    let mut adam = AdamW::new(AdamWConfig::default());
    let mut bytes = vec![0u8; b * t * size * size * 3];
    let mut draws = Draws::new(1, "pixels", 0, 0);
    bytes.iter_mut().for_each(|byte| *byte = draws.u32() as u8);
    let mut normal = |shape: &[usize]| -> Result<Tensor> {
        let mut values = vec![0.0f32; shape.iter().product()];
        draws.fill_normal(&mut values);
        Ok(Tensor::from_vec(values, shape, &Cpu)?)
    };
    let input = Input {
        mfcc: Some(normal(&[b, 128, 40])?),
        frames: Some(Tensor::from_vec(bytes, (b, t, size, size, 3), &Cpu)?),
        keep: Some(Tensor::ones((b, 2), DType::F32, &Cpu)?),
        ..Input::default()
    };
    let label = candle_nn::ops::sigmoid(&normal(&[b, 7])?)?;
    let mut best = f64::INFINITY;
    for step in 0..3 {
        let start = Instant::now();
        let intensity = model.forward(&input, &Mode::train(1, step))?.intensity;
        let loss = eri_loss(&intensity, &label, 0.5)?;
        let gradients = Gradients::collect(&params, &loss.total.backward()?);
        adam.step(&params, &gradients, 1e-4)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{}", json!({"case": "eri step", "seconds": best, "frames": b * t, "peak_mb": peak_mb()}));
    Ok(())
}

/// The largest memory of this process so far, in MB; 0 where the system does not say.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok()).map_or(0.0, |kb| kb / 1024.0)
}
