//! A tiny corpus in REACT 2024's layout, made by hand: 3 + 2 pairs, 10 frames of 32², videos as folders of PNGs and as mp4.
//!
//! Every value says where it comes from, so that a test can tell what it should find.

use ndarray::{Array1, Array2, Array3};
use react_data::{PrepareConfig, PrepareReport, Recipe, prepare};
use react_media::{FrameShape, Quality, VideoWriter, write_png, write_wav};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

pub(crate) const FRAMES: usize = 10;
pub(crate) const SIDE: usize = 32;
pub(crate) const RATE: u32 = 44_100;
pub(crate) const SHAPE: FrameShape = FrameShape { shorter: 32, crop: 24 };

/// (split, speaker, listener).
pub(crate) const PAIRS: [(&str, &str, &str); 5] = [
    ("train", "NoXI/c1/Expert/1", "NoXI/c1/Novice/1"),
    ("train", "NoXI/c1/Expert/2", "NoXI/c1/Novice/2"),
    ("train", "RECOLA/group-1/P25/1", "RECOLA/group-1/P26/1"),
    ("val", "UDIVA/038/Talk/FC1/1", "UDIVA/038/Talk/FC2/1"),
    ("val", "RECOLA/group-2/P41/3", "RECOLA/group-2/P42/3"),
];

/// A folder with a corpus in it and a place for the packed one.
pub(crate) struct Tiny {
    folder: tempfile::TempDir,
}

impl Tiny {
    /// A copy of the corpus, which is made only once: syncing all its pictures takes long.
    pub(crate) fn new() -> Self {
        static MADE: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| tree(&Tiny::make().root()));
        let this = Self { folder: tempfile::tempdir().unwrap() };
        for (name, bytes) in MADE.iter() {
            let path = PathBuf::from(format!("{}{name}", this.root().display()));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        this
    }

    fn make() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        for (n, (split, speaker, listener)) in PAIRS.iter().enumerate() {
            this.write_clip(split, speaker, 2 * n, FRAMES);
            this.write_clip(split, listener, 2 * n + 1, FRAMES);
        }
        for split in ["train", "val"] {
            let pairs = PAIRS.iter().filter(|(of, _, _)| *of == split).enumerate();
            let rows: String = pairs.map(|(row, (_, speaker, listener))| format!("{row},{speaker},{listener}\n")).collect();
            fs::write(this.root().join(format!("{split}.csv")), format!(",speaker_path,listener_path\n{rows}")).unwrap();
        }
        let index = "site,chat_index,clip_index\nRecola,group-2,3\nNoXI,c1,1\nNoXI,c1,2\nUDIVA,Talk_038,1\nRecola,group-1,1\n";
        fs::write(this.root().join("data_indices.csv"), index).unwrap();
        let matrix = Array2::from_shape_fn((10, 10), |(i, j)| f64::from(u8::from(i == j || (i + 2 * j) % 7 == 0)));
        react_store::write_npy(&this.root().join("Approprirate_facial_reaction.npy"), &matrix).unwrap();
        let mean = Array1::from_iter((0..58).map(|c| c as f32 * 0.5));
        react_store::write_npy(&this.root().join("mean_face.npy"), &mean.to_shape((1, 1, 58)).unwrap()).unwrap();
        this
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("corpus")
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn source(&self, split: &str, modality: &str, clip: &str) -> PathBuf {
        self.root().join(split).join(modality).join(clip)
    }

    /// Replaces a clip by clip number `seed` of all; each third as mp4, the others as PNGs.
    pub(crate) fn write_clip(&self, split: &str, clip: &str, seed: usize, frames: usize) {
        let video = self.source(split, "Video_files", clip);
        let _ = fs::remove_dir_all(&video);
        if seed % 3 == 2 {
            fs::create_dir_all(video.parent().unwrap()).unwrap();
            let mut writer = VideoWriter::create(&video.with_extension("mp4"), SIDE, SIDE, 25.0, Quality::Fast).unwrap();
            (0..frames).for_each(|t| writer.push(&picture(seed, t)).unwrap());
            writer.finish().unwrap();
        } else {
            fs::create_dir_all(&video).unwrap();
            (0..frames).for_each(|t| write_png(&video.join(format!("{:04}.png", t + 1)), &picture(seed, t), SIDE, SIDE).unwrap());
        }
        let audio = self.source(split, "Audio_files", &format!("{clip}.wav"));
        fs::create_dir_all(audio.parent().unwrap()).unwrap();
        write_wav(&audio, &sound(seed, frames), RATE).unwrap();
        self.write_emotion(split, clip, &emotion(seed, frames));
        let coeffs = self.source(split, "3D_FV_files", &format!("{clip}.npy"));
        react_store::write_npy(&coeffs, &coeffs_of(seed, frames)).unwrap();
    }

