//! Frames a second of the rasteriser: `cargo run --release -p react-face --example bench_raster`.
//!
//! A mesh of 14,000 triangles with 52 dense expression bases in 224 × 224 pixels, 2 × 2 samples each, frames in parallel on all
//! cores (`RAYON_NUM_THREADS` says how many): the whole way from coefficients to pixels, and drawing alone.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]
#![allow(clippy::expect_used, reason = "its own model")]

#[path = "../tests/common/mod.rs"]
mod synthetic;

use rayon::prelude::*;
use react_face::{Avatar, FaceVersePerson, Look, Renderer, Shading};
use std::hint::black_box;
use std::time::Instant;

const SIDE: usize = 224;
const FRAMES: usize = 100;
const TRIES: usize = 7;

/// The best of some tries, in frames a second.
fn speed(mut work: impl FnMut()) -> f64 {
    work();
    let seconds = (0..TRIES).map(|_| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    });
    FRAMES as f64 / seconds.fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), react_face::FaceError> {
    let model = synthetic::model(70, 100);
    let person = FaceVersePerson::new(&model, &[0.5, -0.5])?;
    let coeffs: Vec<[f32; 58]> = (0..FRAMES)
        .map(|t| {
            let x = t as f32 * 0.1;
            std::array::from_fn(|c| match c {
                52 => 0.2 * x.sin(),
                53 => 0.4 * (0.7 * x).cos(),
                54..58 => 0.02 * (x + c as f32).sin(),
                c => 0.5 + 0.5 * (x * 0.3 + c as f32).sin(),
            })
        })
        .collect();
    let meshes: Vec<_> = coeffs.iter().map(|c| person.pose(c)).collect();
    let (threads, triangles) = (rayon::current_num_threads(), model.triangles().len());
    for (name, shading) in [("flat grey", Shading::Grey { smooth: false }), ("smooth texture", Shading::Studio)] {
        let portrait = Avatar::from(person.clone().shaded(shading)).portrait(Look::default(), SIDE, SIDE);
        let whole = speed(|| _ = black_box(portrait.frames(&coeffs)));
        let drawing = speed(|| {
            let renderer = Renderer::new(SIDE, SIDE).shaded(shading);
            meshes.par_iter().for_each_init(
                || (renderer.clone(), vec![0; SIDE * SIDE * 3]),
                |(renderer, out), mesh| renderer.render_into(mesh, &Look::default(), black_box(out)),
            );
        });
        let mut alone = portrait.clone();
        let mut out = vec![0; SIDE * SIDE * 3];
        let single = speed(|| coeffs.iter().for_each(|c| alone.frame(c, black_box(&mut out))));
        println!("raster: {whole:.0} frames/s ({threads} threads, {triangles} triangles, {SIDE} x {SIDE}), {name}");
        let line = serde_json::json!({
            "bench": "raster", "shading": name, "threads": threads, "triangles": triangles, "side": SIDE,
            "frames_per_s": whole.round(), "drawing_frames_per_s": drawing.round(), "one_thread_frames_per_s": single.round(),
        });
        println!("{line}");
    }
    Ok(())
}
