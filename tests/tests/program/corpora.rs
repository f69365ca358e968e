//! Corpora of other layouts, from the published folders to scores, and what is wrong with them.

use crate::{fails, react_train, succeeds};
use ndarray::{Array2, Array3, s};
use serde_json::Value;
use std::fs;
use std::path::Path;

const SIDE: usize = 32;
const RECORDINGS: [(&str, &str, usize); 5] = [
    ("train", "session0/a", 30),
    ("train", "session0/b", 26),
    ("train", "session1/c", 40),
    ("val", "session0/d", 24),
    ("val", "session0/e", 28),
];

/// Attributes of a recording: valid, and changing.
fn attributes(seed: usize, frames: usize) -> Array2<f32> {
    Array2::from_shape_fn((frames, 25), |(t, c)| match c {
        0..15 => ((seed + t / 3 + c) % 4 / 3) as f32,
        15 | 16 => ((t + seed * 5 + c) as f32 * 0.2).sin() * 0.5,
        _ => f32::from(u8::from(c == 17 + (seed + t / 4) % 8)),
    })
}

/// A tiny MARS: 384² and hours of it are a matter of numbers.
fn mars(root: &Path) {
    for (n, (split, name, frames)) in RECORDINGS.into_iter().enumerate() {
        for (place, role) in ["speaker", "listener"].into_iter().enumerate() {
            let seed = 2 * n + place;
            let file = |modality: &str, extension: &str| {
                let path = root.join(split).join(modality).join(role).join(format!("{name}.{extension}"));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                path
            };
            let mut writer =
                react_media::VideoWriter::create(&file("video-face-crop", "mp4"), SIDE, SIDE, 30.0, react_media::Quality::Fast).unwrap();
            for t in 0..frames {
                writer.push(&(0..SIDE * SIDE * 3).map(|i| (i / 3 % SIDE * 4 + seed * 11 + t * 3) as u8).collect::<Vec<_>>()).unwrap();
            }
            writer.finish().unwrap();
            let sound: Vec<f32> = (0..frames * 1470).map(|i| (i as f32 * 0.02 * (seed + 1) as f32).sin() * 0.4).collect();
            react_media::write_wav(&file("audio", "wav"), &sound, 44_100).unwrap();
            react_store::write_npy(&file("facial-attributes", "npy"), &attributes(seed, frames)).unwrap();
            let coeffs = Array3::from_shape_fn((frames, 1, 58), |(t, _, c)| ((t + c + seed) as f32 * 0.1).sin() * 0.3);
            react_store::write_npy(&file("coefficients", "npy"), &coeffs).unwrap();
        }
    }
}

