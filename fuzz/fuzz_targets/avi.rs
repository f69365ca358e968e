//! AVI: the index, pictures from the start and from the middle.
#![no_main]

mod media;

use libfuzzer_sys::fuzz_target;
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| media::file("a.avi"));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    media::pictures(&FILE);
});
