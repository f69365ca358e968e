//! Times the metrics, on made reactions with the challenge's statistics (binary AUs, smooth valence and arousal, expression
//! probabilities; neighbours share a course) or on arrays of a folder.
//!
//! ```text
//! cargo run --release -p react-metrics --example bench -- [--n 24] [--k 10] [--t 750] [--neighbours 6] | [--load DIR]
//!     [--instructions best|avx512|avx2|portable] [--threads 0] [--acc] [--json] [--save DIR]
//! ```
//! A folder holds `prediction.npy` f32 `[N, K, T, 25]`, `listener.npy` and `speaker.npy` f32 `[N, T, 25]`, `neighbours.npy` f64
//! `[N, N]`; `--save` writes such a one, for `tests/peers/metrics.py` to score. `--json` prints one line for programs. With
//! `--load`, `--n`, `--k` and `--t` cut the arrays.

use ndarray::parallel::prelude::*;
use ndarray::{Array1, Array2, Array3, Array4, ArrayViewMut2, Axis, s};
use react_metrics::*;
use react_random::Draws;
use std::path::PathBuf;
use std::time::Instant;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Default)]
struct Arguments {
    n: Option<usize>,
    k: Option<usize>,
    t: Option<usize>,
    neighbours: Option<usize>,
    instructions: InstructionSet,
    threads: usize,
    acc: bool,
    json: bool,
    load: Option<PathBuf>,
    save: Option<PathBuf>,
}

fn arguments() -> Result<Arguments, Failure> {
    let mut out = Arguments::default();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--n" => out.n = Some(value()?.parse()?),
            "--k" => out.k = Some(value()?.parse()?),
            "--t" => out.t = Some(value()?.parse()?),
            "--neighbours" => out.neighbours = Some(value()?.parse()?),
            "--threads" => out.threads = value()?.parse()?,
            "--acc" => out.acc = true,
            "--json" => out.json = true,
            "--load" => out.load = Some(value()?.into()),
            "--save" => out.save = Some(value()?.into()),
            "--instructions" => {
                out.instructions = match value()?.as_str() {
                    "best" => InstructionSet::Best,
                    "avx512" => InstructionSet::Avx512,
                    "avx2" => InstructionSet::Avx2,
                    "portable" => InstructionSet::Portable,
                    other => return Err(format!("unknown instructions {other}").into()),
                }
            }
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    Ok(out)
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

fn make(n: usize, k: usize, t: usize, neighbours: usize) -> Made {
    let group = |i: usize| (i / neighbours.max(1)) as u32;
    let mixed = |i: usize, name: &'static str, k: u32, own: f32| {
        let shared = courses(t, ("group", group(i), 0));
        shared * (1.0 - own) + courses(t, (name, i as u32, k)) * own
    };
    let mut listener = Array3::zeros((n, t, 25));
    let mut speaker = Array3::zeros((n, t, 25));
    let mut prediction = Array4::zeros((n, k, t, 25));
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
    let matrix = Array2::from_shape_fn((n, n), |(i, j)| f64::from(u8::from(group(i) == group(j))));
    Made { prediction, listener, speaker, matrix }
}

/// Arrays of a folder, cut where it is asked for.
fn load(folder: &std::path::Path, a: &Arguments) -> Result<Made, Failure> {
    let prediction: Array4<f32> = ndarray_npy::read_npy(folder.join("prediction.npy"))?;
    let listener: Array3<f32> = ndarray_npy::read_npy(folder.join("listener.npy"))?;
    let speaker: Array3<f32> = ndarray_npy::read_npy(folder.join("speaker.npy"))?;
    let matrix: Array2<f64> = ndarray_npy::read_npy(folder.join("neighbours.npy"))?;
    let (n, k, t, _) = prediction.dim();
    let (n, k, t) = (a.n.unwrap_or(n).min(n), a.k.unwrap_or(k).min(k), a.t.unwrap_or(t).min(t));
    if (n, k, t) == (prediction.dim().0, prediction.dim().1, prediction.dim().2) {
        return Ok(Made { prediction, listener, speaker, matrix });
    }
    let short = |x: Array3<f32>| x.slice(s![..n, ..t, ..]).to_owned();
    let prediction = prediction.slice(s![..n, ..k, ..t, ..]).to_owned();
    Ok(Made { prediction, listener: short(listener), speaker: short(speaker), matrix: matrix.slice(s![..n, ..n]).to_owned() })
}

