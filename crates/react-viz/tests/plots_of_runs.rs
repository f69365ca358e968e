//! The plots of a run's scores and latents, and all plots as PNG.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ndarray::Array2;
use react_viz::plots::{
    Curve, LatentPoints, OfClips, SeamCurve, Spread, intensities, latent_space, overlay, seam_curves, spread, systems_by_clip,
};
use react_viz::{Figure, Ground, Metric};

fn check(figure: &Figure) -> String {
    let text = figure.svg().unwrap().standalone();
    assert!(!text.contains("NaN") && !text.contains("inf"), "no coordinate is not a number");
    assert!(!text.contains("#01020") && text.contains("currentColor"));
    text
}

fn wave(i: usize) -> f64 {
    (i as f64 * 1.7).sin()
}

#[test]
fn latents_are_coloured_by_thirds_and_say_their_variance() {
    let means = Array2::from_shape_fn((60, 8), |(i, j)| (wave(i + 3 * j) * if j == 0 { 5.0 } else { 0.5 }) as f32);
    let valence: Vec<_> = (0..60).map(|i| Some(wave(i))).collect();
    let corr: Vec<_> = (0..60).map(|i| (i != 4).then_some(i as f64)).collect();
    let points = LatentPoints { means: means.view(), unit: "clip", by: &[("mean valence", &valence), ("FRCorr", &corr)] };
    let figure = latent_space(&points).unwrap();
    let text = check(&figure);
    for word in
        ["first principal axis (", "% of the variance)", "by mean valence (thirds: ", "by FRCorr (thirds: 20.00, 40.00)", "lowest third"]
    {
        assert!(text.contains(word), "{word}");
    }
    // 60 points in the first panel, 59 in the second, where one has no value; a third of them each.
    let of = |panel: usize, class: &str| figure.panels[panel].standalone().matches(&format!("class=\"f-{class}\"")).count();
    assert_eq!([of(0, "vermillion"), of(0, "sky"), of(0, "blue")], [20, 20, 20]);
    assert_eq!(of(1, "vermillion") + of(1, "sky") + of(1, "blue"), 59);
    assert!(latent_space(&LatentPoints { by: &[("x", &valence[..9])], ..points }).is_err());
    assert!(latent_space(&LatentPoints { means: Array2::zeros((60, 8)).view(), ..points }).is_err());
}

#[test]
fn systems_are_named_rows() {
    let metrics = Metric::react();
    let (run, truth): (Vec<f64>, Vec<f64>) = ((0..50).map(|i| 0.3 + 0.1 * wave(i)).collect(), vec![0.0; 50]);
    let systems = vec![OfClips { label: "Trans-VAE", values: &run }, OfClips { label: "<GT>", values: &truth }];
    let figure = systems_by_clip("Diversity", &[(&metrics[2], systems.clone()), (&metrics[3], systems)]).unwrap();
    assert_eq!(figure.panels.len(), 2);
    let text = check(&figure);
    for word in ["Trans-VAE", "&lt;GT&gt;", "FRDiv ↑ per clip", "FRVar ↑ per clip", "mean (upright)"] {
        assert!(text.contains(word), "{word}");
    }
    assert!(systems_by_clip("Diversity", &[(&metrics[2], vec![OfClips { label: "a", values: &[] }])]).is_err());
    assert!(systems_by_clip("Diversity", &[]).is_err());
}

#[test]
fn spread_has_a_row_an_attribute() {
    let values: Vec<f64> = (0..25).map(|i| 0.2 + 0.1 * wave(i)).collect();
    let of = |label| Spread { label, values: &values };
    let panels = [
        ("between", "standard deviation", vec![of("Trans-VAE"), of("real listener")]),
        ("over time", "standard deviation", vec![of("real listener")]),
    ];
    let figure = spread("Spread", "", &panels).unwrap();
    assert_eq!((figure.keys.len(), figure.panels.len()), (2, 2));
    let text = check(&figure);
    for name in ["AU1", "AU26", "valence", "Contempt"] {
        assert!(text.contains(name), "{name}");
    }
    // The run is blue; the real listener has the ink of the text in both panels, and is alone in the second.
    let blue = figure.panels.iter().map(|panel| panel.standalone().contains("class=\"f-blue\"")).collect::<Vec<_>>();
    assert_eq!(blue, [true, false]);
    assert!(spread("x", "", &[("a", "b", vec![Spread { label: "c", values: &values[..24] }])]).is_err());
    assert!(spread("x", "", &[]).is_err());
}

