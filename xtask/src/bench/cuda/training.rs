//! What the program itself does on a card: the same losses as the processor, the same twice, and batches in time.

use super::programs::{DEVICE, output_within};
use super::rows::Row;
use super::{Bench, STEP};
use anyhow::Result;
use std::path::PathBuf;

/// Steps of the compared trainings.
const STEPS: u64 = 200;
/// Most relative distance of their last losses.
const NEAR: f64 = 0.01;

/// Pairs of the loader's corpus, of 256 frames of 256²: 60 of them train, mirrored, so that 30 steps lie between two checkpoints. While
/// one is written the loader's buffers fill, with five batches at most, and steps that only empty them say nothing of it.
const LOADER_PAIRS: &str = "80";
/// What they take, as videos and packed.
const LOADER_MB: u64 = 7000;

/// Where files lie in memory.
const MEMORY: &str = "/dev/shm";

/// The room there.
fn memory_mb() -> u64 {
    let room = std::process::Command::new("df").args(["-Pm", MEMORY]).output();
    let text = room.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(0)
}

/// Before the number of the process, in the names of its folders.
const PREFIX: &str = "react-bench-cuda-";

/// Removes the folders of benches that were stopped: they may be gigabytes of memory.
fn forget_the_stopped() {
    for parent in [PathBuf::from(MEMORY), std::env::temp_dir()] {
        for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let process = name.strip_prefix(PREFIX).and_then(|rest| rest.rsplit('-').next());
            if process.is_some_and(|process| !PathBuf::from("/proc").join(process).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    /// In memory where there is room for so many megabytes: no disk is measured.
    fn new(name: &str, megabytes: u64) -> Result<Self> {
        forget_the_stopped();
        let parent = if memory_mb() > megabytes { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        let path = parent.join(format!("{PREFIX}{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A training of 200 steps.
struct Run {
    name: &'static str,
    device: &'static str,
    precision: &'static str,
    /// Whether cuDNN's algorithms are timed, as usual: two processes may then choose otherwise, and their last digits differ.
    timed: bool,
}

const fn on_card(name: &'static str, precision: &'static str, timed: bool) -> Run {
    Run { name, device: DEVICE, precision, timed }
}

/// The processor's, and those that stand beside it or each other.
const RUNS: [Run; 6] = [
    Run { name: "cpu", device: "cpu", precision: "f32", timed: false },
    on_card("f32", "f32", false),
    on_card("tf32", "tf32", false),
    on_card("bf16", "bf16", false),
    on_card("again", "tf32", false),
    on_card("timed", "tf32", true),
];

impl Bench {
    /// Runs the program in a folder; what it prints if it went well.
    fn program(&mut self, what: &str, folder: &Folder, args: &[&str], timed: bool, seconds: u64) -> Option<String> {
        println!("-- {what}");
        let mut command = self.programs.program(args);
        command.current_dir(&folder.0);
        if timed {
            command.env_remove("REACT_CUDNN")
        } else {
            command.env("REACT_CUDNN", "heuristics")
        };
        output_within(command, self.limit(seconds)).map_err(|error| self.failed(what, &error)).ok()
    }

    /// A synthetic corpus, packed.
    fn corpus(&mut self, folder: &Folder, pairs: &str, frames: &str, size: &str, crop: &str) -> Option<String> {
        let (corpus, packed) = (folder.at("corpus"), folder.at("packed"));
        let args = ["synth", "--pairs", pairs, "--frames", frames, "--size", size, "--out", &corpus];
        self.program("a corpus", folder, &args, true, 90)?;
        let args = ["prepare", "--corpus", "synthetic", "--root", &corpus, "--out", &packed, "--shorter", size, "--crop", crop];
        self.program("packing it", folder, &args, true, 90)?;
        Some(packed)
    }

    fn folder(&mut self, name: &str, megabytes: u64) -> Option<Folder> {
        Folder::new(name, megabytes).map_err(|error| self.failed(&format!("a folder for the {name}"), &error)).ok()
    }

    /// 200 steps on the processor and on the card.
    pub(super) fn training(&mut self) {
        let folder = self.folder("training", 200);
        let packed = folder.as_ref().and_then(|folder| self.corpus(folder, "8", "96", "64", "48"));
        let mut curves = Vec::new();
        for run in &RUNS {
            let place = folder.as_ref().zip(packed.as_ref());
            curves.push(place.and_then(|(folder, packed)| self.records(run, folder, packed)));
        }
        let of = |name: &str| RUNS.iter().zip(&curves).find(|(run, _)| run.name == name)?.1.as_deref();
        let last = |name: &str| losses(of(name)?).last().copied();
        let distance = |name: &str, from: &str| last(name).zip(last(from)).map(|(found, want)| (found - want).abs() / want.abs());
        for precision in ["f32", "tf32", "bf16"] {
            let name = format!("training of {STEPS} steps, {precision}: the last loss's distance from the processor's");
            self.add(Row::new(&name, distance(precision, "cpu"), "relative").at_most(Some(NEAR)));
        }
        let same = of("tf32").zip(of("again")).map(|(a, b)| a == b);
        self.add(Row::holds("the same seed twice: the same losses and norms to the bit", "the same", same));
        let name = "the same with cuDNN's algorithms timed: the last loss's distance from that without";
        self.add(Row::new(name, distance("timed", "tf32"), "relative"));
    }

    /// What a training writes down of its steps.
    fn records(&mut self, run: &Run, folder: &Folder, packed: &str) -> Option<Vec<u8>> {
        let Run { name, device, precision, timed } = run;
        let sets = [
            format!("name={name}"),
            format!("corpus.packed={packed}"),
            // Six training pairs, mirrored: twelve items.
            format!("train.epochs={}", STEPS.div_ceil(3)),
            "train.batch=4".to_owned(),
            "train.clip_frames=64".to_owned(),
            "train.accumulate=1".to_owned(),
            "train.validate_every=1000".to_owned(),
            "frames.shorter=64".to_owned(),
            "frames.crop=48".to_owned(),
            "model.width=32".to_owned(),
            "evaluate.frames=64".to_owned(),
        ];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let args: Vec<&str> = ["train", "--device", device, "--precision", precision].into_iter().chain(sets).collect();
        self.program(&format!("{STEPS} steps, {name}"), folder, &args, *timed, 90)?;
        std::fs::read(folder.0.join("runs").join(name).join("metrics.jsonl")).ok()
    }

    /// Training from a packed corpus beside a step on batches that are there already.
    pub(super) fn loader(&mut self, step: Option<f64>) {
        let found = self.folder("loader", LOADER_MB).and_then(|folder| {
            let packed = self.corpus(&folder, LOADER_PAIRS, "256", "256", "224")?;
            let sets = [
                "name=loader".to_owned(),
                format!("corpus.packed={packed}"),
                "train.epochs=4".to_owned(),
                format!("train.batch={}", STEP[0]),
                format!("train.clip_frames={}", STEP[1]),
                "train.validate_every=1000".to_owned(),
                "evaluate.frames=64".to_owned(),
            ];
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let args: Vec<&str> = ["--config", "offline", "train", "--device", DEVICE].into_iter().chain(sets).collect();
            self.program("training from a packed corpus", &folder, &args, true, 90).and_then(|text| step_ms(&text))
        });
        let rate = |ms: f64| 1e3 / ms;
        let row = Row::new("training from a warm npy store, B=4, T=256, 224², beside batches that are there", found.map(rate), "steps/s");
        self.add(row.at_least_share(step.map(|seconds| rate(seconds * 1e3)), 0.9));
    }
}

/// The losses of all steps.
fn losses(records: &[u8]) -> Vec<f64> {
    let lines = std::str::from_utf8(records).unwrap_or_default().lines();
    let values = lines.filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    values.filter(|value| value["kind"] == "step").filter_map(|value| value["loss"].as_f64()).collect()
}

/// What the program says of its pace: "training   120 steps in 9 s, 61.250 ms a step: …".
fn step_ms(text: &str) -> Option<f64> {
    let (before, _) = text.split_once(" ms a step")?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_is_understood() {
        assert_eq!(step_ms("training   120 steps in 9 s, 61.250 ms a step: runs/x/best.safetensors"), Some(61.25));
        assert_eq!(step_ms("training   0 steps were made before"), None);
        let records = b"{\"kind\":\"step\",\"loss\":2.5}\n{\"kind\":\"validation\"}\n{\"kind\":\"step\",\"loss\":1.5}\n";
        assert_eq!(losses(records), [2.5, 1.5]);
    }
}
