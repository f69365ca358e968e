//! Corpora with one fault each: the doctor names it, `prepare` refuses it, and with `max_bad` goes on without that clip alone.

use crate::hume::Tiny as TinyHume;
use crate::mars::Mars;
use crate::tiny::{FRAMES, Tiny, coeffs_of, digest, emotion};
use ndarray::Array2;
use react_data::doctor::{Diagnosis, Kind, Modality, Severity, examine, examine_hume};
use react_data::hume::{HumeConfig, HumeRecipe, prepare_hume};
use react_data::{Corpus, Packed, PrepareConfig, Recipe, prepare};
use std::fs::{self, File};
use std::path::Path;

fn diagnose(root: &Path, recipe: &str) -> Diagnosis {
    let (corpus, problems) = Corpus::survey(root, Recipe::named(recipe).unwrap()).unwrap();
    examine(&corpus, problems, 2, &()).unwrap()
}

/// Severity, kind, modality and clip of all findings.
fn found(diagnosis: &Diagnosis) -> Vec<(Severity, Kind, Modality, &str)> {
    diagnosis.findings.iter().map(|f| (f.severity, f.kind, f.modality, f.clip.as_str())).collect()
}

const CLIP: &str = "NoXI/c1/Expert/2";

#[test]
fn a_sound_corpus_has_no_findings() {
    let tiny = Tiny::new();
    let diagnosis = diagnose(&tiny.root(), "react2024");
    // The matrix by hand leaves no row empty; two clips of 10 frames are alike only in nothing.
    assert_eq!(found(&diagnosis), []);
    assert_eq!((diagnosis.severity, diagnosis.exit_code()), (None, 0));
    let train = &diagnosis.splits[0];
    assert_eq!((train.pairs, train.clips, train.sound_clips, train.shortest, train.longest), (3, 6, 6, FRAMES, FRAMES));
    assert_eq!((train.files["video"].found, train.files["sound"].bad), (6, 0));
    assert!(diagnosis.to_string().ends_with("react2024: 0 errors, 0 warnings, 0 notes"), "{diagnosis}");
    let mars = diagnose(&Mars::new(false).root(), "react2025");
    assert_eq!((found(&mars), mars.splits[0].shortest, mars.splits[0].longest), (vec![], 8, 12));
}

type Fault = (&'static str, fn(&Tiny), Kind, Modality, &'static str);

fn write_emotion(tiny: &Tiny, change: impl Fn(&mut Array2<f32>)) {
    let mut values = emotion(2, FRAMES);
    change(&mut values);
    tiny.write_emotion("train", CLIP, &values);
}

fn csv(tiny: &Tiny) -> std::path::PathBuf {
    tiny.source("train", "Emotion", &format!("{CLIP}.csv"))
}

