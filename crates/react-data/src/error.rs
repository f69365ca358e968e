use crate::doctor::Kind;
use react_contracts::ContractError;
use react_media::MediaError;
use react_store::StoreError;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong between a corpus on disk and a batch; names the file and the place in it.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
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
    /// Something that has to be there is not.
    #[error("{what} not found: {}", path.display())]
    Missing {
        /// What it would have been.
        what: String,
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A csv file as a whole cannot be used.
    #[error("{}: {why}", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// One cell of a csv or npy file. Rows count from 1 (without the header), columns from 1.
    #[error("{}: row {row}, column {column}: {why}", file.display())]
    Cell {
        /// The file.
        file: PathBuf,
        /// Row, from 1; a csv's header is not counted.
        row: usize,
        /// Column, from 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// One line of a text file, from 1.
    #[error("{}: line {line}: {why}", file.display())]
    Line {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// A list of frames asks for one that the video has not.
    #[error("{}: the list of frames asks for frame {frame} (from 0), and it has {frames}", file.display())]
    FrameList {
        /// The video.
        file: PathBuf,
        /// The frame, from 0.
        frame: usize,
        /// Frames of the video.
        frames: usize,
    },
    /// An array has another shape than its file must have.
    #[error("{}: wanted an array {want}, found {found:?}", file.display())]
    Shape {
        /// The file.
        file: PathBuf,
        /// The wanted shape.
        want: String,
        /// The found one.
        found: Vec<usize>,
    },
    /// The files of one clip do not go together.
    #[error("clip {clip} ({split}): {why}")]
    Clip {
        /// The split.
        split: String,
        /// The clip's path in the corpus.
        clip: String,
        /// What is wrong.
        why: String,
    },
    /// A file of a clip cannot be used.
    #[error("{why}")]
    Bad {
        /// What kind of fault it is.
        kind: Kind,
        /// What is wrong, with the file.
        why: String,
    },
    /// More clips are bad than was allowed.
    #[error("at least {bad} of {clips} clips cannot be packed, {allowed} may be bad (--max-bad); one of them: {first}")]
    TooManyBad {
        /// Clips that are bad, as far as they were looked at.
        bad: usize,
        /// Clips in all.
        clips: usize,
        /// What was allowed.
        allowed: usize,
        /// What is wrong with one.
        first: String,
    },
    /// A recipe cannot be understood.
    #[error("recipe {name}: {why}")]
    Recipe {
        /// Its name or file.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A folder is no complete packed corpus, or lacks a split.
    #[error("{}: {why}", dir.display())]
    Packed {
        /// The packed folder.
        dir: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The file system has not the room that packing needs.
    #[error("{}: packing needs {} and the file system has {} free", dir.display(), megabytes(*needed), megabytes(*free))]
    Room {
        /// The packed folder.
        dir: PathBuf,
        /// Bytes that will be written.
        needed: u64,
        /// Bytes that there are.
        free: u64,
    },
    /// Sound that no features can be computed of.
    #[error("audio features: {0}")]
    Audio(String),
    /// A file with an error of its sound's features.
    #[error("{}: {why}", file.display())]
    Sound {
        /// The sound file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Numbers that a loader cannot work with, or an index beyond the split.
    #[error("loader: {0}")]
    Loader(String),
    /// A file could not be written or an array not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A video or sound could not be read.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// An array breaks its contract.
    #[error(transparent)]
    Contract(#[from] ContractError),
}

impl DataError {
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::missing("file", &file),
            _ => Self::Io { action, file, source },
        }
    }

    pub(crate) fn missing(what: impl Into<String>, path: &Path) -> Self {
        Self::Missing { what: what.into(), path: path.to_owned() }
    }

    pub(crate) fn csv(file: &Path, why: impl Into<String>) -> Self {
        Self::Csv { file: file.to_owned(), why: why.into() }
    }

    /// `row` and `column` count from 0 here.
    pub(crate) fn cell(file: &Path, row: usize, column: usize, why: impl Into<String>) -> Self {
        Self::Cell { file: file.to_owned(), row: row + 1, column: column + 1, why: why.into() }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
