//! Runs plans on the CPU, for tests: kernels in a C++ program of coroutines (`tests/emulator`), compiled when a test first asks for
//! it; products and convolutions by plain loops.

mod compile;
mod reference;

use super::plan::{Arg, Launch, Plan, Role, Slot, Step, Type};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// An array's content.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Host {
    F32(Vec<f32>),
    /// As bits.
    Bf16(Vec<u16>),
    U8(Vec<u8>),
    U32(Vec<u32>),
    F64(Vec<f64>),
}

/// What a plan leaves.
pub(crate) struct Done {
    /// In the plan's order.
    pub(crate) outputs: Vec<Host>,
    /// The inputs as they are afterwards.
    pub(crate) inputs: Vec<Host>,
}

/// The nearest bf16, ties to even.
pub(crate) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    if x.is_nan() { 0x7fff } else { ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16 }
}

pub(crate) fn from_bf16(x: u16) -> f32 {
    f32::from_bits(u32::from(x) << 16)
}

impl Host {
    /// Numbers as an array of f32 or bf16.
    pub(crate) fn of(element: Type, values: &[f32]) -> Self {
        match element {
            Type::F32 => Self::F32(values.to_vec()),
            Type::Bf16 => Self::Bf16(values.iter().map(|x| to_bf16(*x)).collect()),
            Type::U8 => Self::U8(values.iter().map(|x| *x as u8).collect()),
            Type::U32 => Self::U32(values.iter().map(|x| *x as u32).collect()),
            Type::F64 => Self::F64(values.iter().map(|x| f64::from(*x)).collect()),
        }
    }

    /// Its numbers, whatever the type.
    pub(crate) fn floats(&self) -> Vec<f32> {
        match self {
            Self::F32(x) => x.clone(),
            Self::Bf16(x) => x.iter().map(|x| from_bf16(*x)).collect(),
            Self::U8(x) => x.iter().map(|x| f32::from(*x)).collect(),
            Self::U32(x) => x.iter().map(|x| *x as f32).collect(),
            Self::F64(x) => x.iter().map(|x| *x as f32).collect(),
        }
    }

