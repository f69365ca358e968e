use crate::StoreError;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Types of elements that arrays of this field have on disk; little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NpyElement {
    /// `|u1`
    U8,
    /// `|b1`
    Bool,
    /// `<i4`
    I32,
    /// `<i8`
    I64,
    /// `<f4`
    F32,
    /// `<f8`
    F64,
}

impl NpyElement {
    /// Bytes of one element.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Self::U8 | Self::Bool => 1,
            Self::I32 | Self::F32 => 4,
            Self::I64 | Self::F64 => 8,
        }
    }

    fn parse(descr: &str) -> Option<Self> {
        Some(match descr {
            "|u1" | "<u1" | "u1" => Self::U8,
            "|b1" | "<b1" | "?" => Self::Bool,
            "<i4" => Self::I32,
            "<i8" => Self::I64,
            "<f4" => Self::F32,
            "<f8" => Self::F64,
            _ => return None,
        })
    }
}

impl std::fmt::Display for NpyElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::Bool => "bool",
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
        })
    }
}

/// What the header of an npy file says, checked against the length of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NpyHeader {
    /// Type of the elements.
    pub element: NpyElement,
    /// Sizes of the axes, outermost first (C order).
    pub shape: Vec<usize>,
    /// Where the data start, in bytes from the start of the file.
    pub data_offset: usize,
}

impl NpyHeader {
    /// Number of elements. It cannot overflow: the file holds them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Longest header that is read: NumPy's own limit for data that is not trusted.
const MAX_HEADER_BYTES: usize = 10_000;
/// Most axes that an array may have: NumPy's limit.
const MAX_AXES: usize = 64;

/// Reads and checks the header of an npy file; reads no data.
///
/// # Errors
/// [`StoreError`] where the file is missing, is no npy file, holds objects, is in Fortran order or big-endian, or is shorter or
/// longer than its shape says.
pub fn read_npy_header(path: &Path) -> Result<NpyHeader, StoreError> {
    let mut file = File::open(path).map_err(StoreError::io("read", path))?;
    let length = file.metadata().map_err(StoreError::io("read", path))?.len();
    read_from(&mut file, length, path)
}

pub(crate) fn read_from(file: &mut impl Read, file_bytes: u64, path: &Path) -> Result<NpyHeader, StoreError> {
    let mut exact = |bytes: &mut [u8]| {
        file.read_exact(bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => StoreError::npy(path, "the file ends within the header"),
            _ => StoreError::io("read", path)(source),
        })
    };
    let mut prefix = [0; 8];
    exact(&mut prefix)?;
    if &prefix[..6] != b"\x93NUMPY" {
        return Err(StoreError::npy(path, "it does not begin with NumPy's magic bytes"));
    }
    let (length, prefix_bytes) = match prefix[6] {
        1 => {
            let mut bytes = [0; 2];
            exact(&mut bytes)?;
            (usize::from(u16::from_le_bytes(bytes)), 10)
        }
        2 | 3 => {
            let mut bytes = [0; 4];
            exact(&mut bytes)?;
            (u32::from_le_bytes(bytes) as usize, 12)
        }
        version => return Err(StoreError::npy(path, format!("its format version {version} is unknown"))),
    };
    if length > MAX_HEADER_BYTES {
        return Err(StoreError::npy(path, format!("its header of {length} bytes is longer than {MAX_HEADER_BYTES}")));
    }
    let mut text = vec![0; length];
    exact(&mut text)?;
    let text = std::str::from_utf8(&text).map_err(|_| StoreError::npy(path, "its header is not text"))?;
    let (element, shape) = parse(text).map_err(|why| StoreError::npy(path, why))?;
    let data_offset = prefix_bytes + length;
    check_length(&shape, element, file_bytes.saturating_sub(data_offset as u64)).map_err(|why| StoreError::npy(path, why))?;
    Ok(NpyHeader { element, shape, data_offset })
}

