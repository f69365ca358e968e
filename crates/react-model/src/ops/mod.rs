//! Own operations for Candle, each with an exact gradient: they wrap the arithmetic of `kernels` and run on all cores. What
//! they compute does not depend on the number of threads: every reduction is cut in parts of a fixed size and order.

mod attention;
mod batch_norm;
mod conv3d;
mod conv_block;
mod conv_blocks;
mod conv_norm;
mod convolved;
mod dropout;
mod few_rows;
mod input;
mod layer_norm;
mod linear;
mod lstm;
mod max_pool3d;
mod picture_mean;
mod planned;

pub use crate::kernels::{Isa, Tail, isa};
pub(crate) use attention::{FramesOf, attention_within};
pub use attention::{Mask, attention, attention_to_past, masked_attention, masked_self_attention, self_attention};
pub use batch_norm::ChannelStatistics;
pub use conv_block::{ConvBlockShape, conv_block, conv_block_of_views};
pub use conv_blocks::conv_blocks;
pub use conv_norm::{ConvNormShape, Then, conv_norm};
pub use conv3d::{Conv3dShape, conv3d, conv3d_gradients};
pub(crate) use convolved::{Convolved, Running};
pub use dropout::{add_dropped, dropout};
pub(crate) use few_rows::{FewInto, FewLayer, few_linear, is_few, norm_of_linear, rows};
pub use layer_norm::layer_norm;
pub(crate) use layer_norm::norm_of_sum;
pub use linear::{Activation, linear};
pub use lstm::lstm;
pub(crate) use lstm::lstm_after;
pub use max_pool3d::{MaxPool3dShape, max_pool3d};
pub(crate) use picture_mean::picture_mean;

use candle_core::{CpuStorage, Layout, Result, Tensor};

/// The elements of a contiguous f32 argument.
fn floats<'a>(storage: &'a CpuStorage, layout: &Layout, op: &'static str) -> Result<&'a [f32]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::RequiresContiguous { op }.bt())?;
    storage.as_slice::<f32>()?.get(start..end).ok_or_else(|| candle_core::Error::Msg(format!("{op}: storage is too short")).bt())
}

/// Runs `f` on the elements of a tensor that lies on the CPU.
fn with_floats<T>(tensor: &Tensor, op: &'static str, f: impl FnOnce(&[f32]) -> Result<T>) -> Result<T> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(storage) => f(floats(storage, layout, op)?),
        _ => candle_core::bail!("{op}: no implementation on this device"),
    }
}

/// A gradient in the shape of its tensor, if that is tracked.
fn gradient(of: &Tensor, values: Vec<f32>) -> Result<Option<Tensor>> {
    if of.track_op() { Tensor::from_vec(values, of.shape(), of.device()).map(Some) } else { Ok(None) }
}

/// Rows of a matrix that one task works on.
const ROWS: usize = 64;