/// What can be wrong with one clip, and words of the sentence that says it.
const FAULTS: [Fault; 16] = [
    (
        "mp4 missing",
        |t| fs::remove_file(t.source("train", "Video_files", "NoXI/c1/Expert/2.mp4")).unwrap(),
        Kind::Missing,
        Modality::Video,
        "video of clip",
    ),
    (
        "wav missing",
        |t| fs::remove_file(t.source("train", "Audio_files", "NoXI/c1/Expert/2.wav")).unwrap(),
        Kind::Missing,
        Modality::Sound,
        "sound of clip",
    ),
    (
        "mp4 empty",
        |t| fs::write(t.source("train", "Video_files", "NoXI/c1/Expert/2.mp4"), "").unwrap(),
        Kind::Empty,
        Modality::Video,
        "2.mp4 is empty",
    ),
    (
        "npy empty",
        |t| fs::write(t.source("train", "3D_FV_files", "NoXI/c1/Expert/2.npy"), "").unwrap(),
        Kind::Empty,
        Modality::Coefficients,
        "2.npy is empty",
    ),
    ("mp4 cut", |t| cut(&t.source("train", "Video_files", "NoXI/c1/Expert/2.mp4")), Kind::Truncated, Modality::Video, "2.mp4"),
    ("npy cut", |t| cut(&t.source("train", "3D_FV_files", "NoXI/c1/Expert/2.npy")), Kind::Undecodable, Modality::Coefficients, "2.npy"),
    (
        "mp4 other",
        |t| fs::write(t.source("train", "Video_files", "NoXI/c1/Expert/2.mp4"), "no video at all").unwrap(),
        Kind::Undecodable,
        Modality::Video,
        "2.mp4",
    ),
    (
        "wav other",
        |t| fs::write(t.source("train", "Audio_files", "NoXI/c1/Expert/2.wav"), "no sound at all").unwrap(),
        Kind::Undecodable,
        Modality::Sound,
        "2.wav",
    ),
    ("columns", |t| fs::write(csv(t), "a,b\n1,2\n").unwrap(), Kind::Columns, Modality::Attributes, "2.csv: wanted 25 columns, found 2"),
    (
        "npy columns",
        |t| react_store::write_npy(&t.source("train", "3D_FV_files", "NoXI/c1/Expert/2.npy"), &Array2::<f32>::zeros((10, 57))).unwrap(),
        Kind::Columns,
        Modality::Coefficients,
        "found [10, 57]",
    ),
    (
        "nan",
        |t| write_emotion(t, |x| x[[4, 16]] = f32::NAN),
        Kind::NotFinite,
        Modality::Attributes,
        "2.csv: row 5, column 17: \"NaN\" is not finite",
    ),
    (
        "npy inf",
        |t| {
            let mut values = coeffs_of(2, FRAMES);
            values[[3, 0, 57]] = f64::INFINITY;
            react_store::write_npy(&t.source("train", "3D_FV_files", "NoXI/c1/Expert/2.npy"), &values).unwrap();
        },
        Kind::NotFinite,
        Modality::Coefficients,
        "2.npy: row 4, column 58: inf is not finite",
    ),
    (
        "au",
        |t| write_emotion(t, |x| x[[1, 2]] = 3.0),
        Kind::ActionUnits,
        Modality::Attributes,
        "2.csv: row 2, column 3: AU4 is 3, not 0 or 1",
    ),
    (
        "sum",
        |t| write_emotion(t, |x| x.slice_mut(ndarray::s![6, 17..]).fill(0.5)),
        Kind::Probabilities,
        Modality::Attributes,
        "2.csv: row 7, column 18: the probabilities sum to 4",
    ),
    (
        "counts",
        |t| t.write_emotion("train", CLIP, &emotion(2, FRAMES - 4)),
        Kind::FrameCounts,
        Modality::Clip,
        "(video 10, emotion 6, 3DMM 10)",
    ),
    (
        "rate",
        |t| {
            let mut writer = react_media::VideoWriter::create(
                &t.source("train", "Video_files", "NoXI/c1/Expert/2.mp4"),
                32,
                32,
                20.0,
                react_media::Quality::Fast,
            )
            .unwrap();
            (0..FRAMES).for_each(|_| writer.push(&[9; 32 * 32 * 3]).unwrap());
            writer.finish().unwrap();
        },
        Kind::FrameRate,
        Modality::Video,
        "its video has 20.00 frames/s, the corpus 25",
    ),
];

fn cut(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() * 2 / 3).unwrap();
}

#[test]
fn each_fault_is_found_refused_and_left_out() {
    for (name, spoil, kind, modality, words) in FAULTS {
        let tiny = Tiny::new();
        spoil(&tiny);
        let diagnosis = diagnose(&tiny.root(), "react2024");
        assert_eq!(found(&diagnosis), [(Severity::Error, kind, modality, CLIP)], "{name}: {diagnosis}");
        assert!(diagnosis.findings[0].what.contains(words), "{name}: {diagnosis}");
        assert_eq!((diagnosis.exit_code(), diagnosis.splits[0].sound_clips), (4, 5), "{name}");

        let error = tiny.prepare("out", 2).unwrap_err();
        assert!(error.contains(words), "{name}: {error}");
        let config = PrepareConfig { max_bad: 1, ..tiny.config("out", 2) };
        let report = prepare(&config, &()).unwrap();
        assert_eq!(report.bad, 1, "{name}");
        let list = fs::read_to_string(config.out.join("bad.csv")).unwrap();
        let rows: Vec<&str> = list.lines().collect();
        assert!(rows.len() == 2 && rows[0] == "split,clip,why" && rows[1].starts_with(&format!("train,{CLIP},\"")), "{name}: {list}");
        assert!(rows[1].replace("\"\"", "\"").contains(words), "{name}: {list}");
        // Its pair is left out, in tables and matrix; the manifest says so.
        let train = Packed::open(&config.out).unwrap().split("train").unwrap();
        assert_eq!((train.pairs(), train.neighbours().dim()), (2, (4, 4)), "{name}");
        let manifest = fs::read_to_string(&report.manifest).unwrap();
        assert_eq!(manifest.matches("\"status\":\"bad\"").count(), 1, "{name}: {manifest}");
        assert!(manifest.contains("1 of 3 pairs left out: bad.csv says why"), "{name}");
    }
}

