//! Weights in and out: safetensors, and the `.pth` files of the published program.
//!
//! A file is trusted with nothing: what is allocated for it is bounded by its own length, and its pickle is read by an interpreter
//! that builds numbers and descriptions of tensors, calls nothing, and refuses the rest. (Candle's reader allocates what a header
//! asks for, and gives up on tensors that do not lie in order.)

mod export;
mod pickle;
mod pth;
mod tensors;

pub use export::save_pth;

pub use tensors::Tensors;

use crate::optim::{AdamW, Ema};
use crate::{ModelError, Params, Result};
use candle_core::{DType, Tensor, Var};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Before the names of the optimizer's moments in a file.
const MOMENTS: &str = "adamw.moments/";
/// Before the names of the averaged weights.
const EMA: &str = "ema/";
/// PyTorch's count of the batches that a BatchNorm has seen: read by nothing.
const COUNTER: &str = ".num_batches_tracked";
/// The file's one entry of metadata: JSON, because several entries would be written in an order of their own.
const NOTE: &str = "react";

/// What a file says beside its tensors.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Note {
    /// Steps that the optimizer had made, where its state is in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimizer_steps: Option<u64>,
    /// Whatever the writer wants to find again.
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

/// What a training needs to go on, beside the weights.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// The optimizer: its moments and its steps.
    pub optimizer: &'a AdamW,
    /// The average of the weights, if there is one.
    pub ema: Option<&'a Ema>,
}

/// Writes all parameters and buffers, and the state of their training where it is given, as safetensors, atomically. The same content gives
/// the same bytes.
///
/// # Errors
/// [`ModelError::NotFinite`] with the first tensor that holds a number that is none: what was in the file's place stays;
/// [`ModelError::File`] where it cannot be written.
pub fn save(path: &Path, params: &Params, training: Option<Training<'_>>, values: &BTreeMap<String, String>) -> Result<()> {
    let weights = |prefix: &'static str, params: &Params| {
        params.state().into_iter().map(move |(name, var)| (format!("{prefix}{name}"), var.as_tensor().clone())).collect::<Vec<_>>()
    };
    let mut tensors: BTreeMap<String, Tensor> = weights("", params).into_iter().collect();
    if let Some(Training { optimizer, ema }) = training {
        tensors.extend(optimizer.moments().iter().map(|(name, moments)| (format!("{MOMENTS}{name}"), moments.clone())));
        tensors.extend(ema.into_iter().flat_map(|ema| weights(EMA, ema.params())));
    }
    let note = Note { optimizer_steps: training.map(|t| t.optimizer.steps()), values: values.clone() };
    write(path, &tensors, &note)
}

fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, note: &Note) -> Result<()> {
    let fault = |what: String| ModelError::File { file: path.to_owned(), what };
    let mut bytes = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        if !values.iter().all(|x| x.is_finite()) {
            return Err(ModelError::NotFinite { what: "the value", name: name.clone() });
        }
        let raw: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        bytes.push((name.as_str(), tensor.dims().to_vec(), raw));
    }
    let mut views = Vec::with_capacity(bytes.len());
    for (name, dims, raw) in &bytes {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, dims.clone(), raw).map_err(|e| fault(e.to_string()))?;
        views.push((*name, view));
    }
    let json = serde_json::to_string(note).map_err(|e| fault(e.to_string()))?;
    let file = safetensors::serialize(views, Some(HashMap::from([(NOTE.to_owned(), json)]))).map_err(|e| fault(e.to_string()))?;
    react_store::write_atomic(path, |w| w.write_all(&file)).map_err(|e| fault(e.to_string()))
}

