//! `render`: videos of a run and of a reaction, with sound, and what is written beside them.

use crate::{fails, fixture, react_train, succeeds, text, tiny};
use ndarray::{Array2, Array3};
use react_media::{VideoReader, read_audio};
use serde_json::Value;
use std::path::Path;

fn description(folder: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder.join("render.json")).unwrap()).unwrap()
}

/// Whether some note of a video says this.
fn says(video: &Value, words: &str) -> bool {
    video["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains(words))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn frames(path: &Path) -> (usize, usize, usize) {
    let info = VideoReader::open(path).unwrap().info().clone();
    (info.width, info.height, info.frames)
}

#[test]
fn clips_of_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let set = ["train.epochs=1", "evaluate.samples=2"];
    succeeds(here, &tiny(&[], &set));
    let run = here.join("runs/tiny");
    let scores: Value = serde_json::from_str(&std::fs::read_to_string(run.join("scores.json")).unwrap()).unwrap();
    let clips: Vec<&str> = scores["clips"].as_array().unwrap().iter().map(|clip| clip.as_str().unwrap()).collect();

    // The clip with the median score, everything beside it.
    let words = ["render", "runs/tiny", "--samples", "2", "--side", "64", "--glb", "--frames", "faces", "--out", "out"];
    let (out, log) = succeeds(here, &words);
    let corr: Vec<f64> = scores["systems"][0]["per_clip"]["FRCorr"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    let mut order: Vec<usize> = (0..corr.len()).collect();
    order.sort_by(|a, b| corr[*b].total_cmp(&corr[*a]));
    let median = clips[order[order.len() / 2]].replace('/', "-");
    let video = here.join(format!("out/{median}.mp4"));
    assert!(out.contains(&format!("{median}.mp4")), "{out}");
    assert!(log.contains("3DMM") || log.contains("coefficients alone"), "{log}");
    // Speaker, true listener, two samples of 64 pixels; gaps of 2; captions of 19.
    assert_eq!(frames(&video), (2 + 4 * 66, 64 + 19 + 3, 32));
    let sound = read_audio(&video).unwrap();
    assert_eq!((sound.rate, sound.frames()), (48_000, 32 * 48_000 / 25));
    assert!(sound.samples.iter().any(|x| x.abs() > 0.01), "the speaker is heard");
    let facts = &description(&here.join("out"))[format!("{median}.mp4")];
    assert_eq!(facts["panels"], serde_json::json!(["Speaker", "True listener", "Sample 1", "Sample 2"]));
    assert_eq!((facts["sound"].as_bool(), facts["listener_picture"].as_str()), (Some(true), Some("3DMM alone")));
    assert!(says(facts, "no PIRender weights"));
    let beside = names(&here.join("out"));
    for animation in ["true-listener", "sample-1", "sample-2"] {
        let glb = std::fs::read(here.join(format!("out/{median}-{animation}.glb"))).unwrap();
        assert_eq!(&glb[..4], b"glTF", "{beside:?}");
    }
    // What `score --frrea-generated` reads: a folder of clips.
    for sample in ["sample-1", "sample-2"] {
        let pictures = here.join(format!("faces/{median}/{sample}"));
        assert_eq!((names(&pictures).len(), names(&pictures)[31].as_str()), (32, "000031.png"));
        assert_eq!(frames(&pictures), (224, 224, 32));
    }

    // The same again is the same; a clip by its name, its end and its number is the same clip.
    let first = std::fs::read(&video).unwrap();
    succeeds(here, &words);
    assert_eq!(std::fs::read(&video).unwrap(), first);
    let by = |clip: &str, out: &str| {
        succeeds(here, &["render", "runs/tiny", "--clip", clip, "--samples", "1", "--side", "32", "--out", out]);
        std::fs::read(here.join(out)).unwrap()
    };
    assert_eq!(by(clips[1], "x/name.mp4"), by("1", "x/number.mp4"));
    assert_eq!(names(&here.join("x")), ["name.mp4", "number.mp4", "render.json"]);
    assert_eq!(description(&here.join("x")).as_object().unwrap().len(), 2);

    // All clips of another split, into the run's own folder.
    succeeds(here, &["render", "runs/tiny", "--split", "train", "--all", "--samples", "1", "--side", "32"]);
    assert_eq!(names(&run.join("render")).len(), 8 + 1, "4 pairs, mirrored, and render.json");

    let error = fails(here, &["render", "runs/tiny", "--clip", "nobody"]);
    assert!(error.contains("has no clip nobody; it has 4 (0 to 3)") && error.contains(clips[0]), "{error}");
    let error = fails(here, &["render", "runs/tiny", "--split", "test"]);
    assert!(error.contains("no split \"test\""), "{error}");
    let error = fails(here, &["render", "runs/tiny", "--all", "--out", "a.mp4"]);
    assert!(error.contains("--out must be a folder"), "{error}");
    let error = fails(here, &["render", "runs/tiny", "--truth", "g.npy"]);
    assert!(error.contains("--truth is for a reaction_3dmm.npy"), "{error}");

    // Without the corpus: packed frames, no sound, and a word.
    std::fs::rename(here.join("data/synthetic"), here.join("data/gone")).unwrap();
    succeeds(here, &["render", "runs/tiny", "--clip", "0", "--samples", "1", "--side", "32", "--out", "bare"]);
    let bare = description(&here.join("bare"));
    let facts = bare.as_object().unwrap().values().next().unwrap();
    assert!(facts["sound"] == false && says(facts, "packed frames, and no sound"), "{facts}");
    report_with_and_without_a_painter(here, &clips[order[0]].replace('/', "-"));
}

/// A reaction of `k` samples that moves its jaw.
fn reaction(path: &Path, k: usize, t: usize) {
    let coeffs = Array3::from_shape_fn((k, t, 58), |(k, t, c)| if c == 24 { (0.5 * (t + k) as f32).sin().abs() } else { 0.0 });
    react_store::write_npy(path, &coeffs).unwrap();
}

#[test]
fn a_reaction_with_its_speaker() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    reaction(&here.join("reaction_3dmm.npy"), 12, 50);
    react_store::write_npy(&here.join("truth.npy"), &Array3::<f32>::zeros((30, 1, 58))).unwrap();
    react_store::write_npy(&here.join("mean.npy"), &Array2::<f32>::zeros((1, 58))).unwrap();
    let (video, sound) = (fixture("video/h264_high_b.mp4"), fixture("audio/speech_44k_mono.wav"));
    let words = ["render", "reaction_3dmm.npy", "--speaker-video", text(&video), "--speaker-audio", text(&sound), "--truth", "truth.npy"];
    let more = ["--mean-face", "mean.npy", "--samples", "10", "--side", "48"];
    let (out, _) = succeeds(here, &[&words[..], &more].concat());
    assert!(out.contains("reaction.mp4"), "{out}");
    let path = here.join("reaction.mp4");
    // Twelve panels in two rows of six; the truth's 30 frames are the fewest.
    assert_eq!(frames(&path), (2 + 6 * 50, 2 * (48 + 19) + 2, 30));
    let heard = read_audio(&path).unwrap();
    let fps = VideoReader::open(&path).unwrap().info().fps;
    assert!((heard.frames() as f64 - 30.0 / fps * 48_000.0).abs() <= 48.0);
    let facts = &description(here)["reaction.mp4"];
    assert!(says(facts, "Frames 0 to 29 are drawn") && says(facts, "truth.npy has 30") && says(facts, "10 of 12"), "{facts}");
    assert!(says(facts, "Mean face: mean.npy"), "{facts}");

    // Alone, one reaction as two axes.
    let one = Array2::<f32>::zeros((20, 58));
    react_store::write_npy(&here.join("one.npy"), &one).unwrap();
    succeeds(here, &["render", "one.npy", "--side", "64", "--frames", "f", "--out", "alone.mp4"]);
    assert_eq!(frames(&here.join("alone.mp4")), (68, 86, 20));
    assert_eq!(names(&here.join("f/one")).len(), 20);
    let facts = &description(here)["alone.mp4"];
    assert!(says(facts, "Without a mean face") && says(facts, "Without sound"), "{facts}");
}