#[test]
fn bad_clips_follow_their_files_and_the_number_that_is_allowed() {
    let tiny = Tiny::new();
    let good = fs::read(csv(&tiny)).unwrap();
    fs::write(csv(&tiny), "").unwrap();
    fs::remove_file(tiny.source("val", "Audio_files", "UDIVA/038/Talk/FC1/1.wav")).unwrap();
    let with = |max_bad, out| prepare(&PrepareConfig { max_bad, ..tiny.config(out, 1) }, &()).map_err(|error| error.to_string());
    assert!(with(0, "out").unwrap_err().contains("sound of clip UDIVA/038/Talk/FC1/1 not found"));
    let error = with(1, "out").unwrap_err();
    assert!(error.starts_with("at least 2 of 10 clips cannot be packed, 1 may be bad (--max-bad); one of them: "), "{error}");
    assert_eq!(with(2, "out").unwrap().bad, 2);
    assert_eq!((with(2, "out").unwrap().packed, with(9, "other").unwrap().bad), (0, 2));
    assert_eq!(digest(&tiny.out("out")), digest(&tiny.out("other")));
    // What was allowed then is not for ever.
    assert!(with(1, "out").is_err());
    // What a clip was packed to goes when it turns bad.
    let audio = tiny.out("out/val/audio/RECOLA/group-2/P41/3.npy");
    let wav = tiny.source("val", "Audio_files", "RECOLA/group-2/P41/3.wav");
    let kept = fs::read(&wav).unwrap();
    fs::write(&wav, "").unwrap();
    assert!(audio.exists() && with(9, "out").is_err_and(|error| error.ends_with("no pair of the split val is left")));
    assert!(with(9, "out").is_err());
    fs::write(&wav, kept).unwrap();
    assert_eq!((with(2, "out").unwrap().bad, audio.exists()), (2, true));
    tiny.write_emotion("train", "NoXI/c1/Expert/1", &emotion(0, 3));
    assert_eq!(with(3, "out").unwrap().bad, 3);
    assert!(
        !tiny.out("out/train/coeffs/NoXI/c1/Expert/1.npy").exists() && react_data::verify(&tiny.out("out"), 1, &()).unwrap().bad.is_empty()
    );
    tiny.write_emotion("train", "NoXI/c1/Expert/1", &emotion(0, FRAMES));
    // A file that comes back is packed, and its clip is on no list any more.
    fs::write(csv(&tiny), good).unwrap();
    assert_eq!(with(1, "out").unwrap().bad, 1);
    assert_eq!(Packed::open(&tiny.out("out")).unwrap().split("train").unwrap().pairs(), 3);
    assert!(!fs::read_to_string(tiny.out("out/bad.csv")).unwrap().contains("train,"));
}

#[test]
fn softer_faults_are_warnings() {
    let tiny = Tiny::new();
    write_emotion(&tiny, |x| x[[0, 0]] = 0.25);
    fs::copy(csv(&tiny), tiny.source("train", "Emotion", "NoXI/c1/Expert/9.csv")).unwrap();
    fs::write(tiny.source("train", "Emotion", "NoXI/c1/Expert/._2.csv"), "of macOS").unwrap();
    let diagnosis = diagnose(&tiny.root(), "react2024");
    let want =
        [(Severity::Warning, Kind::Unlisted, Modality::Attributes, ""), (Severity::Warning, Kind::ActionUnits, Modality::Attributes, CLIP)];
    assert_eq!((found(&diagnosis), diagnosis.exit_code()), (want.to_vec(), 3));
    assert!(diagnosis.findings[0].file.as_deref() == Some("train/Emotion/NoXI/c1/Expert/9.csv"));
    tiny.prepare("out", 2).unwrap();
}

#[test]
fn leaks_between_splits_are_errors() {
    let tiny = Tiny::new();
    let copy = |modality: &str, extension: &str| {
        let from = tiny.source("val", modality, &format!("UDIVA/038/Talk/FC1/1.{extension}"));
        fs::copy(from, tiny.source("train", modality, &format!("{CLIP}.{extension}"))).unwrap();
    };
    copy("Emotion", "csv");
    copy("3D_FV_files", "npy");
    copy("Audio_files", "wav");
    let diagnosis = diagnose(&tiny.root(), "react2024");
    let udiva = "UDIVA/038/Talk/FC1/1";
    let want = [
        (Severity::Error, Kind::Leak, Modality::Attributes, udiva),
        (Severity::Error, Kind::Leak, Modality::Coefficients, udiva),
        (Severity::Warning, Kind::Leak, Modality::Sound, udiva),
    ];
    assert_eq!(found(&diagnosis), want, "{diagnosis}");
    let error = tiny.prepare("out", 2).unwrap_err();
    assert!(error.contains(&format!("train/Emotion/{CLIP}.csv is the same as val/Emotion/{udiva}.csv")), "{error}");
    // The clip of the earlier split is the one that is left out.
    let config = PrepareConfig { max_bad: 1, ..tiny.config("out", 2) };
    prepare(&config, &()).unwrap();
    let packed = Packed::open(&config.out).unwrap();
    assert_eq!((packed.split("train").unwrap().pairs(), packed.split("val").unwrap().pairs()), (2, 2));
    assert!(fs::read_to_string(config.out.join("bad.csv")).unwrap().starts_with(&format!("split,clip,why\ntrain,{CLIP},\"")));
}

