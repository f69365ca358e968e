//! Bytes on disk: files that are whole or absent, NumPy arrays and tables read within bounds, memory maps.
//!
//! - [`write_atomic`]: every file of the project is written beside its place, synced and renamed, so that a kill, a crash or a
//!   full disk never leaves half a file under a final name.
//! - [`read_npy_f32`] and its like, [`NpyMap`]: arrays from outside. Nothing in a header decides an allocation: the shape must agree with the
//!   file's own length before anything is reserved; object arrays, Fortran order and big-endian data are errors.
//! - [`Csv`]: tables of text from outside, in no more memory than the file has bytes.
//! - [`free_bytes`]: whether a disk has room.
//!
//! ```
//! use ndarray::{Array2, Ix2, array};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("a.npy");
//! let written: Array2<f32> = array![[1.0, 2.0], [3.0, 4.0]];
//! react_store::write_npy(&path, &written)?;
//! let read = react_store::read_npy_f32(&path)?;
//! assert_eq!(read.into_dimensionality::<Ix2>()?, written);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod buffer;
mod csv;
mod error;
mod header;
mod npy;
mod space;

pub use atomic::{AtomicFile, append_line, write_atomic};
pub use buffer::{copy_past_caches, large_buffer};
pub use csv::Csv;
pub use error::StoreError;
pub use header::{NpyElement, NpyHeader, read_npy_header};
pub use npy::{NpyMap, NpyWriter, parse_npy_f32, read_npy_f32, read_npy_f64, read_npy_u8, write_npy};
pub use space::free_bytes;
