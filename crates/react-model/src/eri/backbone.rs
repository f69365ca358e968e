//! The picture of each frame: ResNet-18 up to layer3, with torchvision's names.
//!
//! ```text
//! x = (u8/255 − mean)/std                                         ImageNet's, per channel
//! conv 3→w, 7×7, s2, p3 → BN → ReLU → max pool 3×3, s2, p1
//! layer1: 2 blocks w→w     layer2: w→2w, s2, and 2w→2w     layer3: 2w→4w, s2, and 4w→4w
//! block(x) = ReLU(BN(conv 3×3 (ReLU(BN(conv 3×3, s (x))))) + shortcut(x))     shortcut: x, or BN(conv 1×1, s (x))
//! ```
//!
//! He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", 2016. Axes: n frames · h, w pixels · c channels.

use crate::layers::BatchNorm;
use crate::ops::{ConvNormShape, Then};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::{DType, Device, Tensor};

/// ImageNet's mean of each channel of x/255.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation of each channel of x/255.
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// A convolution without bias on channels-last pictures, its weight `[o, c, k, k]`, and the norm of its result.
#[derive(Clone, Debug)]
struct Conv {
    weight: Tensor,
    stride: usize,
    norm: BatchNorm,
}

impl Conv {
    fn new([inputs, outputs, kernel, stride]: [usize; 4], conv: &Scope, norm: &Scope) -> Result<Self> {
        // torchvision begins with Kaiming's normal initialisation by fan-out.
        let init = Init::ScaledNormal { std: (2.0 / (outputs * kernel * kernel) as f32).sqrt() };
        let weight = conv.get("weight", &[outputs, inputs, kernel, kernel], init)?;
        Ok(Self { weight, stride, norm: BatchNorm::new(outputs, norm)? })
    }

    fn forward(&self, x_nhwc: &Tensor, residual: Option<&Tensor>, then: Then, mode: &Mode) -> Result<Tensor> {
        let shape = ConvNormShape { stride: self.stride, padding: self.weight.dim(3)? / 2, then, precision: mode.precision() };
        self.norm.of_conv(x_nhwc, &mode.parameter(&self.weight), residual, shape, mode)
    }
}

/// A basic block.
#[derive(Clone, Debug)]
struct Block {
    convs: [Conv; 2],
    shortcut: Option<Conv>,
}

impl Block {
    fn new(inputs: usize, outputs: usize, stride: usize, scope: &Scope) -> Result<Self> {
        let down = scope.at("downsample");
        let shortcut = if stride == 1 && inputs == outputs {
            None
        } else {
            Some(Conv::new([inputs, outputs, 1, stride], &down.at("0"), &down.at("1"))?)
        };
        let convs = [
            Conv::new([inputs, outputs, 3, stride], &scope.at("conv1"), &scope.at("bn1"))?,
            Conv::new([outputs, outputs, 3, 1], &scope.at("conv2"), &scope.at("bn2"))?,
        ];
        Ok(Self { convs, shortcut })
    }

    fn forward(&self, x: &Tensor, mode: &Mode) -> Result<Tensor> {
        let y = self.convs[0].forward(x, None, Then::Relu, mode)?;
        let around = match &self.shortcut {
            None => x.clone(),
            Some(conv) => conv.forward(x, None, Then::Nothing, mode)?,
        };
        self.convs[1].forward(&y, Some(&around), Then::Relu, mode)
    }
}

/// ResNet-18 up to layer3.
#[derive(Clone, Debug)]
pub struct Backbone {
    stem: Conv,
    blocks: Vec<Block>,
}

impl Backbone {
    /// A backbone whose stem has `width` channels (64 in ResNet-18); it gives 4·width.
    ///
    /// # Errors
    /// [`crate::ModelError::Duplicate`].
    pub fn new(width: usize, scope: &Scope) -> Result<Self> {
        let mut blocks = Vec::new();
        for (layer, (inputs, outputs, stride)) in
            [(width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)].into_iter().enumerate()
        {
            let scope = scope.at(&format!("layer{}", layer + 1));
            blocks.push(Block::new(inputs, outputs, stride, &scope.at("0"))?);
            blocks.push(Block::new(outputs, outputs, 1, &scope.at("1"))?);
        }
        Ok(Self { stem: Conv::new([3, width, 7, 2], &scope.at("conv1"), &scope.at("bn1"))?, blocks })
    }

    /// frames u8 `[n, h, w, 3]` → `[n, h/16, w/16, 4·width]`, f32.
    ///
    /// # Errors
    /// Candle's, where the frames are too small.
    pub fn forward(&self, frames_nhw3: &Tensor, mode: &Mode) -> Result<Tensor> {
        let mut x = self.stem.forward(&normalise(frames_nhw3)?, None, Then::ReluMaxPool, mode)?;
        for block in &self.blocks {
            x = block.forward(&x, mode)?;
        }
        // On a GPU the convolutions may give bf16; what follows is f32.
        Ok(tape::to_dtype(&x, DType::F32)?)
    }
}

/// Bytes as ImageNet's networks see them.
fn normalise(frames: &Tensor) -> Result<Tensor> {
    let row = |values: [f32; 3]| Tensor::new(&values, &Device::Cpu)?.to_device(frames.device());
    let x = (frames.to_dtype(DType::F32)? / 255.0)?;
    Ok(x.broadcast_sub(&row(MEAN)?)?.broadcast_div(&row(STD)?)?)
}
