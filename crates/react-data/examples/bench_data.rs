//! What `cargo xtask bench data` measures of ours; every case prints one line of JSON.
//!
//! ```text
//! bench_data make ROOT PAIRS                a corpus in the published layout: 751 frames of 256², 44.1 kHz
//! bench_data features FILE.wav              78 features of every frame of 30 s of sound
//! bench_data decode FILE.mp4                to RGB, with one thread
//! bench_data pack ROOT OUT npy|source       a whole corpus, with one thread
//! bench_data loader PACKED BATCHES          batches of 4 × 256 frames of the split train, and a plain copy of as many bytes
//! bench_data source PACKED BATCHES          the same of a store of sources
//! ```
//! With the word `ffmpeg` before the case FFmpeg decodes, in a program built with `--features ffmpeg`.
#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use ndarray::{Array2, Array3};
use react_data::{Loader, LoaderConfig, Packed, Prefetch, PrepareConfig, Recipe, Store, mfcc_per_frame, prepare};
use react_media::{Decoder, Quality, VideoOptions, VideoReader, VideoWriter, write_wav};
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The published sizes.
const BATCH: LoaderConfig = LoaderConfig { batch: 4, clip_length: 256, seed: 0 };
const THREADS: usize = 2;
const FRAMES: usize = 751;
const SIDE: usize = 256;
const FPS: f64 = 25.0;
const RATE: u32 = 44_100;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    if words.first() == Some(&"ffmpeg") {
        words.remove(0);
        VideoOptions { decoder: Decoder::Ffmpeg, ..VideoOptions::default() }.set_for_the_program()?;
    }
    match words[..] {
        ["make", root, pairs] => make(Path::new(root), pairs.parse()?),
        ["features", wav] => features(Path::new(wav)),
        ["decode", mp4] => decode(Path::new(mp4)),
        ["pack", root, out, "npy"] => pack(Path::new(root), Path::new(out), Store::Npy),
        ["pack", root, out, "source"] => pack(Path::new(root), Path::new(out), Store::Source),
        ["loader", packed, batches] => loader(Path::new(packed), batches.parse()?, true),
        ["source", packed, batches] => loader(Path::new(packed), batches.parse()?, false),
        _ => Err("usage: bench_data [ffmpeg] make ROOT PAIRS | features WAV | decode MP4 | pack ROOT OUT npy|source | loader PACKED BATCHES | source PACKED BATCHES".into()),
    }
}

/// So many pairs for training and one for validation.
fn make(root: &Path, pairs: usize) -> Result<(), Box<dyn Error>> {
    let clip = |n: usize, person: &str| format!("NoXI/c/{person}/{}", n + 1);
    for (split, from, count) in [("train", 0, pairs), ("val", pairs, 1)] {
        let mut csv = ",speaker_path,listener_path\n".to_owned();
        for n in from..from + count {
            csv.push_str(&format!("{},{},{}\n", n - from, clip(n, "E"), clip(n, "N")));
            for (person, seed) in [("E", 2 * n), ("N", 2 * n + 1)] {
                make_clip(&root.join(split), &clip(n, person), seed)?;
            }
        }
        write(&root.join(format!("{split}.csv")), &csv)?;
    }
    let rows = pairs + 1;
    let index: String = (0..rows).map(|n| format!("NoXI,c,{}\n", n + 1)).collect();
    write(&root.join("data_indices.csv"), &format!("site,chat_index,clip_index\n{index}"))?;
    react_store::write_npy(&root.join("Approprirate_facial_reaction.npy"), &Array2::<f64>::eye(2 * rows))?;
    Ok(react_store::write_npy(&root.join("mean_face.npy"), &Array3::<f32>::zeros((1, 1, 58)))?)
}

/// A textured disc, as large as a face, that moves about and brightens and darkens before a still texture with a little noise; and a tone
/// that wanders.
fn make_clip(folder: &Path, clip: &str, seed: usize) -> Result<(), Box<dyn Error>> {
    let video = folder.join("Video_files").join(format!("{clip}.mp4"));
    fs::create_dir_all(video.parent().unwrap_or(folder))?;
    let mut writer = VideoWriter::create(&video, SIDE, SIDE, FPS, Quality::Good)?;
    let (mut rgb, mut noise) = (vec![0; SIDE * SIDE * 3], seed as u32 + 1);
    for t in 0..FRAMES {
        let time = t as f64 / FPS;
        let (x, y) = (128.0 + 60.0 * (time * 0.9 + seed as f64).sin(), 128.0 + 40.0 * (time * 1.3).cos());
        for (i, pixel) in rgb.chunks_exact_mut(3).enumerate() {
            let (px, py) = ((i % SIDE) as f64, (i / SIDE) as f64);
            let inside = (px - x).powi(2) + (py - y).powi(2) < 8000.0;
            let (spot, u, v) = if inside {
                (40.0 + 15.0 * (time * 2.0).sin(), px - x, (py - y) * (1.0 + 0.05 * (time * 3.0).sin()))
            } else {
                (0.0, px, py)
            };
            let texture = 30.0 * ((u * 0.21).sin() + (v * 0.17 + u * 0.05).cos());
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = f64::from(noise >> 29);
            for (c, value) in pixel.iter_mut().enumerate() {
                *value = (80.0 + texture * (1.0 + 0.2 * c as f64) + spot + grain) as u8;
            }
        }
        writer.push(&rgb)?;
    }
    writer.finish()?;
    let sound = |i: usize| {
        let time = i as f32 / RATE as f32;
        0.3 * (time * (900.0 + 300.0 * (time * 0.7).sin())).sin() + 0.05 * (time * 4321.0).sin()
    };
    let wav = folder.join("Audio_files").join(format!("{clip}.wav"));
    fs::create_dir_all(wav.parent().unwrap_or(folder))?;
    write_wav(&wav, &(0..FRAMES * RATE as usize / FPS as usize).map(sound).collect::<Vec<_>>(), RATE)?;
    let mut csv = react_contracts::channels::EMOTION.join(",") + "\n";
    for t in 0..FRAMES {
        let mut row = [0.0; 25];
        row[(t / 50) % 15] = 1.0;
        row[15] = (t as f64 / 100.0 + seed as f64).sin();
        row[17] = 0.25;
        row[18] = 0.75;
        csv.push_str(&(row.map(|x: f64| format!("{x:.4}")).join(",") + "\n"));
    }
    write(&folder.join("Emotion").join(format!("{clip}.csv")), &csv)?;
    let coeffs = Array3::from_shape_fn((FRAMES, 1, 58), |(t, _, c)| (t as f32 * 0.01 + (c + seed) as f32).sin());
    Ok(react_store::write_npy(&folder.join("3D_FV_files").join(format!("{clip}.npy")), &coeffs)?)
}

