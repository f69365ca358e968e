//! A corpus made by hand goes through `prepare`: contents, resuming, errors.

use crate::tiny::{FRAMES, RATE, SHAPE, SIDE, Tiny, add_videos, coeffs_of, digest, emotion, picture, video_fixture};
use react_data::{Packed, Progress, Role, mfcc_per_frame, prepare};
use react_media::{FrameShape, Resizer, VideoReader, read_audio};
use std::fs::{self, File};
use std::path::Path;
use std::sync::Mutex;

fn packed_frames(source: &Path, shape: FrameShape) -> Vec<u8> {
    let mut video = VideoReader::open(source).unwrap();
    let (mut rgb, mut frame, mut all) = (Vec::new(), vec![0; shape.bytes()], Vec::new());
    while video.next_frame(&mut rgb).unwrap() {
        Resizer::new().apply(&rgb, video.info().width, video.info().height, &shape, &mut frame).unwrap();
        all.extend_from_slice(&frame);
    }
    all
}

#[test]
fn what_is_packed_is_what_was_there() {
    let tiny = Tiny::new();
    let report = tiny.prepare("out", 0).unwrap();
    // 10 clips, 2 splits' tables, the mean face; 4 files a clip, 2 a split, 1.
    assert_eq!((report.packed, report.reused, report.files), (13, 0, 45));
    let packed = Packed::open(&tiny.out("out")).unwrap();
    assert_eq!((packed.info().corpus.as_str(), packed.info().fps, packed.info().crop), ("react2024", 25.0, 24));
    assert_eq!(packed.mean_face()[57], 28.5);
    let train = packed.split("train").unwrap();
    assert_eq!((train.len(), train.pairs(), train.clips().len(), train.common_frames()), (6, 3, 6, FRAMES));
    for item in 0..6 {
        let (seed, partner) = (2 * (item % 3) + item / 3, 2 * (item % 3) + 1 - item / 3);
        let (speaker, listener) = (train.clip(item, Role::Speaker).unwrap(), train.clip(item, Role::Listener).unwrap());
        assert_eq!(speaker.emotion().unwrap(), emotion(seed, FRAMES), "{}", speaker.id());
        assert_eq!(listener.emotion().unwrap(), emotion(partner, FRAMES), "{}", listener.id());
        let coeffs = coeffs_of(seed, FRAMES).mapv(|x| x as f32);
        assert_eq!(speaker.coeffs().unwrap(), coeffs.index_axis(ndarray::Axis(1), 0));
        let audio = read_audio(&tiny.source("train", "Audio_files", &format!("{}.wav", speaker.id()))).unwrap();
        assert_eq!(speaker.audio().unwrap(), mfcc_per_frame(&audio.mono(), RATE, FRAMES, 25.0).unwrap());
    }
    // A folder of PNGs, and an mp4, decoded by hand.
    let frames = train.clip(0, Role::Speaker).unwrap().frames().unwrap();
    assert_eq!(frames.dim(), (FRAMES, 24, 24, 3));
    assert_eq!(frames[[7, 0, 1, 2]], picture(0, 7)[(4 * SIDE + 5) * 3 + 2]);
    let mp4 = packed_frames(&tiny.source("train", "Video_files", "NoXI/c1/Expert/2.mp4"), SHAPE);
    assert_eq!(train.clip(1, Role::Speaker).unwrap().frames().unwrap().as_slice().unwrap(), mp4);
}

#[test]
fn neighbours_follow_the_index() {
    let tiny = Tiny::new();
    tiny.prepare("out", 1).unwrap();
    let val = Packed::open(&tiny.out("out")).unwrap().split("val").unwrap();
    // The pairs of val are rows 3 and 0 of the index; the mirrored roles stand 5 rows below.
    let rows = [3, 0, 8, 5];
    for (i, row) in rows.iter().enumerate() {
        for (j, column) in rows.iter().enumerate() {
            let want = row == column || (row + 2 * column) % 7 == 0;
            assert_eq!(val.neighbours()[[i, j]], u8::from(want), "{i} {j}");
        }
    }
}

#[test]
fn the_manifest_is_sorted_and_holds_hashes_and_nothing_of_the_machine() {
    let tiny = Tiny::new();
    let report = tiny.prepare("out", 2).unwrap();
    let text = fs::read_to_string(&report.manifest).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert!(paths.is_sorted() && paths.len() == 45, "{paths:?}");
    for line in &lines {
        let bytes = fs::read(tiny.out("out").join(line["path"].as_str().unwrap())).unwrap();
        assert_eq!(line["blake3"], blake3::hash(&bytes).to_hex().as_str(), "{line}");
        assert_eq!(line["status"], "packed");
    }
    let clip = lines.iter().find(|line| line["path"] == "val/emotion/UDIVA/038/Talk/FC1/1.npy").unwrap();
    assert_eq!(clip["shape"], serde_json::json!([10, 25]));
    assert_eq!(clip["sources"][0]["path"], "val/Emotion/UDIVA/038/Talk/FC1/1.csv");
    let csv = fs::read(tiny.source("val", "Emotion", "UDIVA/038/Talk/FC1/1.csv")).unwrap();
    assert_eq!(clip["sources"][0]["blake3"], blake3::hash(&csv).to_hex().as_str());
    assert!(!text.contains(tiny.root().to_str().unwrap()));
}

