//! `react-train convert`: weights from one format to the other.

use anyhow::{Context, Result, bail};
use react_model::Params;
use react_model::transvae::TransVae;
use react_model::weights::{self, Tensors};
use std::path::Path;

/// Converts a Trans-VAE's weights, .pth or .safetensors (which, the file's content says), to what the new file's ending says; returns
/// the number of parameters. The state of a training is left behind; so are, in a .pth, the notes on frames and mean face.
///
/// # Errors
/// Where the file cannot be read, its tensors are not those of a network, or the new file cannot be written.
pub(crate) fn convert(from: &Path, to: &Path) -> Result<usize> {
    let tensors = Tensors::read(from)?;
    let params = Params::new(0);
    TransVae::new(tensors.transvae()?, &params.root()).with_context(|| from.display().to_string())?;
    weights::load(&tensors, &params)?;
    match to.extension().and_then(|ending| ending.to_str()) {
        Some("safetensors") => weights::save(to, &params, None, &tensors.note().values)?,
        Some("pth") => weights::save_pth(to, &params)?,
        _ => bail!("{}: the new file's name must end in .pth or .safetensors", to.display()),
    }
    Ok(params.count())
}
