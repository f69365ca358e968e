use std::path::PathBuf;

/// What went wrong with a face's file or numbers; every variant names the file or the argument.
#[derive(Debug, thiserror::Error)]
pub enum FaceError {
    /// The file could not be read, or is no array.
    #[error(transparent)]
    Store(#[from] react_store::StoreError),
    /// The file holds a pickle that is refused.
    #[error("{}, byte {offset}: {why}", file.display())]
    Pickle {
        /// The file.
        file: PathBuf,
        /// Where in it, bytes from its start.
        offset: usize,
        /// What is wrong there.
        why: String,
    },
    /// The file's arrays do not make a model.
    #[error("{}: {array}: {why}", file.display())]
    Model {
        /// The file.
        file: PathBuf,
        /// The array by its key.
        array: String,
        /// What was wanted and what was found.
        why: String,
    },
    /// An argument has another size or value than was wanted.
    #[error("{what}: wanted {want}, found {found}")]
    Argument {
        /// The argument.
        what: &'static str,
        /// What was wanted.
        want: String,
        /// What was found.
        found: String,
    },
}

impl FaceError {
    pub(crate) fn argument(what: &'static str, want: impl ToString, found: impl ToString) -> Self {
        Self::Argument { what, want: want.to_string(), found: found.to_string() }
    }
}
