//! Panel videos and filmstrips, read back.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ndarray::{Array2, Array4};
use react_face::Avatar;
use react_media::{Audio, VideoReader, read_audio, read_png};
use react_viz::strip::{Strip, evenly, write_strip};
use react_viz::video::{Film, Panel, Panels, write_frames, write_panels};
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
    let avatar = Avatar::default();
    let listeners = [
        Listener { label: "Real listener", coeffs: long.view(), avatar: &avatar },
        Listener { label: "Sample 1 ☃ with a name that is much too long for it", coeffs: short.view(), avatar: &avatar },
    ];
    let film = Panel::Film(Film { label: "Speaker", frames: speaker.view() });
    let list = [film, Panel::Face(listeners[0]), Panel::Face(listeners[1])];
    let panels = Panels { panels: &list, fps: 25.0, side: 64, sound: None };
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
    let avatar = Avatar::default();
    let (mut broken, narrow) = (coeffs(5), Array2::<f32>::zeros((5, 57)));
    broken[[3, 9]] = f32::NAN;
    let error = |coeffs: &Array2<f32>| {
        let panels = [Panel::Face(Listener { label: "Sample 1", coeffs: coeffs.view(), avatar: &avatar })];
        write_panels(&path, &Panels { panels: &panels, fps: 25.0, side: 64, sound: None }).unwrap_err().to_string()
    };
    assert_eq!(error(&broken), "3DMM coefficients: Sample 1: NaN at frame 3, channel 9");
    assert_eq!(error(&narrow), "Sample 1: coefficients must be 58, is 57");
    assert_eq!(error(&coeffs(0)), "panel video: nothing to draw");
    let nobody = Panels { panels: &[], fps: 25.0, side: 64, sound: None };
    assert!(matches!(write_panels(&path, &nobody), Err(VizError::Empty { .. })));
    assert!(matches!(write_panels(&path, &Panels { fps: f64::NAN, ..nobody }), Err(VizError::Value { .. })));
    let grey = Array4::zeros((5, 8, 8, 1));
    let film = [Panel::Film(Film { label: "Speaker", frames: grey.view() })];
    let wrong = write_panels(&path, &Panels { panels: &film, ..nobody }).unwrap_err();
    assert_eq!(wrong.to_string(), "frames of Speaker: colours must be 3, is 1");
    let sound = Audio { samples: vec![f32::INFINITY], rate: 16_000, channels: 1 };
    let coeffs = coeffs(5);
    let faces = [Panel::Face(Listener { label: "Sample 1", coeffs: coeffs.view(), avatar: &avatar })];
    let loud = Panels { panels: &faces, sound: Some(&sound), ..nobody };
    assert_eq!(write_panels(&path, &loud).unwrap_err().to_string(), "sample 0 of the sound is inf");
    assert!(!path.exists());
}

#[test]
fn many_panels_stand_in_rows_and_a_video_has_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("panels.mp4");
    let (coeffs, avatar) = (coeffs(12), Avatar::default());
    let labels: Vec<String> = (1..=8).map(|k| format!("Sample {k}")).collect();
    let panels: Vec<_> = labels.iter().map(|label| Panel::Face(Listener { label, coeffs: coeffs.view(), avatar: &avatar })).collect();
    let sound = Audio { samples: vec![0.1; 16_000], rate: 16_000, channels: 1 };
    let facts = write_panels(&path, &Panels { panels: &panels, fps: 25.0, side: 32, sound: Some(&sound) }).unwrap();
    // Four columns and two rows of 32 pixels, gaps of 2, and captions of 7 pixels with room around them.
    assert_eq!((facts.width, facts.height, facts.frames), (2 + 4 * 34, 2 * (32 + 19) + 2, 12));
    assert_eq!(read_audio(&path).unwrap().frames(), 12 * 48_000 / 25);
    let mut rgb = Vec::new();
    assert!(VideoReader::open(&path).unwrap().next_frame(&mut rgb).unwrap());
    let panel = |x: usize, y: usize| -> Vec<u8> {
        (y..y + 32).flat_map(|row| rgb[(row * facts.width + x) * 3..(row * facts.width + x + 32) * 3].to_vec()).collect()
    };
    let apart = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / a.len() as f64;
    // The last of the eight shows the face of the first, and a pixel further in any direction it would be less alike.
    let (first, (x, y)) = (panel(2, 19), (2 + 3 * 34, 19 + 51));
    let here = apart(&first, &panel(x, y));
    for (dx, dy) in [(0, 1), (2, 1), (1, 0), (1, 2)] {
        let beside = apart(&first, &panel(x + dx - 1, y + dy - 1));
        assert!(here < 0.8 * beside, "{here} in its place, {beside} beside it");
    }
}

#[test]
fn frames_are_numbered_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let coeffs = coeffs(3);
    let (speaker, avatar) = (speaker(4), Avatar::default());
    let face = Panel::Face(Listener { label: "Sample 1", coeffs: coeffs.view(), avatar: &avatar });
    assert_eq!(write_frames(&folder.path().join("a/b"), &face, 40).unwrap(), 3);
    assert_eq!(write_frames(&folder.path().join("c"), &Panel::Film(Film { label: "Speaker", frames: speaker.view() }), 48).unwrap(), 4);
    for file in ["a/b/000000.png", "a/b/000002.png"] {
        let image = read_png(&folder.path().join(file)).unwrap();
        assert_eq!((image.width, image.height), (40, 40));
    }
    assert!(!folder.path().join("a/b/000003.png").exists());
    // As high as the panel: the recording's own pixels, between bars.
    let image = read_png(&folder.path().join("c/000003.png")).unwrap();
    assert_eq!(
        image.rgb[(10 * 48 + 4) * 3..(10 * 48 + 4) * 3 + 3],
        [speaker[[3, 10, 0, 0]], speaker[[3, 10, 0, 1]], speaker[[3, 10, 0, 2]]]
    );
    assert!(write_frames(&folder.path().join("d"), &face, 8).is_err());
}

#[test]
fn a_filmstrip_has_a_row_a_listener_and_a_column_a_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strip.png");
    let (speaker, truth) = (speaker(50), coeffs(50));
    let avatar = Avatar::default();
    let listeners = [
        Listener { label: "Real listener", coeffs: truth.view(), avatar: &avatar },
        Listener { label: "Sample 1", coeffs: truth.view(), avatar: &avatar },
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
