use super::planned::Planned;
use crate::gpu::plan::Type;
use crate::gpu::{is_gpu, pool, run_op};
use crate::tape;
use candle_core::{DType, Result, Tensor};

/// Means over pictures, `[n, h, w, c]` → `[n, c]`, f32 whatever the pictures are.
pub(crate) fn picture_mean(x_nhwc: &Tensor) -> Result<Tensor> {
    if !is_gpu(x_nhwc) {
        return tape::mean_over(x_nhwc, &[1, 2]);
    }
    let (n, h, w, c) = x_nhwc.dims4()?;
    let element = if x_nhwc.dtype() == DType::BF16 { Type::Bf16 } else { Type::F32 };
    let op = Planned::new("picture_mean", pool::picture_mean(element, [n, h * w, c], false), (n, c), move |arguments, _, _, grad| {
        let dx = run_op(&pool::picture_mean(element, [n, h * w, c], true), grad.device(), &[grad])?;
        dx.into_iter().map(|dx| dx.reshape(arguments[0].shape()).map(Some)).collect()
    });
    tape::apply1(x_nhwc, op)
}