#[test]
fn seams_stand_around_the_border() {
    let jumps = [0.9, 0.2, 0.2, 0.3, 0.2, 0.2, 0.2, 0.2];
    let level = [0.25; 8];
    let figure =
        seam_curves(&[SeamCurve { label: "Trans-VAE", jumps: &jumps }, SeamCurve { label: "real listener", jumps: &level }]).unwrap();
    let text = check(&figure);
    for word in ["frames after the first frame of a window", "mean jump of the attributes", "first frame of a window", "\n−4\n", "\n4\n"]
    {
        assert!(text.contains(word), "{word}");
    }
    assert!(seam_curves(&[SeamCurve { label: "x", jumps: &[0.1] }]).is_err() && seam_curves(&[]).is_err());
}

#[test]
fn runs_are_laid_over_each_other() {
    let run = |label: &str, scale: f64| Curve {
        label: label.to_owned(),
        points: (0..200).map(|i| (f64::from(i), scale * (-0.03 * f64::from(i)).exp())).collect(),
    };
    let many: Vec<Curve> = (0..8).map(|i| run(&format!("run {i}"), 1.0 + f64::from(i))).collect();
    let figure =
        overlay("Losses", &[("Total", many.clone()), ("KL", many[..1].to_vec()), ("none", Vec::new())], "training step", "loss").unwrap();
    assert_eq!((figure.keys.len(), figure.panels.len()), (8, 2));
    let text = check(&figure);
    assert!(text.contains("run 7") && text.contains("loss, log scale") && text.contains("stroke-dasharray"));
    assert!(overlay("Losses", &[("Total", Vec::new())], "x", "y").is_err());
}

#[test]
fn intensities_say_their_correlation() {
    let emotions: Vec<String> = ["Fear", "Joy"].map(str::to_owned).to_vec();
    let labels = Array2::from_shape_fn((30, 2), |(i, _)| i as f32 / 30.0);
    let predictions = Array2::from_shape_fn((30, 2), |(i, j)| if j == 0 { 1.0 - i as f32 / 30.0 } else { 0.5 });
    let text = check(&intensities(&emotions, labels.view(), predictions.view()).unwrap());
    assert!(text.contains("Fear: r = -1.00") && text.contains("Joy: constant"));
}

/// Every kind of plot becomes a picture, on white and on dark, and the same one every time.
#[test]
fn plots_become_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let run = Curve { label: "a run".to_owned(), points: (0..9).map(|i| (f64::from(i), f64::from(i * i))).collect() };
    let figure = overlay("Losses", &[("Total", vec![run])], "training step", "loss").unwrap();
    let svg = figure.svg().unwrap();
    let [once, again] = ["once.png", "again.png"].map(|name| folder.path().join(name));
    figure.write_png(&once, 2.0).unwrap();
    figure.write_png(&again, 2.0).unwrap();
    assert_eq!(std::fs::read(&once).unwrap(), std::fs::read(&again).unwrap());
    let picture = react_media::read_png(&once).unwrap();
    assert_eq!((picture.width, picture.height), (2 * svg.width() as usize, 2 * svg.height() as usize));
    let share = |rgb: &[u8], colour: [u8; 3]| rgb.chunks_exact(3).filter(|p| *p == colour).count() as f64 / (rgb.len() / 3) as f64;
    assert!(share(&picture.rgb, [255; 3]) > 0.8 && picture.rgb.chunks_exact(3).any(|p| p == [0x00, 0x72, 0xB2]), "blue on white");
    let dark = folder.path().join("dark.png");
    std::fs::write(&dark, figure.png(1.0, Ground::Dark).unwrap()).unwrap();
    let picture = react_media::read_png(&dark).unwrap();
    assert!(
        share(&picture.rgb, [0x16, 0x19, 0x1e]) > 0.8 && picture.rgb.chunks_exact(3).any(|p| p == [0x8c, 0xcb, 0xf5]),
        "light blue on dark"
    );
    assert!(figure.write_png(&once, 1e6).is_err());
}
