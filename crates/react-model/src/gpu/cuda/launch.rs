//! Kernels of `kernels/*.cu`.

use super::Memory;
use crate::gpu::plan::{Arg, Launch, Plan};
use candle_core::Result;
use candle_core::cuda_backend::cudarc::driver::sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
use candle_core::cuda_backend::cudarc::driver::{CudaFunction, CudaSlice, CudaStream, DevicePtr, result};
use candle_core::cuda_backend::{CudaDevice, DeviceId, WrapErr as _};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

include!(concat!(env!("OUT_DIR"), "/modules.rs"));

#[derive(Clone)]
struct Loaded {
    function: CudaFunction,
    /// Dynamic shared memory it may take.
    shared: u32,
}

type Numbers = Arc<CudaSlice<u32>>;

/// Tables that a thread keeps before it begins anew: sizes that change all the time must not fill the card.
const MOST_TABLES: usize = 4096;

thread_local! {
    static FUNCTIONS: RefCell<HashMap<(DeviceId, &'static str), Loaded>> = RefCell::default();
    static NUMBERS: RefCell<HashMap<(DeviceId, Vec<u32>), Numbers>> = RefCell::default();
}

fn function(device: &CudaDevice, launch: &Launch) -> Result<CudaFunction> {
    let key = (device.id(), launch.kernel);
    if let Some(loaded) = FUNCTIONS.with_borrow(|f| f.get(&key).cloned())
        && (loaded.shared >= launch.shared || !launch.asks_for_shared())
    {
        return Ok(loaded.function);
    }
    let entry = format!(".entry {}(", launch.kernel);
    let Some((module, ptx)) = MODULES.iter().find(|(_, ptx)| ptx.contains(&entry)) else {
        candle_core::bail!("no kernel {}: was the program built with a stand-in for nvcc?", launch.kernel)
    };
    let function = device.get_or_load_custom_func(launch.kernel, &format!("react_{module}"), ptx)?.into_cuda_function();
    if launch.asks_for_shared() {
        function.set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, launch.shared as i32).w()?;
    }
    FUNCTIONS.with_borrow_mut(|f| f.insert(key, Loaded { function: function.clone(), shared: launch.shared }));
    Ok(function)
}

/// Numbers on the device, copied once.
fn numbers(device: &CudaDevice, stream: &Arc<CudaStream>, values: &[u32]) -> Result<Numbers> {
    let key = (device.id(), values.to_vec());
    if let Some(kept) = NUMBERS.with_borrow(|n| n.get(&key).cloned()) {
        return Ok(kept);
    }
    let copy = Arc::new(stream.clone_htod(values).w()?);
    NUMBERS.with_borrow_mut(|n| {
        if n.len() >= MOST_TABLES {
            n.clear();
        }
        n.insert(key, copy.clone());
    });
    Ok(copy)
}

pub(super) fn run(plan: &Plan, launch: &Launch, device: &CudaDevice, stream: &Arc<CudaStream>, memory: &Memory) -> Result<()> {
    if let Err(what) = plan.check(launch) {
        candle_core::bail!("{what}");
    }
    let function = function(device, launch)?;
    // Each argument's value in 8 bytes of its own; tables live until the launch is in the stream.
    let (mut values, mut tables, mut kept) = (Vec::with_capacity(launch.args.len()), Vec::new(), Vec::new());
    for arg in &launch.args {
        values.push(match arg {
            Arg::Array(slot) => memory.address(*slot),
            Arg::Absent => 0,
            Arg::U32(x) => u64::from(*x),
            Arg::Size(n) => *n as u64,
            Arg::F32(x) => u64::from(x.to_bits()),
            Arg::Numbers(x) => {
                let table = numbers(device, stream, x)?;
                let address = table.device_ptr(stream).0;
                kept.push(table);
                address
            }
            Arg::Table(slots) => {
                // At most 64 KB: the driver has taken the copy when the call returns, and does not wait for the stream.
                let addresses: Vec<u64> = slots.iter().map(|slot| memory.address(*slot)).collect();
                let table = stream.clone_htod(&addresses).w()?;
                let address = table.device_ptr(stream).0;
                tables.push(table);
                address
            }
        });
    }
    let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
    let [[gx, gy, gz], [bx, by, bz]] = [launch.grid, launch.block];
    // SAFETY: the plan's tests run the same arguments on the emulator, which checks their number and types and every access.
    unsafe { result::launch_kernel(function.cu_function(), (gx, gy, gz), (bx, by, bz), launch.shared, stream.cu_stream(), &mut pointers) }
        .map_err(|e| candle_core::Error::Msg(format!("{}: {e}", launch.kernel)).bt())
}
