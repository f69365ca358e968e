//! A tiny MARS made by hand: its own layout, 30 frames/s, lengths of its own, sound or given features, appropriate reactions by session.

use crate::tiny::{digest, emotion, sound_at, write_values};
use ndarray::{Array1, Array2, Axis, s};
use react_data::{Corpus, DataError, Loader, LoaderConfig, Packed, PrepareConfig, Recipe, mfcc_per_frame, prepare, session_neighbours};
use react_media::{FrameShape, Quality, VideoWriter, read_audio, write_wav};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

const SIDE: usize = 48;
const FPS: f64 = 30.0;
const RATE: u32 = 44_100;

/// (split, session, recording, frames).
const RECORDINGS: [(&str, &str, &str, usize); 5] = [
    ("train", "session0", "Camera-2024-06-21-103121-103102", 12),
    ("train", "session0", "Camera-2024-06-21-103121-103103", 8),
    ("train", "session1", "Camera-2024-07-17-104338-104241", 9),
    ("val", "session0", "Camera-2024-06-22-1-1", 10),
    ("val", "session2", "Camera-2024-06-22-1-1", 14),
];

pub(crate) struct Mars {
    folder: tempfile::TempDir,
}

impl Mars {
    pub(crate) fn new(features: bool) -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        for (n, (split, session, recording, frames)) in RECORDINGS.into_iter().enumerate() {
            for (place, role) in ["speaker", "listener"].into_iter().enumerate() {
                this.write(split, &format!("{role}/{session}/{recording}"), 2 * n + place, frames, features);
            }
        }
        // What macOS leaves beside each file is none of them.
        for modality in ["video-face-crop", "coefficients"] {
            fs::write(this.root().join("train").join(modality).join("speaker/session0/._Camera-2024-06-21-103121-103102.mp4"), "junk")
                .unwrap();
        }
        react_store::write_npy(&this.root().join("mean_face.npy"), &Array1::from_elem(58, 0.25f32)).unwrap();
        this
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("mars")
    }

    pub(crate) fn file(&self, split: &str, modality: &str, clip: &str, extension: &str) -> PathBuf {
        self.root().join(split).join(modality).join(format!("{clip}.{extension}"))
    }

    pub(crate) fn write(&self, split: &str, clip: &str, seed: usize, frames: usize, features: bool) {
        let file = |modality: &str, extension: &str| {
            let path = self.file(split, modality, clip, extension);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        let mut writer = VideoWriter::create(&file("video-face-crop", "mp4"), SIDE, SIDE, FPS, Quality::Fast).unwrap();
        for t in 0..frames {
            writer.push(&(0..SIDE * SIDE * 3).map(|i| (i / 3 % SIDE * 3 + seed * 9 + t * 4) as u8).collect::<Vec<_>>()).unwrap();
        }
        writer.finish().unwrap();
        react_store::write_npy(&file("facial-attributes", "npy"), &emotion(seed, frames)).unwrap();
        write_values(&file("coefficients", "npy"), seed, frames);
        if features {
            let values = Array2::from_shape_fn((frames, 768), |(t, c)| (seed * 100 + t) as f32 + c as f32 / 1024.0);
            react_store::write_npy(&file("audio-features", "npy"), &values).unwrap();
        } else {
            write_wav(&file("audio", "wav"), &sound_at(seed, frames * RATE as usize / FPS as usize), RATE).unwrap();
        }
    }

    pub(crate) fn config(&self, out: &str) -> PrepareConfig {
        let recipe = Recipe::named("react2025").unwrap();
        let shape = FrameShape { shorter: 32, crop: 24 };
        PrepareConfig { shape, threads: 2, ..PrepareConfig::new(recipe, self.root(), self.folder.path().join(out)) }
    }
}

#[test]
fn rate_lengths_and_sizes_come_from_the_data() {
    let mars = Mars::new(false);
    let config = mars.config("out");
    let report = prepare(&config, &()).unwrap();
    assert_eq!((report.packed, report.bad), (10 + 2 + 1, 0));
    let packed = Packed::open(&config.out).unwrap();
    let info = packed.info();
    assert_eq!((info.corpus.as_str(), info.audio_features, info.faces.as_str()), ("react2025", 39, "given"));
    assert!((info.fps - 30.0).abs() < 0.01, "{}", info.fps);
    let train = packed.split("train").unwrap();
    let lengths: Vec<_> = (0..train.len()).map(|item| train.frames(item).unwrap()).collect();
    assert_eq!(lengths, [12, 8, 9, 12, 8, 9]);
    let clip = train.clip(0, react_data::Role::Speaker).unwrap();
    assert_eq!(clip.id().path(), "speaker/session0/Camera-2024-06-21-103121-103102");
    assert_eq!(clip.emotion().unwrap(), emotion(0, 12));
    let audio = read_audio(&mars.file("train", "audio", clip.id().path(), "wav")).unwrap();
    assert_eq!(clip.audio().unwrap(), mfcc_per_frame(&audio.mono(), RATE, 12, info.fps).unwrap());

    let train = Arc::new(train);
    let loader = Loader::new(Arc::clone(&train), LoaderConfig { batch: 3, clip_length: 100, seed: 1 }).unwrap();
    let batch = loader.batch(0, 0).unwrap();
    assert_eq!(batch.speaker_audio().features(), 39);
    assert!([8, 9].contains(&batch.speaker_video().frames()));
    // Mean face 0.25 is taken off.
    let whole = train.whole(&[0]).unwrap();
    let first = train.clip(0, react_data::Role::Listener).unwrap().coeffs().unwrap()[[3, 5]];
    assert_eq!(whole.listener_3dmm().get()[[0, 3, 5]], first - 0.25);
}

