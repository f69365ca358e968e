//! What a corpus allows: FRCorr of the real reactions, the oracle, the mean reaction to each script (the most that a model
//! with one answer per script can reach), the naive baselines; and how well the script is told from bags of frames.
//!
//! `cargo run --release -p react-synth --example study -- [scripts] [frames] [seeds, e.g. 0-4] [pairs_train] [pairs_val]`
#![allow(clippy::print_stdout, clippy::type_complexity, reason = "a program for a terminal, with a table in one closure")]

use ndarray::{Array1, Array2, Array4, ArrayView3, Axis, concatenate};
use rayon::prelude::*;
use react_metrics::{Baseline, Baselines, Inputs, MeanReaction, Neighbours};
use react_synth::{FPS, RATE, Split, SynthConfig, World};
use std::{env, error::Error};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |i: usize, default: usize| args.get(i).map_or(Ok(default), |s| s.parse());
    let (scripts, frames) = (number(0, 4)?, number(1, 128)?);
    let seeds = args.get(2).map_or("0-4", String::as_str);
    let (first, last) = seeds.split_once('-').unwrap_or((seeds, seeds));
    let (pairs_train, pairs_val) = (number(3, 64)?, number(4, 24)?);
    println!("seed   GT  oracle  script-mean  MeanSeq  Mime  Random  wrong-script | script told by face, voice, both: speakers; listeners");
    for seed in first.parse()?..=last.parse::<u64>()? {
        let world = World::new(&SynthConfig { pairs_train, pairs_val, frames, scripts, seed, ..SynthConfig::default() })?;
        let row = reactions(&world)?;
        let told: Vec<String> = [0, 1].into_iter().map(|who| told(&world, who)).collect::<Result<_, _>>()?;
        let cells: Vec<String> = row.iter().map(|x| format!("{x:6.2}")).collect();
        println!("{seed:4} {} | {}", cells.join(" "), told.join("; "));
    }
    Ok(())
}

/// FRCorr of ten reactions: GT, oracle, script mean, MeanSeq, Mime, Random, script mean of the next script; and FRCorr of the
/// script mean and MeanSeq on either half (reactions of listeners, reactions of speakers).
fn reactions(world: &World) -> Result<Vec<f64>, Box<dyn Error>> {
    let [train, _] = world.real(Split::Train);
    let [real, heard] = world.real(Split::Val);
    let (n, k) = (real.len_of(Axis(0)), 10);
    let (first, rows) = (world.config().pairs_train, world.dyads().len());
    let matrix = world.appropriate();
    let row = |i: usize| first + i % (n / 2) + rows * (i / (n / 2));
    let neighbours = Array2::from_shape_fn((n, n), |(i, j)| matrix[[row(i), row(j)]]);
    let neighbours = Neighbours::new(neighbours.view())?;
    let score = |prediction: Array4<f32>| -> Result<f64, Box<dyn Error>> {
        let scale = 10.0 / prediction.len_of(Axis(1)) as f64;
        let inputs = Inputs::new(prediction.view(), real.view(), Some(heard.view()), &neighbours)?;
        let scores = react_metrics::score(&inputs, &react_metrics::Options::default(), &|_| ());
        Ok(scale * scores.published.fr_corr)
    };
    let mean = MeanReaction::new(train.outer_iter())?;
    let baselines = Baselines { samples: 1, seed: 1, mean: Some(&mean) };
    let naive = |baseline| -> Result<f64, Box<dyn Error>> { score(baselines.stack(baseline, real.view(), Some(heard.view()))?) };
    let means = script_means(world, train.view());
    let scripts: Vec<usize> = world.split(Split::Val).map(|dyad| dyad.script).collect();
    let told = |shift: usize| -> Array4<f32> {
        let mut out = Array4::zeros((n, 1, world.config().frames, 25));
        for (i, mut item) in out.outer_iter_mut().enumerate() {
            let script = (scripts[i % (n / 2)] + shift) % world.config().scripts;
            item.index_axis_mut(Axis(0), 0).assign(&means[i / (n / 2)][script]);
        }
        out
    };
    Ok(vec![
        naive(Baseline::GroundTruth)?,
        score(world.oracle(Split::Val, k).attributes)?,
        score(told(0))?,
        naive(Baseline::MeanSequence)?,
        naive(Baseline::Mime)?,
        naive(Baseline::Random)?,
        score(told(1))?,
    ])
}

