//! Runs plans on Candle's CUDA device: everything in the order of the device's one stream, nothing waits for the host.
//!
//! Kernels come from `kernels/*.cu`, products from cuBLAS, convolutions from cuDNN. What a thread has prepared (functions, tables,
//! cuDNN's choices and its workspace) it keeps.

pub(crate) mod convolution;
mod launch;
mod product;
pub(crate) mod profile;

use super::plan::{Plan, Role, Slot, Step, Type};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr, DeviceRepr, SyncOnDrop, ValidAsZeroBits};
use candle_core::cuda_backend::{CudaDType, CudaDevice, CudaStorageSlice, WrapErr as _};
use candle_core::op::BackpropOp;
use candle_core::{CudaStorage, Device, Layout, Result, Storage, Tensor};
use half::bf16;
use std::sync::Arc;

/// What 128-bit loads ask of an array's first byte.
const ALIGNMENT: u64 = 16;

/// Runs a plan on the storages of contiguous arguments, in the order of its inputs; the outputs in theirs.
pub(crate) fn run(plan: &Plan, inputs: &[(&CudaStorage, &Layout)]) -> Result<Vec<CudaStorage>> {
    match inputs.first() {
        Some((storage, _)) => run_on(plan, &storage.device, inputs),
        None => candle_core::bail!("a plan without inputs names no device"),
    }
}

/// The same for a plan of one output.
pub(crate) fn run_one(plan: &Plan, inputs: &[(&CudaStorage, &Layout)]) -> Result<CudaStorage> {
    match run(plan, inputs)?.pop() {
        Some(output) => Ok(output),
        None => candle_core::bail!("a plan without an output"),
    }
}

/// The same on tensors; outputs have one axis.
pub(crate) fn run_tensors(plan: &Plan, device: &Device, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let sizes = plan.arrays.iter().filter(|array| array.role == Role::Output).map(|array| array.len);
    let tensors = run_storages(plan, device, inputs)?.into_iter().zip(sizes);
    Ok(tensors.map(|(storage, len)| Tensor::from_storage(Storage::Cuda(storage), len, BackpropOp::none(), false)).collect())
}

/// The same, whose outputs become tensors elsewhere.
pub(crate) fn run_storages(plan: &Plan, device: &Device, inputs: &[&Tensor]) -> Result<Vec<CudaStorage>> {
    let guards: Vec<_> = inputs.iter().map(|tensor| tensor.storage_and_layout()).collect();
    let storages = guards.iter().map(|(storage, layout)| match &**storage {
        Storage::Cuda(storage) => Ok((storage, *layout)),
        _ => candle_core::bail!("an input of a plan is not on the GPU"),
    });
    run_on(plan, device.as_cuda_device()?, &storages.collect::<Result<Vec<_>>>()?)
}

fn run_on(plan: &Plan, device: &CudaDevice, inputs: &[(&CudaStorage, &Layout)]) -> Result<Vec<CudaStorage>> {
    let stream = device.cuda_stream();
    stream.context().bind_to_thread().w()?;
    let mut memory = Memory::new(plan, device, &stream, inputs)?;
    for step in &plan.steps {
        profile::timed(step, &stream, || match step {
            Step::Launch(launch) => launch::run(plan, launch, device, &stream, &memory),
            Step::Product(product) => product::run(plan, product, device, &memory),
            Step::Convolution(convolution) => convolution::run(plan, convolution, device, &stream, &memory),
        })?;
    }
    let outputs = plan.arrays.iter().zip(&mut memory.buffers).filter(|(array, _)| array.role == Role::Output);
    let outputs = outputs.filter_map(|(_, buffer)| buffer.take()).map(|slice| CudaStorage { slice, device: device.clone() });
    Ok(outputs.collect())
}

/// A plan's arrays on the device. What is dropped goes back to the device's pool in the order of the stream.
struct Memory<'a> {
    addresses: Vec<u64>,
    buffers: Vec<Option<CudaStorageSlice>>,
    /// Candle's record of who used an argument, where it keeps one.
    _uses: Vec<SyncOnDrop<'a>>,
}

impl<'a> Memory<'a> {
    fn new(plan: &Plan, device: &CudaDevice, stream: &'a Arc<CudaStream>, inputs: &'a [(&CudaStorage, &Layout)]) -> Result<Self> {
        let mut memory = Self { addresses: Vec::with_capacity(plan.arrays.len()), buffers: Vec::new(), _uses: Vec::new() };
        let mut inputs = inputs.iter();
        for (i, array) in plan.arrays.iter().enumerate() {
            let (address, buffer) = if array.role == Role::Input {
                let Some((storage, layout)) = inputs.next() else { candle_core::bail!("array {i} of a plan is not given") };
                let (address, used) = input(storage, layout, array.element, array.len, stream)?;
                memory._uses.push(used);
                if address % ALIGNMENT == 0 { (address, None) } else { aligned(storage, layout, array.element, stream)? }
            } else {
                owned(array.element, array.len, array.zeroed, device)?
            };
            memory.addresses.push(address);
            memory.buffers.push(buffer);
        }
        match inputs.next() {
            Some(_) => candle_core::bail!("more inputs than the plan has"),
            None => Ok(memory),
        }
    }

