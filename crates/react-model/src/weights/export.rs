//! Weights out as PyTorch reads them: a zip of a pickle and raw storages, stored, not compressed.
//!
//! ```text
//! archive/data.pkl     {'state_dict': OrderedDict(name → _rebuild_tensor_v2(storage, 0, dims, strides, False, OrderedDict()))}
//! archive/byteorder    little
//! archive/data/0 …     the tensors' f32, row by row, one file each, at multiples of 64 bytes
//! archive/version      3
//! ```

use super::tensors::{POSITIONS, WIDTH};
use crate::layers::positions;
use crate::{ModelError, Params, Result};
use candle_core::{Device, Tensor};
use react_store::AtomicFile;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Frames in the published table of positions.
const POSITIONS_FRAMES: usize = 5000;
/// What PyTorch aligns storages to, so that they can be mapped.
const ALIGNMENT: u16 = 64;

/// Writes all parameters as a `.pth` of the published program: a dict with `state_dict`, which `torch.load(weights_only=True)`
/// reads. A Trans-VAE's table of positions, which the published program keeps among its weights, is computed and added. Atomic,
/// and the same weights give the same bytes.
///
/// ```
/// use react_model::{Init, Params, weights::{self, Tensors}};
/// # let folder = tempfile::tempdir()?;
/// let params = Params::new(0);
/// params.root().at("fc").get("weight", &[2, 3], Init::Normal)?;
/// let path = folder.path().join("model.pth");
/// weights::save_pth(&path, &params)?;
/// assert_eq!(Tensors::read(&path)?.dims("fc.weight"), Some(vec![2, 3]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ModelError::NotFinite`] with the first parameter that holds a number that is none, [`ModelError::File`] where the file
/// cannot be written.
pub fn save_pth(path: &Path, params: &Params) -> Result<()> {
    let fault = |what: String| ModelError::File { file: path.to_owned(), what };
    let mut tensors: BTreeMap<String, Tensor> = params.all().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect();
    if let Some(token) = params.get(WIDTH) {
        let width = token.elem_count();
        tensors.insert(POSITIONS.to_owned(), positions(POSITIONS_FRAMES, width, &Device::Cpu)?.reshape((POSITIONS_FRAMES, 1, width))?);
    }
    let file = AtomicFile::beside(path).map_err(|e| fault(e.to_string()))?;
    let out = BufWriter::new(File::create(file.temp()).map_err(|e| fault(e.to_string()))?);
    write(out, &tensors).map_err(|error| match error {
        Fault::Model(error) => error,
        Fault::Write(what) => fault(what),
    })?;
    file.publish().map_err(|e| fault(e.to_string()))
}

enum Fault {
    Model(ModelError),
    Write(String),
}

impl From<std::io::Error> for Fault {
    fn from(error: std::io::Error) -> Self {
        Self::Write(error.to_string())
    }
}

impl From<zip::result::ZipError> for Fault {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Write(error.to_string())
    }
}

impl From<candle_core::Error> for Fault {
    fn from(error: candle_core::Error) -> Self {
        Self::Model(error.into())
    }
}

fn write(out: BufWriter<File>, tensors: &BTreeMap<String, Tensor>) -> std::result::Result<(), Fault> {
    let mut zip = ZipWriter::new(out);
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).with_alignment(ALIGNMENT);
    let mut entry = |name: &str, bytes: &[u8]| -> std::result::Result<(), Fault> {
        zip.start_file(format!("archive/{name}"), stored)?;
        Ok(zip.write_all(bytes)?)
    };
    entry("data.pkl", &pickle(tensors)?)?;
    entry("byteorder", b"little")?;
    for (key, (name, tensor)) in tensors.iter().enumerate() {
        let values = tensor.flatten_all()?.to_vec1::<f32>()?;
        if !values.iter().all(|x| x.is_finite()) {
            return Err(Fault::Model(ModelError::NotFinite { what: "the value", name: name.clone() }));
        }
        entry(&format!("data/{key}"), &values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>())?;
    }
    entry("version", b"3\n")?;
    zip.finish()?.flush()?;
    Ok(())
}

const ORDERED_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";

/// Protocol 2, without memory: nothing in it is used twice.
fn pickle(tensors: &BTreeMap<String, Tensor>) -> std::result::Result<Vec<u8>, Fault> {
    let mut out = b"\x80\x02}".to_vec();
    text(&mut out, "state_dict");
    out.extend(ORDERED_DICT);
    out.push(b'(');
    for (key, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &key.to_string());
        text(&mut out, "cpu");
        int(&mut out, tensor.elem_count())?;
        out.extend(b"tQ");
        int(&mut out, 0)?;
        ints(&mut out, tensor.dims())?;
        ints(&mut out, &strides(tensor.dims()))?;
        out.push(0x89); // requires_grad = False
        out.extend(ORDERED_DICT);
        out.extend(b"tR");
    }
    out.extend(b"us.");
    Ok(out)
}

/// Of a tensor that lies row by row.
fn strides(dims: &[usize]) -> Vec<usize> {
    let mut strides: Vec<usize> = dims.iter().rev().scan(1, |step, n| Some(std::mem::replace(step, *step * n))).collect();
    strides.reverse();
    strides
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

fn int(out: &mut Vec<u8>, value: usize) -> std::result::Result<(), Fault> {
    let value = i32::try_from(value).map_err(|_| Fault::Write(format!("a tensor of {value} numbers is too large for it")))?;
    out.push(b'J');
    out.extend(value.to_le_bytes());
    Ok(())
}

fn ints(out: &mut Vec<u8>, values: &[usize]) -> std::result::Result<(), Fault> {
    out.push(b'(');
    values.iter().try_for_each(|value| int(out, *value))?;
    out.push(b't');
    Ok(())
}
