use super::{floats, with_floats};
use crate::gpu;
use crate::kernels::{DropKey, multiversion};
use crate::mode::Mode;
use crate::tape;
#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// Elements that share a row of the generator.
const CHUNK: usize = 8192;

/// Sets elements to 0 with probability `p` and divides the others by 1 − p; the identity where `mode` has no dropout.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Mode, ops::dropout};
/// let x = Tensor::ones((1000,), DType::F32, &Cpu)?;
/// let y = dropout(&x, 0.5, &Mode::train(1, 0), "site")?.to_vec1::<f32>()?;
/// assert!(y.iter().all(|y| *y == 0.0 || *y == 2.0));
/// assert_eq!(dropout(&x, 0.5, &Mode::eval(), "site")?.to_vec1::<f32>()?, vec![1.0; 1000]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's.
pub fn dropout(x: &Tensor, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    match mode.drop_key(p, site) {
        Some(key) => tape::apply1(x, Dropout(key)),
        None => Ok(x.clone()),
    }
}

/// `x + dropout(r)`: a residual connection. Shapes are equal.
///
/// # Errors
/// Candle's, where shapes differ.
pub fn add_dropped(x: &Tensor, r: &Tensor, p: f32, mode: &Mode, site: &str) -> Result<Tensor> {
    if x.dims() != r.dims() {
        candle_core::bail!("residual {site}: {:?} and {:?} differ", x.dims(), r.dims());
    }
    tape::apply2(x, r, AddDropped(mode.drop_key(p, site)))
}

struct Dropout(DropKey);

struct AddDropped(Option<DropKey>);

/// x·mask.
fn masked(key: Option<&DropKey>, x: &[f32]) -> Vec<f32> {
    let Some(key) = key else { return x.to_vec() };
    let mut y = vec![0.0; x.len()];
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).enumerate().for_each(|(row, (y, x))| {
        key.fill(row as u32, y);
        multiply(x, y);
    });
    y
}

multiversion! {
    fn multiply(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y *= x;
        }
    }
}

multiversion! {
    fn add(x: &[f32], y: &mut [f32]) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += x;
        }
    }
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = floats(x, layout, "dropout")?;
        Ok((CpuStorage::F32(masked(Some(&self.0), x)), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let plan = gpu::dropout::dropped(layout.shape().elem_count(), false, Some(&self.0));
        Ok((gpu::cuda::run_one(&plan, &[(x, layout)])?, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        if !x.track_op() {
            return Ok(None);
        }
        Ok(Some(grad.contiguous()?.apply_op1_no_bwd(self)?))
    }
}

impl CustomOp2 for AddDropped {
    fn name(&self) -> &'static str {
        "add_dropped"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, r: &CpuStorage, lr: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, r) = (floats(x, lx, "add_dropped")?, floats(r, lr, "add_dropped")?);
        let mut y = masked(self.0.as_ref(), r);
        add(x, &mut y);
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, lx: &Layout, r: &CudaStorage, lr: &Layout) -> Result<(CudaStorage, Shape)> {
        let plan = gpu::dropout::dropped(lx.shape().elem_count(), true, self.0.as_ref());
        Ok((gpu::cuda::run_one(&plan, &[(r, lr), (x, lx)])?, lx.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, r: &Tensor, _res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dr = match &self.0 {
            _ if !r.track_op() => None,
            None => Some(grad.clone()),
            Some(key) if gpu::is_gpu(grad) => Some(grad.contiguous()?.apply_op1_no_bwd(&Dropout(*key))?),
            Some(key) => Some(with_floats(grad, "add_dropped", |g| Tensor::from_vec(masked(Some(key), g), grad.shape(), grad.device()))?),
        };
        Ok((x.track_op().then(|| grad.clone()), dr))
    }
}
