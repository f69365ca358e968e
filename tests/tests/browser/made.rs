//! Runs whose reports are looked at: trained for a moment, on a tiny synthetic corpus.

use std::path::{Path, PathBuf};
use std::process::Command;

const TINY: [&str; 14] = [
    "corpus.synthetic.pairs_train=4",
    "corpus.synthetic.pairs_val=2",
    "corpus.synthetic.frames=50",
    "corpus.synthetic.size=64",
    "frames.shorter=32",
    "frames.crop=32",
    "model.width=16",
    "train.batch=4",
    "train.clip_frames=24",
    "train.validate_every=2",
    "train.warmup_steps=2",
    "evaluate.samples=3",
    "seed=3",
    "train.learning_rate=0.001",
];

fn react_train(folder: &Path, args: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_react-train-under-test")).current_dir(folder).args(args).output().unwrap();
    assert!(output.status.success(), "{args:?} failed: {}", String::from_utf8_lossy(&output.stderr));
}

fn train(folder: &Path, name: &str, epochs: u32) -> PathBuf {
    let own = [format!("name={name}"), format!("train.epochs={epochs}")];
    let set = TINY.iter().copied().chain(own.iter().map(String::as_str)).flat_map(|key| ["--set", key]);
    react_train(folder, &set.collect::<Vec<_>>());
    folder.join("runs").join(name)
}

/// A run with its report.
pub(crate) fn run(folder: &Path) -> PathBuf {
    train(folder, "first", 4)
}

/// The page that compares it with another one.
pub(crate) fn comparison(folder: &Path) -> PathBuf {
    train(folder, "second", 2);
    react_train(folder, &["report", "runs/first", "runs/second"]);
    folder.join("runs/compare-first-second.html")
}
