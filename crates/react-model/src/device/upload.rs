//! Batches to a card while it computes.
//!
//! ```text
//! loader ─▶ batch ─(this thread)─▶ page-locked memory ─(a stream of its own)─▶ the card's memory ─▶ a step
//! ```
//!
//! There are two of each memory. The stream of copies waits for the step that still reads a memory before it writes there, and a step's
//! stream waits for its batch's copy; the host waits for neither.

use crate::{ModelError, Result};
use candle_core::{Device, Tensor};
use ndarray::{Array3, Array5, ArrayViewD};
use react_contracts::{AudioFeatures, Batch, Coeffs3dmm, Emotion, Frames};

#[cfg(feature = "cuda")]
use {
    super::cuda::{Number, Pinned, event},
    candle_core::cuda_backend::{CudaDevice, WrapErr, cudarc::driver::CudaEvent, cudarc::driver::CudaStream},
    rayon::prelude::*,
    std::sync::{Arc, Weak, mpsc},
    std::thread::JoinHandle,
};

/// A batch in the host's memory.
pub type HostBatch = Batch<Array5<u8>, Array3<f32>>;
/// A batch of tensors.
pub type TensorBatch = Batch<Tensor, Tensor>;

/// A batch in the host's memory, as it is copied: one array of bytes, and arrays of numbers.
pub trait Upload: Send + 'static {
    /// The same on a card.
    type There: Send + 'static;

    /// Its bytes.
    fn pixels(&self) -> ArrayViewD<'_, u8>;

    /// Its numbers.
    fn values(&self) -> Vec<ArrayViewD<'_, f32>>;

    /// The batch of tensors: of the bytes, and of all numbers, in the order and shapes of [`Self::values`].
    ///
    /// # Errors
    /// Where they do not fit together.
    fn there(&self, pixels: Tensor, values: Vec<Tensor>) -> Result<Self::There>;
}

impl Upload for HostBatch {
    type There = TensorBatch;

    fn pixels(&self) -> ArrayViewD<'_, u8> {
        self.speaker_video().get().view().into_dyn()
    }

    fn values(&self) -> Vec<ArrayViewD<'_, f32>> {
        let arrays = [self.speaker_audio().get(), self.speaker_emotion().get(), self.listener_emotion().get(), self.listener_3dmm().get()];
        arrays.map(|array| array.view().into_dyn()).into()
    }

    fn there(&self, pixels: Tensor, values: Vec<Tensor>) -> Result<TensorBatch> {
        let [audio, speaker, listener, coeffs] = <[Tensor; 4]>::try_from(values)
            .map_err(|values| super::fault(format!("a batch of {} arrays of numbers, not of 4", values.len())))?;
        let audio = AudioFeatures::of(self.speaker_audio().features(), audio)?;
        Ok(Batch::new(Frames::new(pixels)?, audio, Emotion::new(speaker)?, Emotion::new(listener)?, Coeffs3dmm::new(coeffs)?)?)
    }
}

/// Where batches come from; asked on a thread of [`Uploads`].
pub trait Source: Send + 'static {
    /// What it gives.
    type Batch: Upload;
    /// What can go wrong.
    type Error: From<ModelError> + Send + 'static;

    /// The next batch; none at the end.
    fn next(&mut self) -> Option<Result<Self::Batch, Self::Error>>;

    /// A batch that is done with, for its memory.
    fn recycle(&mut self, _batch: Self::Batch) {}
}

/// Batches `T` on a card, the next ones on their way while one is in use.
pub struct Uploads<T, E> {
    #[cfg(feature = "cuda")]
    ring: Ring<T, E>,
    #[cfg(not(feature = "cuda"))]
    never: (std::convert::Infallible, std::marker::PhantomData<(T, E)>),
}

/// A batch on a card, until it is dropped: its tensors must not be used after that, not even by what was queued later.
pub struct Lent<T> {
    #[cfg(feature = "cuda")]
    lent: LentSlot<T>,
    #[cfg(not(feature = "cuda"))]
    never: (std::convert::Infallible, std::marker::PhantomData<T>),
}

#[cfg(not(feature = "cuda"))]
impl<T: Send + 'static, E: From<ModelError> + Send + 'static> Uploads<T, E> {
    /// Begins to fetch batches for a card.
    ///
    /// # Errors
    /// Without the feature `cuda` always: batches of the processor need no copy.
    pub fn new<S: Source<Error = E>>(_device: &Device, _source: S) -> Result<Self>
    where
        S::Batch: Upload<There = T>,
    {
        Err(super::fault("only a CUDA card gets its batches by copies".to_owned()))
    }
}

#[cfg(not(feature = "cuda"))]
impl<T, E> Iterator for Uploads<T, E> {
    type Item = Result<Lent<T>, E>;

    fn next(&mut self) -> Option<Result<Lent<T>, E>> {
        match self.never.0 {}
    }
}

