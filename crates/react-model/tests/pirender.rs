//! PIRender against its reference vectors, and what must hold whatever the weights are.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use candle_core::{Device, Tensor};
use common::fixture;
use ndarray::{Array2, Array3, ArrayView3, s};
use react_model::ModelError;
use react_model::pirender::{EditingConfig, PiRender, PiRenderConfig, Reference, WINDOW, WarpingConfig};
use react_model::weights::Tensors;
use react_random::Draws;
use std::collections::HashMap;

/// The sizes of the vectors.
fn small() -> PiRenderConfig {
    PiRenderConfig {
        descriptor: 16,
        warping: WarpingConfig { base: 4, max: 16, encoder_layers: 3, decoder_layers: 2 },
        editing: EditingConfig { base: 4, max: 16, layers: 2, blocks: 2 },
    }
}

fn weights() -> std::path::PathBuf {
    fixture("pirender", "pirender_small.weights.safetensors")
}

fn net() -> PiRender {
    PiRender::load(&weights(), &small()).unwrap()
}

fn vectors() -> HashMap<String, Tensor> {
    candle_core::safetensors::load(fixture("pirender", "pirender_small.io.safetensors"), &Device::Cpu).unwrap()
}

/// One of a batch of channels first, as channels last.
fn picture(tensor: &Tensor, n: usize) -> Array3<f32> {
    let (c, h, w) = tensor.get(n).unwrap().dims3().unwrap();
    let values = tensor.get(n).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    Array3::from_shape_vec((c, h, w), values).unwrap().permuted_axes([1, 2, 0]).as_standard_layout().to_owned()
}

fn largest_difference(found: &Array3<f32>, want: &Array3<f32>) -> f32 {
    assert_eq!(found.dim(), want.dim());
    found.iter().zip(want).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

fn photograph(h: usize, w: usize) -> Array3<u8> {
    Array3::from_shape_fn((h, w, 3), |(y, x, c)| ((y * 7 + x * 3 + c * 50 + (y / 9) * (x / 5)) % 256) as u8)
}

fn coefficients(frames: usize) -> Array2<f32> {
    let mut values = vec![0.0; frames * 58];
    Draws::new(3, "coefficients", 0, 0).fill_normal(&mut values);
    Array2::from_shape_vec((frames, 58), values).unwrap()
}

fn frames(net: &PiRender, reference: &Reference, coeffs: &Array2<f32>) -> Vec<Array3<u8>> {
    let mut frames = Vec::new();
    let keep = |t: usize, frame: ArrayView3<'_, u8>| {
        assert_eq!(t, frames.len());
        frames.push(frame.to_owned());
        Ok::<(), ModelError>(())
    };
    net.render(reference, coeffs.view(), keep).unwrap();
    frames
}

#[test]
fn every_step_is_that_of_the_reference() {
    let (net, io) = (net(), vectors());
    for n in 0..2 {
        let reference = net.reference_of_floats(picture(&io["input_image"], n).view()).unwrap();
        let window = io["driving_source"].get(n).unwrap().to_vec2::<f32>().unwrap();
        let window = Array2::from_shape_fn((WINDOW, 58), |(t, c)| window[c][t]);
        let drawn = net.forward(&reference, window.view()).unwrap();
        let descriptor = io["descriptor"].get(n).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(descriptor.len(), drawn.descriptor.len());
        for (found, want) in drawn.descriptor.iter().zip(&descriptor) {
            assert!((found - want).abs() < 1e-5, "descriptor {n}: {found}, not {want}");
        }
        for (name, found) in [("flow_field", &drawn.flow), ("warp_image", &drawn.warped), ("fake_image", &drawn.frame)] {
            let difference = largest_difference(found, &picture(&io[name], n));
            println!("{name} {n}: {difference:e}");
            assert!(difference < 1e-3, "{name} {n}: {difference}");
        }
    }
}

