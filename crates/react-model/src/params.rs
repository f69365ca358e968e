//! The trainable tensors by name, in sorted order everywhere, with PyTorch's initialisations from counter-based draws.

use crate::{ModelError, Result};
use candle_core::{Device, Tensor, Var};
use react_random::Draws;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// How a parameter starts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
    /// Standard normal (`torch.randn`).
    Normal,
    /// Normal with mean 0.
    ScaledNormal {
        /// Standard deviation.
        std: f32,
    },
    /// Uniform in ±bound.
    Uniform {
        /// The bound.
        bound: f32,
    },
}

impl Init {
    /// PyTorch's default for weights and biases of linear and convolution layers: uniform in ±1/√fan_in.
    ///
    /// It is Kaiming's uniform initialisation with a = √5: bound = √3·√(2/(1 + a²))/√fan_in = 1/√fan_in.
    #[must_use]
    pub fn kaiming(fan_in: usize) -> Self {
        Self::Uniform { bound: 1.0 / (fan_in as f32).sqrt() }
    }

    /// Xavier's uniform initialisation: uniform in ±√(6/(fan_in + fan_out)).
    #[must_use]
    pub fn xavier(fan_in: usize, fan_out: usize) -> Self {
        Self::Uniform { bound: (6.0 / (fan_in + fan_out) as f32).sqrt() }
    }

    fn fill(self, draws: &mut Draws, out: &mut [f32]) {
        match self {
            Self::Zeros => out.fill(0.0),
            Self::Ones => out.fill(1.0),
            Self::Normal => draws.fill_normal(out),
            Self::ScaledNormal { std } => {
                draws.fill_normal(out);
                out.iter_mut().for_each(|x| *x *= std);
            }
            Self::Uniform { bound } => out.iter_mut().for_each(|x| *x = draws.between(-bound, bound)),
        }
    }
}

/// All parameters of a model. Layers ask for theirs through a [`Scope`] when they are built; everything that walks over them
/// (optimizer, files, reports) walks in the order of their names.
///
/// A parameter's first value is a function of (seed, its full name): adding a layer changes no other.
///
/// ```
/// use react_model::{Init, Params};
/// let params = Params::new(7);
/// params.root().at("fc").get("weight", &[2, 3], Init::kaiming(3))?;
/// assert_eq!(params.all()[0].0, "fc.weight");
/// assert_eq!(params.count(), 6);
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Params {
    /// None: nothing is drawn.
    seed: Option<u64>,
    device: Device,
    map: Mutex<BTreeMap<String, Var>>,
    buffers: Mutex<BTreeMap<String, Var>>,
}

impl Params {
    /// No parameters yet, on the CPU.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::on(seed, &Device::Cpu)
    }

    /// No parameters yet; all will begin as 0, for models whose weights come from a file: drawing millions of numbers that are then
    /// replaced takes longer than reading them.
    #[must_use]
    pub fn to_be_read() -> Self {
        Self::to_be_read_on(&Device::Cpu)
    }

    /// The same on a device.
    #[must_use]
    pub fn to_be_read_on(device: &Device) -> Self {
        Self { seed: None, ..Self::on(0, device) }
    }

    /// No parameters yet, on a device.
    #[must_use]
    pub fn on(seed: u64, device: &Device) -> Self {
        Self { seed: Some(seed), device: device.clone(), map: Mutex::default(), buffers: Mutex::default() }
    }

    /// Where names begin.
    #[must_use]
    pub fn root(&self) -> Scope<'_> {
        Scope { params: self, prefix: String::new() }
    }

    /// Every parameter with its name, sorted by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Var)> {
        self.lock().iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// A parameter by its full name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Var> {
        self.lock().get(name).cloned()
    }

    /// What the model keeps beside its parameters and no optimizer moves (running statistics), with names, sorted by name.
    #[must_use]
    pub fn buffers(&self) -> Vec<(String, Var)> {
        locked(&self.buffers).iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// A buffer by its full name.
    #[must_use]
    pub fn buffer(&self, name: &str) -> Option<Var> {
        locked(&self.buffers).get(name).cloned()
    }

    /// Parameters and buffers: everything that a file of weights holds, sorted by name.
    #[must_use]
    pub fn state(&self) -> Vec<(String, Var)> {
        let mut all = self.all();
        all.extend(self.buffers());
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// How many numbers the parameters hold together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().map(|v| v.elem_count()).sum()
    }

    /// The device that the parameters live on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Var>> {
        locked(&self.map)
    }
}

