//! The intensity network's training step beside PyTorch, in one run; its table goes into docs/performance.md. REACT_PYTHON names a
//! Python with torch; without one the peer is left out, and the table says so.

use super::model::{better, build, finish, lines, measured, python, write_between};
use crate::run;
use anyhow::Result;
use std::fmt::Write;
use std::process::Command;

/// Clips, frames and pixels of the published size.
const SIZE: [&str; 3] = ["8", "32", "112"];
/// Turns that both sides take; the best of each counts.
const TURNS: usize = 2;
const THREADS: usize = 2;

pub(crate) fn run(_flags: &[String]) -> Result<()> {
    let (example, python) = (build("eri")?, python()?);
    let peer = python.map(|python| {
        let script = run::root().join("tests/peers/eri.py");
        move |args: &[&str]| finish(Command::new(&python).arg(&script).args(args), THREADS, false)
    });
    if let Some(peer) = &peer {
        // Fails where it does not reproduce the reference vectors.
        peer(&["check"])?;
    }
    let (mut ours, mut theirs) = (None, None);
    for _ in 0..TURNS {
        ours = better(ours, measured(&lines(&finish(Command::new(&example).args(SIZE), THREADS, false)?)?)?);
        if let Some(peer) = &peer {
            theirs = better(theirs, measured(&lines(&peer(&[&["step"][..], &SIZE].concat())?)?)?);
        }
    }
    let mut out = format!("Full-size fusion (10.6 M parameters), batch of 8 clips × 32 frames of 112², {THREADS} threads, f32:\n\n");
    writeln!(out, "| what | ours, s | PyTorch, s | PyTorch / ours | ours, MB | PyTorch, MB |\n|---|---|---|---|---|---|")?;
    if let Some(ours) = ours {
        let row = match theirs {
            Some(theirs) => format!(
                "{:.2} | {:.2} | {:.2} | {:.0} | {:.0}",
                ours.seconds,
                theirs.seconds,
                theirs.seconds / ours.seconds,
                ours.peak_mb,
                theirs.peak_mb
            ),
            None => format!("{:.2} | not measured | – | {:.0} | –", ours.seconds, ours.peak_mb),
        };
        writeln!(out, "| training step | {row} |")?;
    }
    println!("{out}");
    write_between("eri", &out)
}
