//! Mistakes: one sentence with the path, and an exit code that is not 0.

use crate::{fails, fixture, react_train, succeeds, text, tiny};
use std::path::Path;

#[test]
fn a_bad_argument() {
    let folder = tempfile::tempdir().unwrap();
    let output = react_train(folder.path(), &["predict", "--samples", "none"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--samples"));
    assert!(fails(folder.path(), &["--config", "nothing"]).contains("cannot read the configuration nothing"));
    assert!(fails(folder.path(), &["--set", "train.bach=3"]).contains("bach"));
}

#[test]
fn a_device_that_cannot_be_used_is_said_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["--device", "cuda"][..], &["--config", "eri-fusion-small", "--device", "cuda:1"], &["--set", "precision=bf16"]] {
        let error = fails(folder.path(), args);
        assert!(error.contains("built without CUDA") || error.contains("the precision bf16 is for --device cuda"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{args:?}");
    }
}

#[test]
fn a_missing_folder() {
    let folder = tempfile::tempdir().unwrap();
    let prepare = fails(folder.path(), &["prepare", "--corpus", "react2024", "--root", "nowhere", "--out", "packed"]);
    assert!(prepare.contains("nowhere"), "{prepare}");
    let offline = fails(folder.path(), &["--config", "offline"]);
    assert!(offline.contains("data/react2024") && offline.contains("data-prep/react2024"), "{offline}");
    let train = fails(folder.path(), &["train"]);
    assert!(train.contains("data/packed/synthetic"), "{train}");
    let report = fails(folder.path(), &["report", "runs/none"]);
    assert!(report.contains("runs/none"), "{report}");
}

#[test]
fn an_unreadable_or_broken_file() {
    let folder = tempfile::tempdir().unwrap();
    let made = ["synth", "--pairs", "2", "--frames", "20", "--size", "32", "--out", "corpus"];
    succeeds(folder.path(), &made);
    let video = find(&folder.path().join("corpus/train/Video_files"), "mp4");
    let whole = std::fs::read(&video).unwrap();
    std::fs::write(&video, &whole[..whole.len() / 2]).unwrap();
    let prepare = ["prepare", "--corpus", "synthetic", "--root", "corpus", "--out", "packed", "--shorter", "32", "--crop", "32"];
    let error = fails(folder.path(), &prepare);
    let name = video.strip_prefix(folder.path()).unwrap().to_str().unwrap();
    assert!(error.contains(name), "{error} does not name {name}");
    std::fs::write(&video, &whole).unwrap();
    let emotion = find(&folder.path().join("corpus/train/Emotion"), "csv");
    let table = std::fs::read_to_string(&emotion).unwrap();
    std::fs::write(&emotion, table.replacen("0.", "x.", 1)).unwrap();
    let error = fails(folder.path(), &prepare);
    assert!(error.contains(emotion.file_name().unwrap().to_str().unwrap()), "{error}");
    std::fs::write(&emotion, &table).unwrap();
    let (_, _) = succeeds(folder.path(), &prepare);
}

fn find(folder: &Path, extension: &str) -> std::path::PathBuf {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    match entries.iter().find(|path| path.extension().is_some_and(|e| e == extension)) {
        Some(path) => path.clone(),
        None => find(&entries[0], extension),
    }
}

#[test]
fn a_checkpoint_of_another_shape_or_none() {
    let folder = tempfile::tempdir().unwrap();
    let (video, audio) = (fixture("video/h264_high_b.mp4"), fixture("audio/speech_44k_mono.wav"));
    let predict = |checkpoint: &str| {
        let args = [
            "predict",
            "--checkpoint",
            checkpoint,
            "--task",
            "offline",
            "--speaker-video",
            text(&video),
            "--speaker-audio",
            text(&audio),
            "--out",
            "out",
        ];
        fails(folder.path(), &args)
    };
    assert!(predict("none.safetensors").contains("none.safetensors"));
    std::fs::write(folder.path().join("noise.safetensors"), [7; 100]).unwrap();
    assert!(predict("noise.safetensors").contains("noise.safetensors"));
    std::fs::write(folder.path().join("noise.pth"), [0x80; 100]).unwrap();
    assert!(predict("noise.pth").contains("noise.pth"));

    let weights = std::fs::read(fixture("transvae/transvae_offline.weights.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&weights).unwrap();
    let reshaped = tensors.tensors().into_iter().map(|(name, view)| {
        let shape = match name.as_str() {
            "reaction_decoder.vae_model.linear.weight" => vec![16, 64],
            _ => view.shape().to_vec(),
        };
        (name, safetensors::tensor::TensorView::new(view.dtype(), shape, view.data()).unwrap())
    });
    std::fs::write(folder.path().join("other.safetensors"), safetensors::serialize(reshaped, None).unwrap()).unwrap();
    let error = predict("other.safetensors");
    for word in ["other.safetensors", "reaction_decoder.vae_model.linear.weight", "[32, 32]", "[16, 64]"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_run_that_was_not_evaluated() {
    let folder = tempfile::tempdir().unwrap();
    let error = fails(folder.path(), &tiny(&["evaluate"], &[]));
    assert!(error.contains("train first"), "{error}");
}
