//! Makes a small corpus: `cargo run --release -p react-synth --example make -- DIR [frames] [size] [seed] [scripts]`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use react_synth::{SynthConfig, generate};
use std::{env, error::Error, path::Path, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let Some(root) = args.first() else { return Err("where to? give a folder".into()) };
    let number = |i: usize, default: usize| args.get(i).map_or(Ok(default), |s| s.parse());
    let base = SynthConfig::default();
    let config = SynthConfig {
        frames: number(1, base.frames)?,
        size: number(2, base.size)?,
        seed: number(3, 0)? as u64,
        scripts: number(4, base.scripts)?,
        ..base
    };
    let start = Instant::now();
    println!("{}", generate(&config, Path::new(root), &())?);
    println!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}
