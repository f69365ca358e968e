//! The program: one `match` over the subcommands. Errors are handled here, once.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the program's voice")]

use crate::cli::{Cli, Command, PredictTask};
use crate::config::CorpusKind;
use crate::eri::{self, Beginnings, EriConfig};
use crate::train::{Interrupted, Stop};
use crate::{Compute, Config, Run, baselines, convert, doctor, evaluate, neighbours, pipeline, predict, render, report, score, train};
use anyhow::{Result, bail};
use clap::Parser;
use react_model::frozen::Kind;
use std::io::IsTerminal;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Backward passes recurse over the graph: the default stack of 2 MB is too small for long sequences.
const STACK_BYTES: usize = 256 << 20;

/// The program. Exit code 0 where all went well, 1 after an error (one sentence on standard error), 2 after a wrong argument, 130
/// where a training was stopped by a signal, and saved; 3 and 4 where `doctor` found warnings or errors.
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
        Err(error) if error.is::<doctor::Unsound>() => {
            error.downcast_ref().map_or(ExitCode::FAILURE, |found: &doctor::Unsound| found.exit_code.into())
        }
        Err(error) => match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => {
                eprintln!("{interrupted}");
                interrupted.exit_code().into()
            }
            None => {
                eprintln!("error: {}", sentence(&error));
                ExitCode::FAILURE
            }
        },
    }
}

/// An error and its causes as one sentence on one line. Some messages (TOML's) have lines, and some hold their cause already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

fn dispatch(cli: Cli) -> Result<()> {
    react_media::VideoOptions { max_pixels: cli.max_pixels, decoder: cli.decoder.into() }.set_for_the_program()?;
    if EriConfig::is_named_by(&cli.config)? || is_of_intensities(&cli) {
        return intensities(&cli);
    }
    let config = || Config::load(&cli.config, &cli.settings());
    if cli.print_plan {
        print!("{}", config()?.to_toml()?);
        return Ok(());
    }
    let of_files = || Compute::open(cli.device.unwrap_or_default(), cli.precision);
    if matches!(cli.command, None | Some(Command::Train(_))) {
        react_model::keep_freed_memory();
    }
    match &cli.command {
        None => println!("{}", pipeline::run(&config()?, &Stop::on_signals()?)?),
        Some(Command::Synth(args)) => println!("{}", pipeline::synth(args)?),
        Some(Command::Prepare(args)) if args.verify => {
            let packed = || Ok::<_, anyhow::Error>(config()?.corpus.packed);
            println!("{}", pipeline::verify(&args.out.clone().map_or_else(packed, Ok)?, args.threads.unwrap_or(0))?);
        }
        Some(Command::Prepare(args)) => println!("{}", pipeline::prepare(&pipeline::prepare_plan(&config()?, args)?)?),
        Some(Command::Doctor(args)) => found(doctor::doctor(&config()?, args)?)?,
        Some(Command::Train(args)) => {
            let mut config = config()?;
            config.train.tensorboard |= args.tensorboard;
            let run = Run::open(&config)?;
            println!("{}", train::train(&config, &run, &Stop::on_signals()?)?.or_interrupted()?);
        }
        Some(Command::Evaluate) => {
            let config = config()?;
            let run = Run::open(&config)?;
            println!("{}", evaluate::evaluate(&config, &run)?);
        }
        Some(Command::Report(args)) => println!("{}", report::command(args)?),
        Some(Command::Render(args)) => println!("{}", render::render(args)?),
        Some(Command::Predict(args)) => println!("{}", predict::predict(args, &of_files()?)?),
        Some(Command::Score(args)) => println!("{}", score::score(args, &of_files()?)?),
        Some(Command::Baselines(args)) => println!("{}", baselines::baselines(&config()?, args)?),
        Some(Command::Neighbours(args)) => println!("{}", neighbours::neighbours(&config, args)?),
        Some(Command::Convert(args)) => {
            let numbers = convert::convert(&args.from, &args.to)?;
            println!("{numbers} parameters in {}", args.to.display());
        }
    }
    Ok(())
}

/// Prints what a doctor found; an error where that is bad, for the exit code.
fn found(diagnosis: react_data::doctor::Diagnosis) -> Result<()> {
    println!("{diagnosis}");
    match diagnosis.exit_code() {
        0 => Ok(()),
        exit_code => Err(doctor::Unsound { exit_code }.into()),
    }
}

