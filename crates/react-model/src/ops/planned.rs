//! Operations that run as plans on a GPU.

use crate::gpu::plan::Plan;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};
use std::sync::{Arc, OnceLock};

/// The gradients of an operation's arguments, from the arguments, what the forward pass kept, the result and its gradient.
type Backward = dyn Fn(&[&Tensor], &[Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync;

/// An operation whose forward pass is a plan: inputs are its arguments, contiguous, then `others`; the first output is the result,
/// and the others are kept for the backward pass.
pub(super) struct Planned {
    name: &'static str,
    forward: Plan,
    others: Vec<Tensor>,
    result: Shape,
    backward: Box<Backward>,
    kept: Arc<OnceLock<Vec<Tensor>>>,
}

impl Planned {
    pub(super) fn new(
        name: &'static str,
        forward: Plan,
        result: impl Into<Shape>,
        backward: impl Fn(&[&Tensor], &[Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> Self {
        let (result, backward) = (result.into(), Box::new(backward));
        Self { name, forward, others: Vec::new(), result, backward, kept: Arc::default() }
    }

    /// With further inputs that have no gradient.
    pub(super) fn and(self, others: Vec<Tensor>) -> Self {
        Self { others, ..self }
    }

    /// What the forward pass keeps comes into `kept`, too.
    pub(super) fn shared(self, kept: &Arc<OnceLock<Vec<Tensor>>>) -> Self {
        Self { kept: kept.clone(), ..self }
    }

    #[cfg(feature = "cuda")]
    fn run(&self, arguments: &[(&CudaStorage, &Layout)]) -> Result<(CudaStorage, Shape)> {
        use candle_core::{Storage, op::BackpropOp};
        let others: Vec<_> = self.others.iter().map(Tensor::storage_and_layout).collect();
        let mut inputs = arguments.to_vec();
        for (storage, layout) in &others {
            match &**storage {
                Storage::Cuda(storage) => inputs.push((storage, layout)),
                _ => candle_core::bail!("{}: its inputs lie on several devices", self.name),
            }
        }
        let mut outputs = crate::gpu::cuda::run(&self.forward, &inputs)?.into_iter();
        let Some(result) = outputs.next() else { candle_core::bail!("{}: no result", self.name) };
        let lengths = self.forward.arrays.iter().filter(|a| a.role == crate::gpu::plan::Role::Output).skip(1).map(|a| a.len);
        let kept = outputs.zip(lengths).map(|(s, len)| Tensor::from_storage(Storage::Cuda(s), len, BackpropOp::none(), false));
        // The operation runs forward once; a second time would compute the same.
        let _ = self.kept.set(kept.collect());
        Ok((result, self.result.clone()))
    }

    #[cfg(not(feature = "cuda"))]
    fn run(&self, _: &[(&CudaStorage, &Layout)]) -> Result<(CudaStorage, Shape)> {
        let _ = (&self.forward, &self.others, &self.result);
        candle_core::bail!("{}: react-model was built without the feature cuda", self.name)
    }

    fn on_cpu<T>(&self) -> Result<T> {
        candle_core::bail!("{}: its arguments lie on several devices", self.name)
    }

    fn gradients<const N: usize>(&self, arguments: [&Tensor; N], res: &Tensor, grad: &Tensor) -> Result<[Option<Tensor>; N]> {
        let Some(kept) = self.kept.get() else { candle_core::bail!("{}: backward without a forward", self.name) };
        let mut gradients = (self.backward)(&arguments, kept, res, &grad.contiguous()?)?.into_iter();
        Ok(arguments.map(|of| gradients.next().flatten().filter(|_| of.track_op())))
    }
}

impl CustomOp1 for Planned {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, a: &CudaStorage, la: &Layout) -> Result<(CudaStorage, Shape)> {
        self.run(&[(a, la)])
    }

    fn bwd(&self, a: &Tensor, res: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let [a] = self.gradients([a], res, grad)?;
        Ok(a)
    }
}

impl CustomOp2 for Planned {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, a: &CudaStorage, la: &Layout, b: &CudaStorage, lb: &Layout) -> Result<(CudaStorage, Shape)> {
        self.run(&[(a, la), (b, lb)])
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, res: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [a, b] = self.gradients([a, b], res, grad)?;
        Ok((a, b))
    }
}

impl CustomOp3 for Planned {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        la: &Layout,
        b: &CudaStorage,
        lb: &Layout,
        c: &CudaStorage,
        lc: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.run(&[(a, la), (b, lb), (c, lc)])
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [a, b, c] = self.gradients([a, b, c], res, grad)?;
        Ok((a, b, c))
    }
}
