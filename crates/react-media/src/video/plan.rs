//! Where the coded samples of a file lie, which of them are shown, and where decoding can start.

use super::VideoInfo;
use super::codec::Recipe;
use crate::MediaError;
use crate::avi::Avi;
use crate::jpeg::Jpeg;
use crate::mp4::{Codec, Mp4};
use crate::mpeg4::{self, Kind};
use crate::source::{Extent, Source};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// A sample that is not shown.
const HIDDEN: u32 = u32::MAX;

/// All that is known of a video stream without decoding it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(super) path: PathBuf,
    pub(super) max_pixels: usize,
    pub(super) recipe: Recipe,
    /// Length and time of the file that was read.
    identity: (u64, Option<SystemTime>),
    /// The samples, in decoding order.
    pub(super) extents: Vec<Extent>,
    /// When each is presented, in units of the track.
    times: Vec<i64>,
    keys: Keys,
    /// Numbers of the samples that are shown, in the order of presentation.
    pub(super) shown: Vec<u32>,
    /// For each sample its place in `shown`, or [`HIDDEN`].
    position: Vec<u32>,
    /// For each place in `shown`, the first sample to be decoded of those shown from there on.
    earliest: Vec<u32>,
}

/// Where the container says that decoding can start.
#[derive(Debug)]
enum Keys {
    /// It says nothing: each sample is looked at.
    Unknown,
    /// At these samples, ascending; they are looked at too.
    Listed(Vec<u32>),
    /// Pictures are numbered as they come out, so it must be known that each sample gives one: found when first needed; `None` where
    /// that is not so.
    Counted(OnceLock<Option<Vec<u32>>>),
}

impl Plan {
    pub(crate) fn open(path: &Path, max_pixels: usize) -> Result<(Self, Source, VideoInfo), MediaError> {
        let mut source = Source::open(path)?;
        if source.len() == 0 {
            return Err(MediaError::damaged(path, "it is empty"));
        }
        let is_riff = source.len() >= 4 && source.array::<4>(0)? == *b"RIFF";
        let (plan, source, fps) = if is_riff { Self::open_avi(path, max_pixels)? } else { Self::open_mp4(path, max_pixels)? };
        if plan.shown.is_empty() {
            return Err(MediaError::damaged(path, "it shows no frame"));
        }
        let (width, height) = plan.recipe.decoder(path, 0, max_pixels)?.size();
        let (codec, decoder) = plan.recipe.names();
        let has_rate = fps.is_finite() && fps > 0. && plan.extents.len() > 1;
        let fps = if has_rate { fps } else { 25. };
        let info = VideoInfo { width, height, frames: plan.shown.len(), fps, codec: codec.to_owned(), decoder: decoder.to_owned() };
        Ok((plan, source, info))
    }

    fn open_mp4(path: &Path, max_pixels: usize) -> Result<(Self, Source, f64), MediaError> {
        let mut mp4 = Mp4::open(path)?;
        let track = mp4.video()?;
        let fps = track.samples.len() as f64 * f64::from(track.scale) / track.duration as f64;
        let shown = track.shown();
        let mut source = mp4.source;
        let recipe = match track.codec {
            Codec::H264 { parameters, in_band, length_size, color } => Recipe::H264 { parameters, in_band, length_size, color },
            Codec::Mpeg4 { headers } => {
                let first = first_sample(&mut source, track.samples.first().map(|sample| sample.extent))?;
                Recipe::Mpeg4 { headers: mpeg4::headers(headers, &first), timed: true }
            }
            Codec::Other(name) => return Err(MediaError::codec(path, format!("video in the codec {name}"))),
            Codec::Sound { .. } => return Err(MediaError::damaged(path, "its video track is described as sound")),
        };
        let keys = track.keys.map_or(Keys::Unknown, Keys::Listed);
        let (extents, times) = track.samples.iter().map(|sample| (sample.extent, sample.time)).unzip();
        Ok((Self::new(&source, max_pixels, recipe, extents, times, keys, shown), source, fps))
    }

    fn open_avi(path: &Path, max_pixels: usize) -> Result<(Self, Source, f64), MediaError> {
        let avi = Avi::open(path)?;
        let (mut source, extents) = (avi.source, avi.frames);
        let first = first_sample(&mut source, extents.first().copied())?;
        let (recipe, keys) = match &avi.codec.map(|c| c.to_ascii_uppercase()) {
            b"MJPG" | b"AVRN" => (Recipe::Jpeg { size: Jpeg::size_of(path, &first)? }, Keys::Unknown),
            b"XVID" | b"DIVX" | b"DX50" | b"FMP4" | b"MP4V" => {
                (Recipe::Mpeg4 { headers: mpeg4::headers(avi.headers, &first), timed: false }, Keys::Counted(OnceLock::new()))
            }
            other => return Err(MediaError::codec(path, format!("video in the codec {}", other.escape_ascii()))),
        };
        let count = extents.len() as u32;
        let times = (0..i64::from(count)).collect();
        Ok((Self::new(&source, max_pixels, recipe, extents, times, keys, (0..count).collect()), source, avi.fps))
    }

