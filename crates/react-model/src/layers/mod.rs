//! Layers with PyTorch's parameter names, shapes and initialisations: `Config → new(config, scope) → forward`.

mod attention;
mod batch_norm;
mod conv3d;
mod dropout;
mod linear;
mod lstm;
mod norm;
mod past;
mod positions;
mod running;
mod tcn;
mod transformer;

pub use attention::MultiHeadAttention;
pub use batch_norm::BatchNorm;
pub use conv3d::{Conv3d, Conv3dConfig};
pub use dropout::LayerDropout;
pub use linear::Linear;
pub use lstm::Lstm;
pub use norm::LayerNorm;
pub(crate) use past::DecoderPast;
pub use positions::positions;
pub use running::RunningEncoder;
pub use tcn::TcnBlock;
pub use transformer::{DecoderCache, DecoderLayer, EncoderLayer, NormOrder, TransformerConfig};
