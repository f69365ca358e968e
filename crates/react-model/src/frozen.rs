//! Networks that look at single frames and do not learn: DINOv2, ConvNeXt and CLIP's, from candle-transformers, with weights from a
//! local safetensors file. What they see is computed once and stored; see [`crate::eri::Config::frame_features`].
//!
//! | name | frame | values | published file |
//! |---|---|---|---|
//! | `dinov2-small` | 224², ImageNet's mean and std | 768: class token and mean of the patches | facebook's `vit_small` |
//! | `convnext-tiny` | 224², ImageNet's mean and std | 768: mean over the picture, before the head | timm's `convnext_tiny` |
//! | `clip-vit-b32` | 224², CLIP's mean and std | 768: class token, before the projection | OpenAI's `clip-vit-base-patch32` |
//!
//! candle-transformers stretches DINOv2's positions to 224² by the nearest neighbour, where the original interpolates; values differ
//! from the original's accordingly.

use crate::{ModelError, Result};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Func, Module, VarBuilder};
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};
use candle_transformers::models::convnext;
use candle_transformers::models::dinov2::{DinoVisionTransformer, vit_small};
use ndarray::{Array2, ArrayView4};
use std::collections::HashMap;
use std::path::Path;

/// Pixels of a side that all of them see.
const SIDE: usize = 224;
/// Values that all of them give.
const VALUES: usize = 768;
/// Outputs of ImageNet's classifiers.
const CLASSES: usize = 1000;
/// ImageNet's mean and standard deviation of each channel of x/255.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// CLIP's.
const CLIP: [[f32; 3]; 2] = [[0.481_454_66, 0.457_827_5, 0.408_210_73], [0.268_629_54, 0.261_302_6, 0.275_777_1]];

/// Which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// DINOv2 ViT-S/14. Oquab et al., 2023.
    #[serde(rename = "dinov2-small")]
    DinoV2Small,
    /// ConvNeXt-T. Liu et al., 2022.
    ConvnextTiny,
    /// CLIP's ViT-B/32. Radford et al., 2021.
    #[serde(rename = "clip-vit-b32")]
    ClipVitB32,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DinoV2Small, Self::ConvnextTiny, Self::ClipVitB32];

    /// Its name, as commands and files spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DinoV2Small => "dinov2-small",
            Self::ConvnextTiny => "convnext-tiny",
            Self::ClipVitB32 => "clip-vit-b32",
        }
    }

    /// The network of a name.
    ///
    /// # Errors
    /// [`ModelError::Config`] with the names there are.
    pub fn named(name: &str) -> Result<Self> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.ok_or_else(|| ModelError::Config { field: "frame features", what: format!("must be one of {}, is {name}", known()) })
    }

    /// Values that it gives for a frame.
    #[must_use]
    pub fn values(self) -> usize {
        VALUES
    }

    fn scale(self) -> [[f32; 3]; 2] {
        match self {
            Self::DinoV2Small | Self::ConvnextTiny => IMAGENET,
            Self::ClipVitB32 => CLIP,
        }
    }
}

enum Network {
    DinoV2(DinoVisionTransformer),
    ConvNext(Func<'static>),
    Clip(ClipVisionTransformer),
}

/// A network that looks at frames.
pub struct FrozenEncoder {
    kind: Kind,
    network: Network,
    device: Device,
}

impl std::fmt::Debug for FrozenEncoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrozenEncoder").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl FrozenEncoder {
    /// Reads the weights from a safetensors file; the network is on a device.
    ///
    /// # Errors
    /// [`ModelError::File`] where it cannot be read, or a tensor is missing or of another shape; the error names it.
    pub fn load(kind: Kind, path: &Path, device: &Device) -> Result<Self> {
        let fault = |what: String| ModelError::File { file: path.to_owned(), what };
        let bytes = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
        let tensors = candle_core::safetensors::load_buffer(&bytes, device).map_err(|e| fault(e.to_string()))?;
        Self::from_tensors(kind, tensors, device).map_err(|e| fault(e.to_string()))
    }

