//! Panel videos and filmstrips, read back.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ndarray::{Array2, Array4};
use react_face::Person;
use react_media::{VideoReader, read_png};
use react_viz::strip::{Strip, evenly, write_strip};
use react_viz::video::{Panels, write_panels};
use react_viz::{Listener, VizError};

fn coeffs(frames: usize) -> Array2<f32> {
    // Channel 24 opens the jaw, 53 turns the head.
    Array2::from_shape_fn((frames, 58), |(t, c)| match c {
        24 => 0.5 + 0.5 * (t as f32 * 0.5).sin(),
        53 => 0.3 * (t as f32 * 0.2).sin(),
        _ => 0.0,
    })
}

fn speaker(frames: usize) -> Array4<u8> {
    Array4::from_shape_fn((frames, 48, 40, 3), |(t, y, x, c)| (t * 5 + y * 2 + x + c * 30) as u8)
}

#[test]
fn a_video_has_its_panels_frames_and_rate() {
    let folder = tempfile::tempdir().unwrap();
    let (speaker, long, short) = (speaker(40), coeffs(50), coeffs(40));
    let person = Person::average();
    let listeners = [
        Listener { label: "Real listener", coeffs: long.view(), person: &person },
        Listener { label: "Sample 1 ☃ with a name that is much too long for it", coeffs: short.view(), person: &person },
    ];
    let panels = Panels { speaker: Some(speaker.view()), listeners: &listeners, fps: 25.0, side: 64 };
    let path = folder.path().join("panels.mp4");
    let facts = write_panels(&path, &panels).unwrap();
    assert_eq!((facts.width, facts.height, facts.frames), (200, 86, 40));
    let mut reader = VideoReader::open(&path).unwrap();
    let info = reader.info().clone();
    assert_eq!((info.width, info.height, info.frames, info.fps), (200, 86, 40, 25.0));
    let (mut first, mut later) = (Vec::new(), Vec::new());
    assert!(reader.next_frame(&mut first).unwrap());
    for _ in 0..3 {
        assert!(reader.next_frame(&mut later).unwrap());
    }
    let panel =
        |frame: &[u8], x: usize| -> Vec<u8> { (20..84).flat_map(|y| frame[(y * 200 + x) * 3..(y * 200 + x + 64) * 3].to_vec()).collect() };
    let moved = |x| panel(&first, x).iter().zip(panel(&later, x)).filter(|(a, b)| a.abs_diff(*b) > 12).count();
    assert!(moved(2) > 1000 && moved(68) > 100 && moved(134) > 100, "{} {} {}", moved(2), moved(68), moved(134));
    assert_eq!(panel(&first, 68).len(), panel(&first, 134).len());

    let again = folder.path().join("again.mp4");
    write_panels(&again, &panels).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&again).unwrap());
}

#[test]
fn what_cannot_be_drawn_is_named_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.mp4");
    let person = Person::average();
    let (mut broken, narrow) = (coeffs(5), Array2::<f32>::zeros((5, 57)));
    broken[[3, 9]] = f32::NAN;
    let error = |coeffs: &Array2<f32>| {
        let listeners = [Listener { label: "Sample 1", coeffs: coeffs.view(), person: &person }];
        write_panels(&path, &Panels { speaker: None, listeners: &listeners, fps: 25.0, side: 64 }).unwrap_err().to_string()
    };
    assert_eq!(error(&broken), "3DMM coefficients: Sample 1: NaN at frame 3, channel 9");
    assert_eq!(error(&narrow), "Sample 1: coefficients must be 58, is 57");
    assert_eq!(error(&coeffs(0)), "panel video: nothing to draw");
    let nobody = Panels { speaker: None, listeners: &[], fps: 25.0, side: 64 };
    assert!(matches!(write_panels(&path, &nobody), Err(VizError::Empty { .. })));
    assert!(matches!(write_panels(&path, &Panels { fps: f64::NAN, ..nobody }), Err(VizError::Value { .. })));
    assert!(!path.exists());
}

#[test]
fn a_filmstrip_has_a_row_a_listener_and_a_column_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strip.png");
    let (speaker, truth) = (speaker(50), coeffs(50));
    let person = Person::average();
    let listeners = [
        Listener { label: "Real listener", coeffs: truth.view(), person: &person },
        Listener { label: "Sample 1", coeffs: truth.view(), person: &person },
    ];
    let frames = evenly(50, 5);
    let strip = Strip { speaker: Some(speaker.view()), listeners: &listeners, fps: 25.0, frames: &frames, side: 48 };
    let (width, height) = write_strip(&path, &strip).unwrap();
    let image = read_png(&path).unwrap();
    assert_eq!((image.width, image.height), (width, height));
    assert_eq!(height, 17 + 3 * 50);
    let missing = write_strip(&path, &Strip { frames: &[50], ..strip }).unwrap_err();
    assert_eq!(missing.to_string(), "frames: frame 50 of 50 does not exist");
}
