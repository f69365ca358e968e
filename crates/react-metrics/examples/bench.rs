//! Times the metrics on made reactions with the challenge's statistics (binary AUs, smooth valence and arousal, expression
//! probabilities; neighbours share a course).
//!
//! ```text
//! cargo run --release -p react-metrics --example bench -- [--n 24] [--k 10] [--t 750] [--neighbours 6]
//!     [--instructions best|avx512|avx2|portable] [--acc] [--save DIR]
//! ```
//! `--save` writes the arrays as npy, for `tests/peers/metrics.py` to score.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, Array3, Array4, ArrayViewMut2, Axis};
use react_metrics::*;
use react_random::Draws;
use std::time::Instant;

struct Arguments {
    n: usize,
    k: usize,
    t: usize,
    neighbours: usize,
    instructions: InstructionSet,
    acc: bool,
    save: Option<std::path::PathBuf>,
}

fn arguments() -> Arguments {
    let mut out = Arguments { n: 24, k: 10, t: 750, neighbours: 6, instructions: InstructionSet::Best, acc: false, save: None };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{word} needs a value"));
        match word.as_str() {
            "--n" => out.n = value().parse().expect("a number"),
            "--k" => out.k = value().parse().expect("a number"),
            "--t" => out.t = value().parse().expect("a number"),
            "--neighbours" => out.neighbours = value().parse().expect("a number"),
            "--acc" => out.acc = true,
            "--save" => out.save = Some(value().into()),
            "--instructions" => {
                out.instructions = match value().as_str() {
                    "avx512" => InstructionSet::Avx512,
                    "avx2" => InstructionSet::Avx2,
                    "portable" => InstructionSet::Portable,
                    _ => InstructionSet::Best,
                }
            }
            other => panic!("unknown argument {other}"),
        }
    }
    out
}

/// Smooth hidden courses, one a channel: AR(1) of time constant 2 s.
fn courses(t: usize, name: (&str, u32, u32)) -> Array2<f32> {
    let mut draws = Draws::new(0, name.0, name.1, name.2);
    let mut courses = Array2::from_shape_simple_fn((t, 25), || draws.normal());
    courses.accumulate_axis_inplace(Axis(0), |before, x| *x = 0.98 * before + 0.2 * *x);
    courses
}

/// Attributes from hidden courses: AUs above a threshold (or their probability), tanh, softmax.
fn attributes(hidden: &Array2<f32>, binary: bool, mut out: ArrayViewMut2<'_, f32>) {
    for (hidden, mut out) in hidden.rows().into_iter().zip(out.rows_mut()) {
        for c in 0..15 {
            let x = 3.0 * (hidden[c] - 0.7);
            out[c] = if binary { f32::from(u8::from(x > 0.0)) } else { 1.0 / (1.0 + (-x).exp()) };
        }
        (15..17).for_each(|c| out[c] = (0.5 * hidden[c]).tanh());
        let exp: Array1<f32> = hidden.iter().skip(17).map(|x| (2.0 * x).exp()).collect();
        (17..25).for_each(|c| out[c] = exp[c - 17] / exp.sum());
    }
}

struct Made {
    prediction: Array4<f32>,
    listener: Array3<f32>,
    speaker: Array3<f32>,
    matrix: Array2<f64>,
}

fn make(a: &Arguments) -> Made {
    let group = |i: usize| (i / a.neighbours.max(1)) as u32;
    let mixed = |i: usize, name: &'static str, k: u32, own: f32| {
        let shared = courses(a.t, ("group", group(i), 0));
        shared * (1.0 - own) + courses(a.t, (name, i as u32, k)) * own
    };
    let mut listener = Array3::zeros((a.n, a.t, 25));
    let mut speaker = Array3::zeros((a.n, a.t, 25));
    let mut prediction = Array4::zeros((a.n, a.k, a.t, 25));
    for (array, name) in [(&mut listener, "listener"), (&mut speaker, "speaker")] {
        let clips = array.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
        clips.for_each(|(i, out)| attributes(&mixed(i, name, 0, 0.6), true, out));
    }
    let clips = prediction.axis_iter_mut(Axis(0)).into_par_iter().enumerate();
    clips.for_each(|(i, mut samples)| {
        for (k, out) in samples.axis_iter_mut(Axis(0)).enumerate() {
            attributes(&(mixed(i, "sample", k as u32, 0.5) * 0.6), false, out);
        }
    });
    let matrix = Array2::from_shape_fn((a.n, a.n), |(i, j)| f64::from(u8::from(group(i) == group(j))));
    Made { prediction, listener, speaker, matrix }
}

#[allow(clippy::print_stdout, reason = "a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let a = arguments();
    let made = make(&a);
    if let Some(folder) = &a.save {
        std::fs::create_dir_all(folder)?;
        ndarray_npy::write_npy(folder.join("prediction.npy"), &made.prediction)?;
        ndarray_npy::write_npy(folder.join("listener.npy"), &made.listener)?;
        ndarray_npy::write_npy(folder.join("speaker.npy"), &made.speaker)?;
        ndarray_npy::write_npy(folder.join("neighbours.npy"), &made.matrix)?;
    }
    let threads = rayon::current_num_threads();
    println!("N {} K {} T {} · {threads} threads · {:?}", a.n, a.k, a.t, a.instructions.resolved());

    let neighbours = Neighbours::new(made.matrix.view())?;
    let all = Instant::now();
    let inputs = Inputs::new(made.prediction.view(), made.listener.view(), Some(made.speaker.view()), &neighbours)?;
    println!("check    {:8.3} s", all.elapsed().as_secs_f64());
    let stage = std::sync::Mutex::new(Instant::now());
    let tell = |p: Progress| {
        let mut since = stage.lock().unwrap_or_else(|e| e.into_inner());
        if p.done == p.total {
            println!("         {:8.3} s  {}", since.elapsed().as_secs_f64(), p.stage.name());
            *since = Instant::now();
        }
    };
    let scores = score(&inputs, &Options { bootstrap: None, instructions: a.instructions }, &tell);
    println!("score    {:8.3} s", all.elapsed().as_secs_f64());
    println!("{:#?}", scores.published);
    let p = scores.pruning;
    println!("pairs {} · pruned {:.1} % · terms spared {:.1} % · in f64 {}", p.pairs, 100.0 * p.share(), 100.0 * p.spared(), p.exact);
    if a.acc {
        let found = accuracy(&inputs, a.instructions, &tell);
        let p = found.pruning;
        println!(
            "ACC {} (chance {}) · pruned {:.1} % · terms spared {:.1} %",
            found.acc,
            found.chance,
            100.0 * p.share(),
            100.0 * p.spared()
        );
    }
    Ok(())
}
