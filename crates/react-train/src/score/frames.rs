//! Frames of real and generated listeners, as FRRea wants them.

use super::arrays::{extension, natural};
use crate::Progress;
use anyhow::{Context, Result, bail, ensure};
use ndarray::{ArrayView3, ArrayView4, Axis, Ix4, Ix5};
use react_media::{VideoReader, read_png};
use react_store::NpyMap;
use std::path::{Path, PathBuf};

/// Clips of a batch of the published program's evaluation, and how many batches lie between those that it renders.
const CLIPS_PER_BATCH: usize = 4;
const BATCHES: usize = 25;
/// Its frames: 1, 31, 61, …, counted from 0.
const FRAMES: usize = 30;
const FIRST_FRAME: usize = 1;

/// Which frames of which clips count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// As published.
    Published,
    /// Every so manieth frame of every clip, from the first on.
    Stride(usize),
}

impl Protocol {
    fn clip(self, clip: usize) -> bool {
        match self {
            Self::Published => (clip / CLIPS_PER_BATCH).is_multiple_of(BATCHES),
            Self::Stride(_) => true,
        }
    }

    fn frame(self, frame: usize) -> bool {
        match self {
            Self::Published => frame % FRAMES == FIRST_FRAME,
            Self::Stride(stride) => frame.is_multiple_of(stride),
        }
    }
}

/// What a path holds.
enum Source {
    /// `[F, H, W, 3]`, one clip, or `[N, F, H, W, 3]`, as many.
    Array(NpyMap),
    /// Videos, or folders of PNGs, each a clip, in natural order.
    Clips(Vec<PathBuf>),
    /// A flat folder of PNGs: frames that were chosen before, as the published program leaves them.
    Chosen(Vec<PathBuf>),
}

