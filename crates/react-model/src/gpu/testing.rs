//! What the tests of plans share.

use candle_core::{Device, Result, Tensor, Var};
use react_random::Draws;

/// Normal draws of a name.
pub(crate) fn normal(n: usize, name: &str) -> Vec<f32> {
    let mut x = vec![0.0; n];
    Draws::new(8, name, 0, 0).fill_normal(&mut x);
    x
}

/// Small whole numbers, which bf16 holds exactly, and so their products.
pub(crate) fn whole(n: usize, name: &str, most: f32) -> Vec<f32> {
    normal(n, name).iter().map(|x| (x * 1.2).round().clamp(-most, most)).collect()
}

/// On the CPU.
pub(crate) fn tensor(values: &[f32], shape: &[usize]) -> Tensor {
    Tensor::from_slice(values, shape, &Device::Cpu).unwrap()
}

/// Asserts that no element is further away than `tolerance` times the values' root mean square and its own size.
pub(crate) fn close(got: &[f32], want: &[f32], tolerance: f32, name: &str) {
    assert_eq!(got.len(), want.len(), "{name}");
    let scale = (want.iter().map(|x| f64::from(x * x)).sum::<f64>() / want.len() as f64).sqrt() as f32;
    for (i, (a, b)) in got.iter().zip(want).enumerate() {
        let most = tolerance * (scale + b.abs());
        assert!((a - b).abs() <= most || (a.is_nan() && b.is_nan()), "{name}: {a} at {i}, not {b} ± {most}");
    }
}

/// What an operation gives on the CPU, and its arguments' gradients for `grad`, the result's.
pub(crate) fn gradients(
    arguments: &[(&[f32], &[usize])],
    grad: &[f32],
    f: impl FnOnce(&[Tensor]) -> Result<Tensor>,
) -> (Vec<f32>, Vec<Vec<f32>>) {
    let variables: Vec<Var> = arguments.iter().map(|(values, shape)| Var::from_tensor(&tensor(values, shape)).unwrap()).collect();
    let given: Vec<Tensor> = variables.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&given).unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let all = (&y * tensor(grad, y.dims())).unwrap().sum_all().unwrap().backward().unwrap();
    (flat(&y), variables.iter().map(|v| flat(all.get(v).unwrap())).collect())
}
