//! `score`: arrays of any program, against the reference values.

use crate::{fails, fixture, succeeds};
use ndarray::{Array, ArrayD, IxDyn};
use serde_json::Value;

fn arrays(folder: &std::path::Path) {
    let bytes = std::fs::read(fixture("metrics/metrics.io.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in ["prediction", "listener_emotion", "speaker_emotion", "neighbours"] {
        let view = tensors.tensor(name).unwrap();
        let values: Vec<f32> = match view.dtype() {
            safetensors::Dtype::F32 => view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            _ => view.data().as_chunks::<8>().0.iter().map(|bytes| f64::from_le_bytes(*bytes) as f32).collect(),
        };
        let array: ArrayD<f32> = Array::from_shape_vec(IxDyn(view.shape()), values).unwrap();
        react_store::write_npy(&folder.join(format!("{name}.npy")), &array).unwrap();
    }
}

#[test]
fn the_reference_values_in_the_fixed_form() {
    let folder = tempfile::tempdir().unwrap();
    arrays(folder.path());
    let base = [
        "score",
        "--prediction",
        "prediction.npy",
        "--listener",
        "listener_emotion.npy",
        "--neighbours",
        "neighbours.npy",
        "--json",
        "out.json",
    ];
    let (table, _) = succeeds(folder.path(), &[&base[..], &["--speaker", "speaker_emotion.npy"]].concat());
    assert!(table.contains("FRCorr") && table.contains("0.620"), "{table}");
    let json = || -> Value { serde_json::from_str(&std::fs::read_to_string(folder.path().join("out.json")).unwrap()).unwrap() };
    let want: Value = serde_json::from_str(&std::fs::read_to_string(fixture("metrics/metrics.json")).unwrap()).unwrap();
    let found = json();
    let keys = [
        ("FRCorr", "FRCorr"),
        ("FRDist", "FRDist"),
        ("FRDiv", "FRDiv_smse"),
        ("FRVar", "FRVar"),
        ("FRDvs", "FRDvs"),
        ("FRSyn", "FRSyn_first_sample"),
        ("FRSyn_all", "FRSyn_all_samples"),
    ];
    for (key, reference) in keys {
        let (found, want) = (found[key].as_f64().unwrap(), want["values"][reference].as_f64().unwrap());
        assert!((found - want).abs() <= 1e-6 * want.abs(), "{key}: {found}, reference {want}");
    }
    succeeds(folder.path(), &base);
    assert!(json()["FRSyn"].is_null(), "without speakers there is no FRSyn");
}

#[test]
fn a_shape_or_a_value_that_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    arrays(folder.path());
    let swapped = fails(folder.path(), &["score", "--prediction", "listener_emotion.npy", "--listener", "listener_emotion.npy"]);
    assert!(swapped.contains("listener_emotion.npy") && swapped.contains("[N,K,T,25]") && swapped.contains("[8, 120, 25]"), "{swapped}");
    let mut prediction = react_store::read_npy_f32(&folder.path().join("prediction.npy")).unwrap();
    prediction[[3, 1, 50, 24]] = f32::NAN;
    react_store::write_npy(&folder.path().join("nan.npy"), &prediction).unwrap();
    let nan = fails(folder.path(), &["score", "--prediction", "nan.npy", "--listener", "listener_emotion.npy"]);
    for word in ["nan.npy", "3", "1", "50", "24"] {
        assert!(nan.contains(word), "{nan}");
    }
}
