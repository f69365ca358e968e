//! Each layer against PyTorch: results and all gradients (tests/fixtures/layers, made by tests/peers/layers.py).
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{DType, Device, Tensor, Var};
use react_model::layers::*;
use react_model::ops::*;
use react_model::{Mode, Params, Precision};
use std::collections::HashMap;
use std::sync::OnceLock;

/// ‖a − b‖ / ‖b‖, in f64; absolute where b is 0 (a key's bias has no influence).
fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.dims(), b.dims());
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (flat(a), flat(b));
    let difference: f64 = a.iter().zip(&b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let norm: f64 = b.iter().map(|b| f64::from(*b).powi(2)).sum();
    difference.sqrt() / if norm.sqrt() < 1e-5 { 1.0 } else { norm.sqrt() }
}

/// A case of the fixture.
struct Case(&'static str);

impl Case {
    fn find(&self, key: &str) -> Option<Tensor> {
        static ALL: OnceLock<HashMap<String, Tensor>> = OnceLock::new();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/layers/layers.safetensors");
        let all = ALL.get_or_init(|| candle_core::safetensors::load(file, &Device::Cpu).unwrap());
        all.get(&format!("{}/{key}", self.0)).cloned()
    }

    fn get(&self, key: &str) -> Tensor {
        self.find(key).unwrap_or_else(|| panic!("{}: no {key}", self.0))
    }

    fn numbers(&self, key: &str) -> Vec<usize> {
        self.get(key).flatten_all().unwrap().to_vec1::<i64>().unwrap().into_iter().map(|n| n as usize).collect()
    }

    /// Channels first in the fixture, channels last here.
    fn pictures(&self, key: &str) -> Tensor {
        self.get(key).permute((0, 2, 3, 4, 1)).unwrap().contiguous().unwrap()
    }

    /// Runs a layer whose parameters are `params` and compares its result and its gradients.
    fn check(&self, params: &Params, inputs: &[&str], run: impl Fn(&[Tensor]) -> Tensor) {
        let picture = self.get("out").rank() == 5;
        let read = |key: &str| if picture { self.pictures(key) } else { self.get(key) };
        for (name, var) in params.all() {
            var.set(&self.get(&format!("p.{name}"))).unwrap();
        }
        let leaves: Vec<Tensor> = inputs
            .iter()
            .map(|key| match read(key) {
                bytes if bytes.dtype() == DType::U8 => bytes,
                x => Var::from_tensor(&x).unwrap().into_inner(),
            })
            .collect();
        let out = run(&leaves);
        let far = distance(&out, &read("out"));
        assert!(far < 2e-6, "{}: {far:e}", self.0);
        let gradients = (out * read("r")).unwrap().sum_all().unwrap().backward().unwrap();
        let compare = |name: &str, leaf: &Tensor, want: Tensor| {
            let found = gradients.get(leaf).unwrap_or_else(|| panic!("{}: {name} has no gradient", self.0));
            let far = distance(found, &want);
            assert!(far < 1e-5, "{}: gradient of {name}: {far:e}", self.0);
        };
        for (name, var) in params.all() {
            compare(&name, var.as_tensor(), self.get(&format!("grad.p.{name}")));
        }
        for (name, leaf) in inputs.iter().zip(&leaves) {
            if leaf.dtype() == DType::U8 {
                assert!(gradients.get(leaf).is_none(), "{}: bytes have a gradient", self.0);
            } else {
                compare(name, leaf, read(&format!("grad.{name}")));
            }
        }
    }
}

fn mode() -> Mode {
    Mode::train(0, 0).without_dropout()
}

#[test]
fn linear_and_norm() {
    let params = Params::new(0);
    let layer = Linear::new(6, 5, &params.root()).unwrap();
    Case("linear").check(&params, &["x"], |x| layer.forward(&x[0], &mode()).unwrap());
    let params = Params::new(0);
    let layer = LayerNorm::new(6, &params.root()).unwrap();
    Case("layer_norm").check(&params, &["x"], |x| layer.forward(&x[0], &mode()).unwrap());
}

#[test]
fn attention_under_every_mask() {
    let params = Params::new(0);
    let layer = MultiHeadAttention::new(8, 2, 0.0, &params.root()).unwrap();
    let lengths = Case("attention").numbers("lengths");
    let own: Vec<usize> = lengths.iter().map(|l| *l.min(&5)).collect();
    for (case, mask) in [
        ("attention", Mask::NONE),
        ("attention_causal", Mask::CAUSAL),
        ("attention_padded", Mask::NONE.with_lengths(&own)),
        ("attention_both", Mask::CAUSAL.with_lengths(&own)),
    ] {
        Case(case).check(&params, &["x"], |x| layer.attend_masked(&x[0], None, &mask, &mode()).unwrap());
    }
    Case("attention").check(&params, &["x"], |x| layer.attend_to_itself(&x[0], false, &mode()).unwrap());
    Case("attention_causal").check(&params, &["x"], |x| layer.attend_to_itself(&x[0], true, &mode()).unwrap());
    Case("attention_memory").check(&params, &["x", "memory"], |x| layer.attend_to(&x[0], &x[1], &mode()).unwrap());
    let mask = Mask::NONE.with_lengths(&lengths);
    let padded = Case("attention_memory_padded");
    padded.check(&params, &["x", "memory"], |x| layer.attend_masked(&x[0], Some(&x[1]), &mask, &mode()).unwrap());
    for lengths in [&[5, 5][..], &[5, 0, 5], &[6, 5, 5]] {
        let mask = Mask::NONE.with_lengths(lengths);
        assert!(layer.attend_masked(&padded.get("x"), None, &mask, &mode()).is_err(), "{lengths:?}");
    }
}

#[test]
fn transformer_layers_of_both_orders() {
    for (name, order) in [("post", NormOrder::Post), ("pre", NormOrder::Pre)] {
        let case = |kind: &str, tail: &str| Case(format!("{kind}_{name}{tail}").leak());
        let config = TransformerConfig { width: 8, heads: 2, feed_forward: 12, dropout: 0.1, order };
        let params = Params::new(0);
        let encoder = EncoderLayer::new(&config, &params.root()).unwrap();
        case("encoder", "").check(&params, &["x"], |x| encoder.forward(&x[0], &mode()).unwrap());
        let two = encoder.forward_first(&case("encoder", "").get("x"), 2, &mode()).unwrap();
        assert!(distance(&two, &case("encoder", "").get("out").narrow(1, 0, 2).unwrap()) < 2e-6);
        let padded = case("encoder", "_padded");
        let mask = Mask::NONE.with_lengths(&padded.numbers("lengths"));
        padded.check(&params, &["x"], |x| encoder.forward_masked(&x[0], &mask, &mode()).unwrap());

        let params = Params::new(0);
        let decoder = DecoderLayer::new(&config, &params.root()).unwrap();
        let case = case("decoder", "");
        case.check(&params, &["x", "memory"], |x| decoder.forward(&x[0], &x[1], &mode()).unwrap());
        let (x, memory) = (case.get("x"), case.get("memory"));
        let cache = decoder.cache(&x, &memory, &Mode::eval()).unwrap();
        let last = decoder.forward_last(&x.narrow(1, 4, 2).unwrap(), &cache, &Mode::eval()).unwrap();
        assert!(distance(&last, &case.get("out").narrow(1, 4, 2).unwrap()) < 2e-6);
    }
}

#[test]
fn long_short_term_memory() {
    let params = Params::new(0);
    let layer = Lstm::new(5, 6, &params.root()).unwrap();
    let with_state = |x: &[Tensor]| layer.forward(&x[0], Some((&x[1], &x[2])), &mode()).unwrap();
    Case("lstm").check(&params, &["x", "h0", "c0"], with_state);
    Case("lstm_from_zero").check(&params, &["x"], |x| layer.forward(&x[0], None, &mode()).unwrap());
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let error = layer.forward(&zeros(&[3, 9, 5]), Some((&zeros(&[3, 6]), &zeros(&[1, 6]))), &mode()).unwrap_err();
    assert_eq!(error.to_string(), "state of an LSTM: must be [3, 6] each, are [3, 6] and [1, 6]");
    assert!(layer.forward(&zeros(&[3, 9, 4]), None, &mode()).is_err());
    assert!(layer.forward(&zeros(&[3, 0, 5]), None, &mode()).is_err());
}

#[test]
fn convolutions() {
    let conv = |case: &'static str, inputs, kernel, stride, padding, outputs, bias| {
        let params = Params::new(0);
        let config = Conv3dConfig { inputs, outputs, kernel, stride, padding, bias };
        let layer = Conv3d::new(config, &params.root()).unwrap();
        Case(case).check(&params, &["x"], |x| layer.forward(&x[0], &mode()).unwrap());
    };
    for (case, inputs, bias) in
        [("conv3d", 3, true), ("conv3d_strided", 4, true), ("conv3d_per_frame", 4, false), ("conv3d_in_time", 2, false)]
    {
        let sizes = Case(case).numbers("sizes");
        let triple = |i: usize| [sizes[3 * i], sizes[3 * i + 1], sizes[3 * i + 2]];
        conv(case, inputs, triple(0), triple(1), triple(2), 6, bias);
    }
    conv("conv3d_bytes", 3, [3, 3, 3], [1, 2, 2], [1, 1, 1], 4, false);
}

