//! Every check and measurement of the CUDA path in one command: `cargo xtask bench cuda`, at most eight minutes on a machine with a
//! card. Its table goes into docs/performance.md, all of it as JSON into bench-cuda.json.
//!
//! - `--build=DIR` only builds what it needs, on any machine with nvcc, and puts it into DIR: programs, fixtures, peers.
//! - `--prebuilt=DIR` measures with what lies there; that machine needs no Rust: `DIR/xtask bench cuda --prebuilt=DIR`.
//! - `--json=FILE`, `--device=N`; `--only=NAME,…` runs some of the groups vectors, training, peak, offline, times, stream, evaluate,
//!   online, large, loader.
//!
//! REACT_PYTHON names a Python with torch for the peers; without one their columns stay empty. Each measurement is a process of its own with
//! a time limit: one that fails loses its own rows.

mod floor;
mod programs;
mod rows;
mod training;

use super::model::write_between;
use crate::run;
use anyhow::{Context, Result};
use programs::Programs;
use rows::{Row, Rows};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The whole command's time.
const LIMIT: Duration = Duration::from_secs(480);

/// Kernels that the words below the table name.
const LONGEST: usize = 12;

/// How many times as far from the reference vectors as PyTorch's a gradient below f32 may be: they are one draw of rounding each.
const AS_PYTORCH: f64 = 1.5;

/// Clips, frames and pixels of the published step.
const STEP: [&str; 3] = ["4", "256", "224"];

/// What was asked for.
struct Flags {
    build: Option<PathBuf>,
    prebuilt: Option<PathBuf>,
    json: PathBuf,
    device: String,
    only: Option<Vec<String>>,
}

impl Flags {
    fn of(words: &[String]) -> Result<Self> {
        let mut flags =
            Self { build: None, prebuilt: None, json: PathBuf::from("bench-cuda.json"), device: "cuda:0".to_owned(), only: None };
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("--build", folder) if !folder.is_empty() => flags.build = Some(std::path::absolute(folder)?),
                ("--prebuilt", folder) if !folder.is_empty() => flags.prebuilt = Some(std::path::absolute(folder)?),
                ("--json", file) if !file.is_empty() => flags.json = PathBuf::from(file),
                ("--device", number) if !number.is_empty() => flags.device = format!("cuda:{number}"),
                ("--only", names) if !names.is_empty() => flags.only = Some(names.split(',').map(str::to_owned).collect()),
                ("--quick", "") => {}
                _ => anyhow::bail!("bench cuda knows --build=DIR, --prebuilt=DIR, --json=FILE, --device=N and --only=NAMES, not {word}"),
            }
        }
        Ok(flags)
    }

    fn wants(&self, group: &str) -> bool {
        self.only.as_ref().is_none_or(|names| names.iter().any(|name| name == group))
    }
}

pub(crate) fn run(words: &[String]) -> Result<()> {
    let flags = Flags::of(words)?;
    if let Some(folder) = &flags.build {
        return programs::build_into(folder);
    }
    if flags.prebuilt.is_none() && !programs::card_is_there() {
        println!("No NVIDIA card is here, so nothing was measured: --build=DIR builds what a machine with one needs.");
        return Ok(());
    }
    let programs = Programs::find(flags.prebuilt.as_deref(), &flags.device)?;
    let mut bench = Bench { until: Instant::now() + LIMIT, programs, rows: Rows::default(), failures: Vec::new(), times: Vec::new() };
    let Some(card) = bench.ours("the card", &["device"], 60).into_iter().next() else {
        println!("No CUDA card can be used here, so nothing was measured: {}", bench.failures.join("; "));
        return Ok(());
    };
    bench.all(&flags)?;
    let about = bench.about(&card);
    let table = format!("{about}\n\n{}{}", bench.rows.table(), bench.words());
    println!("{table}");
    write_json(&flags.json, &bench, &card)?;
    if flags.only.is_none() && run::root().join("docs/performance.md").is_file() { write_between("cuda", &table) } else { Ok(()) }
}