#[test]
fn a_frame_does_not_depend_on_its_batch_nor_on_threads() {
    let net = net();
    let reference = net.reference(photograph(64, 32).view()).unwrap();
    assert_eq!(reference.size(), [64, 32]);
    let coeffs = coefficients(7);
    let all = frames(&net, &reference, &coeffs);
    assert_eq!((all.len(), all[0].dim()), (7, (64, 32, 3)));
    assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "coefficients move the picture");
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(pool.install(|| frames(&net, &reference, &coeffs)), all, "{threads} threads");
    }
    // A frame alone, from its window.
    for (t, frame) in all.iter().enumerate() {
        let window = Array2::from_shape_fn((WINDOW, 58), |(i, c)| coeffs[[(t + i).saturating_sub(13).min(6), c]]);
        let alone = net.forward(&reference, window.view()).unwrap();
        assert!(alone.frame.iter().all(|x| x.is_finite() && x.abs() <= 1.0));
        assert_eq!(&alone.frame.mapv(|x| (x * 127.5 + 128.0) as u8), frame, "frame {t}");
    }
    assert!(frames(&net, &reference, &coefficients(0)).is_empty());
}

#[test]
fn a_frame_sees_thirteen_frames_on_either_side() {
    let net = net();
    let reference = net.reference(photograph(32, 32).view()).unwrap();
    let coeffs = coefficients(30);
    let all = frames(&net, &reference, &coeffs);
    let mut other = coeffs.clone();
    other.slice_mut(s![28.., ..]).fill(0.0);
    let changed = frames(&net, &reference, &other);
    assert_eq!(all[..15], changed[..15]);
    assert_ne!(all[15], changed[15]);
}

#[test]
fn what_cannot_be_drawn_is_an_error() {
    let net = net();
    let text = |error: ModelError| error.to_string();
    for dims in [(60, 64, 3), (64, 60, 3), (8, 64, 3), (0, 0, 3), (64, 64, 4), (64, 8192, 3)] {
        let error = net.reference(Array3::zeros(dims).view()).unwrap_err();
        assert!(matches!(error, ModelError::Config { field: "reference picture", .. }), "{error}");
    }
    let error = text(net.reference(Array3::zeros((60, 64, 3)).view()).unwrap_err());
    assert_eq!(error, "reference picture: must be [h, w, 3] with sides of a multiple of 8 from 16 to 4096, is [60, 64, 3]");
    let mut floats = Array3::zeros((32, 32, 3));
    floats[[1, 2, 0]] = f32::NAN;
    assert_eq!(text(net.reference_of_floats(floats.view()).unwrap_err()), "a pixel of the reference picture is not finite");

    let reference = net.reference(photograph(32, 32).view()).unwrap();
    let draw = |coeffs: &Array2<f32>| net.render(&reference, coeffs.view(), |_, _| -> Result<(), ModelError> { panic!("a frame") });
    assert_eq!(text(draw(&Array2::zeros((4, 57))).unwrap_err()), "coefficients: must be 58 a frame, are 57");
    let mut coeffs = coefficients(40);
    coeffs[[33, 7]] = f32::INFINITY;
    assert_eq!(text(draw(&coeffs).unwrap_err()), "a coefficient of frame 33, channel 7 is not finite");
    let error = text(net.forward(&reference, Array2::zeros((26, 58)).view()).unwrap_err());
    assert_eq!(error, "window of coefficients: must be 27 frames, are 26");

    // Numbers, but their sums are none.
    coeffs.row_mut(33).fill(f32::MAX);
    let large = PiRender::new(&small(), |_, shape| Ok(vec![10.0; shape.iter().product()])).unwrap();
    let face = large.reference(photograph(32, 32).view()).unwrap();
    assert_eq!(text(large.render(&face, coeffs.view(), |_, _| Ok(())).unwrap_err()), "a pixel of frame 20 is not finite");

    let narrow = PiRenderConfig { editing: EditingConfig { base: 8, ..small().editing }, ..small() };
    let narrow = PiRender::new(&narrow, |_, shape| Ok(vec![0.1; shape.iter().product()])).unwrap();
    let error = narrow.render(&reference, coeffs.view(), |_, _| Ok::<(), ModelError>(())).unwrap_err();
    assert_eq!(error.to_string(), "reference picture: was encoded by nets of other sizes");
    let wrong = PiRender::new(&small(), |_, _| Ok(vec![0.0])).unwrap_err();
    assert!(wrong.to_string().contains("1 values for the shape"), "{wrong}");

    // Whoever takes the frames may stop.
    let mut seen = 0;
    let stop = net.render(&reference, coefficients(9).view(), |_, _| {
        seen += 1;
        Err(ModelError::Config { field: "disk", what: "full".to_owned() })
    });
    assert_eq!((text(stop.unwrap_err()), seen), ("disk: full".to_owned(), 1));
}