/// Calls `take` with each frame that counts, `[H, W, 3]`, in order.
///
/// # Errors
/// Where there is nothing to read, or a file is damaged.
pub(crate) fn each(path: &Path, protocol: Protocol, mut take: impl FnMut(ArrayView3<'_, u8>) -> Result<()>) -> Result<()> {
    match source(path)? {
        Source::Array(map) => array(&map, protocol, &mut take),
        Source::Clips(clips) => {
            let chosen: Vec<&PathBuf> = clips.iter().enumerate().filter(|(i, _)| protocol.clip(*i)).map(|(_, clip)| clip).collect();
            let progress = Progress::new("frames for FRRea", chosen.len() as u64);
            for clip in chosen {
                video(clip, protocol, &mut take)?;
                progress.advance(1, "");
            }
            Ok(())
        }
        Source::Chosen(files) => {
            let step = if let Protocol::Stride(stride) = protocol { stride } else { 1 };
            let progress = Progress::new("frames for FRRea", files.len().div_ceil(step) as u64);
            for file in files.iter().step_by(step) {
                let image = read_png(file)?;
                take(ArrayView3::from_shape((image.height, image.width, 3), &image.rgb)?)?;
                progress.advance(1, "");
            }
            Ok(())
        }
    }
}

fn array(map: &NpyMap, protocol: Protocol, take: &mut impl FnMut(ArrayView3<'_, u8>) -> Result<()>) -> Result<()> {
    let shape = map.shape().to_vec();
    let wanted = || format!("{}: wanted an array u8 [F,H,W,3] or [N,F,H,W,3], found {shape:?}", map.path().display());
    let view = map.view_u8()?;
    ensure!(shape.last() == Some(&3), wanted());
    let mut clip = |frames: ArrayView4<'_, u8>| {
        let chosen = frames.axis_iter(Axis(0)).enumerate().filter(|(t, _)| protocol.frame(*t));
        chosen.map(|(_, frame)| frame).try_for_each(&mut *take)
    };
    match shape.len() {
        4 => clip(view.into_dimensionality::<Ix4>()?),
        5 => {
            let clips = view.into_dimensionality::<Ix5>()?;
            clips.axis_iter(Axis(0)).enumerate().filter(|(i, _)| protocol.clip(*i)).try_for_each(|(_, frames)| clip(frames))
        }
        _ => bail!(wanted()),
    }
}

fn video(path: &Path, protocol: Protocol, take: &mut impl FnMut(ArrayView3<'_, u8>) -> Result<()>) -> Result<()> {
    let mut video = VideoReader::open(path)?;
    let (width, height) = (video.info().width, video.info().height);
    let mut rgb = Vec::new();
    let mut frame = 0;
    while video.next_frame(&mut rgb)? {
        if protocol.frame(frame) {
            take(ArrayView3::from_shape((height, width, 3), &rgb)?)?;
        }
        frame += 1;
    }
    Ok(())
}

fn source(path: &Path) -> Result<Source> {
    if path.is_file() {
        return match extension(path).as_str() {
            "npy" => Ok(Source::Array(NpyMap::open(path)?)),
            "mp4" | "avi" => Ok(Source::Clips(vec![path.to_owned()])),
            _ => bail!("{}: wanted a folder of videos or PNGs, a video, or .npy", path.display()),
        };
    }
    let (mut flat, mut clips) = (Vec::new(), Vec::new());
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut has_frames = false;
        for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let entry = entry?.path();
            match extension(&entry).as_str() {
                _ if entry.is_dir() => folders.push(entry),
                "mp4" | "avi" => clips.push(entry),
                "png" if folder == path => flat.push(entry),
                "png" => has_frames = true,
                _ => {}
            }
        }
        if has_frames {
            clips.push(folder);
        }
    }
    let sort = |paths: &mut Vec<PathBuf>| paths.sort_by(|x, y| natural(&x.to_string_lossy(), &y.to_string_lossy()));
    sort(&mut flat);
    sort(&mut clips);
    match (flat.is_empty(), clips.is_empty()) {
        (false, true) => Ok(Source::Chosen(flat)),
        (true, false) => Ok(Source::Clips(clips)),
        (true, true) => bail!("{}: it holds no .mp4, .avi or .png", path.display()),
        (false, false) => bail!("{}: it holds both single .png files and clips", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(path: &Path, protocol: Protocol) -> Vec<u8> {
        let mut found = Vec::new();
        each(path, protocol, |frame| {
            found.push(frame[[0, 0, 0]]);
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn the_published_frames_and_any_stride() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.npy");
        let frames = ndarray::Array4::from_shape_fn((100, 2, 2, 3), |(t, ..)| t as u8);
        react_store::write_npy(&path, &frames).unwrap();
        assert_eq!(chosen(&path, Protocol::Published), [1, 31, 61, 91]);
        assert_eq!(chosen(&path, Protocol::Stride(40)), [0, 40, 80]);
        // 201 clips: the 4 of batch 0, those of batch 25 and the one of batch 50.
        let clips = ndarray::Array5::from_shape_fn((201, 3, 1, 1, 3), |(i, ..)| i as u8);
        react_store::write_npy(&path, &clips).unwrap();
        assert_eq!(chosen(&path, Protocol::Published), [0, 1, 2, 3, 100, 101, 102, 103, 200]);
        assert_eq!(chosen(&path, Protocol::Stride(2)).len(), 402);
    }

    #[test]
    fn folders_of_frames_and_of_clips() {
        let folder = tempfile::tempdir().unwrap();
        let png = |name: &str, shade: u8| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            react_media::write_png(&path, &[shade; 12], 2, 2).unwrap();
        };
        for i in 0..12 {
            png(&format!("flat/{i}.png"), i);
            png(&format!("clips/b/{i}.png"), 100 + i);
            png(&format!("clips/a/{i}.png"), 50 + i);
        }
        assert_eq!(chosen(&folder.path().join("flat"), Protocol::Published), (0..12).collect::<Vec<u8>>());
        assert_eq!(chosen(&folder.path().join("flat"), Protocol::Stride(5)), [0, 5, 10]);
        assert_eq!(chosen(&folder.path().join("clips"), Protocol::Published), [51, 101]);
        let error = |name: &str| each(&folder.path().join(name), Protocol::Published, |_| Ok(())).unwrap_err().to_string();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        assert!(error("empty").ends_with("it holds no .mp4, .avi or .png"));
        png("clips/x.png", 0);
        assert!(error("clips").ends_with("it holds both single .png files and clips"));
    }
}