/// Sets every parameter and buffer from the file's tensors; the state of a training in it is left alone.
///
/// ```no_run
/// use react_model::{Params, transvae::TransVae, weights::{self, Tensors}};
/// let tensors = Tensors::read("model_offline.pth".as_ref())?;
/// let params = Params::new(0);
/// let model = TransVae::new(tensors.transvae()?, &params.root())?;
/// weights::load(&tensors, &params)?;
/// # Ok::<(), react_model::ModelError>(())
/// ```
///
/// # Errors
/// [`ModelError::Shape`], [`ModelError::Missing`] or [`ModelError::Unknown`] with the first tensor that does not fit: then no
/// parameter has been set.
pub fn load(tensors: &Tensors, params: &Params) -> Result<()> {
    let all = fitting(tensors, params, "")?;
    for name in tensors.names() {
        let known = params.get(name).or_else(|| params.buffer(name)).is_some();
        if !known && !name.starts_with(MOMENTS) && !name.starts_with(EMA) && !name.ends_with(COUNTER) {
            return Err(ModelError::Unknown { file: tensors.file().to_owned(), name: name.to_owned() });
        }
    }
    set(tensors, all)
}

/// Sets the parameters and buffers whose names begin with `prefix` from the file's tensors whose names begin with `file_prefix`, and
/// end alike: one branch of a larger network, or the backbone from a file of its own. What else the file holds is left alone.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Shape`] with the first tensor that does not fit: then nothing has been set.
pub fn load_part(tensors: &Tensors, params: &Params, prefix: &str, file_prefix: &str) -> Result<()> {
    let part = params.state().into_iter().filter_map(|(name, var)| Some((format!("{file_prefix}{}", name.strip_prefix(prefix)?), var)));
    let part = part.map(|named| fit(tensors, named)).collect::<Result<Vec<_>>>()?;
    set(tensors, part)
}

/// Sets a moving average to the one in the file.
///
/// # Errors
/// [`ModelError::Missing`] or [`ModelError::Shape`] with the first tensor that does not fit: then nothing has been set.
pub fn load_ema(tensors: &Tensors, ema: &Ema) -> Result<()> {
    set(tensors, fitting(tensors, ema.params(), EMA)?)
}

/// The parameters, with their names in the file; every one is there, and of the same shape.
fn fitting(tensors: &Tensors, params: &Params, prefix: &str) -> Result<Vec<(String, Var)>> {
    params.state().into_iter().map(|(name, var)| fit(tensors, (format!("{prefix}{name}"), var))).collect()
}

/// The same pair, if the file has a tensor of that name and shape.
fn fit(tensors: &Tensors, (name, var): (String, Var)) -> Result<(String, Var)> {
    let (file, want) = (tensors.file().to_owned(), var.dims().to_vec());
    match tensors.dims(&name) {
        None => Err(ModelError::Missing { file, name, want }),
        Some(found) if found != want => Err(ModelError::Shape { file, name, want, found }),
        Some(_) => Ok((name, var)),
    }
}

/// Sets the parameters, all or none.
fn set(tensors: &Tensors, params: Vec<(String, Var)>) -> Result<()> {
    let values = params.into_iter().map(|(name, var)| Ok((tensors.get(&name)?, var))).collect::<Result<Vec<_>>>()?;
    for (value, var) in values {
        var.set(&value.to_device(var.device())?)?;
    }
    Ok(())
}

/// Sets the optimizer to the state in the file.
///
/// # Errors
/// [`ModelError::File`] where the file holds none, [`ModelError::Config`] where it does not fit the parameters.
pub fn load_optimizer(tensors: &Tensors, params: &Params, optimizer: &mut AdamW) -> Result<()> {
    let fault = |what: &str| ModelError::File { file: tensors.file().to_owned(), what: what.to_owned() };
    let steps = tensors.note().optimizer_steps.ok_or_else(|| fault("holds no state of an optimizer"))?;
    let mut moments = BTreeMap::new();
    for name in tensors.names().filter_map(|n| n.strip_prefix(MOMENTS)) {
        let found = tensors.dims(&format!("{MOMENTS}{name}")).unwrap_or_default();
        let want = params.get(name).map(|p| vec![2, p.elem_count()]).unwrap_or_default();
        if found != want {
            return Err(ModelError::Shape { file: tensors.file().to_owned(), name: format!("{MOMENTS}{name}"), want, found });
        }
        moments.insert(name.to_owned(), tensors.get(&format!("{MOMENTS}{name}"))?);
    }
    optimizer.restore(params, steps, &moments)
}
