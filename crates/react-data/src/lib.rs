//! From a corpus on disk to batches: published folder layouts, audio features, packing, neighbours, loader.
//!
//! - [`Corpus`], [`Recipe`]: where everything is in a published folder; [`ClipId`], [`Pair`]: who speaks to whom.
//! - [`doctor`]: what is wrong with a corpus; [`Faces`]: where the faces are.
//! - [`mfcc_per_frame`], [`mfcc`]: Kaldi-style audio features.
//! - [`prepare`]: decodes, resizes, crops and packs a corpus into NumPy files; resumable, the same bytes at any thread count.
//! - [`Packed`], [`PackedSplit`]: a packed corpus, memory-mapped; whole clips for evaluation.
//! - [`Loader`], [`Prefetch`]: training batches that follow from (seed, epoch, step) alone.
//! - [`hume`]: the same of Hume-Reaction: emotional reaction intensities.
//! - [`split_neighbours`], [`session_neighbours`]: which reactions are appropriate for which speaker.
//!
//! Units: samples in [−1, 1]; rates in Hz and frames/s; frames u8 RGB `[t, h, w, 3]`; rotations in radians.
//!
//! ```no_run
//! use react_data::{Loader, LoaderConfig, Packed, PrepareConfig, Recipe, prepare};
//! use std::sync::Arc;
//!
//! let recipe = Recipe::named("react2024")?;
//! let config = PrepareConfig::new(recipe, "data/react2024", "packed/react2024");
//! println!("{}", prepare(&config, &())?);
//!
//! let train = Arc::new(Packed::open(&config.out)?.split("train")?);
//! let loader = Loader::new(train, LoaderConfig { batch: 4, clip_length: 256, seed: 0 })?;
//! let batch = loader.batch(0, 0)?;
//! assert_eq!(batch.speaker_video().frames(), 256);
//! # Ok::<(), react_data::DataError>(())
//! ```

mod arrays;
mod clip;
mod corpus;
pub mod doctor;
mod error;
mod faces;
mod features;
pub mod hume;
mod loader;
mod neighbours;
mod packed;
mod prefetch;
mod prepare;
mod recipe;
mod table;
mod threads;

pub use arrays::{read_audio_features, read_coeffs, read_emotion, read_emotion_csv, read_mean_face};
pub use clip::{ClipId, Pair};
pub use corpus::{Appropriate, ClipFiles, Corpus, Part, Split, read_pairs};
pub use error::DataError;
#[cfg(feature = "detect")]
pub use faces::{Detector, FaceModel};
pub use faces::{FaceBoxes, FaceTrack, Faces};
pub use features::{Mfcc, MfccConfig, mfcc, mfcc_per_frame};
pub use loader::{Loader, LoaderConfig};
pub use neighbours::{AppropriateIndex, own_neighbours, session_neighbours, split_neighbours};
pub use packed::{Clip, Cut, Packed, PackedInfo, PackedSplit, Role, Store};
pub use prefetch::Prefetch;
pub use prepare::{PrepareConfig, PrepareReport, Progress, VerifyReport, prepare, verify};
pub use recipe::{Files, Folders, FramesRecipe, Layout, Recipe, SessionReactions};

/// A batch in host memory: frames u8 `[b, t, h, w, 3]`, values f32 `[b, t, …]`.
pub type HostBatch = react_contracts::Batch<ndarray::Array5<u8>, ndarray::Array3<f32>>;
