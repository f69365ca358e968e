//! Plots as vector graphics: losses, attributes and coefficients over time, scores per clip, diversity, latent space, synchrony over
//! lag, window seams, intensities.
//!
//! Each function returns a [`Figure`](crate::Figure): panels that a report lays out, or that
//! [`Figure::svg`](crate::Figure::svg) puts into one drawing and [`Figure::write_png`](crate::Figure::write_png) into a picture. Axes
//! have names and units, series have colours that people with any common colour vision can tell apart, and the ink is the page's own
//! text colour, so a plot works on light and dark.

mod axis;
mod channels;
mod clips;
mod diversity;
mod lag;
mod latent;
mod losses;
mod overlay;
mod panel;
mod pca;
mod scatter;
mod seams;
mod series;

pub use channels::{ChannelTraces, channels, coefficients};
pub use clips::per_clip;
pub use diversity::{OfClips, Spread, spread, systems_by_clip};
pub use lag::{LagCurve, lag_curves};
pub use latent::{LatentPoints, latent_space};
pub use losses::{LossHistory, LossPoint, losses};
pub use overlay::{Curve, overlay};
pub use scatter::intensities;
pub use seams::{SeamCurve, seam_curves};
