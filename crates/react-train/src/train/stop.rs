use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Exit code of a program that was ended by Ctrl-C, as shells count it.
const INTERRUPTED: i32 = 130;

/// Says when a training is to save and end before its time.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    flags: Arc<Flags>,
    after: Option<u64>,
}

#[derive(Debug, Default)]
struct Flags {
    asked: AtomicBool,
    listening: AtomicBool,
}

impl Stop {
    /// Never.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// After so many steps in all.
    #[must_use]
    pub fn after(steps: u64) -> Self {
        Self { after: Some(steps), ..Self::default() }
    }

    /// On Ctrl-C, and where the system ends the program (SIGTERM, SIGHUP). A second signal ends the program at once, and so does
    /// the first where no training listens: every other stage can be killed anywhere. Once in a program.
    ///
    /// # Errors
    /// Where the system refuses, or signals are handled already.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        let flags = Arc::clone(&stop.flags);
        let handler = move || {
            if flags.asked.swap(true, SeqCst) || !flags.listening.load(SeqCst) {
                std::process::exit(INTERRUPTED);
            }
            tracing::warn!("stopping after this step; once more ends the program at once");
        };
        ctrlc::set_handler(handler).context("cannot handle signals")?;
        Ok(stop)
    }

    /// Whether to end after `steps` steps.
    pub(crate) fn asked(&self, steps: u64) -> bool {
        self.flags.asked.load(SeqCst) || self.after.is_some_and(|after| steps >= after)
    }

    /// From now on, until what is returned is dropped, the first signal only asks.
    pub(crate) fn listen(&self) -> Listening {
        self.flags.listening.store(true, SeqCst);
        Listening(Arc::clone(&self.flags))
    }
}

/// A training listens.
pub(crate) struct Listening(Arc<Flags>);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listening.store(false, SeqCst);
    }
}

/// A training was stopped, and saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// Steps made.
    pub steps: u64,
    /// Steps planned.
    pub planned: u64,
}

impl Interrupted {
    /// What the program exits with.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        INTERRUPTED as u8
    }
}

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "stopped after {} of {} steps, and saved: the same command goes on from there", self.steps, self.planned)
    }
}

impl std::error::Error for Interrupted {}
