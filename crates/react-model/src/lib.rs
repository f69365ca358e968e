//! Networks for facial reactions on Candle: Trans-VAE, its layers, its loss, its optimizer, weights in and out.
#![doc = concat!("\n", include_str!("../README.md"))]

pub mod device;
pub mod eri;
mod error;
pub mod frozen;
mod gpu;
pub mod inception;
mod kernels;
pub mod layers;
pub mod loss;
mod mode;
pub mod ops;
pub mod optim;
mod params;
pub mod pirender;
mod tape;
pub mod transvae;
pub mod weights;

pub use error::{ModelError, Result};
pub use kernels::keep_freed_memory;
pub use mode::{Mode, Precision};
pub use params::{Init, Params, Scope};