fn write(file: &Path, text: &str) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(file.parent().unwrap_or(file))?;
    Ok(fs::write(file, text)?)
}

fn features(wav: &Path) -> Result<(), Box<dyn Error>> {
    let audio = react_media::read_audio(wav)?;
    let samples = audio.mono();
    let frames = (samples.len() as f64 / f64::from(audio.rate) * 25.0).round() as usize;
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let began = Instant::now();
        black_box(mfcc_per_frame(&samples, audio.rate, frames, 25.0)?);
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!("{{\"case\":\"features\",\"seconds\":{best},\"frames\":{frames}}}");
    Ok(())
}

fn decode(mp4: &Path) -> Result<(), Box<dyn Error>> {
    let mut best = f64::INFINITY;
    let (mut rgb, mut frames) = (Vec::new(), 0);
    for _ in 0..3 {
        let began = Instant::now();
        let mut video = VideoReader::open(mp4)?;
        frames = 0;
        while video.next_frame(&mut rgb)? {
            black_box(&rgb);
            frames += 1;
        }
        best = best.min(began.elapsed().as_secs_f64());
    }
    println!("{{\"case\":\"decode\",\"seconds\":{best},\"frames\":{frames},\"rate\":{}}}", frames as f64 / best);
    Ok(())
}

fn pack(root: &Path, out: &Path, store: Store) -> Result<(), Box<dyn Error>> {
    let recipe = Recipe::named("react2024")?;
    let config = PrepareConfig { threads: 1, store, ..PrepareConfig::new(recipe, root, out) };
    let began = Instant::now();
    prepare(&config, &())?;
    let (seconds, processor) = (began.elapsed().as_secs_f64(), processor());
    let packed = Packed::open(out)?;
    let (mut clips, mut frames) = (0, 0);
    for name in &packed.info().splits {
        let split = packed.split(name)?;
        clips += split.clips().len();
        frames += split.clips().iter().map(react_data::Clip::len).sum::<usize>();
    }
    println!(
        "{{\"case\":\"pack\",\"seconds\":{seconds},\"processor\":{processor},\"clips\":{clips},\"frames\":{frames},\"peak_mb\":{}}}",
        peak_mb()
    );
    Ok(())
}

/// Batches by way of a prefetcher whose two workers take turns with nobody, so that its rate is that of making them.
fn loader(packed: &Path, batches: u64, stored: bool) -> Result<(), Box<dyn Error>> {
    let split = Arc::new(Packed::open(packed)?.split("train")?);
    let loader = Loader::new(split, BATCH)?;
    let name = if stored { "loader" } else { "source" };
    // The first batches warm the page tables and the pool of buffers.
    let warm = if stored { batches } else { 1 };
    let mut prefetch = Prefetch::new(loader, 0..warm + batches, THREADS, THREADS)?;
    for _ in 0..warm {
        let batch = prefetch.next().ok_or("no batch")??;
        prefetch.recycle(batch);
    }
    let (began, before, mut bytes, mut frames) = (Instant::now(), processor(), 0, 0);
    for _ in 0..batches {
        let batch = prefetch.next().ok_or("no batch")??;
        bytes += batch.speaker_video().get().len();
        frames += batch.speaker_video().batch() * batch.speaker_video().frames();
        prefetch.recycle(batch);
    }
    let (seconds, processor) = (began.elapsed().as_secs_f64(), processor() - before);
    println!("{{\"case\":\"{name}\",\"seconds\":{seconds},\"processor\":{processor},\"bytes\":{bytes},\"frames\":{frames}}}");
    if stored {
        let seconds = plain_copy(bytes / batches as usize, batches);
        println!("{{\"case\":\"copy\",\"seconds\":{seconds},\"bytes\":{bytes},\"batches\":{batches}}}");
    }
    Ok(())
}

/// Seconds to copy as many bytes with two threads, each from one buffer to another that it has already.
fn plain_copy(bytes: usize, times: u64) -> f64 {
    let (from, mut to) = (vec![1u8; bytes], vec![2u8; bytes]);
    let half = bytes.div_ceil(THREADS);
    let began = Instant::now();
    for _ in 0..times {
        std::thread::scope(|scope| {
            for (to, from) in to.chunks_mut(half).zip(from.chunks(half)) {
                scope.spawn(move || to.copy_from_slice(black_box(from)));
            }
        });
        black_box(&to);
    }
    began.elapsed().as_secs_f64()
}

/// Seconds that the processor worked for this process so far: a busy machine disturbs them less. 0 where the system does not say.
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    // In hundredths of a second on every Linux.
    fields.get(11..13).unwrap_or_default().iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The largest memory of this process, in MB; 0 where the system does not say.
fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(0.0) / 1000.0
}
