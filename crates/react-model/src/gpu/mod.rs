//! The operations on a GPU: each as a plan of kernels (`kernels/*.cu`), matrix products and convolutions.
#![cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "plans run on a GPU, and in tests on the emulator"))]

#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(test)]
pub(crate) mod emulator;
pub(crate) mod plan;

use candle_core::{Device, Result, Tensor};
use plan::Plan;

/// Whether a tensor lies on a GPU.
pub(crate) fn is_gpu(tensor: &Tensor) -> bool {
    tensor.device().is_cuda()
}

/// Runs a plan on a GPU: contiguous inputs in the plan's order, outputs as flat tensors. Nothing waits for the device.
pub(crate) fn run_op(plan: &Plan, device: &Device, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    #[cfg(feature = "cuda")]
    return cuda::run_tensors(plan, device, inputs);
    #[cfg(not(feature = "cuda"))]
    {
        let _ = (plan, device, inputs);
        candle_core::bail!("react-model was built without the feature cuda")
    }
}