/// All rows, and what they were measured on.
fn write_json(path: &std::path::Path, bench: &Bench, card: &Value) -> Result<()> {
    let all = serde_json::json!({ "card": card, "date": programs::date(), "rows": bench.rows.json(), "failures": bench.failures, "kernels": bench.times });
    std::fs::write(path, serde_json::to_string_pretty(&all)? + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

struct Bench {
    programs: Programs,
    rows: Rows,
    /// What went wrong, for the words below the table.
    failures: Vec<String>,
    /// What each kernel of a step takes, longest first.
    times: Vec<Value>,
    until: Instant,
}

impl Bench {
    /// The time that a measurement may take: its own limit, or what is left.
    fn limit(&self, seconds: u64) -> Duration {
        Duration::from_secs(seconds).min(self.until.saturating_duration_since(Instant::now()))
    }

    /// JSON lines of a process; where it failed those that came before, with a word.
    fn lines(&mut self, what: &str, command: std::process::Command, seconds: u64) -> Vec<Value> {
        println!("-- {what}");
        let began = Instant::now();
        let (lines, ended) = programs::lines_within(command, self.limit(seconds));
        match ended {
            Ok(()) => println!("   {:.1} s", began.elapsed().as_secs_f64()),
            Err(error) => {
                println!("   {error:#}");
                self.failures.push(format!("{what}: {error:#}"));
            }
        }
        lines
    }

    /// A case of the example `measure` on the card.
    fn ours(&mut self, what: &str, args: &[&str], seconds: u64) -> Vec<Value> {
        let command = self.programs.measure(args);
        self.lines(what, command, seconds)
    }

    /// A case of the peer's; none without torch.
    fn peer(&mut self, what: &str, args: &[&str], seconds: u64) -> Option<Value> {
        let command = self.programs.peer(args)?;
        self.lines(what, command, seconds).into_iter().next()
    }

    fn all(&mut self, flags: &Flags) -> Result<()> {
        if flags.wants("vectors") {
            self.vectors();
        }
        if flags.wants("training") {
            self.training()?;
        }
        let peak = if flags.wants("peak") || flags.wants("offline") { self.peak() } else { floor::Peak::default() };
        let mut step = None;
        if flags.wants("offline") || flags.wants("loader") {
            step = self.offline(&peak, flags.wants("offline"));
        }
        if flags.wants("times") {
            self.times = self.ours("its kernels, one by one", &["times", STEP[0], STEP[1], STEP[2]], 45);
        }
        if flags.wants("stream") {
            self.stream();
        }
        if flags.wants("evaluate") {
            self.against("evaluation offline, 10 samples, T=750, 224²", &["evaluate", "750", "224", "10"], &[("eager", 15.0)], 60);
        }
        if flags.wants("online") {
            self.against("training step online, window 16, B=1, T=256, 224²", &["online", "1", "256", "224", "16"], &[("eager", 3.0)], 75);
        }
        if flags.wants("large") {
            self.large();
        }
        if flags.wants("loader") {
            self.loader(step)?;
        }
        Ok(())
    }

    /// The reference vectors, by the tests of react-model.
    fn vectors(&mut self) {
        let peers = self.programs.peer_vectors().map(|command| self.lines("reference vectors: PyTorch", command, 60)).unwrap_or_default();
        for (precision, asked) in [("f32", Some(1e-3)), ("tf32", None), ("bf16", Some(2e-2))] {
            let (name, before) = (format!("reference vectors, {precision}"), self.failures.len());
            let command = self.programs.vectors(precision);
            for line in self.lines(&name, command, 60) {
                let what = line["vectors"].as_str().unwrap_or_default();
                let row = Row::new(&format!("{name}: {what}"), line["worst"].as_f64(), "largest distance");
                // Below f32 a gradient has no limit of its own that anybody's could keep: it stands beside PyTorch's.
                let low = what.starts_with("gradients") && precision != "f32";
                let theirs = peers.iter().find(|peer| peer["vectors"] == what && peer["precision"] == precision);
                self.rows.add(if low { row.above(number(theirs, "worst"), Some(AS_PYTORCH)) } else { row.at_most(asked) });
            }
            // A failed test says nothing of how far it was off.
            if self.failures.len() > before {
                self.rows.add(Row::new(&format!("{name}: all of them"), None, "largest distance").at_most(asked).failed());
            }
        }
    }

    fn peak(&mut self) -> floor::Peak {
        let peak = floor::Peak::of(&self.ours("rates of the card", &["peak"], 60));
        for (name, value, unit) in peak.rows() {
            self.rows.add(Row::new(&name, value, unit));
        }
        peak
    }

    /// The published step, in both precisions; returns the seconds of the usual one.
    fn offline(&mut self, peak: &floor::Peak, with_peers: bool) -> Option<f64> {
        let args = ["offline", STEP[0], STEP[1], STEP[2]];
        let name = "training step offline, B=4, T=256, 224²";
        let mut steps = Vec::new();
        for precision in ["tf32", "bf16"] {
            let args = [&args[..], &["--precision", precision]].concat();
            steps.push((precision, self.ours(&format!("{name}, {precision}"), &args, 60).into_iter().next()));
        }
        let usual = steps[0].1.as_ref().and_then(|line| line["seconds"].as_f64());
        if !with_peers {
            return usual;
        }
        let peers = ["eager", "best", "amp"]
            .map(|settings| (settings, self.peer(&format!("{name}: PyTorch {settings}"), &[&args[..], &[settings]].concat(), 60)));
        for (precision, line) in &steps {
            let (seconds, peak_mb) = (number(line.as_ref(), "seconds"), number(line.as_ref(), "peak_mb"));
            for (settings, peer) in &peers {
                // What is asked is asked of the usual precision; against autocast stands bf16.
                let asked = match (*precision, *settings) {
                    ("tf32", "eager") => Some(3.0),
                    ("tf32", "best") => Some(1.5),
                    ("bf16", "amp" | "best") => None,
                    _ => continue,
                };
                let theirs = number(peer.as_ref(), "seconds");
                self.rows
                    .add(Row::new(&format!("{name}, {precision}, beside PyTorch {settings}"), ms(seconds), "ms").faster(ms(theirs), asked));
                if *settings != "amp" && *precision == "tf32" {
                    let theirs = number(peer.as_ref(), "peak_mb");
                    self.rows.add(Row::new(&format!("its peak memory beside PyTorch {settings}"), peak_mb, "MB").above(theirs, Some(0.5)));
                }
            }
            let (floor, asked) = (peak.step(precision, [4, 256, 224]), (*precision == "tf32").then_some(2.5));
            self.rows.add(Row::new(&format!("{name}, {precision}, beside its floor"), ms(seconds), "ms").above(ms(floor), asked));
        }
        usual
    }

    /// A case beside PyTorch with some settings, and how many times faster is asked for.
    fn against(&mut self, name: &str, args: &[&str], settings: &[(&str, f64)], seconds: u64) {
        let line = self.ours(name, args, seconds).into_iter().next();
        for (settings, asked) in settings {
            let peer = self.peer(&format!("{name}: PyTorch {settings}"), &[args, &[settings]].concat(), 120);
            let theirs = number(peer.as_ref(), "seconds");
            let row = Row::new(&format!("{name}, beside PyTorch {settings}"), ms(number(line.as_ref(), "seconds")), "ms");
            self.rows.add(row.faster(ms(theirs), Some(*asked)));
        }
    }

    fn stream(&mut self) {
        let line = self.ours("streaming, window 8, 224²", &["stream", "224", "8", "5"], 60).into_iter().next();
        self.rows.add(
            Row::new("streaming, window 8, 224²: p99 of a window, there and back", number(line.as_ref(), "p99_ms"), "ms")
                .at_most(Some(1.5)),
        );
        self.rows.add(Row::new("the same: median", number(line.as_ref(), "p50_ms"), "ms"));
    }

    fn large(&mut self) {
        let line = self.ours("a batch of 32", &["offline", "32", STEP[1], STEP[2]], 60).into_iter().next();
        let row = Row::new("training step offline, B=32, T=256, 224², tf32", ms(number(line.as_ref(), "seconds")), "ms");
        self.rows.add(if line.is_some() { row.fits() } else { row.failed() });
        self.rows.add(Row::new("its peak memory", number(line.as_ref(), "peak_mb"), "MB"));
    }

    fn about(&mut self, card: &Value) -> String {
        let mut text = format!("{} on {}, {}.", programs::date(), text_of(card, "device"), text_of(card, "driver"));
        match self.peer("PyTorch's version", &["device"], 60) {
            Some(peer) => text += &format!(" The peer is PyTorch {} with cuDNN {}.", text_of(&peer, "torch"), peer["cudnn"]),
            None => text += " The peer, PyTorch, was not run.",
        }
        text
    }

    fn words(&self) -> String {
        let mut text = String::new();
        if !self.times.is_empty() {
            let longest =
                self.times.iter().take(LONGEST).map(|line| {
                    format!("{} {:.2} ms ({}×)", text_of(line, "kernel"), line["ms"].as_f64().unwrap_or_default(), line["runs"])
                });
            text += &format!("\nThe offline step's longest kernels, each timed alone: {}.\n", longest.collect::<Vec<_>>().join(", "));
        }
        if !self.failures.is_empty() {
            text += "\nWhat failed:\n\n";
            text.extend(self.failures.iter().map(|failure| format!("- {failure}\n")));
        }
        text
    }
}

fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or("unknown").to_owned()
}

fn number(line: Option<&Value>, key: &str) -> Option<f64> {
    line?[key].as_f64()
}

fn ms(seconds: Option<f64>) -> Option<f64> {
    seconds.map(|seconds| seconds * 1e3)
}
