//! The arithmetic, on slices: no Candle here, no tensors. [`crate::ops`] wraps it in operations with gradients.
#![allow(
    clippy::needless_range_loop,
    clippy::too_many_arguments,
    clippy::excessive_precision,
    reason = "arithmetic over several slices at once reads best by index; constants are given exactly"
)]

mod attention;
mod conv;
mod elementary;
mod lstm;
pub(crate) mod memory;
mod norm;
mod random;
mod simd;
mod tile;
mod winograd;

pub(crate) use attention::{AttentionShape, Heads};
pub(crate) use conv::{Conv, GradientWeights, Time, Weights};
pub(crate) use lstm::{LstmShape, LstmTrace};
pub use memory::keep_freed_memory;
pub use norm::Tail;
pub(crate) use norm::{Moments, Tiled, Winners};
pub(crate) use random::{DropKey, keep_scale};
pub(crate) use simd::multiversion;
pub use simd::{Isa, isa};
pub(crate) use tile::{Lhs, Out, Packed, Panels, panel, product};

/// How many parts a reduction is cut into, whatever the number of threads: the order of a sum must not depend on the machine.
pub(crate) const PARTS: usize = 16;

/// Part `part` of `parts` of `0..n`, as even as can be.
pub(crate) fn part(n: usize, parts: usize, part: usize) -> std::ops::Range<usize> {
    n * part / parts..n * (part + 1) / parts
}
