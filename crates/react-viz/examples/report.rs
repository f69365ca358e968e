//! A report over made-up numbers, to look at: `cargo run -p react-viz --example report -- OUT_FOLDER`.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use ndarray::{Array2, Array3, Array4, s};
use react_face::{Avatar, Person};
use react_random::Draws;
use react_viz::plots::{ChannelTraces, LagCurve, LossHistory, LossPoint, channels, lag_curves, per_clip};
use react_viz::strip::{Strip, evenly, write_strip};
use react_viz::video::{Film, Panel, Panels, write_panels};
use react_viz::{
    Animation, ClipRow, ClipTable, Example, Kind, Listener, Metric, Mode, Picture, Report, Score, ScoreRow, ScoreTable, Video, table,
};
use std::error::Error;
use std::path::{Path, PathBuf};

const FPS: f64 = 25.0;
const FRAMES: usize = 250;
const SAMPLES: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).map_or_else(|| std::env::temp_dir().join("react-viz"), PathBuf::from);
    let scores = scores();
    let clips = clips();
    let values: Vec<_> = clips.rows.iter().map(|r| r.scores[0].value).collect();
    let means = [("Random", 0.42), ("Mime", 0.71), ("MeanSeq", 1.08)];
    let examples = (0..2).map(|i| example(&folder, i)).collect::<Result<Vec<_>, _>>()?;
    let report = Report {
        title: "Facial reactions, made-up numbers".into(),
        run: "example".into(),
        summary: "Nothing here was measured: this page shows what a report looks like.\n\nOffline Trans-VAE, 10 samples a clip.".into(),
        facts: [("FRCorr", "2.11"), ("best step", "2,400"), ("training", "3 min 12 s"), ("clips", "48")]
            .map(|(k, v)| (k.into(), v.into()))
            .to_vec(),
        tables: vec![scores.clone()],
        pictures: vec![filmstrip(&folder)?],
        history: history(),
        figures: vec![
            per_clip(&Metric::react()[0], &values, &means)?,
            lag_curves(&[LagCurve { label: "this run", points: &lag(6) }, LagCurve { label: "real listeners", points: &lag(14) }], FPS)?,
        ],
        examples,
        clips: Some(clips),
        rerun: vec!["react-train train --config demo --set seed=7".into(), "react-train evaluate --run demo".into()],
        configuration: "seed = 7\n\n[model]\nwidth = 32\nheads = 4\n\n[train]\nsteps = 3000\nlearning_rate = 3e-4\n".into(),
        environment: [("program", "react 0.1.0"), ("processor", "2 cores"), ("precision", "f32")]
            .map(|(k, v)| (k.into(), v.into()))
            .to_vec(),
        settings: None,
        notes: vec!["The samples are nearly equal: so are this model's published ones (FRDiv 0.0009).".into()],
    };
    let written = report.write(&folder.join("report.html"))?;
    channels("Example 1", &traces(&attributes(0), &attributes(1), &samples(1)))?.write_svg(&folder.join("channels.svg"))?;
    print!("{}", table::text(&scores));
    println!("{} ({} KiB)", written.path.display(), written.bytes / 1024);
    Ok(())
}

fn scores() -> ScoreTable {
    let mut metrics = Metric::react();
    metrics.push(Metric { mode: Mode::Sound, ..metrics[0].clone() });
    metrics.push(Metric { mode: Mode::Sound, ..metrics[5].clone() });
    let row = |system, kind, values: [f64; 8]| ScoreRow::new(system, kind, &values.map(Some));
    let mut rows = vec![
        row("Real listeners", Kind::Truth, [8.73, 0.0, 0.0, 0.0724, 0.2483, 47.69, 0.873, 12.1]),
        row("Oracle", Kind::Oracle, [8.2, 61.0, 0.061, 0.0712, 0.1833, 46.2, 0.82, 12.9]),
        row("Trans-VAE", Kind::Model, [2.11, 92.32, 0.00005, 0.0012, 0.0091, 44.41, 0.211, 13.2]),
        row("Shuffled speakers", Kind::Control, [1.21, 97.2, 0.0005, 0.0013, 0.0089, 44.9, 0.121, 15.2]),
        row("Random", Kind::Baseline, [0.42, 237.2, 0.1667, 0.0833, 0.1667, 43.84, 0.042, 24.1]),
        row("Mime", Kind::Baseline, [0.71, 92.94, 0.0, 0.0724, 0.2483, 0.0, 0.071, 0.0]),
        row("MeanSeq", Kind::Baseline, [1.08, 97.1, 0.0, 0.0008, 0.0, 45.3, 0.108, 16.0]),
        row("Somebody's network", Kind::Published, [0.03, 92.81, 0.0008, 0.0002, 0.0006, 49.0, f64::NAN, f64::NAN]),
    ];
    for row in &mut rows[2..4] {
        for (score, spread) in row.scores.iter_mut().zip([0.15, 2.1, 0.00001, 0.0001, 0.0004, 0.6, 0.015, 0.9]) {
            score.interval = score.value.map(|v| (v - spread, v + spread));
        }
    }
    rows[3].note = Some("each clip's samples answer another speaker".into());
    rows[7].note = Some("made up like everything here; data, split and source stand in this place".into());
    ScoreTable {
        title: "Validation, 48 clips, 10 samples".into(),
        caption: "Intervals: 95 %, bootstrap over clips. Bold: best of this run and the baselines.".into(),
        metrics,
        rows,
    }
}

