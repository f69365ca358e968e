use crate::kernels::DropKey;
use candle_core::Tensor;

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
        Self { gradient: true, dropout: Some(Seeds { seed, step, pass: 0 }) }
    }

    /// Evaluation: neither dropout nor gradients.
    #[must_use]
    pub fn eval() -> Self {
        Self { gradient: false, dropout: None }
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
