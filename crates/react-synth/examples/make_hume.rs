//! Makes a corpus like Hume-Reaction and packs it:
//! `cargo run --release -p react-synth --example make_hume -- DIR OUT [train] [val] [test] [seed] [crop]`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use react_data::Faces;
use react_data::hume::{HumeConfig, prepare_hume};
use react_synth::hume::{HumeSynthConfig, HumeTruth, generate_hume};
use std::{env, error::Error, path::Path, time::Instant};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [root, out, numbers @ ..] = &args[..] else { return Err("where to? give two folders".into()) };
    let number = |i: usize, default: usize| numbers.get(i).map_or(Ok(default), |s| s.parse());
    let base = HumeSynthConfig::default();
    let (train, val, test) = (number(0, base.train)?, number(1, base.val)?, number(2, base.test)?);
    let config = HumeSynthConfig { train, val, test, seed: number(3, 0)? as u64, ..base };
    let root = Path::new(root);
    let start = Instant::now();
    println!("{} ({:.1} s)", generate_hume(&config, root, &())?, start.elapsed().as_secs_f64());
    if let Some(truth) = HumeTruth::read(root)? {
        let [face, voice, both] = truth.ceiling.mean();
        println!("a perfect linear reader: face {face:.3}, voice {voice:.3}, both {both:.3}");
    }
    let start = Instant::now();
    let packing = HumeConfig {
        root: root.to_owned(),
        out: out.into(),
        crop: number(4, 112)?,
        faces: Faces::Boxes(root.join("boxes.csv")),
        ..HumeConfig::default()
    };
    println!("{} ({:.1} s)", prepare_hume(&packing, &())?, start.elapsed().as_secs_f64());
    Ok(())
}
