use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// What went wrong with a picture, a video or a sound; every variant that concerns a file names it.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", file.display())]
    Io {
        /// What was tried: `open`, `read`, …
        action: &'static str,
        /// The file.
        file: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file ends before its own tables say that it does.
    #[error("{} is cut short: {what} ends at byte {needs}, the file at byte {has}", file.display())]
    Truncated {
        /// The file.
        file: PathBuf,
        /// The part that is cut.
        what: String,
        /// Where that part should end.
        needs: u64,
        /// Where the file ends.
        has: u64,
    },
    /// The file contradicts its own format.
    #[error("{} is damaged: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file is sound as far as it was read, but this crate cannot decode it.
    #[error("{}: {what} is not supported", file.display())]
    Unsupported {
        /// The file.
        file: PathBuf,
        /// What it holds.
        what: String,
    },
    /// The file's codec, or a kind of it, is none that the decoders built in understand.
    #[error("{}: {what} is not supported{}", file.display(), HINT)]
    Codec {
        /// The file.
        file: PathBuf,
        /// What it holds.
        what: String,
    },
    /// The pictures are larger than the caller allows; nothing was allocated.
    #[error("{}: {width}×{height} pixels are more than the {max_pixels} allowed", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The bound, in pixels a picture.
        max_pixels: usize,
    },
    /// A frame or a packet of sound could not be decoded.
    #[error("{}: cannot decode {unit} {index}: {what}", file.display())]
    Decode {
        /// The file.
        file: PathBuf,
        /// `frame` or `sound packet`.
        unit: &'static str,
        /// Its number in the file, from 0.
        index: usize,
        /// The decoder's reason.
        what: String,
    },
    /// There is no such track in the file.
    #[error("{} holds no {kind}", file.display())]
    NoTrack {
        /// The file.
        file: PathBuf,
        /// `video` or `sound`.
        kind: &'static str,
    },
    /// A file could not be encoded or written.
    #[error("cannot write {}: {what}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The reason.
        what: String,
    },
    /// The caller passed something impossible, such as a buffer of the wrong length.
    #[error("{0}")]
    Argument(String),
    /// The atomic writer failed.
    #[error(transparent)]
    Store(#[from] react_store::StoreError),
}

/// What to do about a codec that is not there.
const HINT: &str = if cfg!(feature = "ffmpeg") {
    ""
} else {
    " by the decoders built in (build with `--features ffmpeg`, or convert the file with FFmpeg first)"
};

impl MediaError {
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io { action, file, source }
    }

    pub(crate) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), what: what.into() }
    }

    pub(crate) fn unsupported(file: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported { file: file.to_owned(), what: what.into() }
    }

    pub(crate) fn codec(file: &Path, what: impl Into<String>) -> Self {
        Self::Codec { file: file.to_owned(), what: what.into() }
    }

    /// Whether another decoder might read what this one could not.
    pub(crate) fn is_for_another_decoder(&self) -> bool {
        matches!(self, Self::Codec { .. } | Self::Unsupported { .. } | Self::Decode { .. })
    }

    pub(crate) fn frame(file: &Path, index: usize, what: impl ToString) -> Self {
        Self::Decode { file: file.to_owned(), unit: "frame", index, what: what.to_string() }
    }

    pub(crate) fn write(file: &Path, what: impl ToString) -> Self {
        Self::Write { file: file.to_owned(), what: what.to_string() }
    }
}

/// Refuses a picture of more than `max_pixels`, before anything is allocated for it.
pub(crate) fn check_size(file: &Path, width: usize, height: usize, max_pixels: usize) -> Result<(), MediaError> {
    if width == 0 || height == 0 {
        return Err(MediaError::damaged(file, format!("its pictures are {width}×{height} pixels")));
    }
    match width.checked_mul(height) {
        Some(pixels) if pixels <= max_pixels => Ok(()),
        _ => Err(MediaError::TooLarge { file: file.to_owned(), width, height, max_pixels }),
    }
}

/// Runs a decoder that others wrote: where it panics, that is an error of the file.
///
/// Its state is not to be used after that. The decoders here hold no locks and no files, and nobody sees their memory from outside, so
/// nothing else is left half done.
pub(crate) fn guarded<T>(file: &Path, run: impl FnOnce() -> T) -> Result<T, MediaError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        let what = what.unwrap_or("for no stated reason").lines().next().unwrap_or_default();
        MediaError::damaged(file, format!("its decoder gave up ({what})"))
    })
}
