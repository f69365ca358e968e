use crate::header::read_from;
use crate::{AtomicFile, NpyElement, NpyHeader, StoreError, write_atomic};
use memmap2::Mmap;
use ndarray::{ArrayBase, ArrayD, ArrayViewD, Data, Dimension, IxDyn};
use ndarray_npy::{WritableElement, WriteNpyExt};
use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Writes an array as an npy file (C order), atomically.
///
/// # Errors
/// Where the system refuses.
pub fn write_npy<S, D>(path: &Path, array: &ArrayBase<S, D>) -> Result<(), StoreError>
where
    S: Data<Elem: WritableElement + Clone>,
    D: Dimension,
{
    // In C order whatever the layout in memory: `as_standard_layout` copies only where it must.
    let array = array.as_standard_layout();
    write_atomic(path, |file| array.write_npy(file).map_err(std::io::Error::other))
}

/// A memory-mapped npy file: opened once, read many times, nothing copied.
///
/// A file that is cut while it is mapped is an error the next time that its data are asked for. Where it is cut between asking and
/// reading, the system ends the program (SIGBUS): nothing can be done against that but not to map. Files are therefore replaced by
/// renaming, never written in place; whoever replaces one should do so too.
#[derive(Debug)]
pub struct NpyMap {
    path: PathBuf,
    header: NpyHeader,
    file: File,
    map: Mmap,
}

impl NpyMap {
    /// Opens and checks a file.
    ///
    /// # Errors
    /// As [`crate::read_npy_header`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut file = File::open(path).map_err(StoreError::io("read", path))?;
        let length = file.metadata().map_err(StoreError::io("read", path))?.len();
        let header = read_from(&mut file, length, path)?;
        // SAFETY: a map is undefined behaviour only where the file is changed or cut meanwhile. Packed files are replaced by
        // renaming, never written in place, so an open map keeps the old file.
        let map = unsafe { Mmap::map(&file) }.map_err(StoreError::io("map", path))?;
        if map.len() as u64 != length {
            return Err(StoreError::npy(path, "it changed while it was opened"));
        }
        Ok(Self { path: path.to_owned(), header, file, map })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checked header.
    #[must_use]
    pub fn header(&self) -> &NpyHeader {
        &self.header
    }

    /// Sizes of the axes.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    /// The data, as they are in the file.
    ///
    /// # Errors
    /// Where the file is shorter than it was.
    pub fn bytes(&self) -> Result<&[u8], StoreError> {
        let length = self.file.metadata().map_err(StoreError::io("read", &self.path))?.len();
        if length < self.map.len() as u64 {
            let found = format!("it was cut from {} bytes to {length} while it was in use", self.map.len());
            return Err(StoreError::npy(&self.path, found));
        }
        Ok(&self.map[self.header.data_offset..])
    }

    /// The array of bytes, in place.
    ///
    /// # Errors
    /// Where the elements are not u8, or as [`Self::bytes`].
    pub fn view_u8(&self) -> Result<ArrayViewD<'_, u8>, StoreError> {
        check_element(&self.path, &self.header, Some(NpyElement::U8))?;
        ArrayViewD::from_shape(IxDyn(&self.header.shape), self.bytes()?).map_err(|error| StoreError::npy(&self.path, error.to_string()))
    }

    /// The array of f32, in place.
    ///
    /// # Errors
    /// Where the elements are not f32, or not aligned in the file (NumPy aligns them), or as [`Self::bytes`].
    pub fn view_f32(&self) -> Result<ArrayViewD<'_, f32>, StoreError> {
        check_element(&self.path, &self.header, Some(NpyElement::F32))?;
        // SAFETY: every bit pattern is an f32; `align_to` itself sees to alignment and length.
        let (before, values, after) = unsafe { self.bytes()?.align_to::<f32>() };
        if !before.is_empty() || !after.is_empty() || cfg!(target_endian = "big") {
            return Err(StoreError::npy(&self.path, "its data are not aligned"));
        }
        ArrayViewD::from_shape(IxDyn(&self.header.shape), values).map_err(|error| StoreError::npy(&self.path, error.to_string()))
    }
}

