//! Progress for people: a bar on a terminal, plain lines elsewhere.

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Least time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// The progress of one stage: steps done of a known number, and a word on where it is.
#[derive(Debug)]
pub struct Progress {
    stage: &'static str,
    bar: Option<ProgressBar>,
    began: Instant,
    last_line: Mutex<Instant>,
    total: u64,
    /// Done before this stage began.
    before: u64,
    done: AtomicU64,
}

impl Progress {
    /// Begins a stage of `total` steps.
    #[must_use]
    pub fn new(stage: &'static str, total: u64) -> Self {
        Self::resumed(stage, total, 0)
    }

    /// Goes on with a stage of which `before` steps were done earlier, in a time that says nothing about this one.
    #[must_use]
    pub fn resumed(stage: &'static str, total: u64, before: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr()).with_position(before);
            bar.reset_eta();
            let style = ProgressStyle::with_template("{prefix:>9} [{bar:32}] {pos}/{len} {msg} ({eta} left)");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
            bar.set_prefix(stage);
            bar
        });
        // The first plain line comes after LINE_EVERY: short stages stay silent.
        let began = Instant::now();
        Self { stage, bar, began, last_line: Mutex::new(began), total, before, done: AtomicU64::new(before) }
    }

    /// `steps` more are done.
    pub fn advance(&self, steps: u64, message: &str) {
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
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
            let left = self.left(done).map_or_else(String::new, |left| format!(" ({} left)", HumanDuration(left)));
            tracing::info!("{}: {done} of {} {message}{left}", self.stage, self.total);
        }
    }

    /// What the rest takes at the mean speed so far; none before the first step.
    fn left(&self, done: u64) -> Option<Duration> {
        let now = done.checked_sub(self.before).filter(|now| *now > 0)?;
        Some(self.began.elapsed().mul_f64(self.total.saturating_sub(done) as f64 / now as f64))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
