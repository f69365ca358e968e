//! Video in: files and folders → frames.

mod packets;

use crate::MediaError;
use crate::png::PngFolder;
use packets::Packets;
use std::path::Path;

pub(crate) use packets::Picture;

/// How much a reader may be made to allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoOptions {
    /// The most pixels of one picture, width × height; more is an error before anything is allocated.
    pub max_pixels: usize,
}

impl Default for VideoOptions {
    /// 8192 × 8192 pixels.
    fn default() -> Self {
        Self { max_pixels: 8192 * 8192 }
    }
}

/// What is known of a video before its first frame is decoded.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// How many frames [`VideoReader::next_frame`] will give, edit list applied.
    pub frames: usize,
    /// Frames a second, the mean over the file; 25 where there is no rate: in a folder of PNGs, with a single frame.
    pub fps: f64,
    /// `h264`, `mpeg4`, `mjpeg` or `png`.
    pub codec: String,
    /// The crate that decodes it, with its version where the version can matter.
    pub decoder: String,
}

/// Reads a video frame by frame, in the order of presentation and in constant memory.
///
/// Understood are mp4 and mov (H.264 with 8 bits in 4:2:0; MPEG-4 part 2), AVI (motion JPEG; MPEG-4 part 2), and folders of numbered
/// PNGs, told apart by their content. Of an mp4 the first video track is read, as its edit list says. Pictures are given as they are
/// stored, whatever turning the file asks for.
///
/// ```no_run
/// # use std::path::Path;
/// let mut video = react_media::VideoReader::open(Path::new("clip.mp4"))?;
/// let mut rgb = Vec::new();
/// while video.next_frame(&mut rgb)? {
///     assert_eq!(rgb.len(), video.info().height * video.info().width * 3);
/// }
/// # Ok::<(), react_media::MediaError>(())
/// ```
pub struct VideoReader {
    info: VideoInfo,
    frames: Frames,
}

enum Frames {
    Packets(Packets),
    Pngs(PngFolder),
}

impl VideoReader {
    /// Opens a file, or a folder of numbered PNGs.
    ///
    /// # Errors
    /// Where it cannot be read, is cut short or damaged, or holds what is not understood. Every coded frame's place is checked here,
    /// so a file that is cut short fails now and not in its middle.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        Self::open_with(path, &VideoOptions::default())
    }

    /// [`VideoReader::open`] with bounds of your own.
    ///
    /// # Errors
    /// As [`VideoReader::open`], and where a picture has more than `max_pixels`.
    pub fn open_with(path: &Path, options: &VideoOptions) -> Result<Self, MediaError> {
        let (info, frames) = if path.is_dir() {
            let (folder, info) = PngFolder::open(path, options.max_pixels)?;
            (info, Frames::Pngs(folder))
        } else {
            let (packets, info) = Packets::open(path, options.max_pixels)?;
            (info, Frames::Packets(packets))
        };
        tracing::debug!(file = %path.display(), ?info, "opened a video");
        Ok(Self { info, frames })
    }

    /// Size, length, rate and codec.
    #[must_use]
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Writes the next frame to `rgb` as RGB24 `[height][width][3]`, replacing what it held; `false` after the last.
    ///
    /// H.264 gives the very bytes that OpenCV, PyAV, decord and FFmpeg give.
    ///
    /// # Errors
    /// Where a frame cannot be read or decoded.
    pub fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        match &mut self.frames {
            Frames::Packets(packets) => packets.next_frame(rgb),
            Frames::Pngs(folder) => folder.next_frame(rgb),
        }
    }
}

impl std::fmt::Debug for VideoReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoReader").field("info", &self.info).finish_non_exhaustive()
    }
}