    fn address(&self, slot: Slot) -> u64 {
        self.addresses[slot.0]
    }
}

/// Where an argument's elements begin.
fn input<'a>(
    storage: &'a CudaStorage,
    layout: &Layout,
    element: Type,
    len: usize,
    stream: &'a CudaStream,
) -> Result<(u64, SyncOnDrop<'a>)> {
    fn of<'a, T: CudaDType + 'a>(storage: &'a CudaStorage, stream: &'a CudaStream) -> Result<(u64, SyncOnDrop<'a>)> {
        Ok(storage.as_cuda_slice::<T>()?.device_ptr(stream))
    }
    match layout.contiguous_offsets() {
        Some((start, end)) if end - start == len => {
            let (address, used) = match element {
                Type::F32 => of::<f32>(storage, stream),
                Type::Bf16 => of::<bf16>(storage, stream),
                Type::U8 => of::<u8>(storage, stream),
                Type::U32 => of::<u32>(storage, stream),
                Type::F64 => of::<f64>(storage, stream),
            }?;
            Ok((address + (start * element.bytes()) as u64, used))
        }
        Some((start, end)) => candle_core::bail!("an input of a plan has {} elements, not {len}", end - start),
        None => candle_core::bail!("an input of a plan is not contiguous"),
    }
}

/// An array of the plan's own.
fn owned(element: Type, len: usize, zeroed: bool, device: &CudaDevice) -> Result<(u64, Option<CudaStorageSlice>)> {
    fn of<T: DeviceRepr + ValidAsZeroBits>(len: usize, zeroed: bool, device: &CudaDevice) -> Result<(u64, CudaSlice<T>)> {
        // The driver has no allocation of 0 bytes.
        let len = len.max(1);
        // SAFETY: the plan's steps write what they read.
        let slice = if zeroed { device.alloc_zeros(len)? } else { unsafe { device.alloc(len)? } };
        let stream = slice.stream().clone();
        let address = slice.device_ptr(&stream).0;
        Ok((address, slice))
    }
    Ok(match element {
        Type::F32 => of(len, zeroed, device).map(|(a, s)| (a, Some(CudaStorageSlice::F32(s))))?,
        Type::Bf16 => of(len, zeroed, device).map(|(a, s)| (a, Some(CudaStorageSlice::BF16(s))))?,
        Type::U8 => of(len, zeroed, device).map(|(a, s)| (a, Some(CudaStorageSlice::U8(s))))?,
        Type::U32 => of(len, zeroed, device).map(|(a, s)| (a, Some(CudaStorageSlice::U32(s))))?,
        Type::F64 => of(len, zeroed, device).map(|(a, s)| (a, Some(CudaStorageSlice::F64(s))))?,
    })
}

/// A copy of an argument that begins where no 128-bit load may. A step must not change such an argument in place; parameters and
/// their moments, which steps do change, are tensors of their own.
fn aligned(storage: &CudaStorage, layout: &Layout, element: Type, stream: &Arc<CudaStream>) -> Result<(u64, Option<CudaStorageSlice>)> {
    fn of<T: CudaDType + DeviceRepr>(storage: &CudaStorage, layout: &Layout, stream: &Arc<CudaStream>) -> Result<(u64, CudaSlice<T>)> {
        let (start, end) = layout.contiguous_offsets().unwrap_or_default();
        let copy = stream.clone_dtod(&storage.as_cuda_slice::<T>()?.slice(start..end)).w()?;
        let address = copy.device_ptr(stream).0;
        Ok((address, copy))
    }
    Ok(match element {
        Type::F32 => of(storage, layout, stream).map(|(a, s)| (a, Some(CudaStorageSlice::F32(s))))?,
        Type::Bf16 => of(storage, layout, stream).map(|(a, s)| (a, Some(CudaStorageSlice::BF16(s))))?,
        Type::U8 => of(storage, layout, stream).map(|(a, s)| (a, Some(CudaStorageSlice::U8(s))))?,
        Type::U32 => of(storage, layout, stream).map(|(a, s)| (a, Some(CudaStorageSlice::U32(s))))?,
        Type::F64 => of(storage, layout, stream).map(|(a, s)| (a, Some(CudaStorageSlice::F64(s))))?,
    })
}
