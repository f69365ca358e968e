//! The plots: named axes, channel names, well-formed, without NaN, the same bytes every time.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ndarray::{Array2, Array3};
use react_contracts::channels::EMOTION;
use react_viz::plots::{ChannelTraces, LagCurve, LossHistory, LossPoint, channels, coefficients, lag_curves, losses, per_clip};
use react_viz::{Figure, Metric};

fn history() -> LossHistory {
    let point = |step: u64| {
        let decay = (-(step as f64) / 60.0).exp();
        LossPoint {
            step,
            total: Some(0.1 + 8.0 * decay),
            reconstruction: Some(0.1 + 0.2 * decay),
            kl: Some(900.0 * decay),
            diversity: (step > 2).then_some(1.5),
        }
    };
    LossHistory { train: (0..300).map(point).collect(), validation: (0..300).step_by(50).map(point).collect(), best_step: Some(250) }
}

/// Names of all text elements of a figure's one drawing; constructing it checked that it is well-formed.
fn words(figure: &Figure) -> String {
    figure.svg().expect("it has panels").standalone()
}

fn check(figure: &Figure) -> String {
    let text = words(figure);
    assert!(!text.contains("NaN") && !text.contains("inf"), "no coordinate is not a number");
    // `currentColor` and the palette are the only colours: nothing stands in for them any more.
    assert!(!text.contains("#01020") && text.contains("currentColor"));
    text
}

#[test]
fn losses_have_four_named_panels() {
    let figure = losses(&history()).unwrap();
    assert_eq!(figure.panels.len(), 4);
    let text = check(&figure);
    for word in
        ["Total", "Reconstruction", "KL divergence", "Diversity", "training step", "loss, log scale", "validation", "best checkpoint"]
    {
        assert!(text.contains(word), "{word}");
    }
    assert_eq!(text, words(&losses(&history()).unwrap()));
}

#[test]
fn losses_that_are_missing_or_no_numbers_are_left_out() {
    assert!(losses(&LossHistory::default()).is_err());
    let train = vec![LossPoint { step: 7, total: Some(f64::NAN), kl: Some(0.0), ..Default::default() }];
    let figure = losses(&LossHistory { train, ..Default::default() }).unwrap();
    assert_eq!(figure.panels.len(), 2);
    check(&figure);
}

#[test]
fn channels_are_named_and_timed() {
    let (t, k) = (751, 10);
    let wave = |phase: f32, c: usize, i: usize| ((i as f32 * 0.02 + phase).sin() * 0.5 + 0.5) * if c < 15 { 1.0 } else { 0.7 };
    let speaker = Array2::from_shape_fn((t, 25), |(i, c)| wave(0.0, c, i));
    let truth = Array2::from_shape_fn((t, 25), |(i, c)| if c < 15 { wave(1.0, c, i).round() } else { wave(1.0, c, i) });
    let samples = Array3::from_shape_fn((k, t, 25), |(s, i, c)| wave(0.2 * s as f32, c, i));
    let traces =
        ChannelTraces { fps: 25.0, speaker: Some(speaker.view()), truth: Some(truth.view()), samples: Some(samples.view()), lines: 3 };
    let figure = channels("clip", &traces).unwrap();
    assert_eq!(figure.panels.len(), 25);
    let text = check(&figure);
    for name in EMOTION {
        assert!(text.contains(name), "{name}");
    }
    for word in [
        "time (s)",
        "occurrence",
        "in [−1, 1]",
        "probability",
        "speaker",
        "real listener",
        "samples 1–3",
        "lowest to highest of 10 samples",
        "middle half of the samples (25 to 75 %)",
        "\n30\n",
    ] {
        assert!(text.contains(word), "{word}");
    }
    assert!(text.len() < 1_500_000, "{} bytes", text.len());
}