/// The small weights, changed, in a file.
fn file_of(dir: &tempfile::TempDir, change: impl FnOnce(&mut HashMap<String, Tensor>)) -> std::path::PathBuf {
    let mut tensors = candle_core::safetensors::load(weights(), &Device::Cpu).unwrap();
    change(&mut tensors);
    let path = dir.path().join("weights.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    path
}

#[test]
fn a_file_that_does_not_fit_is_an_error_with_the_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let load = |change: &dyn Fn(&mut HashMap<String, Tensor>)| PiRender::load(&file_of(&dir, change), &small()).unwrap_err();
    let zeros = |dims: &[usize]| Tensor::zeros(dims, candle_core::DType::F32, &Device::Cpu).unwrap();
    let name = "editing_net.decoder.res0.res1.conv1.weight";
    // Also what no frame uses.
    match load(&|tensors| drop(tensors.remove(name))) {
        ModelError::Missing { name: missing, want, .. } => assert_eq!((missing.as_str(), want), (name, vec![8, 8, 3, 3])),
        other => panic!("{other}"),
    }
    match load(&|tensors| drop(tensors.insert(name.to_owned(), zeros(&[8, 8, 5, 5])))) {
        ModelError::Shape { name: wrong, found, .. } => assert_eq!((wrong.as_str(), found), (name, vec![8, 8, 5, 5])),
        other => panic!("{other}"),
    }
    match load(&|tensors| drop(tensors.insert("editing_net.extra".to_owned(), zeros(&[1])))) {
        ModelError::Unknown { name, .. } => assert_eq!(name, "editing_net.extra"),
        other => panic!("{other}"),
    }
    let error = load(&|tensors| drop(tensors.insert("mapping_net.pre.bias".to_owned(), (zeros(&[73]) / 0.0).unwrap())));
    assert_eq!(error.to_string(), "a value of mapping_net.pre.bias is not finite");
    let error = PiRender::load(&weights(), &PiRenderConfig::published()).unwrap_err();
    assert!(matches!(error, ModelError::Shape { .. } | ModelError::Missing { .. }), "{error}");
    let wrong = PiRenderConfig { warping: WarpingConfig { decoder_layers: 4, ..small().warping }, ..small() };
    assert!(matches!(PiRender::load(&weights(), &wrong).unwrap_err(), ModelError::Config { .. }));
}

#[test]
fn names_may_stand_behind_what_a_checkpoint_puts_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = file_of(&dir, |tensors| {
        let own: Vec<_> = tensors.drain().collect();
        for (name, tensor) in own {
            tensors.insert(format!("net_G.module.{name}"), tensor.zeros_like().unwrap());
            tensors.insert(format!("net_G_ema.module.{name}"), tensor);
        }
        tensors.insert("opt_G.step".to_owned(), Tensor::new(&[1f32], &Device::Cpu).unwrap());
    });
    assert_eq!(PiRenderConfig::of(&Tensors::read(&path).unwrap()).unwrap(), small());
    let nested = PiRender::load(&path, &small()).unwrap();
    let (plain, picture, coeffs) = (net(), photograph(32, 32), coefficients(2));
    let draw = |net: &PiRender| frames(net, &net.reference(picture.view()).unwrap(), &coeffs);
    assert_eq!(draw(&nested), draw(&plain));
}

