//! An interpreter of pickles that can build nothing but numbers, strings, containers and descriptions of tensors.
//!
//! It knows the opcodes that `torch.save` writes, and refuses the rest. Nothing is called: a class is its name, and the two
//! functions that rebuild tensors are recognised by theirs. Containers are shared, not copied, so that a small file cannot grow
//! by repeating itself, and every count is bounded by the bytes of the file.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a pickle can hold here.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// None, booleans, floats, and objects that are of no interest.
    Other,
    Int(i64),
    Text(Arc<str>),
    /// A tuple, and how deeply tuples are nested in it.
    Tuple(Arc<[Value]>, usize),
    /// A dict, by its place among all dicts: it is filled after others have come to hold it.
    Dict(usize),
    /// `module.name` of a class or function.
    Class(Arc<str>),
    Storage(Arc<Storage>),
    Tensor(Arc<TensorInfo>),
}

/// A storage of the archive: which file, of which numbers.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) class: Arc<str>,
    pub(super) key: Arc<str>,
}

/// A tensor: a view of a storage, counted in elements.
#[derive(Debug)]
pub(super) struct TensorInfo {
    pub(super) storage: Arc<Storage>,
    pub(super) offset: usize,
    pub(super) dims: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// Where checkpoints keep the weights of a network beside other things: a model's own, then the averaged and the plain generator of
/// PIRender's program.
const PLACES: [&str; 3] = ["state_dict", "net_G_ema", "net_G"];

/// The tensors of the first of [`PLACES`] that a pickled dict has, or of the dict itself.
pub(super) fn state_dict(bytes: &[u8]) -> Result<BTreeMap<String, Arc<TensorInfo>>, String> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), marks: Vec::new(), memo: BTreeMap::new(), dicts: Vec::new() };
    let Value::Dict(mut dict) = machine.run()? else { return Err("is not a dict of tensors".to_owned()) };
    let at = |place: &str| {
        machine.dicts[dict].iter().find_map(|pair| match pair {
            (Value::Text(key), Value::Dict(inner)) if &**key == place => Some(*inner),
            _ => None,
        })
    };
    if let Some(inner) = PLACES.into_iter().find_map(at) {
        dict = inner;
    }
    let mut tensors = BTreeMap::new();
    for (key, value) in &machine.dicts[dict] {
        if let (Value::Text(name), Value::Tensor(tensor)) = (key, value)
            && tensors.insert(name.to_string(), Arc::clone(tensor)).is_some()
        {
            return Err(format!("{name} is in it twice"));
        }
    }
    Ok(tensors)
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    /// Heights of the stack where a mark was set.
    marks: Vec<usize>,
    memo: BTreeMap<u32, Value>,
    dicts: Vec<Vec<(Value, Value)>>,
}

type Fault<T> = Result<T, String>;