/// Processor time of the whole program so far, in seconds, where the system tells (in ticks of 1/100 s).
fn processor() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?) / 100.0)
}

/// The largest resident memory so far, in MB, where the system tells.
fn peak() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

/// Wall and processor time of a stage.
struct Took {
    name: &'static str,
    wall: f64,
    processor: f64,
}

fn main() -> Result<(), Failure> {
    let a = arguments()?;
    let made = match &a.load {
        Some(folder) => load(folder, &a)?,
        None => make(a.n.unwrap_or(24), a.k.unwrap_or(10), a.t.unwrap_or(750), a.neighbours.unwrap_or(6)),
    };
    if let Some(folder) = &a.save {
        std::fs::create_dir_all(folder)?;
        ndarray_npy::write_npy(folder.join("prediction.npy"), &made.prediction)?;
        ndarray_npy::write_npy(folder.join("listener.npy"), &made.listener)?;
        ndarray_npy::write_npy(folder.join("speaker.npy"), &made.speaker)?;
        ndarray_npy::write_npy(folder.join("neighbours.npy"), &made.matrix)?;
    }
    rayon::ThreadPoolBuilder::new().num_threads(a.threads).build()?.install(|| measure(&a, &made))
}

fn measure(a: &Arguments, made: &Made) -> Result<(), Failure> {
    let neighbours = Neighbours::new(made.matrix.view())?;
    let clock = || (Instant::now(), processor().unwrap_or(f64::NAN));
    let began = clock();
    let inputs = Inputs::new(made.prediction.view(), made.listener.view(), Some(made.speaker.view()), &neighbours)?;
    let stage = std::sync::Mutex::new((clock(), Vec::new()));
    let tell = |p: Progress| {
        if p.done == p.total {
            let (now, mut stage) = (clock(), stage.lock().unwrap_or_else(|e| e.into_inner()));
            let took = Took { name: p.stage.name(), wall: (now.0 - stage.0.0).as_secs_f64(), processor: now.1 - stage.0.1 };
            stage.1.push(took);
            stage.0 = now;
        }
    };
    let options = Options { instructions: a.instructions, ..Options::default() };
    let scores = score(&inputs, &options, &tell);
    let all = Took { name: "in all", wall: began.0.elapsed().as_secs_f64(), processor: clock().1 - began.1 };
    let accuracy = a.acc.then(|| accuracy(&inputs, &options, &tell));
    let mut stages = stage.into_inner().unwrap_or_else(|e| e.into_inner()).1;
    stages.push(all);
    print(a, made, &scores, accuracy.as_ref(), &stages);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "a program")]
fn print(a: &Arguments, made: &Made, scores: &Scores, accuracy: Option<&Accuracy>, stages: &[Took]) {
    let ((n, k, t, _), threads, set) = (made.prediction.dim(), rayon::current_num_threads(), a.instructions.resolved());
    if a.json {
        let mut json = serde_json::json!({
            "n": n, "k": k, "t": t, "threads": threads, "instructions": set, "peak_mb": peak(),
            "pairs": scores.pruning.pairs, "exact": scores.pruning.exact,
            "pruned": scores.pruning.share(), "spared": scores.pruning.spared(),
            "scores": scores.published,
        });
        for took in stages {
            json["wall"][took.name] = took.wall.into();
            json["processor"][took.name] = took.processor.into();
        }
        println!("{json}");
        return;
    }
    println!("N {n} K {k} T {t} · {threads} threads · {set:?}");
    for took in stages {
        println!("{:<28} {:8.3} s wall, {:8.2} s processor", took.name, took.wall, took.processor);
    }
    println!("largest memory               {:8.0} MB", peak().unwrap_or(f64::NAN));
    let p = scores.published;
    println!("FRCorr {} FRDist {} FRDiv {} FRVar {} FRDvs {}", p.fr_corr, p.fr_dist, p.fr_div, p.fr_var, p.fr_dvs);
    let told = |what: &str, p: &Pruning| {
        let (share, spared) = (100.0 * p.share(), 100.0 * p.spared());
        println!("{what}: {} pairs · pruned {share:.1} % · terms spared {spared:.1} % · in f64 {}", p.pairs, p.exact);
    };
    told("FRDist", &scores.pruning);
    if let Some(found) = accuracy {
        told(&format!("ACC {} (chance {})", found.acc, found.chance), &found.pruning);
    }
}
