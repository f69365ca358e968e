//! `score`: arrays of any program, against the reference values.

use crate::{fails, fixture, succeeds, text};
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

/// Runs `score` and returns the table and the JSON.
fn scored(folder: &std::path::Path, args: &[&str]) -> (String, Value) {
    let (table, _) = succeeds(folder, &[&["score", "--json", "out.json"], args].concat());
    (table, serde_json::from_str(&std::fs::read_to_string(folder.join("out.json")).unwrap()).unwrap())
}

#[track_caller]
fn agrees(found: &Value, want: &Value) {
    for key in ["FRCorr", "FRDist", "FRDiv", "FRVar", "FRDvs", "FRSyn"] {
        let (found, want) = (found[key].as_f64().unwrap(), want[key].as_f64().unwrap());
        assert!((found - want).abs() <= 1e-6 * want.abs() + 1e-12, "{key}: {found}, published {want}");
    }
}

/// Three prediction sets that NumPy 2 wrote, in three forms, with the scores of the published algorithms.
#[test]
fn sets_that_numpy_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| fixture("scorer").join(name).to_str().unwrap().to_owned();
    let want: Value = serde_json::from_str(&std::fs::read_to_string(file("scores.json")).unwrap()).unwrap();
    assert!(want["numpy"].as_str().unwrap().starts_with("2."));

    let [p, l, s, m] = ["prediction.npy", "listener.npy", "speaker.npy", "neighbours.npy"].map(file);
    let stacked = ["--prediction", &p, "--listener", &l, "--speaker", &s, "--neighbours", &m];
    let (table, found) = scored(folder.path(), &stacked);
    agrees(&found, &want["scores"]["stacked"]);
    assert!(table.contains("published") && table.contains("sound"), "{table}");
    assert!(found["ACC"].is_null() && found["FRRea"].is_null() && found["FRRea_reason"].as_str().unwrap().contains("--inception"));
    assert!(table.contains("FRRea: not computed: "), "{table}");
    assert!(found["intervals"]["FRDist"]["low"].is_number() && found["per_clip"].as_array().unwrap().len() == 4);
    let (_, without) = scored(folder.path(), &[&stacked[..], &["--bootstrap", "0"]].concat());
    assert!(without["intervals"].is_null());

    // One array a clip, of different lengths; the speakers in another order.
    let [p, l, s, m] = ["clips.npz", "real.npz", "heard.npz", "clips_neighbours.npy"].map(file);
    let (_, found) = scored(folder.path(), &["--prediction", &p, "--listener", &l, "--speaker", &s, "--neighbours", &m]);
    agrees(&found, &want["scores"]["clips"]);
    assert_eq!(found["names"], serde_json::json!(["NoXI/chat/Expert/1", "NoXI/chat/Expert/2", "NoXI/chat/Expert/10"]));

    let all = file("all.safetensors");
    let (_, found) = scored(folder.path(), &["--prediction", &all, "--listener", &all, "--speaker", &all]);
    agrees(&found, &want["scores"]["tensors"]);
    let key = format!("{all}:prediction");
    assert_eq!(scored(folder.path(), &["--prediction", &key, "--listener", &all, "--speaker", &all]).1["FRDist"], found["FRDist"]);

    // A folder with one array a clip is the same as an archive.
    let clips = folder.path().join("clips/NoXI");
    std::fs::create_dir_all(&clips).unwrap();
    let stack = react_store::read_npy_f32(&fixture("scorer/prediction.npy")).unwrap();
    for (i, clip) in stack.outer_iter().enumerate() {
        react_store::write_npy(&clips.join(format!("{i}.npy")), &clip).unwrap();
    }
    let [l, s, m] = ["listener.npy", "speaker.npy", "neighbours.npy"].map(file);
    let (_, found) = scored(folder.path(), &["--prediction", "clips", "--listener", &l, "--speaker", &s, "--neighbours", &m]);
    agrees(&found, &want["scores"]["stacked"]);
}

