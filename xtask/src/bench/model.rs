//! Trans-VAE and its kernels beside PyTorch, in one run; its tables go into docs/performance.md.
//!
//! `--quick` leaves out the long cases (the full batch, the conversation) and writes nothing. REACT_PYTHON names a Python with torch;
//! without one the peer is left out, and the table says so.

use crate::run;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Threads of both sides.
const THREADS: usize = 2;
/// Turns that both sides take; the best of each counts.
const TURNS: usize = 2;

pub(crate) fn run(flags: &[String]) -> Result<()> {
    let quick = flags.iter().any(|flag| flag == "--quick");
    let bench = Bench { example: build("measure")?, python: python()? };
    // Fails where it does not reproduce the reference vectors.
    bench.peer(&["check"], THREADS, false)?;
    let mut out = String::new();
    bench.models(quick, &mut out)?;
    bench.kernels(&mut out)?;
    println!("{out}");
    if quick { Ok(()) } else { write_between("model", &out) }
}

/// The interpreter, if it has torch.
pub(super) fn python() -> Result<Option<String>> {
    let python = std::env::var("REACT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let found = Command::new(&python).args(["-c", "import torch"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !found {
        println!("{python} has no torch: the peer is left out (REACT_PYTHON names another interpreter)");
    }
    Ok(found.then_some(python))
}

/// Builds what measures ours, and says where it is: it runs as a program, so that nothing is built between two measurements.
pub(super) fn build(example: &str) -> Result<PathBuf> {
    let text = run::output(["build", "--release", "--package", "react-model", "--example", example, "--message-format=json"])?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = artifacts.filter(|a| a["target"]["name"] == example).filter_map(|a| a["executable"].as_str().map(PathBuf::from));
    programs.next().context("cargo names no program")
}

/// Both sides.
struct Bench {
    example: PathBuf,
    python: Option<String>,
}

pub(super) fn finish(command: &mut Command, threads: usize, processor: bool) -> Result<std::process::Output> {
    let threads = threads.to_string();
    command.env("RAYON_NUM_THREADS", &threads).env("PEER_THREADS", &threads).env("OMP_NUM_THREADS", &threads);
    command.env("MEASURE", if processor { "processor" } else { "wall" }).stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(output)
}

/// The lines of JSON among what was printed.
pub(super) fn lines(output: &std::process::Output) -> Result<Vec<Value>> {
    let text = std::str::from_utf8(&output.stdout)?;
    text.lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).with_context(|| format!("not a measurement: {line}")))
        .collect()
}

/// Seconds and the largest memory of a case: the best of some turns.
#[derive(Clone, Copy)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    frames: f64,
    pub(super) peak_mb: f64,
}

pub(super) fn measured(lines: &[Value]) -> Result<Measured> {
    let line = lines.first().context("nothing was measured")?;
    let get = |key: &str| line[key].as_f64().with_context(|| format!("no {key} in {line}"));
    Ok(Measured { seconds: get("seconds")?, frames: get("frames")?, peak_mb: get("peak_mb")? })
}

pub(super) fn better(best: Option<Measured>, next: Measured) -> Option<Measured> {
    let Some(best) = best else { return Some(next) };
    Some(Measured { seconds: best.seconds.min(next.seconds), peak_mb: best.peak_mb.max(next.peak_mb), ..next })
}

/// What, our case, the peer's, and how often the peer's clip counts (ten samples are ten runs there).
const CASES: [(&str, &[&str], &[&str]); 4] = [
    ("training step, offline, B=1, T=64, 224²", &["offline", "1", "64", "224"], &["offline", "1", "64", "224"]),
    ("the same, PyTorch without its second pass through the encoder", &["offline", "1", "64", "224"], &["offline-once", "1", "64", "224"]),
    ("training step, online, window 16, B=1, T=64, 112², exact", &["online", "1", "64", "112", "16"], &["online", "1", "64", "112", "16"]),
    ("evaluation, offline, T=256, 224², 10 samples", &["evaluate", "256", "224", "10"], &["evaluate", "256", "224", "10"]),
];

