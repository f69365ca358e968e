//! Plots, panel videos, filmstrips and the report: results that people can look at.
//!
//! - [`plots`]: losses, the 25 attributes over time, scores per clip, synchrony over lag, as vector graphics that work on
//!   light and dark pages and for any common colour vision ([`Colour`]);
//! - [`video`]: an mp4 of the speaker's frames beside faces rendered from 58 coefficients;
//! - [`strip`]: the same as a filmstrip in one PNG;
//! - [`table`]: scores as text, LaTeX and CSV;
//! - [`tensorboard`]: event files of scalars and pictures;
//! - [`Report`]: all of it in one HTML file that opens from disk and asks the network for nothing.
//!
//! What is drawn depends on the arguments alone: the same numbers give the same bytes, whatever the number of threads. Text
//! from outside is escaped wherever it goes.
//!
//! ```
//! use react_viz::plots::{LossHistory, LossPoint, losses};
//! let train = (0..100).map(|step| LossPoint { step, total: Some(1.0 / (1.0 + step as f64)), ..Default::default() }).collect();
//! let figure = losses(&LossHistory { train, ..Default::default() })?;
//! let svg = figure.svg()?.standalone();
//! assert!(svg.contains("training step") && svg.contains("loss, log scale"));
//! # Ok::<(), react_viz::VizError>(())
//! ```

mod canvas;
mod colour;
mod error;
mod escape;
mod faces;
mod font;
pub mod plots;
mod png;
pub mod report;
#[cfg(feature = "rerun")]
pub mod rerun;
mod scores;
pub mod strip;
mod svg;
pub mod table;
pub mod tensorboard;
pub mod video;

pub use colour::Colour;
pub use error::VizError;
pub use escape::escape;
pub use faces::Listener;
pub use png::Ground;
pub use report::{Animation, ClipRow, ClipTable, Example, Picture, Report, Settings, Video, Written};
pub use scores::{Better, Kind, Metric, Mode, Score, ScoreRow, ScoreTable, number, signed};
pub use svg::{Figure, Key, KeyShape, Svg};