/// Appends the elements of an array's data, by way of f64.
fn append<T>(element: NpyElement, bytes: &[u8], out: &mut Vec<T>, convert: impl Fn(f64) -> T) {
    macro_rules! chunks {
        ($type:ty, $size:literal) => {
            out.extend(bytes.as_chunks::<$size>().0.iter().map(|bytes| convert(<$type>::from_le_bytes(*bytes) as f64)))
        };
    }
    match element {
        NpyElement::U8 | NpyElement::Bool => out.extend(bytes.iter().map(|byte| convert(f64::from(*byte)))),
        NpyElement::I32 => chunks!(i32, 4),
        NpyElement::I64 => chunks!(i64, 8),
        NpyElement::F32 => chunks!(f32, 4),
        NpyElement::F64 => chunks!(f64, 8),
    }
}

/// Reads a file piece by piece, so that beside the array there is never more than a piece of it in memory.
fn read<T>(path: &Path, wanted: Option<NpyElement>, convert: impl Fn(f64) -> T) -> Result<ArrayD<T>, StoreError> {
    /// A multiple of every element's size.
    const PIECE: usize = 1 << 18;
    let mut file = File::open(path).map_err(StoreError::io("read", path))?;
    let length = file.metadata().map_err(StoreError::io("read", path))?.len();
    let header = read_from(&mut file, length, path)?;
    check_element(path, &header, wanted)?;
    let mut values = reserve(header.len(), path)?;
    let mut left = header.len() * header.element.size();
    let mut piece = vec![0; left.min(PIECE)];
    while left > 0 {
        let piece = &mut piece[..left.min(PIECE)];
        file.read_exact(piece).map_err(StoreError::io("read", path))?;
        append(header.element, piece, &mut values, &convert);
        left -= piece.len();
    }
    shaped(&header, values, path)
}

/// Room for as many values as the file was found to hold.
fn reserve<T>(count: usize, place: &Path) -> Result<Vec<T>, StoreError> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| StoreError::npy(place, format!("its {count} values do not fit into memory")))?;
    Ok(values)
}

fn shaped<T>(header: &NpyHeader, values: Vec<T>, place: &Path) -> Result<ArrayD<T>, StoreError> {
    ArrayD::from_shape_vec(IxDyn(&header.shape), values).map_err(|error| StoreError::npy(place, error.to_string()))
}

fn check_element(path: &Path, header: &NpyHeader, wanted: Option<NpyElement>) -> Result<(), StoreError> {
    match wanted {
        Some(wanted) if wanted != header.element => {
            let found = format!("{} {:?}", header.element, header.shape);
            Err(StoreError::Array { file: path.to_owned(), want: format!("elements {wanted}"), found })
        }
        _ => Ok(()),
    }
}

/// An npy file that is in memory already (an archive's entry), of any number type, as f32; errors call it `place`.
///
/// ```
/// use std::path::Path;
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("a.npy");
/// react_store::write_npy(&path, &ndarray::arr1(&[1.0f64, 2.5]))?;
/// let array = react_store::parse_npy_f32(&std::fs::read(&path)?, Path::new("archive.npz/a"))?;
/// assert_eq!(array, ndarray::arr1(&[1.0, 2.5]).into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`crate::read_npy_header`].
pub fn parse_npy_f32(bytes: &[u8], place: &Path) -> Result<ArrayD<f32>, StoreError> {
    let header = read_from(&mut &bytes[..], bytes.len() as u64, place)?;
    let mut values = reserve(header.len(), place)?;
    append(header.element, &bytes[header.data_offset..], &mut values, |x| x as f32);
    shaped(&header, values, place)
}

/// Reads an array of any number type as f32 (f64 are rounded).
///
/// # Errors
/// As [`crate::read_npy_header`].
pub fn read_npy_f32(path: &Path) -> Result<ArrayD<f32>, StoreError> {
    read(path, None, |x| x as f32)
}

/// Reads an array of any number type as f64.
///
/// # Errors
/// As [`crate::read_npy_header`].
pub fn read_npy_f64(path: &Path) -> Result<ArrayD<f64>, StoreError> {
    read(path, None, |x| x)
}

/// Reads an array of bytes.
///
/// # Errors
/// As [`crate::read_npy_header`], and where the elements are not u8.
pub fn read_npy_u8(path: &Path) -> Result<ArrayD<u8>, StoreError> {
    read(path, Some(NpyElement::U8), |x| x as u8)
}

/// Writes an npy file of u8 piece by piece (frame by frame), atomically, without ever holding it whole.
///
/// The first axis counts the pieces and is filled in at the end.
#[derive(Debug)]
pub struct NpyWriter {
    target: PathBuf,
    file: AtomicFile,
    writer: BufWriter<File>,
    row: Vec<usize>,
    rows: usize,
}

