//! Video out: frames → H.264 in mp4, with sound or without.

use crate::color::Yuv;
use crate::png::check_buffer;
use crate::sound_out::{PRE_SKIP, RATE, SoundTrack, trim_sound};
use crate::{Audio, MediaError};
use muxide::api::{AudioCodec, Muxer, MuxerBuilder, VideoCodec};
use react_store::AtomicFile;
use rusty_h264_common::YuvPlanes;
use rusty_h264_encoder::{Encoder, EncoderConfig, Preset};
use std::path::{Path, PathBuf};

/// How good a written video is, against its size and the time it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Quality {
    /// The quickest: for corpora of many small clips.
    Fast,
    /// For people to look at.
    #[default]
    Good,
}

/// The most frames from one that can be jumped to, to the next.
const KEY_FRAME_EVERY: u32 = 250;

/// Writes H.264 in mp4: BT.601, limited range, 4:2:0, without B-frames; plays in browsers. Sound is Opus.
///
/// The same frames always give the same bytes. The file appears, whole, with [`VideoWriter::finish`]; a writer that is dropped before
/// leaves none. A size that is odd is made even by repeating the last row or column.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// use react_media::{Quality, VideoReader, VideoWriter};
/// let path = folder.path().join("grey.mp4");
/// let mut video = VideoWriter::create(&path, 64, 64, 25.0, Quality::Good)?;
/// for shade in [100, 110, 120] {
///     video.push(&vec![shade; 64 * 64 * 3])?;
/// }
/// video.finish()?;
/// let reader = VideoReader::open(&path)?;
/// assert_eq!((reader.info().frames, reader.info().fps), (3, 25.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct VideoWriter {
    path: PathBuf,
    file: AtomicFile,
    muxer: Muxer<Vec<u8>>,
    sound: Option<SoundTrack>,
    encoder: Encoder,
    yuv: Yuv,
    width: usize,
    height: usize,
    fps: f64,
    frames: u32,
}

impl VideoWriter {
    /// Starts a video of `width`×`height` pixels at `fps` frames a second.
    ///
    /// # Errors
    /// Where H.264 has no level for the size and rate, or the file cannot be made.
    pub fn create(path: &Path, width: usize, height: usize, fps: f64, quality: Quality) -> Result<Self, MediaError> {
        Self::new(path, width, height, fps, quality, None)
    }

    /// As [`VideoWriter::create`], with a sound track that begins with the first frame.
    ///
    /// Mono stays mono and stereo stereo; more channels become their mean. The track is as long as the video: longer sound is cut,
    /// and shorter sound is followed by silence.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// use react_media::{Audio, Quality, VideoWriter, read_audio};
    /// let path = folder.path().join("loud.mp4");
    /// let sound = Audio { samples: vec![0.25; 8_000], rate: 8_000, channels: 1 };
    /// let mut video = VideoWriter::create_with_sound(&path, 64, 64, 25.0, Quality::Good, &sound)?;
    /// for _ in 0..10 {
    ///     video.push(&[128; 64 * 64 * 3])?;
    /// }
    /// video.finish()?;
    /// assert_eq!(read_audio(&path)?.frames(), 48_000 * 10 / 25);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`VideoWriter::create`], and where the samples do not fill their channels, one is no number, or the rate cannot be resampled.
    pub fn create_with_sound(
        path: &Path,
        width: usize,
        height: usize,
        fps: f64,
        quality: Quality,
        sound: &Audio,
    ) -> Result<Self, MediaError> {
        Self::new(path, width, height, fps, quality, Some(SoundTrack::new(sound)?))
    }

    fn new(path: &Path, width: usize, height: usize, fps: f64, quality: Quality, sound: Option<SoundTrack>) -> Result<Self, MediaError> {
        let (coded_width, coded_height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let level = level(coded_width, coded_height, fps)
            .ok_or_else(|| MediaError::write(path, format!("H.264 has no room for {width}×{height} pixels at {fps} frames a second")))?;
        let encoder = Encoder::new(config(coded_width, coded_height, fps, level, quality)).map_err(|why| MediaError::write(path, why))?;
        let file = AtomicFile::beside(path)?;
        let mut muxer = MuxerBuilder::new(Vec::new()).video(VideoCodec::H264, coded_width as u32, coded_height as u32, fps);
        if let Some(sound) = &sound {
            muxer = muxer.audio(AudioCodec::Opus, RATE, sound.channels() as u16);
        }
        let muxer = muxer.build().map_err(|why| MediaError::write(path, why))?;
        Ok(Self { path: path.to_owned(), file, muxer, sound, encoder, yuv: Yuv::default(), width, height, fps, frames: 0 })
    }

    /// Appends a frame: RGB24 `[height][width][3]`.
    ///
    /// # Errors
    /// Where `rgb` has another length, or the frame cannot be encoded.
    pub fn push(&mut self, rgb: &[u8]) -> Result<(), MediaError> {
        check_buffer(rgb, self.width, self.height)?;
        self.yuv.fill(rgb, self.width, self.height);
        let (width, height) = (self.width.next_multiple_of(2), self.height.next_multiple_of(2));
        let planes = YuvPlanes::new(width, height, &self.yuv.y, &self.yuv.u, &self.yuv.v, width, width / 2)
            .ok_or_else(|| MediaError::write(&self.path, "the frame's planes do not fit its size"))?;
        let coded = self.encoder.encode_planes(&planes).map_err(|why| MediaError::write(&self.path, why))?;
        let is_key = self.frames.is_multiple_of(KEY_FRAME_EVERY);
        self.muxer.write_video(f64::from(self.frames) / self.fps, &coded, is_key).map_err(|why| MediaError::write(&self.path, why))?;
        self.frames += 1;
        Ok(())
    }

    /// How many frames were pushed.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.frames as usize
    }

