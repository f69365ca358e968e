//! The arrays of a model's file by their keys: from a pickled dict in an npy file, or from an npz archive.

use super::npz;
use super::pickle::{Id, Object, Pickle, interpret};
use crate::error::FaceError;
use ndarray::ArrayD;
use react_store::{StoreError, parse_npy_f32};
use std::path::Path;

/// An array of numbers in C order.
pub(super) struct Numbers {
    pub(super) shape: Vec<usize>,
    pub(super) values: Vec<f32>,
}

pub(super) enum Source<'a> {
    Pickled { pickle: Pickle<'a>, dict: Vec<(Id, Id)>, file: &'a Path },
    Archive { entries: Vec<(String, &'a [u8])>, file: &'a Path },
}

impl<'a> Source<'a> {
    /// # Errors
    /// Where `bytes` are neither.
    pub(super) fn open(bytes: &'a [u8], file: &'a Path) -> Result<Self, FaceError> {
        if bytes.starts_with(b"PK") {
            return Ok(Self::Archive { entries: npz::entries(bytes, file)?, file });
        }
        let start = object_data(bytes, file)?;
        let pickle = interpret(&bytes[start..], start, file)?;
        let dict = dict(&pickle).ok_or_else(|| {
            let why = format!("wanted a pickled dict, found {}", pickle.objects[pickle.root].what());
            StoreError::Npy { file: file.to_owned(), why }
        })?;
        Ok(Self::Pickled { pickle, dict, file })
    }

    fn file(&self) -> &'a Path {
        match self {
            Self::Pickled { file, .. } | Self::Archive { file, .. } => file,
        }
    }

    pub(super) fn error(&self, array: &str, why: impl Into<String>) -> FaceError {
        FaceError::Model { file: self.file().to_owned(), array: array.to_owned(), why: why.into() }
    }

    /// # Errors
    /// Where it is missing, is no array of numbers, or holds one that is not finite.
    pub(super) fn numbers(&self, key: &str) -> Result<Numbers, FaceError> {
        let numbers = match self {
            Self::Pickled { pickle, dict, .. } => {
                let id = find(pickle, dict, key).ok_or_else(|| self.error(key, "it is missing"))?;
                unpack(pickle, id).map_err(|why| self.error(key, why))?
            }
            Self::Archive { entries, file } => {
                let (_, bytes) = entries.iter().find(|(name, _)| name == key).ok_or_else(|| self.error(key, "it is missing"))?;
                let array: ArrayD<f32> = parse_npy_f32(bytes, &file.join(key))?;
                Numbers { shape: array.shape().to_vec(), values: array.into_raw_vec_and_offset().0 }
            }
        };
        match numbers.values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(self.error(key, format!("value {at} is {}", numbers.values[at]))),
            None => Ok(numbers),
        }
    }

    /// A list or an array of so many short texts; `None` where there is none.
    pub(super) fn names(&self, key: &str, count: usize) -> Option<Vec<String>> {
        let Self::Pickled { pickle, dict, .. } = self else { return None };
        let objects = &pickle.objects;
        let list = match &objects[find(pickle, dict, key)?] {
            Object::List(list) | Object::Tuple(list) => list,
            Object::Array(array) if array.shape.iter().product::<usize>() != count => return None,
            Object::Array(array) => match &objects[array.data?] {
                Object::List(list) => list,
                Object::Bytes(bytes) if array.element.kind == b'U' && array.element.size > 0 => {
                    return Some(bytes.chunks_exact(array.element.size).map(|text| array.element.text(text)).collect());
                }
                _ => return None,
            },
            _ => return None,
        };
        // One long text may stand in a list many times.
        let text = |id: &Id| match &objects[*id] {
            Object::Text(text) if text.len() <= 256 => Some(text.to_string()),
            _ => None,
        };
        if list.len() == count { list.iter().map(text).collect() } else { None }
    }
}

