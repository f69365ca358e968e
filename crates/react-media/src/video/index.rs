use super::packets::Packets;
use super::plan::Plan;
use super::{Decoder, Frames, VideoInfo, VideoOptions, VideoReader};
use crate::MediaError;
#[cfg(feature = "ffmpeg")]
use crate::ffmpeg::{FfmpegPlan, FfmpegReader};
use crate::png::PngFolder;
use crate::source::Source;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the frames of a video lie in its file, read once for any number of readers; a clone costs nothing.
///
/// It takes about 40 bytes a frame. Reading it is quick, too: keep it where many short pieces of one long file are read.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("clip.mp4");
/// # use react_media::{Quality, VideoWriter};
/// # let mut writer = VideoWriter::create(&path, 32, 32, 25.0, Quality::Fast)?;
/// # for shade in 0..40 {
/// #     writer.push(&[shade * 5; 32 * 32 * 3])?;
/// # }
/// # writer.finish()?;
/// let index = react_media::VideoIndex::open(&path)?;
/// let mut rgb = Vec::new();
/// for start in [30, 0, 15] {
///     let mut video = index.reader()?;
///     video.seek(start)?;
///     for _ in start..start + 10 {
///         assert!(video.next_frame(&mut rgb)?);
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct VideoIndex(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) path: PathBuf,
    pub(super) info: VideoInfo,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Packets(Arc<Plan>),
    Pngs(Arc<PngFolder>),
    #[cfg(feature = "ffmpeg")]
    Ffmpeg(Arc<FfmpegPlan>),
}

impl VideoIndex {
    /// Reads the index of a file, or of a folder of numbered PNGs.
    ///
    /// # Errors
    /// As [`VideoReader::open`].
    pub fn open(path: &Path) -> Result<Self, MediaError> {
        Self::open_with(path, &VideoOptions::of_the_program())
    }

    /// [`VideoIndex::open`] with options of your own, which hold for its readers too.
    ///
    /// # Errors
    /// As [`VideoReader::open_with`].
    pub fn open_with(path: &Path, options: &VideoOptions) -> Result<Self, MediaError> {
        Ok(Self::read(path, options)?.0)
    }

    /// The index, and the file it was read from.
    pub(super) fn read(path: &Path, options: &VideoOptions) -> Result<(Self, Option<Source>), MediaError> {
        let (kind, info, source) = if path.is_dir() {
            let (folder, info) = PngFolder::open(path, options.max_pixels)?;
            (Kind::Pngs(Arc::new(folder)), info, None)
        } else {
            match options.decoder {
                Decoder::Pure => Self::read_pure(path, options)?,
                Decoder::Ffmpeg => Self::read_ffmpeg(path, options)?,
                Decoder::Auto => Self::read_pure(path, options).or_else(|error| Self::after(error, path, options))?,
            }
        };
        tracing::debug!(file = %path.display(), ?info, "read the index of a video");
        Ok((Self(Arc::new(Inner { path: path.to_owned(), info, kind })), source))
    }

    fn read_pure(path: &Path, options: &VideoOptions) -> Result<(Kind, VideoInfo, Option<Source>), MediaError> {
        let (plan, source, info) = Plan::open(path, options.max_pixels)?;
        let plan = Arc::new(plan);
        // Some of what the decoders lack shows only in the pictures: with another at hand, it is worth to decode one.
        if cfg!(feature = "ffmpeg") && options.decoder == Decoder::Auto {
            Packets::new(Arc::clone(&plan), plan.source()?)?.next_frame(&mut Vec::new())?;
        }
        Ok((Kind::Packets(plan), info, Some(source)))
    }

    #[cfg(feature = "ffmpeg")]
    fn read_ffmpeg(path: &Path, options: &VideoOptions) -> Result<(Kind, VideoInfo, Option<Source>), MediaError> {
        let (plan, info) = FfmpegPlan::open(path, options)?;
        Ok((Kind::Ffmpeg(Arc::new(plan)), info, None))
    }

    #[cfg(not(feature = "ffmpeg"))]
    fn read_ffmpeg(path: &Path, _: &VideoOptions) -> Result<(Kind, VideoInfo, Option<Source>), MediaError> {
        let path = path.display();
        Err(MediaError::Argument(format!("cannot read {path} with FFmpeg: this program was built without `--features ffmpeg`")))
    }

    /// After the decoders in Rust have failed: FFmpeg, where that may help; where it fails too, the first error says more.
    fn after(error: MediaError, path: &Path, options: &VideoOptions) -> Result<(Kind, VideoInfo, Option<Source>), MediaError> {
        if cfg!(feature = "ffmpeg") && error.is_for_another_decoder() {
            return Self::read_ffmpeg(path, options).map_err(|_| error);
        }
        Err(error)
    }

    /// The file or folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Size, length, rate and codec.
    #[must_use]
    pub fn info(&self) -> &VideoInfo {
        &self.0.info
    }

    /// Opens the file for a reader of its own, before the first frame.
    ///
    /// # Errors
    /// Where the file cannot be opened any more, or has changed since the index was read.
    pub fn reader(&self) -> Result<VideoReader, MediaError> {
        self.reader_of(None)
    }

    pub(super) fn reader_of(&self, source: Option<Source>) -> Result<VideoReader, MediaError> {
        let frames = match &self.0.kind {
            Kind::Packets(plan) => {
                let source = source.map_or_else(|| plan.source(), Ok)?;
                Frames::Packets(Box::new(Packets::new(Arc::clone(plan), source)?))
            }
            #[cfg(feature = "ffmpeg")]
            Kind::Ffmpeg(plan) => Frames::Ffmpeg(Box::new(FfmpegReader::new(Arc::clone(plan))?)),
            Kind::Pngs(folder) => Frames::Pngs { folder: Arc::clone(folder), next: 0 },
        };
        Ok(VideoReader { index: self.clone(), frames })
    }
}
