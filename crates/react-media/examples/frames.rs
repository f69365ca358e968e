//! Reads a video and writes its frames to standard output as raw RGB24, or, with a second argument, writes it again as H.264.
//!
//! `cargo run --release -p react-media --example frames -- clip.mp4 > frames.rgb`

use react_media::{Quality, VideoReader, VideoWriter};
use std::error::Error;
use std::io::Write;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [input, output @ ..] = arguments.as_slice() else {
        return Err("usage: frames VIDEO [OUT.mp4]".into());
    };
    let mut video = VideoReader::open(Path::new(input))?;
    let info = video.info().clone();
    let mut rgb = Vec::new();
    if let Some(output) = output.first() {
        let mut writer = VideoWriter::create(Path::new(output), info.width, info.height, info.fps, Quality::Good)?;
        while video.next_frame(&mut rgb)? {
            writer.push(&rgb)?;
        }
        writer.finish()?;
    } else {
        let mut out = std::io::stdout().lock();
        while video.next_frame(&mut rgb)? {
            out.write_all(&rgb)?;
        }
    }
    Ok(())
}
