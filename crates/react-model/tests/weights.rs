//! Files of weights: safetensors both ways with the optimizer's state, and `.pth` archives as PyTorch writes them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{Device::Cpu, Tensor};
use react_model::optim::{AdamW, AdamWConfig, Gradients};
use react_model::transvae::{Config, TransVae};
use react_model::weights::{self, Tensors};
use react_model::{Init, Params};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

fn values(params: &Params) -> Vec<(String, Vec<f32>)> {
    params.all().into_iter().map(|(name, var)| (name, var.flatten_all().unwrap().to_vec1().unwrap())).collect()
}

/// A model of two layers and its gradient at a step.
fn small(seed: u64) -> (Params, Tensor, Tensor) {
    let params = Params::new(seed);
    let w = params.root().at("fc").get("weight", &[3, 2], Init::kaiming(2)).unwrap();
    let b = params.root().at("fc").get("bias", &[3], Init::Normal).unwrap();
    (params, w, b)
}

fn step(params: &Params, w: &Tensor, b: &Tensor, adam: &mut AdamW) {
    let x = Tensor::new(&[[1f32, -2.0]], &Cpu).unwrap();
    let y = x.matmul(&w.t().unwrap()).unwrap().broadcast_add(b).unwrap().sqr().unwrap().sum_all().unwrap();
    adam.step(params, &Gradients::collect(params, &y.backward().unwrap()), 0.1).unwrap();
}

#[test]
fn stopping_and_continuing_gives_the_same_bits_and_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs/last.safetensors");
    let (params, w, b) = small(1);
    let mut adam = AdamW::new(AdamWConfig::default());
    (0..3).for_each(|_| step(&params, &w, &b, &mut adam));
    let note = BTreeMap::from([("epoch".to_owned(), "4".to_owned()), ("preset".to_owned(), "demo".to_owned())]);
    weights::save(&path, &params, Some(&adam), &note).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    weights::save(&path, &params, Some(&adam), &note).unwrap();
    assert_eq!(bytes, std::fs::read(&path).unwrap());
    (0..2).for_each(|_| step(&params, &w, &b, &mut adam));

    let tensors = Tensors::read(&path).unwrap();
    assert_eq!(tensors.note().values, note);
    let (again, w, b) = small(2);
    let mut adam_again = AdamW::new(AdamWConfig::default());
    weights::load(&tensors, &again).unwrap();
    weights::load_optimizer(&tensors, &again, &mut adam_again).unwrap();
    assert_eq!(adam_again.steps(), 3);
    (0..2).for_each(|_| step(&again, &w, &b, &mut adam_again));
    assert_eq!(values(&params), values(&again));
}

#[test]
fn a_file_without_an_optimizer_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.safetensors");
    let (params, ..) = small(1);
    weights::save(&path, &params, None, &BTreeMap::new()).unwrap();
    let tensors = Tensors::read(&path).unwrap();
    let error = weights::load_optimizer(&tensors, &params, &mut AdamW::new(AdamWConfig::default())).unwrap_err();
    assert!(error.to_string().ends_with("best.safetensors\": holds no state of an optimizer"), "{error}");
}

#[test]
fn missing_and_unknown_tensors_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    weights::save(&path, &small(1).0, None, &BTreeMap::new()).unwrap();
    let tensors = Tensors::read(&path).unwrap();
    let (more, ..) = small(1);
    more.root().get("extra", &[2, 2], Init::Ones).unwrap();
    assert!(weights::load(&tensors, &more).unwrap_err().to_string().ends_with("extra, [2, 2], is missing"));
    let less = Params::new(1);
    less.root().at("fc").get("weight", &[3, 2], Init::Ones).unwrap();
    assert!(weights::load(&tensors, &less).unwrap_err().to_string().ends_with("the model has no tensor fc.bias"));
}

#[test]
fn what_is_no_file_of_weights_is_an_error_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let huge_header = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
    let files = [
        write("empty", b""),
        write("text", b"hello, world, this is no file"),
        write("huge", &huge_header),
        write("zip", b"PK\x03\x04 and no more"),
    ];
    for path in files.iter().chain([&folder.path().join("absent")]) {
        let error = Tensors::read(path).unwrap_err().to_string();
        assert!(error.contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    }
}