impl<'a> Machine<'a> {
    fn run(&mut self) -> Fault<Value> {
        loop {
            let place = self.at;
            let [opcode] = self.take()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode).map_err(|what| format!("pickle, byte {place}: {what}"))?;
        }
    }

    fn step(&mut self, opcode: u8) -> Fault<()> {
        match opcode {
            0x80 => drop(self.take::<1>()?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 | b']' => self.stack.push(Value::Other),
            b'G' => {
                self.take::<8>()?;
                self.stack.push(Value::Other);
            }
            b'K' => self.int(|m| Ok(i64::from(m.take::<1>()?[0])))?,
            b'M' => self.int(|m| Ok(i64::from(u16::from_le_bytes(m.take()?))))?,
            b'J' => self.int(|m| Ok(i64::from(i32::from_le_bytes(m.take()?))))?,
            0x8a => self.long()?,
            b'X' => {
                let length = u32::from_le_bytes(self.take()?);
                self.text(length as usize)?;
            }
            0x8c => {
                let [length] = self.take()?;
                self.text(usize::from(length))?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.stack.push(Value::Class(format!("{module}.{name}").into()));
            }
            b')' => self.stack.push(Value::Tuple(Arc::new([]), 1)),
            0x85..=0x87 => self.tuple(usize::from(opcode - 0x84))?,
            b't' => {
                let mark = self.mark()?;
                self.tuple(self.stack.len() - mark)?;
            }
            b'}' => self.dict(),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])?;
            }
            b'u' => self.set_items()?,
            b'a' => drop(self.pop()?),
            b'e' => {
                let mark = self.mark()?;
                self.stack.truncate(mark);
            }
            b'q' => {
                let [id] = self.take()?;
                self.put(u32::from(id))?;
            }
            b'r' => {
                let id = u32::from_le_bytes(self.take()?);
                self.put(id)?;
            }
            b'h' => {
                let [id] = self.take()?;
                self.get(u32::from(id))?;
            }
            b'j' => {
                let id = u32::from_le_bytes(self.take()?);
                self.get(id)?;
            }
            b'Q' => self.persistent()?,
            // Making an object is like a call: only its name counts.
            b'R' | 0x81 => self.reduce()?,
            // BUILD sets attributes of an object; a state_dict's are its `_metadata`.
            b'b' => drop(self.pop()?),
            _ => return Err(format!("opcode 0x{opcode:02x} has no place in a file of weights")),
        }
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Fault<[u8; N]> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or("ends in the middle of a pickle")?;
        self.at += N;
        Ok(*bytes)
    }

    fn int(&mut self, read: impl FnOnce(&mut Self) -> Fault<i64>) -> Fault<()> {
        let value = read(self)?;
        self.stack.push(Value::Int(value));
        Ok(())
    }

    /// A whole number of up to 8 bytes, two's complement.
    fn long(&mut self) -> Fault<()> {
        let [length] = self.take()?;
        if length > 8 {
            return Err(format!("a whole number of {length} bytes"));
        }
        let mut value = 0i64;
        for i in 0..u32::from(length) {
            let [byte] = self.take()?;
            value |= i64::from(byte) << (8 * i);
        }
        let unused = 64 - 8 * u32::from(length);
        let value = if length == 0 { 0 } else { value << unused >> unused };
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn text(&mut self, length: usize) -> Fault<()> {
        let bytes = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end)).ok_or("a string longer than the file")?;
        let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
        self.stack.push(Value::Text(text.into()));
        self.at += length;
        Ok(())
    }

    fn line(&mut self) -> Fault<&'a str> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|b| *b == b'\n').ok_or("a name without an end")?;
        self.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|e| e.to_string())
    }

    fn pop(&mut self) -> Fault<Value> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("takes from an empty stack".to_owned());
        }
        self.stack.pop().ok_or_else(|| "takes from an empty stack".to_owned())
    }

    /// Height of the stack at the last mark, which is taken off.
    fn mark(&mut self) -> Fault<usize> {
        self.marks.pop().ok_or_else(|| "looks for a mark that was not set".to_owned())
    }

    fn tuple(&mut self, count: usize) -> Fault<()> {
        let start = self.stack.len().checked_sub(count).filter(|s| *s >= self.marks.last().copied().unwrap_or(0));
        let items = self.stack.split_off(start.ok_or("a tuple of more than there is")?);
        let depth = 1 + items.iter().map(|i| if let Value::Tuple(_, depth) = i { *depth } else { 0 }).max().unwrap_or(0);
        // Deeper ones would overflow the stack where they are dropped.
        if depth > 64 {
            return Err("tuples nested too deeply".to_owned());
        }
        self.stack.push(Value::Tuple(items.into(), depth));
        Ok(())
    }

    fn dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(Vec::new());
    }

    fn set_items(&mut self) -> Fault<()> {
        let mark = self.mark()?;
        let mut pairs = Vec::new();
        let mut items = self.stack.split_off(mark).into_iter();
        while let Some(key) = items.next() {
            pairs.push((key, items.next().ok_or("a key without a value")?));
        }
        self.set(pairs)
    }

    fn set(&mut self, pairs: Vec<(Value, Value)>) -> Fault<()> {
        match self.stack.last() {
            Some(Value::Dict(i)) => self.dicts[*i].extend(pairs),
            // An object of no interest, filled like a dict.
            Some(Value::Other) => {}
            _ => return Err("sets an item of what is not a dict".to_owned()),
        }
        Ok(())
    }

    fn put(&mut self, id: u32) -> Fault<()> {
        let value = self.stack.last().ok_or("remembers nothing")?.clone();
        self.memo.insert(id, value);
        Ok(())
    }

    fn get(&mut self, id: u32) -> Fault<()> {
        let value = self.memo.get(&id).ok_or("recalls what was not remembered")?.clone();
        self.stack.push(value);
        Ok(())
    }

    /// A storage: `('storage', class, key, device, number of elements)`.
    fn persistent(&mut self) -> Fault<()> {
        let value = match self.pop()? {
            Value::Tuple(parts, _) => match &parts[..] {
                [Value::Text(kind), Value::Class(class), Value::Text(key), _, Value::Int(_)] if &**kind == "storage" => {
                    Value::Storage(Arc::new(Storage { class: Arc::clone(class), key: Arc::clone(key) }))
                }
                _ => return Err("a persistent id that is no storage".to_owned()),
            },
            _ => return Err("a persistent id that is no storage".to_owned()),
        };
        self.stack.push(value);
        Ok(())
    }

    /// A "call": of the functions that rebuild tensors and of dicts; every other object is of no interest.
    fn reduce(&mut self) -> Fault<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments, _), Value::Class(function)) = (arguments, function) else {
            return Err("calls what is no function".to_owned());
        };
        let value = match (&*function, &arguments[..]) {
            ("collections.OrderedDict" | "collections.defaultdict", _) => {
                self.dict();
                return Ok(());
            }
            (
                "torch._utils._rebuild_tensor_v2",
                [Value::Storage(storage), Value::Int(offset), Value::Tuple(dims, _), Value::Tuple(strides, _), ..],
            ) => {
                let sizes = |values: &[Value]| values.iter().map(size).collect::<Option<Vec<_>>>();
                let parts = (size(&Value::Int(*offset)), sizes(dims), sizes(strides));
                match parts {
                    (Some(offset), Some(dims), Some(strides)) if dims.len() == strides.len() => {
                        Value::Tensor(Arc::new(TensorInfo { storage: Arc::clone(storage), offset, dims, strides }))
                    }
                    _ => return Err("a tensor of impossible sizes".to_owned()),
                }
            }
            ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            ("torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_parameter", _) => {
                return Err("a tensor without a storage".to_owned());
            }
            _ => Value::Other,
        };
        self.stack.push(value);
        Ok(())
    }
}