/// Weights of a small PIRender, and a picture for it, face.png.
fn painter(here: &Path) -> std::path::PathBuf {
    let side = 64;
    let picture: Vec<u8> = (0..side * side * 3).map(|i| (i * 7 % 251) as u8).collect();
    react_media::write_png(&here.join("face.png"), &picture, side, side).unwrap();
    fixture("pirender/pirender_small.weights.safetensors")
}

/// The examples of a report have a painted sample where there are weights, and the page says where there are none.
fn report_with_and_without_a_painter(here: &Path, best: &str) {
    let without = "no PIRender weights were given";
    let page = || std::fs::read_to_string(here.join("runs/tiny/report.html")).unwrap();
    assert!(page().contains(without) && page().contains("3DMM (embedded head)"));
    let video = here.join(format!("runs/tiny/clips/{best}.mp4"));
    let (width, _, _) = frames(&video);
    let weights = painter(here);
    succeeds(here, &["report", "runs/tiny", "--pirender", text(&weights), "--reference", "face.png"]);
    assert!(!page().contains(without));
    assert_eq!(frames(&video).0, width + 198, "a panel of 192 pixels and its gap of 6");
    let error = fails(here, &["report", "runs/tiny", "runs/tiny", "--pirender", text(&weights), "--reference", "face.png"]);
    assert!(error.contains("are for the report of one run"), "{error}");
}