fn clips() -> ClipTable {
    let mut draws = Draws::new(7, "clips", 0, 0);
    let metrics: Vec<Metric> = Metric::react().into_iter().take(4).collect();
    let mut row = |i: usize| ClipRow {
        clip: if i < 2 { name(i) } else { format!("val/NoXI/{:03}_2016-03-25_Paris/Expert_video/{i}", 20 + i) },
        scores: [2.1 + 0.9 * draws.normal(), 92.0 + 9.0 * draws.normal(), 0.0005 * draws.uniform(), 0.002 * draws.uniform()]
            .map(|v| if i == 5 { Score::default() } else { f64::from(v).into() })
            .to_vec(),
    };
    ClipTable { rows: (0..48).map(&mut row).collect(), metrics, ..Default::default() }
}

fn name(i: usize) -> String {
    format!("val/NoXI/{:03}_2016-03-25_Paris/Novice_video/{}", 11 + i, i + 1)
}

fn history() -> LossHistory {
    let mut draws = Draws::new(7, "losses", 0, 0);
    let mut point = |step: u64, noise: f64| {
        let (fall, jitter) = ((-(step as f64) / 500.0).exp(), 1.0 + noise * f64::from(draws.normal()));
        let reconstruction = (0.06 + 0.3 * fall) * jitter;
        let diversity = 1.2 + 0.7 * fall * jitter;
        LossPoint {
            step,
            total: Some(reconstruction + 0.1 * diversity),
            reconstruction: Some(reconstruction),
            kl: Some((3.0 + 800.0 * fall * fall) * jitter),
            diversity: Some(diversity),
        }
    };
    let train = (0..3000).step_by(5).map(|s| point(s, 0.12)).collect();
    LossHistory { train, validation: (0..=3000).step_by(300).map(|s| point(s, 0.02)).collect(), best_step: Some(2400) }
}

fn lag(peak: i32) -> Vec<(i32, f64)> {
    (-49..50).map(|l| (l, 0.25 * (-f64::from(l - peak).powi(2) / 200.0).exp() - 0.03)).collect()
}

/// Smooth, slow noise in [0, 1].
fn wave(who: u32, channel: usize, t: usize) -> f32 {
    let mut draws = Draws::new(3, "wave", who, channel as u32);
    let sum: f32 = (0..3).map(|k| (t as f32 * 0.03 * (1 + k) as f32 * (0.5 + draws.uniform()) + 6.3 * draws.uniform()).sin()).sum();
    (0.5 + 0.22 * sum).clamp(0.0, 1.0)
}

fn attributes(who: u32) -> Array2<f32> {
    Array2::from_shape_fn((FRAMES, 25), |(t, c)| match c {
        0..15 => f32::from(u8::from(wave(who, c, t) > 0.68)),
        15..17 => 2.0 * wave(who, c, t) - 1.0,
        _ => wave(who, c, t) / 4.0,
    })
}

fn samples(who: u32) -> Array3<f32> {
    Array3::from_shape_fn((SAMPLES, FRAMES, 25), |(k, t, c)| {
        let value = 0.7 * wave(who, c, t) + 0.3 * wave(100 + k as u32, c, t);
        if (15..17).contains(&c) {
            2.0 * value - 1.0
        } else if c > 16 {
            value / 4.0
        } else {
            value * value
        }
    })
}

fn traces<'a>(speaker: &'a Array2<f32>, truth: &'a Array2<f32>, samples: &'a Array3<f32>) -> ChannelTraces<'a> {
    ChannelTraces { fps: FPS, speaker: Some(speaker.view()), truth: Some(truth.view()), samples: Some(samples.view()), lines: 3 }
}

