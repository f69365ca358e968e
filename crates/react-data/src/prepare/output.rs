//! Output files: npy and text, hashed while they are written, durable when finished.

use super::journal::{FileRecord, PACKED};
use crate::DataError;
use crate::packed::FrameSource;
use blake3::Hasher;
use ndarray::Array2;
use react_store::{AtomicFile, NpyElement};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Rows of tables are gathered; a frame of 224² is larger and goes straight to the file.
const BUFFER: usize = 1 << 16;

/// An npy file being written piece by piece: its shape is known before, its values need never be held whole.
pub(crate) struct NpyOut {
    target: PathBuf,
    record: FileRecord,
    file: AtomicFile,
    writer: BufWriter<File>,
    hasher: Hasher,
}

impl NpyOut {
    /// Begins `out`/`path` of this shape.
    pub(crate) fn create(out: &Path, path: &str, element: NpyElement, shape: &[usize]) -> Result<Self, DataError> {
        let target = out.join(path);
        let file = AtomicFile::beside(&target)?;
        let handle = File::create(file.temp()).map_err(DataError::io("write", &target))?;
        let record = FileRecord {
            path: path.to_owned(),
            shape: shape.to_vec(),
            element: element.to_string(),
            bytes: 0,
            blake3: String::new(),
            sources: vec![],
            status: PACKED.to_owned(),
            note: None,
            decoder: None,
        };
        let mut this = Self { target, record, file, writer: BufWriter::with_capacity(BUFFER, handle), hasher: Hasher::new() };
        this.write(&header(element, shape))?;
        Ok(this)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), DataError> {
        self.hasher.update(bytes);
        self.record.bytes += bytes.len() as u64;
        self.writer.write_all(bytes).map_err(DataError::io("write", &self.target))
    }

    /// Ends the file, which [`publish`] then moves to its place; `sources` are the corpus's files that it was made of.
    pub(crate) fn finish(mut self, sources: Vec<String>) -> Result<Written, DataError> {
        self.writer.flush().map_err(DataError::io("write", &self.target))?;
        self.record.blake3 = self.hasher.finalize().to_hex().to_string();
        self.record.sources = sources;
        Ok(Written { record: self.record, file: self.file })
    }
}

/// A file that is written in full beside its place.
pub(crate) struct Written {
    record: FileRecord,
    file: AtomicFile,
}

impl Written {
    /// What the manifest says of the file instead of `packed`, and in more words.
    pub(crate) fn marked(mut self, status: &str, note: Option<String>) -> Self {
        self.record.status = status.to_owned();
        self.record.note = note;
        self
    }

    /// Names who decoded the video that the file was made of.
    pub(crate) fn decoded_by(mut self, decoder: &str) -> Self {
        self.record.decoder = Some(decoder.to_owned());
        self
    }
}

/// Makes a unit's files durable, all at once: a disk syncs four files in little more time than one.
pub(crate) fn publish(files: Vec<Written>) -> Result<Vec<FileRecord>, DataError> {
    std::thread::scope(|scope| {
        let publish = |written: Written| written.file.publish().map(|()| written.record);
        let threads: Vec<_> = files.into_iter().map(|file| scope.spawn(move || publish(file))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        Ok(joined.collect::<Result<Vec<_>, _>>()?)
    })
}

/// Writes `rows` rows of a table of f32.
pub(crate) fn write_rows(out: &Path, path: &str, array: &Array2<f32>, rows: usize, sources: Vec<String>) -> Result<Written, DataError> {
    let mut npy = NpyOut::create(out, path, NpyElement::F32, &[rows, array.ncols()])?;
    for row in array.outer_iter().take(rows) {
        npy.write(&row.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    }
    npy.finish(sources)
}

/// Writes a small text file of `rows` lines and `columns` columns.
pub(crate) fn write_text(out: &Path, path: &str, text: &str, shape: [usize; 2], sources: Vec<String>) -> Result<Written, DataError> {
    let target = out.join(path);
    let file = AtomicFile::beside(&target)?;
    std::fs::write(file.temp(), text).map_err(DataError::io("write", &target))?;
    let record = FileRecord {
        path: path.to_owned(),
        shape: shape.to_vec(),
        element: "text".to_owned(),
        bytes: text.len() as u64,
        blake3: blake3::hash(text.as_bytes()).to_hex().to_string(),
        sources,
        status: PACKED.to_owned(),
        note: None,
        decoder: None,
    };
    Ok(Written { record, file })
}

/// Writes where a clip's frames are, in a store of sources: `path` is that of the file of frames that it stands for.
pub(crate) fn write_source(out: &Path, path: &str, record: &FrameSource, sources: Vec<String>) -> Result<Written, DataError> {
    let path = format!("{}.json", path.strip_suffix(".npy").unwrap_or(path));
    let mut written = write_text(out, &path, &record.to_json(), [0, 0], sources)?;
    written.record.shape = vec![record.frames, record.crop, record.crop, 3];
    written.record.element = "source".to_owned();
    Ok(written)
}

/// Bytes of an npy file, header and all.
pub(crate) fn npy_bytes(element: NpyElement, shape: &[usize]) -> u64 {
    let data = shape.iter().map(|axis| *axis as u64).fold(element.size() as u64, u64::saturating_mul);
    data.saturating_add(header(element, shape).len() as u64)
}

/// A version-1 header, padded as NumPy does so that the data begin at a multiple of 64 bytes.
fn header(element: NpyElement, shape: &[usize]) -> Vec<u8> {
    let descr = match element {
        NpyElement::U8 => "|u1",
        NpyElement::Bool => "|b1",
        NpyElement::I32 => "<i4",
        NpyElement::I64 => "<i8",
        NpyElement::F32 => "<f4",
        NpyElement::F64 => "<f8",
    };
    let axes: Vec<_> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}", axes.join(", "));
    let length = (10 + dict.len() + 1).next_multiple_of(64) - 10;
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((length as u16).to_le_bytes());
    header.extend(format!("{dict:<width$}\n", width = length - 1).bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_numpys_own() {
        let numpy =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/neighbours/neighbour_emotion_val.npy")).unwrap();
        assert_eq!(header(NpyElement::F64, &[16, 16]), numpy[..128]);
        assert_eq!(header(NpyElement::U8, &[751, 224, 224, 3]).len(), 128);
    }

    #[test]
    fn what_is_written_is_read_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let array = ndarray::array![[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
        let written = write_rows(folder.path(), "a/b.npy", &array, 2, vec![]).unwrap();
        assert!(!folder.path().join("a/b.npy").exists());
        let record = publish(vec![written]).unwrap().remove(0);
        let bytes = std::fs::read(folder.path().join("a/b.npy")).unwrap();
        assert_eq!(npy_bytes(NpyElement::F32, &[2, 2]), record.bytes);
        assert_eq!((record.bytes, record.blake3), (bytes.len() as u64, blake3::hash(&bytes).to_hex().to_string()));
        let read = react_store::read_npy_f32(&folder.path().join("a/b.npy")).unwrap();
        assert_eq!(read, ndarray::array![[1.0f32, 2.0], [3.0, 4.0]].into_dyn());
    }
}
