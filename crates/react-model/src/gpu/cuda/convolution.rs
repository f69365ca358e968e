//! Convolutions by cuDNN, channels last.
//!
//! For each shape the deterministic algorithms (all others, where there is none) are timed once, on the arrays at hand; the one that
//! cuDNN's heuristics put first stays unless another takes less than nine tenths of its time. Numbers of frames up to the same power of
//! two are one shape in this: online a clip has as many as it has windows. With `REACT_CUDNN=heuristics` nothing is timed: then every run of the
//! program takes the same algorithms, whatever else the card does.

use super::Memory;
use crate::gpu::plan::{Convolution, Direction, Plan, Type};
use candle_core::cuda_backend::cudarc::cudnn::sys::{self, cudnnDataType_t, cudnnMathType_t, cudnnStatus_t, cudnnTensorFormat_t};
use candle_core::cuda_backend::cudarc::cudnn::{CudnnError, result};
use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags;
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, CudaStream, DevicePtr};
use candle_core::cuda_backend::{CudaDevice, DeviceId, WrapErr as _};
use candle_core::{Error, Result};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes that an algorithm may take beside the arrays, where there is one that takes no more.
const WORKSPACE: usize = 1 << 30;
/// How much faster than the heuristics' first an algorithm must be.
const FASTER: f32 = 0.9;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Input(sys::cudnnConvolutionBwdDataAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
}

#[derive(Clone, Copy)]
struct Candidate {
    algorithm: Algorithm,
    math: cudnnMathType_t,
    workspace: usize,
}

/// cuDNN's descriptions of one shape.
struct Descriptors {
    x: sys::cudnnTensorDescriptor_t,
    y: sys::cudnnTensorDescriptor_t,
    w: sys::cudnnFilterDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
}

impl Drop for Descriptors {
    fn drop(&mut self) {
        // SAFETY: each was created and is destroyed once. A failure would only leak.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.x);
            let _ = result::destroy_tensor_descriptor(self.y);
            let _ = result::destroy_filter_descriptor(self.w);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}

struct Prepared {
    descriptors: Descriptors,
    candidate: Candidate,
}

/// A shape: all that the choice of an algorithm depends on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Shape {
    direction: u8,
    bf16: bool,
    tf32: bool,
    sizes: [usize; 15],
}

/// A thread's handle on a device, which cuDNN wants to stay with the thread.
struct Cudnn {
    handle: sys::cudnnHandle_t,
    workspace: Option<CudaSlice<u8>>,
    prepared: HashMap<Shape, Prepared>,
    /// What was chosen by time, for shapes whose batch is the next power of two.
    timed: HashMap<Shape, (Algorithm, cudnnMathType_t)>,
}

impl Drop for Cudnn {
    fn drop(&mut self) {
        self.prepared.clear();
        // SAFETY: the handle is this one's own.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

thread_local! {
    static CUDNN: RefCell<HashMap<DeviceId, Cudnn>> = RefCell::default();
}

/// Whether all shapes so far had an algorithm that gives the same bits each time.
static DETERMINISTIC: AtomicBool = AtomicBool::new(true);

pub(crate) fn is_deterministic() -> bool {
    DETERMINISTIC.load(Ordering::Relaxed)
}

/// The three addresses of a convolution.
#[derive(Clone, Copy)]
struct Addresses {
    x: u64,
    w: u64,
    y: u64,
}

pub(super) fn run(plan: &Plan, c: &Convolution, device: &CudaDevice, stream: &Arc<CudaStream>, memory: &Memory) -> Result<()> {
    let element = plan.arrays[c.x.0].element;
    if !matches!(element, Type::F32 | Type::Bf16) || [c.w, c.y].iter().any(|slot| plan.arrays[slot.0].element != element) {
        candle_core::bail!("a convolution's arrays are all f32 or all bf16");
    }
    let clips = |frame: [usize; 3], channels: usize| (c.first * frame.iter().product::<usize>() * channels * element.bytes()) as u64;
    let at = Addresses {
        x: memory.address(c.x) + clips(c.input, c.cin),
        w: memory.address(c.w),
        y: memory.address(c.y) + clips(c.output(), c.cout),
    };
    CUDNN.with_borrow_mut(|handles| {
        let cudnn = match handles.entry(device.id()) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => entry.insert(Cudnn::new(stream)?),
        };
        cudnn.run(c, element, stream, at)
    })
}

fn shape(c: &Convolution, element: Type) -> Shape {
    let [i, k, s, p] = [c.input, c.kernel, c.stride, c.padding];
    let sizes = [c.batch, c.cin, c.cout, i[0], i[1], i[2], k[0], k[1], k[2], s[0], s[1], s[2], p[0], p[1], p[2]];
    Shape { direction: c.direction as u8, bf16: element == Type::Bf16, tf32: c.tf32, sizes }
}

impl Shape {
    /// The same for all batches up to a power of two.
    fn family(mut self) -> Self {
        self.sizes[0] = self.sizes[0].next_power_of_two();
        self
    }
}

impl Cudnn {
    fn new(stream: &CudaStream) -> Result<Self> {
        let handle = result::create_handle()?;
        // SAFETY: the stream lives as long as Candle's device.
        unsafe { result::set_stream(handle, stream.cu_stream().cast())? };
        Ok(Self { handle, workspace: None, prepared: HashMap::new(), timed: HashMap::new() })
    }