    /// Writes the file and puts it in its place.
    ///
    /// # Errors
    /// Where there is no frame, or the file cannot be written.
    pub fn finish(mut self) -> Result<(), MediaError> {
        if self.frames == 0 {
            return Err(MediaError::write(&self.path, "a video needs a frame"));
        }
        self.push_sound()?;
        self.muxer.finish_in_place().map_err(|why| MediaError::write(&self.path, why))?;
        let mut out = self.muxer.into_writer();
        if self.sound.is_some() {
            let milliseconds = (f64::from(self.frames) / self.fps * 1000.).round() as u32;
            trim_sound(&mut out, PRE_SKIP as u32, milliseconds)
                .ok_or_else(|| MediaError::write(&self.path, "its sound track is not where it should be"))?;
        }
        std::fs::write(self.file.temp(), out).map_err(MediaError::io("write", &self.path))?;
        Ok(self.file.publish()?)
    }

    /// The sound track, now that the video's length is known.
    fn push_sound(&mut self) -> Result<(), MediaError> {
        let Some(sound) = &self.sound else { return Ok(()) };
        let frames = (f64::from(self.frames) / self.fps * f64::from(RATE)).round() as usize;
        for (index, packet) in sound.packets(&self.path, frames)?.iter().enumerate() {
            // Packets last 20 ms.
            self.muxer.write_audio(index as f64 / 50., packet).map_err(|why| MediaError::write(&self.path, why))?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for VideoWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { path, width, height, fps, frames, .. } = self;
        f.debug_struct("VideoWriter")
            .field("path", path)
            .field("size", &(width, height))
            .field("fps", fps)
            .field("frames", frames)
            .finish_non_exhaustive()
    }
}

/// One access unit out for each frame in: nothing looks ahead, nothing depends on the machine or its environment.
///
/// Constrained Baseline with CAVLC: every player takes it, and against CABAC it trades an eighth more bytes for up to thrice the speed.
fn config(width: usize, height: usize, fps: f64, level: u8, quality: Quality) -> EncoderConfig {
    let mut config = EncoderConfig::baseline(width, height);
    config.level_idc = level;
    config.gop_size = KEY_FRAME_EVERY;
    config.min_keyint = KEY_FRAME_EVERY;
    config.framerate = fps as f32;
    config.aq_strength = 0.;
    (config.preset, config.qp) = match quality {
        Quality::Fast => (Preset::Fast, 18),
        Quality::Good => (Preset::Balanced, 20),
    };
    config
}

/// The lowest level (ITU-T H.264, table A-1), from 3.0 on, with room for the pictures.
fn level(width: usize, height: usize, fps: f64) -> Option<u8> {
    // Level · 10, most macroblocks a second, most macroblocks a picture.
    const LEVELS: [(u8, f64, usize); 11] = [
        (30, 40_500., 1_620),
        (31, 108_000., 3_600),
        (32, 216_000., 5_120),
        (40, 245_760., 8_192),
        (42, 522_240., 8_704),
        (50, 589_824., 22_080),
        (51, 983_040., 36_864),
        (52, 2_073_600., 36_864),
        (60, 4_177_920., 139_264),
        (61, 8_355_840., 139_264),
        (62, 16_711_680., 139_264),
    ];
    let (columns, rows) = (width.div_ceil(16), height.div_ceil(16));
    let picture = columns.checked_mul(rows).filter(|&n| n > 0)?;
    if !fps.is_finite() || fps <= 0. {
        return None;
    }
    let fits = |&&(_, rate, size): &&(u8, f64, usize)| {
        picture <= size && columns * columns <= 8 * size && rows * rows <= 8 * size && picture as f64 * fps <= rate
    };
    LEVELS.iter().find(fits).map(|(level, ..)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_size_and_rate() {
        assert_eq!(level(64, 64, 25.), Some(30));
        assert_eq!(level(720, 576, 25.), Some(30));
        assert_eq!(level(720, 576, 50.), Some(31));
        assert_eq!(level(1920, 1080, 30.), Some(40));
        assert_eq!(level(64, 16_000, 25.), Some(60));
        assert_eq!(level(64, 64, 0.), None);
        assert_eq!(level(0, 64, 25.), None);
        assert_eq!(level(20_000, 20_000, 25.), None);
    }
}