/// The mean training reaction to each script, of listeners and of speakers.
fn script_means(world: &World, train: ArrayView3<'_, f32>) -> [Vec<Array2<f32>>; 2] {
    let n = train.len_of(Axis(0)) / 2;
    let scripts: Vec<usize> = world.split(Split::Train).map(|dyad| dyad.script).collect();
    [0, 1].map(|half| {
        (0..world.config().scripts)
            .map(|script| {
                let items: Vec<usize> = (0..n).filter(|i| scripts[*i] == script).map(|i| i + half * n).collect();
                train.select(Axis(0), &items).mean_axis(Axis(0)).unwrap_or_else(|| Array2::zeros((world.config().frames, 25)))
            })
            .collect()
    })
}

/// Share of validation clips of the speakers (0) or listeners (1) whose script a linear classifier tells from the means and
/// standard deviations over frames: of the coefficients, of the sound's features, of both.
fn told(world: &World, who: usize) -> Result<String, Box<dyn Error>> {
    let bags = |split| -> Result<(Array2<f32>, Array2<f32>, Vec<usize>), Box<dyn Error>> {
        let dyads: Vec<_> = world.split(split).collect();
        let frames = world.config().frames;
        let rows: Vec<(Array1<f32>, Array1<f32>)> = dyads
            .par_iter()
            .map(|dyad| {
                let sound = react_data::mfcc_per_frame(&world.sound(dyad, who), RATE, frames, FPS).map_err(|e| e.to_string())?;
                Ok((bag(&world.coeffs(dyad, who)), bag(&sound)))
            })
            .collect::<Result<_, String>>()?;
        let stack = |pick: fn(&(Array1<f32>, Array1<f32>)) -> &Array1<f32>| {
            let views: Vec<_> = rows.iter().map(|row| pick(row).view().insert_axis(Axis(0))).collect();
            concatenate(Axis(0), &views)
        };
        Ok((stack(|row| &row.0)?, stack(|row| &row.1)?, dyads.iter().map(|dyad| dyad.script).collect()))
    };
    let (face, voice, scripts) = bags(Split::Train)?;
    let (face_val, voice_val, scripts_val) = bags(Split::Val)?;
    let both = concatenate(Axis(1), &[face.view(), voice.view()])?;
    let both_val = concatenate(Axis(1), &[face_val.view(), voice_val.view()])?;
    let count = world.config().scripts;
    let one = |x: &Array2<f32>, y: &Array2<f32>| format!("{:.2}", classify(x, &scripts, y, &scripts_val, count));
    Ok(format!("{} {} {}", one(&face, &face_val), one(&voice, &voice_val), one(&both, &both_val)))
}

fn bag(frames: &Array2<f32>) -> Array1<f32> {
    let mean = frames.mean_axis(Axis(0)).unwrap_or_default();
    concatenate![Axis(0), mean, frames.std_axis(Axis(0), 0.0)]
}

/// Multinomial logistic regression with weight decay on standardised features; the share told right.
fn classify(x: &Array2<f32>, labels: &[usize], y: &Array2<f32>, truth: &[usize], count: usize) -> f64 {
    let (mean, sd) = (x.mean_axis(Axis(0)).unwrap_or_default(), x.std_axis(Axis(0), 0.0).mapv(|s| s.max(1e-4)));
    let scale = |a: &Array2<f32>| ((a - &mean) / &sd).mapv(|v| v.clamp(-4.0, 4.0));
    let (x, y) = (scale(x), scale(y));
    let mut weights = Array2::<f32>::zeros((x.ncols() + 1, count));
    let bias = |a: &Array2<f32>| concatenate![Axis(1), *a, Array2::ones((a.nrows(), 1))];
    let (x, y) = (bias(&x), bias(&y));
    for _ in 0..400 {
        let mut p = x.dot(&weights);
        for (mut row, label) in p.outer_iter_mut().zip(labels) {
            let top = row.fold(f32::MIN, |a, b| a.max(*b));
            row.mapv_inplace(|v| (v - top).exp());
            let sum = row.sum();
            row /= sum;
            row[*label] -= 1.0;
        }
        let gradient = x.t().dot(&p) / x.nrows() as f32 + &(&weights * 0.02);
        weights.scaled_add(-0.05, &gradient);
    }
    let logits = y.dot(&weights);
    let right = logits.outer_iter().zip(truth).filter(|(row, label)| (0..count).all(|c| row[c] <= row[**label])).count();
    right as f64 / truth.len() as f64
}
