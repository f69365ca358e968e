use super::floats;
use crate::kernels::Conv;
use candle_core::{CpuStorage, Layout, Result, Tensor};

/// Frames as they come.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Bytes(&'a [u8]),
    Floats(&'a [f32]),
}

impl<'a> Input<'a> {
    /// The elements of a contiguous argument.
    pub(super) fn of(storage: &'a CpuStorage, layout: &Layout, op: &'static str) -> Result<Self> {
        match storage {
            CpuStorage::U8(bytes) => {
                let (start, end) = layout.contiguous_offsets().ok_or_else(|| candle_core::Error::RequiresContiguous { op }.bt())?;
                Ok(Self::Bytes(&bytes[start..end]))
            }
            _ => Ok(Self::Floats(floats(storage, layout, op)?)),
        }
    }

    /// Runs `f` on the elements of a tensor that lies on the CPU.
    pub(super) fn with<T>(x: &Tensor, op: &'static str, f: impl FnOnce(Input) -> Result<T>) -> Result<T> {
        let x = x.contiguous()?;
        let (storage, layout) = x.storage_and_layout();
        match &*storage {
            candle_core::Storage::Cpu(storage) => f(Input::of(storage, layout, op)?),
            _ => candle_core::bail!("{op}: no implementation on this device"),
        }
    }

    /// Copies frame `i` into a padded one.
    pub(super) fn pad(&self, conv: &Conv, i: usize, padded: &mut [f32]) {
        let range = i * conv.in_frame()..(i + 1) * conv.in_frame();
        match self {
            Self::Bytes(x) => conv.pad_bytes(&x[range], padded),
            Self::Floats(x) => conv.pad(&x[range], padded),
        }
    }

    /// Copies `count` frames from `first` on into padded ones.
    pub(super) fn pad_group(&self, conv: &Conv, first: usize, count: usize, padded: &mut [f32]) {
        for (i, padded) in padded.chunks_exact_mut(conv.padded_frame()).take(count).enumerate() {
            self.pad(conv, first + i, padded);
        }
    }

    /// Elements that are floats; none of bytes.
    pub(super) fn floats(&self, range: std::ops::Range<usize>) -> &[f32] {
        match self {
            Self::Floats(x) => &x[range],
            Self::Bytes(_) => &[],
        }
    }
}
