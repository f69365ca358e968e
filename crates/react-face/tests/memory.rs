//! Hostile model files cost no more memory than their length says: every byte asked of the allocator is counted.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_face::FaceVerse;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does the work; only numbers are added.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(live, Ordering::Relaxed);
        // SAFETY: passed on as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on as it came.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Eight times the file, and what 100,000 objects take.
#[test]
fn memory_is_bounded_by_the_file() {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures"));
    let mut files = 0;
    for folder in ["attacks/pickle", "face/forms", "face"] {
        for entry in std::fs::read_dir(fixtures.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !path.extension().is_some_and(|ending| ending == "npy" || ending == "npz") {
                continue;
            }
            let length = std::fs::metadata(&path).unwrap().len() as usize;
            let before = LIVE.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let _ = FaceVerse::read(&path);
            let most = MOST.load(Ordering::Relaxed) - before;
            assert!(most < 8 * length + (32 << 20), "{}: {most} bytes for a file of {length}", path.display());
            if length < 10_000 {
                assert!(most < 1 << 20, "{}: {most} bytes for a file of {length}", path.display());
            }
            files += 1;
        }
    }
    assert!(files > 80, "{files}");
}
