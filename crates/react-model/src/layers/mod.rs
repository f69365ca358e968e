//! Layers with PyTorch's parameter names, shapes and initialisations: `Config → new(config, scope) → forward`.

mod attention;
mod linear;
mod norm;
mod positions;
mod transformer;

pub use attention::MultiHeadAttention;
pub use linear::Linear;
pub use norm::LayerNorm;
pub use positions::positions;
pub use transformer::{DecoderLayer, EncoderLayer, TransformerConfig};
