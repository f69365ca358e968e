use crate::kernels::DropKey;
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// How exactly a GPU computes. The CPU always computes in f32.
///
/// ```
/// use react_model::Precision;
/// assert_eq!("bf16".parse(), Ok(Precision::Bf16));
/// assert_eq!(Precision::default().to_string(), "f32");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// f32 throughout.
    #[default]
    F32,
    /// Arrays are f32; tensor cores round the factors of convolutions and matrix products to 10 bits of mantissa.
    Tf32,
    /// Convolutions read and write bf16 (7 bits of mantissa), matrix products are as with [`Self::Tf32`]; statistics, latents,
    /// losses and weights are f32.
    Bf16,
}

impl Precision {
    /// Whether factors of f32 may be rounded on their way into tensor cores.
    pub(crate) fn rounds_factors(self) -> bool {
        self != Self::F32
    }

    /// What convolutions read and write.
    pub(crate) fn of_convolutions(self) -> DType {
        if self == Self::Bf16 { DType::BF16 } else { DType::F32 }
    }
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        })
    }
}

impl std::str::FromStr for Precision {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        [Self::F32, Self::Tf32, Self::Bf16]
            .into_iter()
            .find(|precision| precision.to_string() == name)
            .ok_or_else(|| format!("must be f32, tf32 or bf16, is {name}"))
    }
}

/// How a forward pass runs: with or without dropout, with or without a gradient.
///
/// A dropout mask is a function of (seed, step, pass, layer's name, element): a run that is stopped and resumed, or that has
/// another number of threads, drops the same elements.
///
/// ```
/// use react_model::Mode;
/// let train = Mode::train(7, 120); // seed 7, step 120
/// let second = train.another_pass(1).without_gradient(); // the diversity loss's other draw
/// assert!(train.has_gradient() && !second.has_gradient() && !Mode::eval().has_gradient());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    gradient: bool,
    dropout: Option<Seeds>,
    precision: Precision,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seeds {
    seed: u64,
    step: u32,
    pass: u32,
}

impl Mode {
    /// Training: dropout and gradients.
    #[must_use]
    pub fn train(seed: u64, step: u32) -> Self {
        Self { gradient: true, dropout: Some(Seeds { seed, step, pass: 0 }), precision: Precision::F32 }
    }

    /// Evaluation: neither dropout nor gradients.
    #[must_use]
    pub fn eval() -> Self {
        Self { gradient: false, dropout: None, precision: Precision::F32 }
    }

    /// Gradients without dropout.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        Self { dropout: None, ..self }
    }

    /// The same without gradients: parameters are used detached, nothing is kept for a backward pass.
    #[must_use]
    pub fn without_gradient(self) -> Self {
        Self { gradient: false, ..self }
    }

    /// The same at another precision, where a GPU computes; it begins as [`Precision::F32`].
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Self { precision, ..self }
    }

    /// How exactly a GPU computes.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The same with other dropout masks.
    #[must_use]
    pub fn another_pass(self, pass: u32) -> Self {
        Self { dropout: self.dropout.map(|s| Seeds { pass, ..s }), ..self }
    }

    /// The masks of an online window; those of window 0 are the pass' own.
    #[must_use]
    pub(crate) fn at_window(self, window: u32) -> Self {
        // Passes are few: the windows' numbers lie beside them in one word.
        self.dropout.map_or(self, |s| self.another_pass(s.pass.wrapping_add(window << 8)))
    }

    /// Whether a backward pass may follow.
    #[must_use]
    pub fn has_gradient(&self) -> bool {
        self.gradient
    }

    /// Whether elements are dropped.
    #[must_use]
    pub fn has_dropout(&self) -> bool {
        self.dropout.is_some()
    }

    /// A parameter as this pass uses it.
    pub(crate) fn parameter(&self, tensor: &Tensor) -> Tensor {
        if self.gradient { tensor.clone() } else { tensor.detach() }
    }

    /// The key of a layer's mask, if it drops at all.
    pub(crate) fn drop_key(&self, p: f32, site: &str) -> Option<DropKey> {
        let seeds = self.dropout.filter(|_| p > 0.0)?;
        Some(DropKey::new(p, seeds.seed, site, seeds.step, seeds.pass))
    }
}
