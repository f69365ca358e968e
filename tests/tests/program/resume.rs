//! A training that is killed and started again ends with the bytes of an undisturbed one.

use crate::{succeeds, tiny};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn a_killed_training_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let long = "train.epochs=12";
    succeeds(folder.path(), &tiny(&[], &[long]));
    let read = |run: &str, file: &str| std::fs::read(folder.path().join("runs").join(run).join(file)).unwrap();
    let records = |run: &str| String::from_utf8(read(run, "metrics.jsonl")).unwrap();

    let train = tiny(&["train"], &[long, "name=cut"]);
    let mut training = Command::new(env!("CARGO_BIN_EXE_react-train-under-test"));
    let mut training = training.current_dir(folder.path()).args(&train).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoint = folder.path().join("runs/cut/last.safetensors");
    while !checkpoint.exists() {
        assert!(training.try_wait().unwrap().is_none(), "the training ended without a checkpoint");
        std::thread::sleep(Duration::from_millis(1));
    }
    training.kill().unwrap();
    training.wait().unwrap();
    let left = records("cut").lines().count();
    assert!(left > 0 && left < records("tiny").lines().count(), "killed in the middle, with {left} records");

    succeeds(folder.path(), &train);
    assert_eq!(records("cut"), records("tiny"));
    for file in ["last.safetensors", "best.safetensors"] {
        assert!(read("cut", file) == read("tiny", file), "{file} differs");
    }
}
