//! `cargo xtask ci`: everything that a change must pass, the same by hand and on a server; with `--browser` the report in a headless
//! browser too, if there is one.

use crate::{cuda, direction, licences, run};
use anyhow::{Context, Result};
use std::time::Instant;

type Check = fn() -> Result<()>;

pub(crate) fn run(args: &[String]) -> Result<()> {
    let with_browser = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--browser"] => true,
        _ => anyhow::bail!("ci takes --browser and nothing else, not {}", args.join(" ")),
    };
    // Cheap checks first; the tests' artefacts before clippy's, because they are the point.
    let mut checks: Vec<(&str, Check)> = vec![
        ("formatting", || cargo(&["fmt", "--all", "--check"], &[])),
        ("dependency direction", direction::check),
        ("licences", licences::check),
        ("tests and doctests", || cargo(&["test", "--workspace"], &[])),
        ("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"], &[])),
        ("the feature cuda", cuda::check),
        ("rustdoc", || cargo(&["doc", "--workspace", "--no-deps"], &[("RUSTDOCFLAGS", "-D warnings")])),
    ];
    if with_browser {
        checks.push(("report in a browser", in_a_browser));
    }
    let start = Instant::now();
    for (name, check) in &checks {
        let began = Instant::now();
        println!("== {name}");
        check().with_context(|| format!("the check '{name}' failed"))?;
        println!("== {name}: passed in {:.0} s", began.elapsed().as_secs_f32());
    }
    println!("== all {} checks passed in {:.0} s", checks.len(), start.elapsed().as_secs_f32());
    Ok(())
}

/// The report in a headless browser. Nothing is installed: without a browser the test says so, and passes.
fn in_a_browser() -> Result<()> {
    const FEATURE: &str = "react-tests/browser";
    cargo(&["clippy", "--workspace", "--features", FEATURE, "--test", "browser", "--", "-D", "warnings"], &[])?;
    cargo(&["test", "--workspace", "--features", FEATURE, "--test", "browser", "--", "--nocapture"], &[])
}

fn cargo(args: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let mut command = run::command(args);
    command.envs(environment.iter().copied());
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    anyhow::ensure!(status.success(), "cargo {} failed ({status})", args.join(" "));
    Ok(())
}