    /// The same from tensors by their published names, which are on that device.
    ///
    /// # Errors
    /// Candle's, with the tensor that is missing or of another shape.
    pub fn from_tensors(kind: Kind, mut tensors: HashMap<String, Tensor>, device: &Device) -> Result<Self> {
        if kind == Kind::DinoV2Small {
            // What comes before the classifier is wanted, and only the classifier's outputs can be had: one that changes nothing. (The
            // published file has none.)
            tensors.insert("head.weight".to_owned(), Tensor::eye(CLASSES, DType::F32, device)?.narrow(1, 0, VALUES)?.contiguous()?);
            tensors.insert("head.bias".to_owned(), Tensor::zeros(CLASSES, DType::F32, device)?);
        }
        let prefix = if tensors.keys().any(|name| name.starts_with("vision_model.")) { "vision_model" } else { "" };
        let class = format!("{prefix}.embeddings.class_embedding");
        if kind == Kind::ClipVitB32 && !tensors.contains_key(class.trim_start_matches('.')) {
            // Without it candle-transformers would draw one.
            let what = format!("has no tensor {}", class.trim_start_matches('.'));
            return Err(ModelError::Config { field: "weights", what });
        }
        let vars = VarBuilder::from_tensors(tensors, DType::F32, device);
        let network = match kind {
            Kind::DinoV2Small => Network::DinoV2(vit_small(vars)?),
            Kind::ConvnextTiny => Network::ConvNext(convnext::convnext_no_final_layer(&convnext::Config::tiny(), vars)?),
            Kind::ClipVitB32 => {
                let vars = if prefix.is_empty() { vars } else { vars.pp(prefix) };
                Network::Clip(ClipVisionTransformer::new(vars, &ClipVisionConfig::vit_base_patch32())?)
            }
        };
        Ok(Self { kind, network, device: device.clone() })
    }

    /// Which network it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it sees of frames u8 `[n, h, w, 3]` of any size, resized bilinearly: `[n, values]`.
    ///
    /// # Errors
    /// Candle's.
    pub fn features(&self, frames_nhw3: ArrayView4<'_, u8>) -> Result<Array2<f32>> {
        let (n, h, w, c) = frames_nhw3.dim();
        let bytes: Vec<u8> = frames_nhw3.iter().copied().collect();
        let x_nchw = Tensor::from_vec(bytes, (n, h, w, c), &self.device)?.permute((0, 3, 1, 2))?.to_dtype(DType::F32)?.contiguous()?;
        let x_nchw = if (h, w) == (SIDE, SIDE) { x_nchw } else { x_nchw.upsample_bilinear2d(SIDE, SIDE, false)? };
        let [mean, std] = self.kind.scale().map(|row| Tensor::new(&row, &self.device)?.reshape((1, 3, 1, 1)));
        let x_nchw = (x_nchw / 255.0)?.broadcast_sub(&mean?)?.broadcast_div(&std?)?;
        let y = self.forward(&x_nchw)?;
        let (rows, columns) = y.dims2()?;
        let values = y.flatten_all()?.to_vec1::<f32>()?;
        Array2::from_shape_vec((rows, columns), values).map_err(|e| ModelError::Config { field: "frame features", what: e.to_string() })
    }

    /// `[n, 3, 224, 224]` → `[n, values]`.
    fn forward(&self, x_nchw: &Tensor) -> Result<Tensor> {
        match &self.network {
            Network::ConvNext(network) => Ok(network.forward(x_nchw)?),
            Network::Clip(network) => Ok(network.forward(x_nchw)?),
            Network::DinoV2(network) => {
                // One frame at a time: candle-transformers puts one class token in front of a whole batch.
                let rows = (0..x_nchw.dim(0)?).map(|i| network.forward(&x_nchw.narrow(0, i, 1)?)?.narrow(1, 0, VALUES));
                Ok(Tensor::cat(&rows.collect::<candle_core::Result<Vec<_>>>()?, 0)?)
            }
        }
    }
}
