//! Units of work: what each is made of and how it is made.

use super::{Job, NpyOut, Written, relative, write_rows, write_text};
use crate::arrays::{read_coeffs, read_emotion_csv, read_mean_face};
use crate::corpus::{ClipFiles, Split};
use crate::{AppropriateIndex, ClipId, Corpus, DataError, mfcc_per_frame, split_neighbours};
use react_media::{FrameShape, Resizer, VideoInfo, VideoReader, read_audio};
use react_store::NpyElement;
use std::path::{Path, PathBuf};

/// Changes whenever the same sources would be packed to other bytes.
const FORMAT: u32 = 1;

/// What all units of a run have in common.
pub(super) struct Context<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) out: &'a Path,
    pub(super) shape: FrameShape,
}

/// Buffers of one worker: a decoded frame, a packed frame, the resizer's own.
#[derive(Default)]
pub(super) struct Buffers {
    rgb: Vec<u8>,
    packed: Vec<u8>,
    resizer: Resizer,
}

pub(super) enum Unit<'a> {
    MeanFace,
    /// A split's pairs and neighbours.
    Tables(&'a Split),
    Clip(&'a Split, &'a ClipId, ClipFiles),
}

impl<'a> Unit<'a> {
    /// All units of a corpus; finds every file of every clip, so that a missing one is known before anything is decoded.
    pub(super) fn all(corpus: &'a Corpus) -> Result<Vec<Self>, DataError> {
        let mut units = vec![Self::MeanFace];
        for split in corpus.splits() {
            units.push(Self::Tables(split));
            for clip in split.clips() {
                units.push(Self::Clip(split, clip, corpus.files(split, clip)?));
            }
        }
        Ok(units)
    }
}

impl<'a> Job for Context<'a> {
    type Unit = Unit<'a>;
    type Buffers = Buffers;

    fn root(&self) -> &Path {
        self.corpus.root()
    }

    fn out(&self) -> &Path {
        self.out
    }

    fn name(&self, unit: &Unit<'a>) -> String {
        match unit {
            Unit::MeanFace => "mean_face".to_owned(),
            Unit::Tables(split) => split.name().to_owned(),
            Unit::Clip(split, clip, _) => format!("{}/{clip}", split.name()),
        }
    }

    fn key(&self, unit: &Unit<'a>) -> String {
        match unit {
            Unit::MeanFace | Unit::Tables(_) => format!("format {FORMAT}"),
            Unit::Clip(..) => {
                let (fps, FrameShape { shorter, crop }) = (self.corpus.recipe().fps, self.shape);
                format!("format {FORMAT}, {fps} frames/s, shorter side {shorter}, crop {crop}")
            }
        }
    }

    fn sources(&self, unit: &Unit<'a>) -> Vec<PathBuf> {
        match unit {
            Unit::MeanFace => vec![self.corpus.mean_face_npy()],
            Unit::Tables(split) => vec![self.corpus.pairs_csv(split), self.corpus.indices_csv(), self.corpus.appropriate_npy()],
            Unit::Clip(_, _, files) => vec![files.video.clone(), files.audio.clone(), files.emotion.clone(), files.coeffs.clone()],
        }
    }

    fn pack(&self, unit: &Unit<'a>, buffers: &mut Buffers) -> Result<Vec<Written>, DataError> {
        match unit {
            Unit::MeanFace => pack_mean_face(self),
            Unit::Tables(split) => pack_tables(self, split),
            Unit::Clip(split, clip, files) => ClipJob { context: self, split, clip, files }.pack(buffers),
        }
    }
}

fn pack_mean_face(context: &Context<'_>) -> Result<Vec<Written>, DataError> {
    let source = context.corpus.mean_face_npy();
    let mean = read_mean_face(&source)?;
    let mut npy = NpyOut::create(context.out, "mean_face.npy", NpyElement::F32, &[mean.len()])?;
    npy.write(&mean.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    Ok(vec![npy.finish(vec![relative(context.corpus.root(), &source)])?])
}

fn pack_tables(context: &Context<'_>, split: &Split) -> Result<Vec<Written>, DataError> {
    let corpus = context.corpus;
    let pairs = split.pairs();
    let index = AppropriateIndex::read(&corpus.indices_csv())?;
    let neighbours = split_neighbours(&index, &corpus.appropriate_npy(), pairs)?;
    let [csv, indices, matrix] =
        [corpus.pairs_csv(split), corpus.indices_csv(), corpus.appropriate_npy()].map(|path| relative(corpus.root(), &path));

    let mut text = ",speaker_path,listener_path\n".to_owned();
    for (row, pair) in pairs.iter().enumerate() {
        text.push_str(&format!("{row},{},{}\n", pair.speaker, pair.listener));
    }
    let path = format!("{}/pairs.csv", split.name());
    let pairs_csv = write_text(context.out, &path, &text, [pairs.len(), 3], vec![csv.clone()])?;

    let side = neighbours.nrows();
    let mut npy = NpyOut::create(context.out, &format!("{}/neighbours.npy", split.name()), NpyElement::U8, &[side, side])?;
    for row in neighbours.outer_iter() {
        npy.write(&row.to_vec())?;
    }
    Ok(vec![pairs_csv, npy.finish(vec![csv, indices, matrix])?])
}

/// One clip on its way.
struct ClipJob<'a> {
    context: &'a Context<'a>,
    split: &'a Split,
    clip: &'a ClipId,
    files: &'a ClipFiles,
}

