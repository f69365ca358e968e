//! What is wrong with a corpus: everything is read once, and everything that is found is said.
//!
//! [`examine`] looks at a corpus of dyads, [`examine_hume`] at Hume-Reaction. Each clip's files are hashed, its tables and sound
//! read, its video decoded to the end, by the code that [`crate::prepare`] packs with; what is an error here is one there. Memory is
//! that of one clip a thread and of a hash a file.
//!
//! | severity | what |
//! |---|---|
//! | error | missing, empty, truncated or undecodable files; wrong columns; NaN or infinite values; action units and probabilities outside \[0, 1\], probabilities whose sum is off by more than 0.05; frame counts that differ by more than 1; another frame rate; clips without partner; the same bytes in several splits (sound: a warning); a list, table or matrix that cannot be used |
//! | warning | action units between 0 and 1, valence or arousal outside \[−1, 1\], sums off by more than 0.005; sound that is more than 1 s shorter than its video; the same bytes twice in a split; files that no list names; clips without an appropriate reaction |
//! | note | a clip of Hume-Reaction with a video or a sound alone |

mod clip;
mod dyads;
mod finding;
mod hume;
mod report;
mod same;

pub use dyads::examine;
pub use finding::{Finding, Kind, Modality, Severity};
pub use hume::examine_hume;
pub use report::{Diagnosis, Files, SplitCounts};

pub(crate) use clip::{Examined, Expected, check_decoded};
pub(crate) use dyads::corpus_rate;
pub(crate) use finding::kind_of;