#[test]
fn appropriate_reactions_are_of_the_same_session_and_role() {
    let mars = Mars::new(false);
    let config = mars.config("out");
    prepare(&config, &()).unwrap();
    let train = Packed::open(&config.out).unwrap().split("train").unwrap();
    let half = ndarray::array![[1u8, 1, 0], [1, 1, 0], [0, 0, 1]];
    assert_eq!(train.neighbours().slice(s![..3, ..3]), half);
    assert_eq!(train.neighbours().slice(s![3.., 3..]), half);
    assert_eq!(train.neighbours().slice(s![..3, 3..]).sum() + train.neighbours().slice(s![3.., ..3]).sum(), 0);

    // Of a large session the own reaction and others by the seed, the same ones each time.
    let pair = |name: usize| react_data::Pair {
        speaker: react_data::ClipId::parse(&format!("speaker/session5/c{name}")).unwrap(),
        listener: react_data::ClipId::parse(&format!("listener/session5/c{name}")).unwrap(),
    };
    let pairs: Vec<_> = (0..30).map(pair).collect();
    let drawn = session_neighbours(&pairs, 10, 7);
    assert!(drawn.rows().into_iter().enumerate().all(|(i, row)| row[i] == 1 && row.sum() == 10));
    assert_eq!(drawn, session_neighbours(&pairs, 10, 7));
    assert_ne!(drawn, session_neighbours(&pairs, 10, 8));
    let picked: Vec<_> = drawn.sum_axis(Axis(0)).to_vec();
    assert!(picked.iter().all(|count| (3..22).contains(count)), "{picked:?}");
}

#[test]
fn given_features_are_taken_as_they_are() {
    let mars = Mars::new(true);
    let config = mars.config("out");
    prepare(&config, &()).unwrap();
    let packed = Packed::open(&config.out).unwrap();
    assert_eq!(packed.info().audio_features, 768);
    let val = packed.split("val").unwrap();
    let clip = val.clip(1, react_data::Role::Listener).unwrap();
    assert_eq!((clip.audio().unwrap().dim(), clip.audio().unwrap()[[13, 767]]), ((14, 768), 913.0 + 767.0 / 1024.0));
    assert_eq!(val.whole(&[1]).unwrap().speaker_audio().features(), 768);
    // A file of another width is an error in the end, with both files.
    let odd = mars.file("val", "audio-features", "listener/session2/Camera-2024-06-22-1-1", "npy");
    react_store::write_npy(&odd, &Array2::<f32>::zeros((14, 39))).unwrap();
    let error = prepare(&config, &()).unwrap_err().to_string();
    assert!(error.contains("768 audio features a frame") && error.contains("[14, 39]"), "{error}");
    assert!(Packed::open(&config.out).is_err(), "the folder is not complete");
}

#[test]
fn a_recording_without_partner_is_bad() {
    let mars = Mars::new(false);
    let clip = "listener/session0/Camera-2024-06-21-103121-103103";
    for (modality, extension) in [("video-face-crop", "mp4"), ("audio", "wav"), ("coefficients", "npy"), ("facial-attributes", "npy")] {
        fs::remove_file(mars.file("train", modality, clip, extension)).unwrap();
    }
    let mut config = mars.config("out");
    let lonely = clip.replace("listener", "speaker");
    assert_eq!(prepare(&config, &()).unwrap_err().to_string(), format!("clip {lonely} (train): its partner is not there"));
    config.max_bad = 1;
    let report = prepare(&config, &()).unwrap();
    assert_eq!(report.bad, 1);
    let packed = Packed::open(&config.out).unwrap();
    assert_eq!((packed.split("train").unwrap().pairs(), packed.split("val").unwrap().pairs()), (2, 2));
    let list = fs::read_to_string(config.out.join("bad.csv")).unwrap();
    assert_eq!(list, format!("split,clip,why\ntrain,{lonely},\"clip {lonely} (train): its partner is not there\"\n"));
    // The same bytes with another number of threads.
    let other = PrepareConfig { threads: 1, out: config.out.with_file_name("other"), ..config.clone() };
    prepare(&other, &()).unwrap();
    assert_eq!(digest(&config.out), digest(&other.out));
}

#[test]
fn a_split_or_a_rate_that_is_not_there() {
    let mars = Mars::new(false);
    let open = || Corpus::open(&mars.root(), Recipe::named("react2025").unwrap());
    // A test split whose listeners are kept back is no split to prepare.
    fs::create_dir_all(mars.root().join("test/video-face-crop/speaker/session0")).unwrap();
    assert_eq!(open().unwrap().splits().len(), 2);
    // One clip at another rate.
    let path = mars.file("val", "video-face-crop", "speaker/session2/Camera-2024-06-22-1-1", "mp4");
    let mut writer = VideoWriter::create(&path, SIDE, SIDE, 25.0, Quality::Fast).unwrap();
    (0..14).for_each(|_| writer.push(&[90; SIDE * SIDE * 3]).unwrap());
    writer.finish().unwrap();
    let error = prepare(&mars.config("out"), &()).unwrap_err().to_string();
    assert!(error.contains("speaker/session2/Camera-2024-06-22-1-1 (val): its video has 25.00 frames/s, the corpus 30"), "{error}");
    fs::remove_dir_all(mars.root().join("val/video-face-crop/listener")).unwrap();
    assert!(matches!(open().unwrap_err(), DataError::Missing { .. }));
}
