//! Numbers from a card without a stop.

use crate::Result;
use candle_core::{DType, Device, Tensor};

#[cfg(feature = "cuda")]
use super::cuda::{Pinned, event};
#[cfg(feature = "cuda")]
use candle_core::cuda_backend::{WrapErr, cudarc::driver::CudaEvent};

/// Sends numbers from a device to the host; they are read when they have come, while the device goes on with what was queued
/// since.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::device::Readback;
/// let mut readback = Readback::new(&Cpu);
/// let (a, b) = (Tensor::new(2f32, &Cpu)?, Tensor::new(&[3f32, 4.0], &Cpu)?);
/// let sent = readback.send(&[&a, &b])?; // and on a card: queue the next step here
/// assert_eq!(readback.read(sent)?, [2.0, 3.0, 4.0]);
/// # Ok::<(), react_model::ModelError>(())
/// ```
pub struct Readback {
    #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "the processor needs no stream"))]
    device: Device,
    /// Memory of sent numbers that have been read.
    #[cfg(feature = "cuda")]
    spare: Vec<(Pinned<f32>, CudaEvent)>,
}

/// Numbers on their way.
pub struct Sent(Way);

enum Way {
    /// On the processor: they are there.
    Here(Vec<f32>),
    #[cfg(feature = "cuda")]
    Coming(Coming),
}

#[cfg(feature = "cuda")]
struct Coming {
    /// Where to, and the event after the copy; taken when it is read.
    to: Option<(Pinned<f32>, CudaEvent)>,
    count: usize,
}

/// What nobody reads comes all the same: its memory must still be there.
#[cfg(feature = "cuda")]
impl Drop for Coming {
    fn drop(&mut self) {
        if let Some((_, come)) = &self.to {
            let _ = come.synchronize();
        }
    }
}

impl Readback {
    /// For tensors of a device.
    #[must_use]
    pub fn new(device: &Device) -> Self {
        Self {
            device: device.clone(),
            #[cfg(feature = "cuda")]
            spare: Vec::new(),
        }
    }

    /// Sends the numbers of some tensors, one after the other.
    ///
    /// # Errors
    /// Candle's.
    pub fn send(&mut self, tensors: &[&Tensor]) -> Result<Sent> {
        let tensors = tensors.iter().map(|tensor| tensor.to_dtype(DType::F32)?.flatten_all()?.contiguous());
        let tensors = tensors.collect::<candle_core::Result<Vec<_>>>()?;
        #[cfg(feature = "cuda")]
        if let Device::Cuda(card) = &self.device {
            let stream = card.cuda_stream();
            let count: usize = tensors.iter().map(Tensor::elem_count).sum();
            let found = self.spare.iter().position(|(memory, _)| memory.len() >= count).map(|i| self.spare.swap_remove(i));
            let (mut memory, come) = match found {
                Some(pair) => pair,
                None => (Pinned::new(stream.context(), count.max(16))?, event(stream.context())?),
            };
            let mut start = 0;
            for tensor in &tensors {
                memory.copy_from(start, tensor, &stream)?;
                start += tensor.elem_count();
            }
            come.record(&stream).w()?;
            return Ok(Sent(Way::Coming(Coming { to: Some((memory, come)), count })));
        }
        let mut values = Vec::new();
        for tensor in tensors {
            values.extend(tensor.to_vec1::<f32>()?);
        }
        Ok(Sent(Way::Here(values)))
    }

    /// The numbers, when they have come.
    ///
    /// # Errors
    /// Candle's: of anything that went wrong on the device since.
    pub fn read(&mut self, sent: Sent) -> Result<Vec<f32>> {
        match sent.0 {
            Way::Here(values) => Ok(values),
            #[cfg(feature = "cuda")]
            Way::Coming(mut coming) => {
                let Some((mut memory, come)) = coming.to.take() else { return Ok(Vec::new()) };
                come.synchronize().w()?;
                let values = memory.values()?[..coming.count].to_vec();
                self.spare.push((memory, come));
                Ok(values)
            }
        }
    }
}

impl std::fmt::Debug for Readback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readback").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Sent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}
