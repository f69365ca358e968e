//! What the pictures show: golden images, every channel visible, left and right mirrored.
//!
//! `UPDATE_GOLDEN=1 cargo test -p react-face --test pictures` draws the golden images anew; look at them before they are kept.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::expect_used, reason = "tests fail by panicking")]

mod common;

use react_face::{Avatar, EXPRESSIONS, FaceVersePerson, Head, Look, Person, Portrait, Shading, expression};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::Path;

const SIZE: usize = 96;
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/face");

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
    beside(&[[0.0; 58], joy, turned].map(|c| picture(&c, Look::default())))
}

fn beside(pictures: &[Vec<u8>]) -> Vec<u8> {
    (0..SIZE).flat_map(|y| pictures.iter().flat_map(move |m| m[y * SIZE * 3..(y + 1) * SIZE * 3].to_vec())).collect()
}

/// A model in FaceVerse's form: the published flat grey, smooth grey, its texture in the studio and under coloured
/// harmonics, and the flat grey with the jaw open and the head turned.
fn faceverse() -> Vec<u8> {
    let person = FaceVersePerson::new(&common::model(30, 40), &[0.5, -0.5]).unwrap().textured(&[0.5]).unwrap();
    let mut turned = coeffs(&[("jawOpen", 1.0)]);
    turned[52..].copy_from_slice(&[0.1, 0.45, -0.1, 0.05, 0.02, 0.0]);
    let mut gamma = [0.0; 27];
    (gamma[2], gamma[9 + 2], gamma[18 + 2]) = (0.2, 0.15, 0.1);
    (gamma[3], gamma[18 + 3]) = (-0.25, 0.35);
    let draw = |shading, coeffs: &[f32; 58]| {
        let mut out = vec![0; SIZE * SIZE * 3];
        Avatar::from(person.clone().shaded(shading)).portrait(Look::default(), SIZE, SIZE).frame(coeffs, &mut out);
        out
    };
    let flat = Shading::Grey { smooth: false };
    let rest = [flat, Shading::Grey { smooth: true }, Shading::Studio, Shading::Harmonics { gamma }].map(|s| draw(s, &[0.0; 58]));
    beside(&[rest.as_slice(), &[draw(flat, &turned)]].concat())
}

/// Mean difference below 1 of 255, and at most 0.5 % of the bytes off by more than 24: sines and square roots of other
/// machines move an edge by a sample, nothing more.
fn differs(golden: &[u8], drawn: &[u8]) -> Option<String> {
    assert_eq!(golden.len(), drawn.len());
    let off: Vec<u8> = golden.iter().zip(drawn).map(|(g, d)| g.abs_diff(*d)).collect();
    let mean = off.iter().map(|d| f64::from(*d)).sum::<f64>() / off.len() as f64;
    let far = off.iter().filter(|d| **d > 24).count() as f64 / off.len() as f64;
    (mean >= 1.0 || far >= 0.005).then(|| format!("mean difference {mean}, {far} of the bytes far off"))
}

fn golden(name: &str, drawn: &[u8]) -> Vec<u8> {
    let path = Path::new(FOLDER).join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let width = drawn.len() / 3 / SIZE;
        let mut encoder = png::Encoder::new(BufWriter::new(File::create(&path).unwrap()), width as u32, SIZE as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_compression(png::Compression::High);
        encoder.write_header().unwrap().write_image_data(drawn).unwrap();
    }
    let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let mut golden = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut golden).unwrap();
    golden
}

#[test]
fn golden_images() {
    for (name, drawn) in [("three_moods.png", three_moods()), ("faceverse.png", faceverse())] {
        let golden = golden(name, &drawn);
        assert_eq!(differs(&golden, &drawn), None, "{name}");
        // The tolerance is worth something: each picture moved by a pixel fails, and so does another light.
        let mut shifted = drawn.clone();
        shifted.copy_within(..drawn.len() - 3, 3);
        assert!(differs(&golden, &shifted).is_some(), "{name} moved by a pixel passes");
        let darker: Vec<u8> = drawn.iter().map(|v| (f32::from(*v) * 0.98) as u8).collect();
        assert!(differs(&golden, &darker).is_some(), "{name} 2 % darker passes");
    }
    let wide = 5 * SIZE * 3;
    let column = |picture: &[u8], n: usize| -> Vec<u8> {
        picture.chunks_exact(wide).flat_map(|row| row[n * SIZE * 3..(n + 1) * SIZE * 3].to_vec()).collect()
    };
    let drawn = faceverse();
    for (a, b) in [(0, 1), (1, 2), (2, 3), (0, 4)] {
        assert!(differs(&column(&drawn, a), &column(&drawn, b)).is_some(), "shadings {a} and {b} look the same");
    }
}

#[test]
fn threads_do_not_change_pixels() {
    let person = FaceVersePerson::new(&common::model(30, 40), &[0.5]).unwrap();
    let coeffs: Vec<[f32; 58]> = (0..9).map(|t| std::array::from_fn(|c| 0.1 * ((t * 7 + c) as f32).sin())).collect();
    for avatar in [Avatar::default(), Avatar::from(person)] {
        let mut portrait = avatar.portrait(Look::default(), SIZE, SIZE);
        let mut one_by_one = vec![0; coeffs.len() * SIZE * SIZE * 3];
        one_by_one.chunks_exact_mut(SIZE * SIZE * 3).zip(&coeffs).for_each(|(out, c)| portrait.frame(c, out));
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert!(pool.install(|| portrait.frames(&coeffs)) == one_by_one, "{threads} threads");
        }
    }
}

/// A square that faces the camera has the published grey, exactly: 200·(0.1 + 0.95), and 200·0.1 seen from behind.
#[test]
fn the_published_grey() {
    let person = FaceVersePerson::new(&common::model(30, 40), &[]).unwrap();
    let mut out = vec![0; SIZE * SIZE * 3];
    Avatar::from(person.clone()).portrait(Look::default(), SIZE, SIZE).frame(&[0.0; 58], &mut out);
    assert_eq!(out[..3], [0, 0, 0]);
    let brightest = out.iter().max().unwrap();
    assert!((205..=210).contains(brightest), "{brightest}");
    let mut behind = [0.0; 58];
    behind[53] = std::f32::consts::PI;
    Avatar::from(person).portrait(Look::default(), SIZE, SIZE).frame(&behind, &mut out);
    let middle = &out[(SIZE / 2 * SIZE + SIZE / 2) * 3..][..3];
    assert_eq!(middle, [20, 20, 20]);
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