/// Kernels with their multiplications and additions, in units of 10⁹; of a backward pass as many times more.
const KERNELS: [(&str, &str, f64, f64); 8] = [
    ("conv1", "conv 1: bytes 3→32, 7×7, stride 2, 224² (backward: weight only)", conv(112, 32, 147), 1.0),
    ("conv2", "conv 2: 32→128, 7×7, stride 2, 55²", conv(28, 128, 1568), 2.0),
    ("conv3", "conv 3: 128→128, 3×3, stride 2, 28²", conv(14, 128, 1152), 2.0),
    ("conv4", "conv 4: 128→128, 3×3, 14²", conv(14, 128, 1152), 2.0),
    ("conv5", "conv 5: 128→128, 3×3, stride 2, 14²", conv(7, 128, 1152), 2.0),
    ("attention", "causal attention, 4 heads, B=4, T=256, d=128", 4.0 * 256.0 * 256.0 * 128.0 * 2e-9, 2.5),
    ("lstm", "LSTM, B=4, T=256, d=128", 4.0 * 256.0 * 512.0 * 256.0 * 2e-9, 2.0),
    ("gemm", "matrix product, 1536³: the peak", 1536.0 * 1536.0 * 1536.0 * 2e-9, 0.0),
];

/// 32 frames of `size`² pixels of output.
const fn conv(size: usize, outputs: usize, taps: usize) -> f64 {
    (32 * size * size * outputs * taps * 2) as f64 * 1e-9
}

type Times = BTreeMap<(String, String), f64>;

