//! The plots of a run and TensorBoard's events, from the program.

use crate::{succeeds, tiny};
use std::path::Path;

/// Each as SVG and PNG, well-formed, and nothing else.
fn drawn(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        match path.extension().unwrap().to_str().unwrap() {
            "svg" => {
                let text = String::from_utf8(bytes).unwrap();
                assert!(text.starts_with("<svg xmlns=") && !text.contains("NaN"), "{stem}");
                names.push(stem);
            }
            "png" => assert!(bytes.starts_with(b"\x89PNG") && folder.join(format!("{stem}.svg")).is_file(), "{stem}"),
            other => panic!("{stem}.{other}"),
        }
    }
    names.sort();
    names
}

#[test]
fn a_run_has_its_plots() {
    let folder = tempfile::tempdir().unwrap();
    let online = ["model.task=\"online\"", "model.window=8", "evaluate.window=8", "train.tensorboard=true"];
    succeeds(folder.path(), &tiny(&[], &online));
    let run = folder.path().join("runs/tiny");
    events_hold_scalars_and_pictures(&run);
    let all = ["attributes", "coefficients", "diversity", "frcorr-per-clip", "latent-space", "losses", "seams", "spread", "synchrony"];
    assert_eq!(drawn(&run.join("plots")), all);
    let text = |name: &str| std::fs::read_to_string(run.join("plots").join(name)).unwrap();
    assert!(text("coefficients.svg").contains("rotation y (rad)") && text("attributes.svg").contains("AU12 lip corner puller"));
    assert!(text("latent-space.svg").contains("% of the variance)") && text("seams.svg").contains("first frame of a window"));

    // A run that an older version evaluated has a report all the same, without the plots that it did not keep the numbers for.
    for file in ["analysis.json", "latent_mu.npy"] {
        std::fs::remove_file(run.join(file)).unwrap();
    }
    std::fs::remove_dir_all(run.join("plots")).unwrap();
    let (_, log) = succeeds(folder.path(), &["report", "runs/tiny"]);
    assert!(log.contains("left out"), "{log}");
    assert_eq!(drawn(&run.join("plots")), ["attributes", "coefficients", "diversity", "frcorr-per-clip", "losses"]);
}

/// 8 steps and 2 validations.
fn events_hold_scalars_and_pictures(run: &Path) {
    let bytes = std::fs::read(run.join("events.out.tfevents.react-train")).unwrap();
    let times = |word: &[u8]| bytes.windows(word.len()).filter(|window| *window == word).count();
    for tag in ["train/loss", "train/reconstruction", "train/kl", "train/diversity", "train/learning_rate", "train/gradient_norm"] {
        assert_eq!(times(tag.as_bytes()), 8, "{tag}");
    }
    for tag in ["validation/selection", "validation/faces", "validation/attributes", "validation/coefficients"] {
        assert_eq!(times(tag.as_bytes()), 2, "{tag}");
    }
    assert_eq!(times(b"\x89PNG\r\n\x1a\n"), 6);
}
