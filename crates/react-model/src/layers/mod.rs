//! Layers with PyTorch's parameter names, shapes and initialisations: `Config → new(config, scope) → forward`.

mod attention;
mod conv3d;
mod linear;
mod lstm;
mod norm;
mod positions;
mod running;
mod transformer;

pub use attention::MultiHeadAttention;
pub use conv3d::{Conv3d, Conv3dConfig};
pub use linear::Linear;
pub use lstm::Lstm;
pub use norm::LayerNorm;
pub use positions::positions;
pub use running::RunningEncoder;
pub use transformer::{DecoderCache, DecoderLayer, EncoderLayer, NormOrder, TransformerConfig};
