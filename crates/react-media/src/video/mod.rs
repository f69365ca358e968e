//! Video in: files and folders → frames.

mod codec;
mod index;
mod packets;
mod plan;

use crate::MediaError;
use crate::png::PngFolder;
use packets::Packets;
use std::path::Path;
use std::sync::{Arc, OnceLock};

pub(crate) use codec::Picture;
pub use index::VideoIndex;

/// How a reader decodes, and how much it may be made to allocate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoOptions {
    /// The most pixels of one picture, width × height; more is an error before anything is allocated.
    ///
    /// It bounds the whole reader, reference pictures and those that wait for their turn included: about 54 bytes for each of these
    /// pixels at the very most, 512 MiB with the default.
    pub max_pixels: usize,
    /// Who decodes.
    pub decoder: Decoder,
}

impl Default for VideoOptions {
    /// 4096 × 2304 pixels, the decoders in Rust where they can.
    fn default() -> Self {
        Self { max_pixels: 4096 * 2304, decoder: Decoder::Auto }
    }
}

/// What a program was started with.
static OF_THE_PROGRAM: OnceLock<VideoOptions> = OnceLock::new();

impl VideoOptions {
    /// What [`VideoReader::open`], [`VideoIndex::open`] and [`crate::read_png`] take: the default, unless the program has set its own.
    #[must_use]
    pub fn of_the_program() -> Self {
        OF_THE_PROGRAM.get().copied().unwrap_or_default()
    }

    /// Makes these the options of the whole program, as its user wants; to be called once, before anything is read.
    ///
    /// # Errors
    /// Where others are set already.
    pub fn set_for_the_program(self) -> Result<(), MediaError> {
        if *OF_THE_PROGRAM.get_or_init(|| self) == self {
            return Ok(());
        }
        Err(MediaError::Argument("the program's options for videos are set already, to others".to_owned()))
    }
}

/// Who decodes a video; [`VideoInfo::decoder`] names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Decoder {
    /// The decoders in Rust where they understand the file, else FFmpeg where this crate was built with the feature `ffmpeg`.
    #[default]
    Auto,
    /// The decoders in Rust.
    Pure,
    /// FFmpeg; an error without the feature.
    Ffmpeg,
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
    /// `h264`, `mpeg4`, `mjpeg` or `png`; of FFmpeg its name for it.
    pub codec: String,
    /// The crate or library that decodes it, with its version where the version can matter.
    pub decoder: String,
}

/// Reads a video frame by frame, in the order of presentation and in constant memory.
///
/// Understood are mp4 and mov (H.264 with 8 bits in 4:2:0; MPEG-4 part 2), AVI (motion JPEG; MPEG-4 part 2), and folders of numbered
/// PNGs, told apart by their content; with the feature `ffmpeg` whatever FFmpeg reads. Of an mp4 the first video track is read, as its edit list says. Pictures are given as they are
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
    index: VideoIndex,
    frames: Frames,
}

enum Frames {
    Packets(Box<Packets>),
    Pngs {
        folder: Arc<PngFolder>,
        next: usize,
    },
    #[cfg(feature = "ffmpeg")]
    Ffmpeg(Box<crate::ffmpeg::FfmpegReader>),
}

impl VideoReader {
    /// Opens a file, or a folder of numbered PNGs.
    ///
    /// # Errors
    /// Where it cannot be read, is cut short or damaged, or holds what is not understood. Every coded frame's place is checked here,
    /// so a file that is cut short fails now and not in its middle.
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        Self::open_with(path, &VideoOptions::of_the_program())
    }

    /// [`VideoReader::open`] with options of your own.
    ///
    /// # Errors
    /// As [`VideoReader::open`], and where a picture has more than `max_pixels`.
    pub fn open_with(path: &Path, options: &VideoOptions) -> Result<Self, MediaError> {
        let (index, source) = VideoIndex::read(path, options)?;
        index.reader_of(source)
    }

    /// Size, length, rate and codec.
    #[must_use]
    pub fn info(&self) -> &VideoInfo {
        self.index.info()
    }

    /// What was read of the file before its frames, for further readers.
    #[must_use]
    pub fn index(&self) -> &VideoIndex {
        &self.index
    }

    /// Makes `frame` (from 0) the one that [`VideoReader::next_frame`] gives next; the number of frames is the end.
    ///
    /// The frames that follow are, byte for byte, those of a reader that came there frame by frame. Decoding starts at the last key
    /// frame before `frame` (in H.264 an IDR picture), or goes on where that is shorter, and leaves out what nothing else depends on.
    ///
    /// # Errors
    /// Where there are fewer frames, or the file cannot be read.
    pub fn seek(&mut self, frame: usize) -> Result<(), MediaError> {
        let frames = self.info().frames;
        if frame > frames {
            let path = self.index.path().display();
            return Err(MediaError::Argument(format!("{path} has {frames} frames: there is no frame {frame} to go to")));
        }
        match &mut self.frames {
            Frames::Packets(packets) => packets.seek(frame),
            #[cfg(feature = "ffmpeg")]
            Frames::Ffmpeg(reader) => reader.seek(frame),
            Frames::Pngs { next, .. } => {
                *next = frame;
                Ok(())
            }
        }
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
            #[cfg(feature = "ffmpeg")]
            Frames::Ffmpeg(reader) => reader.next_frame(rgb),
            Frames::Pngs { folder, next } => {
                let is_there = folder.frame(*next, rgb)?;
                *next += usize::from(is_there);
                Ok(is_there)
            }
        }
    }
}

impl std::fmt::Debug for VideoReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoReader").field("info", self.info()).finish_non_exhaustive()
    }
}
