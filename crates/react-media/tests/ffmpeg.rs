//! With the feature `ffmpeg`: the same bytes from both decoders, what only FFmpeg reads, jumps.

#![cfg(feature = "ffmpeg")]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

use react_media::{Decoder, VideoIndex, VideoOptions, VideoReader, read_audio};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join(name)
}

fn open(name: &str, decoder: Decoder) -> VideoIndex {
    VideoIndex::open_with(&fixture(name), &VideoOptions { decoder, ..VideoOptions::default() }).unwrap()
}

fn rest(video: &mut VideoReader, most: usize) -> Vec<Vec<u8>> {
    let (mut frames, mut rgb) = (Vec::new(), Vec::new());
    while frames.len() < most && video.next_frame(&mut rgb).unwrap() {
        frames.push(rgb.clone());
    }
    frames
}

fn all(index: &VideoIndex) -> Vec<Vec<u8>> {
    let frames = rest(&mut index.reader().unwrap(), usize::MAX);
    assert_eq!(frames.len(), index.info().frames);
    frames
}

#[test]
fn both_decoders_give_the_same_bytes_of_h264() {
    for name in [
        "video/h264_high_b.mp4",
        "video/h264_baseline_mp3.mp4",
        "video/editlist_cut.mp4",
        "video/made_bt709.mp4",
        "video/made_full_range.mp4",
        "video/made_cropped.mp4",
        "video/made_open_gop_cut.mp4",
        "media/gop_b.mp4",
        "media/open_gop.mp4",
        "media/fragmented.mp4",
    ] {
        let [pure, ffmpeg] = [Decoder::Pure, Decoder::Ffmpeg].map(|decoder| open(name, decoder));
        let of = |index: &VideoIndex| (index.info().width, index.info().height, index.info().frames, index.info().fps);
        assert_eq!(of(&pure), of(&ffmpeg), "{name}");
        assert_eq!((&*ffmpeg.info().codec, pure.info().decoder.starts_with("rusty_h264")), ("h264", true));
        assert!(all(&pure) == all(&ffmpeg), "{name}");
        assert_eq!(open(name, Decoder::Auto).info().decoder, pure.info().decoder);
    }
}

#[test]
fn every_reference_is_exact() {
    let text = std::fs::read_to_string(fixture("video/video.json")).unwrap();
    let known: serde_json::Value = serde_json::from_str(&text).unwrap();
    // Not the one in 10 bits: its hashes are OpenCV's, whose choice of swscale's flags is neither ffmpeg's nor PyAV's.
    for name in ["h264_high_b.mp4", "mpeg4_opencv.mp4", "mjpeg_opencv.avi"] {
        let frames = all(&open(&format!("video/{name}"), Decoder::Ffmpeg));
        let hashes = known[name]["rgb_sha256"].as_array().unwrap();
        assert_eq!(hashes.len(), frames.len(), "{name}");
        for (i, (frame, hash)) in frames.iter().zip(hashes).enumerate() {
            let got: String = Sha256::digest(frame).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(got, hash.as_str().unwrap(), "{name}, frame {i}");
        }
    }
}

#[test]
fn what_the_decoders_in_rust_lack_is_read_and_named() {
    for (name, codec, frames) in [("video/h264_10bit.mp4", "h264", 40), ("media/vp9.webm", "vp9", 20)] {
        let index = open(name, Decoder::Auto);
        assert!(index.info().decoder.starts_with("ffmpeg libavcodec "), "{}", index.info().decoder);
        assert!(index.info().codec.contains(codec), "{}", index.info().codec);
        assert_eq!((index.info().frames, index.info().fps, all(&index).len()), (frames, 25., frames));
        let options = VideoOptions { decoder: Decoder::Pure, ..VideoOptions::default() };
        assert!(VideoIndex::open_with(&fixture(name), &options).is_err());
    }
    // As `ffmpeg -pix_fmt rgb24` has it.
    let deep = all(&open("video/h264_10bit.mp4", Decoder::Auto));
    let hash: String = Sha256::digest(&deep[0]).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, "89035139c7da1ae00a9c209c0bb0c5d8629f2981598b189a654fd9f055c19ea1");
    let small = VideoOptions { max_pixels: 1000, ..VideoOptions::default() };
    let error = VideoIndex::open_with(&fixture("media/vp9.webm"), &small).unwrap_err().to_string();
    assert!(error.contains("vp9.webm"), "{error}");
    let forced = VideoOptions { decoder: Decoder::Ffmpeg, ..small };
    let error = VideoIndex::open_with(&fixture("media/vp9.webm"), &forced).unwrap_err().to_string();
    assert!(error.contains("64×48 pixels are more than the 1000 allowed"), "{error}");
}

#[test]
fn frames_are_the_same_from_everywhere() {
    for name in ["media/gop_b.mp4", "media/open_gop.mp4", "media/mpeg4_b.avi", "media/vp9.webm", "video/editlist_cut.mp4"] {
        let index = open(name, Decoder::Ffmpeg);
        let (want, count) = (all(&index), index.info().frames);
        let mut jumper = index.reader().unwrap();
        for i in 0..=count {
            let mut fresh = index.reader().unwrap();
            fresh.seek(i).unwrap();
            assert!(rest(&mut fresh, 5) == want[i..count.min(i + 5)], "{name}, from frame {i}");
            let to = i * 17 % (count + 1);
            jumper.seek(to).unwrap();
            assert!(rest(&mut jumper, 2) == want[to..count.min(to + 2)], "{name}, jumping to frame {to}");
        }
    }
}

#[test]
fn a_cut_file_is_an_error_here_too() {
    let options = VideoOptions { decoder: Decoder::Ffmpeg, ..VideoOptions::default() };
    let error = VideoIndex::open_with(&fixture("video/truncated.mp4"), &options).unwrap_err().to_string();
    assert!(error.contains("truncated.mp4"), "{error}");
}

#[test]
fn sound_of_other_codecs_is_read() {
    let audio = read_audio(&fixture("media/tone_adpcm.wav")).unwrap();
    assert_eq!((audio.rate, audio.channels), (22_050, 2));
    let want = |i: usize| {
        let t = i as f64 / 22_050.;
        0.4 * (std::f64::consts::TAU * (200. * t + 400. * t * t)).sin()
    };
    let worst = (100..6000).map(|i| (f64::from(audio.samples[2 * i]) - want(i)).abs()).fold(0., f64::max);
    assert!(worst < 0.05, "{worst}");
}
