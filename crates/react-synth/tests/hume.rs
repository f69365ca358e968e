//! A small corpus like Hume-Reaction on disk: as published, the same on any number of threads, and readable.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_data::Faces;
use react_data::hume::{EriPacked, HumeConfig, HumeCorpus, HumeRecipe, prepare_hume};
use react_media::{VideoReader, read_audio};
use react_synth::SynthError;
use react_synth::hume::{EMOTIONS, Face, HUME_FPS, HumeSynthConfig, HumeTruth, generate_hume};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn small() -> HumeSynthConfig {
    HumeSynthConfig { train: 9, val: 4, test: 2, seconds: 0.5, size: 32, seed: 3, threads: 0 }
}

/// Every file below `root` by its relative path.
fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                out.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    out
}

#[test]
fn the_layout_is_the_published_one() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("corpus");
    let report = generate_hume(&small(), &root, &()).unwrap();
    assert_eq!((report.written, report.reused), (15, 0));
    let recipe = HumeRecipe::built_in().unwrap();
    assert_eq!(recipe.emotions, EMOTIONS);
    let corpus = HumeCorpus::open(&root, &recipe).unwrap();
    let truth = HumeTruth::read(&root).unwrap().unwrap();
    assert!(truth.complete);
    let clips: Vec<_> = corpus.splits().iter().flat_map(|split| split.clips().iter().map(move |clip| (split.name(), clip))).collect();
    assert_eq!(clips.len(), truth.clips.len());
    for ((split, clip), truth) in clips.iter().zip(&truth.clips) {
        assert_eq!((&clip.id, *split), (&truth.id, truth.split.as_str()));
        assert_eq!(clip.labels.as_deref(), (truth.split != "test").then_some(&truth.labels[..]));
        let info = VideoReader::open(clip.video.as_ref().unwrap()).unwrap().info().clone();
        assert_eq!((info.width, info.height, info.frames, info.fps), (32, 32, 6, HUME_FPS));
        let audio = read_audio(clip.sound.as_ref().unwrap()).unwrap();
        assert_eq!((audio.rate, audio.channels, audio.frames()), (16_000, 1, 8000));
        assert_eq!(audio.samples.iter().any(|x| *x != 0.0), truth.sound);
    }
    // Two files a clip; the table, boxes, truth.
    assert_eq!(files(&root).len(), 2 * 15 + 3);
}

#[test]
fn missing_faces_and_voices_are_found_when_packing() {
    let folder = tempfile::tempdir().unwrap();
    let (root, out) = (folder.path().join("corpus"), folder.path().join("packed"));
    // A seed with each kind of loss among a few clips.
    let lacks = |truth: &HumeTruth, face: Face| truth.clips.iter().filter(|clip| clip.face == face).count();
    let config = (0..).map(|seed| HumeSynthConfig { seed, ..small() }).find(|config| {
        let truth = HumeTruth::plan(config).unwrap();
        lacks(&truth, Face::Black) > 0 && lacks(&truth, Face::Room) > 0 && truth.clips.iter().any(|clip| !clip.sound)
    });
    generate_hume(&config.unwrap(), &root, &()).unwrap();
    let config = HumeConfig {
        faces: Faces::Boxes(root.join("boxes.csv")),
        root: root.clone(),
        out: out.clone(),
        crop: 16,
        frames: 4,
        steps: 8,
        ..HumeConfig::default()
    };
    let truth = HumeTruth::read(&root).unwrap().unwrap();
    let report = prepare_hume(&config, &()).unwrap();
    assert_eq!(report.without_face, lacks(&truth, Face::Black) + lacks(&truth, Face::Room));
    assert_eq!(report.without_sound, truth.clips.iter().filter(|clip| !clip.sound).count());
    let packed = EriPacked::open(&out).unwrap();
    for name in ["train", "val", "test"] {
        let split = packed.split(name).unwrap();
        for (i, clip) in truth.clips.iter().filter(|clip| clip.split == name).enumerate() {
            assert_eq!((split.id(i), split.has_face(i), split.has_sound(i)), (clip.id.as_str(), clip.face == Face::Shown, clip.sound));
        }
    }
    // Without boxes only black pictures are known to show no face.
    let report = prepare_hume(&HumeConfig { faces: Faces::Centre, ..config }, &()).unwrap();
    assert_eq!(report.without_face, lacks(&truth, Face::Black));
}

#[test]
fn the_same_bytes_on_any_number_of_threads_and_what_is_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let made = [1, 3].map(|threads| {
        let root = folder.path().join(threads.to_string());
        generate_hume(&HumeSynthConfig { threads, ..small() }, &root, &()).unwrap();
        files(&root)
    });
    for (name, bytes) in &made[0] {
        assert!(*bytes == made[1][name], "{name} differs");
    }
    let root = folder.path().join("1");
    assert_eq!(generate_hume(&small(), &root, &()).unwrap().written, 0);
    let truth = String::from_utf8(made[0]["truth.json"].clone()).unwrap();
    fs::write(root.join("truth.json"), truth.replace("\"complete\":true", "\"complete\":false")).unwrap();
    fs::remove_file(root.join("val/mp4/00010.mp4")).unwrap();
    fs::remove_file(root.join("data_info.csv")).unwrap();
    let report = generate_hume(&small(), &root, &()).unwrap();
    assert_eq!((report.written, report.reused), (1, 14));
    assert!(files(&root) == made[0]);
    let error = generate_hume(&HumeSynthConfig { seed: 7, ..small() }, &root, &()).unwrap_err().to_string();
    let want = "holds another synthetic corpus (9 + 4 + 2 clips of 0.5 s, 32 pixels, seed 3): choose another folder, or remove it";
    assert_eq!(error, format!("{} {want}", root.display()));
    fs::remove_file(root.join("truth.json")).unwrap();
    assert!(matches!(generate_hume(&small(), &root, &()).unwrap_err(), SynthError::Occupied { .. }));
    let error = HumeTruth::plan(&HumeSynthConfig { seconds: f64::NAN, ..small() }).unwrap_err().to_string();
    assert_eq!(error, "seconds must be from 0.25 to 600, is NaN");
}

/// The face tells more than the voice, both more than either, of any seed; some emotions are seen better, others heard better.
#[test]
fn each_modality_tells_its_part() {
    for seed in 0..3 {
        let config = HumeSynthConfig { train: 4000, val: 2000, seed, ..HumeSynthConfig::default() };
        let truth = HumeTruth::plan(&config).unwrap();
        let [face, voice, both] = truth.ceiling.mean();
        assert!((0.69..0.77).contains(&face) && (0.54..0.63).contains(&voice) && both > 0.82, "seed {seed}: {face} {voice} {both}");
        for (e, emotion) in EMOTIONS.iter().enumerate() {
            let better = truth.ceiling.face[e] > truth.ceiling.voice[e];
            assert_eq!(better, !["Anxiety", "Empathic-Pain", "Fear"].contains(emotion), "{emotion}");
            assert!(truth.ceiling.both[e] > truth.ceiling.face[e].max(truth.ceiling.voice[e]));
        }
    }
}
