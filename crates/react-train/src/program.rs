//! The program: one `match` over the subcommands. Errors are handled here, once.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's voice")]

use crate::cli::{Cli, Command};
use crate::{Config, Run, evaluate, pipeline, predict, report, score, train};
use anyhow::Result;
use clap::Parser;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Backward passes recurse over the graph: the default stack of 2 MB is too small for long sequences.
const STACK_BYTES: usize = 256 << 20;

/// The program. Exit code 0 where all went well, 1 after an error (one sentence on standard error), 2 after a wrong argument.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,react_train=info,react_data=warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).without_time();
    // Another subscriber may be there already where the library is embedded; its lines are then that one's.
    let _ = lines.with_ansi(std::io::stderr().is_terminal()).with_level(false).try_init();
    let work = std::thread::Builder::new().name("main work".to_owned()).stack_size(STACK_BYTES).spawn(move || dispatch(cli));
    let result = work
        .map_err(anyhow::Error::from)
        .and_then(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("the program failed; this is a defect"))));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Some libraries' messages (TOML's) have lines; an error is one sentence on one line.
            let text = format!("{error:#}");
            eprintln!("error: {}", text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(cli: Cli) -> Result<()> {
    let config = || Config::load(&cli.config, &cli.set);
    if cli.print_plan {
        print!("{}", config()?.to_toml()?);
        return Ok(());
    }
    match &cli.command {
        None => println!("{}", pipeline::run(&config()?)?),
        Some(Command::Synth(args)) => println!("{}", pipeline::synth(args)?),
        Some(Command::Prepare(args)) => println!("{}", pipeline::prepare(&pipeline::prepare_plan(&config()?, args)?)?),
        Some(Command::Train) => {
            let config = config()?;
            let run = Run::open(&config)?;
            println!("{}", train::train(&config, &run)?);
        }
        Some(Command::Evaluate) => {
            let config = config()?;
            let run = Run::open(&config)?;
            println!("{}", evaluate::evaluate(&config, &run)?);
        }
        Some(Command::Report(args)) => {
            let (run, config) = Run::existing(&args.run)?;
            println!("report     {}", report::write(&config, &run)?.display());
        }
        Some(Command::Predict(args)) => println!("{}", predict::predict(args)?),
        Some(Command::Score(args)) => println!("{}", score::score(args)?),
        Some(Command::Baselines) => println!("{}", evaluate::baselines(&config()?)?),
        Some(Command::Convert(args)) => {
            let numbers = predict::convert(&args.from, &args.to)?;
            println!("{numbers} parameters in {}", args.to.display());
        }
    }
    Ok(())
}
