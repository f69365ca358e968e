//! Videos written and read back, folders of PNGs, bounds, colours.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

use react_media::{Decoder, MediaError, Quality, VideoOptions, VideoReader, VideoWriter, read_png, write_png};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/video")).join(name)
}

fn all_frames(path: &Path) -> Vec<Vec<u8>> {
    let mut video = VideoReader::open(path).unwrap();
    let (mut frames, mut rgb) = (Vec::new(), Vec::new());
    while video.next_frame(&mut rgb).unwrap() {
        frames.push(rgb.clone());
    }
    assert_eq!(frames.len(), video.info().frames);
    frames
}

/// A soft ball that wanders over a gradient: shapes, edges and motion, different in every frame.
fn picture(width: usize, height: usize, frame: usize) -> Vec<u8> {
    let (x0, y0) = (width as f32 * (0.3 + 0.02 * frame as f32), height as f32 * (0.6 - 0.015 * frame as f32));
    let pixel = |i: usize| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let ball = (1.5 - ((x - x0).hypot(y - y0) / (0.2 * width as f32))).clamp(0., 1.);
        [60. + 100. * x / width as f32, 90. + 60. * y / height as f32, 120. - 40. * x / width as f32]
            .into_iter()
            .zip([230., 180., 150.])
            .map(move |(back, front)| (back + (front - back) * ball) as u8)
    };
    (0..width * height).flat_map(pixel).collect()
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let mean = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum::<f64>() / a.len() as f64;
    10. * (255f64.powi(2) / mean.max(1e-12)).log10()
}

fn write(path: &Path, size: (usize, usize), count: usize, fps: f64, quality: Quality) -> Result<(), MediaError> {
    let mut writer = VideoWriter::create(path, size.0, size.1, fps, quality)?;
    for frame in 0..count {
        writer.push(&picture(size.0, size.1, frame))?;
    }
    assert_eq!(writer.frames(), count);
    writer.finish()
}

