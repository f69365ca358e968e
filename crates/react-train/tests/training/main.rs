//! Training: what is resumed, refused, kept and written. The corpus is tests/fixtures/golden/packed: 3 dyads to train on and 1 to
//! validate on, of 16 frames of 16×16 pixels.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod events;
mod golden;
mod kept;
mod not_finite;
mod resume;

use react_train::train::{Stop, Trained, train};
use react_train::{Config, Record, Run};
use std::path::{Path, PathBuf};

/// What makes a preset small, with everything that has a state: warm-up, schedule, accumulation with a rest, average, clipping.
const SMALL: [&str; 14] = [
    "seed=11",
    "frames.shorter=16",
    "frames.crop=16",
    "model.width=8",
    "model.window=4",
    "evaluate.window=3",
    "train.batch=2",
    "train.accumulate=2",
    "train.clip_frames=10",
    "train.epochs=12",
    "train.validate_every=3",
    "train.warmup_steps=3",
    "train.ema=0.9",
    "train.div_p=10",
];

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/golden")
}

fn small(preset: &str, packed: &Path, more: &[&str]) -> Config {
    let mut set: Vec<String> = SMALL.iter().chain(more).map(|key| (*key).to_owned()).collect();
    set.push(format!("corpus.packed={}", packed.display()));
    Config::load(preset, &set).unwrap()
}

/// The golden corpus.
fn packed() -> PathBuf {
    golden_folder().join("packed")
}

fn run_to(config: &Config, folder: &Path, stop: &Stop) -> (Run, Trained) {
    let run = Run::at(folder).unwrap();
    let trained = train(config, &run, stop).unwrap();
    (run, trained)
}

/// Every file of a run that has no times in it.
fn files(run: &Run) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(run.folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| !entry.file_name().to_str().unwrap().contains("tfevents"))
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn steps(records: &[Record]) -> usize {
    records.iter().filter(|record| matches!(record, Record::Step { .. })).count()
}
