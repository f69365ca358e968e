use crate::Element;
use std::path::PathBuf;

/// A tensor that breaks its contract: which field, which axis, what was wanted and what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractError {
    field: String,
    what: Violation,
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Violation {
    Rank { axes: &'static [&'static str], found: Vec<usize> },
    Size { axis: usize, name: &'static str, want: String, found: usize },
    Element { want: Element, found: Element },
}

impl ContractError {
    pub(crate) fn new(field: &str, what: Violation) -> Self {
        Self { field: field.to_owned(), what, file: None }
    }

    /// An axis of `field` that has another size than was wanted: for checks between tensors.
    ///
    /// ```
    /// use react_contracts::ContractError;
    /// let error = ContractError::axis("listener_3dmm", 1, "frames", "256 (as speaker_audio)", 255);
    /// assert_eq!(error.to_string(), "listener_3dmm: axis 1 (frames) must be 256 (as speaker_audio), is 255");
    /// ```
    #[must_use]
    pub fn axis(field: &str, axis: usize, name: &'static str, want: impl ToString, found: usize) -> Self {
        Self::new(field, Violation::Size { axis, name, want: want.to_string(), found })
    }

    /// The same error under the name that the caller knows the tensor by.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        field.clone_into(&mut self.field);
        self
    }

    /// The same error with the file that the tensor came from.
    #[must_use]
    pub fn at(mut self, file: impl Into<PathBuf>) -> Self {
        self.file = Some(file.into());
        self
    }
}

impl std::error::Error for ContractError {}

impl std::fmt::Display for ContractError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.field)?;
        match &self.what {
            Violation::Rank { axes, found } => {
                write!(f, "must have {} axes [{}], has {} {found:?}", axes.len(), axes.join(", "), found.len())?;
            }
            Violation::Size { axis, name, want, found } => write!(f, "axis {axis} ({name}) must be {want}, is {found}")?,
            Violation::Element { want, found } => write!(f, "elements must be {want}, are {found}")?,
        }
        match &self.file {
            Some(file) => write!(f, " (file {})", file.display()),
            None => Ok(()),
        }
    }
}