/// Whether a call is about intensities, whatever its configuration says.
fn is_of_intensities(cli: &Cli) -> bool {
    match &cli.command {
        Some(Command::Prepare(args)) => args.corpus == Some(CorpusKind::Hume),
        Some(Command::Doctor(args)) => args.corpus == Some(CorpusKind::Hume),
        Some(Command::Synth(args)) => args.corpus == CorpusKind::Hume,
        Some(Command::Predict(args)) => args.split.is_some() || args.task == Some(PredictTask::Eri),
        _ => false,
    }
}

/// The second job.
fn intensities(cli: &Cli) -> Result<()> {
    // `prepare --corpus hume` and the like need no configuration of their own.
    let name = if EriConfig::is_named_by(&cli.config)? { cli.config.as_str() } else { "eri-fusion" };
    let config = || EriConfig::load(name, &cli.settings());
    if cli.print_plan {
        print!("{}", toml::to_string(&config()?)?);
        return Ok(());
    }
    let of_files = || Compute::open(cli.device.unwrap_or_default(), cli.precision);
    match &cli.command {
        None => {
            let evaluation = eri::run(&config()?, 1, &Beginnings::default(), &Stop::on_signals()?)?;
            println!("{evaluation}");
        }
        Some(Command::Synth(args)) => println!("{}", eri::synth(args)?),
        Some(Command::Prepare(args)) if args.verify => {
            let packed = || Ok::<_, anyhow::Error>(config()?.corpus.packed);
            println!("{}", pipeline::verify(&args.out.clone().map_or_else(packed, Ok)?, args.threads.unwrap_or(0))?);
        }
        Some(Command::Prepare(args)) => {
            let plan = eri::prepare_plan(&config()?, args)?;
            let features = args.frame_features.as_ref().zip(args.weights.as_ref());
            // A device that cannot be used is said before hours of packing.
            let compute = features.map(|_| of_files()).transpose()?;
            println!("{}", eri::prepare(&plan)?);
            if let (Some((network, weights)), Some(compute)) = (features, compute) {
                println!("{}", eri::compute(&plan.out, Kind::named(network)?, weights, &compute)?);
            }
        }
        Some(Command::Doctor(args)) => found(doctor::doctor_of_intensities(&config()?, args)?)?,
        Some(Command::Train(args)) => {
            let beginnings = Beginnings {
                audio: args.init_audio.as_deref(),
                video: args.init_video.as_deref(),
                backbone: args.init_backbone.as_deref(),
            };
            let mut config = config()?;
            config.train.tensorboard |= args.tensorboard;
            for (seed, best) in eri::train_seeds(&config, args.seeds, &beginnings, &Stop::on_signals()?)? {
                println!("seed {seed}: mean correlation {best:.4} in its best epoch");
            }
        }
        Some(Command::Evaluate) => println!("{}", eri::evaluate(&config()?)?),
        Some(Command::Report(args)) => println!("{}", report::command(args)?),
        Some(Command::Predict(args)) => match &args.split {
            Some(split) => {
                let path = eri::predict_split(&config()?, split, args.batch_size, args.checkpoint.as_deref(), args.out.as_deref())?;
                println!("{}", path.display());
            }
            None => {
                let checkpoint = args.needed("checkpoint", args.checkpoint.as_deref())?;
                let out = args.needed("out", args.out.as_deref())?;
                let (video, sound) = (args.speaker_video.as_deref(), args.speaker_audio.as_deref());
                println!("{}", eri::predict_one(checkpoint, args.weights.as_deref(), video, sound, out, &of_files()?)?);
            }
        },
        Some(Command::Score(_) | Command::Baselines(_) | Command::Neighbours(_) | Command::Convert(_) | Command::Render(_)) => {
            bail!("this command is for reactions: {name} is a configuration of intensities")
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::sentence;

    #[test]
    fn a_cause_is_said_once() {
        let cause = || std::io::Error::other("no such\n  file");
        let twice = anyhow::Error::new(cause()).context(format!("cannot read x: {}", cause()));
        assert_eq!(sentence(&twice), "cannot read x: no such file");
        let once = anyhow::Error::new(cause()).context("cannot read x").context("the corpus");
        assert_eq!(sentence(&once), "the corpus: cannot read x: no such file");
    }
}
