use super::{NOTE, Note, pth::Pth};
use crate::{ModelError, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The buffer of a published file that holds no weights: the sinusoidal positions, `[5000, 1, d]`.
const POSITIONS: &str = "reaction_decoder.PE.pe";
/// Names that may hold the width of a Trans-VAE: its latent token is `[d]`.
const WIDTH: &str = "reaction_decoder.vae_model.mu_token";

/// The tensors of a file, by name; read one at a time, after their shapes have been seen.
#[derive(Debug)]
pub struct Tensors {
    file: PathBuf,
    source: Source,
    dims: BTreeMap<String, Vec<usize>>,
    note: Note,
}

#[derive(Debug)]
enum Source {
    Safetensors(Vec<u8>),
    Pth(Pth),
}

impl Tensors {
    /// Opens a `.pth` of the published program (a dict with `state_dict`; `module.` before the names is taken off, the buffer of
    /// positions left out after its shape has been checked) or a safetensors file; which of the two, its content says.
    ///
    /// # Errors
    /// [`ModelError::File`] where it is neither, or damaged.
    pub fn read(path: &Path) -> Result<Self> {
        let fault = |what: String| ModelError::File { file: path.to_owned(), what };
        let mut start = [0; 4];
        {
            use std::io::Read;
            let mut file = std::fs::File::open(path).map_err(|e| fault(e.to_string()))?;
            file.read_exact(&mut start).map_err(|e| fault(e.to_string()))?;
        }
        if start.starts_with(b"PK") { Self::read_pth(path) } else { Self::read_safetensors(path) }
    }

    fn read_safetensors(path: &Path) -> Result<Self> {
        let fault = |what: String| ModelError::File { file: path.to_owned(), what };
        let bytes = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| fault(format!("neither a .pth nor a safetensors file: {e}")))?;
        let note = match header.metadata().as_ref().and_then(|m| m.get(NOTE)) {
            Some(json) => serde_json::from_str(json).map_err(|e| fault(format!("metadata {NOTE}: {e}")))?,
            None => Note::default(),
        };
        let dims = header.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect();
        Ok(Self { file: path.to_owned(), source: Source::Safetensors(bytes), dims, note })
    }

    fn read_pth(path: &Path) -> Result<Self> {
        let pth = Pth::open(path)?;
        let mut dims = pth.dims();
        let width = dims.get(WIDTH).cloned();
        if let Some(found) = dims.remove(POSITIONS) {
            let fits = matches!((&found[..], width.as_deref()), ([_, 1, d], Some([width])) if d == width);
            if !fits {
                let want = vec![5000, 1, width.and_then(|w| w.first().copied()).unwrap_or(0)];
                return Err(ModelError::Shape { file: path.to_owned(), name: POSITIONS.to_owned(), want, found });
            }
        }
        Ok(Self { file: path.to_owned(), source: Source::Pth(pth), dims, note: Note::default() })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What it says beside its tensors.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// Names of the tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.dims.keys().map(String::as_str)
    }

    /// The shape of a tensor.
    #[must_use]
    pub fn dims(&self, name: &str) -> Option<Vec<usize>> {
        self.dims.get(name).cloned()
    }

    /// The width d of the Trans-VAE in this file.
    ///
    /// # Errors
    /// [`ModelError::File`] where there is none.
    pub fn transvae_width(&self) -> Result<usize> {
        match self.dims.get(WIDTH).map(Vec::as_slice) {
            Some([d]) => Ok(*d),
            _ => Err(ModelError::File { file: self.file.clone(), what: format!("is not a Trans-VAE: it has no vector {WIDTH}") }),
        }
    }

    /// A tensor's values, f32.
    ///
    /// # Errors
    /// [`ModelError::File`] where the tensor is not there, or of a type that has no place in a model.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let fault = |what: String| ModelError::File { file: self.file.clone(), what: format!("{name}: {what}") };
        let tensor = match &self.source {
            Source::Pth(pth) => pth.get(name)?,
            Source::Safetensors(bytes) => {
                let all = SafeTensors::deserialize(bytes).map_err(|e| fault(e.to_string()))?;
                let view = all.tensor(name).map_err(|e| fault(e.to_string()))?;
                let dtype = DType::try_from(view.dtype())?;
                Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?
            }
        };
        if !tensor.dtype().is_float() {
            return Err(fault(format!("weights must be floating-point numbers, are {:?}", tensor.dtype())));
        }
        Ok(tensor.to_dtype(DType::F32)?)
    }
}
