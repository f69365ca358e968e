//! Hostile files: each gets its error, quickly and in little memory.
//!
//! Of the decoders in Rust, that is: FFmpeg has its own errors, and takes its own memory.

#![cfg(not(feature = "ffmpeg"))]
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

#[path = "../../../tests/common/counting.rs"]
mod counting;

use counting::memory;
use react_media::{MediaError, VideoReader, read_audio, read_png};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Everything that can be read of a file.
fn read(path: &Path) -> Result<(), MediaError> {
    match path.extension().unwrap().to_str().unwrap() {
        "png" => read_png(path).map(drop),
        "wav" | "m4a" => read_audio(path).map(drop),
        _ => {
            let mut video = VideoReader::open(path)?;
            let mut rgb = Vec::new();
            while video.next_frame(&mut rgb)? {}
            Ok(())
        }
    }
}

/// What a reader may take for a file: of sound four times its bytes, of pictures what `max_pixels` bounds.
fn allowed(path: &Path, bytes: usize) -> usize {
    if path.extension().unwrap() == "wav" { 4 * bytes + (16 << 20) } else { 512 << 20 }
}

#[test]
fn hostile_files_get_their_errors_in_bounded_memory() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/attacks"));
    let errors: BTreeMap<String, Option<String>> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("media.json")).unwrap()).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.join("media")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert!(names.len() > 80);
    let (mut got, mut wrong, mut most) = (BTreeMap::new(), String::new(), (0, String::new()));
    for name in names {
        let name = name.into_string().unwrap();
        let path = folder.join("media").join(&name);
        let start = std::time::Instant::now();
        let (result, peak) = memory(|| read(&path));
        let error = result.err().map(|error| error.to_string().replace(&path.display().to_string(), "FILE"));
        let bytes = path.metadata().unwrap().len() as usize;
        if peak > most.0 {
            most = (peak, name.clone());
        }
        if peak > allowed(&path, bytes) {
            writeln!(wrong, "{name} of {bytes} bytes takes {peak}").unwrap();
        }
        if start.elapsed().as_secs() >= 10 {
            writeln!(wrong, "{name} takes {:?}", start.elapsed()).unwrap();
        }
        if errors.get(&name) != Some(&error) {
            writeln!(wrong, "{name}: {error:?}, not {:?}", errors.get(&name)).unwrap();
        }
        got.insert(name, error);
    }
    if !wrong.is_empty() && std::env::var_os("REACT_WRITE_ERRORS").is_some() {
        std::fs::write(folder.join("media.json"), serde_json::to_string_pretty(&got).unwrap() + "\n").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(errors.keys().eq(got.keys()), "an error is listed without its file");
    assert!(most.0 < 512 << 20, "{most:?}");
}

#[test]
fn the_largest_png_is_read_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("large.png");
    let (width, height) = (4096, 2304);
    // The kind with the most bytes a pixel: 16 bits of four channels.
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), width, height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_compression(png::Compression::Fastest);
    let mut writer = encoder.write_header().unwrap().into_stream_writer().unwrap();
    let row: Vec<u8> = (0..width * 8).map(|i| (i % 251) as u8).collect();
    (0..height).for_each(|_| std::io::Write::write_all(&mut writer, &row).unwrap());
    writer.finish().unwrap();
    let (image, peak) = memory(|| read_png(&path).unwrap());
    assert_eq!((image.width, image.height, image.rgb[1]), (4096, 2304, 2));
    assert!(peak <= 512 << 20, "{peak}");
}
