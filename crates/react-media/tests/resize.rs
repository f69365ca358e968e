//! The resizer against Pillow's definition.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_media::{FrameShape, Resizer};

/// Pillow's bilinear filter with antialiasing, in one dimension and in f64 (`Resample.c`).
fn pillow(row: &[f64], to: usize) -> Vec<f64> {
    let scale = row.len() as f64 / to as f64;
    let support = scale.max(1.);
    let weight = |x: f64| (1. - (x / support).abs()).max(0.);
    let one = |i: usize| {
        let center = (i as f64 + 0.5) * scale;
        let weights: Vec<f64> = (0..row.len()).map(|x| weight(x as f64 + 0.5 - center)).collect();
        row.iter().zip(&weights).map(|(x, w)| x * w).sum::<f64>() / weights.iter().sum::<f64>()
    };
    (0..to).map(one).collect()
}

/// Both dimensions, columns first as Pillow goes, rounded to 8 bits between them.
fn pillow_2d(rgb: &[u8], (width, height): (usize, usize), (to_width, to_height): (usize, usize)) -> Vec<u8> {
    let mut out = vec![0; to_width * to_height * 3];
    for c in 0..3 {
        let rows = |y: usize| (0..width).map(|x| f64::from(rgb[(y * width + x) * 3 + c])).collect::<Vec<_>>();
        let wide: Vec<Vec<f64>> = (0..height).map(|y| pillow(&rows(y), to_width).iter().map(|x| x.round()).collect()).collect();
        for x in 0..to_width {
            let column: Vec<f64> = wide.iter().map(|row| row[x]).collect();
            for (y, value) in pillow(&column, to_height).into_iter().enumerate() {
                out[(y * to_width + x) * 3 + c] = value.round() as u8;
            }
        }
    }
    out
}

fn grey(values: &[u8]) -> Vec<u8> {
    values.iter().flat_map(|&value| [value; 3]).collect()
}

#[test]
fn a_few_values_by_hand() {
    // Halving 0, 0, 255, 255: the weights are 3, 3, 1 and 1, 3, 3 sevenths.
    let mut out = [0; 12];
    let shape = FrameShape { shorter: 2, crop: 2 };
    Resizer::new().apply(&grey(&[0, 0, 255, 255].repeat(4)), 4, 4, &shape, &mut out).unwrap();
    assert_eq!(out, *grey(&[36, 219, 36, 219]));
    // Doubling 0, 255: 0, 1/4, 3/4, 1.
    let mut out = [0; 48];
    let shape = FrameShape { shorter: 4, crop: 4 };
    Resizer::new().apply(&grey(&[0, 255, 0, 255]), 2, 2, &shape, &mut out).unwrap();
    assert_eq!(out, *grey(&[0, 64, 191, 255].repeat(4)));
}

#[test]
fn any_picture_is_resized_as_by_pillow() {
    let mut resizer = Resizer::new();
    for (width, height, shorter) in [(90, 70, 64), (70, 90, 64), (40, 30, 64), (256, 144, 64), (65, 64, 32)] {
        let rgb: Vec<u8> = (0..width * height * 3).map(|i| ((i * i / 7 + i * 31) % 256) as u8).collect();
        let shape = FrameShape { shorter, crop: shorter - 7 };
        let mut out = vec![0; shape.bytes()];
        resizer.apply(&rgb, width, height, &shape, &mut out).unwrap();
        let (to_width, to_height) = shape.resized(width, height);
        let whole = pillow_2d(&rgb, (width, height), (to_width, to_height));
        let corner = |side: usize| ((side - shape.crop) as f64 / 2.).round_ties_even() as usize;
        let (left, top) = (corner(to_width), corner(to_height));
        for (y, row) in out.chunks_exact(shape.crop * 3).enumerate() {
            let want = &whole[((y + top) * to_width + left) * 3..][..shape.crop * 3];
            for (a, b) in row.iter().zip(want) {
                assert!(a.abs_diff(*b) <= 1, "{width}×{height} to {shorter}: {a} for {b}");
            }
        }
    }
}

#[test]
fn a_frame_of_the_right_size_is_only_cropped() {
    let rgb: Vec<u8> = (0..256 * 300 * 3).map(|i| (i % 251) as u8).collect();
    let shape = FrameShape::default();
    let mut out = vec![0; shape.bytes()];
    Resizer::new().apply(&rgb, 300, 256, &shape, &mut out).unwrap();
    let row = 100;
    assert_eq!(out[row * 224 * 3..][..224 * 3], rgb[((row + 16) * 300 + 38) * 3..][..224 * 3]);
}

#[test]
fn impossible_shapes_are_errors() {
    let mut resizer = Resizer::new();
    let mut out = vec![0; 48];
    let shape = FrameShape { shorter: 4, crop: 4 };
    assert!(resizer.apply(&[0; 47], 4, 4, &shape, &mut out).is_err());
    assert!(resizer.apply(&[0; 48], 4, 4, &shape, &mut out[1..]).is_err());
    assert!(resizer.apply(&[0; 48], 4, 4, &FrameShape { shorter: 3, crop: 4 }, &mut out).is_err());
    assert!(resizer.apply(&[], 0, 0, &shape, &mut out).is_err());
}
