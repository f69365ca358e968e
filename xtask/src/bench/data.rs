//! Decoding, packing and loading beside the usual Python libraries, in one run; its table goes into docs/performance.md.
//!
//! `--quick` takes one turn of each side and writes nothing. REACT_PYTHON names a Python with av, opencv, decord, numpy, torch and
//! torchaudio; what it has not is left out, and the table says so. Everything lies on /dev/shm, so that no disk is measured.

use super::model::{finish, lines, write_between};
use crate::run;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Turns that both sides take; the best of each counts.
const TURNS: usize = 5;
/// Pairs for training, whose two roles fill whole batches; there is one more for validation.
const PAIRS: usize = 4;
/// Batches of a turn: stored, and decoded.
const BATCHES: [&str; 2] = ["40", "6"];

pub(crate) fn run(flags: &[String]) -> Result<()> {
    let quick = flags.iter().any(|flag| flag == "--quick");
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = parent.join(format!("react-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&folder, if quick { 1 } else { TURNS });
    std::fs::remove_dir_all(&folder)?;
    let table = result?;
    println!("{table}");
    if quick { Ok(()) } else { write_between("data", &table) }
}

/// Both sides.
struct Bench {
    ours: PathBuf,
    /// The same program with the feature `ffmpeg`, where the system has FFmpeg's libraries.
    with_ffmpeg: Option<PathBuf>,
    python: String,
    /// Whether a program can be bound to a core.
    taskset: bool,
}

impl Bench {
    /// One measurement of ours.
    fn ours(&self, words: &[&str]) -> Result<Vec<Value>> {
        lines(&finish(Command::new(&self.ours).args(words), 2, false)?)
    }

    /// One of ours on one core.
    fn ours_bound(&self, words: &[&str]) -> Result<Vec<Value>> {
        lines(&finish(self.bound(&self.ours).args(words), 1, false)?)
    }

    /// The same with FFmpeg's decoder; none where it is not there.
    fn with_ffmpeg(&self, words: &[&str]) -> Result<Vec<Value>> {
        let Some(program) = &self.with_ffmpeg else { return Ok(Vec::new()) };
        lines(&finish(self.bound(program).arg("ffmpeg").args(words), 1, false)?)
    }

    /// A program on one core: some libraries take every core whatever they are told, and two busy cores slow each other down.
    fn bound(&self, program: &Path) -> Command {
        if !self.taskset {
            return Command::new(program);
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(program);
        command
    }

    /// Measurements of the peer; none where a library of it is missing or fails, with a word.
    fn peer(&self, words: &[&str]) -> Vec<Value> {
        let mut command = self.bound(Path::new(&self.python));
        command.arg(run::root().join("tests/peers/data.py")).args(words).env("PEER_REPEATS", "1");
        match finish(&mut command, 1, false).and_then(|output| lines(&output)) {
            Ok(lines) => lines,
            Err(error) => {
                println!("the peer is left out: {error:#} (REACT_PYTHON names another interpreter)");
                Vec::new()
            }
        }
    }
}

/// Best values by name: of times the least, of rates the highest.
#[derive(Default)]
struct Best(std::collections::BTreeMap<String, f64>);

impl Best {
    fn least(&mut self, name: &str, value: f64) {
        self.0.entry(name.to_owned()).and_modify(|best| *best = best.min(value)).or_insert(value);
    }

    fn most(&mut self, name: &str, value: f64) {
        self.0.entry(name.to_owned()).and_modify(|best| *best = best.max(value)).or_insert(value);
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

fn measure(folder: &Path, turns: usize) -> Result<String> {
    let python = std::env::var("REACT_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let taskset = Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    let (ours, with_ffmpeg) = programs(folder)?;
    let bench = Bench { ours, with_ffmpeg, python, taskset };
    let at = |name: &str| -> Result<String> { Ok(folder.join(name).to_str().context("a path that is no text")?.to_owned()) };
    let (corpus, packed, sources) = (at("corpus")?, at("packed")?, at("sources")?);
    bench.ours(&["make", &corpus, &PAIRS.to_string()])?;
    let encoder = encode(Path::new(&corpus))?;
    let clip = |modality: &str, extension: &str| format!("{corpus}/train/{modality}/NoXI/c/E/1.{extension}");
    let (mp4, wav) = (clip("Video_files", "mp4"), clip("Audio_files", "wav"));
    let mut best = Best::default();
    for _ in 0..turns {
        one_turn(&bench, &mut best, [&corpus, &packed, &sources, &mp4, &wav], &at("peer")?)?;
    }
    table(&best, encoder, bench.taskset)
}

fn one_turn(bench: &Bench, best: &mut Best, [corpus, packed, sources, mp4, wav]: [&str; 5], peer: &str) -> Result<()> {
    let number = |line: &Value, key: &str| line[key].as_f64().with_context(|| format!("no {key} in {line}"));
    // Packing again would find everything there.
    let clear = || [packed, sources].iter().filter(|packed| Path::new(packed).exists()).try_for_each(std::fs::remove_dir_all);
    clear()?;
    let first = |lines: Vec<Value>| lines.into_iter().next().context("nothing was measured");
    best.most("decode", number(&first(bench.ours_bound(&["decode", mp4])?)?, "rate")?);
    let line = first(bench.ours_bound(&["pack", corpus, packed, "npy"])?)?;
    best.least("pack", number(&line, "processor")?.max(f64::MIN_POSITIVE) / number(&line, "clips")?);
    best.most("pack memory", number(&line, "peak_mb")?);
    best.least("features", number(&first(bench.ours_bound(&["features", wav])?)?, "seconds")?);
    for line in bench.ours(&["loader", packed, BATCHES[0]])? {
        let name = line["case"].as_str().unwrap_or_default().to_owned();
        best.most(&name, number(&line, "bytes")? / number(&line, "seconds")? / 1e9);
    }
    bench.ours(&["pack", corpus, sources, "source"])?;
    let line = first(bench.ours_bound(&["source", sources, BATCHES[1]])?)?;
    best.most("source", number(&line, "frames")? / number(&line, "processor")?);

    if bench.with_ffmpeg.is_some() {
        clear()?;
        best.most("decode with ffmpeg", number(&first(bench.with_ffmpeg(&["decode", mp4])?)?, "rate")?);
        let line = first(bench.with_ffmpeg(&["pack", corpus, packed, "npy"])?)?;
        best.least("pack with ffmpeg", number(&line, "processor")?.max(f64::MIN_POSITIVE) / number(&line, "clips")?);
        bench.with_ffmpeg(&["pack", corpus, sources, "source"])?;
        let line = first(bench.with_ffmpeg(&["source", sources, BATCHES[1]])?)?;
        best.most("source with ffmpeg", number(&line, "frames")? / number(&line, "processor")?);
    }

    for line in bench.peer(&["decode", mp4]) {
        if let (Some(library), Some(rate)) = (line["library"].as_str(), line["rate"].as_f64()) {
            best.most(&format!("decode {library}"), rate);
        }
    }
    for line in bench.peer(&["pack", mp4, peer]) {
        if let (Some(library), Some(seconds)) = (line["library"].as_str(), line["seconds"].as_f64()) {
            best.least("pack peer", seconds);
            best.least(&format!("pack {library}"), seconds);
        }
    }
    for line in bench.peer(&["features", wav]) {
        line["seconds"].as_f64().into_iter().for_each(|seconds| best.least("features peer", seconds));
    }
    for line in bench.peer(&["memmap", &format!("{peer}/memmap")]) {
        line["gigabytes_a_second"].as_f64().into_iter().for_each(|rate| best.most("memmap", rate));
    }
    for line in bench.peer(&["crops", mp4]) {
        line["rate"].as_f64().into_iter().for_each(|rate| best.most("crops", rate));
    }
    Ok(())
}

fn table(best: &Best, encoder: &str, bound: bool) -> Result<String> {
    let mut out = format!(
        "Clips of 751 frames of 256², {encoder}, and 30 s of 44.1 kHz sound, on tmpfs; the best turn of each side{}:\n\n\
         | what | ours | the peer | | ratio | asked for |\n|---|---|---|---|---|---|\n",
        if bound { ", bound to one core but for the batches" } else { ", the peer on as many cores as it takes" }
    );
    let cell = |value: Option<f64>, digits: usize| value.map_or("not run".to_owned(), |value| format!("{value:.digits$}"));
    let ratio = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}×"));
    // What, ours, the peer's, whose, whether more is better, what is asked for, digits.
    let rows = [
        ("decoding to RGB, one core, frames/s", "decode", "decode PyAV", "PyAV", true, "1.3×", 0),
        ("the same with the feature `ffmpeg`", "decode with ffmpeg", "decode PyAV", "PyAV", true, "1.3×", 0),
        ("the same in Rust", "decode", "decode OpenCV", "OpenCV", true, "–", 0),
        ("the same", "decode", "decode decord", "decord", true, "–", 0),
        (
            "for comparison, FFmpeg's decoder alone: by PyAV, nothing turned into RGB",
            "decode FFmpeg, no RGB",
            "decode PyAV",
            "PyAV",
            true,
            "–",
            0,
        ),
        ("packing mp4 → npy 224² with audio features, one core, s a clip", "pack", "pack peer", "the best Python route", false, "3×", 3),
        ("the same with the feature `ffmpeg`", "pack with ffmpeg", "pack peer", "the best Python route", false, "3×", 3),
        ("78 audio features of 30 s, one core, s", "features", "features peer", "torchaudio, frame by frame", false, "40×", 4),
        ("batches of 4 × 256 frames from npy, GB/s", "loader", "memmap", "numpy's memmap copy", true, "1.2×", 1),
        ("the same", "loader", "copy", "a plain copy with two threads", true, "0.67×", 1),
        ("crops of 256 frames from the mp4, one core, frames/s", "source", "crops", "PyAV", true, "1.3×", 0),
        ("the same with the feature `ffmpeg`", "source with ffmpeg", "crops", "PyAV", true, "1.3×", 0),
    ];
    for (what, ours, peer, whose, more, asked, digits) in rows {
        let (ours, peer) = (best.get(ours), best.get(peer));
        let times = ours.zip(peer).map(|(ours, peer)| if more { ours / peer } else { peer / ours });
        writeln!(out, "| {what} | {} | {} | {whose} | {} | {asked} |", cell(ours, digits), cell(peer, digits), ratio(times))?;
    }
    writeln!(out, "\nPacking with one thread took {} MB at most (asked for: 300 MB a worker).", cell(best.get("pack memory"), 0))?;
    Ok(out)
}

/// Encodes all videos again as cameras and the challenge do, with B-frames, where there is an ffmpeg with x264; says what they are now.
fn encode(corpus: &Path) -> Result<&'static str> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-hide_banner", "-encoders"]).stderr(Stdio::null());
    if !ffmpeg.output().is_ok_and(|found| String::from_utf8_lossy(&found.stdout).contains(" libx264 ")) {
        return Ok("H.264 of our own writer (no ffmpeg with x264 is installed)");
    }
    let mut folders = vec![corpus.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "mp4") {
                let again = path.with_extension("again.mp4");
                // The peer takes the sound from the video; we take the wav.
                let wav = PathBuf::from(path.to_string_lossy().replace("/Video_files/", "/Audio_files/")).with_extension("wav");
                let mut ffmpeg = Command::new("ffmpeg");
                ffmpeg.args(["-loglevel", "error", "-y", "-i"]).arg(&path).arg("-i").arg(wav).args(["-map", "0:v", "-map", "1:a"]);
                ffmpeg.args(["-c:v", "libx264", "-profile:v", "high", "-bf", "3", "-preset", "medium", "-crf", "20"]);
                let status = ffmpeg.args(["-pix_fmt", "yuv420p", "-c:a", "aac"]).arg(&again).status()?;
                ensure!(status.success(), "ffmpeg could not encode {}", path.display());
                std::fs::rename(again, path)?;
            }
        }
    }
    Ok("H.264 High with B-frames of x264 (medium, crf 20)")
}

/// The program that measures, and the same with the feature `ffmpeg` where that can be built: as files of their own, so that nothing is
/// built between two measurements.
fn programs(folder: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    let kept = |program: PathBuf, name: &str| -> Result<PathBuf> {
        let copy = folder.join(name);
        std::fs::copy(&program, &copy).with_context(|| format!("cannot copy {}", program.display()))?;
        Ok(copy)
    };
    let with_ffmpeg = match build("react-data", "bench_data", &["--features", "ffmpeg"]) {
        Ok(program) => Some(kept(program, "bench_data_ffmpeg")?),
        Err(error) => {
            println!("the feature ffmpeg is left out: {error:#}");
            None
        }
    };
    Ok((kept(build("react-data", "bench_data", &[])?, "bench_data")?, with_ffmpeg))
}

/// Builds an example and says where it is.
pub(crate) fn build(package: &str, example: &str, features: &[&str]) -> Result<PathBuf> {
    let words = ["build", "--release", "--package", package, "--example", example, "--message-format=json"];
    let text = run::output(words.iter().chain(features))?;
    let artifacts = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = artifacts.filter(|a| a["target"]["name"] == example).filter_map(|a| a["executable"].as_str().map(PathBuf::from));
    programs.next().context("cargo names no program")
}