#[test]
fn bytes_do_not_depend_on_threads_or_interruptions() {
    let tiny = Tiny::new();
    tiny.prepare("one", 1).unwrap();
    tiny.prepare("three", 3).unwrap();
    let whole = digest(&tiny.out("one"));
    assert_eq!(whole, digest(&tiny.out("three")));

    // Stopped by a file that cannot be read, in the last clip; then repaired.
    let csv = tiny.source("val", "Emotion", "UDIVA/038/Talk/FC2/1.csv");
    let (good, time) = (fs::read(&csv).unwrap(), fs::metadata(&csv).unwrap().modified().unwrap());
    fs::write(&csv, "nothing of use").unwrap();
    let error = tiny.prepare("again", 1).unwrap_err();
    assert!(error.contains("FC2/1.csv: wanted 25 columns, found 1"), "{error}");
    assert!(Packed::open(&tiny.out("again")).unwrap_err().to_string().contains("run `prepare` to its end"));
    fs::write(&csv, good).unwrap();
    File::options().write(true).open(&csv).unwrap().set_modified(time).unwrap();
    let report = tiny.prepare("again", 3).unwrap();
    // The tables come after all clips.
    assert!(report.packed == 3 && report.reused == 10, "{report:?}");
    assert_eq!(whole, digest(&tiny.out("again")));

    // Killed: half a line in the journal, half a file beside its place, a file whose line was never written.
    let out = tiny.out("again");
    let journal = fs::read_to_string(out.join("journal.jsonl")).unwrap();
    let kept: usize = journal.lines().take(5).map(|line| line.len() + 1).sum();
    fs::write(out.join("journal.jsonl"), &journal[..kept + 40]).unwrap();
    fs::write(out.join("train/frames/NoXI/c1/Expert/.2.npy.4711-3.tmp"), "half").unwrap();
    fs::remove_file(out.join("packed.json")).unwrap();
    fs::remove_file(out.join("manifest.jsonl")).unwrap();
    fs::remove_file(out.join("val/audio/UDIVA/038/Talk/FC1/1.npy")).unwrap();
    let report = tiny.prepare("again", 2).unwrap();
    assert_eq!((report.packed, report.reused), (8, 5));
    assert_eq!(whole, digest(&out));
}

#[test]
fn what_is_there_is_not_decoded_again() {
    let tiny = Tiny::new();
    tiny.prepare("out", 2).unwrap();
    // Other contents of the same size and time: whoever decodes them fails.
    let mp4 = tiny.source("train", "Video_files", "NoXI/c1/Expert/2.mp4");
    let metadata = fs::metadata(&mp4).unwrap();
    fs::write(&mp4, vec![0; metadata.len() as usize]).unwrap();
    File::options().write(true).open(&mp4).unwrap().set_modified(metadata.modified().unwrap()).unwrap();
    let report = tiny.prepare("out", 2).unwrap();
    assert_eq!((report.packed, report.reused), (0, 13));
    assert!(report.to_string().starts_with("all 13 units were packed already, nothing to do (45 files, "), "{report}");
    // A packed file that is gone or cut is made again, and so the damage is found.
    fs::write(tiny.out("out").join("train/frames/NoXI/c1/Expert/2.npy"), "short").unwrap();
    let error = tiny.prepare("out", 2).unwrap_err();
    assert!(error.contains("2.mp4"), "{error}");
}

#[test]
fn changes_are_packed_and_touches_are_not() {
    let tiny = Tiny::new();
    tiny.prepare("out", 2).unwrap();
    let touched = tiny.source("train", "Emotion", "NoXI/c1/Expert/1.csv");
    File::options().write(true).open(&touched).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(tiny.prepare("out", 2).unwrap().packed, 0);

    tiny.write_emotion("train", "NoXI/c1/Expert/1", &emotion(42, FRAMES));
    let report = tiny.prepare("out", 2).unwrap();
    assert_eq!((report.packed, report.reused), (1, 12));
    let train = Packed::open(&tiny.out("out")).unwrap().split("train").unwrap();
    assert_eq!(train.clip(0, Role::Speaker).unwrap().emotion().unwrap()[[0, 15]], 42.0 / 64.0);

    // Another size of frames: all clips again, but neither tables nor mean face.
    let mut config = tiny.config("out", 2);
    config.shape = FrameShape { shorter: 16, crop: 16 };
    let report = prepare(&config, &()).unwrap();
    assert_eq!((report.packed, report.reused), (10, 3));
    let train = Packed::open(&tiny.out("out")).unwrap().split("train").unwrap();
    let clip = train.clip(0, Role::Speaker).unwrap();
    assert_eq!(clip.frames().unwrap().dim(), (FRAMES, 16, 16, 3));
    let pngs = packed_frames(&tiny.source("train", "Video_files", "NoXI/c1/Expert/1"), config.shape);
    assert_eq!(clip.frames().unwrap().as_slice().unwrap(), pngs);
}

