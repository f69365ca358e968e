use super::conv_block::{ConvBlockShape, block_on_gpu, conv_block_of_views, frames_on_gpu};
use crate::gpu::conv_block::ConvBlock;
use crate::gpu::{is_gpu, run_op};
use crate::tape;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, DType, Layout, Result, Shape, Tensor};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Blocks one after the other: x `[n, h, w, c]` under `views` through the first ([`conv_block_of_views`]), what it shows of each view
/// through the second, and so on, each with its weight and shape.
///
/// On a GPU they are one operation. As many Candle would make an array of zeros for the gradient of each result between them, and add
/// to it, and keep all that the forward pass kept until the backward pass is over; here a gradient goes straight from one block to the
/// one before it, a convolution's output makes room for its own gradient, and what a block kept is freed with its backward pass.
///
/// ```
/// use candle_core::{DType, Device::Cpu, Tensor};
/// use react_model::{Precision, ops::{ConvBlockShape, Tail, conv_blocks}};
/// let shape = ConvBlockShape { frames: 0, stride: 1, padding: 0, tail: Tail::Relu, precision: Precision::F32 };
/// let weight = |outputs, inputs| Tensor::ones((outputs, inputs, 1, 1, 1), DType::F32, &Cpu);
/// let x = Tensor::randn(0f32, 1.0, (4, 3, 3, 2), &Cpu)?;
/// // Frames 0 and 1 are normalised together, and frames 0 to 3: six come out.
/// let y = conv_blocks(&x, &[(weight(5, 2)?, shape), (weight(7, 5)?, shape)], &[0..2, 0..4])?;
/// assert_eq!(y.dims(), [6, 3, 3, 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// As [`conv_block_of_views`]; on a GPU also where a second backward pass is asked for.
pub fn conv_blocks(x: &Tensor, blocks: &[(Tensor, ConvBlockShape)], views: &[Range<usize>]) -> Result<Tensor> {
    if is_gpu(x) && blocks.iter().any(|(weight, _)| weight.track_op()) {
        return on_gpu(x, blocks, views);
    }
    let (mut x, mut views) = (x.clone(), views.to_vec());
    for (weight, shape) in blocks {
        x = conv_block_of_views(&x, weight, &views, *shape)?;
        views = in_order(&views);
    }
    Ok(x)
}

/// Where the frames of each view lie in a block's result.
fn in_order(views: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut start = 0;
    let run = |view: &Range<usize>| {
        start += view.len();
        start - view.len()..start
    };
    views.iter().map(run).collect()
}

fn on_gpu(x: &Tensor, blocks: &[(Tensor, ConvBlockShape)], views: &[Range<usize>]) -> Result<Tensor> {
    let Some((_, first)) = blocks.first() else { return Ok(x.clone()) };
    let x = frames_on_gpu(x, first.precision)?;
    let mut kind = (x.dtype() == DType::U8, x.track_op());
    let (mut sizes, mut views, mut made) = (x.dims4()?, views.to_vec(), Vec::with_capacity(blocks.len()));
    for (weight, shape) in blocks {
        let (plans, result) = block_on_gpu(sizes, kind, weight, &views, *shape)?;
        made.push(Block { plans, weight: weight.detach().contiguous()?, result });
        (sizes, kind, views) = (result, (false, true), in_order(&views));
    }
    // One argument stands for all weights: an operation has three at most.
    let weights = blocks.iter().map(|(weight, _)| tape::reshape(weight, weight.elem_count())).collect::<Result<Vec<_>>>()?;
    let (weights, frames) = (tape::cat(&weights, 0)?, x.detach());
    tape::apply2(&x, &weights, Blocks { frames, blocks: made, kept: Mutex::default() })
}

struct Block {
    plans: ConvBlock,
    weight: Tensor,
    /// Sizes of its result.
    result: (usize, usize, usize, usize),
}

/// A block's input, and what its forward pass kept.
type Kept = (Tensor, Vec<Tensor>);

struct Blocks {
    frames: Tensor,
    blocks: Vec<Block>,
    /// Of each block what its backward pass reads: its input and what its forward pass kept.
    kept: Mutex<Option<Vec<Kept>>>,
}

impl Blocks {
    #[cfg(feature = "cuda")]
    fn run(&self) -> Result<(CudaStorage, Shape)> {
        use crate::gpu::cuda::run_storages;
        use candle_core::{Storage, op::BackpropOp};
        let tensor = |storage, shape: Shape| Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false);
        let (mut x, mut kept) = (self.frames.clone(), Vec::with_capacity(self.blocks.len()));
        for (i, block) in self.blocks.iter().enumerate() {
            let plan = block.plans.forward(true);
            let lengths = plan.arrays.iter().filter(|array| array.role == crate::gpu::plan::Role::Output).skip(1);
            let mut made = run_storages(&plan, x.device(), &[&x, &block.weight])?.into_iter();
            let Some(result) = made.next() else { candle_core::bail!("conv_blocks: a block without a result") };
            let of_block = made.zip(lengths).map(|(storage, array)| tensor(storage, array.len.into())).collect();
            kept.push((x, of_block));
            if i + 1 == self.blocks.len() {
                *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
                return Ok((result, block.result.into()));
            }
            x = tensor(result, block.result.into());
        }
        candle_core::bail!("conv_blocks: no blocks")
    }

    #[cfg(not(feature = "cuda"))]
    fn run(&self) -> Result<(CudaStorage, Shape)> {
        let _ = (&self.frames, self.blocks.iter().map(|block| block.result).next());
        candle_core::bail!("conv_blocks: react-model was built without the feature cuda")
    }
}

impl CustomOp2 for Blocks {
    fn name(&self) -> &'static str {
        "conv_blocks"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        candle_core::bail!("conv_blocks: its arguments lie on several devices")
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.run()
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, result: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Some(mut kept) = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            candle_core::bail!("conv_blocks: a second backward pass, or one without a forward pass")
        };
        let (mut result, mut gradient) = (result.clone(), gradient.contiguous()?);
        let mut weights = Vec::with_capacity(self.blocks.len());
        for block in self.blocks.iter().rev() {
            let Some((input, of_block)) = kept.pop() else { candle_core::bail!("conv_blocks: a block kept nothing") };
            let mut inputs = vec![&input, &block.weight];
            inputs.extend(of_block.iter().chain([&result, &gradient]));
            let mut made = run_op(&block.plans.backward(true), x.device(), &inputs)?.into_iter();
            weights.extend(made.next());
            if let Some(dx) = made.next() {
                gradient = dx;
            }
            result = input;
        }
        weights.reverse();
        let dx = if x.track_op() { Some(gradient.reshape(x.shape())?) } else { None };
        Ok((dx, Some(Tensor::cat(&weights, 0)?)))
    }
}
