//! What can be wrong, and how badly.

use crate::DataError;
use react_media::MediaError;
use serde::Serialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know; nothing has to be done.
    Note,
    /// It can be used, and may not be what was meant.
    Warning,
    /// It cannot be used: `prepare` refuses it.
    Error,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A file that must be there is not.
    Missing,
    /// A file without contents, or a clip without frames.
    Empty,
    /// A file that ends too early.
    Truncated,
    /// A file that cannot be understood.
    Undecodable,
    /// A table or array of another shape than it must have.
    Columns,
    /// A number that is NaN or infinite, or no number.
    NotFinite,
    /// An action unit that is neither 0 nor 1.
    ActionUnits,
    /// Valence or arousal outside [−1, 1].
    Affect,
    /// Expressions that are no probabilities, or do not sum to 1.
    Probabilities,
    /// Modalities of a clip with different frame counts.
    FrameCounts,
    /// A video of another rate than the corpus.
    FrameRate,
    /// A clip whose partner is not there.
    Partner,
    /// The same bytes in clips of different splits.
    Leak,
    /// The same bytes in clips of one split.
    Duplicate,
    /// A file that no list names.
    Unlisted,
    /// A clip without an appropriate reaction.
    Neighbours,
    /// A list, table or matrix of the corpus that is wrong.
    Index,
    /// A label that cannot be.
    Label,
    /// The system refuses to read a file.
    Unreadable,
    /// Anything else.
    Other,
}

/// Which of a clip's files a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Pictures.
    Video,
    /// Sound, or features of it.
    Sound,
    /// The 25 attributes.
    Attributes,
    /// The 58 coefficients.
    Coefficients,
    /// The clip as a whole.
    Clip,
    /// Lists, tables and matrices of the corpus.
    Corpus,
}

impl Severity {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Modality {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Sound => "sound",
            Self::Attributes => "attributes",
            Self::Coefficients => "coefficients",
            Self::Clip => "clip",
            Self::Corpus => "corpus",
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub kind: Kind,
    /// The split; empty where it is of the whole corpus.
    pub split: String,
    /// The clip; empty where it is of the whole split.
    pub clip: String,
    /// Which of its files.
    pub modality: Modality,
    /// The file, below the corpus's folder with `/`, where it is one file's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A sentence.
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  ", self.severity.name())?;
        match (self.split.as_str(), self.clip.as_str()) {
            ("", "") => {}
            (split, "") => write!(f, "{split}: ")?,
            (split, clip) => write!(f, "{split}/{clip}: ")?,
        }
        f.write_str(&self.what)
    }
}

/// A finding whose clip is not said yet.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) severity: Severity,
    pub(crate) kind: Kind,
    pub(crate) modality: Modality,
    pub(crate) file: Option<PathBuf>,
    pub(crate) what: String,
}

impl Fault {
    pub(crate) fn new(severity: Severity, kind: Kind, modality: Modality, file: Option<PathBuf>, what: String) -> Self {
        Self { severity, kind, modality, file, what }
    }

    /// An error of reading a file.
    pub(crate) fn of(error: DataError, modality: Modality, file: Option<PathBuf>) -> Self {
        Self::new(Severity::Error, kind_of(&error), modality, file, error.to_string())
    }

    pub(crate) fn found(self, root: &Path, split: &str, clip: &str) -> Finding {
        let Self { severity, kind, modality, file, what } = self;
        let file = file.map(|file| crate::prepare::relative(root, &file));
        Finding { severity, kind, split: split.to_owned(), clip: clip.to_owned(), modality, file, what }
    }
}

/// What an error is about.
pub(crate) fn kind_of(error: &DataError) -> Kind {
    match error {
        DataError::Bad { kind, .. } => *kind,
        DataError::Missing { .. } => Kind::Missing,
        DataError::Io { .. } | DataError::Media(MediaError::Io { .. }) | DataError::Store(react_store::StoreError::Io { .. }) => {
            Kind::Unreadable
        }
        DataError::Media(MediaError::Truncated { .. }) => Kind::Truncated,
        DataError::Media(_) | DataError::Sound { .. } => Kind::Undecodable,
        DataError::Store(react_store::StoreError::Array { .. }) | DataError::Shape { .. } => Kind::Columns,
        DataError::Store(_) => Kind::Undecodable,
        DataError::Cell { .. } => Kind::NotFinite,
        DataError::Csv { why, .. } if why == "it is empty" => Kind::Empty,
        DataError::Csv { .. } | DataError::Line { .. } => Kind::Columns,
        _ => Kind::Other,
    }
}
