use super::{NOTE, Note, pth::Pth};
use crate::transvae::{self, Task};
use crate::{ModelError, Result};
use candle_core::{DType, Device, Tensor};
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The buffer of a published file that holds no weights: the sinusoidal positions, `[5000, 1, d]`.
pub(super) const POSITIONS: &str = "reaction_decoder.PE.pe";
/// Its shape gives the width of a Trans-VAE: the latent token is `[d]`.
pub(super) const WIDTH: &str = "reaction_decoder.vae_model.mu_token";
/// The largest tensor of a Trans-VAE, `[d, d, 1, 3, 3]`: a file that claims a width must have it.
const LARGEST: &str = "speaker_behaviour_encoder.video_encoder.Conv3D.conv3.weight";
/// Its second axis is the number of audio features.
const AUDIO: &str = "speaker_behaviour_encoder.audio_feature_map.weight";
/// The online model has it, the offline one has not.
const ONLINE: &str = "reaction_decoder.lstm.weight_hh_l0";

/// The tensors of a file, by name; read one at a time, after their shapes have been seen.
#[derive(Debug)]
pub struct Tensors {
    file: PathBuf,
    source: Source,
    dims: BTreeMap<String, Vec<usize>>,
    note: Note,
    /// Length of the file.
    bytes: u64,
}

/// Bytes before a safetensors header: its length.
const HEADER_LENGTH: usize = 8;

#[derive(Debug)]
enum Source {
    /// The whole file, its header as it was read once, and where the header ends.
    Safetensors {
        bytes: Vec<u8>,
        header: Metadata,
        end: usize,
    },
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
        let mut file = std::fs::File::open(path).map_err(|e| fault(e.to_string()))?;
        file.read_exact(&mut start).map_err(|e| fault(e.to_string()))?;
        if start.starts_with(b"PK") { Self::read_pth(path) } else { Self::read_safetensors(path) }
    }

    fn read_safetensors(path: &Path) -> Result<Self> {
        let fault = |what: String| ModelError::File { file: path.to_owned(), what };
        let bytes = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
        let (length, header) =
            SafeTensors::read_metadata(&bytes).map_err(|e| fault(format!("neither a .pth nor a safetensors file: {e}")))?;
        let note = match header.metadata().as_ref().and_then(|m| m.get(NOTE)) {
            Some(json) => serde_json::from_str(json).map_err(|e| fault(format!("metadata {NOTE}: {e}")))?,
            None => Note::default(),
        };
        let dims = header.tensors().into_iter().map(|(name, info)| (name, info.shape.clone())).collect();
        Ok(Self {
            file: path.to_owned(),
            bytes: bytes.len() as u64,
            source: Source::Safetensors { bytes, header, end: HEADER_LENGTH + length },
            dims,
            note,
        })
    }

    fn read_pth(path: &Path) -> Result<Self> {
        let pth = Pth::open(path)?;
        let bytes = std::fs::metadata(path).map_err(|e| ModelError::File { file: path.to_owned(), what: e.to_string() })?.len();
        let mut dims = pth.dims();
        let width = dims.get(WIDTH).cloned();
        if let Some(found) = dims.remove(POSITIONS) {
            let fits = matches!((&found[..], width.as_deref()), ([_, 1, d], Some([width])) if d == width);
            if !fits {
                let want = vec![5000, 1, width.and_then(|w| w.first().copied()).unwrap_or(0)];
                return Err(ModelError::Shape { file: path.to_owned(), name: POSITIONS.to_owned(), want, found });
            }
        }
        Ok(Self { file: path.to_owned(), source: Source::Pth(pth), dims, note: Note::default(), bytes })
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
    /// [`ModelError::File`] where there is none, or one that is larger than its file.
    pub fn transvae_width(&self) -> Result<usize> {
        let fault = |what: String| ModelError::File { file: self.file.clone(), what };
        let Some([width]) = self.dims.get(WIDTH).map(Vec::as_slice) else {
            return Err(fault(format!("is not a Trans-VAE: it has no vector {WIDTH}")));
        };
        let want = vec![*width, *width, 1, 3, 3];
        let found = self.dims(LARGEST).unwrap_or_default();
        if found != want {
            return Err(ModelError::Shape { file: self.file.clone(), name: LARGEST.to_owned(), want, found });
        }
        // Whoever builds a model of this width allocates a few times this; a pickle may claim what the archive does not hold.
        let bytes = want.iter().try_fold(2u64, |n, d| n.checked_mul(*d as u64)).filter(|bytes| *bytes <= self.bytes);
        bytes.map(|_| *width).ok_or_else(|| fault(format!("{LARGEST}, {want:?}, is larger than the file")))
    }

    /// The Trans-VAE in this file: its width, audio features and task are read from the tensors, what they do not tell is as published.
    ///
    /// # Errors
    /// As [`Self::transvae_width`].
    pub fn transvae(&self) -> Result<transvae::Config> {
        let width = self.transvae_width()?;
        let task = if self.dims.contains_key(ONLINE) { Task::Online } else { Task::Offline };
        let published = transvae::Config::of_width(width);
        let audio_features = match self.dims.get(AUDIO).map(Vec::as_slice) {
            Some([_, features]) => *features,
            _ => published.audio_features,
        };
        Ok(transvae::Config { task, audio_features, ..published })
    }

    /// A tensor's values, f32.
    ///
    /// # Errors
    /// [`ModelError::File`] where the tensor is not there, or of a type that has no place in a model.
    pub fn get(&self, name: &str) -> Result<Tensor> {
        let fault = |what: String| ModelError::File { file: self.file.clone(), what: format!("{name}: {what}") };
        let tensor = match &self.source {
            Source::Pth(pth) => pth.get(name)?,
            Source::Safetensors { bytes, header, end } => {
                let info = header.info(name).ok_or_else(|| fault("is not in the file".to_owned()))?;
                let (start, stop) = info.data_offsets;
                let data = bytes.get(end + start..end + stop).ok_or_else(|| fault("lies beyond the file".to_owned()))?;
                Tensor::from_raw_buffer(data, DType::try_from(info.dtype)?, &info.shape, &Device::Cpu)?
            }
        };
        if !tensor.dtype().is_float() {
            return Err(fault(format!("weights must be floating-point numbers, are {:?}", tensor.dtype())));
        }
        Ok(tensor.to_dtype(DType::F32)?)
    }
}