    fn run(&mut self, c: &Convolution, element: Type, stream: &Arc<CudaStream>, at: Addresses) -> Result<()> {
        let shape = shape(c, element);
        if !self.prepared.contains_key(&shape) {
            let descriptors = describe(c, element)?;
            let candidate = self.choose(&descriptors, c, element, stream, at)?;
            // SAFETY: the descriptor is alive.
            unsafe { result::set_convolution_math_type(descriptors.convolution, candidate.math)? };
            self.prepared.insert(shape, Prepared { descriptors, candidate });
        }
        let Some(Prepared { descriptors, candidate }) = self.prepared.get(&shape) else { return Ok(()) };
        let workspace = grow(&mut self.workspace, candidate.workspace, stream)?;
        start(self.handle, descriptors, candidate, workspace, c.add, at)?;
        Ok(())
    }

    /// The algorithm for a shape.
    fn choose(
        &mut self,
        descriptors: &Descriptors,
        c: &Convolution,
        element: Type,
        stream: &Arc<CudaStream>,
        at: Addresses,
    ) -> Result<Candidate> {
        let exact = element == Type::F32 && !c.tf32;
        let listed = |deterministic| candidates(self.handle, descriptors, c.direction, exact, deterministic);
        let mut candidates = listed(true)?;
        if candidates.is_empty() {
            candidates = listed(false)?;
            DETERMINISTIC.store(false, Ordering::Relaxed);
            tracing::warn!(shape = ?c, "cuDNN has no deterministic algorithm for this convolution: runs may differ in the last digits");
        }
        if candidates.iter().any(|found| found.workspace <= WORKSPACE) {
            candidates.retain(|found| found.workspace <= WORKSPACE);
        }
        // Where the tensor cores may round, all of a shape's batches are rounded: also those that would be quicker without.
        if !exact && candidates.iter().any(|found| found.math != cudnnMathType_t::CUDNN_FMA_MATH) {
            candidates.retain(|found| found.math != cudnnMathType_t::CUDNN_FMA_MATH);
        }
        let Some(first) = candidates.first().copied() else { candle_core::bail!("cuDNN has no algorithm for {c:?} of {element:?}") };
        if !measures() {
            return Ok(first);
        }
        let family = shape(c, element).family();
        let known = self.timed.get(&family).and_then(|known| candidates.iter().find(|found| (found.algorithm, found.math) == *known));
        if let Some(known) = known {
            return Ok(*known);
        }
        // What is added to must not be written more often than once: another array stands in for it.
        let (_kept, at) = if c.add { stand_in(c, element, stream, at)? } else { (None, at) };
        let mut times = Vec::new();
        for candidate in &candidates {
            times.push(self.time(descriptors, candidate, stream, at).unwrap_or(f32::INFINITY));
        }
        let mut best = 0;
        for (i, time) in times.iter().enumerate() {
            if *time < FASTER * times[best] {
                best = i;
            }
        }
        tracing::debug!(shape = ?c, ?times, algorithm = ?candidates[best].algorithm, "convolution");
        self.timed.insert(family, (candidates[best].algorithm, candidates[best].math));
        // It is as large as the neediest of the candidates asked for.
        self.workspace = None;
        Ok(candidates[best])
    }

    /// Milliseconds of one run: the least of three.
    fn time(&mut self, descriptors: &Descriptors, candidate: &Candidate, stream: &Arc<CudaStream>, at: Addresses) -> Result<f32> {
        // SAFETY: the descriptor is alive.
        unsafe { result::set_convolution_math_type(descriptors.convolution, candidate.math)? };
        let workspace = grow(&mut self.workspace, candidate.workspace, stream)?;
        start(self.handle, descriptors, candidate, workspace, false, at)?;
        let mut least = f32::INFINITY;
        for _ in 0..3 {
            let begin = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).w()?;
            start(self.handle, descriptors, candidate, workspace, false, at)?;
            let end = stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT)).w()?;
            least = least.min(begin.elapsed_ms(&end).w()?);
        }
        Ok(least)
    }
}

