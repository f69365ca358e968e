//! Files of weights: safetensors both ways with the optimizer's state, and `.pth` archives as PyTorch writes them.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use candle_core::{Device::Cpu, Tensor};
use react_model::optim::{AdamW, AdamWConfig, Ema, Gradients};
use react_model::transvae::{Task, TransVae};
use react_model::weights::{self, Tensors, Training};
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

/// The reference vectors' weights.
fn fixture(task: &str) -> Tensors {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/transvae");
    Tensors::read(&folder.join(format!("transvae_{task}.weights.safetensors"))).unwrap()
}

/// The Trans-VAE in a file.
fn loaded(tensors: &Tensors) -> Params {
    let params = Params::new(0);
    TransVae::new(tensors.transvae().unwrap(), &params.root()).unwrap();
    weights::load(tensors, &params).unwrap();
    params
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
    weights::save(&path, &params, Some(Training { optimizer: &adam, ema: None }), &note).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    weights::save(&path, &params, Some(Training { optimizer: &adam, ema: None }), &note).unwrap();
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
    let original = fixture("offline");
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
    assert_eq!(tensors.transvae().unwrap().task, Task::Offline);
    assert_eq!(values(&loaded(&tensors)), values(&loaded(&original)));

    // A buffer of another width does not belong to these weights.
    entries.last_mut().unwrap().1 = tensor(0, 0, 0, &[5000, 1, 64], &[64, 64, 1]);
    archive(&path, &checkpoint(&entries), &storages);
    let error = Tensors::read(&path).unwrap_err().to_string();
    assert!(error.ends_with("reaction_decoder.PE.pe: the model wants [5000, 1, 32], the file holds [5000, 1, 64]"), "{error}");
}

#[test]
fn a_file_for_pytorch_reads_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    for (task, want) in [("offline", Task::Offline), ("online", Task::Online)] {
        let path = folder.path().join(task).join("model.pth");
        let params = loaded(&fixture(task));
        weights::save_pth(&path, &params).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        weights::save_pth(&path, &params).unwrap();
        assert!(bytes == std::fs::read(&path).unwrap(), "the same weights, the same bytes");
        let tensors = Tensors::read(&path).unwrap();
        let config = tensors.transvae().unwrap();
        assert_eq!((config.task, config.width), (want, 32));
        assert_eq!(values(&loaded(&tensors)), values(&params));
        let left: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "nothing but the file: {left:?}");
    }
}

/// Every name of an online model in an offline one, or the other way round, is a mistake with a name.
#[test]
fn weights_of_the_other_task_are_refused_by_name() {
    let params = Params::new(0);
    TransVae::new(fixture("online").transvae().unwrap(), &params.root()).unwrap();
    let error = weights::load(&fixture("offline"), &params).unwrap_err().to_string();
    assert!(error.ends_with("reaction_decoder.linear_3d.bias, [32], is missing"), "{error}");
    let params = Params::new(0);
    TransVae::new(fixture("offline").transvae().unwrap(), &params.root()).unwrap();
    let error = weights::load(&fixture("online"), &params).unwrap_err().to_string();
    assert!(error.ends_with("the model has no tensor reaction_decoder.linear_3d.bias"), "{error}");
}

#[test]
fn the_average_is_saved_beside_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("last.safetensors");
    let ((params, w, b), (averaged, ..)) = (small(1), small(1));
    let (mut adam, ema) = (AdamW::new(AdamWConfig::default()), Ema::new(0.9, averaged));
    for steps in 1..4 {
        step(&params, &w, &b, &mut adam);
        ema.update(&params, steps).unwrap();
    }
    assert_ne!(values(ema.params()), values(&params));
    weights::save(&path, &params, Some(Training { optimizer: &adam, ema: Some(&ema) }), &BTreeMap::new()).unwrap();
    let tensors = Tensors::read(&path).unwrap();
    let (again, average) = (small(2).0, Ema::new(0.9, small(3).0));
    weights::load(&tensors, &again).unwrap();
    weights::load_ema(&tensors, &average).unwrap();
    assert_eq!(values(&again), values(&params));
    assert_eq!(values(average.params()), values(ema.params()));
    weights::save(&path, &params, Some(Training { optimizer: &adam, ema: None }), &BTreeMap::new()).unwrap();
    let error = weights::load_ema(&Tensors::read(&path).unwrap(), &average).unwrap_err().to_string();
    assert!(error.ends_with("ema/fc.bias, [3], is missing"), "{error}");
}

#[test]
fn weights_that_are_no_numbers_are_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let (params, ..) = small(1);
    let write = |name: &str| {
        let path = folder.path().join(name);
        let result =
            if name.ends_with("pth") { weights::save_pth(&path, &params) } else { weights::save(&path, &params, None, &BTreeMap::new()) };
        (result, std::fs::read(path).unwrap())
    };
    let before = ["a.safetensors", "a.pth"].map(|name| write(name).1);
    params.get("fc.bias").unwrap().set(&Tensor::new(&[1f32, f32::NAN, 2.0], &Cpu).unwrap()).unwrap();
    for (name, before) in ["a.safetensors", "a.pth"].iter().zip(before) {
        let (result, after) = write(name);
        assert_eq!(result.unwrap_err().to_string(), "the value of fc.bias is not finite");
        assert!(after == before, "{name} is as it was");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
}