#[test]
fn everything_that_can_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    arrays(folder.path());
    let base = ["--prediction", "prediction.npy", "--listener", "listener_emotion.npy", "--neighbours", "neighbours.npy"];
    let more = ["--acc", "--csv", "out.csv", "--latex", "out.tex", "--name", "my_model", "--resume", "journal"];
    let (table, found) = scored(folder.path(), &[&base[..], &more].concat());
    let (acc, chance) = (found["ACC"].as_f64().unwrap(), found["accuracy"]["chance"].as_f64().unwrap());
    assert!((0.0..=1.0).contains(&acc) && chance > 0.0 && chance < 1.0, "{acc} {chance}");
    assert!(table.contains("ACC chance") && table.starts_with("my_model: 8 clips, 3 samples"), "{table}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let csv = read("out.csv");
    assert!(csv.starts_with("system,kind,FRCorr,") && csv.contains("FRCorr (sound)") && csv.lines().count() == 2, "{csv}");
    let latex = read("out.tex");
    assert!(latex.contains("% published: FRCorr & FRDist") && latex.contains(r"my\_model & 0.62") && latex.contains("% sound:"), "{latex}");

    // Nothing is left to search: the same scores, and not a line more in the journal, but for other arrays it is refused.
    let journal = read("journal");
    assert_eq!(journal.lines().count(), 3, "{journal}");
    let (_, again) = scored(folder.path(), &[&base[..], &more].concat());
    assert_eq!((again, read("journal")), (found.clone(), journal.clone()));
    let cut = journal.len() - 20;
    std::fs::write(folder.path().join("journal"), &journal[..cut]).unwrap();
    assert_eq!(scored(folder.path(), &[&base[..], &more].concat()).1, found);
    let other = ["score", "--prediction", "prediction.npy", "--listener", "listener_emotion.npy", "--resume", "journal"];
    assert!(fails(folder.path(), &other).contains("belongs to another scoring"));

    // Rounded AUs are those of an array that was rounded before.
    let mut rounded = react_store::read_npy_f32(&folder.path().join("prediction.npy")).unwrap();
    rounded.slice_axis_mut(ndarray::Axis(3), (..15).into()).mapv_inplace(f32::round_ties_even);
    react_store::write_npy(&folder.path().join("rounded.npy"), &rounded).unwrap();
    let (_, binarized) = scored(folder.path(), &[&base[..], &["--binarize"]].concat());
    let (_, before) = scored(folder.path(), &[&["--prediction", "rounded.npy"], &base[2..]].concat());
    assert_eq!(binarized["FRDist"], before["FRDist"]);
    assert_eq!(binarized["FRCorr"], before["FRCorr"]);
    assert_ne!(binarized["FRCorr"], found["FRCorr"]);
}

/// Any features give a Fréchet distance, with predictions or alone.
#[test]
fn features_of_any_network() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("metrics/frechet.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let want = tensors.tensor("frechet_distance").unwrap();
    let want = f64::from_le_bytes(want.data().try_into().unwrap());
    let file = fixture("metrics/frechet.safetensors");
    let [a, b] = ["a", "b"].map(|key| format!("{}:{key}", file.to_str().unwrap()));
    let (table, found) = scored(folder.path(), &["--features-real", &a, "--features-generated", &b]);
    let distance = found["FRRea"].as_f64().unwrap();
    assert!((distance - want).abs() < 1e-5 * want, "{distance}, reference {want}");
    assert!(table.contains("FRRea") && found["FRRea_reason"].is_null() && found.get("FRCorr").is_none());
    let error =
        fails(folder.path(), &["score", "--features-real", fixture("scorer/listener.npy").to_str().unwrap(), "--features-generated", &b]);
    assert!(error.contains("[vectors, features]") && error.contains("[4, 56, 25]"), "{error}");
}

#[test]
fn arrays_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| fixture("scorer").join(name).to_str().unwrap().to_owned();
    let error = |p: &str, l: &str| fails(folder.path(), &["score", "--prediction", p, "--listener", l]);
    let (clips, real) = (file("clips.npz"), file("real.npz"));
    let said = error(&clips, &file("listener.npy"));
    assert!(said.contains("listener clips: expected 3 (as predictions), got 4"), "{said}");
    let said = error(&real, &real);
    assert!(said.contains("real.npz") && said.contains("[K,T,25]") && said.contains("[62, 25]"), "{said}");
    let said = error(&format!("{clips}:nobody"), &real);
    assert!(said.contains("no array nobody") && said.contains("NoXI/chat/Expert/10"), "{said}");
    assert!(error("nowhere.npz", &real).contains("nowhere.npz"));
    assert!(error("a.mat", &real).contains("wanted .npy, .npz, .safetensors, or a folder"));

    // Damaged archives: cut off, a flipped byte, and one that claims a size that it has not.
    let whole = std::fs::read(fixture("scorer/real.npz")).unwrap();
    let path = folder.path().join("bad.npz");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(error("bad.npz", &real).contains("bad.npz is no npz file"));
    let mut flipped = whole.clone();
    flipped[2000] ^= 0x55;
    std::fs::write(&path, &flipped).unwrap();
    let said = fails(folder.path(), &["score", "--prediction", &clips, "--listener", "bad.npz"]);
    assert!(said.contains("cannot be unpacked") || said.contains("checksum"), "{said}");

    // NaN in a clip of an archive is named with the clip.
    let stack = react_store::read_npy_f32(&fixture("scorer/prediction.npy")).unwrap();
    let clips = folder.path().join("clips");
    for (i, clip) in stack.outer_iter().enumerate() {
        let mut clip = clip.to_owned();
        if i == 2 {
            clip[[1, 7, 16]] = f32::NAN;
        }
        react_store::write_npy(&clips.join(format!("clip{i}.npy")), &clip).unwrap();
    }
    let said = error("clips", &file("listener.npy"));
    assert!(said.contains("clip2") && said.contains("clip 2, sample 1, frame 7, channel 16 (arousal) is NaN"), "{said}");
}

