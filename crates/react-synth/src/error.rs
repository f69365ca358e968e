use std::io;
use std::path::PathBuf;

/// Why no corpus was made; one sentence, with the file where there is one.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// The configuration asks for what cannot be.
    #[error("{what} must be {want}, is {found}")]
    Config {
        /// The field.
        what: &'static str,
        /// What it may be.
        want: String,
        /// What it is.
        found: String,
    },
    /// The folder holds something else, and nothing of it is overwritten.
    #[error("{} holds {found}: choose another folder, or remove it", folder.display())]
    Occupied {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        found: String,
    },
    /// `truth.json` is no description of a synthetic corpus.
    #[error("{} does not describe a synthetic corpus: {why}", file.display())]
    Truth {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The corpus has no such split.
    #[error("the synthetic corpus has no split {name:?}; it has train and val")]
    Split {
        /// The name that was asked for.
        name: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The threads could not be started.
    #[error("cannot start {threads} threads: {why}")]
    Threads {
        /// How many.
        threads: usize,
        /// The reason.
        why: String,
    },
    /// A file could not be written.
    #[error(transparent)]
    Store(#[from] react_store::StoreError),
    /// A video or a sound could not be written.
    #[error(transparent)]
    Media(#[from] react_media::MediaError),
}
