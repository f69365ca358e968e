//! A small corpus on disk: complete, as published, the same on any number of threads, and never over something else.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use ndarray::Array2;
use react_contracts::channels;
use react_data::{AppropriateIndex, Corpus, Recipe, read_mean_face, split_neighbours};
use react_media::{VideoReader, read_audio};
use react_store::{read_npy_f32, read_npy_f64};
use react_synth::{Split, SynthConfig, SynthError, Truth, World, generate};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

fn small() -> SynthConfig {
    SynthConfig { pairs_train: 5, pairs_val: 4, frames: 24, size: 32, ..SynthConfig::default() }
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
                out.insert(path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/"), fs::read(&path).unwrap());
            }
        }
    }
    out
}

#[test]
fn the_layout_is_the_challenge_s() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("corpus");
    let report = generate(&small(), &root, &()).unwrap();
    assert_eq!((report.written, report.reused), (18, 0));
    let corpus = Corpus::open(&root, Recipe::named("synthetic").unwrap()).unwrap();
    let mut persons: Vec<BTreeSet<String>> = Vec::new();
    for (split, pairs) in corpus.splits().iter().zip([5, 4]) {
        assert_eq!(split.pairs().len(), pairs);
        persons.push(split.clips().iter().map(|clip| clip.person().to_owned()).collect());
        for clip in split.clips() {
            let files = corpus.files(split, clip).unwrap();
            check_emotion(&files.emotion);
            assert_eq!(read_npy_f32(&files.coeffs).unwrap().shape(), [24, 1, 58]);
            let audio = read_audio(&files.audio).unwrap();
            assert_eq!((audio.rate, audio.channels, audio.frames()), (44_100, 1, 24 * 1764));
            let info = VideoReader::open(&files.video).unwrap().info().clone();
            assert_eq!((info.width, info.height, info.frames, info.fps), (32, 32, 24, 25.0));
        }
    }
    assert!(persons[0].is_disjoint(&persons[1]), "{persons:?}");
    // 4 clips of 9 pairs in 2 roles; 3 tables of pairs and indices; matrix, mean, reference, truth.
    assert_eq!(files(&root).len(), 4 * 18 + 3 + 4);
}

fn check_emotion(csv: &Path) {
    let text = fs::read_to_string(csv).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next().unwrap(), channels::EMOTION.join(","));
    let rows: Vec<Vec<f64>> = lines.map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect();
    assert_eq!(rows.len(), 24);
    for row in rows {
        assert_eq!(row.len(), 25);
        assert!(row[channels::AU].iter().all(|x| *x == 0.0 || *x == 1.0), "{row:?}");
        assert!(row[channels::AFFECT].iter().all(|x| (-1.0..=1.0).contains(x)), "{row:?}");
        assert!(row[channels::EXPRESSIONS].iter().all(|x| (0.0..=1.0).contains(x)), "{row:?}");
        assert!((row[channels::EXPRESSIONS].iter().sum::<f64>() - 1.0).abs() < 1e-5, "{row:?}");
    }
}

#[test]
fn tables_say_what_the_truth_says() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("corpus");
    generate(&small(), &root, &()).unwrap();
    let truth = Truth::read(&root).unwrap().unwrap();
    assert!(truth.complete);
    let matrix = read_npy_f64(&root.join("Approprirate_facial_reaction.npy")).unwrap();
    assert_eq!(matrix.shape(), [18, 18]);
    for i in 0..18 {
        for j in 0..18 {
            let (a, b) = (&truth.pairs[i % 9], &truth.pairs[j % 9]);
            let want = i / 9 == j / 9 && a.split == b.split && a.script == b.script;
            assert_eq!(matrix[[i, j]], f64::from(u8::from(want)), "{i}, {j}");
            assert_eq!(matrix[[i, j]], matrix[[j, i]]);
        }
    }
    // As react-data finds it for the split: the pairs by site, chat and clip.
    let index = AppropriateIndex::read(&root.join("data_indices.csv")).unwrap();
    let pairs = react_data::read_pairs(&root.join("val.csv")).unwrap();
    let found = split_neighbours(&index, &root.join("Approprirate_facial_reaction.npy"), &pairs).unwrap();
    let scripts: Vec<usize> = truth.pairs[5..].iter().map(|pair| pair.script).collect();
    assert_eq!(found, Array2::from_shape_fn((8, 8), |(i, j)| u8::from(i / 4 == j / 4 && scripts[i % 4] == scripts[j % 4])));
    assert_eq!(pairs[2].speaker.path(), truth.pairs[7].speaker);

    // The mean over the training clips' files.
    let mean = read_mean_face(&root.join("mean_face.npy")).unwrap();
    let corpus = Corpus::open(&root, Recipe::named("synthetic").unwrap()).unwrap();
    let train = &corpus.splits()[0];
    let clips: Vec<_> = train.clips().iter().map(|clip| read_npy_f32(&corpus.files(train, clip).unwrap().coeffs).unwrap()).collect();
    for i in [0, 24, 52, 57] {
        let sum: f64 = clips.iter().map(|clip| (0..24).map(|t| f64::from(clip[[t, 0, i]])).sum::<f64>()).sum();
        assert!((sum / (24.0 * clips.len() as f64) - f64::from(mean[i])).abs() < 1e-5, "channel {i}");
    }
}

