//! What the pictures show: a golden image, every channel visible, left and right mirrored.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_face::{EXPRESSIONS, Head, Look, Person, Portrait, expression};
use std::fs::File;
use std::io::{BufReader, BufWriter};

const SIZE: usize = 96;
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/face/three_moods.png");

fn coeffs(weights: &[(&str, f32)]) -> [f32; 58] {
    let mut out = [0.0; 58];
    for (name, weight) in weights {
        let found = [(*name).to_owned(), format!("{name}Left"), format!("{name}Right")];
        let channels: Vec<usize> = found.iter().filter_map(|name| expression(name)).collect();
        assert!(!channels.is_empty(), "{name} is a channel");
        channels.iter().for_each(|i| out[*i] = *weight);
    }
    out
}

fn picture(coeffs: &[f32; 58], look: Look) -> Vec<u8> {
    let mut out = vec![0; SIZE * SIZE * 3];
    Portrait::new(&Head::embedded(), &Person::average(), look, SIZE, SIZE).frame(coeffs, &mut out);
    out
}

/// Rest, joy, and surprise with the head turned, side by side.
fn three_moods() -> Vec<u8> {
    let mut turned = coeffs(&[("browInnerUp", 1.0), ("browOuterUp", 1.0), ("eyeWide", 1.0), ("jawOpen", 0.8)]);
    turned[52..].copy_from_slice(&[0.1, 0.45, -0.1, 0.05, 0.02, 0.0]);
    let joy = coeffs(&[("mouthSmile", 1.0), ("cheekSquint", 0.7), ("jawOpen", 0.35), ("mouthUpperUp", 0.5)]);
    let moods = [[0.0; 58], joy, turned].map(|c| picture(&c, Look::default()));
    let rows = (0..SIZE).flat_map(|y| moods.iter().flat_map(move |m| m[y * SIZE * 3..(y + 1) * SIZE * 3].to_vec()));
    rows.collect()
}

/// Mean difference below 1 of 255, and at most 0.5 % of the bytes off by more than 24: sines and square roots of other
/// machines move an edge by a sample, nothing more.
#[test]
fn golden_image() {
    let drawn = three_moods();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(GOLDEN).unwrap()), 3 * SIZE as u32, SIZE as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder.write_header().unwrap().write_image_data(&drawn).unwrap();
    }
    let mut reader = png::Decoder::new(BufReader::new(File::open(GOLDEN).unwrap())).read_info().unwrap();
    let mut golden = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut golden).unwrap();
    assert_eq!(golden.len(), drawn.len());
    let off: Vec<u8> = golden.iter().zip(&drawn).map(|(g, d)| g.abs_diff(*d)).collect();
    let mean = off.iter().map(|d| f64::from(*d)).sum::<f64>() / off.len() as f64;
    let far = off.iter().filter(|d| **d > 24).count() as f64 / off.len() as f64;
    assert!(mean < 1.0 && far < 0.005, "mean difference {mean}, {far} of the bytes far off");
}

fn changed(a: &[u8], b: &[u8]) -> usize {
    a.chunks_exact(3).zip(b.chunks_exact(3)).filter(|(p, q)| p.iter().zip(*q).any(|(x, y)| x.abs_diff(*y) > 12)).count()
}

#[test]
fn every_channel_is_visible() {
    for (i, name) in EXPRESSIONS.iter().enumerate() {
        let mut before = [0.0; 58];
        if matches!(*name, "mouthClose" | "tongueOut") {
            before = coeffs(&[("jawOpen", 0.6)]);
        }
        let mut after = before;
        after[i] = 1.0;
        let pixels = changed(&picture(&before, Look::default()), &picture(&after, Look::default()));
        assert!(pixels >= 15, "{name} changes {pixels} pixels of {SIZE} x {SIZE}");
    }
}

/// What a channel moves in all: Σ dx, Σ dy, Σ dz, and Σ |d|·x, which is positive on the person's left.
fn motion(channel: usize) -> [f32; 4] {
    let head = Head::embedded();
    let mut c = [0.0; 58];
    let rest = head.pose(&Person::average(), &c);
    c[channel] = 1.0;
    let moved = head.pose(&Person::average(), &c);
    rest.positions().iter().zip(moved.positions()).fold([0.0; 4], |sum, (a, b)| {
        let d = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
        let length = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt();
        [sum[0] + d[0], sum[1] + d[1], sum[2] + d[2], sum[3] + length * a[0]]
    })
}

#[test]
fn left_mirrors_right() {
    for (i, name) in EXPRESSIONS.iter().enumerate().filter(|(_, name)| name.ends_with("Left")) {
        let (left, right) = (motion(i), motion(expression(&name.replace("Left", "Right")).unwrap()));
        for (axis, (l, r)) in left.iter().zip(right).enumerate() {
            let mirrored = if axis == 1 || axis == 2 { r } else { -r };
            assert!((l - mirrored).abs() < 0.02 * left[3].abs().max(1.0), "{name}: {left:?} and {right:?}");
        }
        let (jaw_or_mouth, place) = (matches!(*name, "jawLeft" | "mouthLeft"), left[3]);
        assert!(jaw_or_mouth || place > 0.0, "{name} moves the person's left side, not {place}");
    }
}

#[test]
fn the_jaw_opens_and_the_eyes_close() {
    let dark = |p: &[u8]| p.chunks_exact(3).filter(|c| c[0] < 90 && c[1] < 40 && c[2] < 45).count();
    let rest = picture(&[0.0; 58], Look::default());
    let open = picture(&coeffs(&[("jawOpen", 1.0)]), Look::default());
    assert!(dark(&open) > dark(&rest) + 60, "{} and {}", dark(&open), dark(&rest));
    let white = |p: &[u8]| p.chunks_exact(3).filter(|c| c[0] > 150 && c[2].abs_diff(c[0]) < 22 && c[2] > 150).count();
    let shut = picture(&coeffs(&[("eyeBlink", 1.0)]), Look::default());
    assert!(white(&shut) < white(&rest), "{} and {}", white(&shut), white(&rest));
}

#[test]
fn coefficients_from_a_broken_file_draw_nothing_but_do_not_panic() {
    for bad in [f32::NAN, f32::INFINITY, -1e30, 1e30] {
        let _ = picture(&[bad; 58], Look::default());
    }
}
