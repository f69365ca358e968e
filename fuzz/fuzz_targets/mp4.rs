//! mp4, m4a, mov: the index, pictures from the start and from the middle, sound.
#![no_main]

mod media;

use libfuzzer_sys::fuzz_target;
use react_media::{AudioOptions, read_audio_with};
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| media::file("a.mp4"));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    media::pictures(&FILE);
    let options = AudioOptions { max_samples: 1 << 20, ..AudioOptions::default() };
    if let Ok(audio) = read_audio_with(&FILE, &options) {
        assert!(audio.samples.len() <= options.max_samples && audio.rate > 0);
    }
});
