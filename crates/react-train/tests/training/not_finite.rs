//! A value that is no number stops a training before the weights move, and is named.

use crate::{files, packed, run_to, small, steps};
use react_train::train::{Stop, train};
use std::path::{Path, PathBuf};

/// A copy of the corpus in which one clip of the training split ends in a NaN.
fn poisoned(folder: &Path, modality: &str) -> PathBuf {
    fn copy(from: &Path, to: &Path, modality: &str, poison: &mut bool) {
        std::fs::create_dir_all(to).unwrap();
        let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy(&path, &target, modality, poison);
                continue;
            }
            let mut bytes = std::fs::read(&path).unwrap();
            let part = |name: &str| path.components().any(|part| part.as_os_str() == name);
            if *poison && part("train") && part(modality) {
                // An array's last number.
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
                *poison = false;
            }
            std::fs::write(target, bytes).unwrap();
        }
    }
    let (to, mut poison) = (folder.join("packed"), true);
    copy(&packed(), &to, modality, &mut poison);
    assert!(!poison, "no {modality} in the training split");
    to
}

#[test]
fn a_value_of_the_corpus_is_named_with_its_clip() {
    for (modality, name) in [("audio", "speaker_audio"), ("emotion", "listener_emotion"), ("coeffs", "listener_3dmm")] {
        let folder = tempfile::tempdir().unwrap();
        let config = small("demo", &poisoned(folder.path(), modality), &["train.save_every_steps=1", "train.clip_frames=16"]);
        let run = react_train::Run::at(&folder.path().join("run")).unwrap();
        let error = format!("{:#}", train(&config, &run, &Stop::never()).unwrap_err());
        let made = steps(&run.records().unwrap());
        assert!(error.starts_with(&format!("step {made}: {name}[")), "{error}");
        assert!(error.contains(", 15, ") && error.contains("frames 0..16, is not finite: loss of "), "{error}");

        // The checkpoint is that of the last good step, and says the same again.
        if made > 0 {
            let before = files(&run);
            assert_eq!(format!("{:#}", train(&config, &run, &Stop::never()).unwrap_err()), error);
            assert!(before == files(&run));
        }
    }
}

#[test]
fn weights_that_run_away_are_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let set = ["train.save_every_steps=1", "train.learning_rate=1e25", "train.warmup_steps=0", "train.schedule=constant"];
    let config = small("demo", &packed(), &set);
    let run = react_train::Run::at(folder.path()).unwrap();
    let error = format!("{:#}", train(&config, &run, &Stop::never()).unwrap_err());
    assert!(error.starts_with("step 1: ") && error.ends_with("is not finite"), "{error}");
    // The checkpoint after step 0 is there, of numbers, and can be read.
    let tensors = react_model::weights::Tensors::read(&run.last()).unwrap();
    assert_eq!(tensors.note().optimizer_steps, Some(1));
    for name in tensors.names() {
        let values = tensors.get(name).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(values.iter().all(|value| value.is_finite()), "{name}");
    }
    let (_, trained) = run_to(&config, run.folder(), &Stop::after(1));
    assert_eq!(trained.total, 1);
}
