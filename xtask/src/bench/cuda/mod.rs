//! Every check and measurement of the CUDA path in one command: `cargo xtask bench cuda`, at most eight minutes on a machine with a
//! card. Its table goes into docs/performance.md, all of it as JSON into bench-cuda.json.
//!
//! - `--build=DIR` only builds what it needs, on any machine with nvcc, and puts it into DIR: programs, fixtures, peers.
//! - `--prebuilt=DIR` measures with what lies there; that machine needs no Rust: `DIR/xtask bench cuda --prebuilt=DIR`.
//! - `--from=FILE` measures nothing: it puts the table of a bench-cuda.json from another machine into docs/performance.md.
//! - `--json=FILE`, `--device=N`; `--only=NAME,…` runs some of the groups peak, offline, online, stream, evaluate, large, loader, times,
//!   vectors, training.
//!
//! REACT_PYTHON names a Python with torch for the peers; without one their columns stay empty. Each measurement is a process of its own with
//! a time limit: one that fails loses its own rows. Rows are shown as they come, and bench-cuda.json is written after each group: who
//! stops it keeps what was measured.

mod floor;
mod programs;
mod rows;
mod training;

use super::model::write_between;
use crate::run;
use anyhow::Result;
use programs::Programs;
use rows::{Report, Row};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The whole command's time.
const LIMIT: Duration = Duration::from_secs(480);

/// What there is, in this order: where time runs short it is the last that is not known.
const GROUPS: [&str; 10] = ["peak", "offline", "online", "stream", "evaluate", "large", "loader", "times", "vectors", "training"];

/// How many times as far from the reference vectors as PyTorch's a gradient below f32 may be: they are one draw of rounding each.
const AS_PYTORCH: f64 = 1.5;

/// Clips, frames and pixels of the published step.
const STEP: [&str; 3] = ["4", "256", "224"];

/// What was asked for.
struct Flags {
    build: Option<PathBuf>,
    prebuilt: Option<PathBuf>,
    from: Option<PathBuf>,
    json: PathBuf,
    device: Option<String>,
    only: Option<Vec<String>>,
}

impl Flags {
    fn of(words: &[String]) -> Result<Self> {
        let json = PathBuf::from("bench-cuda.json");
        let mut flags = Self { build: None, prebuilt: None, from: None, json, device: None, only: None };
        for word in words {
            match word.split_once('=').unwrap_or((word, "")) {
                ("--build", folder) if !folder.is_empty() => flags.build = Some(std::path::absolute(folder)?),
                ("--prebuilt", folder) if !folder.is_empty() => flags.prebuilt = Some(std::path::absolute(folder)?),
                ("--from", file) if !file.is_empty() => flags.from = Some(PathBuf::from(file)),
                ("--json", file) if !file.is_empty() => flags.json = PathBuf::from(file),
                ("--device", number) if !number.is_empty() => flags.device = Some(number.to_owned()),
                ("--only", names) if !names.is_empty() => {
                    let names: Vec<String> = names.split(',').map(str::to_owned).collect();
                    let unknown = names.iter().find(|name| !GROUPS.contains(&name.as_str()));
                    anyhow::ensure!(unknown.is_none(), "--only knows {}, not {}", GROUPS.join(", "), unknown.map_or("", String::as_str));
                    flags.only = Some(names);
                }
                ("--quick", "") => {}
                _ => anyhow::bail!(
                    "bench cuda knows --build=DIR, --prebuilt=DIR, --from=FILE, --json=FILE, --device=N and --only=NAMES, not {word}"
                ),
            }
        }
        Ok(flags)
    }
}

