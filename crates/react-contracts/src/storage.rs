use ndarray::{ArrayBase, Dimension, RawData};
use std::any::TypeId;

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Unsigned bytes: frames.
    U8,
    /// 32-bit floats: features, attributes, coefficients.
    F32,
    /// 64-bit floats.
    F64,
    /// Anything else; no contract asks for it.
    Other,
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::U8 => "u8",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Other => "of another type",
        })
    }
}

/// What holds a tensor: a shape and a type of elements.
pub trait Storage {
    /// Sizes of the axes, outermost first.
    fn dims(&self) -> &[usize];
    /// The type of the elements.
    fn element(&self) -> Element;
}

impl<S: RawData<Elem: 'static>, D: Dimension> Storage for ArrayBase<S, D> {
    fn dims(&self) -> &[usize] {
        self.shape()
    }

    fn element(&self) -> Element {
        let id = TypeId::of::<S::Elem>();
        if id == TypeId::of::<u8>() {
            Element::U8
        } else if id == TypeId::of::<f32>() {
            Element::F32
        } else if id == TypeId::of::<f64>() {
            Element::F64
        } else {
            Element::Other
        }
    }
}

#[cfg(feature = "candle")]
impl Storage for candle_core::Tensor {
    fn dims(&self) -> &[usize] {
        candle_core::Tensor::dims(self)
    }

    fn element(&self) -> Element {
        match self.dtype() {
            candle_core::DType::U8 => Element::U8,
            candle_core::DType::F32 => Element::F32,
            candle_core::DType::F64 => Element::F64,
            _ => Element::Other,
        }
    }
}
