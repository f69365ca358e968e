//! Whole recordings are cut into clips, exactly and without encoding anything again; faces by boxes.

use crate::tiny::{RATE, Tiny, coeffs_of, emotion, sound_at};
use ndarray::{Axis, s};
use react_data::{Corpus, Faces, Packed, PrepareConfig, Recipe, Role, mfcc_per_frame, prepare};
use react_media::{FrameShape, Quality, Resizer, VideoReader, VideoWriter, write_wav};
use std::fs;
use std::path::{Path, PathBuf};

const HEADER: &str = "split,site,chat,person,role,video,audio,emotion,coeffs,start,end\n";
const SIDE: usize = 48;
/// Frames of a recording, at 25 frames/s.
const FRAMES: usize = 70;

struct Sessions {
    folder: tempfile::TempDir,
}

impl Sessions {
    fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        for (seed, person) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let file = |name: &str| this.root().join("raw").join(format!("{person}.{name}"));
            fs::create_dir_all(this.root().join("raw")).unwrap();
            let mut writer = VideoWriter::create(&file("mp4"), SIDE, SIDE, 25.0, Quality::Fast).unwrap();
            for t in 0..FRAMES {
                writer.push(&(0..SIDE * SIDE * 3).map(|i| (i / 3 % SIDE * 2 + seed * 20 + t) as u8).collect::<Vec<_>>()).unwrap();
            }
            writer.finish().unwrap();
            write_wav(&file("wav"), &sound_at(seed, FRAMES * 1764), RATE).unwrap();
            react_store::write_npy(&file("emotion.npy"), &emotion(seed, FRAMES)).unwrap();
            react_store::write_npy(&file("coeffs.npy"), &coeffs_of(seed, FRAMES)).unwrap();
        }
        this
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("recordings")
    }

    fn config(&self, rows: &str) -> PrepareConfig {
        let list = self.folder.path().join("sessions.csv");
        fs::write(&list, format!("{HEADER}{rows}")).unwrap();
        let recipe = Recipe::named("react2024").unwrap();
        let shape = FrameShape { shorter: 32, crop: 24 };
        let out = self.folder.path().join("out");
        PrepareConfig { shape, cut: Some((list, 1.0)), ..PrepareConfig::new(recipe, self.root(), out) }
    }
}

fn row(split: &str, chat: &str, person: &str, role: &str, file: &str, start: f64, end: f64) -> String {
    let files = ["mp4", "wav", "emotion.npy", "coeffs.npy"].map(|name| format!("raw/{file}.{name}")).join(",");
    format!("{split},Own,{chat},{person},{role},{files},{start},{end}\n")
}

fn good() -> String {
    row("train", "c1", "P1", "speaker", "a", 0.0, 2.8)
        + &row("train", "c1", "P2", "listener", "b", 0.4, 2.8)
        + &row("val", "c2", "P3", "speaker", "c", 0.0, 1.0)
        + &row("val", "c2", "P4", "listener", "d", 0.0, 1.0)
}

fn decoded(file: &Path, from: usize, to: usize, shape: FrameShape) -> Vec<u8> {
    let mut video = VideoReader::open(file).unwrap();
    let (mut rgb, mut all, mut t) = (Vec::new(), Vec::new(), 0);
    while video.next_frame(&mut rgb).unwrap() {
        if (from..to).contains(&t) {
            let mut frame = vec![0; shape.bytes()];
            Resizer::new().apply(&rgb, SIDE, SIDE, &shape, &mut frame).unwrap();
            all.extend_from_slice(&frame);
        }
        t += 1;
    }
    all
}

