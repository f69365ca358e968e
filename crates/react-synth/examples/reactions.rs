//! Writes the attributes of a synthetic split, without a video or a sound, for programs that score reactions.
//!
//! ```text
//! cargo run --release -p react-synth --example reactions -- --n 24 --k 10 --t 750 --out DIR
//!     [--neighbours M] [--smooth FRAMES] [--scripts 4] [--seed 0]
//! ```
//! `prediction.npy` f32 `[N, K, T, 25]` (fresh draws of the same script: the oracle), `listener.npy` and `speaker.npy` f32
//! `[N, T, 25]`, `neighbours.npy` f64 `[N, N]`: those of the same script and role, or M a clip: of these as many as there are, from itself
//! onwards, then any others. `--smooth` averages predictions over so many frames, as a network would.

use ndarray::{Array2, Array4, ArrayViewMut1, Axis};
use react_synth::{Split, SynthConfig, World};
use std::path::PathBuf;

type Failure = Box<dyn std::error::Error>;

struct Arguments {
    n: usize,
    k: usize,
    t: usize,
    neighbours: Option<usize>,
    smooth: usize,
    scripts: usize,
    seed: u64,
    out: PathBuf,
}

fn arguments() -> Result<Arguments, Failure> {
    let mut out = Arguments { n: 24, k: 10, t: 750, neighbours: None, smooth: 0, scripts: 4, seed: 0, out: PathBuf::from("reactions") };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--n" => out.n = value.parse()?,
            "--k" => out.k = value.parse()?,
            "--t" => out.t = value.parse()?,
            "--neighbours" => out.neighbours = Some(value.parse()?),
            "--smooth" => out.smooth = value.parse()?,
            "--scripts" => out.scripts = value.parse()?,
            "--seed" => out.seed = value.parse()?,
            "--out" => out.out = value.into(),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(out)
}

fn main() -> Result<(), Failure> {
    let a = arguments()?;
    if a.n % 2 == 1 || a.n == 0 {
        return Err("--n must be even: each pair is there in both roles".into());
    }
    let config =
        SynthConfig { pairs_train: 1, pairs_val: a.n / 2, frames: a.t, scripts: a.scripts, seed: a.seed, ..SynthConfig::default() };
    let world = World::new(&config)?;
    let mut prediction = world.oracle(Split::Val, a.k).attributes;
    if a.smooth > 1 {
        smooth(&mut prediction, a.smooth);
    }
    let [listener, speaker] = world.real(Split::Val);
    std::fs::create_dir_all(&a.out)?;
    react_store::write_npy(&a.out.join("prediction.npy"), &prediction)?;
    react_store::write_npy(&a.out.join("listener.npy"), &listener)?;
    react_store::write_npy(&a.out.join("speaker.npy"), &speaker)?;
    react_store::write_npy(&a.out.join("neighbours.npy"), &neighbours(&world, a.n, a.neighbours))?;
    Ok(())
}

/// The split's part of the corpus' matrix, or `count` neighbours a clip.
fn neighbours(world: &World, n: usize, count: Option<usize>) -> Array2<f64> {
    let all = world.appropriate();
    let half = all.nrows() / 2;
    // The split's rows of either half are its last.
    let place = |i: usize| if i < n / 2 { half - n / 2 + i } else { 2 * half - n + i };
    let mut out = Array2::zeros((n, n));
    for i in 0..n {
        let from_itself = || (0..n).map(|step| (i + step) % n);
        let appropriate = |j: &usize| all[[place(i), place(*j)]] == 1.0;
        let first: Vec<usize> = from_itself().filter(appropriate).collect();
        let most = count.unwrap_or(first.len());
        first.iter().copied().chain(from_itself().filter(|j| !appropriate(j))).take(most).for_each(|j| out[[i, j]] = 1.0);
    }
    out
}

/// A moving average over time, narrower at the ends.
fn smooth(prediction: &mut Array4<f32>, frames: usize) {
    let average = |mut series: ArrayViewMut1<'_, f32>| {
        let values = series.to_vec();
        for (t, out) in series.iter_mut().enumerate() {
            let window = &values[t.saturating_sub(frames / 2)..(t + frames.div_ceil(2)).min(values.len())];
            *out = window.iter().sum::<f32>() / window.len() as f32;
        }
    };
    prediction.lanes_mut(Axis(2)).into_iter().for_each(average);
}