fn keep(times: &mut Times, lines: &[Value]) -> Result<()> {
    for line in lines {
        let text = |key: &str| line[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {line}"));
        let seconds = line["seconds"].as_f64().context("no time")?;
        let best = times.entry((text("kernel")?, text("direction")?)).or_insert(f64::INFINITY);
        *best = best.min(seconds);
    }
    Ok(())
}

impl Bench {
    fn ours(&self, args: &[&str], threads: usize, processor: bool) -> Result<Vec<Value>> {
        lines(&finish(Command::new(&self.example).args(args), threads, processor)?)
    }

    fn peer(&self, args: &[&str], threads: usize, processor: bool) -> Result<Option<Vec<Value>>> {
        let Some(python) = &self.python else { return Ok(None) };
        let mut command = Command::new(python);
        command.arg(run::root().join("tests/peers/model.py")).args(args);
        lines(&finish(&mut command, threads, processor)?).map(Some)
    }

    fn models(&self, quick: bool, out: &mut String) -> Result<()> {
        writeln!(out, "d = 128, {THREADS} threads, f32; the best of {TURNS} turns of each side; memory is the process' largest:\n")?;
        writeln!(
            out,
            "| what | ours, frames/s | PyTorch, frames/s | ratio | ours, MB | PyTorch, MB | ratio |\n|---|---|---|---|---|---|---|"
        )?;
        for (what, args, peer_args) in CASES {
            let (mut best, mut theirs) = (None, None);
            for _ in 0..if quick { 1 } else { TURNS } {
                best = better(best, measured(&self.ours(args, THREADS, false)?)?);
                if let Some(lines) = self.peer(peer_args, THREADS, false)? {
                    theirs = better(theirs, measured(&lines)?);
                }
            }
            let best = best.context("nothing was measured")?;
            let rate = |m: &Measured| m.frames / m.seconds;
            let (left, right) = match theirs {
                None => ("not run | –".to_owned(), "not run | –".to_owned()),
                Some(t) => (
                    format!("{:.0} | {:.2}×", rate(&t), t.seconds / best.seconds),
                    format!("{:.0} | {:.2}", t.peak_mb, best.peak_mb / t.peak_mb),
                ),
            };
            writeln!(out, "| {what} | {:.0} | {left} | {:.0} | {right} |", rate(&best), best.peak_mb)?;
        }
        if !quick {
            let full = measured(&self.ours(&["offline", "4", "256", "224"], THREADS, false)?)?;
            writeln!(
                out,
                "| training step, offline, B=4, T=256, 224² | {:.0} | not run | – | {:.0} | – | – |",
                full.frames / full.seconds,
                full.peak_mb
            )?;
            let stream = self.ours(&["stream", "224", "8", "10"], THREADS, false)?;
            let stream = stream.first().context("nothing was measured")?;
            let get = |key: &str| stream[key].as_f64().with_context(|| format!("no {key} in {stream}"));
            writeln!(
                out,
                "\nStreaming, window 8, 224², a conversation of 10 minutes ({} windows): median {:.1} ms, p99 {:.1} ms a window (320 ms of it); \
             medians of the first and last quarter {:.1} and {:.1} ms; resident {:.0} MB after an eighth, {:.0} MB at the end, largest {:.0} MB.",
                stream["windows"],
                get("p50_ms")?,
                get("p99_ms")?,
                get("first_quarter_p50_ms")?,
                get("last_quarter_p50_ms")?,
                get("early_mb")?,
                get("late_mb")?,
                get("peak_mb")?
            )?;
        }
        writeln!(out)?;
        Ok(())
    }

    fn kernels(&self, out: &mut String) -> Result<()> {
        let mut times: [Times; 4] = Default::default();
        for _ in 0..TURNS {
            for (i, (threads, processor)) in [(THREADS, false), (1, true)].into_iter().enumerate() {
                keep(&mut times[2 * i], &self.ours(&["kernels"], threads, processor)?)?;
                if let Some(lines) = self.peer(&["kernels"], threads, processor)? {
                    keep(&mut times[2 * i + 1], &lines)?;
                }
            }
        }
        writeln!(
            out,
            "Bare kernels, 32 frames, GFLOP/s (zeros of the padding counted as work); the better of PyTorch's 3-D convolution and its channels-last\n\
         2-D one. By the clock with {THREADS} threads, and by the processor time of one thread, which other work on the machine disturbs less:\n"
        )?;
        writeln!(
            out,
            "| kernel | | ours | PyTorch | ratio | ours, one thread | PyTorch, one thread | ratio |\n|---|---|---|---|---|---|---|---|"
        )?;
        for (name, what, forward, backward) in KERNELS {
            for (direction, work) in [("forward", forward), ("backward", forward * backward)] {
                let key = (name.to_owned(), direction.to_owned());
                let cell = |times: &Times| times.get(&key).map_or("not run".to_owned(), |seconds| format!("{:.0}", work / seconds));
                let ratio = |ours: &Times, theirs: &Times| match (ours.get(&key), theirs.get(&key)) {
                    (Some(ours), Some(theirs)) => format!("{:.2}×", theirs / ours),
                    _ => "–".to_owned(),
                };
                if work > 0.0 {
                    let [ours, theirs, one, their_one] = &times;
                    let (a, b) = (ratio(ours, theirs), ratio(one, their_one));
                    let cells = [cell(ours), cell(theirs), a, cell(one), cell(their_one), b];
                    writeln!(out, "| {what} | {direction} | {} |", cells.join(" | "))?;
                }
            }
        }
        writeln!(out)?;
        Ok(())
    }
}

/// Puts the tables between their marks.
/// Puts tables between the marks of a benchmark in docs/performance.md.
pub(super) fn write_between(name: &str, tables: &str) -> Result<()> {
    let (begin, end) = (format!("<!-- bench:{name} -->"), format!("<!-- /bench:{name} -->"));
    let path = run::root().join("docs/performance.md");
    let text = std::fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(&begin).with_context(|| format!("{} has no {begin}", path.display()))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("{} has no {end}", path.display()))?;
    std::fs::write(&path, format!("{before}{begin}\n{}\n{end}{after}", tables.trim_end()))?;
    println!("written to {}", path.display());
    Ok(())
}
