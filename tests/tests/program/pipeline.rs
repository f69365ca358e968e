//! From an empty folder to a report, and again.

use crate::{fails, react_train, succeeds, tiny};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

fn files(folder: &Path) -> BTreeMap<String, SystemTime> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path().to_string_lossy().into_owned(), entry.metadata().unwrap().modified().unwrap());
        }
    }
    found
}

#[test]
fn the_whole_job_then_again_then_with_another_training() {
    let folder = tempfile::tempdir().unwrap();
    let (out, log) = succeeds(folder.path(), &tiny(&[], &[]));
    for word in [
        "Trans-VAE",
        "speakers shuffled",
        "without sound",
        "without picture",
        "GT",
        "Random",
        "Mime",
        "MeanSeq",
        "MeanFr",
        "oracle",
        "FRSyn",
    ] {
        assert!(out.contains(word), "no {word} in\n{out}");
    }
    assert!(log.contains("packed"), "{log}");
    let run = folder.path().join("runs/tiny");
    for line in ["report", "checkpoint"] {
        let path = out.lines().find_map(|l| l.strip_prefix(line)).unwrap().trim();
        assert!(Path::new(path).is_file(), "{path}");
    }
    let report = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(report.contains("data:video/mp4;base64,") && report.contains("AU12") && report.contains("FRCorr"));
    for network in ["http://", "https://", "src=\"//"] {
        let outside = report.matches(network).count() - report.matches("http://www.w3.org/").count() * usize::from(network == "http://");
        assert_eq!(outside, 0, "the report points at {network}");
    }

    let scores: Value = serde_json::from_str(&std::fs::read_to_string(run.join("scores.json")).unwrap()).unwrap();
    let systems = scores["systems"].as_array().unwrap();
    let score = |name: &str, metric: &str| {
        let system = systems.iter().find(|system| system["name"] == name).unwrap();
        system["published"][metric].as_f64().unwrap()
    };
    assert_eq!(score("GT", "FRDist"), 0.0);
    assert!(score("GT", "FRCorr") > score("Random", "FRCorr"));
    assert!((score("Random", "FRDiv") - 1.0 / 6.0).abs() < 0.01);
    assert_eq!(scores["clips"].as_array().unwrap().len(), 4, "2 pairs, mirrored");
    let latex = std::fs::read_to_string(run.join("scores.tex")).unwrap();
    assert!(latex.contains("Trans-VAE") && latex.contains('&') && latex.contains("\\\\"));
    let steps = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(steps.lines().filter(|line| line.contains("\"step\"") && line.contains("learning_rate")).count(), 8);

    let before = files(folder.path());
    let (again, log) = succeeds(folder.path(), &tiny(&[], &[]));
    assert_eq!(again, out);
    assert!(log.contains("were packed already") && log.contains("made before") && log.contains("reused"), "{log}");
    let changed: Vec<_> =
        files(folder.path()).into_iter().filter(|(path, time)| before.get(path) != Some(time)).map(|(path, _)| path).collect();
    let kept = |path: &String| path.ends_with("config.toml") || path.ends_with(".lock");
    assert!(changed.iter().all(kept), "the second run rewrote {changed:?}");

    let error = fails(folder.path(), &tiny(&[], &["train.learning_rate=0.5"]));
    assert!(error.contains("tiny") && error.contains("another train"), "{error}");
}

/// Training that decodes crops straight from the videos ends with the bytes of one that reads packed frames.
#[test]
fn both_stores_train_the_same_model() {
    let weights = ["npy", "source"].map(|store| {
        let folder = tempfile::tempdir().unwrap();
        let setting = format!("corpus.store=\"{store}\"");
        let (out, _) = succeeds(folder.path(), &tiny(&[], &[&setting]));
        let frames = files(&folder.path().join("data/packed"));
        let npy = frames.keys().filter(|path| path.contains("/frames/") && path.ends_with(".npy")).count();
        assert_eq!(npy > 0, store == "npy", "{store}: {npy} files of frames");
        let scores: Vec<String> = out.lines().skip_while(|line| !line.contains("FRCorr")).take(6).map(str::to_owned).collect();
        let bytes = std::fs::read(folder.path().join("runs/tiny/best.safetensors")).unwrap();
        // The notes beside the tensors name the data, which differ.
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let tensors: BTreeMap<String, Vec<u8>> = tensors.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect();
        (tensors, scores)
    });
    assert!(weights[0].0.len() > 20 && weights[0].0 == weights[1].0);
    assert_eq!(weights[0].1.len(), 6);
    assert_eq!(weights[0].1, weights[1].1);
}

#[test]
fn a_corpus_is_the_same_bytes_for_the_same_seed() {
    let folder = tempfile::tempdir().unwrap();
    let args = |out| ["synth", "--pairs", "3", "--frames", "20", "--size", "32", "--seed", "5", "--out", out];
    succeeds(folder.path(), &args("a"));
    succeeds(folder.path(), &args("b"));
    let bytes = |root: &str| -> BTreeMap<String, Vec<u8>> {
        let root = folder.path().join(root);
        files(&root).into_keys().map(|path| (path[root.to_str().unwrap().len()..].to_owned(), std::fs::read(&path).unwrap())).collect()
    };
    let (a, b) = (bytes("a"), bytes("b"));
    assert!(a.len() > 3 * 2 * 4, "{:?}", a.keys());
    assert!(a == b);
}

#[test]
fn the_plan_and_the_help_say_what_was_understood() {
    let folder = tempfile::tempdir().unwrap();
    let (plan, _) = succeeds(folder.path(), &["--config", "offline", "--set", "train.batch=2", "--print-plan"]);
    assert!(plan.contains("batch = 2") && plan.contains("div_p = 10.0"), "{plan}");
    let help = react_train(folder.path(), &["--help"]);
    let help = String::from_utf8(help.stdout).unwrap();
    for command in ["synth", "prepare", "train", "evaluate", "report", "predict", "score", "baselines", "convert"] {
        assert!(help.contains(command), "{command} is not in the help");
    }
}
