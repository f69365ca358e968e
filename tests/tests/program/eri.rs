//! The second job: intensities of a face, a voice, or both.

use crate::{fails, succeeds, text};
use std::path::Path;

/// The arguments that make a preset tiny.
const TINY: [&str; 12] = [
    "corpus.root=\"corpus\"",
    "corpus.packed=\"packed\"",
    "corpus.synthetic.train=12",
    "corpus.synthetic.val=6",
    "corpus.synthetic.test=4",
    "corpus.synthetic.seconds=1.0",
    "corpus.synthetic.size=64",
    "clip.crop=32",
    "clip.frames=2",
    "clip.steps=8",
    "model.stem=2",
    "train.epochs=2",
];

pub(crate) fn tiny<'a>(preset: &'a str, command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let set = TINY.iter().chain(["train.batch=6"].iter()).chain(more).flat_map(|key| ["--set", *key]);
    ["--config", preset].into_iter().chain(command.iter().copied()).chain(set).collect()
}

/// The rows of a csv, without its head.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let table = std::fs::read_to_string(path).unwrap();
    table.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn three_presets_from_an_empty_folder_to_predictions() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for preset in ["eri-audio-small", "eri-video-small"] {
        let (out, _) = succeeds(folder, &tiny(preset, &[], &[]));
        assert!(out.contains("seed 0") && out.contains("dual branch, fusion    0.4429") && out.contains("the synthetic corpus"), "{out}");
    }
    // The fusion begins with the two branches; three seeds and their ensemble.
    let branches = ["runs/eri-audio-small/seed-0/best.safetensors", "runs/eri-video-small/seed-0/best.safetensors"];
    let train = ["train", "--seeds", "3", "--init-audio", branches[0], "--init-video", branches[1]];
    let (out, _) = succeeds(folder, &tiny("eri-fusion-small", &train, &[]));
    assert_eq!(out.lines().count(), 3, "{out}");
    let (out, _) = succeeds(folder, &tiny("eri-fusion-small", &["evaluate"], &[]));
    assert!(out.contains("seed 2") && out.contains("mean ± s.d.") && out.contains("ensemble") && out.contains("without the face"), "{out}");
    let runs = folder.join("runs/eri-fusion-small");
    for file in ["scores.json", "scatter.svg", "predictions.csv"] {
        assert!(runs.join(file).metadata().unwrap().len() > 100, "{file}");
    }

    // A split as the challenge wants it.
    let (out, _) = succeeds(folder, &tiny("eri-fusion-small", &["predict", "--split", "test", "--batch-size", "3"], &[]));
    let table = std::fs::read_to_string(folder.join(out.trim())).unwrap();
    assert!(table.starts_with("File_ID,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise\n["), "{table}");
    let split = rows(&folder.join(out.trim()));
    assert_eq!((split.len(), split[0].len()), (4, 8));
    assert!(split.iter().flat_map(|row| &row[1..]).all(|value| (0.0..=1.0).contains(&value.parse::<f32>().unwrap())));

    // The same clip from its files gives the same numbers as packed; without a file it is as if the modality were missing.
    let best = "runs/eri-fusion-small/seed-0/best.safetensors";
    let one = ["predict", "--split", "test", "--checkpoint", best, "--out", "one"];
    succeeds(folder, &tiny("eri-fusion-small", &one, &[]));
    let packed = rows(&folder.join("one/predictions-test.csv"));
    let id = packed[0][0].trim_matches(['[', ']']).to_owned();
    let (mp4, wav) = (format!("corpus/test/mp4/{id}.mp4"), format!("corpus/test/wav/{id}.wav"));
    if folder.join(&mp4).exists() && folder.join(&wav).exists() {
        let call = ["predict", "--task", "eri", "--checkpoint", best, "--speaker-video", &mp4, "--speaker-audio", &wav, "--out", "clip"];
        succeeds(folder, &call);
        let values: Vec<String> = rows(&folder.join("clip/intensities.csv")).into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(values, packed[0][1..]);
    }
    let (out, _) = succeeds(folder, &["predict", "--task", "eri", "--checkpoint", best, "--speaker-audio", &wav, "--out", "voice"]);
    assert!(out.contains("the face is missing"), "{out}");
    assert_eq!(rows(&folder.join("voice/intensities.csv")).len(), 7);

    let (out, _) = succeeds(folder, &["report", "runs/eri-fusion-small"]);
    let report = std::fs::read_to_string(out.trim().strip_prefix("report").unwrap().trim()).unwrap();
    assert!(report.contains("ensemble") && report.contains("0.4429") && report.contains("Adoration"));

    // Training again finds everything done, and other settings are refused.
    let before = std::fs::read(runs.join("seed-0/last.safetensors")).unwrap();
    succeeds(folder, &tiny("eri-fusion-small", &train, &[]));
    assert_eq!(before, std::fs::read(runs.join("seed-0/last.safetensors")).unwrap());
    let error = fails(folder, &tiny("eri-fusion-small", &["train"], &["train.lambda=0.1"]));
    assert!(error.contains("was trained with another train"), "{error}");
}

#[test]
fn mistakes_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    succeeds(folder, &["synth", "--corpus", "hume", "--pairs", "4", "--size", "64", "--out", "corpus"]);
    let prepare = ["prepare", "--corpus", "hume", "--root", "corpus", "--out", "packed", "--crop", "32"];
    let info = folder.join("corpus/data_info.csv");
    let table = std::fs::read_to_string(&info).unwrap();
    std::fs::write(&info, table.replacen("Disgust", "Disguise", 1)).unwrap();
    let error = fails(folder, &prepare);
    assert!(error.contains("data_info.csv") && error.contains("Disgust"), "{error}");
    let line = table.lines().nth(1).unwrap();
    let mut cells: Vec<&str> = line.split(',').collect();
    cells[3] = "NaN";
    std::fs::write(&info, table.replacen(line, &cells.join(","), 1)).unwrap();
    let error = fails(folder, &prepare);
    assert!(error.contains("data_info.csv") && error.to_lowercase().contains("nan"), "{error}");
    std::fs::write(&info, &table).unwrap();
    succeeds(folder, &prepare);

    let audio = ["--config", "eri-audio", "--set", "corpus.packed=\"packed\""];
    let error = fails(folder, &[&audio[..], &["train", "--init-audio", "x"]].concat());
    assert!(error.contains("--init-audio is for the fusion"), "{error}");
    let error = fails(folder, &[&audio[..], &["evaluate"]].concat());
    assert!(error.contains("train first"), "{error}");
    let error = fails(folder, &[&audio[..], &["predict", "--split", "nothing"]].concat());
    assert!(error.contains("nothing"), "{error}");
    let error = fails(folder, &["predict", "--task", "eri", "--checkpoint", "none", "--out", "x"]);
    assert!(error.contains("--speaker-video, --speaker-audio"), "{error}");
    let error = fails(folder, &["--set", "corpus.kind=\"hume\"", "train"]);
    assert!(error.contains("eri-fusion"), "{error}");
    let features =
        ["--config", "eri-video", "--set", "corpus.packed=\"packed\"", "--set", "model.frame_features=\"dinov2-small\"", "train"];
    let error = fails(folder, &features);
    assert!(error.contains("--frame-features dinov2-small"), "{error}");
    let error = fails(folder, &["--config", "eri-video", "score", "--prediction", text(&info), "--listener", text(&info)]);
    assert!(error.contains("is for reactions"), "{error}");
}
