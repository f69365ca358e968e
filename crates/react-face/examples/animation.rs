//! Writes an animated head for Blender or three.js: `cargo run --release -p react-face --example animation -- head.glb [frames]`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use ndarray::Array2;
use react_face::{Avatar, Person, expression};
use react_random::Draws;
use std::{env, error::Error, f32::consts::TAU};

const FPS: f64 = 25.0;

/// Smiles, talks, blinks and nods.
fn performance(frames: usize) -> Array2<f32> {
    let mut out = Array2::zeros((frames, 58));
    for (t, mut frame) in out.rows_mut().into_iter().enumerate() {
        let seconds = t as f32 / FPS as f32;
        let mut set = |name: &str, weight: f32| {
            if let Some(channel) = expression(name) {
                frame[channel] = weight;
            }
        };
        let blink = if seconds % 2.5 < 0.16 { 1.0 } else { 0.0 };
        let smile = 0.4 + 0.4 * (seconds * TAU / 6.0).sin();
        for side in ["Left", "Right"] {
            set(&format!("eyeBlink{side}"), blink);
            set(&format!("mouthSmile{side}"), smile);
        }
        set("jawOpen", 0.2 - 0.2 * (seconds * TAU * 1.5).cos());
        set("browInnerUp", (seconds * 0.9).sin().max(0.0));
        frame[52] = 0.1 * (seconds * TAU / 2.0).sin();
        frame[53] = 0.4 * (seconds * TAU / 8.0).sin();
    }
    out
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::args().nth(1).unwrap_or_else(|| "head.glb".into());
    let frames = env::args().nth(2).map_or(Ok(250), |s| s.parse())?;
    let person = Person::draw(&mut Draws::new(1, "person", 1, 0)).groomed();
    let glb = Avatar::from(person).glb(performance(frames).view(), FPS)?;
    std::fs::write(&path, &glb)?;
    println!("wrote {path}: {frames} frames, {} bytes", glb.len());
    Ok(())
}