/// Writes an archive of PyTorch: its pickle, and storages of f32.
fn archive(path: &Path, pickle: &[u8], storages: &[Vec<f32>]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("model_best/data.pkl", stored).unwrap();
    zip.write_all(pickle).unwrap();
    zip.start_file("model_best/byteorder", stored).unwrap();
    zip.write_all(b"little").unwrap();
    for (key, values) in storages.iter().enumerate() {
        zip.start_file(format!("model_best/data/{key}"), stored).unwrap();
        zip.write_all(&values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    }
    zip.finish().unwrap();
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(value: usize) -> Vec<u8> {
    [b"J", &(value as i32).to_le_bytes()[..]].concat()
}

fn ints(values: &[usize]) -> Vec<u8> {
    [b"(".to_vec(), values.iter().flat_map(|v| int(*v)).collect(), b"t".to_vec()].concat()
}

/// `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, OrderedDict())`, as `torch.save` pickles it.
fn tensor(key: usize, numbers: usize, offset: usize, dims: &[usize], strides: &[usize]) -> Vec<u8> {
    let storage = [
        b"(".to_vec(),
        text("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        text(&key.to_string()),
        text("cuda:0"),
        int(numbers),
        b"tQ".to_vec(),
    ]
    .concat();
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage,
        int(offset),
        ints(dims),
        ints(strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// A checkpoint of the published program: `{'epoch', 'state_dict', 'optimizer'}`.
fn checkpoint(tensors: &[(String, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<u8> = tensors.iter().flat_map(|(name, tensor)| [text(name), tensor.clone()].concat()).collect();
    // An OrderedDict, whose attribute _metadata is set at the end.
    let metadata = [b"}".to_vec(), text("_metadata"), b"ccollections\nOrderedDict\n)Rsb".to_vec()].concat();
    let state = [b"ccollections\nOrderedDict\nq\x00)Rq\x01(".to_vec(), items, b"u".to_vec(), metadata].concat();
    let state_of_optimizer =
        [text("state"), b"}".to_vec(), int(0), b"}".to_vec(), text("step"), b"G\x3f\xf0\0\0\0\0\0\0ss".to_vec()].concat();
    let groups =
        [text("param_groups"), b"](}".to_vec(), text("betas"), b"G\x3f\xf0\0\0\0\0\0\0G\x3f\xf0\0\0\0\0\0\0\x86".to_vec(), b"se".to_vec()]
            .concat();
    let optimizer = [b"}(".to_vec(), state_of_optimizer, groups, b"u".to_vec()].concat();
    [b"\x80\x02}q\x02(".to_vec(), text("epoch"), b"K\x07".to_vec(), text("state_dict"), state, text("optimizer"), optimizer, b"u.".to_vec()]
        .concat()
}

/// The vectors' weights as a `.pth` from several GPUs, with a matrix that lies transposed, one inside a larger storage, and the
/// buffer of positions: loaded, they are the same weights.
#[test]
fn a_published_checkpoint_loads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("best.pth");
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/transvae/transvae_offline.weights.safetensors");
    let original = Tensors::read(fixture.as_ref()).unwrap();
    let (mut storages, mut entries) = (Vec::new(), Vec::new());
    for (key, name) in original.names().enumerate() {
        let value = original.get(name).unwrap();
        let dims = value.dims().to_vec();
        let mut strides = value.stride().to_vec();
        let (mut numbers, mut offset) = (value.flatten_all().unwrap().to_vec1::<f32>().unwrap(), 0);
        if name.ends_with("fc.weight") {
            numbers = value.t().unwrap().contiguous().unwrap().flatten_all().unwrap().to_vec1().unwrap();
            strides = vec![1, dims[0]];
        } else if name.ends_with("mu_token") {
            offset = 5;
            numbers.splice(0..0, [9.0; 5]);
        }
        entries.push((format!("module.{name}"), tensor(key, numbers.len(), offset, &dims, &strides)));
        storages.push(numbers);
    }
    entries.push(("module.reaction_decoder.PE.pe".to_owned(), tensor(storages.len(), 0, 0, &[5000, 1, 32], &[32, 32, 1])));
    archive(&path, &checkpoint(&entries), &storages);

    let tensors = Tensors::read(&path).unwrap();
    assert_eq!(tensors.transvae_width().unwrap(), 32);
    let load = |tensors: &Tensors| {
        let params = Params::new(0);
        TransVae::new(Config::of_width(32), &params.root()).unwrap();
        weights::load(tensors, &params).unwrap();
        values(&params)
    };
    assert_eq!(load(&tensors), load(&original));

    // A buffer of another width does not belong to these weights.
    entries.last_mut().unwrap().1 = tensor(0, 0, 0, &[5000, 1, 64], &[64, 64, 1]);
    archive(&path, &checkpoint(&entries), &storages);
    let error = Tensors::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("reaction_decoder.PE.pe: the model wants [5000, 1, 32], the file holds [5000, 1, 64]"), "{error}");
}

#[test]
fn a_tensor_beyond_its_storage_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("short.pth");
    for (dims, strides) in [(&[3, 2][..], &[2, 1][..]), (&[1 << 30, 1 << 30], &[0, 0]), (&[2, 2], &[usize::MAX >> 40, 1])] {
        archive(&path, &checkpoint(&[("w".to_owned(), tensor(0, 4, 0, dims, strides))]), &[vec![1.0; 4]]);
        let error = Tensors::read(&path).unwrap().get("w").unwrap_err().to_string();
        assert!(error.contains("short.pth\": w: "), "{error}");
    }
}
