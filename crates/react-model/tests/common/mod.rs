//! What the tests against reference vectors share.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

pub(crate) mod transvae;

use candle_core::{Device, Tensor};
use react_model::Params;
use react_model::optim::Gradients;
use std::path::PathBuf;

/// A file of the repository's fixtures; REACT_FIXTURES names their folder where the program runs on another machine.
pub(crate) fn fixture(folder: &str, name: &str) -> PathBuf {
    let given = std::env::var_os("REACT_FIXTURES").map(PathBuf::from);
    given.unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures").into()).join(folder).join(name)
}

fn floats(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

pub(crate) fn bits(x: &Tensor) -> Vec<u32> {
    floats(x).into_iter().map(f32::to_bits).collect()
}

/// ‖a − b‖ / ‖b‖, in f64.
pub(crate) fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let (a, b) = (floats(a), floats(b));
    let difference: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let norm: f64 = b.iter().map(|b| f64::from(*b).powi(2)).sum();
    difference.sqrt() / norm.sqrt()
}

/// Every parameter's gradient against a file's: within 1e-3, or 1e-6 absolute where the reference's norm is below 1e-5. Parameters
/// below `without` have neither a reference nor a gradient.
pub(crate) fn check_gradients(params: &Params, gradients: &Gradients, file: PathBuf, without: Option<&str>) {
    let worst = distance_of_gradients(params, gradients, file, without, 1e-6);
    assert!(worst.0 < 1e-3, "{}: {}", worst.1, worst.0);
}

/// The largest distance of a parameter's gradient, and whose it is; `absolute` is allowed where the reference's norm is below 1e-5.
pub(crate) fn distance_of_gradients(
    params: &Params,
    gradients: &Gradients,
    file: PathBuf,
    without: Option<&str>,
    absolute: f64,
) -> (f64, String) {
    let references = candle_core::safetensors::load(file, &Device::Cpu).unwrap();
    let (mut compared, mut worst) = (0, (0.0, String::new()));
    for (name, _) in params.all() {
        if without.is_some_and(|prefix| name.starts_with(prefix)) {
            assert!(!references.contains_key(&name) && gradients.get(&name).is_none(), "{name} has a gradient");
            continue;
        }
        compared += 1;
        let want = references.get(&name).unwrap_or_else(|| panic!("{name} has no reference"));
        let found = gradients.get(&name).unwrap_or_else(|| panic!("{name} has no gradient")).to_device(&Device::Cpu).unwrap();
        if floats(want).iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() < 1e-5 {
            let difference = floats(&(&found - want).unwrap()).into_iter().fold(0.0f32, |max, x| max.max(x.abs()));
            assert!(f64::from(difference) < absolute, "{name}: {difference}");
        } else {
            let distance = distance(&found, want);
            assert!(distance.is_finite(), "{name}: {distance}");
            if distance > worst.0 {
                worst = (distance, name);
            }
        }
    }
    assert_eq!(compared, references.len(), "a reference has no parameter");
    worst
}