#[cfg(not(feature = "cuda"))]
impl<T> std::ops::Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self.never.0 {}
    }
}

impl<T, E> std::fmt::Debug for Uploads<T, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Uploads").finish_non_exhaustive()
    }
}

impl<T> std::fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lent").finish_non_exhaustive()
    }
}

/// Memories of batches: one is read by a step while the other is written.
#[cfg(feature = "cuda")]
const SLOTS: usize = 2;
/// Arrays of numbers begin at multiples of this in their memory, so that kernels may load many at once.
#[cfg(any(feature = "cuda", test))]
const ALIGNED: usize = 64;
/// Bytes that one thread copies at a time.
#[cfg(feature = "cuda")]
const CHUNK: usize = 4 << 20;

/// Where arrays of these lengths begin when they lie in one memory, and its length.
#[cfg(any(feature = "cuda", test))]
fn places(lengths: impl Iterator<Item = usize>) -> (Vec<usize>, usize) {
    let mut end = 0;
    let place = |length: usize| {
        let start = end;
        end += length.next_multiple_of(ALIGNED);
        start
    };
    let starts = lengths.map(place).collect();
    (starts, end)
}

#[cfg(feature = "cuda")]
struct Ring<T, E> {
    compute: Arc<CudaStream>,
    full: mpsc::Receiver<Result<Filled<T>, E>>,
    /// The only one that holds the channel open: a batch that outlives this must not keep the thread.
    free: Option<Arc<mpsc::Sender<Slot>>>,
    thread: Option<JoinHandle<()>>,
}

/// One memory: the host's part and the card's.
#[cfg(feature = "cuda")]
struct Slot {
    pixels: (Pinned<u8>, Tensor),
    values: (Pinned<f32>, Tensor),
    /// After the copy to the card.
    copied: CudaEvent,
    /// After the step that read it.
    used: CudaEvent,
}

#[cfg(feature = "cuda")]
struct Filled<T> {
    slot: Slot,
    batch: T,
}

/// What is filled from a source.
#[cfg(feature = "cuda")]
type FilledBy<S> = Filled<<<S as Source>::Batch as Upload>::There>;

#[cfg(feature = "cuda")]
struct LentSlot<T> {
    batch: T,
    compute: Arc<CudaStream>,
    slot: Option<Slot>,
    free: Weak<mpsc::Sender<Slot>>,
}

#[cfg(feature = "cuda")]
impl<T: Send + 'static, E: From<ModelError> + Send + 'static> Uploads<T, E> {
    /// Begins to fetch batches for a card.
    ///
    /// # Errors
    /// [`ModelError::Config`] where the device is no card, Candle's where it has no memory.
    pub fn new<S: Source<Error = E>>(device: &Device, source: S) -> Result<Self>
    where
        S::Batch: Upload<There = T>,
    {
        let Device::Cuda(card) = device else {
            return Err(super::fault("only a CUDA card gets its batches by copies".to_owned()));
        };
        let (free, freed) = mpsc::channel();
        let (filled, full) = mpsc::sync_channel(SLOTS);
        for _ in 0..SLOTS {
            // The receiver is here: this cannot fail.
            let _ = free.send(Slot::new(card, 1, 1)?);
        }
        let copies = card.cuda_stream().context().new_stream().w()?;
        let mut filler = Filler { card: card.clone(), copies, source };
        let work = move || {
            while let Ok(slot) = freed.recv() {
                let Some(found) = filler.fill(slot) else { break };
                let failed = found.is_err();
                if filled.send(found).is_err() || failed {
                    break;
                }
            }
            // Nothing is freed under a copy.
            let _ = filler.copies.synchronize();
        };
        let thread = std::thread::Builder::new().name("copies to the card".to_owned()).spawn(work);
        let thread = thread.map_err(|error| super::fault(format!("no thread for copies: {error}")))?;
        Ok(Self { ring: Ring { compute: card.cuda_stream(), full, free: Some(Arc::new(free)), thread: Some(thread) } })
    }
}

/// What is queued after a batch was taken waits on the card until it is there.
#[cfg(feature = "cuda")]
impl<T, E: From<ModelError>> Iterator for Uploads<T, E> {
    type Item = Result<Lent<T>, E>;

    fn next(&mut self) -> Option<Result<Lent<T>, E>> {
        let Ring { compute, full, free, .. } = &self.ring;
        let Filled { slot, batch } = match full.recv().ok()? {
            Ok(filled) => filled,
            Err(error) => return Some(Err(error)),
        };
        if let Err(error) = compute.wait(&slot.copied).w() {
            return Some(Err(ModelError::from(error).into()));
        }
        let lent = LentSlot { batch, compute: Arc::clone(compute), slot: Some(slot), free: Arc::downgrade(free.as_ref()?) };
        Some(Ok(Lent { lent }))
    }
}