fn size(value: &Value) -> Option<usize> {
    match value {
        Value::Int(n) => usize::try_from(*n).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        state_dict(bytes).unwrap_err()
    }

    #[test]
    fn what_is_no_file_of_weights_is_an_error() {
        assert_eq!(fault(b""), "ends in the middle of a pickle");
        assert_eq!(fault(b"\x80\x02N."), "is not a dict of tensors");
        assert_eq!(
            fault(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85i."),
            "pickle, byte 21: opcode 0x69 has no place in a file of weights"
        );
        assert_eq!(fault(b"X\xff\xff\xff\xffabc"), "pickle, byte 0: a string longer than the file");
        assert_eq!(fault(b"0"), "pickle, byte 0: opcode 0x30 has no place in a file of weights");
        assert_eq!(fault(b"R"), "pickle, byte 0: takes from an empty stack");
        assert_eq!(fault(b"K\x01\x86"), "pickle, byte 2: a tuple of more than there is");
        assert_eq!(fault(b"h\x07"), "pickle, byte 0: recalls what was not remembered");
        assert_eq!(fault(b"}K\x01K\x02u"), "pickle, byte 5: looks for a mark that was not set");
        assert_eq!(fault(b"}(K\x01u"), "pickle, byte 4: a key without a value");
        assert_eq!(fault(b"\x8a\x09"), "pickle, byte 0: a whole number of 9 bytes");
        assert_eq!(fault(b")Q"), "pickle, byte 1: a persistent id that is no storage");
        let mut deep = b")".to_vec();
        deep.extend([0x85; 100_000]);
        assert_eq!(fault(&deep), "pickle, byte 64: tuples nested too deeply");
    }

    #[test]
    fn a_call_calls_nothing_and_sharing_does_not_grow() {
        // os.system('ls') becomes an object of no interest.
        assert!(state_dict(b"}X\x01\x00\x00\x00acos\nsystem\nX\x02\x00\x00\x00ls\x85Rs.").unwrap().is_empty());
        // Sixty tuples, each holding the one before twice: 2^60 copies, if they were copies.
        let mut laughs = b"})q\x00".to_vec();
        for _ in 0..60 {
            laughs.extend(b"h\x00\x86q\x00");
        }
        laughs.extend(b"K\x01s.");
        assert!(state_dict(&laughs).unwrap().is_empty());
    }

    #[test]
    fn whole_numbers_have_signs() {
        let mut machine = Machine {
            bytes: b"\x8a\x02\xff\xffJ\xfe\xff\xff\xff\x8a\x00\x86.",
            at: 0,
            stack: vec![],
            marks: vec![],
            memo: BTreeMap::new(),
            dicts: vec![],
        };
        let Value::Tuple(pair, _) = machine.run().unwrap() else { panic!("a tuple") };
        assert!(matches!(pair[..], [Value::Int(-2), Value::Int(0)]));
        assert!(matches!(machine.stack[..], [Value::Int(-1)]));
    }
}
