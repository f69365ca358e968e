//! An NVIDIA card through Candle's cudarc. All unsafe code of this module's neighbours is here.

use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaEvent, CudaStream, DevicePtr, DeviceRepr, PinnedHostSlice, ValidAsZeroBits, result, sys,
};
use candle_core::cuda_backend::{CudaDType, CudaDevice, WrapErr};
use candle_core::{CudaStorage, Device, Result, Storage, Tensor};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// The cards that were opened, by number.
static OPENED: Mutex<BTreeMap<usize, Device>> = Mutex::new(BTreeMap::new());

/// The card of this number, with a stream of its own; the same one whenever it is asked for.
pub(super) fn open(number: usize) -> Result<Device> {
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(device) = opened.get(&number) {
        return Ok(device.clone());
    }
    let device = open_first(number)?;
    opened.insert(number, device.clone());
    Ok(device)
}

fn open_first(number: usize) -> Result<Device> {
    let device = Device::new_cuda_with_stream(number)?;
    let card = device.as_cuda_device()?;
    // SAFETY: all tensors are made, used and freed on the device's one stream. The only other stream is that of `Uploads`, which
    // orders itself with events.
    unsafe { card.disable_event_tracking() };
    // Otherwise the pool gives everything back to the system whenever somebody waits, and asks for it again afterwards.
    let mut keep = u64::MAX;
    set_attribute(card, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &mut keep)?;
    Ok(device)
}

/// The card's name, and its driver.
pub(super) fn facts(card: &CudaDevice) -> Result<[String; 2]> {
    let stream = card.cuda_stream();
    let context = stream.context();
    let (major, minor) = context.compute_capability().w()?;
    let gigabytes = context.total_mem().w()? as f64 / f64::from(1 << 30);
    let name = format!("{} ({gigabytes:.0} GiB, compute capability {major}.{minor})", context.name().w()?);
    let mut version = 0;
    // SAFETY: writes one integer.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().w()?;
    let cuda = format!("CUDA {}.{}", version / 1000, version % 1000 / 10);
    Ok([name, driver_release().map_or_else(|| cuda.clone(), |release| format!("{release}, {cuda}"))])
}

/// The release of the kernel's driver, as 580.65.06, where the system says it.
fn driver_release() -> Option<String> {
    let text = std::fs::read_to_string("/sys/module/nvidia/version").or_else(|_| std::fs::read_to_string("/proc/driver/nvidia/version"));
    let text = text.ok()?;
    let number = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    text.split_whitespace().find(number).map(str::to_owned)
}

fn pool(card: &CudaDevice) -> Result<sys::CUmemoryPool> {
    let stream = card.cuda_stream();
    stream.context().bind_to_thread().w()?;
    let mut pool = std::ptr::null_mut();
    // SAFETY: writes one handle, which lives as long as the device.
    unsafe { sys::cuDeviceGetDefaultMemPool(&mut pool, stream.context().cu_device()) }.result().w()?;
    Ok(pool)
}

fn set_attribute(card: &CudaDevice, attribute: sys::CUmemPool_attribute, value: &mut u64) -> Result<()> {
    // SAFETY: the attributes used here are 64-bit numbers.
    unsafe { sys::cuMemPoolSetAttribute(pool(card)?, attribute, std::ptr::from_mut(value).cast::<c_void>()) }.result().w()
}

pub(super) fn peak_bytes(card: &CudaDevice) -> Result<u64> {
    let mut value = 0u64;
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH;
    // SAFETY: the attribute is a 64-bit number.
    unsafe { sys::cuMemPoolGetAttribute(pool(card)?, attribute, std::ptr::from_mut(&mut value).cast::<c_void>()) }.result().w()?;
    Ok(value)
}

pub(super) fn forget_peak(card: &CudaDevice) -> Result<()> {
    set_attribute(card, sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, &mut 0)
}

/// Page-locked memory of the host: the card reads and writes it while the processor does other work.
pub(super) struct Pinned<T> {
    memory: PinnedHostSlice<T>,
}

/// Types of numbers that are copied.
pub(super) trait Number: CudaDType + DeviceRepr + ValidAsZeroBits + Copy + Default {}
impl Number for u8 {}
impl Number for f32 {}

impl<T: Number> Pinned<T> {
    /// `len` numbers, 0.
    pub(super) fn new(context: &Arc<CudaContext>, len: usize) -> Result<Self> {
        // SAFETY: it is filled at once.
        let mut memory = unsafe { context.alloc_pinned_with_flags::<T>(len.max(1), 0) }.w()?;
        memory.as_mut_slice().w()?.fill(T::default());
        Ok(Self { memory })
    }

    pub(super) fn len(&self) -> usize {
        self.memory.len()
    }

    /// The numbers; the caller has waited for copies from or to them.
    pub(super) fn values(&mut self) -> Result<&mut [T]> {
        self.memory.as_mut_slice().w()
    }

    /// Queues a copy of the first `len` numbers to the beginning of a tensor's memory.
    pub(super) fn copy_to(&self, len: usize, tensor: &Tensor, stream: &CudaStream) -> Result<()> {
        let to = address::<T>(tensor)?;
        let from = &self.memory.as_slice().w()?[..len];
        // SAFETY: `Uploads` keeps both memories, writes neither and frees neither before the event after this copy has come.
        unsafe { result::memcpy_htod_async(to, from, stream.cu_stream()) }.w()
    }

    /// Queues a copy of a tensor to the numbers from `start` on.
    pub(super) fn copy_from(&mut self, start: usize, tensor: &Tensor, stream: &CudaStream) -> Result<()> {
        let from = address::<T>(tensor)?;
        let to = &mut self.memory.as_mut_slice().w()?[start..start + tensor.elem_count()];
        // SAFETY: the tensor is freed on the same stream, after this copy; `Readback` keeps the memory until the event after it.
        unsafe { result::memcpy_dtoh_async(to, from, stream.cu_stream()) }.w()
    }
}

/// Where a contiguous tensor's numbers begin.
fn address<T: CudaDType>(tensor: &Tensor) -> Result<sys::CUdeviceptr> {
    let (storage, layout) = tensor.storage_and_layout();
    let Storage::Cuda(storage) = &*storage else { candle_core::bail!("a tensor of the card was wanted") };
    let Some((start, _)) = layout.contiguous_offsets() else { candle_core::bail!("a contiguous tensor was wanted") };
    let slice = CudaStorage::as_cuda_slice::<T>(storage)?;
    let (address, _guard) = slice.device_ptr(slice.stream());
    Ok(address + (start * size_of::<T>()) as sys::CUdeviceptr)
}

/// An event that no one has recorded: waiting for it takes no time.
pub(super) fn event(context: &Arc<CudaContext>) -> Result<CudaEvent> {
    context.new_event(None).w()
}