#[test]
fn clips_are_the_very_parts_of_their_recordings() {
    let sessions = Sessions::new();
    let config = sessions.config(&good());
    let report = prepare(&config, &()).unwrap();
    // 2 clips of 1 s of each in train, 1 of each in val; tables, mean face.
    assert_eq!((report.packed, report.bad), (4 + 2 + 2 + 1, 0));
    let packed = Packed::open(&config.out).unwrap();
    assert_eq!((packed.info().faces.as_str(), packed.info().audio_features, packed.mean_face().sum()), ("centre", 78, 0.0));
    let train = packed.split("train").unwrap();
    assert_eq!((train.pairs(), train.frames(0).unwrap()), (2, 25));
    // The listener's recording began 0.4 s later: frames 10 to 34, then 35 to 59.
    for (item, role, file, seed, first) in
        [(0, Role::Speaker, "a", 0, 0), (1, Role::Speaker, "a", 0, 25), (0, Role::Listener, "b", 1, 10), (1, Role::Listener, "b", 1, 35)]
    {
        let clip = train.clip(item, role).unwrap();
        assert_eq!(clip.id().path(), format!("Own/c1/{}/{}", if seed == 0 { "P1" } else { "P2" }, item + 1));
        let rows = s![first..first + 25, ..];
        assert_eq!(clip.emotion().unwrap(), emotion(seed, FRAMES).slice(rows));
        assert_eq!(clip.coeffs().unwrap(), coeffs_of(seed, FRAMES).mapv(|x| x as f32).index_axis(Axis(1), 0).slice(rows));
        let frames = clip.frames().unwrap();
        let want = decoded(&sessions.root().join(format!("raw/{file}.mp4")), first, first + 25, config.shape);
        assert!(frames.as_slice().unwrap() == want, "{item} {role:?}");
        let samples = react_media::read_audio(&sessions.root().join(format!("raw/{file}.wav"))).unwrap().mono();
        let part = &samples[first * 1764..(first + 25) * 1764];
        assert_eq!(clip.audio().unwrap(), mfcc_per_frame(part, RATE, 25, packed.info().fps).unwrap());
    }
    // No matrix is given: each clip's own reaction.
    assert_eq!(train.neighbours(), ndarray::Array2::<u8>::eye(4));
    // Another row's time packs that session's clips again and nothing else.
    let config = sessions.config(&good().replace("0.4,2.8", "0.44,2.8"));
    assert_eq!(prepare(&config, &()).unwrap().packed, 2);
    let (corpus, problems) = (Corpus::cut(&config.root, config.recipe.clone(), &config.cut.clone().unwrap().0, 1.0).unwrap(), Vec::new());
    let diagnosis = react_data::doctor::examine(&corpus, problems, 2, &()).unwrap();
    assert_eq!(diagnosis.findings, []);
}

#[test]
fn a_list_that_cannot_be_is_named_with_row_and_column() {
    let sessions = Sessions::new();
    let error = |rows: String| {
        let error = prepare(&sessions.config(&rows), &()).unwrap_err().to_string();
        error.rsplit_once("sessions.csv: ").map_or(error.clone(), |(_, what)| what.to_owned())
    };
    let speaker = row("train", "c1", "P1", "speaker", "a", 0.0, 2.8);
    assert_eq!(error(good().replacen("train,Own", "dev,Own", 1)), "row 1, column 1: \"dev\" is no split of react2024");
    assert_eq!(error(good().replacen("speaker", "host", 1)), "row 1, column 5: \"host\" is neither speaker nor listener");
    assert_eq!(error(good().replacen("raw/a.wav", "../a.wav", 1)), "row 1, column 7: \"../a.wav\" is no path below the corpus");
    assert_eq!(error(good().replacen(",0,2.8", ",x,2.8", 1)), "row 1, column 10: \"x\" is no number of seconds");
    assert_eq!(error(good().replacen(",0,2.8", ",2,2.8", 1)), "row 1, column 11: from 2 s to 2.8 s there is no clip of 1 s");
    assert_eq!(error(good().replacen("0.4,2.8", "1.4,2.8", 1)), "row 2, column 11: it holds 1 clips, and the speaker's in row 1 2");
    assert_eq!(error(speaker.clone() + &speaker), "row 2, column 5: the speaker of this chat is in row 1 already");
    assert_eq!(error(speaker), "the chat Own/c1 (train) has no row of its listener");
    // A recording that ends before its list says so is too short.
    let short = error(good().replacen(",0,2.8", ",0,9", 1).replacen("0.4,2.8", "0.4,9.4", 1));
    assert!(short.contains("its frame counts differ by more than 1 (video 20, emotion 20, 3DMM 20, the list of sessions 25)"), "{short}");
}