#[test]
fn lists_and_matrices_are_examined() {
    let tiny = Tiny::new();
    let matrix = tiny.root().join("Approprirate_facial_reaction.npy");
    let mut values = react_store::read_npy_f64(&matrix).unwrap();
    // Row 3 of the index is the first pair of val.
    values.index_axis_mut(ndarray::Axis(0), 3).fill(0.0);
    react_store::write_npy(&matrix, &values).unwrap();
    let diagnosis = diagnose(&tiny.root(), "react2024");
    assert_eq!(found(&diagnosis), [(Severity::Warning, Kind::Neighbours, Modality::Corpus, "UDIVA/038/Talk/FC1/1")]);
    react_store::write_npy(&matrix, &Array2::<f64>::zeros((4, 4))).unwrap();
    fs::write(tiny.root().join("train.csv"), ",s,l\n0,NoXI/c1/Expert/1,NoXI/c1\n").unwrap();
    fs::write(tiny.root().join("mean_face.npy"), "none").unwrap();
    let diagnosis = diagnose(&tiny.root(), "react2024");
    let index = (Severity::Error, Kind::Index, Modality::Corpus, "");
    assert_eq!(found(&diagnosis), [index; 3], "{diagnosis}");
    assert!(diagnosis.findings.iter().any(|finding| finding.split == "train" && finding.what.contains("train.csv: row 1, column 3")));
}

#[test]
fn recordings_without_partner_are_found() {
    let mars = Mars::new(false);
    fs::remove_file(mars.file("train", "video-face-crop", "listener/session1/Camera-2024-07-17-104338-104241", "mp4")).unwrap();
    let diagnosis = diagnose(&mars.root(), "react2025");
    let speaker = "speaker/session1/Camera-2024-07-17-104338-104241";
    let unlisted = |modality| (Severity::Warning, Kind::Unlisted, modality, "");
    let want = [
        (Severity::Error, Kind::Partner, Modality::Clip, speaker),
        unlisted(Modality::Sound),
        unlisted(Modality::Attributes),
        unlisted(Modality::Coefficients),
    ];
    assert_eq!(found(&diagnosis), want, "{diagnosis}");
}

#[test]
fn intensities_are_examined_too() {
    let tiny = TinyHume::new();
    let recipe = HumeRecipe::built_in().unwrap();
    let examined = || examine_hume(&tiny.root(), &recipe, 2, &()).unwrap();
    let sound = examined();
    // Clips with a video or a sound alone, and a silent one, are notes.
    assert_eq!((sound.exit_code(), sound.count(Severity::Note), sound.findings.len()), (0, 3, 3), "{sound}");
    assert_eq!((sound.splits[0].clips, sound.splits[0].shortest, sound.splits[0].longest), (3, 1, 20));

    cut(&tiny.file("train", "mp4", "00003"));
    fs::remove_file(tiny.file("val", "wav", "00010")).unwrap();
    fs::copy(tiny.file("train", "wav", "00001"), tiny.file("val", "wav", "00099")).unwrap();
    let spoiled = examined();
    assert_eq!((spoiled.exit_code(), spoiled.count(Severity::Error), spoiled.count(Severity::Warning)), (4, 2, 1), "{spoiled}");
    assert!(spoiled.to_string().contains("neither its video"), "{spoiled}");

    let config = |max_bad| HumeConfig { max_bad, ..tiny.config("out") };
    assert!(prepare_hume(&config(0), &()).unwrap_err().to_string().starts_with("clip 00010 (val): neither its video"));
    let report = prepare_hume(&config(2), &()).unwrap();
    assert_eq!((report.packing.bad, report.clips), (2, 5));
    let list = fs::read_to_string(tiny.out("out/bad.csv")).unwrap();
    assert!(list.contains("\ntrain,00003,\"") && list.contains("\nval,00010,\"") && list.lines().count() == 3, "{list}");
    let packed = react_data::hume::EriPacked::open(&tiny.out("out")).unwrap();
    assert_eq!((packed.split("train").unwrap().len(), packed.split("val").unwrap().len()), (2, 1));

    fs::write(tiny.root().join("data_info.csv"), "File_ID\n").unwrap();
    assert_eq!(examined().findings[0].kind, Kind::Index);
}
