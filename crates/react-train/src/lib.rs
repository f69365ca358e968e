//! Training, evaluation, prediction and scoring: the program `react-train` and its library.
//!
//! - [`Config`]: what a run is told (presets in `configs/`, `--config`, `--set`).
//! - [`pipeline`]: the whole job, from an empty folder to a report.
//! - [`train`], [`evaluate`], [`predict`], [`score`], [`report`]: its stages, each usable alone.
//! - [`Run`]: the folder `runs/<name>`.
//!
//! ```no_run
//! use react_train::train::Stop;
//! let config = react_train::Config::load("demo", &["train.epochs=1".to_owned()])?;
//! let outcome = react_train::pipeline::run(&config, &Stop::never())?;
//! println!("{}", outcome.report.display());
//! # Ok::<(), anyhow::Error>(())
//! ```

pub mod baselines;
mod batches;
pub mod cli;
mod compute;
pub mod config;
mod convert;
pub mod doctor;
pub mod eri;
pub mod evaluate;
pub mod neighbours;
pub mod pipeline;
pub mod plots;
pub mod predict;
mod program;
mod progress;
pub mod published;
pub mod render;
pub mod report;
mod run;
pub mod score;
mod tensors;
pub mod train;

pub use compute::Compute;
pub use config::{Config, CorpusKind, Frames, PRESETS, Schedule, Tail, Task};
pub use program::main;
pub use progress::Progress;
pub use run::{Record, Run};
