//! The reference vectors: values of the published definitions, computed elsewhere.

#![allow(clippy::unwrap_used, reason = "tests")]

use ndarray::{Array2, Array3, Array4, ArrayD, IxDyn};
use react_metrics::*;
use safetensors::{Dtype, SafeTensors};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/../../tests/fixtures/metrics/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn tensor(file: &[u8], name: &str) -> ArrayD<f64> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values = match tensor.dtype() {
        Dtype::F32 => tensor.data().as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect(),
        Dtype::F64 => tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect(),
        other => panic!("{other:?}"),
    };
    ArrayD::from_shape_vec(IxDyn(tensor.shape()), values).unwrap()
}

struct Reference {
    prediction: Array4<f32>,
    listener: Array3<f32>,
    speaker: Array3<f32>,
    neighbours: Neighbours,
    json: serde_json::Value,
}

fn reference() -> Reference {
    let file = fixture("metrics.io.safetensors");
    let f32s = |name| tensor(&file, name).mapv(|x| x as f32);
    let neighbours: Array2<f64> = tensor(&file, "neighbours").into_dimensionality().unwrap();
    Reference {
        prediction: f32s("prediction").into_dimensionality().unwrap(),
        listener: f32s("listener_emotion").into_dimensionality().unwrap(),
        speaker: f32s("speaker_emotion").into_dimensionality().unwrap(),
        neighbours: Neighbours::new(neighbours.view()).unwrap(),
        json: serde_json::from_slice(&fixture("metrics.json")).unwrap(),
    }
}

#[track_caller]
fn close(found: f64, want: f64, relative: f64, absolute: f64) {
    let allowed = (relative * want.abs()).max(absolute);
    assert!((found - want).abs() <= allowed, "{found} instead of {want}: {:e} apart", (found - want).abs());
}

#[test]
fn published_values() {
    let r = reference();
    let inputs = Inputs::new(r.prediction.view(), r.listener.view(), Some(r.speaker.view()), &r.neighbours).unwrap();
    let scores = score(&inputs, &Options::default(), &|_| ());
    let want = |key: &str| r.json["values"][key].as_f64().unwrap();
    let p = scores.published;
    let aggregates = [
        (p.fr_corr, "FRCorr"),
        (p.fr_corr, "FRCorr_serial_sum"),
        (p.fr_dist, "FRDist"),
        (p.fr_div, "FRDiv_smse"),
        (p.fr_var, "FRVar"),
        (p.fr_dvs, "FRDvs"),
    ];
    for (found, key) in aggregates {
        close(found, want(key), 1e-6, 0.0);
    }
    assert_eq!(p.fr_syn, Some(want("FRSyn_first_sample")));
    assert_eq!(p.fr_syn_all, Some(want("FRSyn_all_samples")));
    let frames = r.prediction.dim().2 as f64;
    close(p.fr_var * (frames - 1.0) / frames, want("FRVar_numpy_population"), 1e-6, 0.0);
    assert_eq!(scores.per_clip.len(), 8);
    for (i, clip) in scores.per_clip.iter().enumerate() {
        let want = |key: &str| r.json["per_clip"][key][i].as_f64().unwrap();
        close(clip.published.fr_corr, want("FRCorr"), 1e-5, 1e-7);
        close(clip.published.fr_dist, want("FRDist"), 1e-5, 1e-7);
    }
    // The reference holds constant channels, a frozen listener and a frozen prediction on purpose.
    assert!(!scores.diagnostics.constant_channels.is_empty() && !scores.diagnostics.frozen.is_empty());
    assert!(scores.diagnostics.nan_lags.unwrap() > 0);
    // What the sound form changes.
    close(scores.sound.fr_corr, p.fr_corr / 3.0, 1e-15, 0.0);
    close(scores.sound.fr_dist, p.fr_dist / 3.0, 1e-15, 0.0);
    assert!(scores.sound.fr_syn.unwrap() < 49.0);
}

#[test]
fn single_functions_agree_with_score() {
    let r = reference();
    let inputs = Inputs::new(r.prediction.view(), r.listener.view(), Some(r.speaker.view()), &r.neighbours).unwrap();
    let p = score(&inputs, &Options::default(), &|_| ()).published;
    let (prediction, listener) = (r.prediction.view(), r.listener.view());
    assert_eq!(fr_corr(prediction, listener, &r.neighbours).unwrap(), p.fr_corr);
    assert_eq!(fr_dist(prediction, listener, &r.neighbours).unwrap(), p.fr_dist);
    assert_eq!(fr_div(prediction).unwrap(), p.fr_div);
    assert_eq!(fr_var(prediction).unwrap(), p.fr_var);
    assert_eq!(fr_dvs(prediction).unwrap(), p.fr_dvs);
    assert_eq!(fr_syn(prediction, r.speaker.view()).unwrap(), p.fr_syn.unwrap());
}

#[test]
fn json_has_flat_published_keys() {
    let r = reference();
    let scored = |speaker| {
        let inputs = Inputs::new(r.prediction.view(), r.listener.view(), speaker, &r.neighbours).unwrap();
        let bootstrap = Some(Bootstrap { replicates: 50, seed: 1 });
        serde_json::to_value(score(&inputs, &Options { bootstrap, ..Options::default() }, &|_| ())).unwrap()
    };
    let json = scored(Some(r.speaker.view()));
    for key in ["FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn", "FRSyn_all"] {
        let value = json[key].as_f64().unwrap();
        let interval = &json["intervals"][key];
        assert!(interval["low"].as_f64().unwrap() <= value && value <= interval["high"].as_f64().unwrap(), "{key}: {interval}");
        assert!(json["per_clip"][0][key].is_number());
    }
    assert!(json["sound"]["FRSyn"].is_number());
    let json = scored(None);
    assert!(json["FRSyn"].is_null() && json["FRSyn_all"].is_null() && json["sound"]["FRSyn"].is_null());
    assert!(json["intervals"]["FRSyn"].is_null() && json["intervals"]["FRDist"]["low"].is_number());
}

#[test]
fn frechet_distance_of_a_singular_covariance() {
    let file = fixture("frechet.safetensors");
    let set = |name| tensor(&file, name).into_dimensionality().unwrap();
    let (a, b): (Array2<f64>, Array2<f64>) = (set("a"), set("b"));
    let want = tensor(&file, "frechet_distance")[[0]];
    close(frechet_distance(a.view(), b.view()).unwrap(), want, 1e-6, 0.0);
    close(frechet_distance(b.view(), a.view()).unwrap(), want, 1e-6, 0.0);
}
