//! Random access: from any frame on, the very bytes that reading from the start gives.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

use react_media::{Quality, VideoIndex, VideoReader, VideoWriter, write_png};
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures")).join(name)
}

fn rest(video: &mut VideoReader, most: usize) -> Vec<Vec<u8>> {
    let (mut frames, mut rgb) = (Vec::new(), Vec::new());
    while frames.len() < most && video.next_frame(&mut rgb).unwrap() {
        frames.push(rgb.clone());
    }
    frames
}

/// From every start, with a reader of its own and with one that jumps about.
fn assert_same_from_everywhere(path: &Path) {
    assert_same_from_each(path, 1);
}

/// From every `step`th start.
fn assert_same_from_each(path: &Path, step: usize) {
    let all = rest(&mut VideoReader::open(path).unwrap(), usize::MAX);
    let index = VideoIndex::open(path).unwrap();
    let count = index.info().frames;
    assert_eq!(all.len(), count);
    let mut jumper = index.reader().unwrap();
    for i in (0..=count).step_by(step) {
        let name = path.display();
        let mut fresh = index.reader().unwrap();
        fresh.seek(i).unwrap();
        // To the end from some starts; elsewhere past the next key frame or two.
        let most = if i % 8 == 0 { usize::MAX } else { 12 };
        assert!(rest(&mut fresh, most) == all[i..count.min(i.saturating_add(most))], "{name}, from frame {i}");
        let to = i * 17 % (count + 1);
        jumper.seek(to).unwrap();
        assert!(rest(&mut jumper, 3) == all[to..count.min(to + 3)], "{name}, jumping to frame {to}");
    }
    let error = jumper.seek(count + 1).unwrap_err().to_string();
    assert!(error.contains(&format!("has {count} frames: there is no frame {}", count + 1)), "{error}");
}

#[test]
fn h264_from_any_frame() {
    // B-frames as references, closed and open groups of pictures, no B-frames, an edit list, a cut in mid-group, fragments.
    for name in ["media/gop_b.mp4", "media/open_gop.mp4", "video/made_open_gop_cut.mp4", "media/fragmented.mp4"] {
        assert_same_from_everywhere(&fixture(name));
    }
}

#[test]
fn h264_of_the_reference_from_any_frame() {
    for name in ["video/h264_baseline_mp3.mp4", "video/editlist_cut.mp4"] {
        assert_same_from_each(&fixture(name), 3);
    }
}

#[test]
fn mpeg4_part_2_from_any_frame() {
    for name in ["media/mpeg4_b.mp4", "media/mpeg4.avi", "media/mpeg4_b.avi"] {
        assert_same_from_everywhere(&fixture(name));
    }
}

#[test]
fn motion_jpeg_from_any_frame() {
    let index = VideoIndex::open(&fixture("video/mjpeg_opencv.avi")).unwrap();
    let all = rest(&mut index.reader().unwrap(), usize::MAX);
    for i in [39, 0, 17, 40] {
        let mut video = index.reader().unwrap();
        video.seek(i).unwrap();
        assert!(rest(&mut video, usize::MAX) == all[i..]);
    }
}

#[test]
fn pngs_from_any_frame() {
    let folder = tempfile::tempdir().unwrap();
    for i in 1..=12u8 {
        write_png(&folder.path().join(format!("{i:03}.png")), &[i; 12], 2, 2).unwrap();
    }
    assert_same_from_everywhere(folder.path());
}

#[test]
fn what_is_written_can_be_jumped_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.mp4");
    let mut writer = VideoWriter::create(&path, 16, 16, 25., Quality::Fast).unwrap();
    for i in 0..300u32 {
        writer.push(&[(i % 251) as u8; 16 * 16 * 3]).unwrap();
    }
    writer.finish().unwrap();
    assert_same_from_everywhere(&path);
}

#[test]
fn an_index_knows_when_its_file_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    std::fs::copy(fixture("media/gop_b.mp4"), &path).unwrap();
    let index = VideoIndex::open(&path).unwrap();
    assert_eq!(index.path(), path);
    assert!(index.reader().is_ok());
    std::fs::copy(fixture("media/open_gop.mp4"), &path).unwrap();
    let error = index.reader().unwrap_err().to_string();
    assert!(error.contains("a.mp4 is damaged: it has changed since its index was read"), "{error}");
}

#[test]
fn an_index_can_be_shared() {
    fn can_be_shared<T: Send + Sync + Clone>() {}
    can_be_shared::<VideoIndex>();
}
