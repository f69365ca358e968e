//! What a pickle can make here: numbers, text, containers, NumPy's arrays and element types. Nothing that runs.

use std::borrow::Cow;

/// The number of an object within its interpreter; containers hold these, so sharing costs nothing and a cycle is harmless.
pub(crate) type Id = usize;

#[derive(Clone, Debug)]
pub(crate) enum Object<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Element(Element),
    Array(Array),
}

/// The functions and types that a pickle of arrays names, by their exact names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Global {
    /// `numpy.core.multiarray._reconstruct`: an empty array, which BUILD fills.
    Reconstruct,
    /// `numpy.core.multiarray.scalar`
    Scalar,
    /// `numpy.core.numeric._frombuffer`: how protocol 5 writes an array.
    FromBuffer,
    /// `_codecs.encode`: how protocols 0 to 2 write bytes.
    Encode,
    /// `numpy.ndarray`
    NdArray,
    /// `numpy.dtype`
    Dtype,
}

impl Global {
    pub(crate) fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct") => Self::Reconstruct,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar") => Self::Scalar,
            ("numpy.core.numeric" | "numpy._core.numeric", "_frombuffer") => Self::FromBuffer,
            ("_codecs", "encode") => Self::Encode,
            ("numpy", "ndarray") => Self::NdArray,
            ("numpy", "dtype") => Self::Dtype,
            _ => return None,
        })
    }
}

/// An element type: NumPy's kind letter, its size in bytes, and whether it is big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) kind: u8,
    pub(crate) size: usize,
    pub(crate) big: bool,
}

impl Element {
    /// `f8`, `<i4`, `|b1`, `O8`, `U17`; records and dates are not read.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let big = name.starts_with('>');
        let name = name.strip_prefix(['<', '>', '=', '|']).unwrap_or(name);
        let (kind, size) = (*name.as_bytes().first()?, name.get(1..)?.parse::<usize>().ok()?);
        match (kind, size) {
            (b'f', 2 | 4 | 8) | (b'i' | b'u', 1 | 2 | 4 | 8) | (b'b', 1) | (b'O', 8 | 4) => Some(Self { kind, size, big }),
            // Text: four bytes a character in memory.
            (b'U', 0..=1024) => Some(Self { kind, size: 4 * size, big }),
            (b'S', 0..=4096) => Some(Self { kind, size, big }),
            _ => None,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self.kind, b'f' | b'i' | b'u' | b'b')
    }

    /// Text from its bytes: four a character, as NumPy has it, without the zeros that fill it up.
    pub(crate) fn text(self, bytes: &[u8]) -> String {
        let letter = Self { kind: b'u', size: 4, big: self.big };
        let letters = bytes.chunks_exact(4).filter_map(|bytes| char::from_u32(letter.number(bytes) as u32));
        letters.take_while(|c| *c != '\0').collect()
    }

    /// One number from its bytes.
    pub(crate) fn number(self, bytes: &[u8]) -> f64 {
        let mut word = [0; 8];
        let n = self.size.min(8).min(bytes.len());
        word[..n].copy_from_slice(&bytes[..n]);
        if self.big {
            word[..n].reverse();
        }
        let whole = u64::from_le_bytes(word);
        match (self.kind, self.size) {
            (b'f', 8) => f64::from_bits(whole),
            (b'f', 4) => f64::from(f32::from_bits(whole as u32)),
            (b'f', _) => half(whole as u16),
            (b'i', size) => {
                let unused = 64 - 8 * size as u32;
                ((whole << unused) as i64 >> unused) as f64
            }
            _ => whole as f64,
        }
    }
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", char::from(self.kind), self.size)
    }
}

/// IEEE half precision.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// An array whose data lie elsewhere: in a bytes object, or as objects of their own.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) element: Element,
    pub(crate) shape: Vec<usize>,
    pub(crate) fortran: bool,
    /// The bytes object or, for elements that are objects, the list; none before BUILD.
    pub(crate) data: Option<Id>,
}

impl Object<'_> {
    /// What it is, for errors.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a function",
            Self::Element(_) => "an element type",
            Self::Array(_) => "an array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type() {
        let of = |name: &str, bytes: &[u8]| Element::parse(name).unwrap().number(bytes);
        assert_eq!(of("<f8", &1.5f64.to_le_bytes()), 1.5);
        assert_eq!(of(">f4", &(-2.25f32).to_be_bytes()), -2.25);
        assert_eq!(of("f2", &0x3C00u16.to_le_bytes()), 1.0);
        assert_eq!(of("f2", &0xC100u16.to_le_bytes()), -2.5);
        assert_eq!(of("i1", &[0xFF]), -1.0);
        assert_eq!(of("<i8", &(-7i64).to_le_bytes()), -7.0);
        assert_eq!(of("u2", &[1, 2]), 513.0);
        assert_eq!(of("b1", &[1]), 1.0);
        assert_eq!(Element::parse("<U2").unwrap().text(&[97, 0, 0, 0, 0, 0, 0, 0]), "a");
        assert!(Element::parse("M8[ns]").is_none() && Element::parse("c16").is_none() && Element::parse("").is_none());
    }
}
