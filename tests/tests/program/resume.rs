//! A training that is killed or interrupted, and started again, ends with the bytes of an undisturbed one.

use crate::{eri, succeeds, tiny};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A training that saves after every step.
const LONG: [&str; 2] = ["train.epochs=12", "train.save_every_steps=1"];

fn records(folder: &Path, run: &str) -> String {
    std::fs::read_to_string(folder.join("runs").join(run).join("metrics.jsonl")).unwrap_or_default()
}

/// The undisturbed training; and the arguments of one that is to be disturbed.
fn undisturbed(folder: &Path) -> Vec<&'static str> {
    succeeds(folder, &tiny(&[], &LONG));
    tiny(&["train"], &[&LONG[..], &["name=cut"]].concat())
}

/// Starts the training, and waits until a run is in the middle.
fn begin(folder: &Path, train: &[&str], run: &str) -> Child {
    let mut training = Command::new(env!("CARGO_BIN_EXE_react-train-under-test"));
    let mut training = training.current_dir(folder).args(train).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while !folder.join("runs").join(run).join("last.safetensors").exists() || records(folder, run).lines().count() < 3 {
        assert!(training.try_wait().unwrap().is_none(), "the training ended before it was in the middle");
        std::thread::sleep(Duration::from_millis(1));
    }
    training
}

fn goes_on_to_the_same(folder: &Path, train: &[&str]) {
    let left = records(folder, "cut").lines().count();
    assert!(left > 0 && left < records(folder, "tiny").lines().count(), "stopped in the middle, with {left} records");
    succeeds(folder, train);
    assert_eq!(records(folder, "cut"), records(folder, "tiny"));
    let read = |run: &str, file: &str| std::fs::read(folder.join("runs").join(run).join(file)).unwrap();
    for file in ["last.safetensors", "best.safetensors"] {
        assert!(read("cut", file) == read("tiny", file), "{file} differs");
    }
}

#[test]
fn a_killed_training_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let train = undisturbed(folder.path());
    let mut training = begin(folder.path(), &train, "cut");
    training.kill().unwrap();
    training.wait().unwrap();
    // What was lost is at most the step that was being made: the checkpoint has all others.
    let note = std::fs::read(folder.path().join("runs/cut/last.safetensors")).unwrap();
    let (_, header) = safetensors::SafeTensors::read_metadata(&note).unwrap();
    let note: serde_json::Value = serde_json::from_str(&header.metadata().as_ref().unwrap()["react"]).unwrap();
    let saved = note["optimizer_steps"].as_u64().unwrap();
    let written = records(folder.path(), "cut").lines().filter(|line| line.contains("learning_rate")).count() as u64;
    assert!(saved == written || saved + 1 == written, "{saved} of {written} steps are in the checkpoint");
    goes_on_to_the_same(folder.path(), &train);
}

/// Interrupts a training; the last thing that it said.
#[cfg(unix)]
fn interrupted(training: Child) -> String {
    let signal = Command::new("kill").args(["-INT", &training.id().to_string()]).status().unwrap();
    assert!(signal.success());
    let output = training.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{log}");
    let last = log.lines().last().unwrap();
    assert!(last.starts_with("stopped after ") && last.ends_with("the same command goes on from there"), "{log}");
    last.to_owned()
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_of_intensities_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let train = eri::tiny("eri-audio-small", &[], &["train.epochs=1000"]);
    let last = interrupted(begin(folder.path(), &train, "eri-audio-small/seed-0"));
    assert!(last.contains(" of 2000 steps"), "{last}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_saves_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let train = undisturbed(folder.path());
    let last = interrupted(begin(folder.path(), &train, "cut"));
    let steps = records(folder.path(), "cut").lines().filter(|line| line.contains("learning_rate")).count();
    assert!(last.contains(&format!("after {steps} of 24 steps")), "{last}");
    goes_on_to_the_same(folder.path(), &train);
}
