//! Draws a sheet of people and expressions, or of every channel at weight 1, each beside the face without it:
//! `cargo run --release -p react-face --example sheet -- sheet.png [size] [channels]`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use react_face::{EXPRESSIONS, Head, Look, Person, Portrait, expression};
use react_random::Draws;
use std::{env, error::Error, fs::File, io::BufWriter, time::Instant};

const MOODS: [(&str, &[(&str, f32)]); 8] = [
    ("rest", &[]),
    ("joy", &[("mouthSmile", 1.0), ("cheekSquint", 0.7), ("jawOpen", 0.35), ("mouthUpperUp", 0.5), ("eyeSquint", 0.4)]),
    ("smile", &[("mouthSmile", 0.7), ("cheekSquint", 0.3)]),
    ("sad", &[("mouthFrown", 1.0), ("browInnerUp", 0.9), ("eyeLookDown", 0.5), ("mouthShrugLower", 0.6)]),
    ("anger", &[("browDown", 1.0), ("mouthPress", 0.8), ("noseSneer", 0.5), ("eyeSquint", 0.4), ("mouthFrown", 0.4)]),
    ("surprise", &[("browInnerUp", 1.0), ("browOuterUp", 1.0), ("eyeWide", 1.0), ("jawOpen", 0.8)]),
    ("blink", &[("eyeBlink", 1.0)]),
    ("turned", &[("turn", 0.5), ("mouthSmile", 0.5)]),
];

fn coeffs(mood: &[(&str, f32)]) -> [f32; 58] {
    let mut out = [0.0; 58];
    for (name, weight) in mood {
        if *name == "turn" {
            (out[52], out[53]) = (0.1, *weight);
        }
        for full in [(*name).to_owned(), format!("{name}Left"), format!("{name}Right")] {
            if let Some(i) = expression(&full) {
                out[i] = *weight;
            }
        }
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or_else(|| "sheet.png".into());
    let size: usize = env::args().nth(2).map_or(Ok(160), |s| s.parse())?;
    let only = env::args().nth(3);
    let head = Head::embedded();
    println!("{} vertices, {} triangles", head.vertices(), head.triangles());
    let mut cells: Vec<(Person, [f32; 58])> = Vec::new();
    if only.is_some() {
        for i in 0..EXPRESSIONS.len() {
            let mut before = [0.0; 58];
            if matches!(EXPRESSIONS[i], "mouthClose" | "tongueOut") {
                before[24] = 0.6;
            }
            let mut after = before;
            after[i] = 1.0;
            cells.extend([before, after].map(|c| (Person::average(), c)));
        }
    } else {
        for row in 0..4 {
            let person = if row == 0 { Person::average() } else { Person::draw(&mut Draws::new(1, "person", row, 0)) };
            cells.extend(MOODS.iter().map(|(_, mood)| (person.clone(), coeffs(mood))));
        }
    }
    let columns = 8;
    let rows = cells.len().div_ceil(columns);
    let mut sheet = vec![0u8; rows * columns * size * size * 3];
    let mut frame = vec![0u8; size * size * 3];
    for (i, (person, c)) in cells.iter().enumerate() {
        Portrait::new(&head, person, Look::default(), size, size).frame(c, &mut frame);
        let (row, column) = (i / columns, i % columns);
        if i % 2 == 0 && only.is_some() {
            println!("row {row}, column {column}: {}", EXPRESSIONS[i / 2]);
        }
        for (y, line) in frame.chunks_exact(size * 3).enumerate() {
            let at = ((row * size + y) * columns + column) * size * 3;
            sheet[at..at + size * 3].copy_from_slice(line);
        }
    }
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&path)?), (columns * size) as u32, (rows * size) as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(&sheet)?;
    println!("wrote {path}");
    let mut portrait = Portrait::new(&head, &Person::average(), Look::default(), size, size);
    let start = Instant::now();
    let frames = 500;
    for k in 0..frames {
        let mut c = coeffs(MOODS[1].1);
        c[53] = (k as f32 * 0.1).sin() * 0.3;
        portrait.frame(&c, &mut frame);
    }
    println!("{size} x {size}: {:.0} frames/s", frames as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
