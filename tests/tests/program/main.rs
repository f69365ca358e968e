//! The program as its user meets it: commands, exit codes, files and messages.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod convert;
mod corpora;
mod eri;
mod errors;
mod frozen;
mod pipeline;
mod plots;
mod real_input;
mod render;
mod resume;
mod scorer;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program in a folder.
fn react_train(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_react-train-under-test")).current_dir(folder).args(args).output().unwrap()
}

/// Runs it and wants success; returns what it printed.
fn succeeds(folder: &Path, args: &[&str]) -> (String, String) {
    let output = react_train(folder, args);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{args:?} failed: {}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

/// Runs it and wants one sentence at the end of standard error (after what was done until then) and exit code 1.
fn fails(folder: &Path, args: &[&str]) -> String {
    let output = react_train(folder, args);
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {log}");
    assert!(!log.contains("panicked") && !log.contains("defect"), "{args:?}: {log}");
    let errors: Vec<&str> = log.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{args:?}: {log}");
    errors[0].to_owned()
}

/// The arguments that make a preset tiny: seconds from an empty folder to a report, in a test build.
const TINY: [&str; 15] = [
    "corpus.synthetic.pairs_train=4",
    "corpus.synthetic.pairs_val=2",
    "corpus.synthetic.frames=32",
    "corpus.synthetic.size=32",
    "frames.shorter=32",
    "frames.crop=32",
    "model.width=16",
    "train.epochs=4",
    "train.batch=4",
    "train.clip_frames=24",
    "train.validate_every=2",
    "train.warmup_steps=2",
    "evaluate.samples=3",
    "seed=3",
    "name=tiny",
];

fn tiny<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let set = TINY.iter().chain(more).flat_map(|key| ["--set", *key]);
    command.iter().copied().chain(set).collect()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
