//! What NumPy's own functions would do: REDUCE and BUILD for the names that are known, and nothing else.

use super::object::Array;
use super::{Element, Global, Id, Machine, Object, text};
use crate::error::FaceError;
use std::borrow::Cow;

/// NumPy's own limit.
const MOST_AXES: usize = 64;

impl Machine<'_> {
    /// GLOBAL, STACK_GLOBAL, REDUCE or BUILD.
    pub(super) fn call(&mut self, code: u8) -> Result<(), FaceError> {
        match code {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (module, name) = (self.text(module)?.to_owned(), self.text(name)?.to_owned());
                self.global(&module, &name)
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.reduce(function, arguments)
            }
            _ => {
                let (state, object) = (self.pop()?, self.top()?);
                self.build(object, state)
            }
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), FaceError> {
        match Global::find(module, name) {
            Some(global) => self.push(Object::Global(global)),
            None => Err(self.refuse(format!(
                "the pickle names `{}.{}`, which is refused: only NumPy's arrays, element types and scalars are made",
                text::short(module),
                text::short(name)
            ))),
        }
    }

    /// Text, or bytes of ASCII as Python 2 has them.
    pub(super) fn text(&self, id: Id) -> Result<&str, FaceError> {
        let text = match &self.objects[id] {
            Object::Text(text) => Some(text.as_ref()),
            Object::Bytes(bytes) if bytes.len() <= 256 && bytes.is_ascii() => std::str::from_utf8(bytes).ok(),
            _ => None,
        };
        text.ok_or_else(|| self.refuse(format!("text was wanted, {} was found", self.objects[id].what())))
    }

    fn items(&self, id: Id) -> Result<&[Id], FaceError> {
        match &self.objects[id] {
            Object::Tuple(items) => Ok(items),
            other => Err(self.refuse(format!("a tuple was wanted, {} was found", other.what()))),
        }
    }

    fn shape(&self, id: Id) -> Result<Vec<usize>, FaceError> {
        let items = self.items(id)?;
        if items.len() > MOST_AXES {
            return Err(self.refuse(format!("an array of {} axes, more than {MOST_AXES}", items.len())));
        }
        let axis = |id: &Id| match &self.objects[*id] {
            Object::Int(axis) => usize::try_from(*axis).map_err(|_| self.refuse(format!("an array has an axis of {axis}"))),
            other => Err(self.refuse(format!("an axis is {}", other.what()))),
        };
        items.iter().map(axis).collect()
    }

    fn element(&self, id: Id) -> Result<Element, FaceError> {
        match &self.objects[id] {
            Object::Element(element) => Ok(*element),
            other => Err(self.refuse(format!("an element type was wanted, {} was found", other.what()))),
        }
    }

    fn reduce(&mut self, function: Id, arguments: Id) -> Result<(), FaceError> {
        let Object::Global(global) = self.objects[function] else {
            return Err(self.refuse(format!("{} is called as a function", self.objects[function].what())));
        };
        let arguments = self.items(arguments)?.to_vec();
        let made = match (global, arguments.as_slice()) {
            (Global::Dtype, [name, ..]) => {
                let name = self.text(*name)?;
                Object::Element(
                    Element::parse(name).ok_or_else(|| {
                        self.refuse(format!("elements of type `{}` are not read: only numbers and text", text::short(name)))
                    })?,
                )
            }
            (Global::Reconstruct, [class, _, _]) if matches!(self.objects[*class], Object::Global(Global::NdArray)) => {
                Object::Array(Array { element: Element { kind: b'b', size: 1, big: false }, shape: vec![0], fortran: false, data: None })
            }
            (Global::Scalar, [element, data]) => self.scalar(self.element(*element)?, *data)?,
            (Global::FromBuffer, [data, element, shape, order]) => {
                let (element, shape) = (self.element(*element)?, self.shape(*shape)?);
                let fortran = match self.text(*order)? {
                    "C" => false,
                    "F" => true,
                    other => return Err(self.refuse(format!("an array in the order `{}`", text::short(other)))),
                };
                self.array(element, shape, fortran, *data)?
            }
            (Global::Encode, [what, coding]) => self.encode(*what, *coding)?,
            _ => return Err(self.refuse(format!("{global:?} is called otherwise than NumPy calls it"))),
        };
        self.push(made)
    }

    /// `numpy.core.multiarray.scalar(type, bytes)`.
    fn scalar(&mut self, element: Element, data: Id) -> Result<Object<'static>, FaceError> {
        let length = match &self.objects[data] {
            Object::Bytes(bytes) if bytes.len() == element.size => bytes.len(),
            _ => return Err(self.refuse("a scalar's bytes are not those of its type")),
        };
        self.copied(length)?;
        match &self.objects[data] {
            Object::Bytes(bytes) if element.is_number() => Ok(Object::Float(element.number(bytes))),
            Object::Bytes(bytes) if element.kind == b'U' => Ok(Object::Text(Cow::Owned(element.text(bytes)))),
            _ => Err(self.refuse(format!("a scalar of {element} is not read"))),
        }
    }

    /// `_codecs.encode(text, 'latin1')`.
    fn encode(&mut self, what: Id, coding: Id) -> Result<Object<'static>, FaceError> {
        if !matches!(self.text(coding)?, "latin1" | "latin-1") {
            return Err(self.refuse("bytes are encoded otherwise than as latin1"));
        }
        let bytes = match &self.objects[what] {
            Object::Text(text) => text.len(),
            other => return Err(self.refuse(format!("{} is encoded as bytes", other.what()))),
        };
        self.copied(bytes)?;
        let Object::Text(text) = &self.objects[what] else { return Ok(Object::None) };
        let encoded = text.chars().map(|c| u8::try_from(u32::from(c))).collect::<Result<Vec<u8>, _>>();
        Ok(Object::Bytes(Cow::Owned(encoded.map_err(|_| self.refuse("text that is no latin1 is encoded as bytes"))?)))
    }

    fn build(&mut self, object: Id, state: Id) -> Result<(), FaceError> {
        let state = self.items(state)?.to_vec();
        let built = match (&self.objects[object], state.as_slice()) {
            (Object::Element(element), [_, order, base, names, fields, ..]) => {
                let plain = [base, names, fields].iter().all(|id| matches!(self.objects[**id], Object::None));
                if !plain {
                    return Err(self.refuse("elements that are records are not read"));
                }
                let element = *element;
                let big = match self.text(*order)? {
                    ">" => true,
                    "<" | "|" | "=" => false,
                    other => return Err(self.refuse(format!("elements in the byte order `{}`", text::short(other)))),
                };
                Object::Element(Element { big, ..element })
            }
            (Object::Array(array), [_, shape, element, fortran, data]) if array.data.is_none() => {
                let fortran = matches!(self.objects[*fortran], Object::Bool(true));
                self.array(self.element(*element)?, self.shape(*shape)?, fortran, *data)?
            }
            (other, _) => return Err(self.refuse(format!("{} is filled in a way that NumPy does not", other.what()))),
        };
        self.objects[object] = built;
        Ok(())
    }

    /// An array whose shape agrees with its data.
    fn array(&self, element: Element, shape: Vec<usize>, fortran: bool, data: Id) -> Result<Object<'static>, FaceError> {
        let count = shape.iter().try_fold(1usize, |count, axis| count.checked_mul(*axis)).filter(|count| isize::try_from(*count).is_ok());
        let (want, found, unit) = match (&self.objects[data], element.kind) {
            (Object::List(items), b'O') => (count, items.len(), "objects"),
            (Object::Bytes(bytes), kind) if kind != b'O' => (count.and_then(|count| count.checked_mul(element.size)), bytes.len(), "bytes"),
            (other, _) => return Err(self.refuse(format!("the data of an array of {element} are {}", other.what()))),
        };
        match want {
            Some(want) if want == found => Ok(Object::Array(Array { element, shape, fortran, data: Some(data) })),
            Some(want) => Err(self.refuse(format!("an array {shape:?} of {element} needs {want} {unit}, it has {found}"))),
            None => Err(self.refuse(format!("an array {shape:?} of {element} is larger than any file"))),
        }
    }
}
