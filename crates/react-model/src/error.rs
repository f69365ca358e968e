use std::path::PathBuf;

/// What can go wrong in this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// An operation of Candle failed.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
    /// A tensor at the public edge breaks its contract.
    #[error(transparent)]
    Contract(#[from] react_contracts::ContractError),
    /// A configuration that no model can have.
    #[error("{field}: {what}")]
    Config {
        /// The setting.
        field: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// Two layers asked for a parameter of the same name.
    #[error("parameter {name} exists twice")]
    Duplicate {
        /// The parameter's full name.
        name: String,
    },
    /// A file of weights that cannot be read.
    #[error("{file:?}: {what}")]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A tensor of a file has another shape than the model's.
    #[error("{file:?}: {name}: the model wants {want:?}, the file holds {found:?}")]
    Shape {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        name: String,
        /// The model's shape.
        want: Vec<usize>,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// A tensor that the model has and the file has not.
    #[error("{file:?}: {name}, {want:?}, is missing")]
    Missing {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        name: String,
        /// The model's shape.
        want: Vec<usize>,
    },
    /// A tensor that the file has and the model has not.
    #[error("{file:?}: the model has no tensor {name}")]
    Unknown {
        /// The file.
        file: PathBuf,
        /// The tensor's name.
        name: String,
    },
    /// A loss or a gradient that is not a finite number: nothing has been changed by it.
    #[error("{what} of {name} is not finite")]
    NotFinite {
        /// Loss or gradient.
        what: &'static str,
        /// The term's or the parameter's name.
        name: String,
    },
}

/// Results of this crate.
pub type Result<T, E = ModelError> = std::result::Result<T, E>;