impl ClipJob<'_> {
    fn pack(&self, buffers: &mut Buffers) -> Result<Vec<Written>, DataError> {
        let out = self.context.out;
        let emotion = read_emotion_csv(&self.files.emotion)?;
        let coeffs = read_coeffs(&self.files.coeffs)?;
        let video = VideoReader::open(&self.files.video)?;
        self.check_rate(video.info())?;
        let frames = self.agree([("video", video.info().frames), ("emotion", emotion.nrows()), ("3DMM", coeffs.nrows())])?;
        let audio = self.audio_features(frames)?;
        Ok(vec![
            self.pack_video(video, frames, buffers)?,
            write_rows(out, &self.path("audio"), &audio, frames, self.source(&self.files.audio))?,
            write_rows(out, &self.path("emotion"), &emotion, frames, self.source(&self.files.emotion))?,
            write_rows(out, &self.path("coeffs"), &coeffs, frames, self.source(&self.files.coeffs))?,
        ])
    }

    fn path(&self, modality: &str) -> String {
        format!("{}/{modality}/{}.npy", self.split.name(), self.clip)
    }

    fn source(&self, path: &Path) -> Vec<String> {
        vec![relative(self.context.corpus.root(), path)]
    }

    fn error(&self, why: String) -> DataError {
        DataError::Clip { split: self.split.name().to_owned(), clip: self.clip.to_string(), why }
    }

    /// The frames that all modalities have: the fewest, where they differ by one at most (751 and 750).
    fn agree(&self, counts: [(&str, usize); 3]) -> Result<usize, DataError> {
        let all = counts.map(|(_, count)| count);
        let (fewest, most) = all.iter().fold((usize::MAX, 0), |(low, high), count| (low.min(*count), high.max(*count)));
        let listed = counts.map(|(name, count)| format!("{name} {count}")).join(", ");
        if fewest == 0 {
            return Err(self.error(format!("it has no frames ({listed})")));
        }
        if most - fewest > 1 {
            return Err(self.error(format!("its frame counts differ by more than 1 ({listed})")));
        }
        Ok(fewest)
    }

    /// Pictures in a folder have no rate of their own; a video's must be the corpus's, or its sound would be cut wrongly.
    fn check_rate(&self, info: &VideoInfo) -> Result<(), DataError> {
        let want = self.context.corpus.recipe().fps;
        if self.files.video.is_file() && (info.fps - want).abs() > 0.01 * want {
            return Err(self.error(format!("its video has {:.2} frames/s, the recipe says {want}", info.fps)));
        }
        Ok(())
    }

    fn audio_features(&self, frames: usize) -> Result<ndarray::Array2<f32>, DataError> {
        let (file, fps) = (&self.files.audio, self.context.corpus.recipe().fps);
        let audio = read_audio(file)?;
        let samples = audio.mono();
        let (sound, picture) = (samples.len() as f64 / f64::from(audio.rate), frames as f64 / fps);
        if sound < picture - 1.0 {
            tracing::warn!("{}: {sound:.1} s of sound for {picture:.1} s of video; the rest is silence", file.display());
        }
        mfcc_per_frame(&samples, audio.rate, frames, fps).map_err(|error| match error {
            DataError::Audio(why) => DataError::Sound { file: file.clone(), why },
            other => other,
        })
    }

    /// Decodes, resizes, crops and writes frame by frame. The whole video is decoded, so that a cut file is found.
    fn pack_video(&self, mut video: VideoReader, frames: usize, buffers: &mut Buffers) -> Result<Written, DataError> {
        let VideoInfo { width, height, frames: promised, .. } = *video.info();
        let (shape, side) = (self.context.shape, self.context.shape.crop);
        let Buffers { rgb, packed, resizer } = buffers;
        packed.resize(side * side * 3, 0);
        let mut npy = NpyOut::create(self.context.out, &self.path("frames"), NpyElement::U8, &[frames, side, side, 3])?;
        let mut decoded = 0;
        while video.next_frame(rgb)? {
            decoded += 1;
            if decoded <= frames {
                resizer.apply(rgb, width, height, &shape, packed)?;
                npy.write(packed)?;
            }
        }
        if decoded != promised {
            return Err(self.error(format!("its video {} promises {promised} frames and has {decoded}", self.files.video.display())));
        }
        npy.finish(self.source(&self.files.video))
    }
}
