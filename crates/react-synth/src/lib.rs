//! Synthetic dyads with known appropriate reactions, written in the challenge's own layout.
//!
//! A speaker lives through one of several affect *scripts*, seen in the face and heard in the voice; a listener answers each
//! event after a delay, in one of several styles. The appropriate reactions to a clip are those to the same script, so the
//! neighbour matrix is known by construction, and an oracle ([`World::oracle`]) can draw as many as are wanted. The corpus is
//! a test that can fail: events fall at random times, no frame gives the script away, face and voice each tell half of it,
//! and nobody of the validation split is in the training split. `docs/synthetic.md` gives the model equation by equation.
//!
//! - [`generate`]: a [`SynthConfig`] → a folder of mp4, wav, csv and npy files. The same seed gives the same bytes on any
//!   number of threads.
//! - [`hume`]: reactions of one person to a stimulus, with intensities of seven emotions, in Hume-Reaction's layout.
//! - [`World`]: the same as numbers, without a file. [`Truth`]: what `truth.json` says about a corpus on disk.
//!
//! Units: frames at 25 a second, sound at 44.1 kHz in [−1, 1], rotations in rad, translations in dm.
//!
//! ```
//! use react_synth::{Split, SynthConfig, World};
//! let world = World::new(&SynthConfig { pairs_train: 8, pairs_val: 4, frames: 64, ..SynthConfig::default() })?;
//! let dyad = &world.dyads()[0];
//! assert_eq!(world.attributes(dyad, 1).dim(), (64, 25));
//! assert_eq!(world.oracle(Split::Val, 2).attributes.dim(), (8, 2, 64, 25)); // 4 pairs in both roles
//! assert_eq!(world.appropriate().row(0).sum(), 2.0); // 8 training pairs, 4 scripts
//! # Ok::<(), react_synth::SynthError>(())
//! ```

mod actor;
mod affect;
mod config;
mod error;
mod generate;
pub mod hume;
mod perform;
mod script;
mod signal;
mod speech;
mod timeline;
mod truth;
mod world;

pub use config::{FPS, RATE, SynthConfig};
pub use error::SynthError;
pub use generate::{SynthReport, generate};
pub use script::Kind;
pub use timeline::{Event, Style};
pub use truth::{TruePair, Truth};
pub use world::{Dyad, OracleReactions, Split, World};