/// A small file that claims a large model: nothing is allocated for it.
#[test]
fn a_model_larger_than_its_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims.pth");
    let largest = "speaker_behaviour_encoder.video_encoder.Conv3D.conv3.weight";
    let claims = |conv: &[usize]| {
        let entries = [
            ("reaction_decoder.vae_model.mu_token".to_owned(), tensor(0, 4096, 0, &[4096], &[0])),
            (largest.to_owned(), tensor(0, 4, 0, conv, &[0; 5])),
        ];
        archive(&path, &checkpoint(&entries), &[vec![1.0; 4]]);
        Tensors::read(&path).unwrap()
    };
    let error = claims(&[4096, 4096, 1, 3, 3]).transvae().unwrap_err().to_string();
    assert!(error.contains(largest) && error.ends_with("is larger than the file"), "{error}");
    let error = claims(&[8, 8, 1, 3, 3]).transvae().unwrap_err().to_string();
    assert!(error.ends_with("the model wants [4096, 4096, 1, 3, 3], the file holds [8, 8, 1, 3, 3]"), "{error}");
    let error = claims(&[8, 8, 1, 3, 3]).get(largest).unwrap_err().to_string();
    assert!(error.ends_with("[8, 8, 1, 3, 3] is more than its storage of 1 numbers"), "{error}");
}

/// Attacks on readers of pickles: code by call, by building an object, by a name of the archive that leads out of it.
#[test]
fn hostile_pickles_are_errors_and_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, trace) = (folder.path().join("hostile.pth"), folder.path().join("trace"));
    let command = text(&format!("touch {}", trace.display()));
    let call = |function: &[u8]| [b"\x80\x02}X\x01\x00\x00\x00a", function, &command[..], b"\x85Rs."].concat();
    let storage = |class: &[u8], key: &str| {
        let id = [b"(".to_vec(), text("storage"), class.to_vec(), text(key), text("cpu"), int(4), b"tQ".to_vec()].concat();
        let made = [b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(), id, int(0), ints(&[4]), ints(&[1]), b"\x89}tR".to_vec()].concat();
        [b"\x80\x02}".to_vec(), text("a"), made, b"s.".to_vec()].concat()
    };
    let attacks = [
        ("a call of the system", call(b"cposix\nsystem\n")),
        ("a call of eval", call(b"c__builtin__\neval\n")),
        ("an object with state", [b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\n)\x81".to_vec(), command.clone(), b"bs.".to_vec()].concat()),
        ("an instance by INST", [b"(".to_vec(), command.clone(), b"ios\nsystem\n.".to_vec()].concat()),
        ("an object by OBJ", [b"(cos\nsystem\n".to_vec(), command.clone(), b"o.".to_vec()].concat()),
        ("a class from the stack", [text("os"), text("system"), b"\x93.".to_vec()].concat()),
        ("an extension's code", b"\x82\x01.".to_vec()),
        ("a storage outside", storage(b"ctorch\nFloatStorage\n", "../../../../etc/passwd")),
        ("numbers of another kind", storage(b"ctorch\nLongStorage\n", "0")),
        ("a class that is none", storage(b"cos\nsystem\n", "0")),
        ("no end", b"\x80\x02}".to_vec()),
        ("a text of 4 GB", b"X\xff\xff\xff\xff".to_vec()),
    ];
    for (what, pickle) in attacks {
        archive(&path, &pickle, &[vec![1.0; 4]]);
        let error = Tensors::read(&path).and_then(|tensors| tensors.get("a")).expect_err(what).to_string();
        assert!(error.contains("hostile.pth"), "{what}: {error}");
        assert!(!trace.exists(), "{what} ran");
    }
}

/// A file that was damaged anywhere is an error or other numbers, never a crash.
#[test]
fn damaged_files_do_not_crash() {
    let folder = tempfile::tempdir().unwrap();
    let (params, ..) = small(1);
    let (pth, safetensors) = (folder.path().join("a.pth"), folder.path().join("a.safetensors"));
    weights::save_pth(&pth, &params).unwrap();
    weights::save(&safetensors, &params, None, &BTreeMap::new()).unwrap();
    let mut draws = react_random::Draws::new(5, "damage", 0, 0);
    for path in [pth, safetensors] {
        let whole = std::fs::read(&path).unwrap();
        for round in 0..600 {
            let mut bytes = whole.clone();
            for _ in 0..=draws.below(3) {
                let place = draws.below(bytes.len());
                bytes[place] = draws.u32() as u8;
            }
            if round % 3 == 0 {
                bytes.truncate(draws.below(bytes.len()));
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(tensors) = Tensors::read(&path) {
                let names: Vec<_> = tensors.names().map(str::to_owned).collect();
                names.iter().for_each(|name| drop(tensors.get(name)));
                drop(tensors.transvae());
            }
        }
    }
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
