//! What the program itself does on a card: the same losses as the processor, the same twice, and batches in time.

use super::rows::Row;
use super::{Bench, STEP};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Steps of the compared trainings.
const STEPS: u64 = 200;
/// Most relative distance of their last losses.
const NEAR: f64 = 0.01;

/// Where files lie in memory.
const MEMORY: &str = "/dev/shm";

/// The room there.
fn memory_mb() -> u64 {
    let room = std::process::Command::new("df").args(["-Pm", MEMORY]).output();
    let text = room.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or(0)
}

/// A folder that goes when it is dropped.
struct Folder(PathBuf);

impl Folder {
    /// In memory where there is room for so many megabytes: no disk is measured.
    fn new(name: &str, megabytes: u64) -> Result<Self> {
        let parent = if memory_mb() > megabytes { PathBuf::from(MEMORY) } else { std::env::temp_dir() };
        let path = parent.join(format!("react-bench-cuda-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn at(&self, name: &str) -> Result<String> {
        Ok(self.0.join(name).to_str().context("a path that is no text")?.to_owned())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Bench {
    /// Runs the program in a folder; whether it went well.
    fn program(&mut self, what: &str, folder: &Folder, args: &[&str], seconds: u64) -> Option<String> {
        println!("-- {what}");
        let mut command = self.programs.program(args);
        // Two processes may time cuDNN's algorithms otherwise, and their last digits would differ.
        command.current_dir(&folder.0).env("REACT_CUDNN", "heuristics");
        match super::programs::output_within(command, self.limit(seconds)) {
            Ok(text) => Some(text),
            Err(error) => {
                println!("   {error:#}");
                self.failures.push(format!("{what}: {error:#}"));
                None
            }
        }
    }

    /// A synthetic corpus, packed.
    fn corpus(&mut self, folder: &Folder, pairs: &str, frames: &str, size: &str, crop: &str) -> Result<Option<String>> {
        let (corpus, packed) = (folder.at("corpus")?, folder.at("packed")?);
        let made = self.program("a corpus", folder, &["synth", "--pairs", pairs, "--frames", frames, "--size", size, "--out", &corpus], 60);
        let pack = ["prepare", "--corpus", "synthetic", "--root", &corpus, "--out", &packed, "--shorter", size, "--crop", crop];
        let packing = made.and_then(|_| self.program("packing it", folder, &pack, 60));
        Ok(packing.map(|_| packed))
    }

    /// 200 steps on the processor and on the card.
    pub(super) fn training(&mut self) -> Result<()> {
        let folder = Folder::new("training", 200)?;
        let packed = self.corpus(&folder, "8", "96", "64", "48")?;
        let card = self.programs.device().to_owned();
        let runs =
            [("cpu", "cpu", "f32"), ("f32", card.as_str(), "f32"), ("tf32", card.as_str(), "tf32"), ("again", card.as_str(), "tf32")];
        let mut curves = Vec::new();
        for (name, device, precision) in runs {
            let records = match &packed {
                None => None,
                Some(packed) => {
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
                    let made = self.program(&format!("{STEPS} steps, {name}"), &folder, &args, 90);
                    made.and_then(|_| std::fs::read(folder.0.join("runs").join(name).join("metrics.jsonl")).ok())
                }
            };
            curves.push(records);
        }
        let last = |records: &Option<Vec<u8>>| losses(records.as_ref()?).last().copied();
        let want = last(&curves[0]);
        for (curve, name) in [(&curves[1], "f32"), (&curves[2], "tf32")] {
            let distance = last(curve).zip(want).map(|(found, want)| (found - want).abs() / want.abs());
            let row = Row::new(
                &format!("training of {STEPS} steps, {name}: the last loss's distance from the processor's"),
                distance,
                "relative",
            );
            self.rows.add(row.at_most(Some(NEAR)));
        }
        let same = curves[2].as_ref().zip(curves[3].as_ref()).map(|(a, b)| a == b);
        self.rows.add(Row::holds("the same seed twice: the same losses and norms to the bit", "the same", same));
        Ok(())
    }

    /// Training from a packed corpus beside a step on batches that are there already.
    pub(super) fn loader(&mut self, step: Option<f64>) -> Result<()> {
        let folder = Folder::new("loader", 4000)?;
        let packed = self.corpus(&folder, "27", "272", "256", "224")?;
        let mut found = None;
        if let Some(packed) = packed {
            let sets = [
                "name=loader".to_owned(),
                format!("corpus.packed={packed}"),
                // 21 training pairs, mirrored: eleven batches between two checkpoints.
                "train.epochs=10".to_owned(),
                format!("train.batch={}", STEP[0]),
                format!("train.clip_frames={}", STEP[1]),
                "train.validate_every=1000".to_owned(),
                "evaluate.frames=64".to_owned(),
            ];
            let device = self.programs.device().to_owned();
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let args: Vec<&str> = ["--config", "offline", "train", "--device", &device].into_iter().chain(sets).collect();
            found = self.program("training from a packed corpus", &folder, &args, 90).and_then(|text| step_ms(&text));
        }
        let rate = |ms: f64| 1e3 / ms;
        let row = Row::new("training from a warm npy store, B=4, T=256, 224², beside batches that are there", found.map(rate), "steps/s");
        self.rows.add(row.at_least_share(step.map(|seconds| rate(seconds * 1e3)), 0.9));
        Ok(())
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