    fn new(source: &Source, max_pixels: usize, recipe: Recipe, extents: Vec<Extent>, times: Vec<i64>, keys: Keys, shown: Vec<u32>) -> Self {
        let mut position = vec![HIDDEN; extents.len()];
        for (place, &number) in shown.iter().enumerate() {
            position[number as usize] = place as u32;
        }
        let mut earliest = shown.clone();
        for place in (1..earliest.len()).rev() {
            earliest[place - 1] = earliest[place - 1].min(earliest[place]);
        }
        let (path, identity) = (source.path().to_owned(), source.identity());
        Self { path, max_pixels, recipe, identity, extents, times, keys, shown, position, earliest }
    }

    /// Opens the file again, which must be the one that was read.
    pub(super) fn source(&self) -> Result<Source, MediaError> {
        let source = Source::open(&self.path)?;
        if source.identity() != self.identity {
            return Err(MediaError::damaged(&self.path, "it has changed since its index was read"));
        }
        Ok(source)
    }

    /// Whether sample `number` is shown at `place` or later.
    pub(super) fn is_shown_from(&self, place: usize, number: u32) -> bool {
        self.position.get(number as usize).is_some_and(|&at| at != HIDDEN && at as usize >= place)
    }

    /// The last sample from which on everything that is shown from `place` on can be decoded.
    ///
    /// `starts` looks at a sample: a container may be wrong about it.
    pub(super) fn start(
        &self,
        place: usize,
        mut read: impl FnMut(usize, &mut Vec<u8>) -> Result<(), MediaError>,
        starts: impl Fn(&[u8]) -> bool,
    ) -> Result<usize, MediaError> {
        let (Some(&last), Some(&shown)) = (self.earliest.get(place), self.shown.get(place)) else {
            return Ok(0);
        };
        let mut sample = Vec::new();
        let mut can = |number: u32| -> Result<bool, MediaError> {
            let number = number as usize;
            // What comes after a key frame in the file and before it in time may need what lies before it in the file.
            let is_early = self.times.get(number).is_some_and(|&time| time <= self.times[shown as usize]);
            if !is_early || self.extents[number].size == 0 {
                return Ok(false);
            }
            read(number, &mut sample)?;
            Ok(starts(&sample))
        };
        let listed = match &self.keys {
            Keys::Unknown => None,
            Keys::Listed(keys) => Some(keys.as_slice()),
            Keys::Counted(keys) => Some(self.counted(keys)?),
        };
        let candidates: Box<dyn Iterator<Item = u32>> = match listed {
            None => Box::new((1..=last).rev()),
            Some(keys) => Box::new(keys[..keys.partition_point(|&key| key <= last)].iter().rev().copied()),
        };
        for number in candidates {
            if can(number)? {
                return Ok(number as usize);
            }
        }
        Ok(0)
    }

    /// The pictures of an AVI that are coded from themselves, where each sample holds one picture, and none comes out of order.
    fn counted<'a>(&self, keys: &'a OnceLock<Option<Vec<u32>>>) -> Result<&'a [u32], MediaError> {
        if keys.get().is_none() {
            let mut source = self.source()?;
            let (mut found, mut sample) = (Some(Vec::new()), Vec::new());
            for (number, &extent) in self.extents.iter().enumerate() {
                source.read_extent(extent, &mut sample)?;
                let mut kinds = mpeg4::kinds(&sample);
                match (kinds.next(), kinds.next(), &mut found) {
                    (Some(Kind::Intra), None, Some(found)) => found.push(number as u32),
                    (Some(Kind::Predicted), None, Some(_)) => {}
                    _ => found = None,
                }
            }
            // Another thread may have been faster; it found the same.
            let _ = keys.set(found);
        }
        Ok(keys.get().and_then(Option::as_deref).unwrap_or_default())
    }
}

fn first_sample(source: &mut Source, extent: Option<Extent>) -> Result<Vec<u8>, MediaError> {
    let mut sample = Vec::new();
    match extent {
        Some(extent) if extent.size > 0 => source.read_extent(extent, &mut sample)?,
        Some(_) => return Err(MediaError::frame(source.path(), 0, "it is empty")),
        None => return Err(MediaError::damaged(source.path(), "it shows no frame")),
    }
    Ok(sample)
}
