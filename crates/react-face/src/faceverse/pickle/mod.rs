//! A pickle, interpreted without Python: containers, numbers, text and NumPy's arrays are made; all else is refused.
//!
//! A pickle is a program for a stack machine, and Python's own reader calls whatever function it names. This one knows the
//! six names that an array needs ([`Global`]) and calls nothing else. No byte of an array is copied here: objects hold
//! slices of the file. What an instruction may cost is bounded by its length in the file, and all of them by
//! [`MOST_OBJECTS`], so a small file cannot become a large one in memory. There is no recursion.
//!
//! Protocols 0 to 5, as `numpy.save` has written them under Python 2 and 3.

mod numpy;
mod object;
mod text;

use crate::error::FaceError;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use object::{Element, Global};
pub(crate) use object::{Id, Object};

/// A model has some hundred objects.
const MOST_OBJECTS: usize = 100_000;
/// Python pickles containers in batches of a thousand.
const DEEPEST_STACK: usize = 8_192;
const MOST_MARKS: usize = 64;

/// The objects that a pickle made, and which of them is the result.
pub(crate) struct Pickle<'a> {
    pub(crate) objects: Vec<Object<'a>>,
    pub(crate) root: Id,
}

/// Interprets `bytes`, which lie `base` bytes from the start of `file`.
///
/// # Errors
/// [`FaceError::Pickle`] with the offset of the instruction that is refused.
pub(crate) fn interpret<'a>(bytes: &'a [u8], base: usize, file: &'a Path) -> Result<Pickle<'a>, FaceError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        instruction: 0,
        base,
        file,
        objects: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: BTreeMap::new(),
        copies_left: bytes.len().saturating_mul(4),
    };
    while !machine.step()? {}
    let root = machine.pop()?;
    Ok(Pickle { objects: machine.objects, root })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the current instruction begins.
    instruction: usize,
    base: usize,
    file: &'a Path,
    objects: Vec<Object<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, Id>,
    /// Bytes that text may still be copied into.
    copies_left: usize,
}

impl<'a> Machine<'a> {
    fn refuse(&self, why: impl Into<String>) -> FaceError {
        FaceError::Pickle { file: self.file.to_owned(), offset: self.base + self.instruction, why: why.into() }
    }

