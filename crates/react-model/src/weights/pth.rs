//! PyTorch's zip of a pickle and raw storages.

use super::pickle::{TensorInfo, state_dict};
use crate::{ModelError, Result};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most elements of one tensor: many times the largest of any model here.
const MOST: usize = 1 << 28;

/// The tensors of a `.pth` file's `state_dict`.
#[derive(Debug)]
pub(super) struct Pth {
    file: PathBuf,
    /// The archive's folder of storages.
    folder: String,
    tensors: BTreeMap<String, Arc<TensorInfo>>,
}

impl Pth {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fault = |what: String| ModelError::File { file: path.to_owned(), what };
        let names = archive(path).map_err(fault)?;
        let found: Option<Vec<String>> = names.file_names().map(|n| n.ok().map(|n| n.into_owned())).collect();
        let pickles = found.ok_or_else(|| fault("has names that cannot be read".to_owned()))?;
        let Some(folder) = pickles.iter().find_map(|n| n.strip_suffix("data.pkl").filter(|f| f.is_empty() || f.ends_with('/'))) else {
            return Err(fault("is a zip without data.pkl: no file of PyTorch".to_owned()));
        };
        let entry = |name: &str| entry(path, &format!("{folder}{name}"), None);
        if pickles.iter().any(|n| *n == format!("{folder}byteorder")) && entry("byteorder").map_err(fault)? != b"little" {
            return Err(fault("was written on a big-endian machine".to_owned()));
        }
        let mut tensors = BTreeMap::new();
        for (name, info) in state_dict(&entry("data.pkl").map_err(fault)?).map_err(fault)? {
            let short = name.strip_prefix("module.").unwrap_or(&name).to_owned();
            if tensors.insert(short, info).is_some() {
                return Err(fault(format!("{name} is in it twice, once without module.")));
            }
        }
        if tensors.is_empty() {
            return Err(fault("holds no tensors that belong to a model".to_owned()));
        }
        Ok(Self { file: path.to_owned(), folder: folder.to_owned(), tensors })
    }

    pub(super) fn dims(&self) -> BTreeMap<String, Vec<usize>> {
        self.tensors.iter().map(|(name, info)| (name.clone(), info.dims.clone())).collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<Tensor> {
        let fault = |what: String| ModelError::File { file: self.file.clone(), what: format!("{name}: {what}") };
        let info = self.tensors.get(name).ok_or_else(|| fault("is not in it".to_owned()))?;
        let values = self.values(info).map_err(fault)?;
        Ok(Tensor::from_vec(values, &info.dims[..], &Device::Cpu)?)
    }

    /// A tensor's elements, row by row, wherever they lie in its storage.
    fn values(&self, info: &TensorInfo) -> std::result::Result<Vec<f32>, String> {
        let TensorInfo { storage, offset, dims, strides } = info;
        let size = match &*storage.class {
            "torch.FloatStorage" => 4,
            "torch.DoubleStorage" => 8,
            other => return Err(format!("weights must be of torch.FloatStorage or torch.DoubleStorage, are of {other}")),
        };
        let elements = dims
            .iter()
            .try_fold(1usize, |n, d| n.checked_mul(*d))
            .filter(|n| *n <= MOST)
            .ok_or_else(|| format!("is too large: {dims:?}"))?;
        if elements == 0 {
            return Ok(Vec::new());
        }
        let reach = dims.iter().zip(strides).try_fold(*offset, |last, (n, stride)| last.checked_add((n - 1).checked_mul(*stride)?));
        let end =
            reach.and_then(|last| last.checked_add(1)?.checked_mul(size)).ok_or_else(|| format!("has impossible strides: {strides:?}"))?;
        let bytes = entry(&self.file, &format!("{}data/{}", self.folder, storage.key), Some(end))?;
        // A view may show an element many times (stride 0): then it could be larger than all that the file holds.
        if elements > bytes.len() / size {
            return Err(format!("{dims:?} is more than its storage of {} numbers", bytes.len() / size));
        }
        let mut values = Vec::with_capacity(elements);
        for i in 0..elements {
            let (mut rest, mut at) = (i, *offset);
            for (n, stride) in dims.iter().zip(strides).rev() {
                at += rest % n * stride;
                rest /= n;
            }
            let number = &bytes[at * size..(at + 1) * size];
            values.push(match number {
                [a, b, c, d] => f32::from_le_bytes([*a, *b, *c, *d]),
                _ => number.try_into().map_or(f64::NAN, f64::from_le_bytes) as f32,
            });
        }
        Ok(values)
    }
}

fn archive(path: &Path) -> std::result::Result<zip::ZipArchive<BufReader<File>>, String> {
    zip::ZipArchive::new(BufReader::new(File::open(path).map_err(|e| e.to_string())?)).map_err(|e| e.to_string())
}

/// The first `length` bytes of a file of the archive, or all of it. Only stored files can be read, as PyTorch writes them: what
/// is allocated was in the file.
fn entry(path: &Path, name: &str, length: Option<usize>) -> std::result::Result<Vec<u8>, String> {
    let mut archive = archive(path)?;
    let entry = archive.by_name(name).map_err(|e| format!("{name}: {e}"))?;
    if entry.compression() != zip::CompressionMethod::Stored {
        return Err(format!("{name} is compressed"));
    }
    let wanted = length.map_or(entry.size(), |l| l as u64);
    let mut bytes = Vec::new();
    entry.take(wanted).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
    if (bytes.len() as u64) < wanted {
        return Err(format!("{name} has {} bytes of {wanted}", bytes.len()));
    }
    Ok(bytes)
}
