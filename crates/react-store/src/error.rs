use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with a file on disk; every variant names the file.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried: `read`, `write`, …
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no NumPy array that can be read here.
    #[error("{} is not a readable npy file: {why}", file.display())]
    Npy {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file is no table that can be read here.
    #[error("{}: {why}", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and in which line.
        why: String,
    },
    /// The array is another than was wanted.
    #[error("{}: wanted {want}, found {found}", file.display())]
    Array {
        /// The file.
        file: PathBuf,
        /// The wanted element or shape.
        want: String,
        /// The found one.
        found: String,
    },
}

impl StoreError {
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { action, file, source }
    }

    pub(crate) fn csv(file: &Path, why: impl Into<String>) -> Self {
        Self::Csv { file: file.to_owned(), why: why.into() }
    }

    pub(crate) fn npy(file: &Path, why: impl Into<String>) -> Self {
        Self::Npy { file: file.to_owned(), why: why.into() }
    }
}
