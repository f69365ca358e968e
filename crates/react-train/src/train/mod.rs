//! Training: batches, losses, steps, validation, checkpoints.
//!
//! Stopping anywhere (Ctrl-C, a kill, a full disk) and running again goes on from the last checkpoint, within an epoch too, and
//! gives the bits that an undisturbed run gives: losses, weights, moments, averages. Nothing drawn has a state to save; a draw is a
//! function of the seed and of where it is used.

mod batches;
mod blame;
mod checkpoint;
mod log;
mod pictures;
mod plan;
mod state;
mod stop;
mod validation;

pub use plan::Plan;
pub use stop::{Interrupted, Stop};

use crate::Run;
use crate::config::Config;
use anyhow::Result;
use log::Log;
use state::State;
use std::path::PathBuf;
use std::time::Instant;

/// What a training came to.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The checkpoint with the least validation loss.
    pub best: PathBuf,
    /// Steps that were made now; 0 where the run was finished before.
    pub steps: u64,
    /// Steps that have been made in all.
    pub total: u64,
    /// Steps that were planned: more than were made where the training was stopped, or ended early.
    pub planned: u64,
    /// Whether it was stopped, and would go on.
    pub stopped: bool,
    /// Wall time of this call in seconds.
    pub seconds: f64,
    /// The median time from one step to the next, in seconds, validations and checkpoints aside.
    pub step_seconds: Option<f64>,
}

/// Trains the configured network on its packed corpus, or goes on where an earlier call stopped. Where `stop` asks for it, it
/// saves, and returns before the end.
///
/// # Errors
/// Where the packed corpus is missing, the run's folder holds another configuration, or a loss or gradient is not finite (the
/// weights have then not moved, and the checkpoint is as it was).
pub fn train(config: &Config, run: &Run, stop: &Stop) -> Result<Trained> {
    let began = Instant::now();
    let _listening = stop.listen();
    let mut state = State::open(config, run)?;
    let mut log = Log::open(config, run, &state)?;
    let mut batches = state.batches()?;
    let start = state.steps();
    let mut pace = Pace::default();
    loop {
        if state.validation_due() {
            settle(&mut state, &mut log)?;
            pace.rest();
        }
        if state.validation_due()
            && let Some(validation) = state.validate(stop, &log)?
        {
            log.validation(&validation)?;
        }
        let ending = state.finished() || stop.asked(state.steps());
        if ending || state.save_due() {
            settle(&mut state, &mut log)?;
        }
        if state.unsaved() && (ending || state.save_due()) {
            pace.rest();
            log.sync()?;
            state.save()?;
        }
        if ending {
            break;
        }
        let before = state.steps();
        let made = state.step(&mut batches);
        if made.is_err() && state.steps() == before {
            // What a card had done is not lost where the next step could not even be begun.
            settle(&mut state, &mut log)?;
        }
        if let Some(step) = made? {
            log.step(&step)?;
        }
        pace.step();
    }
    Ok(Trained {
        best: run.best(),
        steps: state.steps() - start,
        total: state.steps(),
        planned: state.plan().steps(),
        stopped: !state.finished(),
        seconds: began.elapsed().as_secs_f64(),
        step_seconds: pace.median(),
    })
}

/// What a card has not said yet of the steps that were made.
fn settle(state: &mut State<'_>, log: &mut Log) -> Result<()> {
    match state.settle()? {
        Some(step) => log.step(&step),
        None => Ok(()),
    }
}

/// The time from step to step, without validations and checkpoints.
#[derive(Default)]
struct Pace {
    last: Option<Instant>,
    /// Steps since the last rest.
    steps: u32,
    seconds: Vec<f64>,
}

/// Steps after a rest whose times are left out: a card is still filling its queue then.
const STARTING: u32 = 2;

impl Pace {
    fn rest(&mut self) {
        (self.last, self.steps) = (None, 0);
    }

    fn step(&mut self) {
        let now = Instant::now();
        self.seconds.extend(self.last.filter(|_| self.steps > STARTING).map(|last| (now - last).as_secs_f64()));
        self.last = Some(now);
        self.steps += 1;
    }

    fn median(mut self) -> Option<f64> {
        self.seconds.sort_by(f64::total_cmp);
        self.seconds.get(self.seconds.len() / 2).copied()
    }
}

impl Trained {
    /// Itself, or the error that it was stopped.
    ///
    /// # Errors
    /// [`Interrupted`].
    pub fn or_interrupted(self) -> Result<Self, Interrupted> {
        if self.stopped { Err(Interrupted { steps: self.total, planned: self.planned }) } else { Ok(self) }
    }
}

impl std::fmt::Display for Trained {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { steps, total, planned, seconds, .. } = self;
        match steps {
            0 => write!(f, "training   {total} steps were made before")?,
            steps => write!(f, "training   {steps} steps in {seconds:.0} s")?,
        }
        if let Some(pace) = self.step_seconds {
            write!(f, ", {:.3} ms a step", pace * 1e3)?;
        }
        if total < planned {
            write!(f, " ({total} of {planned}: no better since)")?;
        }
        write!(f, ": {}", self.best.display())
    }
}
