//! A report over many clips, and how long a browser takes to open it:
//! `cargo run --release -p react-viz --example bench_report -- OUT_FOLDER [CLIPS]`. Prints one line of JSON.
//!
//! Every clip has a video (several are the same), every score is made up. The browser is `$CHROME` or one on the path; without one the
//! times are null. A time is from asking for the page to its load event, of a page in a page, each in a browser started anew.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

#[path = "../../../tests/common/browser.rs"]
mod browser;

use browser::browser;
use ndarray::{Array2, Array3, Array4};
use react_face::{Avatar, Person};
use react_random::Draws;
use react_viz::plots::{ChannelTraces, LossHistory, LossPoint, channels, per_clip};
use react_viz::video::{Film, Panel, Panels, write_panels};
use react_viz::{Animation, ClipRow, ClipTable, Example, Kind, Listener, Metric, Report, ScoreRow, ScoreTable, Video};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

const FPS: f64 = 25.0;
const FRAMES: usize = 50;
const SIDE: usize = 112;
/// Videos that are drawn; the clips take them in turns.
const DRAWN: usize = 6;
/// Clips whose listeners are in the page in 3D, as in a run's report.
const IN_3D: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().map_or_else(|| std::env::temp_dir().join("react-viz-bench"), PathBuf::from);
    let clips: usize = args.next().map_or(Ok(100), |text| text.parse())?;
    std::fs::create_dir_all(&folder)?;
    let drawn = (0..DRAWN).map(|i| draw(&folder, i as u32)).collect::<Result<Vec<_>, _>>()?;
    let report = report(clips, &drawn)?;
    let start = Instant::now();
    let written = report.write(&folder.join("report.html"))?;
    let write_s = start.elapsed().as_secs_f64();
    let beside: u64 = written.beside.iter().filter_map(|path| Some(std::fs::metadata(path).ok()?.len())).sum();
    let mut times = opening(&written.path)?;
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).map_or_else(|| "null".to_owned(), |ms| format!("{ms:.0}"));
    println!(
        "{{\"clips\":{clips},\"page_bytes\":{},\"beside_bytes\":{beside},\"write_s\":{write_s:.2},\"open_ms\":{times:.0?},\"open_median_ms\":{median}}}",
        written.bytes
    );
    Ok(())
}

/// Three times from asking for a page to its load event, in milliseconds; none without a browser.
fn opening(page: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let Some(browser) = browser() else { return Ok(Vec::new()) };
    let name = page.file_name().unwrap_or_default().to_string_lossy();
    let outer = page.with_file_name("opening.html");
    // What --dump-dom prints is the page after its load event, and that waits for the one inside.
    std::fs::write(
        &outer,
        format!(
            "<!DOCTYPE html><title>-</title><script>const asked = performance.now();</script>\
             <iframe src=\"{name}\" width=\"1280\" height=\"900\" onload=\"document.title = 'opened in ' + (performance.now() - asked)\"></iframe>"
        ),
    )?;
    let url = format!("file://{}", std::path::absolute(&outer)?.display());
    let mut times = Vec::new();
    for _ in 0..3 {
        let flags =
            ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--timeout=60000", "--dump-dom"];
        let output = Command::new(&browser).args(flags).arg(&url).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let time = text.split_once("<title>opened in ").and_then(|(_, rest)| rest.split_once('<')).map(|(time, _)| time.parse());
        times.push(time.ok_or_else(|| format!("{} did not open {url}: {}", browser.display(), String::from_utf8_lossy(&output.stderr)))??);
    }
    Ok(times)
}

/// A video and its listeners.
type Drawn = (Video, Vec<Animation>);