pub(crate) fn run(words: &[String]) -> Result<()> {
    let flags = Flags::of(words)?;
    if let Some(folder) = &flags.build {
        return programs::build_into(folder);
    }
    if let Some(file) = &flags.from {
        let report = Report::read(file)?;
        anyhow::ensure!(report.groups == GROUPS, "{} is of {} alone, not of a whole bench", file.display(), report.groups.join(", "));
        return write_between("cuda", &report.table());
    }
    if flags.prebuilt.is_none() && !programs::card_is_there() {
        println!("No NVIDIA card is here, so nothing was measured: --build=DIR builds what a machine with one needs.");
        return Ok(());
    }
    let mut programs = Programs::find(flags.prebuilt.as_deref(), flags.device)?;
    // The build is not counted; starting Python is.
    let until = Instant::now() + LIMIT;
    programs.find_python()?;
    let mut bench = Bench { until, programs, json: flags.json, report: Report::default() };
    let Some(card) = bench.ours("the card", &["device"], 60).into_iter().next() else {
        println!("No CUDA card can be used here, so nothing was measured: {}", bench.report.failures.join("; "));
        return Ok(());
    };
    let peer = bench.peer("PyTorch's version", &["device"], 60);
    bench.report = Report::new(card, peer, std::mem::take(&mut bench.report.failures));
    bench.all(flags.only.as_deref())?;
    let table = bench.report.table();
    println!("\n{table}\nwritten to {}", bench.json.display());
    if flags.only.is_none() && run::root().join("docs/performance.md").is_file() { write_between("cuda", &table) } else { Ok(()) }
}

struct Bench {
    programs: Programs,
    report: Report,
    json: PathBuf,
    until: Instant,
}

impl Bench {
    /// The time that a measurement may take: its own limit, or what is left.
    fn limit(&self, seconds: u64) -> Duration {
        Duration::from_secs(seconds).min(self.until.saturating_duration_since(Instant::now()))
    }

    /// Whether the whole command's time is over: what fails then is not known.
    fn over(&self) -> bool {
        self.limit(1).is_zero()
    }

    /// Adds a row; one that was asked for, and has no number though there was time, is not met.
    fn add(&mut self, row: Row) {
        let row = if row.is_wanting() && !self.over() { row.failed() } else { row };
        self.report.push(row);
    }

    fn failed(&mut self, what: &str, error: &anyhow::Error) {
        println!("   {error:#}");
        self.report.failures.push(format!("{what}: {error:#}"));
    }

