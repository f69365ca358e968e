//! The reference clips of `tests/fixtures/video`, against what FFmpeg and OpenCV decode.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

use react_media::{Audio, Decoder, MediaError, VideoOptions, VideoReader, read_audio};
use react_store::read_npy_u8;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/video")).join(name)
}

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn expected(name: &str) -> serde_json::Value {
    let text = std::fs::read_to_string(fixture("video.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()[name].take()
}

fn frames(path: &Path) -> Result<(VideoReader, Vec<Vec<u8>>), MediaError> {
    let options = VideoOptions { decoder: Decoder::Pure, ..VideoOptions::default() };
    let mut video = VideoReader::open_with(path, &options)?;
    let (mut frames, mut rgb) = (Vec::new(), Vec::new());
    while video.next_frame(&mut rgb)? {
        frames.push(rgb.clone());
    }
    assert!(!video.next_frame(&mut rgb)?, "after the end comes nothing");
    Ok((video, frames))
}

/// Every frame, and the centre 224×224 of all of them together, are the very bytes of the reference.
fn assert_exact(name: &str, count: usize) {
    let want = expected(name);
    let (video, frames) = frames(&fixture(name)).unwrap();
    let info = video.info();
    assert_eq!((info.width, info.height, info.frames, info.fps), (256, 256, count, 25.), "{name}");
    assert_eq!(frames.len(), count, "{name}");
    let hashes = want["rgb_sha256"].as_array().unwrap();
    assert_eq!(hashes.len(), count);
    let mut crop = Sha256::new();
    for (i, (frame, hash)) in frames.iter().zip(hashes).enumerate() {
        assert_eq!(hex(Sha256::digest(frame)), hash.as_str().unwrap(), "{name}, frame {i}");
        for row in 16..240 {
            crop.update(&frame[(row * 256 + 16) * 3..(row * 256 + 240) * 3]);
        }
    }
    assert_eq!(hex(crop.finalize()), want["center_crop_224_sha256"].as_str().unwrap(), "{name}");
}

#[test]
fn h264_is_exact() {
    assert_exact("h264_high_b.mp4", 40);
    assert_exact("h264_baseline_mp3.mp4", 40);
}

#[test]
fn an_edit_list_is_applied() {
    assert_exact("editlist_cut.mp4", 27);
}

fn assert_near(name: &str, codec: &str) {
    let (video, frames) = frames(&fixture(name)).unwrap();
    assert_eq!((video.info().frames, frames.len(), video.info().fps, &*video.info().codec), (40, 40, 25., codec));
    let want = read_npy_u8(&fixture(&format!("{name}.frames_0_20.npy"))).unwrap();
    assert_eq!(want.shape(), [2, 256, 256, 3]);
    for (want, i) in want.outer_iter().zip([0, 20]) {
        let errors = want.iter().zip(&frames[i]).map(|(a, b)| f64::from(a.abs_diff(*b)));
        let psnr = 10. * (255f64.powi(2) / (errors.map(|e| e * e).sum::<f64>() / frames[i].len() as f64)).log10();
        assert!(psnr >= 45., "{name}, frame {i}: {psnr:.2} dB");
    }
}

#[test]
fn mpeg4_part_2_is_near() {
    assert_near("mpeg4_opencv.mp4", "mpeg4");
}

#[test]
fn motion_jpeg_is_near() {
    assert_near("mjpeg_opencv.avi", "mjpeg");
}

#[test]
fn what_cannot_be_read_says_so_in_one_sentence() {
    let message = |path: &Path| frames(path).map(drop).unwrap_err().to_string();
    let truncated = message(&fixture("truncated.mp4"));
    assert!(truncated.contains("truncated.mp4") && truncated.contains("cut short"), "{truncated}");
    let deep = message(&fixture("h264_10bit.mp4"));
    assert!(deep.contains("h264_10bit.mp4") && deep.contains("10 bits"), "{deep}");
    let missing = message(Path::new("/nowhere/clip.mp4"));
    assert!(missing.starts_with("cannot open /nowhere/clip.mp4: "), "{missing}");
    let text = message(&fixture("video.json"));
    assert!(text.contains("video.json") && text.contains("neither"), "{text}");
    for error in [truncated, deep, missing, text] {
        assert!(!error.contains('\n'), "{error}");
    }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0., f32::max)
}

#[test]
fn aac_equals_the_reference_without_its_priming() {
    let want = read_audio(&fixture("h264_high_b.audio_f32.wav")).unwrap();
    let got = read_audio(&fixture("h264_high_b.mp4")).unwrap();
    assert_eq!((got.rate, got.channels), (44_100, 1));
    assert_eq!((got.rate, got.channels, got.frames()), (want.rate, want.channels, want.frames()));
    let worst = largest_difference(&got.samples, &want.samples);
    assert!(worst <= 1e-4, "{worst}");
}

#[test]
fn mp3_in_mp4_is_the_same_sound() {
    let want = read_audio(&fixture("h264_high_b.audio_f32.wav")).unwrap();
    let got = read_audio(&fixture("h264_baseline_mp3.mp4")).unwrap();
    assert_eq!((got.rate, got.channels), (44_100, 1));
    assert!(got.frames().abs_diff(want.frames()) < 2_000, "{} and {}", got.frames(), want.frames());
    // Two lossy codecs of one sound: alike, and in step.
    let correlation = |shift: usize| {
        let (a, b) = (&got.samples[shift..], &want.samples);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    assert!(correlation(0) > 0.95, "{}", correlation(0));
    assert!(correlation(0) > correlation(40));
}

#[test]
fn sound_of_a_silent_or_broken_file_is_an_error() {
    let message = |name: &str| read_audio(&fixture(name)).unwrap_err().to_string();
    assert!(message("mpeg4_opencv.mp4").contains("mpeg4_opencv.mp4 holds no sound"), "{}", message("mpeg4_opencv.mp4"));
    assert!(message("truncated.mp4").contains("cut short"));
    assert!(message("video.json").contains("neither"));
}

#[test]
fn mono_is_the_mean() {
    let audio = Audio { samples: vec![1., 0., 0.5, 0.25], rate: 8000, channels: 2 };
    assert_eq!((audio.mono(), audio.frames()), (vec![0.5, 0.375], 2));
}