fn locked(map: &Mutex<BTreeMap<String, Var>>) -> std::sync::MutexGuard<'_, BTreeMap<String, Var>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place in the tree of names, as PyTorch's modules nest.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    params: &'a Params,
    prefix: String,
}

impl Scope<'_> {
    /// The place `name` below this one.
    #[must_use]
    pub fn at(&self, name: &str) -> Self {
        Self { params: self.params, prefix: self.path(name) }
    }

    /// The full name of `name` below this place.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }

    /// Makes the parameter `name` of this shape.
    ///
    /// # Errors
    /// [`ModelError::Duplicate`] where it exists already.
    pub fn get(&self, name: &str, shape: &[usize], init: Init) -> Result<Tensor> {
        Ok(self.make(&self.params.map, name, shape, init)?.as_tensor().clone())
    }

    /// Makes the parameter `name` of this shape with these first values.
    ///
    /// # Errors
    /// [`ModelError::Duplicate`] where it exists already, Candle's where the values are too many or too few.
    pub(crate) fn get_from(&self, name: &str, shape: &[usize], values: Vec<f32>) -> Result<Tensor> {
        let var = self.make(&self.params.map, name, shape, Init::Zeros)?;
        var.set(&Tensor::from_vec(values, shape, &self.params.device)?)?;
        Ok(var.as_tensor().clone())
    }

    /// Makes the buffer `name` of this shape: kept and saved with the parameters, and not trained.
    ///
    /// # Errors
    /// [`ModelError::Duplicate`] where it exists already.
    pub fn buffer(&self, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        self.make(&self.params.buffers, name, shape, init)
    }

    fn make(&self, map: &Mutex<BTreeMap<String, Var>>, name: &str, shape: &[usize], init: Init) -> Result<Var> {
        let name = self.path(name);
        let mut values = vec![0.0; shape.iter().product()];
        if let Some(seed) = self.params.seed {
            init.fill(&mut Draws::new(seed, &name, react_random::fnv1a("weights"), 0), &mut values);
        }
        let var = Var::from_tensor(&Tensor::from_vec(values, shape, &self.params.device)?)?;
        let mut map = locked(map);
        if map.contains_key(&name) {
            return Err(ModelError::Duplicate { name });
        }
        map.insert(name, var.clone());
        Ok(var)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_depends_on_its_name_and_the_seed_only() {
        let value = |seed, before: &[&str]| {
            let params = Params::new(seed);
            for name in before {
                params.root().get(name, &[4], Init::Normal).unwrap();
            }
            params.root().at("a").get("weight", &[5], Init::Normal).unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(value(1, &[]), value(1, &["x", "b"]));
        assert_ne!(value(1, &[]), value(2, &[]));
    }

    #[test]
    fn initialisations_have_their_bounds() {
        let params = Params::new(3);
        let max = |name: &str, init| {
            let t = params.root().get(name, &[4000], init).unwrap().to_vec1::<f32>().unwrap();
            t.iter().fold(0.0f32, |m, x| m.max(x.abs()))
        };
        let kaiming = max("k", Init::kaiming(16));
        assert!(kaiming <= 0.25 && kaiming > 0.249, "{kaiming}");
        let xavier = max("x", Init::xavier(2, 4));
        assert!(xavier <= 1.0 && xavier > 0.99, "{xavier}");
        let twice = params.root().get("k", &[1], Init::Zeros).unwrap_err();
        assert_eq!(twice.to_string(), "parameter k exists twice");
    }
}
