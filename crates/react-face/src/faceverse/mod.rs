//! FaceVerse v2: its files, and its geometry as the published program computes it.

mod model;
mod npz;
mod person;
mod pickle;
mod source;

pub use model::FaceVerse;
pub use person::FaceVersePerson;
