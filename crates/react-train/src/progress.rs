//! Progress for people: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of one stage: steps done of a known number, and a word on where it is.
#[derive(Debug)]
pub struct Progress {
    stage: &'static str,
    bar: Option<ProgressBar>,
    last_line: Mutex<Instant>,
    total: u64,
    done: std::sync::atomic::AtomicU64,
}

impl Progress {
    /// Begins a stage of `total` steps.
    #[must_use]
    pub fn new(stage: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{prefix:>9} [{bar:32}] {pos}/{len} {msg} ({eta} left)");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_prefix(stage);
            bar
        });
        // The first plain line comes after LINE_EVERY: short stages stay silent.
        Self { stage, bar, last_line: Mutex::new(Instant::now()), total, done: Default::default() }
    }

    /// `steps` more are done.
    pub fn advance(&self, steps: u64, message: &str) {
        let done = self.done.fetch_add(steps, std::sync::atomic::Ordering::Relaxed) + steps;
        match &self.bar {
            Some(bar) => {
                bar.set_message(message.to_owned());
                bar.set_position(done);
            }
            None => self.line(done, message),
        }
    }

    fn line(&self, done: u64, message: &str) {
        let Ok(mut last) = self.last_line.lock() else { return };
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            tracing::info!("{}: {done} of {} {message}", self.stage, self.total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
