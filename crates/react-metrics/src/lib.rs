//! The metrics of the REACT challenge (multiple appropriate facial reaction generation) on plain array views: FRCorr, FRDist,
//! FRDiv, FRVar, FRDvs, FRSyn, ACC, the Fréchet distance behind FRRea; and those of emotional reaction intensity (ERI).
//!
//! Sources: S. Song et al., "REACT 2023: the first Multiple Appropriate Facial Reaction Generation Challenge", ACM MM 2023;
//! S. Song et al., "REACT 2024: the second …", FG 2024. `docs/metrics.md` of the repository explains each metric and its traps.
//!
//! N clips · K samples of each · T frames at 25 a second · 25 attributes (15 AUs, valence, arousal, 8 expressions)
//!
//! [`score`] finds everything at once, in two forms side by side: **published** (what the challenge's program computes, with
//! the artefacts of its definitions, in f64) and **sound** (without them). Predictions are f32 views, so a memory-mapped
//! array is read in place. All metrics are exact: FRDist prunes only what it can prove not to be nearest. Results are the
//! same, bit for bit, on any number of threads and on any instruction set.
//!
//! ```
//! use ndarray::{Array3, Array4};
//! use react_metrics::{Inputs, Neighbours, Options, score};
//!
//! let listener = Array3::from_shape_fn((2, 100, 25), |(i, t, c)| ((t + 3 * i) as f32 * 0.1 + c as f32).sin());
//! let prediction = Array4::from_shape_fn((2, 2, 100, 25), |(i, k, t, c)| listener[[i, t, c]] + k as f32);
//! let neighbours = Neighbours::identity(2);
//! let inputs = Inputs::new(prediction.view(), listener.view(), Some(listener.view()), &neighbours)?;
//! let scores = score(&inputs, &Options::default(), &|_| ());
//! assert!((scores.published.fr_div - 1.0).abs() < 1e-6); // the two samples are 1 apart …
//! assert!(scores.diagnostics.offset_share.unwrap() > 0.999); // … by an offset only
//! assert_eq!(scores.published.fr_syn, Some(0.0));
//! # Ok::<(), react_metrics::MetricsError>(())
//! ```

mod baselines;
mod bootstrap;
mod bounds;
mod checkpoint;
mod concordance;
mod diagnostics;
mod diversity;
mod dtw;
mod eri;
mod error;
mod frdist;
mod frechet;
mod input;
mod nearest;
mod neighbours;
mod pairwise;
mod progress;
mod score;
mod seams;
mod simd;
mod synchrony;
mod warp;

pub use baselines::{Baseline, Baselines, MeanReaction};
pub use bootstrap::{Bootstrap, Interval, bootstrap};
pub use checkpoint::{Checkpoint, Unit};
pub use concordance::{ccc, fr_corr, pearson};
pub use diagnostics::{ChannelShare, Diagnostics, Saturation};
pub use diversity::{fr_div, fr_dvs, fr_var};
pub use dtw::{dtw, reaction_distance};
pub use eri::{ERI_EMOTIONS, EmotionScores, EriScores, eri, eri_of};
pub use error::MetricsError;
pub use frdist::{Accuracy, accuracy, fr_dist};
pub use frechet::{Gaussian, frechet_distance};
pub use input::Inputs;
pub use nearest::{Nearest, Pruning};
pub use neighbours::Neighbours;
pub use pairwise::reaction_distances;
pub use progress::{OnProgress, Progress, Stage};
pub use score::{ClipScores, Options, Published, Scores, Sound, score};
pub use seams::{Seams, seams};
pub use simd::InstructionSet;
pub use synchrony::fr_syn;

pub(crate) use react_contracts::channels;

/// Mean; NaN of nothing, which checked inputs exclude.
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
