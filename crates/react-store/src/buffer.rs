/// A buffer of zeros that is quick to fill for the first time: the system is asked for large pages, of which 75 MB need 36 instead of
/// 18,000.
///
/// ```
/// assert_eq!(react_store::large_buffer(5_000_000).len(), 5_000_000);
/// ```
#[must_use]
pub fn large_buffer(bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    advise(&mut buffer);
    buffer
}

#[cfg(target_os = "linux")]
fn advise(buffer: &mut [u8]) {
    /// Size of a large page on the processors that have them.
    const LARGE: usize = 2 << 20;
    let before = buffer.as_ptr().align_offset(LARGE);
    let Some(whole) = buffer.len().checked_sub(before).map(|rest| rest / LARGE * LARGE).filter(|whole| *whole > 0) else { return };
    let inner = &mut buffer[before..before + whole];
    // SAFETY: the range is that of a slice of ours, and the advice changes no contents. That it is not followed does not matter.
    let _ = unsafe { rustix::mm::madvise(inner.as_mut_ptr().cast(), inner.len(), rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_buffer: &mut [u8]) {}

/// Copies what is larger than the processor's caches, past them: what is overwritten need not be read first. Both are of one length.
///
/// # Panics
/// Where the lengths differ, as [`slice::copy_from_slice`].
pub fn copy_past_caches(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "a copy has the length of its source");
    #[cfg(target_arch = "x86_64")]
    if from.len() >= 1 << 16 && std::arch::is_x86_feature_detected!("avx") {
        // SAFETY: AVX is there, and the lengths are the same.
        unsafe { stream(from, to) };
        return;
    }
    to.copy_from_slice(from);
}

/// A line of the caches.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// A page, at whose end the processor stops reading ahead.
#[cfg(target_arch = "x86_64")]
const PAGE: usize = 4096;

/// Pages that are copied side by side, so that reading ahead goes on in the others while it begins in one: as glibc copies what is large.
#[cfg(target_arch = "x86_64")]
const SIDE_BY_SIDE: usize = 4;

/// # Safety
/// The processor has AVX, and both are of one length.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn stream(from: &[u8], to: &mut [u8]) {
    use std::arch::x86_64::_mm_sfence;
    let head = to.as_ptr().align_offset(LINE).min(to.len());
    let (first, from) = from.split_at(head);
    let (target, to) = to.split_at_mut(head);
    target.copy_from_slice(first);
    // Whole lines: groups of pages, and what is left of them.
    let whole = to.len() / LINE * LINE;
    let groups = whole / (PAGE * SIDE_BY_SIDE) * (PAGE * SIDE_BY_SIDE);
    for group in (0..groups).step_by(PAGE * SIDE_BY_SIDE) {
        for offset in (0..PAGE).step_by(LINE) {
            for page in 0..SIDE_BY_SIDE {
                let at = group + page * PAGE + offset;
                // SAFETY: the line ends within the groups, which both have; the target's begins at a multiple of a line's length.
                unsafe { stream_line(from.as_ptr().add(at), to.as_mut_ptr().add(at)) };
            }
        }
    }
    for at in (groups..whole).step_by(LINE) {
        // SAFETY: as above, within the whole lines.
        unsafe { stream_line(from.as_ptr().add(at), to.as_mut_ptr().add(at)) };
    }
    // Other threads must see these stores as any others.
    _mm_sfence();
    to[whole..].copy_from_slice(&from[whole..]);
}

/// # Safety
/// The processor has AVX, a line lies behind both pointers, and the target's begins at a multiple of its length.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn stream_line(source: *const u8, target: *mut u8) {
    use std::arch::x86_64::{_mm256_loadu_si256, _mm256_stream_si256};
    // SAFETY: both halves lie in the line.
    unsafe {
        let (low, high) = (_mm256_loadu_si256(source.cast()), _mm256_loadu_si256(source.add(LINE / 2).cast()));
        _mm256_stream_si256(target.cast(), low);
        _mm256_stream_si256(target.add(LINE / 2).cast(), high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_past_the_caches_is_a_copy() {
        let from: Vec<u8> = (0..300_000u32).map(|i| (i * 7 + i / 251) as u8).collect();
        for (start, length) in [(0, 300_000), (1, 299_999), (33, 65_536), (63, 70_001), (2, 16_383 * 5 + 1), (5, 10), (0, 0)] {
            for shift in [0, 1, 31, 40] {
                let mut to = vec![0; shift + length + 3];
                copy_past_caches(&from[start..start + length], &mut to[shift..shift + length]);
                assert!(to[shift..shift + length] == from[start..start + length], "{start} {length} {shift}");
                assert!(to[..shift].iter().chain(&to[shift + length..]).all(|byte| *byte == 0));
            }
        }
    }
}