    pub(crate) fn write_emotion(&self, split: &str, clip: &str, values: &Array2<f32>) {
        let csv = self.source(split, "Emotion", &format!("{clip}.csv"));
        fs::create_dir_all(csv.parent().unwrap()).unwrap();
        let mut text = react_contracts::channels::EMOTION.join(",") + "\n";
        for row in values.outer_iter() {
            text.push_str(&(row.iter().map(f32::to_string).collect::<Vec<_>>().join(",") + "\n"));
        }
        fs::write(csv, text).unwrap();
    }

    pub(crate) fn config(&self, out: &str, threads: usize) -> PrepareConfig {
        let recipe = Recipe::named("react2024").unwrap();
        PrepareConfig { shape: SHAPE, threads, ..PrepareConfig::new(recipe, self.root(), self.out(out)) }
    }

    pub(crate) fn prepare(&self, out: &str, threads: usize) -> Result<PrepareReport, String> {
        prepare(&self.config(out, threads), &()).map_err(|error| error.to_string())
    }
}

pub(crate) fn picture(seed: usize, t: usize) -> Vec<u8> {
    (0..SIDE * SIDE * 3).map(|i| ((i / 96) * 4 + (i / 3 % 32) * 2 + seed * 11 + t * 3 + i % 3 * 20) as u8).collect()
}

pub(crate) fn sound(seed: usize, frames: usize) -> Vec<f32> {
    sound_at(seed, frames * 1764)
}

/// Valence says the seed, arousal the frame; an action unit and an expression change from frame to frame.
pub(crate) fn emotion(seed: usize, frames: usize) -> Array2<f32> {
    Array2::from_shape_fn((frames, 25), |(t, c)| match c {
        0..15 => ((seed + t + c) % 3 / 2) as f32,
        15 => seed as f32 / 64.0,
        16 => t as f32 / 1024.0,
        _ => f32::from(u8::from(c == 17 + (seed + t) % 8)),
    })
}

pub(crate) fn sound_at(seed: usize, samples: usize) -> Vec<f32> {
    (0..samples).map(|i| (i as f32 * 0.01 * (seed + 1) as f32).sin() * 0.5).collect()
}

/// Coefficients as published, `[t, 1, 58]`.
pub(crate) fn write_values(path: &Path, seed: usize, frames: usize) {
    react_store::write_npy(path, &coeffs_of(seed, frames)).unwrap();
}

/// As published: `[t, 1, 58]`, here in f64.
pub(crate) fn coeffs_of(seed: usize, frames: usize) -> Array3<f64> {
    Array3::from_shape_fn((frames, 1, 58), |(t, _, c)| seed as f64 * 100.0 + t as f64 + c as f64 / 64.0)
}

/// Every file below a folder with its contents, sorted by path.
pub(crate) fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
    fn walk(folder: &Path, below: &str, files: &mut Vec<(String, Vec<u8>)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{below}/{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() { walk(&path, &name, files) } else { files.push((name, fs::read(&path).unwrap())) }
        }
    }
    let mut files = Vec::new();
    walk(folder, "", &mut files);
    files.sort();
    files
}

/// Trees as names and hashes: a difference is then readable.
pub(crate) fn digest(folder: &Path) -> Vec<(String, String)> {
    tree(folder).into_iter().map(|(name, bytes)| (name, blake3::hash(&bytes).to_hex().to_string())).collect()
}

/// A pair of 40 frames as FFmpeg (H.264 with B-frames) and OpenCV (motion JPEG in AVI) wrote them, as the split test.
pub(crate) fn add_videos(tiny: &Tiny) {
    for (seed, person, video, extension) in [(0, "E", "h264_high_b.mp4", "mp4"), (1, "N", "mjpeg_opencv.avi", "avi")] {
        let clip = format!("NoXI/c1/{person}/1");
        tiny.write_clip("test", &clip, seed, 40);
        let pngs = tiny.source("test", "Video_files", &clip);
        fs::remove_dir_all(&pngs).unwrap();
        fs::copy(video_fixture(video), pngs.with_extension(extension)).unwrap();
    }
    fs::write(tiny.root().join("test.csv"), ",speaker_path,listener_path\n0,NoXI/c1/E/1,NoXI/c1/N/1\n").unwrap();
}

/// A video of the repository's fixtures.
pub(crate) fn video_fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/video")).join(name)
}