#[cfg(feature = "cuda")]
impl<T, E> Drop for Ring<T, E> {
    fn drop(&mut self) {
        // The thread ends when nobody can send it a memory, or take one from it.
        self.free = None;
        while self.full.recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(feature = "cuda")]
impl<T> std::ops::Deref for Lent<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lent.batch
    }
}

#[cfg(feature = "cuda")]
impl<T> Drop for LentSlot<T> {
    fn drop(&mut self) {
        let Some(slot) = self.slot.take() else { return };
        // Without the event the memory could be written too early: then it is not used again, and the batches end.
        if slot.used.record(&self.compute).is_ok()
            && let Some(free) = self.free.upgrade()
        {
            let _ = free.send(slot);
        }
    }
}

#[cfg(feature = "cuda")]
impl Slot {
    fn new(card: &CudaDevice, pixels: usize, values: usize) -> Result<Self> {
        let (stream, device) = (card.cuda_stream(), Device::Cuda(card.clone()));
        let context = stream.context();
        let slot = Self {
            pixels: (Pinned::new(context, pixels)?, Tensor::zeros(pixels, candle_core::DType::U8, &device)?),
            values: (Pinned::new(context, values)?, Tensor::zeros(values, candle_core::DType::F32, &device)?),
            copied: event(context)?,
            used: event(context)?,
        };
        // The memory is there when the stream comes to this.
        slot.used.record(&stream).w()?;
        Ok(slot)
    }
}

/// The memories are given back where no copy goes on.
#[cfg(feature = "cuda")]
impl Drop for Slot {
    fn drop(&mut self) {
        let _ = self.copied.synchronize();
    }
}

#[cfg(feature = "cuda")]
struct Filler<S> {
    card: CudaDevice,
    copies: Arc<CudaStream>,
    source: S,
}

#[cfg(feature = "cuda")]
impl<S: Source> Filler<S> {
    fn fill(&mut self, slot: Slot) -> Option<Result<FilledBy<S>, S::Error>> {
        match self.source.next()? {
            Err(error) => Some(Err(error)),
            Ok(batch) => {
                let found = self.send(slot, &batch).map_err(S::Error::from);
                self.source.recycle(batch);
                Some(found)
            }
        }
    }

    /// Copies a batch to the slot's pinned memory, and queues the copy from there to the card.
    fn send<B: Upload>(&self, mut slot: Slot, batch: &B) -> Result<Filled<B::There>> {
        let (video, arrays) = (batch.pixels(), batch.values());
        let (starts, count) = places(arrays.iter().map(ndarray::ArrayBase::len));
        // The last copy from here must be over before the host writes again.
        slot.copied.synchronize().w()?;
        if slot.pixels.0.len() < video.len() || slot.values.0.len() < count {
            slot = Slot::new(&self.card, video.len(), count)?;
        }
        copy_all(video.as_slice(), video.iter().copied(), &mut slot.pixels.0.values()?[..video.len()]);
        for (array, start) in arrays.iter().zip(&starts) {
            copy_all(array.as_slice(), array.iter().copied(), &mut slot.values.0.values()?[*start..start + array.len()]);
        }
        self.copies.wait(&slot.used).w()?;
        slot.pixels.0.copy_to(video.len(), &slot.pixels.1, &self.copies)?;
        slot.values.0.copy_to(count, &slot.values.1, &self.copies)?;
        slot.copied.record(&self.copies).w()?;
        let pixels = slot.pixels.1.narrow(0, 0, video.len())?.reshape(video.shape())?;
        let tensors = arrays.iter().zip(starts).map(|(array, start)| slot.values.1.narrow(0, start, array.len())?.reshape(array.shape()));
        let batch = batch.there(pixels, tensors.collect::<candle_core::Result<_>>()?)?;
        Ok(Filled { slot, batch })
    }
}

/// Copies an array, in parts side by side where it lies in one piece: one thread alone does not fill the bus.
#[cfg(feature = "cuda")]
fn copy_all<T: Number + Send + Sync>(from: Option<&[T]>, one_by_one: impl Iterator<Item = T>, to: &mut [T]) {
    match from {
        Some(from) => to.par_chunks_mut(CHUNK).zip(from.par_chunks(CHUNK)).for_each(|(to, from)| to.copy_from_slice(from)),
        None => to.iter_mut().zip(one_by_one).for_each(|(to, from)| *to = from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_in_one_memory_begin_aligned_and_do_not_overlap() {
        assert_eq!(places([78, 25, 64, 1].into_iter()), (vec![0, 128, 192, 256], 320));
        assert_eq!(places([0, 3].into_iter()), (vec![0, 0], 64));
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn the_processor_needs_no_copies() {
        struct Nothing;
        impl Source for Nothing {
            type Batch = HostBatch;
            type Error = ModelError;
            fn next(&mut self) -> Option<Result<HostBatch>> {
                None
            }
        }
        assert!(Uploads::new(&Device::Cpu, Nothing).is_err());
    }
}