/// The small nets as a `.pth` of a program that ran on several cards: `module.` before every name.
fn save_with_prefix(path: &std::path::Path) {
    let params = react_model::Params::new(0);
    let tensors = candle_core::safetensors::load(weights(), &Device::Cpu).unwrap();
    for (name, shape) in small().tensors() {
        let long = format!("module.{name}");
        params.root().get(&long, &shape, react_model::Init::Zeros).unwrap();
        params.get(&long).unwrap().set(&tensors[&name]).unwrap();
    }
    react_model::weights::save_pth(path, &params).unwrap();
}

#[test]
fn a_pth_gives_the_same_nets() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("weights.pth");
    save_with_prefix(&path);
    let (plain, picture, coeffs) = (net(), photograph(32, 32), coefficients(2));
    let draw = |net: &PiRender| frames(net, &net.reference(picture.view()).unwrap(), &coeffs);
    assert_eq!(draw(&PiRender::load(&path, &small()).unwrap()), draw(&plain));
}

#[test]
fn the_names_are_those_of_the_published_program() {
    let tensors = candle_core::safetensors::load(weights(), &Device::Cpu).unwrap();
    let ours = small().tensors();
    assert_eq!(ours.len(), tensors.len());
    for (name, shape) in &ours {
        assert_eq!(tensors[name].dims(), shape, "{name}");
    }
    assert_eq!(PiRenderConfig::of(&Tensors::read(&weights()).unwrap()).unwrap(), small());
    let other = fixture("eri", "eri_fusion.weights.safetensors");
    assert!(matches!(PiRenderConfig::of(&Tensors::read(&other).unwrap()).unwrap_err(), ModelError::Missing { .. }));
    let published = PiRenderConfig::published();
    assert_eq!(published.multiple(), 32);
    let published = published.tensors();
    assert_eq!(published["warpping_net.hourglass.decoder.decoder2.conv_s.weight"], [512, 128, 3, 3]);
    assert_eq!(published["warpping_net.flow_out.2.weight"], [2, 256, 7, 7]);
    assert_eq!(published["editing_net.decoder.res2.res1.norm2.mlp_gamma.weight"], [256, 128]);
    assert_eq!(published["editing_net.encoder.first.model.0.weight"], [64, 6, 7, 7]);
}

/// A `.pth` whose dict has another key than `state_dict`.
fn renamed(from: &std::path::Path, to: &std::path::Path, key: &str) {
    use std::io::{Read, Write};
    let text = |key: &str| [b"X", &(key.len() as u32).to_le_bytes()[..], key.as_bytes()].concat();
    let (old, new) = (text("state_dict"), text(key));
    let mut archive = zip::ZipArchive::new(std::fs::File::open(from).unwrap()).unwrap();
    let mut out = zip::ZipWriter::new(std::fs::File::create(to).unwrap());
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for i in 0..archive.len() {
        let (name, mut bytes) = (archive.by_index(i).unwrap().name().unwrap().into_owned(), Vec::new());
        archive.by_index(i).unwrap().read_to_end(&mut bytes).unwrap();
        if name.ends_with("data.pkl") {
            let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
            bytes.splice(at..at + old.len(), new.iter().copied());
        }
        out.start_file(name, stored).unwrap();
        out.write_all(&bytes).unwrap();
    }
    out.finish().unwrap();
}

#[test]
fn a_checkpoint_may_keep_the_generator_beside_other_things() {
    let dir = tempfile::tempdir().unwrap();
    let (flat, nested) = (dir.path().join("flat.pth"), dir.path().join("nested.pth"));
    save_with_prefix(&flat);
    let (plain, picture, coeffs) = (net(), photograph(32, 32), coefficients(1));
    let draw = |net: &PiRender| frames(net, &net.reference(picture.view()).unwrap(), &coeffs);
    for key in ["net_G_ema", "net_G"] {
        renamed(&flat, &nested, key);
        assert_eq!(draw(&PiRender::load(&nested, &small()).unwrap()), draw(&plain), "{key}");
    }
    renamed(&flat, &nested, "opt_G");
    assert!(PiRender::load(&nested, &small()).unwrap_err().to_string().contains("holds no tensors that belong to a model"));
}