#[test]
fn all_58_coefficients_are_named_with_their_units() {
    let wave = |s: usize, i: usize, c: usize| (i as f32 * 0.05 + s as f32 + c as f32).sin() * if c < 52 { 0.3 } else { 2.0 };
    let truth = Array2::from_shape_fn((100, 58), |(i, c)| wave(0, i, c));
    let samples = Array3::from_shape_fn((3, 100, 58), |(s, i, c)| wave(s, i, c));
    let traces = ChannelTraces { fps: 25.0, speaker: None, truth: Some(truth.view()), samples: Some(samples.view()), lines: 1 };
    let figure = coefficients("clip", &traces).unwrap();
    assert_eq!((figure.panels.len(), figure.columns), (58, 6));
    let text = check(&figure);
    for word in [
        "expression 1",
        "expression 52",
        "rotation x (rad)",
        "rotation z (rad)",
        "translation y",
        "coefficient",
        "\nrad\n",
        "model units",
        "time (s)",
    ] {
        assert!(text.contains(word), "{word}");
    }
    // Quarters of three samples mean little.
    assert!(text.contains("lowest to highest of 3 samples") && !text.contains("middle half"));
    let error =
        coefficients("x", &ChannelTraces { truth: None, samples: None, speaker: Some(truth.slice(ndarray::s![.., ..25])), ..traces });
    assert_eq!(error.unwrap_err().to_string(), "speaker: coefficients must be 58, is 25");
    let error = channels("x", &traces).unwrap_err();
    assert_eq!(error.to_string(), "truth: attributes must be 25, is 58");
}

#[test]
fn one_sample_alone_and_holes_can_be_drawn() {
    let mut samples = Array3::<f32>::zeros((1, 40, 25));
    samples[[0, 20, 3]] = f32::NAN;
    let traces = ChannelTraces { fps: 25.0, speaker: None, truth: None, samples: Some(samples.view()), lines: 3 };
    let figure = channels("one", &traces).unwrap();
    assert_eq!(figure.keys.len(), 1);
    check(&figure);
    let one_frame = Array3::<f32>::zeros((2, 1, 25));
    check(&channels("frame", &ChannelTraces { samples: Some(one_frame.view()), ..traces }).unwrap());
}

#[test]
fn wrong_shapes_are_named() {
    let truth = Array2::<f32>::zeros((10, 26));
    let none = ChannelTraces { fps: 25.0, speaker: None, truth: None, samples: None, lines: 3 };
    let error = channels("x", &ChannelTraces { truth: Some(truth.view()), ..none }).unwrap_err();
    assert_eq!(error.to_string(), "truth: attributes must be 25, is 26");
    assert!(channels("x", &none).is_err());
    let truth = Array2::<f32>::zeros((10, 25));
    assert!(channels("x", &ChannelTraces { truth: Some(truth.view()), fps: 0.0, ..none }).is_err());
}

#[test]
fn clips_are_sorted_bars_with_named_levels() {
    let metric = &Metric::react()[0];
    let values: Vec<Option<f64>> = (0..40).map(|i| (i != 7).then_some((i * 13 % 40) as f64 / 10.0)).collect();
    let figure = per_clip(metric, &values, &[("Mime", 0.71), ("MeanSeq", 0.74), ("<none>", f64::NAN)]).unwrap();
    let text = check(&figure);
    for word in ["FRCorr ↑", "clips, sorted by score", "Mime 0.71", "MeanSeq 0.74", "this run 1.97"] {
        assert!(text.contains(word), "{word}");
    }
    assert!(figure.caption.contains("1 of 40 clips have no score"));
    assert!(per_clip(metric, &[None], &[]).is_err());
    check(&per_clip(metric, &[Some(0.0)], &[]).unwrap());
}

#[test]
fn lag_curves_are_in_seconds() {
    let points: Vec<(i32, f64)> =
        (-49..50).map(|lag: i32| (lag, if lag == 0 { f64::NAN } else { 1.0 / f64::from(1 + (lag - 10).abs()) })).collect();
    let figure = lag_curves(&[LagCurve { label: "this run", points: &points }], 25.0).unwrap();
    let text = check(&figure);
    assert!(text.contains("lag (s)") && text.contains("mean correlation") && text.contains("this run"));
    assert!(lag_curves(&[], 25.0).is_err());
}