#[test]
fn frame_counts_may_differ_by_one() {
    let tiny = Tiny::new();
    tiny.write_emotion("val", "UDIVA/038/Talk/FC1/1", &emotion(6, FRAMES - 1));
    tiny.prepare("out", 1).unwrap();
    let val = Packed::open(&tiny.out("out")).unwrap().split("val").unwrap();
    let clip = val.clip(0, Role::Speaker).unwrap();
    let rows =
        [clip.frames().unwrap().shape()[0], clip.audio().unwrap().nrows(), clip.emotion().unwrap().nrows(), clip.coeffs().unwrap().nrows()];
    assert_eq!(rows, [FRAMES - 1; 4]);
    assert_eq!((val.frames(0).unwrap(), val.frames(1).unwrap(), val.common_frames()), (FRAMES - 1, FRAMES, FRAMES - 1));

    tiny.write_emotion("val", "UDIVA/038/Talk/FC1/1", &emotion(6, FRAMES - 2));
    let error = tiny.prepare("out", 1).unwrap_err();
    let want = "clip UDIVA/038/Talk/FC1/1 (val): its frame counts differ by more than 1 (video 10, emotion 8, 3DMM 10)";
    assert_eq!(error, want);
}

#[test]
fn errors_are_one_sentence_with_the_path() {
    let tiny = Tiny::new();
    let wav = tiny.source("val", "Audio_files", "RECOLA/group-2/P42/3.wav");
    fs::remove_file(&wav).unwrap();
    assert_eq!(tiny.prepare("out", 1).unwrap_err(), format!("sound of clip RECOLA/group-2/P42/3 not found: {}", wav.display()));
    // Known before anything is packed or even a folder made.
    assert!(!tiny.out("out").exists());

    fs::write(&wav, "RIFF but no more").unwrap();
    assert!(tiny.prepare("out", 1).unwrap_err().contains("P42/3.wav"));

    let tiny = Tiny::new();
    fs::remove_file(tiny.root().join("mean_face.npy")).unwrap();
    assert_eq!(tiny.prepare("out", 1).unwrap_err(), format!("file not found: {}", tiny.root().join("mean_face.npy").display()));

    let tiny = Tiny::new();
    let mut config = tiny.config("out", 1);
    config.out = tiny.root();
    assert!(prepare(&config, &()).unwrap_err().to_string().ends_with("the packed folder cannot be the corpus's own"));
    config.out = tiny.out("out");
    config.shape = FrameShape { shorter: 16, crop: 24 };
    let error = prepare(&config, &()).unwrap_err().to_string();
    assert_eq!(error, "recipe react2024: frames of 24 pixels cannot be cut from a shorter side of 16");
    config.shape = SHAPE;
    config.recipe.fps = Some(30.0);
    let error = prepare(&config, &()).unwrap_err().to_string();
    assert!(error.ends_with("its video has 25.00 frames/s, the corpus 30"), "{error}");

    let missing = Packed::open(&tiny.out("nowhere")).unwrap_err().to_string();
    assert!(missing.contains("nowhere: no complete packed corpus is here"), "{missing}");
}

#[test]
fn a_second_run_into_the_same_folder_is_refused() {
    let tiny = Tiny::new();
    fs::create_dir_all(tiny.out("out")).unwrap();
    let folder = File::open(tiny.out("out")).unwrap();
    folder.lock().unwrap();
    assert!(tiny.prepare("out", 1).unwrap_err().ends_with("out: another run is packing into it"));
    drop(folder);
    tiny.prepare("out", 1).unwrap();
}

#[test]
fn videos_of_other_programs_and_their_progress() {
    struct Count(Mutex<(usize, usize)>);
    impl Progress for Count {
        fn total(&self, units: usize) {
            self.0.lock().unwrap().0 += units;
        }
        fn advance(&self, units: usize) {
            self.0.lock().unwrap().1 += units;
        }
        fn message(&self, _: &str) {}
    }

    let tiny = Tiny::new();
    add_videos(&tiny);
    let mut config = tiny.config("out", 2);
    config.shape = FrameShape::default();
    let count = Count(Mutex::new((0, 0)));
    prepare(&config, &count).unwrap();
    assert_eq!(*count.0.lock().unwrap(), (16, 16));
    let test = Packed::open(&config.out).unwrap().split("test").unwrap();
    assert_eq!(test.frames(0).unwrap(), 40);
    for (role, video) in [(Role::Speaker, "h264_high_b.mp4"), (Role::Listener, "mjpeg_opencv.avi")] {
        let frames = test.clip(0, role).unwrap().frames().unwrap();
        assert_eq!(frames.dim(), (40, 224, 224, 3));
        assert!(frames.as_slice().unwrap() == packed_frames(&video_fixture(video), FrameShape::default()), "{video}");
    }
}
