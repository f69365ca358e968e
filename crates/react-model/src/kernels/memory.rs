//! Memory for large arrays. What a step writes is hundreds of megabytes of new memory; mapped by pages of 4 KiB it costs a fault for
//! each, which on virtual machines is a good part of the whole step.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Bytes from which memory is asked for in huge pages.
const LARGE: usize = 4 << 20;

/// n zeros; many of them in huge pages, where the system has them.
pub(crate) fn zeros(n: usize) -> Vec<f32> {
    let zeros = vec![0.0; n];
    advise(&zeros);
    zeros
}

/// A copy, as [`zeros`].
pub(crate) fn copy(x: &[f32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    advise_range(out.as_ptr(), x.len());
    out.extend_from_slice(x);
    out
}

fn advise(x: &[f32]) {
    advise_range(x.as_ptr(), x.len());
}

#[cfg(target_os = "linux")]
fn advise_range(start: *const f32, n: usize) {
    const HUGE: usize = 2 << 20;
    let bytes = n * size_of::<f32>();
    let first = (start as usize).next_multiple_of(HUGE);
    let end = (start as usize + bytes) / HUGE * HUGE;
    if bytes >= LARGE && first < end {
        // SAFETY: the range lies inside one allocation, and the advice changes no content. It may be refused: then pages stay small.
        unsafe { libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE) };
    }
}

#[cfg(not(target_os = "linux"))]
fn advise_range(_: *const f32, _: usize) {}

/// Has the system's allocator keep what is freed: every training step then writes to the memory of the step before, instead of
/// giving hundreds of megabytes back and asking for them page by page. Called once, at the start of a program that trains; it does
/// something on Linux with glibc. The process does not shrink afterwards.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: both only set thresholds. A refusal leaves the allocator as it was.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, -1);
    }
}

thread_local! {
    /// Memory of finished tasks of this thread.
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Floats for a task, which the thread's next task gets again; they begin on a line of the cache.
pub(crate) struct Scratch {
    memory: Vec<f32>,
    start: usize,
}

/// Floats of a line of the cache.
pub(crate) const LINE: usize = 16;

/// Where in a vector with room for [`LINE`] more floats the first line begins.
pub(crate) fn line_start(memory: &[f32]) -> usize {
    // It may refuse to tell: then the start is no worse than any other.
    memory.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE)
}

impl Scratch {
    /// n zeros.
    pub(crate) fn zeros(n: usize) -> Self {
        let mut scratch = Self { memory: FREE.with_borrow_mut(Vec::pop).unwrap_or_default(), start: 0 };
        scratch.memory.clear();
        scratch.resize(n);
        scratch
    }

    /// n floats, whatever they are: for a task that writes before it reads.
    pub(crate) fn any(n: usize) -> Self {
        let mut scratch = Self { memory: FREE.with_borrow_mut(Vec::pop).unwrap_or_default(), start: 0 };
        scratch.memory.resize(n + LINE, 0.0);
        scratch.start = line_start(&scratch.memory);
        scratch
    }

    /// n floats: the same as before where n is what it was, else zeros.
    pub(crate) fn resize(&mut self, n: usize) {
        if self.memory.len() != n + LINE {
            self.memory.clear();
            self.memory.resize(n + LINE, 0.0);
            self.start = line_start(&self.memory);
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let memory = std::mem::take(&mut self.memory);
        // At the end of a thread there is no one to keep it for.
        let _ = FREE.try_with(|free| free.borrow_mut().push(memory));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[self.start..self.memory.len() - LINE + self.start]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        let end = self.memory.len() - LINE + self.start;
        &mut self.memory[self.start..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_task_comes_back_as_zeros() {
        let mut first = Scratch::zeros(5);
        first[3] = 7.0;
        let place = first.as_ptr();
        drop(first);
        let mut second = Scratch::zeros(4);
        assert_eq!((second.as_ptr(), &second[..]), (place, &[0.0; 4][..]));
        second[1] = 3.0;
        second.resize(4);
        assert_eq!(second[1], 3.0);
        second.resize(6);
        assert_eq!(second[..], [0.0; 6]);
    }

    #[test]
    fn large_arrays_are_zeros_and_copies() {
        let n = 3 << 20;
        assert!(zeros(n).iter().all(|x| *x == 0.0));
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        assert_eq!(copy(&x), x);
    }
}
