//! The listener's picture: a photograph that moves with the coefficients, by PIRender.

use anyhow::{Context, Result};
use ndarray::{Array4, ArrayView2, ArrayView3};
use react_media::read_png;
use react_model::pirender::{PiRender, PiRenderConfig, Reference};
use react_model::weights::Tensors;
use std::path::Path;

/// PIRender's nets and a reference picture.
#[derive(Debug)]
pub(super) struct Painter {
    net: PiRender,
    reference: Reference,
    side: usize,
}

impl Painter {
    /// Reads the weights (`.pth` or safetensors) and the picture, a square PNG.
    pub(super) fn open(weights: &Path, reference: &Path) -> Result<Self> {
        let tensors = Tensors::read(weights)?;
        let net = PiRender::from_tensors(&tensors, &PiRenderConfig::of(&tensors)?)?;
        let image = read_png(reference)?;
        let picture = ArrayView3::from_shape((image.height, image.width, 3), &image.rgb)?;
        let reference = net.reference(picture).with_context(|| format!("the reference picture {}", reference.display()))?;
        Ok(Self { net, reference, side: image.width })
    }

    /// A frame for each row of coefficients (`[t, 58]`, mean face in them): u8 `[t, s, s, 3]`.
    pub(super) fn paint(&self, coeffs: ArrayView2<'_, f32>) -> Result<Array4<u8>> {
        let mut frames = Array4::zeros((coeffs.nrows(), self.side, self.side, 3));
        self.net.render(&self.reference, coeffs, |t, frame| {
            frames.index_axis_mut(ndarray::Axis(0), t).assign(&frame);
            Ok::<(), react_model::ModelError>(())
        })?;
        Ok(frames)
    }
}
