//! `cargo xtask`: the one door for development.
//!
//! `ci` and `bench` are for developers; everything else is a subcommand of `react-train`, run in release.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod bench;
mod ci;
mod cuda;
mod direction;
mod licences;
mod run;
mod torture;

use anyhow::Result;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask TASK

For developers:
  ci [--browser]     fmt, clippy, tests, doctests, rustdoc, dependency direction, licences, the feature cuda behind a stand-in compiler;
                     the report in a headless browser
  bench [NAME]       time a training step (model), the metric suite (metrics), packing and loading (data), intensities (eri) beside peers,
                     faces, videos and the report (viz), and everything on an NVIDIA card (cuda), in release
  torture prepare    kill -9 a packing at random moments (--kills 100) and check what it left

For users (the same as `cargo run --release -p react-train -- …`):
  prepare, doctor, synth, train, evaluate, predict, score, baselines, neighbours, convert, report, render
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(args: &[String]) -> Result<()> {
    match args.first().map(String::as_str) {
        Some("ci") => ci::run(&args[1..]),
        Some("bench") => bench::run(&args[1..]),
        Some("torture") => torture::run(&args[1..]),
        Some(
            "prepare" | "doctor" | "synth" | "train" | "evaluate" | "predict" | "score" | "baselines" | "neighbours" | "convert" | "report"
            | "render",
        ) => {
            run::cargo(["run", "--release", "--quiet", "--package", "react-train", "--"].into_iter().chain(args.iter().map(String::as_str)))
        }
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => anyhow::bail!("there is no task '{other}'\n\n{HELP}"),
    }
}