#[test]
fn a_painted_listener() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    reaction(&here.join("r.npy"), 2, 6);
    let weights = painter(here);
    let words = ["render", "r.npy", "--pirender", text(&weights), "--reference", "face.png", "--samples", "2", "--side", "64"];
    succeeds(here, &[&words[..], &["--frames", "f"]].concat());
    let facts = &description(here)["r.mp4"];
    assert_eq!(facts["panels"], serde_json::json!(["Sample 1", "Sample 2", "Sample 1, PIRender", "Sample 2, PIRender"]));
    assert_eq!(facts["listener_picture"], "3DMM and PIRender");
    assert!(!says(facts, "no PIRender weights"));
    assert_eq!(frames(&here.join("f/r/sample-2")), (224, 224, 6));
    let first = std::fs::read(here.join("f/r/sample-1/000003.png")).unwrap();
    succeeds(here, &[&words[..], &["--frames", "g", "--frames-of", "3d"]].concat());
    assert_ne!(std::fs::read(here.join("g/r/sample-1/000003.png")).unwrap(), first, "faces, not photographs");
}

#[test]
fn what_cannot_be_rendered_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    reaction(&here.join("r.npy"), 1, 5);
    react_store::write_npy(&here.join("wide.npy"), &Array2::<f32>::zeros((5, 25))).unwrap();
    let error = fails(here, &["render", "wide.npy"]);
    assert!(error.contains("wide.npy: wanted coefficients f32 [K,T,58] or [T,58], found [5, 25]"), "{error}");
    let error = fails(here, &["render", "r.npy", "--clip", "3"]);
    assert!(error.contains("--clip is for a run"), "{error}");
    let error = fails(here, &["render", "r.npy", "--truth", "wide.npy"]);
    assert!(error.contains("wide.npy: wanted a listener's coefficients"), "{error}");
    let error = fails(here, &["render", "r.npy", "--frames", "f", "--frames-of", "2d"]);
    assert!(error.contains("--frames-of 2d needs --pirender"), "{error}");
    let error = fails(here, &["render", "nothing"]);
    assert!(error.contains("nothing is no run"), "{error}");
    let mut broken = Array2::<f32>::zeros((5, 58));
    broken[[2, 3]] = f32::NAN;
    react_store::write_npy(&here.join("nan.npy"), &broken).unwrap();
    let error = fails(here, &["render", "nan.npy"]);
    assert!(error.contains("NaN at frame 2, channel 3"), "{error}");
    let error = fails(here, &["render", "r.npy", "--rerun", "r.rrd"]);
    assert!(error.contains("--features rerun"), "{error}");
    assert_eq!(names(here), ["nan.npy", "r.npy", "wide.npy"], "nothing half done is left");
    for wrong in [["--samples", "11"], ["--side", "9"], ["--pirender", "w.pth"], ["--face-model", "m.npy"]] {
        assert_eq!(react_train(here, &[&["render", "r.npy"][..], &wrong].concat()).status.code(), Some(2), "{wrong:?}");
    }
}