/// A face that smiles, blinks, talks and nods.
fn coefficients(who: u32) -> Array2<f32> {
    let index = |name| react_face::expression(name).unwrap_or(0);
    let mut coeffs = Array2::zeros((FRAMES, 58));
    for t in 0..FRAMES {
        let smile = (2.0 * wave(who, 7, t) - 0.6).max(0.0);
        for (name, value) in
            [("mouthSmileLeft", smile), ("mouthSmileRight", smile), ("cheekSquintLeft", 0.6 * smile), ("cheekSquintRight", 0.6 * smile)]
        {
            coeffs[[t, index(name)]] = value;
        }
        coeffs[[t, index("jawOpen")]] = 0.4 * (wave(who, 14, 3 * t) - 0.4).max(0.0);
        coeffs[[t, index("browInnerUp")]] = wave(who, 0, t);
        let blink = if (t + 17 * who as usize) % 70 < 5 { 1.0 } else { 0.0 };
        for name in ["eyeBlinkLeft", "eyeBlinkRight"] {
            coeffs[[t, index(name)]] = blink;
        }
        for (c, size) in [(52, 0.2), (53, 0.5), (54, 0.2)] {
            coeffs[[t, c]] = size * (wave(who, c, t) - 0.5);
        }
    }
    coeffs
}

/// A speaker's recording: the same kind of face from elsewhere, at another size.
fn recording(who: u32) -> Array4<u8> {
    let person = Person::draw(&mut Draws::new(5, "speaker", who, 0));
    let mut portrait = react_face::Portrait::new(&react_face::Head::embedded(), &person, react_face::Look::default(), 96, 96);
    let coeffs = coefficients(40 + who);
    let mut frames = Array4::zeros((FRAMES, 96, 96, 3));
    for t in 0..FRAMES {
        let mut row = [0.0; 58];
        row.iter_mut().zip(coeffs.row(t)).for_each(|(to, from)| *to = *from);
        if let Some(out) = frames.slice_mut(s![t, .., .., ..]).as_slice_mut() {
            portrait.frame(&row, out);
        }
    }
    frames
}

fn example(folder: &Path, i: usize) -> Result<Example, Box<dyn Error>> {
    let who = i as u32;
    let (speaker, avatar) = (recording(who), Avatar::from(Person::draw(&mut Draws::new(9, "listener", who, 0))));
    let coeffs: Vec<_> = (0..3).map(|k| coefficients(10 * who + k)).collect();
    let labels = ["Real listener", "Sample 1", "Sample 2"];
    let listeners: Vec<_> =
        labels.iter().zip(&coeffs).map(|(label, coeffs)| Listener { label, coeffs: coeffs.view(), avatar: &avatar }).collect();
    let film = Panel::Film(Film { label: "Speaker", frames: speaker.view() });
    let animation = |listener: &Listener<'_>| Ok(Animation { label: listener.label.into(), glb: avatar.glb(listener.coeffs, FPS)? });
    let animations = listeners.iter().map(animation).collect::<Result<_, react_face::FaceError>>()?;
    let panels: Vec<_> = std::iter::once(film).chain(listeners.iter().copied().map(Panel::Face)).collect();
    let path = folder.join(format!("example-{}.mp4", i + 1));
    let start = std::time::Instant::now();
    let facts = write_panels(&path, &Panels { panels: &panels, fps: FPS, side: 256, sound: None })?;
    println!("{}: {} frames of {}×{} in {:.2?}", path.display(), facts.frames, facts.width, facts.height, start.elapsed());
    let figure = channels("The 25 attributes over time", &traces(&attributes(who), &attributes(who + 1), &samples(who + 1)))?;
    let scores = Metric::react().into_iter().zip([Some(2.4), Some(88.1), Some(0.0005), Some(0.001), None, Some(44.0)]).collect();
    let caption = "The smile comes half a second after the speaker's in all samples.".into();
    Ok(Example {
        name: name(i),
        caption,
        featured: true,
        animations,
        video: Some(Video::read(&path, facts.width, facts.height)?),
        scores,
        figures: vec![figure],
    })
}

fn filmstrip(folder: &Path) -> Result<Picture, Box<dyn Error>> {
    let (speaker, avatar) = (recording(0), Avatar::from(Person::draw(&mut Draws::new(9, "listener", 0, 0))));
    let coeffs: Vec<_> = (0..4).map(coefficients).collect();
    let labels = ["Real listener", "Sample 1", "Sample 2", "Sample 3"];
    let listeners: Vec<_> =
        labels.iter().zip(&coeffs).map(|(label, coeffs)| Listener { label, coeffs: coeffs.view(), avatar: &avatar }).collect();
    let path = folder.join("strip.png");
    write_strip(&path, &Strip { speaker: Some(speaker.view()), listeners: &listeners, fps: FPS, frames: &evenly(FRAMES, 8), side: 112 })?;
    Ok(Picture::read(&path, "Filmstrip: speaker, real listener and three samples at eight moments", "Eight moments of example 1.")?)
}
