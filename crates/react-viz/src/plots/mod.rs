//! Plots as vector graphics: losses, attributes over time, scores per clip, synchrony over lag.
//!
//! Each function returns a [`Figure`](crate::Figure): panels that a report lays out, or that
//! [`Figure::svg`](crate::Figure::svg) puts into one drawing. Axes have names and units, series have colours that people with
//! any common colour vision can tell apart, and the ink is the page's own text colour, so a plot works on light and dark.

mod axis;
mod channels;
mod clips;
mod lag;
mod losses;
mod panel;
mod scatter;
mod series;

pub use channels::{ChannelTraces, channels};
pub use clips::per_clip;
pub use lag::{LagCurve, lag_curves};
pub use losses::{LossHistory, LossPoint, losses};
pub use scatter::intensities;