fn check_length(shape: &[usize], element: NpyElement, found: u64) -> Result<(), String> {
    let want = shape.iter().try_fold(element.size() as u64, |bytes, axis| bytes.checked_mul(*axis as u64));
    // An axis of 0 makes room for any other: their product must still be a number of elements.
    let elements = shape.iter().filter(|axis| **axis > 0).try_fold(1usize, |elements, axis| elements.checked_mul(*axis));
    match want.filter(|_| elements.is_some_and(|elements| isize::try_from(elements).is_ok())) {
        Some(want) if want == found => Ok(()),
        Some(want) => Err(format!("shape {shape:?} of {element} needs {want} bytes of data, the file has {found}")),
        None => Err(format!("shape {shape:?} is larger than any file")),
    }
}

/// The beginning of what a hostile header says at length.
fn short(text: &str) -> String {
    text.chars().take(24).collect()
}

/// Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`, in any order of the keys.
fn parse(text: &str) -> Result<(NpyElement, Vec<usize>), String> {
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}'")).ok_or_else(|| format!("its header has no '{key}'"))?;
        rest.trim_start().strip_prefix(':').map(str::trim_start).ok_or_else(|| format!("its header has no value of '{key}'"))
    };
    let descr = value("descr")?;
    let descr = descr
        .strip_prefix('\'')
        .and_then(|rest| rest.split_once('\''))
        .map(|(name, _)| name)
        .ok_or("its elements are records, which are not read here")?;
    let element = NpyElement::parse(descr).ok_or_else(|| match descr.as_bytes().first() {
        Some(b'>') => format!("its elements '{}' are big-endian", short(descr)),
        _ if descr.contains('O') => "it holds Python objects".to_owned(),
        _ => format!("its elements '{}' are of a type that is not read here", short(descr)),
    })?;
    match value("fortran_order")? {
        order if order.starts_with("False") => {}
        order if order.starts_with("True") => return Err("it is in Fortran order".to_owned()),
        _ => return Err("its order is neither True nor False".to_owned()),
    }
    let shape = value("shape")?;
    let shape = shape.strip_prefix('(').and_then(|rest| rest.split_once(')')).map(|(axes, _)| axes).ok_or("its shape is no tuple")?;
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|axis| !axis.is_empty())
        .map(|axis| axis.parse().map_err(|_| format!("its shape has the axis '{}'", short(axis))))
        .collect::<Result<Vec<usize>, _>>()?;
    if shape.len() > MAX_AXES {
        return Err(format!("it has {} axes, more than {MAX_AXES}", shape.len()));
    }
    Ok((element, shape))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(dict: &str, data_bytes: u64) -> Result<NpyHeader, String> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((dict.len() as u16).to_le_bytes());
        bytes.extend(dict.as_bytes());
        let length = bytes.len() as u64 + data_bytes;
        read_from(&mut bytes.as_slice(), length, Path::new("x.npy")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_header_of_numpy() {
        let read = header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n", 24).unwrap();
        assert_eq!((read.element, read.shape, read.data_offset), (NpyElement::F32, vec![2, 3], 70));
        assert_eq!(header("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 1).unwrap().len(), 1);
    }

    #[test]
    fn each_abuse_has_its_error() {
        let cases = [
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 1000000000000), }", "larger than any file"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,), }", "needs 4000000000 bytes of data, the file has 8"),
            ("{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "big-endian"),
            ("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", "Python objects"),
            ("{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", "Fortran order"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }", "a type that is not read"),
            ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }", "records"),
            ("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "axis '-2'"),
            ("{'descr': '<f4', 'shape': (2,), }", "no 'fortran_order'"),
        ];
        for (dict, want) in cases {
            let error = header(dict, 8).unwrap_err();
            assert!(error.contains(want) && error.contains("x.npy"), "{dict}: {error}");
        }
    }

    #[test]
    fn every_cut_header_is_an_error() {
        let mut whole = b"\x93NUMPY\x01\x00\x3c\x00".to_vec();
        whole.extend(format!("{:<60}", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }").bytes());
        for length in 0..whole.len() {
            assert!(read_from(&mut &whole[..length], length as u64 + 8, Path::new("x.npy")).is_err(), "{length} bytes");
        }
    }
}