#[test]
fn neighbours_of_the_challenge_and_from_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| fixture("neighbours").join(name).to_str().unwrap().to_owned();
    let [indices, matrix, pairs] = ["data_indices.csv", "Approprirate_facial_reaction.npy", "val.csv"].map(file);
    let args = ["neighbours", "--indices", &indices, "--matrix", &matrix, "--pairs", &pairs, "--out"];
    let (said, _) = succeeds(folder.path(), &[&args[..], &["a.npz"]].concat());
    assert!(said.contains("16 clips") && said.contains("own matrix"), "{said}");
    succeeds(folder.path(), &[&args[..], &["b.npz"]].concat());
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    assert_eq!(read("a.npz"), read("b.npz"), "the same sources, the same bytes");

    // `score` reads it as it reads the matrix itself.
    let want = react_store::read_npy_f64(&fixture("neighbours/neighbour_emotion_val.npy")).unwrap();
    let n = want.shape()[0];
    let value = |i: usize, t: usize, c: usize| ((i * 7 + t * (c + 1)) as f32 * 0.1).sin();
    let listener = ndarray::Array3::from_shape_fn((n, 20, 25), |(i, t, c)| value(i, t, c));
    let prediction = ndarray::Array4::from_shape_fn((n, 2, 20, 25), |(i, k, t, c)| value(i + k, t, c + 1));
    react_store::write_npy(&folder.path().join("p.npy"), &prediction).unwrap();
    react_store::write_npy(&folder.path().join("l.npy"), &listener).unwrap();
    let base = ["--prediction", "p.npy", "--listener", "l.npy", "--neighbours"];
    let (_, ours) = scored(folder.path(), &[&base[..], &["a.npz"]].concat());
    let (_, theirs) = scored(folder.path(), &[&base[..], &[&file("neighbour_emotion_val.npy")]].concat());
    assert_eq!((&ours["FRCorr"], &ours["FRDist"]), (&theirs["FRCorr"], &theirs["FRDist"]));

    // From data: the same as itself, nobody else at threshold 0; everybody at share 1; in the archive's own clips' order.
    let heard = fixture("scorer/heard.npz");
    let heard = heard.to_str().unwrap();
    let from_data =
        |more: &[&str]| succeeds(folder.path(), &[&["neighbours", "--from-data", "--speaker", heard, "--out", "c.npz"], more].concat()).0;
    assert!(from_data(&["--threshold", "0"]).contains("3 clips, 1.0 appropriate reactions a clip, 1 at most"));
    assert!(from_data(&["--share", "1"]).contains("3.0 appropriate reactions a clip"));
    let third = from_data(&["--share", "0.3"]);
    assert!(third.contains("1.7 appropriate reactions a clip, 2 at most"), "{third}");
    let first = read("c.npz");
    from_data(&["--share", "0.3"]);
    assert_eq!(read("c.npz"), first);
    let [clips, real] = ["scorer/clips.npz", "scorer/real.npz"].map(fixture);
    let (_, found) = scored(folder.path(), &["--prediction", text(&clips), "--listener", text(&real), "--neighbours", "c.npz"]);
    assert!(found["pruning"]["pairs"].as_u64() == Some(2 * 5), "{}", found["pruning"]);
    let missing = fails(folder.path(), &["score", "--prediction", text(&clips), "--listener", text(&real), "--neighbours", "a.npz"]);
    assert!(missing.contains("no clip NoXI/chat/Expert/1"), "{missing}");
}

#[test]
fn baselines_of_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let [l, s] = ["scorer/real.npz", "scorer/heard.npz"].map(fixture);
    let args =
        ["baselines", "--listener", text(&l), "--speaker", text(&s), "--training-listener", text(&l), "--samples", "3", "--json", "b.json"];
    let (table, _) = succeeds(folder.path(), &args);
    let json = || -> Value { serde_json::from_str(&std::fs::read_to_string(folder.path().join("b.json")).unwrap()).unwrap() };
    let found = json();
    let systems = found["systems"].as_array().unwrap();
    assert_eq!(systems.iter().map(|s| s["name"].as_str().unwrap()).collect::<Vec<_>>(), ["GT", "Random", "Mime", "MeanSeq", "MeanFr"]);
    assert!(table.contains("MeanSeq"), "{table}");
    assert_eq!(
        (systems[0]["published"]["FRDist"].as_f64(), systems[0]["per_clip"]["FRDist"].as_array().map(Vec::len)),
        (Some(0.0), Some(3))
    );
    assert!((systems[1]["published"]["FRDiv"].as_f64().unwrap() - 1.0 / 6.0).abs() < 0.02);
    succeeds(folder.path(), &args);
    assert_eq!(json(), found, "seeded");
    succeeds(folder.path(), &[&args[..], &["--seed", "5"]].concat());
    assert_ne!(json()["systems"][1], found["systems"][1]);
    let (table, _) = succeeds(folder.path(), &["baselines", "--listener", text(&l)]);
    assert!(!table.contains("Mime") && table.contains("Random"), "{table}");
}