    /// JSON lines of a process; where it failed those that came before, with a word.
    fn lines(&mut self, what: &str, command: std::process::Command, seconds: u64) -> Vec<Value> {
        println!("-- {what}");
        let began = Instant::now();
        let (lines, ended) = programs::lines_within(command, self.limit(seconds));
        match ended {
            Ok(()) => println!("   {:.1} s", began.elapsed().as_secs_f64()),
            Err(error) => self.failed(what, &error),
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
        let line = self.lines(what, command, seconds).into_iter().next();
        let left_out = line.iter().flat_map(|line| line["left_out"].as_array()).flatten().filter_map(Value::as_str);
        self.report.failures.extend(left_out.map(|variant| format!("{what}: without the variant {variant}")));
        line
    }

    /// The groups that are wanted, in their order.
    fn all(&mut self, only: Option<&[String]>) -> Result<()> {
        let wanted = |name: &str| only.is_none_or(|names| names.iter().any(|only| only == name));
        let (mut peak, mut step) = (floor::Peak::default(), None);
        for name in GROUPS {
            // The step stands beside its floor, the loader beside the step.
            let needed = (name == "peak" && wanted("offline")) || (name == "offline" && wanted("loader"));
            if !wanted(name) && !needed {
                continue;
            }
            match name {
                "peak" => peak = self.peak(),
                "offline" => step = self.offline(&peak, wanted(name)),
                "online" => {
                    let args = ["online", "1", "256", "224", "16"];
                    self.against("training step online, window 16, B=1, T=256, 224²", &args, ("eager", 3.0), 75);
                }
                "stream" => self.stream(),
                "evaluate" => {
                    let args = ["evaluate", "750", "224", "10"];
                    self.against("evaluation offline, 10 samples, T=750, 224²", &args, ("eager", 15.0), 60);
                }
                "large" => self.large(),
                "loader" => self.loader(step),
                "times" => self.report.kernels = self.ours("its kernels, one by one", &["times", STEP[0], STEP[1], STEP[2]], 45),
                "vectors" => self.vectors(),
                _ => self.training(),
            }
            self.report.groups.push(name.to_owned());
            self.report.write(&self.json)?;
        }
        Ok(())
    }

    /// The reference vectors, by the tests of react-model.
    fn vectors(&mut self) {
        let peers = self.programs.peer_vectors().map(|command| self.lines("reference vectors: PyTorch", command, 60)).unwrap_or_default();
        for (precision, asked) in [("f32", Some(1e-3)), ("tf32", None), ("bf16", Some(2e-2))] {
            let (name, before) = (format!("reference vectors, {precision}"), self.report.failures.len());
            let command = self.programs.vectors(precision);
            for line in self.lines(&name, command, 60) {
                let what = line["vectors"].as_str().unwrap_or_default();
                let row = Row::new(&format!("{name}: {what}"), line["worst"].as_f64(), "largest distance");
                // Below f32 a gradient has no limit of its own that anybody's could keep: it stands beside PyTorch's.
                let low = what.starts_with("gradients") && precision != "f32";
                let theirs = peers.iter().find(|peer| peer["vectors"] == what && peer["precision"] == precision);
                self.add(if low { row.above(number(theirs, "worst"), Some(AS_PYTORCH)) } else { row.at_most(asked) });
            }
            // A failed test says nothing of how far it was off.
            if self.report.failures.len() > before {
                self.add(Row::holds(&format!("{name}: the tests"), "pass", None));
            }
        }
    }

    fn peak(&mut self) -> floor::Peak {
        let peak = floor::Peak::of(&self.ours("rates of the card", &["peak"], 60));
        for (name, value, unit) in peak.rows() {
            self.add(Row::new(&name, value, unit));
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
                self.add(Row::new(&format!("{name}, {precision}, beside PyTorch {settings}"), ms(seconds), "ms").faster(ms(theirs), asked));
                if *settings != "amp" && *precision == "tf32" {
                    let theirs = number(peer.as_ref(), "peak_mb");
                    self.add(Row::new(&format!("its peak memory beside PyTorch {settings}"), peak_mb, "MB").above(theirs, Some(0.5)));
                }
            }
            let same = line.as_ref().and_then(|line| line["deterministic"].as_bool());
            self.add(Row::holds(&format!("its convolutions give the same bits each time, {precision}"), "all of them", same));
            let (floor, asked) = (peak.step(precision, [4, 256, 224]), (*precision == "tf32").then_some(2.5));
            self.add(Row::new(&format!("{name}, {precision}, beside its floor"), ms(seconds), "ms").above(ms(floor), asked));
        }
        usual
    }

    /// A case beside PyTorch with some settings, and how many times faster is asked for.
    fn against(&mut self, name: &str, args: &[&str], (settings, asked): (&str, f64), seconds: u64) {
        let line = self.ours(name, args, seconds).into_iter().next();
        let peer = self.peer(&format!("{name}: PyTorch {settings}"), &[args, &[settings]].concat(), 120);
        let theirs = number(peer.as_ref(), "seconds");
        let row = Row::new(&format!("{name}, beside PyTorch {settings}"), ms(number(line.as_ref(), "seconds")), "ms");
        self.add(row.faster(ms(theirs), Some(asked)));
    }

    fn stream(&mut self) {
        let line = self.ours("streaming, window 8, 224²", &["stream", "224", "8", "5"], 60).into_iter().next();
        self.add(
            Row::new("streaming, window 8, 224²: p99 of a window, there and back", number(line.as_ref(), "p99_ms"), "ms")
                .at_most(Some(1.5)),
        );
        self.add(Row::new("the same: median", number(line.as_ref(), "p50_ms"), "ms"));
    }

    fn large(&mut self) {
        let line = self.ours("a batch of 32", &["offline", "32", STEP[1], STEP[2]], 60).into_iter().next();
        let row = Row::new("training step offline, B=32, T=256, 224², tf32", ms(number(line.as_ref(), "seconds")), "ms");
        self.add(row.fits(line.is_some().then_some(true)));
        self.add(Row::new("its peak memory", number(line.as_ref(), "peak_mb"), "MB"));
    }
}

fn number(line: Option<&Value>, key: &str) -> Option<f64> {
    line?[key].as_f64()
}

fn ms(seconds: Option<f64>) -> Option<f64> {
    seconds.map(|seconds| seconds * 1e3)
}
