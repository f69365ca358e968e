//! How fast frames are decoded to RGB, and random crops of 256 frames are read: the fastest of five runs, on one thread; with
//! `MEASURE=processor` in the thread's own time (Linux), which a busy machine disturbs less.
//!
//! `cargo run --release -p react-media --example rate -- clip.mp4 [pure|ffmpeg]`; FFmpeg's decoder needs `--features ffmpeg`.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use react_media::{Decoder, MediaError, VideoIndex, VideoOptions};
use std::error::Error;
use std::path::Path;
use std::time::Instant;

const CROP: usize = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: rate VIDEO [pure|ffmpeg]")?;
    let decoder = match std::env::args().nth(2).as_deref() {
        None => Decoder::Auto,
        Some("pure") => Decoder::Pure,
        Some("ffmpeg") => Decoder::Ffmpeg,
        Some(other) => return Err(format!("decoder {other}: pure or ffmpeg").into()),
    };
    let options = VideoOptions { decoder, ..VideoOptions::default() };
    let index = VideoIndex::open_with(Path::new(&path), &options)?;
    let info = index.info();
    println!("{}×{}, {} frames, {} by {}", info.width, info.height, info.frames, info.codec, info.decoder);
    let opening = fastest(|| VideoIndex::open_with(Path::new(&path), &options).map(|_| 1))?;
    println!("opening: {:.0} µs", 1e6 / opening);
    println!("from start to end: {:.0} frames/s", fastest(|| frames(&index, 0, info.frames))?);
    if info.frames > CROP {
        // Starts spread over the clip, in no order.
        let starts: Vec<usize> = (0..12).map(|i| i * 7919 % (info.frames - CROP)).collect();
        let crops = || starts.iter().map(|&start| frames(&index, start, CROP)).sum::<Result<usize, _>>();
        println!("crops of {CROP}: {:.0} frames/s", fastest(crops)?);
    }
    Ok(())
}

fn frames(index: &VideoIndex, start: usize, count: usize) -> Result<usize, MediaError> {
    let (mut video, mut rgb) = (index.reader()?, Vec::new());
    video.seek(start)?;
    for _ in 0..count {
        video.next_frame(&mut rgb)?;
    }
    Ok(count)
}

/// How many a second, at best.
fn fastest(run: impl Fn() -> Result<usize, MediaError>) -> Result<f64, MediaError> {
    let mut best = 0f64;
    for _ in 0..5 {
        let (start, own) = (Instant::now(), own_seconds());
        let count = run()?;
        let seconds = own.zip(own_seconds()).map_or(start.elapsed().as_secs_f64(), |(before, after)| after - before);
        best = best.max(count as f64 / seconds);
    }
    Ok(best)
}

/// The time that this thread has run.
fn own_seconds() -> Option<f64> {
    std::env::var_os("MEASURE").filter(|measure| measure == "processor")?;
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split(' ').next()?.parse::<f64>().ok()? / 1e9)
}