impl NpyWriter {
    /// Begins a file whose rows have the shape `row` (for frames `[h, w, 3]`).
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn create(path: &Path, row: &[usize]) -> Result<Self, StoreError> {
        let file = AtomicFile::beside(path)?;
        let mut writer = BufWriter::with_capacity(1 << 20, File::create(file.temp()).map_err(StoreError::io("write", path))?);
        writer.write_all(&u8_header(0, row)).map_err(StoreError::io("write", path))?;
        Ok(Self { target: path.to_owned(), file, writer, row: row.to_vec(), rows: 0 })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// Where its length is not that of a row, or the system refuses.
    pub fn push(&mut self, row: &[u8]) -> Result<(), StoreError> {
        let want: usize = self.row.iter().product();
        if row.len() != want {
            let (want, found) = (format!("rows of {want} bytes"), format!("{} bytes in row {}", row.len(), self.rows));
            return Err(StoreError::Array { file: self.target.clone(), want, found });
        }
        self.rows += 1;
        self.writer.write_all(row).map_err(StoreError::io("write", &self.target))
    }

    /// Rows written so far.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Fills in the number of rows and publishes the file.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn finish(mut self) -> Result<(), StoreError> {
        let header = u8_header(self.rows, &self.row);
        let whole = self.writer.seek(SeekFrom::Start(0)).and_then(|_| self.writer.write_all(&header)).and_then(|()| self.writer.flush());
        whole.map_err(StoreError::io("write", &self.target))?;
        drop(self.writer);
        self.file.publish()
    }
}

/// A version-1 header of 128 bytes: its length does not depend on the number of rows.
fn u8_header(rows: usize, row: &[usize]) -> Vec<u8> {
    let row: String = row.iter().map(|axis| format!(" {axis},")).collect();
    let dict = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({rows},{row}), }}");
    let mut header = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    header.extend(format!("{dict:<117}\n").bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array3, array};

    #[test]
    fn every_element_reads_as_f64_and_f32() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_npy(&path, &array![1i64, -2, 3]).unwrap();
        assert_eq!(read_npy_f64(&path).unwrap().into_raw_vec_and_offset().0, [1.0, -2.0, 3.0]);
        write_npy(&path, &array![true, false]).unwrap();
        assert_eq!(read_npy_f32(&path).unwrap().into_raw_vec_and_offset().0, [1.0, 0.0]);
        write_npy(&path, &array![0.5f64, f64::NAN]).unwrap();
        assert!(read_npy_f32(&path).unwrap()[[1]].is_nan());
        assert!(read_npy_u8(&path).unwrap_err().to_string().ends_with("wanted elements u8, found f64 [2]"));
    }

    #[test]
    fn rows_become_one_array() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.npy");
        let mut writer = NpyWriter::create(&path, &[2, 2, 3]).unwrap();
        (0..5u8).for_each(|i| writer.push(&[i; 12]).unwrap());
        assert!(writer.push(&[0; 11]).unwrap_err().to_string().contains("11 bytes in row 5"));
        writer.finish().unwrap();
        let map = NpyMap::open(&path).unwrap();
        assert_eq!(map.shape(), [5, 2, 2, 3]);
        assert_eq!(map.view_u8().unwrap()[[3, 1, 1, 2]], 3);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 128 + 60);
    }

    #[test]
    fn a_map_is_the_array_and_a_cut_file_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let array = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| (i * 12 + j * 4 + k) as f32);
        write_npy(&path, &array.view().reversed_axes()).unwrap();
        assert_eq!(NpyMap::open(&path).unwrap().view_f32().unwrap()[[3, 2, 1]], 23.0);
        let bytes = std::fs::read(&path).unwrap();
        let open = NpyMap::open(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        let cut = format!("it was cut from {} bytes to {} while it was in use", bytes.len(), bytes.len() - 4);
        assert!(open.view_f32().unwrap_err().to_string().ends_with(&cut));
        assert!(open.bytes().unwrap_err().to_string().ends_with(&cut));
        assert!(NpyMap::open(&path).unwrap_err().to_string().contains("needs 96 bytes of data, the file has 92"));
        let missing = NpyMap::open(&folder.path().join("none.npy")).unwrap_err().to_string();
        assert!(missing.contains("none.npy") && missing.starts_with("cannot read"), "{missing}");
        write_npy(&path, &Array1::<f32>::zeros(0)).unwrap();
        assert_eq!(read_npy_f32(&path).unwrap().len(), 0);
    }
}
