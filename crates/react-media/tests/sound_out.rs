//! Videos with sound, read back: in time with the pictures, as long as they are, and the same bytes every time.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_media::{Audio, AudioOptions, Quality, VideoReader, VideoWriter, read_audio, read_audio_with};
use std::path::Path;

const SIDE: usize = 32;

fn write(path: &Path, frames: usize, fps: f64, sound: &Audio) {
    let mut video = VideoWriter::create_with_sound(path, SIDE, SIDE, fps, Quality::Fast, sound).unwrap();
    for t in 0..frames {
        video.push(&vec![(t * 7) as u8; SIDE * SIDE * 3]).unwrap();
    }
    video.finish().unwrap();
}

/// A decaying burst at each of some times, silence between.
fn bursts(rate: u32, seconds: f64, channels: usize, at: &[f64]) -> Audio {
    let count = (f64::from(rate) * seconds) as usize;
    let sample = |i: usize| {
        let time = i as f64 / f64::from(rate);
        let burst = |start: &f64| {
            let since = time - start;
            if since < 0. { 0. } else { 0.8 * (-since * 200.).exp() * (std::f64::consts::TAU * 900. * since).sin() }
        };
        at.iter().map(burst).sum::<f64>() as f32
    };
    let samples = (0..count).flat_map(|i| std::iter::repeat_n(sample(i), channels)).collect();
    Audio { samples, rate, channels }
}

/// How many samples `heard` comes after `played`, both mono at the same rate: where their correlation is highest.
fn lag(played: &[f32], heard: &[f32], most: i64) -> i64 {
    let at = |lag: i64| -> f64 {
        let pairs = played.iter().enumerate().filter_map(|(i, x)| Some((x, heard.get(usize::try_from(i as i64 + lag).ok()?)?)));
        pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    (-most..=most).max_by(|a, b| at(*a).total_cmp(&at(*b))).unwrap()
}

#[test]
fn sound_comes_back_in_time_at_any_rate() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    for (rate, channels) in [(8_000, 1), (16_000, 2), (44_100, 1), (44_100, 2), (48_000, 3)] {
        let sound = bursts(rate, 2.0, channels, &[0.25, 1.0, 1.7]);
        write(&path, 50, 25.0, &sound);
        let heard = read_audio(&path).unwrap();
        assert_eq!((heard.rate, heard.channels, heard.frames()), (48_000, if channels == 2 { 2 } else { 1 }, 96_000), "{rate} {channels}");
        let played = react_media::resample(&sound.mono(), rate, 48_000).unwrap();
        let mono = heard.mono();
        let late = lag(&played, &mono, 600);
        assert!(late.abs() <= 5, "{rate} Hz, {channels} channels: {late} samples late");
        let (energy, error) =
            played.iter().zip(&mono).fold((0., 0.), |(energy, error), (a, b)| (energy + a * a, error + (a - b) * (a - b)));
        assert!(error < 0.2 * energy, "{rate} Hz, {channels} channels: {error} of {energy}");
    }
}

#[test]
fn stereo_keeps_its_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let mut sound = bursts(44_100, 2.0, 2, &[0.2, 0.6, 1.0, 1.4]);
    sound.samples.iter_mut().skip(1).step_by(2).for_each(|right| *right = 0.);
    write(&path, 50, 25.0, &sound);
    let heard = read_audio(&path).unwrap();
    let energy = |side: usize| heard.samples.iter().skip(side).step_by(2).map(|x| x * x).sum::<f32>();
    assert!(energy(0) > 100. * energy(1), "{} {}", energy(0), energy(1));
}

#[test]
fn a_track_is_as_long_as_its_video() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    // Longer, shorter and no sound; a rate whose frames are no whole number of samples.
    for (seconds, frames, fps) in [(3.0, 25, 25.0), (0.5, 50, 25.0), (0.0, 10, 25.0), (1.0, 31, 29.97), (2.0, 1, 25.0)] {
        let sound = bursts(16_000, seconds, 1, &[0.1]);
        write(&path, frames, fps, &sound);
        let heard = read_audio(&path).unwrap();
        let wanted = frames as f64 / fps * 48_000.;
        // The movie counts milliseconds.
        assert!((heard.frames() as f64 - wanted).abs() <= 48., "{} of {wanted}", heard.frames());
        let info = VideoReader::open(&path).unwrap().info().clone();
        assert_eq!(info.frames, frames);
        let tail: f32 = heard.samples.iter().skip((seconds * 48_000.) as usize + 960).map(|x| x.abs()).fold(0., f32::max);
        assert!(tail < 0.02, "{tail}");
    }
}

#[test]
fn pictures_are_the_same_with_and_without_sound_and_bytes_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b, silent) = (folder.path().join("a.mp4"), folder.path().join("b.mp4"), folder.path().join("c.mp4"));
    let sound = bursts(22_050, 1.0, 1, &[0.3]);
    write(&a, 25, 25.0, &sound);
    write(&b, 25, 25.0, &sound);
    assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
    let mut video = VideoWriter::create(&silent, SIDE, SIDE, 25.0, Quality::Fast).unwrap();
    (0..25).for_each(|t| video.push(&vec![(t * 7) as u8; SIDE * SIDE * 3]).unwrap());
    video.finish().unwrap();
    let pictures = |path: &Path| {
        let (mut reader, mut rgb, mut all) = (VideoReader::open(path).unwrap(), Vec::new(), Vec::new());
        while reader.next_frame(&mut rgb).unwrap() {
            all.extend_from_slice(&rgb);
        }
        all
    };
    assert_eq!(pictures(&a), pictures(&silent));
    let error = read_audio(&silent).unwrap_err().to_string();
    assert!(error.ends_with("holds no sound"), "{error}");
}

#[test]
fn a_stretch_of_opus_is_that_stretch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    write(&path, 150, 25.0, &bursts(44_100, 6.0, 1, &[0.5, 2.5, 4.5]));
    let whole = read_audio(&path).unwrap().samples;
    let options = AudioOptions { from: 4.0, seconds: 1.0, ..AudioOptions::default() };
    let part = read_audio_with(&path, &options).unwrap().samples;
    assert_eq!(part.len(), 48_000);
    let worst = part.iter().zip(&whole[4 * 48_000..]).map(|(a, b)| (a - b).abs()).fold(0., f32::max);
    assert!(worst < 1e-3, "{worst}");
}

/// Every byte of the index and every packet may lie: an error or some sound, never a panic.
#[test]
fn damaged_sound_is_an_error_or_noise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    write(&path, 5, 25.0, &bursts(16_000, 0.2, 1, &[0.05]));
    let bytes = std::fs::read(&path).unwrap();
    let dops = bytes.windows(4).position(|w| w == b"dOps").unwrap();
    let mut read = 0;
    for at in (dops - 40..dops + 15).chain((0..bytes.len()).step_by(bytes.len() / 60 + 1)) {
        for flip in [0xff, 0x01] {
            let mut damaged = bytes.clone();
            damaged[at] ^= flip;
            std::fs::write(&path, damaged).unwrap();
            read += usize::from(read_audio(&path).is_ok());
        }
    }
    assert!(read > 0);
    let mut mapped = bytes.clone();
    mapped[dops + 5] = 6;
    std::fs::write(&path, mapped).unwrap();
    let error = read_audio(&path).unwrap_err().to_string();
    assert!(error.contains("Opus with 6 mapped channels"), "{error}");
}
