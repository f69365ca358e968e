//! Weights in and out: safetensors, and the `.pth` files of the published program.
//!
//! A file is trusted with nothing: what is allocated for it is bounded by its own length, and its pickle is read by an interpreter
//! that builds numbers and descriptions of tensors, calls nothing, and refuses the rest. (Candle's reader allocates what a header
//! asks for, and gives up on tensors that do not lie in order.)

mod pickle;
mod pth;
mod tensors;

pub use tensors::Tensors;

use crate::optim::AdamW;
use crate::{ModelError, Params, Result};
use candle_core::{DType, Tensor};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Before the names of the optimizer's moments in a file.
const MOMENTS: &str = "adamw.moments/";
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

/// Writes all parameters, and the optimizer's state where it is given, as safetensors, atomically. The same content gives the
/// same bytes.
///
/// # Errors
/// [`ModelError::File`] where it cannot be written.
pub fn save(path: &Path, params: &Params, optimizer: Option<&AdamW>, values: &BTreeMap<String, String>) -> Result<()> {
    let mut tensors: BTreeMap<String, Tensor> = params.all().into_iter().map(|(name, var)| (name, var.as_tensor().clone())).collect();
    if let Some(optimizer) = optimizer {
        tensors.extend(optimizer.moments().iter().map(|(name, moments)| (format!("{MOMENTS}{name}"), moments.clone())));
    }
    let note = Note { optimizer_steps: optimizer.map(AdamW::steps), values: values.clone() };
    write(path, &tensors, &note)
}

fn write(path: &Path, tensors: &BTreeMap<String, Tensor>, note: &Note) -> Result<()> {
    let fault = |what: String| ModelError::File { file: path.to_owned(), what };
    let mut bytes = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
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

/// Sets every parameter from the file's tensors; the optimizer's state in it is left alone.
///
/// ```no_run
/// use react_model::{Params, transvae::{Config, TransVae}, weights::{self, Tensors}};
/// let tensors = Tensors::read("model_offline.pth".as_ref())?;
/// let params = Params::new(0);
/// let model = TransVae::new(Config::of_width(tensors.transvae_width()?), &params.root())?;
/// weights::load(&tensors, &params)?;
/// # Ok::<(), react_model::ModelError>(())
/// ```
///
/// # Errors
/// [`ModelError::Shape`], [`ModelError::Missing`] or [`ModelError::Unknown`] with the first tensor that does not fit: then no
/// parameter has been set.
pub fn load(tensors: &Tensors, params: &Params) -> Result<()> {
    let (file, all) = (tensors.file(), params.all());
    for (name, var) in &all {
        let want = var.dims().to_vec();
        match tensors.dims(name) {
            None => return Err(ModelError::Missing { file: file.to_owned(), name: name.clone(), want }),
            Some(found) if found != want => return Err(ModelError::Shape { file: file.to_owned(), name: name.clone(), want, found }),
            Some(_) => {}
        }
    }
    for name in tensors.names() {
        if !name.starts_with(MOMENTS) && params.get(name).is_none() {
            return Err(ModelError::Unknown { file: file.to_owned(), name: name.to_owned() });
        }
    }
    let mut values = Vec::with_capacity(all.len());
    for (name, var) in all {
        values.push((tensors.get(&name)?, var));
    }
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
