//! mp4, m4a, mov: the index, pictures from the start and from the middle, sound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use react_media::{AudioOptions, VideoIndex, VideoOptions, read_audio_with};
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    // A panic in a decoder that others wrote is an error of the file; without this hook the fuzzer would end on it.
    std::panic::set_hook(Box::new(|_| {}));
    tempfile::Builder::new().prefix("react-fuzz").tempdir_in("/dev/shm").unwrap().keep().join("a.mp4")
});

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let options = VideoOptions { max_pixels: 1 << 16, ..VideoOptions::default() };
    if let Ok(index) = VideoIndex::open_with(&FILE, &options) {
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
    let options = AudioOptions { max_samples: 1 << 20, ..AudioOptions::default() };
    if let Ok(audio) = read_audio_with(&FILE, &options) {
        assert!(audio.samples.len() <= options.max_samples && audio.rate > 0);
    }
});
