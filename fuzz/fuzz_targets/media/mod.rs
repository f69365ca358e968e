//! What the targets of media files share.

use react_media::{VideoIndex, VideoOptions};
use std::path::{Path, PathBuf};

/// A place for the fuzzed file, in memory. A panic in a decoder that others wrote is an error of the file: from here on none ends the fuzzer.
pub fn file(name: &str) -> PathBuf {
    std::panic::set_hook(Box::new(|_| {}));
    tempfile::Builder::new().prefix("react-fuzz").tempdir_in("/dev/shm").unwrap().keep().join(name)
}

/// Reads a video: the index, pictures from the start and from the middle.
#[allow(dead_code, reason = "sound alone has none")]
pub fn pictures(path: &Path) {
    let options = VideoOptions { max_pixels: 1 << 16, ..VideoOptions::default() };
    let Ok(index) = VideoIndex::open_with(path, &options) else { return };
    let info = index.info();
    assert!(info.frames > 0 && info.width * info.height <= options.max_pixels && info.fps.is_finite());
    let mut rgb = Vec::new();
    for start in [0, info.frames / 2] {
        let Ok(mut video) = index.reader() else { continue };
        if start > 0 && video.seek(start).is_err() {
            continue;
        }
        for _ in 0..12 {
            match video.next_frame(&mut rgb) {
                Ok(true) => assert_eq!(rgb.len(), info.width * info.height * 3),
                Ok(false) | Err(_) => break,
            }
        }
    }
}