#[test]
fn colours_crops_and_open_groups_are_those_of_ffmpeg() {
    // Made with FFmpeg 5.1 (testsrc2, libx264); the hash is of all frames that `ffmpeg -pix_fmt rgb24 -f rawvideo` gives.
    let text = std::fs::read_to_string(fixture("made.json")).unwrap();
    let made: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(made.as_object().unwrap().len(), 4);
    for (name, want) in made.as_object().unwrap() {
        let video = VideoReader::open(&fixture(name)).unwrap();
        let info = video.info();
        assert_eq!([info.width, info.height, info.frames], ["width", "height", "frames"].map(|key| want[key].as_u64().unwrap() as usize));
        let hash = Sha256::digest(all_frames(&fixture(name)).concat());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, want["rgb_sha256"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn groups_fragments_cuts_and_crops_are_those_of_ffmpeg() {
    // As above. Of `crop_left_top.mp4` FFmpeg gives eight columns more: it keeps what is cut at the left, for the sake of its alignment.
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/media"));
    let media: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(folder.join("media.json")).unwrap()).unwrap();
    for (name, want) in media.as_object().unwrap() {
        let frames = all_frames(&folder.join(name));
        let info = VideoReader::open(&folder.join(name)).unwrap().info().clone();
        assert_eq!([info.width, info.height, info.frames], ["width", "height", "frames"].map(|key| want[key].as_u64().unwrap() as usize));
        assert_eq!(info.fps, 25., "{name}");
        let hash: String = Sha256::digest(frames.concat()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, want["rgb_sha256"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn odd_sizes_are_read() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/media"));
    for (name, count) in [("odd_mpeg4.mp4", 4), ("odd_mjpeg.avi", 3)] {
        let video = VideoReader::open(&folder.join(name)).unwrap();
        assert_eq!((video.info().width, video.info().height, video.info().frames), (71, 51, count), "{name}");
        for frame in all_frames(&folder.join(name)) {
            assert_eq!(frame.len(), 71 * 51 * 3);
            // FFmpeg's test picture is colourful to its last row and column.
            let colours: std::collections::BTreeSet<_> = frame.as_chunks::<3>().0.iter().copied().collect();
            assert!(colours.len() > 500, "{name}: {}", colours.len());
        }
    }
}

#[test]
fn another_decoder_must_be_built_in() {
    let options = VideoOptions { decoder: Decoder::Ffmpeg, ..VideoOptions::default() };
    let result = VideoReader::open_with(&fixture("h264_high_b.mp4"), &options);
    if cfg!(feature = "ffmpeg") {
        assert!(result.unwrap().info().decoder.starts_with("ffmpeg libavcodec "));
    } else {
        let error = result.unwrap_err().to_string();
        assert!(error.ends_with("h264_high_b.mp4 with FFmpeg: this program was built without `--features ffmpeg`"), "{error}");
    }
    let options = VideoOptions { decoder: Decoder::Pure, ..VideoOptions::default() };
    let pure = VideoReader::open_with(&fixture("h264_high_b.mp4"), &options).unwrap();
    assert!(pure.info().decoder.starts_with("rusty_h264-decoder "));
    let error = VideoReader::open_with(&fixture("h264_10bit.mp4"), &options).unwrap_err().to_string();
    assert_eq!(error.contains("build with `--features ffmpeg`"), !cfg!(feature = "ffmpeg"), "{error}");
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let cases =
        [((64, 64), Quality::Fast, 38.), ((64, 64), Quality::Good, 39.), ((96, 64), Quality::Good, 39.), ((256, 256), Quality::Fast, 42.)];
    for (size, quality, least) in cases {
        let path = folder.path().join("a/b.mp4");
        write(&path, size, 30, 25., quality).unwrap();
        let video = VideoReader::open(&path).unwrap();
        let info = video.info();
        assert_eq!((info.width, info.height, info.frames, info.fps, &*info.codec), (size.0, size.1, 30, 25., "h264"));
        for (i, frame) in all_frames(&path).iter().enumerate() {
            let psnr = psnr(frame, &picture(size.0, size.1, i));
            assert!(psnr >= least, "{size:?} {quality:?}, frame {i}: {psnr:.2} dB");
        }
    }
}

#[test]
fn odd_sizes_are_made_even() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.mp4");
    write(&path, (33, 21), 5, 30., Quality::Good).unwrap();
    let frames = all_frames(&path);
    for (i, frame) in frames.iter().enumerate() {
        assert_eq!(frame.len(), 34 * 22 * 3);
        let cut: Vec<u8> = frame.chunks_exact(34 * 3).take(21).flat_map(|row| &row[..33 * 3]).copied().collect();
        assert!(psnr(&cut, &picture(33, 21, i)) > 34., "frame {i}: {}", psnr(&cut, &picture(33, 21, i)));
    }
}

#[test]
fn the_same_frames_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.mp4", "b.mp4"].map(|name| folder.path().join(name));
    for path in &paths {
        write(path, (64, 48), 12, 30_000. / 1001., Quality::Fast).unwrap();
    }
    let [a, b] = paths.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(a == b);
    let fps = VideoReader::open(&paths[0]).unwrap().info().fps;
    assert!((fps - 29.97).abs() < 1e-3, "{fps}");
}

#[test]
fn a_video_may_be_long_or_a_single_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.mp4");
    write(&path, (16, 16), 260, 25., Quality::Fast).unwrap();
    assert_eq!(all_frames(&path).len(), 260);
    write(&path, (16, 16), 1, 25., Quality::Fast).unwrap();
    let video = VideoReader::open(&path).unwrap();
    assert_eq!((video.info().frames, video.info().fps), (1, 25.));
}

#[test]
fn a_writer_leaves_a_whole_file_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mp4");
    let mut writer = VideoWriter::create(&path, 16, 16, 25., Quality::Fast).unwrap();
    writer.push(&picture(16, 16, 0)).unwrap();
    let error = writer.push(&[0; 5]).unwrap_err().to_string();
    assert_eq!(error, "a picture of 16×16 RGB pixels cannot have 5 bytes");
    drop(writer);
    let empty = write(&path, (16, 16), 0, 25., Quality::Fast).unwrap_err().to_string();
    assert!(empty.contains("x.mp4: a video needs a frame"), "{empty}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    for (size, fps) in [((0, 16), 25.), ((16, 16), 0.), ((16, 16), f64::NAN), ((100_000, 16), 25.)] {
        let error = VideoWriter::create(&path, size.0, size.1, fps, Quality::Fast).unwrap_err().to_string();
        assert!(error.contains("x.mp4"), "{error}");
    }
}

#[test]
fn a_folder_of_pngs_is_a_video() {
    let folder = tempfile::tempdir().unwrap();
    // By number, not by name: 9 comes before 10.
    for i in 8..12 {
        write_png(&folder.path().join(format!("frame_{i}.png")), &picture(20, 10, i), 20, 10).unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "not a picture").unwrap();
    let video = VideoReader::open(folder.path()).unwrap();
    assert_eq!((video.info().width, video.info().height, video.info().frames), (20, 10, 4));
    assert_eq!(all_frames(folder.path()), [8, 9, 10, 11].map(|i| picture(20, 10, i)));

    let message = || VideoReader::open(folder.path()).unwrap_err().to_string();
    std::fs::remove_file(folder.path().join("frame_9.png")).unwrap();
    assert!(message().contains("go from number 8 to number 10"), "{}", message());
    write_png(&folder.path().join("frame_9.png"), &picture(20, 12, 9), 20, 12).unwrap();
    let mut video = VideoReader::open(folder.path()).unwrap();
    let mut rgb = Vec::new();
    assert!(video.next_frame(&mut rgb).unwrap());
    let error = video.next_frame(&mut rgb).unwrap_err().to_string();
    assert!(error.contains("frame_9.png") && error.contains("20×12"), "{error}");
    write_png(&folder.path().join("mean.png"), &picture(20, 10, 0), 20, 10).unwrap();
    assert!(message().contains("mean.png has no number"), "{}", message());
    let empty = tempfile::tempdir().unwrap();
    assert!(VideoReader::open(empty.path()).unwrap_err().to_string().contains("holds no numbered PNGs"));
}

#[test]
fn pngs_of_every_kind_are_read_as_rgb() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    let cases: [(png::ColorType, png::BitDepth, &[u8], [u8; 6]); 5] = [
        (png::ColorType::Grayscale, png::BitDepth::Eight, &[7, 200], [7, 7, 7, 200, 200, 200]),
        (png::ColorType::GrayscaleAlpha, png::BitDepth::Eight, &[7, 0, 200, 9], [7, 7, 7, 200, 200, 200]),
        (png::ColorType::Rgba, png::BitDepth::Eight, &[1, 2, 3, 0, 4, 5, 6, 255], [1, 2, 3, 4, 5, 6]),
        (png::ColorType::Rgb, png::BitDepth::Sixteen, &[1, 99, 2, 99, 3, 99, 4, 0, 5, 0, 6, 0], [1, 2, 3, 4, 5, 6]),
        (png::ColorType::Grayscale, png::BitDepth::One, &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
    ];
    for (color, depth, data, want) in cases {
        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 2, 1);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
        let image = read_png(&path).unwrap();
        assert_eq!((image.width, image.height, image.rgb.as_slice()), (2, 1, &want[..]), "{color:?} {depth:?}");
    }
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(read_png(&path).unwrap_err().to_string().contains("a.png is damaged"));
}

#[test]
fn too_large_pictures_are_refused_before_they_are_allocated() {
    let folder = tempfile::tempdir().unwrap();
    let few = VideoOptions { max_pixels: 1000, ..VideoOptions::default() };
    let message = |path: &Path, options: &VideoOptions| VideoReader::open_with(path, options).unwrap_err().to_string();
    for name in ["h264_high_b.mp4", "mpeg4_opencv.mp4", "mjpeg_opencv.avi"] {
        assert!(message(&fixture(name), &few).ends_with(&format!("{name}: 256×256 pixels are more than the 1000 allowed")));
        let enough = VideoOptions { max_pixels: 256 * 256, ..VideoOptions::default() };
        assert!(VideoReader::open_with(&fixture(name), &enough).is_ok());
    }
    // A PNG of a few bytes that claims 60,000 × 60,000 pixels.
    let path = folder.path().join("1.png");
    write_png(&path, &[0; 12], 2, 2).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
    let crc = !bytes[12..29].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    bytes[29..33].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
    assert!(message(folder.path(), &VideoOptions::default()).contains("60000×60000"), "{}", message(folder.path(), &few));
    assert!(read_png(&path).unwrap_err().to_string().contains("60000×60000"));
}
