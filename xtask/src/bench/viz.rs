//! Faces, videos and the report; the table goes into docs/performance.md.
//!
//! REACT_PYTHON names a Python with torch for PIRender's peer; without one it is left out, and the table says so. `--quick` takes one turn and
//! writes nothing. The report is opened in the Chromium that is on the path, if there is one.

use super::data::build;
use super::model::{finish, lines, python, write_between};
use crate::run;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// Turns; the best counts.
const TURNS: usize = 3;
/// Threads of everything.
const THREADS: usize = 2;
/// Frames of the clip that becomes a video, and of each PIRender turn.
const FRAMES: &str = "750";
const PAINTED: &str = "8";

pub(crate) fn run(flags: &[String]) -> Result<()> {
    let quick = flags.iter().any(|flag| flag == "--quick");
    let turns = if quick { 1 } else { TURNS };
    let folder = std::env::temp_dir().join(format!("react-bench-viz-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let result = measure(&folder, turns);
    std::fs::remove_dir_all(&folder)?;
    let table = result?;
    println!("{table}");
    if quick { Ok(()) } else { write_between("viz", &table) }
}

fn measure(folder: &Path, turns: usize) -> Result<String> {
    let mut out = format!("{THREADS} threads; the best of {turns} turns:\n\n| what | ours | asked for |\n|---|---|---|\n");
    raster(turns, &mut out)?;
    video(folder, turns, &mut out)?;
    report(folder, &mut out)?;
    painter(turns, &mut out)?;
    Ok(out)
}

/// The JSON lines of a program's run.
fn measured(program: &Path, args: &[&str]) -> Result<Vec<Value>> {
    lines(&finish(Command::new(program).args(args), THREADS, false)?)
}

fn number(line: &Value, key: &str) -> Result<f64> {
    line[key].as_f64().with_context(|| format!("no {key} in {line}"))
}

fn raster(turns: usize, out: &mut String) -> Result<()> {
    let program = build("react-face", "bench_raster", &[])?;
    let mut best: Vec<Value> = Vec::new();
    for _ in 0..turns {
        for (i, line) in measured(&program, &[])?.into_iter().enumerate() {
            let rate = number(&line, "frames_per_s")?;
            match best.get_mut(i) {
                Some(kept) if number(kept, "frames_per_s")? >= rate => {}
                Some(kept) => *kept = line,
                None => best.push(line),
            }
        }
    }
    for line in best {
        let (shading, triangles, side) = (&line["shading"], number(&line, "triangles")?, number(&line, "side")?);
        writeln!(
            out,
            "| faces: {triangles:.0} triangles, {side:.0}², {}, frames/s: drawing alone, and with posing | {:.0}, {:.0} | 300 |",
            shading.as_str().unwrap_or_default(),
            number(&line, "drawing_frames_per_s")?,
            number(&line, "frames_per_s")?
        )?;
    }
    Ok(())
}

/// The whole program: decoding the speaker's video and sound, drawing, encoding, writing.
fn video(folder: &Path, turns: usize, out: &mut String) -> Result<()> {
    run::cargo(["build", "--release", "--quiet", "--package", "react-train"])?;
    let program = run::target()?.join("release/react-train");
    let corpus = folder.join("corpus");
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a path that is no text");
    let made = ["synth", "--pairs", "2", "--frames", FRAMES, "--size", "256", "--out", &text(&corpus)?].map(str::to_owned);
    finish(Command::new(&program).args(&made), THREADS, false)?;
    let mut npys = Vec::new();
    find(&corpus.join("train/3D_FV_files"), &mut npys)?;
    let [speaker, listener] = &npys[..] else { anyhow::bail!("wanted two clips, made {}", npys.len()) };
    let file = |modality: &str, extension: &str| -> Result<String> {
        text(&PathBuf::from(text(speaker)?.replace("3D_FV_files", modality)).with_extension(extension))
    };
    let (listener, mp4) = (text(listener)?, text(&folder.join("clip.mp4"))?);
    let (pictures, sound) = (file("Video_files", "mp4")?, file("Audio_files", "wav")?);
    let args = ["render", &listener, "--truth", &listener, "--speaker-video", &pictures, "--speaker-audio", &sound];
    let more = ["--samples", "1", "--side", "224", "--out", &mp4];
    let mut best = f64::INFINITY;
    for _ in 0..turns {
        let start = Instant::now();
        finish(Command::new(&program).args(args).args(more), THREADS, false)?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let megabytes = std::fs::metadata(&mp4)?.len() as f64 / 1e6;
    writeln!(
        out,
        "| the mp4 of {FRAMES} frames, three panels of 224², with sound, from an mp4 and a wav ({megabytes:.1} MB), s | {best:.1} | 15 |"
    )?;
    Ok(())
}

/// Every .npy below a folder, sorted.
fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() {
            find(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "npy") {
            found.push(path);
        }
    }
    Ok(())
}

fn report(folder: &Path, out: &mut String) -> Result<()> {
    let folder = folder.join("report");
    let folder = folder.to_str().context("a path that is no text")?;
    let measured = measured(&build("react-viz", "bench_report", &[])?, &[folder, "100"])?;
    let line = measured.first().context("nothing was measured")?;
    let opens = line["open_median_ms"].as_f64().map_or_else(|| "not run (no browser)".to_owned(), |ms| format!("{:.1}", ms / 1e3));
    writeln!(out, "| a report over 100 clips opens in Chromium, s (the median of three) | {opens} | 3 |")?;
    let (page, beside) = (number(line, "page_bytes")? / 1e6, number(line, "beside_bytes")? / 1e6);
    writeln!(out, "| its page, MB (and videos beside it) | {page:.1} ({beside:.1}) | 50 |")?;
    Ok(())
}

fn painter(turns: usize, out: &mut String) -> Result<()> {
    let program = build("react-model", "bench_pirender", &[])?;
    let python = python()?;
    let (mut ours, mut theirs) = (f64::INFINITY, f64::INFINITY);
    let a_frame = |lines: &[Value]| -> Result<f64> {
        let line = lines.first().context("nothing was measured")?;
        Ok(number(line, "seconds")? / number(line, "frames")?)
    };
    for _ in 0..turns {
        ours = ours.min(a_frame(&measured(&program, &["speed", PAINTED])?)?);
        if let Some(python) = &python {
            let mut command = Command::new(python);
            command.arg(run::root().join("tests/peers/pirender.py")).args(["speed", PAINTED]);
            theirs = theirs.min(a_frame(&lines(&finish(&mut command, THREADS, false)?)?)?);
        }
    }
    let peer = match theirs.is_finite() {
        true => format!("PyTorch {:.0}: {:.2}×", theirs * 1e3, theirs / ours),
        false => "PyTorch not run".to_owned(),
    };
    writeln!(out, "| PIRender, published sizes, 256², ms a frame ({peer}) | {:.0} | 1× |", ours * 1e3)?;
    Ok(())
}
