//! The operations on a GPU: each as a plan of kernels (`kernels/*.cu`), matrix products and convolutions.
#![cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "plans run on a GPU, and in tests on the emulator"))]

pub(crate) mod attention;
pub(crate) mod conv3d;
pub(crate) mod conv_block;
pub(crate) mod conv_norm;
pub(crate) mod convolution;
pub(crate) mod convolved;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
pub(crate) mod dropout;
#[cfg(test)]
pub(crate) mod emulator;
pub(crate) mod few_rows;
pub(crate) mod latent;
pub(crate) mod layer_norm;
pub(crate) mod linear;
pub(crate) mod lstm;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod running;
pub(crate) mod sum;
#[cfg(test)]
pub(crate) mod testing;

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

/// [`run_op`] of a plan with `N` outputs.
pub(crate) fn run_for<const N: usize>(plan: &Plan, device: &Device, inputs: &[&Tensor]) -> Result<[Tensor; N]> {
    match run_op(plan, device, inputs)?.try_into() {
        Ok(outputs) => Ok(outputs),
        Err(outputs) => candle_core::bail!("a plan has {} outputs, not {N}", outputs.len()),
    }
}
