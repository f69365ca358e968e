//! What `cargo xtask bench model` measures on our side, one case a process; each prints lines of JSON:
//! `cargo run --release -p react-model --example measure -- kernels`. The sizes are those of tests/peers/model.py.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use candle_core::{Device::Cpu, Tensor, Var};
use react_model::layers::Lstm;
use react_model::ops::{Conv3dShape, conv3d, self_attention};
use react_model::{Mode, Params, Result};
use react_random::Draws;
use serde_json::json;
use std::time::Instant;

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.first().map(String::as_str) {
        Some("kernels") => kernels(),
        _ => {
            println!("measure kernels");
            Ok(())
        }
    }
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
fn best(rounds: usize, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
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

/// Times a forward pass without a graph, and a backward pass alone.
fn both(name: &str, rounds: usize, leaves: &[Tensor], run: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let detached: Vec<Tensor> = leaves.iter().map(Tensor::detach).collect();
    let seconds = best(rounds, || run(&detached).map(drop))?;
    report(json!({"kernel": name, "direction": "forward", "seconds": seconds}));
    let y = run(leaves)?;
    let seconds = best(rounds, || Ok(drop(y.backward()?)))?;
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

fn kernels() -> Result<()> {
    let leaf = |t: Tensor| -> Result<Tensor> { Ok(Var::from_tensor(&t)?.into_inner()) };
    for (name, cin, cout, k, s, size) in CONVS {
        let shape = Conv3dShape { stride: [1, s, s], padding: [0, k / 2, k / 2] };
        let w = leaf(normal(&[cout, cin, 1, k, k])?)?;
        let dims = (1, FRAMES, size, size, cin);
        let x = if cin == 3 {
            let bytes: Vec<u8> = (0..FRAMES * size * size * 3).map(|i| (i * 31 / 7 % 256) as u8).collect();
            Tensor::from_vec(bytes, dims, &Cpu)?
        } else {
            leaf(normal(&[1, FRAMES, size, size, cin])?)?
        };
        both(name, 5, &[x, w], |x| Ok(conv3d(&x[0], &x[1], None, shape)?))?;
    }
    let (b, t, d) = (4, 256, 128);
    let qkv = leaf(normal(&[b, t, 3 * d])?)?;
    both("attention", 10, &[qkv], |x| Ok(self_attention(&x[0], 4, true, 0.0, &Mode::eval(), "site")?))?;
    let params = Params::new(0);
    let lstm = Lstm::new(d, d, &params.root())?;
    let x = leaf(normal(&[b, t, d])?)?;
    both("lstm", 10, &[x], |x| {
        let mode = if x[0].is_variable() { Mode::train(0, 0) } else { Mode::eval() };
        lstm.forward(&x[0], None, &mode)
    })?;
    let (a, c) = (normal(&[1536, 1536])?, normal(&[1536, 1536])?);
    let seconds = best(10, || Ok(drop(a.matmul(&c)?)))?;
    report(json!({"kernel": "gemm", "direction": "forward", "seconds": seconds}));
    Ok(())
}
