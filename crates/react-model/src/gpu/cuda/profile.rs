//! How long each kernel, product and convolution takes on the card.

use crate::gpu::plan::{Direction, Step};
use candle_core::Result;
use candle_core::cuda_backend::WrapErr as _;
use candle_core::cuda_backend::cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT;
use candle_core::cuda_backend::cudarc::driver::{CudaEvent, CudaStream};
use std::cell::RefCell;
use std::collections::BTreeMap;

type Span = (String, CudaEvent, CudaEvent);

thread_local! {
    /// The steps since [`begin`], if it was called.
    static SPANS: RefCell<Option<Vec<Span>>> = const { RefCell::new(None) };
}

/// From here on this thread's steps are timed.
pub(crate) fn begin() {
    SPANS.set(Some(Vec::new()));
}

/// Of each kind of step its runs and milliseconds since [`begin`], longest first. Waits for the card.
pub(crate) fn end() -> Result<Vec<(String, usize, f64)>> {
    let mut times: BTreeMap<String, (usize, f64)> = BTreeMap::new();
    for (name, begin, end) in SPANS.take().unwrap_or_default() {
        let milliseconds = f64::from(begin.elapsed_ms(&end).w()?);
        let time = times.entry(name).or_default();
        *time = (time.0 + 1, time.1 + milliseconds);
    }
    let mut times: Vec<_> = times.into_iter().map(|(name, (runs, milliseconds))| (name, runs, milliseconds)).collect();
    times.sort_by(|a, b| b.2.total_cmp(&a.2));
    Ok(times)
}

/// Runs a step, between two events where steps are timed.
pub(super) fn timed(step: &Step, stream: &CudaStream, run: impl FnOnce() -> Result<()>) -> Result<()> {
    if SPANS.with_borrow(Option::is_none) {
        return run();
    }
    let begin = stream.record_event(Some(CU_EVENT_DEFAULT)).w()?;
    run()?;
    let end = stream.record_event(Some(CU_EVENT_DEFAULT)).w()?;
    SPANS.with_borrow_mut(|spans| spans.get_or_insert_default().push((name(step), begin, end)));
    Ok(())
}

fn name(step: &Step) -> String {
    match step {
        Step::Launch(launch) => launch.kernel.to_owned(),
        Step::Product(p) => format!("product {} × [{}, {}] = [{}, {}]·[{}, {}]", p.batch, p.m, p.n, p.m, p.k, p.k, p.n),
        Step::Convolution(c) => {
            let direction = match c.direction {
                Direction::Forward => "convolution",
                Direction::Input => "convolution, dx",
                Direction::Weight => "convolution, dw",
            };
            format!("{direction}: {} × {:?}, {} → {} channels, {:?}", c.batch, c.input, c.cin, c.cout, c.kernel)
        }
    }
}