/// An array like the convolution's result, in its place.
fn stand_in(c: &Convolution, element: Type, stream: &Arc<CudaStream>, at: Addresses) -> Result<(Option<CudaSlice<u8>>, Addresses)> {
    let len = match c.direction {
        Direction::Forward => c.batch * c.output().iter().product::<usize>() * c.cout,
        Direction::Input => c.batch * c.input.iter().product::<usize>() * c.cin,
        Direction::Weight => c.cout * c.kernel.iter().product::<usize>() * c.cin,
    };
    // SAFETY: nothing reads it.
    let array = unsafe { stream.alloc::<u8>(len * element.bytes()) }.w()?;
    let address = array.device_ptr(stream).0;
    let at = match c.direction {
        Direction::Forward => Addresses { y: address, ..at },
        Direction::Input => Addresses { x: address, ..at },
        Direction::Weight => Addresses { w: address, ..at },
    };
    Ok((Some(array), at))
}

fn measures() -> bool {
    static MEASURES: OnceLock<bool> = OnceLock::new();
    *MEASURES.get_or_init(|| std::env::var_os("REACT_CUDNN").is_none_or(|how| how != "heuristics"))
}

/// At least so many bytes; where they begin and how many they are.
fn grow(workspace: &mut Option<CudaSlice<u8>>, bytes: usize, stream: &Arc<CudaStream>) -> Result<(u64, usize)> {
    if bytes > workspace.as_ref().map_or(0, CudaSlice::len) {
        // First back to the pool: both need not fit.
        *workspace = None;
        // SAFETY: cuDNN writes what it reads of it.
        *workspace = Some(unsafe { stream.alloc::<u8>(bytes) }.w()?);
    }
    Ok(workspace.as_ref().map_or((0, 0), |w| (w.device_ptr(stream).0, w.len())))
}

fn integers<const N: usize>(sizes: [usize; N]) -> Result<[c_int; N]> {
    let mut out = [0; N];
    for (out, size) in out.iter_mut().zip(sizes) {
        *out = c_int::try_from(size).map_err(|_| Error::Msg(format!("a convolution's size {size} is beyond cuDNN's")).bt())?;
    }
    Ok(out)
}

/// Without taps in time the frames are a batch of images: cuDNN's best algorithms are for those.
fn describe(c: &Convolution, element: Type) -> Result<Descriptors> {
    let kind = if element == Type::Bf16 { cudnnDataType_t::CUDNN_DATA_BFLOAT16 } else { cudnnDataType_t::CUDNN_DATA_FLOAT };
    // Each is destroyed with the struct, also where a later one fails.
    let d = Descriptors {
        x: result::create_tensor_descriptor()?,
        y: result::create_tensor_descriptor()?,
        w: result::create_filter_descriptor()?,
        convolution: result::create_convolution_descriptor()?,
    };
    let images = c.kernel[0] == 1 && c.stride[0] == 1 && c.padding[0] == 0;
    let (format, [t, h, w], [ot, oh, ow], [kt, kh, kw]) = (cudnnTensorFormat_t::CUDNN_TENSOR_NHWC, c.input, c.output(), c.kernel);
    // SAFETY: descriptors are alive, slices as long as they are said to be.
    unsafe {
        if images {
            result::set_tensor4d_descriptor(d.x, format, kind, integers([c.batch * t, c.cin, h, w])?)?;
            result::set_tensor4d_descriptor(d.y, format, kind, integers([c.batch * ot, c.cout, oh, ow])?)?;
            result::set_filter4d_descriptor(d.w, kind, format, integers([c.cout, c.cin, kh, kw])?)?;
        } else {
            for (tensor, [t, h, w], channels) in [(d.x, c.input, c.cin), (d.y, [ot, oh, ow], c.cout)] {
                let sizes = integers([c.batch, channels, t, h, w])?;
                let strides = integers([t * h * w * channels, 1, h * w * channels, w * channels, channels])?;
                result::set_tensornd_descriptor(tensor, kind, 5, sizes.as_ptr(), strides.as_ptr())?;
            }
            result::set_filternd_descriptor(d.w, kind, format, 5, integers([c.cout, c.cin, kt, kh, kw])?.as_ptr())?;
        }
        let from = usize::from(images);
        let (padding, stride) = (integers(c.padding)?, integers(c.stride)?);
        result::set_convolutionnd_descriptor(
            d.convolution,
            3 - from as c_int,
            padding[from..].as_ptr(),
            stride[from..].as_ptr(),
            [1, 1, 1].as_ptr(),
            sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
            cudnnDataType_t::CUDNN_DATA_FLOAT,
        )?;
        let exact = element == Type::F32 && !c.tf32;
        let math = if exact { cudnnMathType_t::CUDNN_FMA_MATH } else { cudnnMathType_t::CUDNN_TENSOR_OP_MATH };
        result::set_convolution_math_type(d.convolution, math)?;
    }
    Ok(d)
}