/// Convolution, InstanceNorm, ReLU and what follows, as one operation.
#[test]
fn convolution_blocks() {
    for (case, tail) in [("block_relu", Tail::Relu), ("block_add", Tail::ReluAdd), ("block_pool", Tail::ReluMaxPool)] {
        let params = Params::new(0);
        let weight = params.root().get("weight", &[4, 4, 1, 3, 3], react_model::Init::Zeros).unwrap();
        let shape = ConvBlockShape { frames: 3, stride: 1, padding: 1, tail, precision: Precision::F32 };
        Case(case).check(&params, &["x"], |x| {
            let y = conv_block(&x[0].flatten(0, 1).unwrap(), &weight, shape).unwrap();
            let (_, h, w, c) = y.dims4().unwrap();
            y.reshape((2, 3, h, w, c)).unwrap()
        });
    }
}

#[test]
fn pooling() {
    for case in ["pool3d", "pool3d_overlapping", "pool3d_per_frame"] {
        let sizes = Case(case).numbers("sizes");
        let triple = |i: usize| [sizes[3 * i], sizes[3 * i + 1], sizes[3 * i + 2]];
        let shape = MaxPool3dShape { kernel: triple(0), stride: triple(1), padding: triple(2) };
        Case(case).check(&Params::new(0), &["x"], |x| max_pool3d(&x[0], shape).unwrap());
    }
}