    fn element(&self) -> Type {
        match self {
            Self::F32(_) => Type::F32,
            Self::Bf16(_) => Type::Bf16,
            Self::U8(_) => Type::U8,
            Self::U32(_) => Type::U32,
            Self::F64(_) => Type::F64,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::F32(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::Bf16(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::U8(x) => x.clone(),
            Self::U32(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F64(x) => x.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }

    fn from_bytes(element: Type, bytes: &[u8]) -> Self {
        fn each<const N: usize, T>(bytes: &[u8], f: fn([u8; N]) -> T) -> Vec<T> {
            bytes.chunks_exact(N).map(|c| f(c.try_into().unwrap())).collect()
        }
        match element {
            Type::F32 => Self::F32(each(bytes, f32::from_le_bytes)),
            Type::Bf16 => Self::Bf16(each(bytes, u16::from_le_bytes)),
            Type::U8 => Self::U8(bytes.to_vec()),
            Type::U32 => Self::U32(each(bytes, u32::from_le_bytes)),
            Type::F64 => Self::F64(each(bytes, f64::from_le_bytes)),
        }
    }
}

/// Runs a plan; none where the machine has no C++ compiler (then it says so on standard error): the test is over.
///
/// # Panics
/// Where a kernel does what it must not: the message says which, and where.
pub(crate) fn run(plan: &Plan, inputs: &[Host]) -> Option<Done> {
    match try_run(plan, inputs) {
        Ok(done) => done,
        Err(what) => panic!("{what}"),
    }
}

/// The same with a kernel's fault as an error.
pub(crate) fn try_run(plan: &Plan, inputs: &[Host]) -> Result<Option<Done>, String> {
    run_in(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels")), plan, inputs)
}

/// The same with the kernels of another folder.
fn run_in(kernels: &Path, plan: &Plan, inputs: &[Host]) -> Result<Option<Done>, String> {
    if !compile::has_compiler() {
        return Ok(None);
    }
    let mut arrays = arrays(plan, inputs)?;
    for step in &plan.steps {
        match step {
            Step::Launch(launch) => run_launch(kernels, plan, launch, &mut arrays)?,
            Step::Product(product) => reference::product(plan, product, &mut arrays),
            Step::Convolution(convolution) => reference::convolution(plan, convolution, &mut arrays),
        }
    }
    let of = |role| {
        let of_role = plan.arrays.iter().zip(&arrays).filter(move |(array, _)| array.role == role);
        of_role.map(|(array, bytes)| Host::from_bytes(array.element, bytes)).collect()
    };
    Ok(Some(Done { outputs: of(Role::Output), inputs: of(Role::Input) }))
}

/// The arrays before the first step; of those that nobody wrote every bit is set: NaN.
fn arrays(plan: &Plan, inputs: &[Host]) -> Result<Vec<Vec<u8>>, String> {
    let mut given = inputs.iter();
    let mut arrays = Vec::new();
    for (i, array) in plan.arrays.iter().enumerate() {
        let bytes = array.len * array.element.bytes();
        arrays.push(if array.role == Role::Input {
            let host = given.next().ok_or_else(|| format!("array {i}: an input is missing"))?;
            let content = host.bytes();
            if host.element() != array.element || content.len() != bytes {
                return Err(format!(
                    "array {i} is {} × {:?}, given {} bytes of {:?}",
                    array.len,
                    array.element,
                    content.len(),
                    host.element()
                ));
            }
            content
        } else {
            vec![if array.zeroed { 0 } else { 0xff }; bytes]
        });
    }
    if given.next().is_some() { Err("more inputs than the plan has".to_owned()) } else { Ok(arrays) }
}

/// A launch's description and the arrays that it touches, for the program.
fn describe(launch: &Launch, arrays: &[Vec<u8>]) -> (Vec<u8>, Vec<Slot>) {
    let mut used: Vec<Slot> = Vec::new();
    for arg in &launch.args {
        match arg {
            Arg::Array(slot) => used.push(*slot),
            Arg::Table(slots) => used.extend(slots),
            Arg::Absent | Arg::U32(_) | Arg::Size(_) | Arg::F32(_) | Arg::Numbers(_) => {}
        }
    }
    used.sort_unstable();
    used.dedup();
    let mut out = Vec::new();
    let number = |out: &mut Vec<u8>, x: u32| out.extend(x.to_le_bytes());
    number(&mut out, launch.kernel.len() as u32);
    out.extend(launch.kernel.as_bytes());
    for x in launch.grid.iter().chain(&launch.block).chain(&[launch.shared, used.len() as u32]) {
        number(&mut out, *x);
    }
    for slot in &used {
        number(&mut out, arrays[slot.0].len() as u32);
        out.extend(&arrays[slot.0]);
    }
    let position = |slot: &Slot| used.binary_search(slot).unwrap() as u32;
    number(&mut out, launch.args.len() as u32);
    for arg in &launch.args {
        match arg {
            Arg::Array(slot) => [0, position(slot)].iter().for_each(|x| number(&mut out, *x)),
            Arg::U32(x) => [1, *x].iter().for_each(|x| number(&mut out, *x)),
            Arg::Size(n) => [1, *n as u32].iter().for_each(|x| number(&mut out, *x)),
            Arg::F32(x) => [2, x.to_bits()].iter().for_each(|x| number(&mut out, *x)),
            Arg::Absent => number(&mut out, 3),
            Arg::Numbers(numbers) => [5, numbers.len() as u32].iter().chain(numbers).for_each(|x| number(&mut out, *x)),
            Arg::Table(slots) => [4, slots.len() as u32].into_iter().chain(slots.iter().map(position)).for_each(|x| number(&mut out, x)),
        }
    }
    (out, used)
}

fn run_launch(kernels: &Path, plan: &Plan, launch: &Launch, arrays: &mut [Vec<u8>]) -> Result<(), String> {
    plan.check(launch)?;
    let program = compile::program(kernels, launch.kernel)?;
    let (request, used) = describe(launch, arrays);
    let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", launch.kernel);
    let mut command = Command::new(program);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| fault(&e))?;
    // The program reads everything before it answers; should it end early, its answer says why.
    let _ = child.stdin.take().unwrap().write_all(&request);
    let output = child.wait_with_output().map_err(|e| fault(&e))?;
    match output.stdout.split_at_checked(2) {
        Some((b"ok", mut content)) => {
            for slot in used {
                let array = &mut arrays[slot.0];
                let (bytes, rest) = content.split_at_checked(array.len()).ok_or_else(|| fault(&"the answer is short"))?;
                array.copy_from_slice(bytes);
                content = rest;
            }
            Ok(())
        }
        Some((b"no", what)) => Err(String::from_utf8_lossy(what.get(4..).unwrap_or_default()).into_owned()),
        _ => Err(fault(&format!("no answer, {}", output.status))),
    }
}

#[cfg(test)]
mod tests;
