//! Sound by itself (wav; mp3 and aac too), whole and in stretches.
#![no_main]

mod media;

use libfuzzer_sys::fuzz_target;
use react_media::{AudioOptions, read_audio_with};
use std::path::PathBuf;
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| media::file("a.wav"));

fuzz_target!(|bytes: &[u8]| {
    std::fs::write(&*FILE, bytes).unwrap();
    let all = AudioOptions { max_samples: 1 << 22, ..AudioOptions::default() };
    let Ok(whole) = read_audio_with(&FILE, &all) else { return };
    assert!(whole.rate > 0 && whole.channels > 0 && whole.samples.len().is_multiple_of(whole.channels));
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WAVE") {
        assert!(whole.samples.len() <= bytes.len(), "a sample takes a byte at least");
    }
    let seconds = whole.frames() as f64 / f64::from(whole.rate);
    let part = AudioOptions { from: seconds / 3., seconds: seconds / 3., ..all };
    let part = read_audio_with(&FILE, &part).unwrap();
    assert!(part.samples.len() <= whole.samples.len());
    let first = ((seconds / 3.) * f64::from(whole.rate)).round() as usize * whole.channels;
    assert!(part.samples.iter().zip(&whole.samples[first..]).all(|(a, b)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan()));
});