#[test]
fn boxes_say_where_faces_are_in_dyads_too() {
    let tiny = Tiny::new();
    let csv = tiny.out("boxes.csv");
    // 4 × 4 pixels that move to the right; none in frames 4 to 9 of the second clip; the third clip is not in the list.
    let rows: String = (0..10).map(|t| format!("NoXI/c1/Expert/1,{t},{},8,8,8\n", 4 + t)).collect();
    fs::write(&csv, format!("clip,frame,x,y,w,h\n{rows}train/NoXI/c1/Expert/2,0,8,8,16,16\ntrain/NoXI/c1/Expert/2,3,8,8,16,16\n")).unwrap();
    let config = PrepareConfig { faces: Faces::Boxes(csv.clone()), ..tiny.config("out", 2) };
    let report = prepare(&config, &()).unwrap();
    let packed = Packed::open(&config.out).unwrap();
    assert_eq!(packed.info().faces, "boxes");
    let train = packed.split("train").unwrap();
    let clip = |path: &str| train.clips().iter().find(|clip| clip.id().path() == path).unwrap();
    let frames = clip("NoXI/c1/Expert/1").frames().unwrap();
    // A square of 10 of 32 pixels, resized to 24: its shades span what 10 columns span (2 a column), and follow the box.
    let (left, right) = (frames[[0, 12, 1, 0]] as f32, frames[[0, 12, 22, 0]] as f32);
    assert!((12.0..24.0).contains(&(right - left)), "{left} {right}");
    let row = |t: usize| frames[[t, 12, 12, 0]] as f32;
    assert!((row(9) - row(0) - 27.0 - 9.0).abs() < 12.0, "{} {}", row(0), row(9));
    let manifest = fs::read_to_string(&report.manifest).unwrap();
    let line = |path: &str| manifest.lines().find(|line| line.contains(&format!("\"{path}\""))).unwrap();
    assert!(line("train/frames/NoXI/c1/Expert/1.npy").contains("\"status\":\"packed\",\"decoder\":"));
    // At the end of a clip the nearest box holds for 15 frames.
    assert!(line("train/frames/NoXI/c1/Expert/2.npy").contains("\"status\":\"packed\",\"decoder\":"));
    assert!(line("train/frames/NoXI/c1/Novice/1.npy").contains("\"status\":\"no face\""));
    assert!(clip("NoXI/c1/Novice/1").frames().unwrap().iter().all(|shade| *shade == 0));

    // A frame far from any box is marked and not dropped.
    tiny.write_clip("train", "NoXI/c1/Expert/2", 2, 40);
    fs::write(&csv, "clip,frame,x,y,w,h\nNoXI/c1/Expert/2,0,8,8,16,16\nNoXI/c1/Expert/2,20,8,8,16,16\n").unwrap();
    prepare(&config, &()).unwrap();
    let manifest = fs::read_to_string(&report.manifest).unwrap();
    assert!(manifest.contains("\"note\":\"23 of 40 frames without a face: 1-19, 36-39\""), "{manifest}");
    let train = Packed::open(&config.out).unwrap().split("train").unwrap();
    assert!(train.clips().iter().any(|clip| clip.len() == 40));
    // Other faces pack the clips again; nothing else.
    let given = PrepareConfig { faces: Faces::Given, ..config };
    let report = prepare(&given, &()).unwrap();
    assert_eq!((report.packed, report.reused), (10, 3));
}
