//! Frames that are not stored: decoded from the corpus's own video whenever they are asked for, just as packing decodes them.

use crate::faces::{Cropper, Place, Square};
use crate::prepare::{content_hash, read_journal, stamp};
use crate::{ClipId, DataError};
use react_media::{FrameShape, VideoIndex, VideoReader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Where a clip's frames are, in a store of sources: the contents of `SPLIT/frames/CLIP.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FrameSource {
    /// The video, below the corpus's root, with `/`.
    pub(crate) video: String,
    /// Its first frame that belongs to the clip, from 0.
    #[serde(default)]
    pub(crate) first: usize,
    /// Frames of the clip.
    pub(crate) frames: usize,
    /// The shorter side before the crop, in pixels.
    pub(crate) shorter: usize,
    /// Side of the crop, in pixels.
    pub(crate) crop: usize,
    /// The face's square in each frame, where not the centre is cut; none at all where the clip has no face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) squares: Option<Vec<Square>>,
}

impl FrameSource {
    pub(crate) fn to_json(&self) -> String {
        // Strings and numbers: there is nothing that JSON could refuse.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    fn read(file: &Path) -> Result<Self, DataError> {
        /// The record of a clip is some hundred bytes; with a square for every frame of an hour some megabytes.
        const MOST: u64 = 1 << 26;
        let error = |why: String| DataError::Packed { dir: file.to_owned(), why };
        let length = fs::metadata(file).map_err(DataError::io("read", file))?.len();
        if length > MOST {
            return Err(error(format!("its {length} bytes are no record of a clip's frames")));
        }
        let text = fs::read_to_string(file).map_err(DataError::io("read", file))?;
        let this: Self = serde_json::from_str(&text).map_err(|source| error(format!("it is no record of a clip's frames: {source}")))?;
        if this.frames == 0 || this.crop == 0 || this.crop > this.shorter || this.crop > 1 << 14 {
            return Err(error(format!("{} frames of {} pixels cut from {} cannot be", this.frames, this.crop, this.shorter)));
        }
        match Path::new(&this.video).components().all(|part| matches!(part, std::path::Component::Normal(_))) {
            true => Ok(this),
            false => Err(error(format!("its video {:?} is not below the corpus", this.video))),
        }
    }
}

/// The corpus that a store of sources decodes from: where it is, and what its files were when they were packed.
#[derive(Debug)]
pub(crate) struct Sources {
    root: PathBuf,
    /// Stamp and BLAKE3 of each source by its path.
    known: BTreeMap<String, (String, String)>,
}

impl Sources {
    /// `dir` is the packed folder, `root` the corpus's.
    pub(crate) fn open(dir: &Path, root: &Path) -> Result<Self, DataError> {
        if !root.is_dir() {
            return Err(DataError::missing("the corpus that this store of sources decodes from (it was moved or unmounted)", root));
        }
        let done = read_journal(&dir.join("journal.jsonl"))?;
        let sources = done.into_values().flat_map(|unit| unit.sources);
        Ok(Self { root: root.to_owned(), known: sources.map(|source| (source.path, (source.stamp, source.blake3))).collect() })
    }

    /// Checks that a source is what it was. Where only its time changed its contents are read, as many as it has.
    fn check(&self, video: &str, clip: &ClipId) -> Result<PathBuf, DataError> {
        let path = self.root.join(video);
        let error = |why: &str| DataError::Packed { dir: path.clone(), why: format!("{why}: run `prepare` again") };
        let (then, blake3) = self.known.get(video).ok_or_else(|| error("the journal does not know this video"))?;
        let now = stamp(&path).map_err(|error| match error {
            DataError::Io { source, .. } if source.kind() == ErrorKind::NotFound => {
                DataError::missing(format!("video of clip {clip}"), &path)
            }
            DataError::Missing { .. } => DataError::missing(format!("video of clip {clip}"), &path),
            other => other,
        })?;
        if now != *then && content_hash(&path)? != *blake3 {
            return Err(error(&format!("the video of clip {clip} is not what it was when it was packed")));
        }
        Ok(path)
    }
}

/// A clip's frames in its source.
#[derive(Debug)]
pub(crate) struct SourceFrames {
    record: FrameSource,
    path: PathBuf,
    /// Where the video's frames are, read when the first is asked for: that takes longer than opening the file again.
    index: OnceLock<VideoIndex>,
}

impl SourceFrames {
    /// Reads a clip's record and checks that its video is there and unchanged.
    pub(crate) fn open(file: &Path, sources: &Sources, clip: &ClipId) -> Result<Self, DataError> {
        let record = FrameSource::read(file)?;
        Ok(Self { path: sources.check(&record.video, clip)?, record, index: OnceLock::new() })
    }

    /// The video.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> usize {
        self.record.frames
    }

    pub(crate) fn side(&self) -> usize {
        self.record.crop
    }

    /// Decodes the frames from `start` on into `out`, as many as it holds; beginning at the key frame before.
    pub(crate) fn decode(&self, start: usize, out: &mut [u8]) -> Result<(), DataError> {
        let FrameSource { first, frames, shorter, crop, ref squares, .. } = self.record;
        let shape = FrameShape { shorter, crop };
        let end = start + out.len() / shape.bytes();
        let place = match squares.as_deref() {
            None => Place::Centre,
            // Black, as it is packed.
            Some([]) => {
                out.fill(0);
                return Ok(());
            }
            Some(squares) => Place::Squares(squares),
        };
        let mut video = match self.index.get() {
            Some(index) => index.reader()?,
            None => {
                let video = VideoReader::open(&self.path)?;
                // Another thread that was as quick has read the same.
                let _ = self.index.set(video.index().clone());
                video
            }
        };
        let (width, height, has) = (video.info().width, video.info().height, video.info().frames);
        if end > frames || first.checked_add(end).is_none_or(|end| end > has) {
            let why = format!("frames {start} to {end} from frame {first} on are wanted, and it has {has}: run `prepare` again");
            return Err(DataError::Packed { dir: self.path.clone(), why });
        }
        video.seek(first + start)?;
        let (mut rgb, mut cropper) = (Vec::new(), Cropper::default());
        for (frame, out) in (start..).zip(out.chunks_exact_mut(shape.bytes())) {
            if !video.next_frame(&mut rgb)? {
                return Err(DataError::Packed { dir: self.path.clone(), why: "it ended early".to_owned() });
            }
            cropper.apply(&rgb, (width, height), frame, place, &shape, out)?;
        }
        Ok(())
    }
}
