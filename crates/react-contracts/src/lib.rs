//! The shared vocabulary of facial-reaction modelling: sizes, axes, channel names, and typed tensors that check themselves.
//!
//! A typed tensor is a newtype over its storage that only a checking constructor makes, so a function that takes one never
//! checks again. The storage is an ndarray array or view or, with the feature `candle`, a Candle tensor; one vocabulary
//! serves all. No I/O and no mathematics live here.
//!
//! ```
//! use ndarray::Array3;
//! use react_contracts::{Emotion, ContractError};
//!
//! let emotion = Emotion::new(Array3::<f32>::zeros((2, 750, 25)))?;
//! assert_eq!((emotion.batch(), emotion.frames()), (2, 750));
//!
//! let wrong = Emotion::new(Array3::<f32>::zeros((2, 750, 26))).unwrap_err().field("listener_emotion").at("val/1.csv");
//! assert_eq!(wrong.to_string(), "listener_emotion: axis 2 (attributes) must be 25, is 26 (file val/1.csv)");
//! # Ok::<(), ContractError>(())
//! ```

mod batch;
pub mod channels;
mod error;
mod storage;
mod tensors;

pub use batch::Batch;
pub use error::ContractError;
pub use storage::{Element, Storage};
pub use tensors::{AudioFeatures, Coeffs3dmm, Emotion, Frames, ReactionCoeffs, Reactions};

/// Emotion attributes per frame: 15 action units, valence and arousal, 8 expressions.
pub const ATTRIBUTES: usize = 25;
/// 3DMM coefficients per frame: 52 of expression, 3 of rotation, 3 of translation.
pub const COEFFS: usize = 58;
/// Expression coefficients among the 58.
pub const EXPRESSION_COEFFS: usize = 52;
/// Audio features of one MFCC window: 13 cepstra, their deltas and delta-deltas.
pub const FEATURES_PER_WINDOW: usize = 39;
/// Audio features per frame at 25 frames/s, where a frame holds two MFCC windows.
pub const AUDIO_FEATURES: usize = 2 * FEATURES_PER_WINDOW;
/// The most audio features of a frame, of whatever kind: 768 of a speech network are common.
pub const MAX_AUDIO_FEATURES: usize = 4096;