/// Where the pickle of an npy file of objects begins.
fn object_data(bytes: &[u8], file: &Path) -> Result<usize, FaceError> {
    let refuse = |why: &str| StoreError::Npy { file: file.to_owned(), why: why.to_owned() };
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(refuse("it does not begin with NumPy's magic bytes, nor is it an npz archive").into());
    }
    let (length, prefix): (usize, usize) = match (bytes.get(6), bytes.get(8..10), bytes.get(8..12)) {
        (Some(1), Some(&[low, high]), _) => (usize::from(u16::from_le_bytes([low, high])), 10),
        (Some(2 | 3), _, Some(&[a, b, c, d])) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        _ => return Err(refuse("its header is cut or of an unknown version").into()),
    };
    let header = prefix.checked_add(length).and_then(|end| bytes.get(prefix..end)).ok_or_else(|| refuse("it ends within the header"))?;
    let objects = std::str::from_utf8(header).is_ok_and(|text| text.contains("'|O'") || text.contains("'O'"));
    if !objects {
        return Err(refuse("it is an array of numbers; wanted the pickled dict of a FaceVerse model").into());
    }
    Ok(prefix + length)
}

/// The dict, alone or as the one element of an array.
fn dict(pickle: &Pickle<'_>) -> Option<Vec<(Id, Id)>> {
    let mut id = pickle.root;
    if let Object::Array(array) = &pickle.objects[id]
        && let Object::List(items) = &pickle.objects[array.data?]
        && let [only] = items.as_slice()
    {
        id = *only;
    }
    match &pickle.objects[id] {
        Object::Dict(pairs) => Some(pairs.clone()),
        _ => None,
    }
}

/// The value of `key`: the last one, as in Python.
fn find(pickle: &Pickle<'_>, dict: &[(Id, Id)], key: &str) -> Option<Id> {
    let is = |id: &Id| match &pickle.objects[*id] {
        Object::Text(text) => text == key,
        Object::Bytes(bytes) => bytes.as_ref() == key.as_bytes(),
        _ => false,
    };
    dict.iter().rev().find(|(name, _)| is(name)).map(|(_, value)| *value)
}

fn unpack(pickle: &Pickle<'_>, id: Id) -> Result<Numbers, String> {
    let array = match &pickle.objects[id] {
        Object::Array(array) => array,
        // A scalar: an array without axes.
        Object::Int(value) => return Ok(Numbers { shape: Vec::new(), values: vec![*value as f32] }),
        Object::Float(value) => return Ok(Numbers { shape: Vec::new(), values: vec![*value as f32] }),
        other => return Err(format!("wanted an array of numbers, found {}", other.what())),
    };
    let element = array.element;
    let bytes = match array.data.map(|data| &pickle.objects[data]) {
        Some(Object::Bytes(bytes)) if element.is_number() => bytes,
        _ => return Err(format!("wanted an array of numbers, found elements {element}")),
    };
    let count = bytes.len() / element.size;
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| format!("its {count} values do not fit into memory"))?;
    match (element.kind, element.size, element.big) {
        (b'f', 8, false) => values.extend(bytes.as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32)),
        (b'f', 4, false) => values.extend(bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))),
        _ => values.extend(bytes.chunks_exact(element.size).map(|bytes| element.number(bytes) as f32)),
    }
    let values = if array.fortran { transposed(&array.shape, &values) } else { values };
    Ok(Numbers { shape: array.shape.clone(), values })
}

/// Fortran order to C order.
fn transposed(shape: &[usize], values: &[f32]) -> Vec<f32> {
    let mut strides = vec![1; shape.len()];
    for axis in 1..shape.len() {
        strides[axis] = strides[axis - 1] * shape[axis - 1];
    }
    let mut index = vec![0; shape.len()];
    let mut out = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        out.push(values[index.iter().zip(&strides).map(|(i, stride)| i * stride).sum::<usize>()]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            if index[axis] < shape[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn fortran_order_is_turned() {
        assert_eq!(super::transposed(&[2, 3], &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    }
}
