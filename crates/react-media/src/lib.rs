//! Files ↔ frames and samples: demultiplexing, decoding, encoding, resampling. Knows nothing of faces or clips.
//!
//! Everything is pure Rust, unless the feature `ffmpeg` adds the system's FFmpeg for the codecs that are missing. Pictures are RGB24, `[height][width][3]` bytes; sound is `f32` in [−1, 1]; rates are in Hz and frames a
//! second. Every error is one sentence that names the file.
//!
//! ```
//! use react_media::{Quality, VideoReader, VideoWriter};
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("clip.mp4");
//! let mut writer = VideoWriter::create(&path, 32, 32, 25.0, Quality::Fast)?;
//! writer.push(&[128; 32 * 32 * 3])?;
//! writer.finish()?;
//!
//! let mut video = VideoReader::open(&path)?;
//! let mut rgb = Vec::new();
//! assert!(video.next_frame(&mut rgb)?);
//! assert!(rgb.iter().all(|&shade| shade.abs_diff(128) <= 2));
//! assert!(!video.next_frame(&mut rgb)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audio;
mod avi;
mod color;
mod error;
#[cfg(feature = "ffmpeg")]
mod ffmpeg;
mod h264;
mod jpeg;
mod mp4;
mod mpeg4;
mod png;
mod resize;
mod sound_out;
mod source;
mod video;
mod writer;

pub use audio::{Audio, AudioOptions, read_audio, read_audio_with, resample, write_wav};
pub use error::MediaError;
pub use png::{Image, read_png, write_png};
pub use resize::{FrameShape, Resizer};
pub use video::{Decoder, VideoIndex, VideoInfo, VideoOptions, VideoReader};
pub use writer::{Quality, VideoWriter};

/// The example of the README is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(test)]
mod tests {
    #[test]
    fn everything_can_go_to_another_thread() {
        fn can_go<T: Send>() {}
        can_go::<super::VideoReader>();
        can_go::<super::VideoWriter>();
        can_go::<super::Resizer>();
        can_go::<super::MediaError>();
    }
}
