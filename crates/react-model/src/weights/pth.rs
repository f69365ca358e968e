//! PyTorch's zip of a pickle and raw storages. The pickle is read by Candle; the storages are read here, because Candle's reader
//! allocates what a file's header asks for and refuses tensors that do not lie in order.

use crate::{ModelError, Result};
use candle_core::pickle::{TensorInfo, read_pth_tensor_info};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The tensors of a `.pth` file's `state_dict`.
#[derive(Debug)]
pub(super) struct Pth {
    file: PathBuf,
    infos: BTreeMap<String, TensorInfo>,
}

impl Pth {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fault = |what: String| ModelError::File { file: path.to_owned(), what };
        // A dict of tensors itself, where there is no `state_dict` in it.
        let found = match read_pth_tensor_info(path, false, Some("state_dict")) {
            Ok(found) if !found.is_empty() => found,
            first => match read_pth_tensor_info(path, false, None) {
                Ok(found) if !found.is_empty() => found,
                Ok(_) => return Err(fault("holds no tensors that belong to a model".to_owned())),
                Err(e) => return Err(fault(first.err().unwrap_or(e).to_string())),
            },
        };
        let mut infos = BTreeMap::new();
        for info in found {
            let name = info.name.strip_prefix("module.").unwrap_or(&info.name).to_owned();
            if infos.insert(name.clone(), info).is_some() {
                return Err(fault(format!("{name} is in it twice")));
            }
        }
        Ok(Self { file: path.to_owned(), infos })
    }

    pub(super) fn dims(&self) -> BTreeMap<String, Vec<usize>> {
        self.infos.iter().map(|(name, info)| (name.clone(), info.layout.dims().to_vec())).collect()
    }

    pub(super) fn get(&self, name: &str) -> Result<Tensor> {
        let fault = |what: String| ModelError::File { file: self.file.clone(), what: format!("{name}: {what}") };
        let info = self.infos.get(name).ok_or_else(|| fault("is not in it".to_owned()))?;
        let (dims, strides, size) = (info.layout.dims(), info.layout.stride(), info.dtype.size_in_bytes());
        if info.dtype != DType::F32 {
            return Err(fault(format!("weights must be F32, are {:?}", info.dtype)));
        }
        // Candle counts the offset in bytes, the strides in elements.
        let start = info.layout.start_offset();
        let last = dims.iter().zip(strides).try_fold(0usize, |last, (n, stride)| last.checked_add(n.checked_sub(1)?.checked_mul(*stride)?));
        let end = last.and_then(|l| l.checked_add(1)).and_then(|l| l.checked_mul(size)).and_then(|l| l.checked_add(start));
        let end = end.ok_or_else(|| fault(format!("has the impossible shape {dims:?}, strides {strides:?}")))?;
        let elements = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n <= MOST);
        let elements = elements.ok_or_else(|| fault(format!("is too large: {dims:?}")))?;
        let bytes = self.storage(info, end).map_err(&fault)?;
        let float = |at: usize| bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(f32::NAN, f32::from_le_bytes);
        let mut values = Vec::with_capacity(elements);
        for i in 0..elements {
            let (mut rest, mut at) = (i, 0);
            for (n, stride) in dims.iter().zip(strides).rev() {
                at += rest % n * stride;
                rest /= n;
            }
            values.push(float(start + at * size));
        }
        Ok(Tensor::from_vec(values, dims, &Device::Cpu)?)
    }

    /// The first `end` bytes of a tensor's storage.
    fn storage(&self, info: &TensorInfo, end: usize) -> std::result::Result<Vec<u8>, String> {
        let file = File::open(&self.file).map_err(|e| e.to_string())?;
        let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| e.to_string())?;
        let entry = archive.by_name(&info.path).map_err(|e| e.to_string())?;
        if entry.size() < end as u64 {
            return Err(format!("its storage has {} bytes of {end}", entry.size()));
        }
        let mut bytes = Vec::new();
        entry.take(end as u64).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
        if bytes.len() < end { Err(format!("its storage ends after {} bytes of {end}", bytes.len())) } else { Ok(bytes) }
    }
}

/// Most elements of one tensor: 16 times the largest of any model here.
const MOST: usize = 1 << 28;
