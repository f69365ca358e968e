use react_media::MediaError;
use react_store::StoreError;

/// What can go wrong while drawing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VizError {
    /// An array has another shape than its function's documentation says.
    #[error("{what}: {axis} must be {want}, is {got}")]
    Shape {
        /// Which argument.
        what: String,
        /// Which axis of it.
        axis: &'static str,
        /// The size that was wanted.
        want: usize,
        /// The size that came.
        got: usize,
    },
    /// There is nothing to draw.
    #[error("{what}: nothing to draw")]
    Empty {
        /// Which argument.
        what: String,
    },
    /// A number that cannot be drawn with.
    #[error("{what}: {reason}")]
    Value {
        /// Which argument.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The plotting library refused.
    #[error("plot {title:?}: {reason}")]
    Plot {
        /// The panel's title.
        title: String,
        /// The library's words.
        reason: String,
    },
    /// A picture that is not plain vector graphics.
    #[error("svg: {0}")]
    Svg(String),
    /// A picture could not be scaled.
    #[error("scaling a frame of {width}×{height}: {reason}")]
    Scale {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// The library's words.
        reason: String,
    },
    /// A file of the report could not be read.
    #[error("cannot read {path:?}: {source}")]
    Read {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A folder for pictures could not be made.
    #[error("cannot create the folder {path:?}: {source}")]
    Folder {
        /// The folder.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of TensorBoard's events could not be read or written.
    #[error("cannot write {path:?}: {source}")]
    Events {
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A video or picture could not be written.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// A file could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}