    fn take(&mut self, count: u64) -> Result<&'a [u8], FaceError> {
        let left = self.bytes.len() - self.at;
        match usize::try_from(count).ok().filter(|count| *count <= left) {
            Some(count) => {
                self.at += count;
                Ok(&self.bytes[self.at - count..self.at])
            }
            None => Err(self.refuse(format!("the pickle is cut: {count} bytes are wanted, {left} are left"))),
        }
    }

    fn little(&mut self, size: u64) -> Result<u64, FaceError> {
        Ok(self.take(size)?.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    fn raw_line(&mut self) -> Result<&'a [u8], FaceError> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(|| self.refuse("the pickle is cut within a line"))?;
        self.at += end + 1;
        Ok(&rest[..end])
    }

    fn line(&mut self) -> Result<&'a str, FaceError> {
        std::str::from_utf8(self.raw_line()?).map_err(|_| self.refuse("a line is not text"))
    }

    fn sized(&mut self, size_bytes: u64) -> Result<&'a [u8], FaceError> {
        let size = self.little(size_bytes)?;
        self.take(size)
    }

    fn unicode(&mut self, size_bytes: u64) -> Result<Object<'a>, FaceError> {
        let bytes = self.sized(size_bytes)?;
        let text = std::str::from_utf8(bytes).map_err(|_| self.refuse("text is not UTF-8"))?;
        Ok(Object::Text(Cow::Borrowed(text)))
    }

    fn bytes(&mut self, size_bytes: u64) -> Result<Object<'a>, FaceError> {
        Ok(Object::Bytes(Cow::Borrowed(self.sized(size_bytes)?)))
    }

    /// What is unpacked into memory of its own, counted.
    fn copied(&mut self, bytes: usize) -> Result<(), FaceError> {
        self.copies_left = self.copies_left.checked_sub(bytes).ok_or_else(|| self.refuse("text unpacks to more than the file holds"))?;
        Ok(())
    }

    fn push(&mut self, object: Object<'a>) -> Result<(), FaceError> {
        if self.objects.len() >= MOST_OBJECTS {
            return Err(self.refuse(format!("more than {MOST_OBJECTS} objects")));
        }
        self.objects.push(object);
        self.push_id(self.objects.len() - 1)
    }

    fn push_id(&mut self, id: Id) -> Result<(), FaceError> {
        if self.stack.len() >= DEEPEST_STACK {
            return Err(self.refuse(format!("nested deeper than {DEEPEST_STACK} objects")));
        }
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, FaceError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.refuse("an instruction finds the stack empty"));
        }
        self.stack.pop().ok_or_else(|| self.refuse("an instruction finds the stack empty"))
    }

    fn top(&self) -> Result<Id, FaceError> {
        self.stack.last().copied().ok_or_else(|| self.refuse("an instruction finds the stack empty"))
    }

    /// What lies above the last mark.
    fn marked(&mut self) -> Result<Vec<Id>, FaceError> {
        let mark = self.marks.pop().ok_or_else(|| self.refuse("an instruction finds no mark"))?;
        if mark > self.stack.len() {
            return Err(self.refuse("an instruction finds its mark gone"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), FaceError> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<Id>, _>>()?;
        items.reverse();
        self.push(Object::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), FaceError> {
        let id = self.top()?;
        match &mut self.objects[id] {
            Object::List(list) => list.extend(items),
            other => {
                let what = other.what();
                return Err(self.refuse(format!("an item for a list goes to {what}")));
            }
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), FaceError> {
        let id = self.top()?;
        if !items.len().is_multiple_of(2) {
            return Err(self.refuse("a key for a dict comes without its value"));
        }
        match &mut self.objects[id] {
            Object::Dict(pairs) => pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1]))),
            other => {
                let what = other.what();
                return Err(self.refuse(format!("an item for a dict goes to {what}")));
            }
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<(), FaceError> {
        let id = self.top()?;
        let key = u32::try_from(key).map_err(|_| self.refuse("a memo number is out of range"))?;
        self.memo.insert(key, id);
        if self.memo.len() > MOST_OBJECTS {
            return Err(self.refuse(format!("more than {MOST_OBJECTS} objects are remembered")));
        }
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), FaceError> {
        let id = u32::try_from(key).ok().and_then(|key| self.memo.get(&key).copied());
        let id = id.ok_or_else(|| self.refuse(format!("memo {key} was never set")))?;
        self.push_id(id)
    }

    fn number_line<T: std::str::FromStr>(&mut self) -> Result<T, FaceError> {
        let line = self.line()?;
        line.trim_end_matches('L').parse().map_err(|_| self.refuse(format!("`{}` is no number", text::short(line))))
    }

    /// A whole number of up to 8 bytes, two's complement.
    fn long(&mut self, size_bytes: u64) -> Result<Object<'a>, FaceError> {
        let bytes = self.sized(size_bytes)?;
        if bytes.len() > 8 {
            return Err(self.refuse(format!("an integer of {} bytes", bytes.len())));
        }
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xFF } else { 0 };
        let mut word = [fill; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        Ok(Object::Int(i64::from_le_bytes(word)))
    }

    /// One instruction; whether it was the last.
    fn step(&mut self) -> Result<bool, FaceError> {
        self.instruction = self.at;
        let code = self.take(1)?[0];
        match code {
            b'.' => return Ok(true),
            0x80 => {
                let protocol = self.little(1)?;
                if protocol > 5 {
                    return Err(self.refuse(format!("pickle protocol {protocol} is unknown")));
                }
            }
            // FRAME: a hint for readers of streams.
            0x95 => _ = self.little(8)?,
            b'(' => {
                if self.marks.len() >= MOST_MARKS {
                    return Err(self.refuse(format!("nested deeper than {MOST_MARKS} marks")));
                }
                self.marks.push(self.stack.len());
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.marked()?;
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.marked()?;
                self.set(&items)?;
            }
            b'g' => {
                let key = self.number_line()?;
                self.recall(key)?;
            }
            b'h' => {
                let key = self.little(1)?;
                self.recall(key)?;
            }
            b'j' => {
                let key = self.little(4)?;
                self.recall(key)?;
            }
            b'p' => {
                let key = self.number_line()?;
                self.remember(key)?;
            }
            b'q' => {
                let key = self.little(1)?;
                self.remember(key)?;
            }
            b'r' => {
                let key = self.little(4)?;
                self.remember(key)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'c' | 0x93 | b'R' | b'b' => self.call(code)?,
            _ => {
                if let Some(object) = self.constant(code)? {
                    self.push(object)?;
                }
            }
        }
        Ok(false)
    }

    /// The instructions that push something; `None` where it is pushed already.
    fn constant(&mut self, code: u8) -> Result<Option<Object<'a>>, FaceError> {
        Ok(Some(match code {
            b'N' => Object::None,
            0x88 => Object::Bool(true),
            0x89 => Object::Bool(false),
            b'I' => match self.line()? {
                "00" => Object::Bool(false),
                "01" => Object::Bool(true),
                line => Object::Int(line.parse().map_err(|_| self.refuse(format!("`{}` is no number", text::short(line))))?),
            },
            b'J' => Object::Int(i64::from(self.little(4)? as u32 as i32)),
            b'K' => Object::Int(self.little(1)? as i64),
            b'M' => Object::Int(self.little(2)? as i64),
            b'L' => Object::Int(self.number_line()?),
            0x8A => self.long(1)?,
            0x8B => self.long(4)?,
            b'F' => Object::Float(self.number_line()?),
            b'G' => Object::Float(f64::from_bits(self.little(8)?.swap_bytes())),
            b'S' => {
                let line = self.line()?;
                self.copied(line.len())?;
                Object::Bytes(Cow::Owned(text::quoted(line).ok_or_else(|| self.refuse("a string is not quoted as Python does"))?))
            }
            b'V' => {
                let line = self.raw_line()?;
                // What is no ASCII takes two bytes in memory.
                self.copied(line.len().saturating_mul(2))?;
                Object::Text(Cow::Owned(text::escaped(line).ok_or_else(|| self.refuse("text is not escaped as Python does"))?))
            }
            b'T' | b'B' => self.bytes(4)?,
            b'U' | b'C' => self.bytes(1)?,
            0x8E | 0x96 => self.bytes(8)?,
            b'X' => self.unicode(4)?,
            0x8C => self.unicode(1)?,
            0x8D => self.unicode(8)?,
            b']' => Object::List(Vec::new()),
            b'}' => Object::Dict(Vec::new()),
            b')' => Object::Tuple(Vec::new()),
            b'l' => Object::List(self.marked()?),
            b't' => Object::Tuple(self.marked()?),
            b'd' => {
                let items = self.marked()?;
                self.push(Object::Dict(Vec::new()))?;
                self.set(&items)?;
                return Ok(None);
            }
            0x85..=0x87 => {
                self.tuple(usize::from(code - 0x84))?;
                return Ok(None);
            }
            _ => return Err(self.refuse(text::forbidden(code))),
        }))
    }
}