/// FRRea from frames: the network whose weights are the reference's formula, against the reference's features.
#[test]
fn realism_of_frames() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("inception/inception_features.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let images = tensors.tensor("images_u8").unwrap();
    let shape: [usize; 4] = images.shape().try_into().unwrap();
    let images = ndarray::Array4::from_shape_vec(shape, images.data().to_vec()).unwrap();
    let (two, others) = (ndarray::s![..2, .., .., ..], ndarray::s![1.., .., .., ..]);
    react_store::write_npy(&folder.path().join("real.npy"), &images.slice(two)).unwrap();
    react_store::write_npy(&folder.path().join("generated.npy"), &images.slice(others)).unwrap();
    inception_weights(&folder.path().join("weights.safetensors"));
    // That the network's features are the reference's is react-model's test; here they are what is measured.
    let network = react_model::inception::Inception::load(&folder.path().join("weights.safetensors")).unwrap();
    react_store::write_npy(&folder.path().join("x.npy"), &network.features(images.slice(two)).unwrap()).unwrap();
    react_store::write_npy(&folder.path().join("y.npy"), &network.features(images.slice(others)).unwrap()).unwrap();

    let frames = ["--frrea-real", "real.npy", "--frrea-generated", "generated.npy", "--stride", "1"];
    let (table, found) = scored(folder.path(), &[&frames[..], &["--inception", "weights.safetensors"]].concat());
    let (_, want) = scored(folder.path(), &["--features-real", "x.npy", "--features-generated", "y.npy"]);
    let (distance, want) = (found["FRRea"].as_f64().unwrap(), want["FRRea"].as_f64().unwrap());
    assert!(want > 0.0 && (distance - want).abs() <= 1e-6 * want, "{distance}, from the same features {want}");
    assert!(table.contains("2 real and 2 generated vectors of 2048 features"), "{table}");

    // Without weights it is not computed, and says why; the published protocol finds nothing to look at in two frames.
    let (table, found) = scored(folder.path(), &frames);
    assert!(found["FRRea"].is_null() && found["FRRea_reason"].as_str().unwrap().contains("were not given (--inception)"));
    assert!(table.contains("FRRea: not computed: the weights"), "{table}");
    let (_, found) = scored(folder.path(), &[&frames[..], &["--inception", "nowhere.pth"]].concat());
    assert!(found["FRRea_reason"].as_str().unwrap().contains("nowhere.pth"));
}

/// The reference's weights: a formula of each tensor's number and each element's.
fn inception_weights(path: &std::path::Path) {
    let list: Value = serde_json::from_slice(&std::fs::read(fixture("inception/inception_parameters.json")).unwrap()).unwrap();
    let tensor = |p: &Value| {
        let (name, j) = (p["name"].as_str().unwrap().to_owned(), p["j"].as_f64().unwrap());
        let shape: Vec<usize> = p["shape"].as_array().unwrap().iter().map(|axis| axis.as_u64().unwrap() as usize).collect();
        let channel: usize = shape[1..].iter().product();
        let value = |s: f64| match name.rsplit('.').next().unwrap() {
            "running_var" => 1.0 + 0.25 * s,
            "running_mean" | "bias" => 0.05 * s,
            "weight" if name.ends_with("bn.weight") => 1.0 + 0.1 * s,
            _ => (4.0 / channel as f64).sqrt() * s,
        };
        let count: usize = shape.iter().product();
        let bytes: Vec<u8> = (0..count).flat_map(|i| (value((0.37 * i as f64 + 1.7 * j + 0.5).sin()) as f32).to_le_bytes()).collect();
        (name, shape, bytes)
    };
    let all: Vec<_> = list.as_array().unwrap().iter().filter(|p| !p["name"].as_str().unwrap().starts_with("fc.")).map(tensor).collect();
    let mut views = Vec::new();
    for (name, shape, bytes) in &all {
        views.push((name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap()));
    }
    safetensors::serialize_to_file(views, None, path).unwrap();
}
