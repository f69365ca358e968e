//! Tensors by name: from a file, whose every tensor is compared with the nets first, or from a function.

use super::config::PiRenderConfig;
use super::conv::{Conv, Transposed};
use crate::weights::Tensors;
use crate::{ModelError, Result};
use std::collections::BTreeMap;

/// The tensor whose name tells what a checkpoint puts before all names.
const ANCHOR: &str = "mapping_net.pre.weight";

/// Gives a tensor's values by its name and shape.
type Get<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a;

/// Makes layers from tensors by name.
pub(super) struct Loader<'a> {
    get: Box<Get<'a>>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(config: &PiRenderConfig, get: impl FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a) -> Result<Self> {
        config.check()?;
        Ok(Self { get: Box::new(get), shapes: config.tensors() })
    }

    /// The tensors of a file that has those of the nets and no others. Before the names may stand what a checkpoint puts there
    /// (`module.`, `net_G_ema.`): then what has another beginning is not the generator's, and left alone.
    pub(super) fn from_file(config: &PiRenderConfig, tensors: &'a Tensors) -> Result<Self> {
        let shapes = config.tensors();
        let file = || tensors.file().to_owned();
        let prefix = prefix(tensors);
        for (name, want) in &shapes {
            match tensors.dims(&format!("{prefix}{name}")) {
                None => return Err(ModelError::Missing { file: file(), name: name.clone(), want: want.clone() }),
                Some(found) if found != *want => {
                    return Err(ModelError::Shape { file: file(), name: name.clone(), want: want.clone(), found });
                }
                Some(_) => {}
            }
        }
        if let Some(name) = tensors.names().filter_map(|name| name.strip_prefix(&prefix)).find(|name| !shapes.contains_key(*name)) {
            return Err(ModelError::Unknown { file: file(), name: name.to_owned() });
        }
        Self::new(config, move |name, _| Ok(tensors.get(&format!("{prefix}{name}"))?.flatten_all()?.to_vec1()?))
    }

    /// A tensor's values, all finite.
    pub(super) fn get(&mut self, name: &str) -> Result<Vec<f32>> {
        let fault = |what: String| ModelError::Config { field: "weights of PIRender", what: format!("{name}: {what}") };
        let shape = self.shapes.get(name).ok_or_else(|| fault("the nets have no such tensor".to_owned()))?;
        let values = (self.get)(name, shape)?;
        if values.len() != shape.iter().product::<usize>() {
            return Err(fault(format!("{} values for the shape {shape:?}", values.len())));
        }
        if !values.iter().all(|x| x.is_finite()) {
            return Err(ModelError::NotFinite { what: "a value", name: name.to_owned() });
        }
        Ok(values)
    }

    /// The convolution `name`.
    pub(super) fn conv(&mut self, name: &str, kernel: usize, stride: usize) -> Result<Conv> {
        Ok(Conv::new(&self.get(&format!("{name}.weight"))?, self.get(&format!("{name}.bias"))?, kernel, stride))
    }

    /// The transposed convolution `name`.
    pub(super) fn transposed(&mut self, name: &str) -> Result<(Transposed, Vec<f32>)> {
        let bias = self.get(&format!("{name}.bias"))?;
        Ok((Transposed::new(&self.get(&format!("{name}.weight"))?, bias.len()), bias))
    }
}

/// What stands before all names. Of several generators in one file the averaged one is meant, as the published program draws with it.
pub(super) fn prefix(tensors: &Tensors) -> String {
    let found: Vec<&str> = tensors.names().filter_map(|name| name.strip_suffix(ANCHOR)).collect();
    let averaged = found.iter().find(|prefix| prefix.contains("ema"));
    (*averaged.or(found.first()).unwrap_or(&"")).to_owned()
}
