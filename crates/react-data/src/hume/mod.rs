//! Hume-Reaction: emotional reaction intensities (ERI), from the published folder to batches.
//!
//! - [`HumeCorpus`], [`HumeRecipe`]: which clips there are, their labels, where their video and sound are.
//! - [`prepare_hume`]: 32 frames of each clip at 112², 40 cepstra in 128 steps, labels; resumable, the same bytes at any thread
//!   count. [`crate::Faces`] says where the faces are; clips without one, and without sound, are kept and marked.
//! - [`prepare_one`]: the same of a single mp4 and wav, in memory, for prediction.
//! - [`EriPacked`], [`EriSplit`], [`EriBatch`]: a packed corpus as batches; [`order`]: the order of an epoch.
//!
//! Units: frames u8 RGB `[t, h, w, 3]`; cepstra of 25 ms windows every 10 ms of 16 kHz mono; labels in [0, 1].
//!
//! ```no_run
//! use react_data::hume::{EriPacked, HumeConfig, order, prepare_hume};
//!
//! let config = HumeConfig { root: "data/hume".into(), out: "packed/hume".into(), ..HumeConfig::default() };
//! println!("{}", prepare_hume(&config, &())?);
//! let train = EriPacked::open(&config.out)?.split("train")?;
//! let batch = train.batch(&order(0, 0, train.len())[..8])?;
//! assert_eq!(batch.frames.dim(), (8, 32, 112, 112, 3));
//! assert_eq!(batch.mfcc.dim(), (8, 128, 40));
//! # Ok::<(), react_data::DataError>(())
//! ```

mod clip;
mod corpus;
mod labels;
mod packed;
mod prepare;
mod recipe;
mod sampling;
mod sound;
mod video;

pub use clip::{ClipShape, EriClip, prepare_one};
pub use corpus::{HumeClip, HumeCorpus, HumeSplit, LostClip};
pub use packed::{EriBatch, EriInfo, EriPacked, EriSplit, order};
pub use prepare::{HumeConfig, HumeReport, Undecodable, prepare_hume};
pub use recipe::{HumeFiles, HumeFolders, HumeFrames, HumeRecipe, HumeSound};
pub(crate) use sampling::unbracketed;
pub use sampling::{Sampling, uniform_frames};
pub use sound::{CEPSTRA, SOUND_RATE, pool_steps};
pub(crate) use sound::{Sound, read_sound};