/// The algorithms that give the same bits each time, or all others, best first as cuDNN's heuristics have it.
fn candidates(
    handle: sys::cudnnHandle_t,
    d: &Descriptors,
    direction: Direction,
    exact: bool,
    deterministic: bool,
) -> Result<Vec<Candidate>> {
    const MOST: usize = 10;
    macro_rules! ranked {
        ($rank:ident, $workspace:ident, $variant:ident, $result:ty, $a:expr, $b:expr, $c:expr, $d:expr) => {{
            let mut count = 0;
            // SAFETY: plain numbers, written by cuDNN as far as `count` says.
            let mut found: [$result; MOST] = unsafe { std::mem::zeroed() };
            unsafe { result::$rank(handle, $a, $b, $c, $d, MOST as c_int, &mut count, found.as_mut_ptr())? };
            let usable = found.iter().take(usize::try_from(count).unwrap_or(0)).filter(|f| {
                // What is listed for tensor cores runs without them where exact: the math type is set to FMA.
                f.status == cudnnStatus_t::CUDNN_STATUS_SUCCESS
                    && (f.determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC) == deterministic
            });
            let candidate = |f: &$result| {
                let math = if exact { cudnnMathType_t::CUDNN_FMA_MATH } else { f.mathType };
                // SAFETY: descriptors are alive.
                let workspace = unsafe {
                    result::set_convolution_math_type(d.convolution, math).ok()?;
                    result::$workspace(handle, $a, $b, $c, $d, f.algo).ok()?
                };
                Some(Candidate { algorithm: Algorithm::$variant(f.algo), math, workspace })
            };
            usable.filter_map(candidate).collect()
        }};
    }
    Ok(match direction {
        Direction::Forward => ranked!(
            get_convolution_forward_algorithm,
            get_convolution_forward_workspace_size,
            Forward,
            sys::cudnnConvolutionFwdAlgoPerf_t,
            d.x,
            d.w,
            d.convolution,
            d.y
        ),
        Direction::Input => ranked!(
            get_convolution_backward_data_algorithm,
            get_convolution_backward_data_workspace_size,
            Input,
            sys::cudnnConvolutionBwdDataAlgoPerf_t,
            d.w,
            d.y,
            d.convolution,
            d.x
        ),
        Direction::Weight => ranked!(
            get_convolution_backward_filter_algorithm,
            get_convolution_backward_filter_workspace_size,
            Weight,
            sys::cudnnConvolutionBwdFilterAlgoPerf_t,
            d.x,
            d.y,
            d.convolution,
            d.w
        ),
    })
}

/// Puts one convolution in the stream.
fn start(
    handle: sys::cudnnHandle_t,
    d: &Descriptors,
    candidate: &Candidate,
    (workspace, bytes): (u64, usize),
    add: bool,
    at: Addresses,
) -> std::result::Result<(), CudnnError> {
    let (one, add) = (1.0f32, if add { 1.0f32 } else { 0.0 });
    let (one, add) = (std::ptr::from_ref(&one).cast::<c_void>(), std::ptr::from_ref(&add).cast::<c_void>());
    let (x, w, y) = (at.x as *mut c_void, at.w as *mut c_void, at.y as *mut c_void);
    let (workspace, convolution) = (workspace as *mut c_void, d.convolution);
    // SAFETY: the plan's arrays are as large as the descriptors say.
    unsafe {
        match candidate.algorithm {
            Algorithm::Forward(a) => {
                result::convolution_forward(handle, one, d.x, x, d.w, w, convolution, a, workspace, bytes, add, d.y, y)
            }
            Algorithm::Input(a) => {
                result::convolution_backward_data(handle, one, d.w, w, d.y, y, convolution, a, workspace, bytes, add, d.x, x)
            }
            Algorithm::Weight(a) => {
                result::convolution_backward_filter(handle, one, d.x, x, d.y, y, convolution, a, workspace, bytes, add, d.w, w)
            }
        }
    }
}