fn draw(folder: &Path, who: u32) -> Result<Drawn, Box<dyn Error>> {
    let avatar = Avatar::from(Person::draw(&mut Draws::new(9, "listener", who, 0)));
    let coeffs: Vec<_> = (0..3).map(|k| coefficients(10 * who + k)).collect();
    let labels = ["True listener", "Sample 1", "Sample 2"];
    let listeners: Vec<_> =
        labels.iter().zip(&coeffs).map(|(label, coeffs)| Listener { label, coeffs: coeffs.view(), avatar: &avatar }).collect();
    let speaker = Array4::from_shape_fn((FRAMES, 96, 96, 3), |(t, y, x, c)| (40 * c + 2 * t + (x * y) / 60 + 20 * who as usize) as u8);
    let film = Panel::Film(Film { label: "Speaker", frames: speaker.view() });
    let panels: Vec<_> = std::iter::once(film).chain(listeners.iter().copied().map(Panel::Face)).collect();
    let path = folder.join(format!("drawn-{who}.mp4"));
    let facts = write_panels(&path, &Panels { panels: &panels, fps: FPS, side: SIDE, sound: None })?;
    let animation = |listener: &Listener<'_>| Ok(Animation { label: listener.label.into(), glb: avatar.glb(listener.coeffs, FPS)? });
    let animations = listeners.iter().take(2).map(animation).collect::<Result<_, react_face::FaceError>>()?;
    Ok((Video::read(&path, facts.width, facts.height)?, animations))
}

fn coefficients(who: u32) -> Array2<f32> {
    let mut draws = Draws::new(4, "coefficients", who, 0);
    let waves: Vec<(f32, f32)> = (0..58).map(|_| (0.05 + 0.2 * draws.uniform(), 6.3 * draws.uniform())).collect();
    Array2::from_shape_fn((FRAMES, 58), |(t, c)| {
        let size = if c < 52 { 0.25 } else { 0.08 };
        size * (1.0 + (t as f32 * waves[c].0 + waves[c].1).sin()) * if c < 52 { 0.5 } else { 1.0 }
    })
}

fn report(clips: usize, drawn: &[Drawn]) -> Result<Report, Box<dyn Error>> {
    let name = |i: usize| format!("val/NoXI/{:03}_2016-03-25_Paris/Expert_video/{i}", i / 4);
    let mut draws = Draws::new(7, "clips", 0, 0);
    let metrics: Vec<Metric> = Metric::react().into_iter().take(5).collect();
    let mut row = |i| ClipRow {
        clip: name(i),
        scores: [2.1 + 0.9 * draws.normal(), 92.0 + 9.0 * draws.normal(), 0.0005, 0.002, 0.1].map(|v| f64::from(v).into()).to_vec(),
    };
    let rows: Vec<ClipRow> = (0..clips).map(&mut row).collect();
    let values: Vec<_> = rows.iter().map(|row| row.scores[0].value).collect();
    let wave = |i: usize, t: usize| 0.5 + 0.5 * ((t * (i + 1)) as f32 * 0.02).sin();
    let samples = Array3::from_shape_fn((10, FRAMES, 25), |(k, t, c)| wave(k + c, t));
    let traces =
        |i: usize| ChannelTraces { fps: FPS, speaker: None, truth: None, samples: Some(samples.view()), lines: 3 + usize::from(i > 1) };
    let example = |i: usize| -> Result<Example, Box<dyn Error>> {
        let (video, animations) = &drawn[i % drawn.len()];
        Ok(Example {
            name: name(i),
            caption: if i < 3 { "One of three that stand among the examples.".into() } else { String::new() },
            featured: i < 3,
            video: Some(video.clone()),
            animations: if i < IN_3D { animations.clone() } else { Vec::new() },
            scores: Vec::new(),
            figures: if i < 3 { vec![channels("The 25 attributes over time", &traces(i))?] } else { Vec::new() },
        })
    };
    let point = |step: u64| LossPoint { step, total: Some((-(step as f64) / 900.0).exp() + 0.1), ..Default::default() };
    let table =
        ScoreTable { metrics: Metric::react(), rows: vec![ScoreRow::new("this run", Kind::Model, &[Some(2.1)])], ..Default::default() };
    Ok(Report {
        title: "Many clips".into(),
        run: "bench".into(),
        summary: "Nothing here was measured: this page shows how quickly a report of many clips opens.".into(),
        tables: vec![table],
        examples: (0..clips).map(example).collect::<Result<_, _>>()?,
        history: LossHistory { train: (0..3000).map(point).collect(), ..Default::default() },
        figures: vec![per_clip(&Metric::react()[0], &values, &[])?],
        clips: Some(ClipTable { rows, metrics, ..Default::default() }),
        ..Default::default()
    })
}