#[test]
fn mars_from_its_folders_to_a_score_that_can_be_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    mars(&root.join("mars"));
    let (said, _) = succeeds(root, &["doctor", "--corpus", "react2025", "--root", "mars"]);
    assert!(said.contains("train: 3 pairs, 6 clips, 6 without errors, 26 to 40 frames"), "{said}");
    let prepare = ["prepare", "--corpus", "react2025", "--root", "mars", "--out", "packed", "--shorter", "32", "--crop", "32"];
    let (said, _) = succeeds(root, &prepare);
    assert!(said.contains("packed 13 units"), "{said}");
    let info: Value = serde_json::from_str(&fs::read_to_string(root.join("packed/packed.json")).unwrap()).unwrap();
    assert_eq!((info["audio_features"].as_u64(), info["faces"].as_str()), (Some(39), Some("given")));

    // A training step, with a network of 39 audio features.
    let set = [
        "corpus.kind=react2025",
        "corpus.root=mars",
        "corpus.packed=packed",
        "frames.shorter=32",
        "frames.crop=32",
        "model.width=16",
        "train.epochs=1",
        "train.batch=4",
        "train.clip_frames=24",
        "name=mars",
    ];
    let set: Vec<&str> = set.iter().flat_map(|key| ["--set", *key]).collect();
    succeeds(root, &[&["--config", "offline", "train"], &set[..]].concat());
    // A reaction straight from a video and its sound, at its own rate.
    let [video, audio] = [("video-face-crop", "mp4"), ("audio", "wav")]
        .map(|(modality, extension)| format!("mars/val/{modality}/speaker/session0/d.{extension}"));
    let checkpoint = ["predict", "--checkpoint", "runs/mars/best.safetensors", "--task", "offline", "--samples", "2", "--out", "reaction"];
    succeeds(root, &[&checkpoint[..], &["--speaker-video", &video, "--speaker-audio", &audio]].concat());
    let reaction = react_store::read_npy_f32(&root.join("reaction/reaction_emotion.npy")).unwrap();
    assert_eq!(reaction.shape(), [2, 24, 25]);
    // Sound of another rate has another number of features.
    let audio = react_store::read_npy_f32(&root.join("packed/val/audio/speaker/session0/d.npy")).unwrap();
    assert_eq!(audio.shape(), [24, 39]);
    react_store::write_npy(&root.join("wide.npy"), &Array2::<f32>::zeros((24, 78))).unwrap();
    let wide = fails(root, &[&checkpoint[..], &["--speaker-video", &video, "--speaker-audio", "wide.npy"]].concat());
    assert!(wide.contains("wide.npy: wanted f32 [24,39]"), "{wide}");

    // Appropriate reactions, frozen: the same file each time, and the one that is packed.
    let frozen =
        |seed: &str, out: &str| succeeds(root, &["neighbours", "--corpus", "react2025", "--root", "mars", "--seed", seed, "--out", out]).0;
    let said = frozen("0", "n.npz");
    assert!(
        said.contains("4 clips, 2.0 appropriate reactions a clip, 2 at most (at most 10 reactions of the same session, seed 0)"),
        "{said}"
    );
    frozen("0", "again.npz");
    assert_eq!(fs::read(root.join("n.npz")).unwrap(), fs::read(root.join("again.npz")).unwrap());
    // Clips of different lengths are scored, in any order of their names.
    let names = ["speaker/session0/d", "speaker/session0/e", "listener/session0/d", "listener/session0/e"];
    for (i, name) in names.iter().enumerate() {
        let frames = if name.ends_with('d') { 24 } else { 28 };
        for (kind, seed) in [("real", i + 1), ("predicted", i + 7)] {
            let path = root.join(kind).join(format!("{name}.npy"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let values = attributes(seed, frames);
            match kind {
                "real" => react_store::write_npy(&path, &values).unwrap(),
                _ => react_store::write_npy(&path, &values.insert_axis(ndarray::Axis(0))).unwrap(),
            }
        }
    }
    let score = |neighbours: &str| -> Value {
        succeeds(
            root,
            &[
                "score",
                "--prediction",
                "predicted",
                "--listener",
                "real",
                "--neighbours",
                neighbours,
                "--bootstrap",
                "0",
                "--json",
                "s.json",
            ],
        );
        serde_json::from_str(&fs::read_to_string(root.join("s.json")).unwrap()).unwrap()
    };
    let (first, second) = (score("n.npz"), score("again.npz"));
    assert!(first["FRDist"].is_number() && first["FRDist"] == second["FRDist"] && first["FRCorr"] == second["FRCorr"]);
    // The packed matrix is the same rule's, as an npy: in the order of the names here, which is not that of the packed items.
    let packed = react_store::read_npy_u8(&root.join("packed/val/neighbours.npy")).unwrap();
    assert_eq!(packed.slice(s![..2, ..2]).sum() + packed.slice(s![2.., 2..]).sum(), 8);
    react_store::write_npy(&root.join("n.npy"), &packed).unwrap();
    assert_eq!(score("n.npy")["FRDist"], first["FRDist"]);
}

#[test]
fn a_doctor_says_what_is_wrong_and_prepare_goes_on_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    mars(&root.join("mars"));
    let bad = root.join("mars/train/facial-attributes/listener/session0/b.npy");
    let mut values = attributes(3, 26);
    values[[4, 20]] = f32::NAN;
    react_store::write_npy(&bad, &values).unwrap();
    fs::write(root.join("mars/val/audio/speaker/session0/x.wav"), "of nobody").unwrap();
    let examine = || react_train(root, &["doctor", "--corpus", "react2025", "--root", "mars", "--json", "found.json"]);
    let output = examine();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("error    train/listener/session0/b: ") && said.contains("row 5, column 21: NaN is not finite"), "{said}");
    assert!(said.contains("warning  val: no list names") && said.ends_with("react2025: 1 errors, 1 warnings, 0 notes\n"), "{said}");
    assert!(output.stderr.is_empty() || !String::from_utf8_lossy(&output.stderr).contains("error:"));
    let json: Value = serde_json::from_str(&fs::read_to_string(root.join("found.json")).unwrap()).unwrap();
    assert_eq!((json["severity"].as_str(), json["findings"][0]["kind"].as_str()), (Some("error"), Some("not-finite")));
    assert_eq!(json["findings"][0]["file"].as_str(), Some("train/facial-attributes/listener/session0/b.npy"));

    let prepare = ["prepare", "--corpus", "react2025", "--root", "mars", "--out", "packed", "--shorter", "32", "--crop", "32"];
    assert!(fails(root, &prepare).contains("b.npy: row 5, column 21"));
    let (said, _) = succeeds(root, &[&prepare[..], &["--max-bad", "1"]].concat());
    assert!(said.starts_with("1 bad clips left out (bad.csv); packed "), "{said}");
    let list = fs::read_to_string(root.join("packed/bad.csv")).unwrap();
    assert!(list.lines().count() == 2 && list.contains("train,listener/session0/b,"), "{list}");

    react_store::write_npy(&bad, &attributes(3, 26)).unwrap();
    assert_eq!(examine().status.code(), Some(3));
    fs::remove_file(root.join("mars/val/audio/speaker/session0/x.wav")).unwrap();
    assert_eq!(examine().status.code(), Some(0));
    let missing = fails(root, &["doctor", "--corpus", "react2025", "--root", "nowhere"]);
    assert!(missing.contains("folder of the corpus react2025 not found: nowhere"), "{missing}");
}

#[test]
fn faces_are_said_in_words_that_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    mars(&folder.path().join("mars"));
    let with = |more: &[&str]| {
        let prepare = ["prepare", "--corpus", "react2025", "--root", "mars", "--out", "packed", "--shorter", "32", "--crop", "32"];
        fails(folder.path(), &[&prepare[..], more].concat())
    };
    assert!(with(&["--faces", "left"]).contains("--faces must be given, centre, detect or a .csv of boxes, is left"));
    assert!(with(&["--faces", "detect"]).contains("--face-model"));
    assert!(with(&["--faces", "none.csv"]).contains("none.csv"));
    let model = with(&["--faces", "detect", "--face-model", "none.bin"]);
    assert!(model.contains("--features detect") || model.contains("none.bin"), "{model}");
    assert!(with(&["--cut", "none.csv"]).contains("none.csv"));
}
