//! A corpus like Hume-Reaction: one person's reaction to a stimulus, and how intense seven emotions are in it.
//!
//! A latent intensity of each emotion shows in the rendered face and sounds in the voice, each with noise of its own: the face
//! alone tells a part of the labels, the voice alone a smaller one, both together more. Amusement, disgust and surprise are seen
//! better, anxiety, empathic pain and fear are heard better. A few clips have no face, a few no sound. `docs/synthetic.md` gives
//! the model equation by equation.
//!
//! - [`generate_hume`]: a [`HumeSynthConfig`] → a folder in the published layout, `boxes.csv` and `truth.json`.
//! - [`HumeTruth`]: what `truth.json` says: each clip's intensities as they are, as they are seen and as they are heard, and what
//!   the best linear readout of the latter two reaches ([`Ceiling`]).
//!
//! ```
//! use react_synth::hume::{HumeSynthConfig, HumeTruth};
//! let config = HumeSynthConfig { train: 600, val: 200, ..HumeSynthConfig::default() };
//! let [face, voice, both] = HumeTruth::plan(&config)?.ceiling.mean();
//! assert!(voice < face && face + 0.05 < both, "{face} {voice} {both}");
//! # Ok::<(), react_synth::SynthError>(())
//! ```

mod ceiling;
mod config;
mod face;
mod generate;
mod latent;
mod truth;
mod voice;

pub use ceiling::Ceiling;
pub use config::{EMOTIONS, HUME_FPS, HUME_RATE, HumeSynthConfig};
pub use generate::generate_hume;
pub use latent::{Face, HumeClip};
pub use truth::HumeTruth;