#[test]
fn the_same_bytes_on_any_number_of_threads() {
    let folder = tempfile::tempdir().unwrap();
    let made = [1, 3].map(|threads| {
        let root = folder.path().join(threads.to_string());
        generate(&SynthConfig { threads, ..small() }, &root, &()).unwrap();
        files(&root)
    });
    assert_eq!(made[0].keys().collect::<Vec<_>>(), made[1].keys().collect::<Vec<_>>());
    for (name, bytes) in &made[0] {
        assert!(*bytes == made[1][name], "{name} differs");
    }
    let other = folder.path().join("other");
    generate(&SynthConfig { seed: 1, ..small() }, &other, &()).unwrap();
    assert_ne!(files(&other)["train/Emotion/Synth/chat-0001/P0001/1.csv"], made[0]["train/Emotion/Synth/chat-0001/P0001/1.csv"]);
}

#[test]
fn what_is_there_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("corpus");
    generate(&small(), &root, &()).unwrap();
    let whole = files(&root);
    assert_eq!(generate(&small(), &root, &()).unwrap().to_string(), format!("reused 18 synthetic clips in {}", root.display()));

    // Stopped before a clip and the tables were written.
    let truth = String::from_utf8(whole["truth.json"].clone()).unwrap();
    fs::write(root.join("truth.json"), truth.replace("\"complete\": true", "\"complete\": false")).unwrap();
    fs::remove_file(root.join("val/Audio_files/Synth/chat-0004/P0007/2.wav")).unwrap();
    fs::remove_file(root.join("val.csv")).unwrap();
    let report = generate(&small(), &root, &()).unwrap();
    assert_eq!((report.written, report.reused), (1, 17));
    assert!(files(&root) == whole);

    let error = generate(&SynthConfig { seed: 7, ..small() }, &root, &()).unwrap_err().to_string();
    let want = "holds another synthetic corpus (5 + 4 pairs, 24 frames, 32 pixels, 4 scripts, seed 0): choose another folder, or remove it";
    assert_eq!(error, format!("{} {want}", root.display()));
    fs::remove_file(root.join("truth.json")).unwrap();
    let error = generate(&small(), &root, &()).unwrap_err();
    assert!(matches!(error, SynthError::Occupied { .. }), "{error}");
    fs::write(root.join("truth.json"), "{").unwrap();
    assert!(generate(&small(), &root, &()).unwrap_err().to_string().contains("truth.json does not describe a synthetic corpus: "));
}

#[test]
fn impossible_configurations_are_refused() {
    let error = |config: SynthConfig| World::new(&config).unwrap_err().to_string();
    assert_eq!(error(SynthConfig { scripts: 5, ..small() }), "scripts must be 4, 6 or 9, is 5");
    assert_eq!(error(SynthConfig { frames: 3, ..small() }), "frames must be from 16 to 100000, is 3");
    assert_eq!(error(SynthConfig { pairs_val: 0, ..small() }), "pairs_val must be from 1 to 100000, is 0");
    assert_eq!(Split::named("dev").unwrap_err().to_string(), "the synthetic corpus has no split \"dev\"; it has train and val");
}

/// A script's reactions are alike, those of other scripts are not: FRCorr of the oracle and of reactions to the next script.
#[test]
fn reactions_tell_scripts_apart() {
    let world = World::new(&SynthConfig { pairs_train: 4, pairs_val: 24, frames: 128, ..SynthConfig::default() }).unwrap();
    let [real, _] = world.real(Split::Val);
    let n = real.len_of(ndarray::Axis(0));
    let scripts: Vec<usize> = world.split(Split::Val).map(|dyad| dyad.script).collect();
    let like = |shift: usize| {
        let same = |i: usize, j: usize| i / 24 == j / 24 && (scripts[i % 24] + shift) % 4 == scripts[j % 24];
        let matrix = Array2::from_shape_fn((n, n), |(i, j)| u8::from(same(i, j)));
        let neighbours = react_metrics::Neighbours::new(matrix.view()).unwrap();
        let oracle = world.oracle(Split::Val, 2).attributes;
        react_metrics::fr_corr(oracle.view(), real.view(), &neighbours).unwrap() / 2.0
    };
    let (same, other) = (like(0), like(1));
    assert!(same > 0.5 && other < 0.2, "{same} and {other} of 1");
}
