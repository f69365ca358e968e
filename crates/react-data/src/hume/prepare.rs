//! From the published folder to a packed one.
//!
//! A packed folder holds, for each split, `SPLIT/frames/ID.npy` (u8 `[32, 112, 112, 3]`), `SPLIT/mfcc/ID.npy` (f32 `[128, 40]`),
//! `SPLIT/labels.csv` (id and emotions, empty where there are no labels); `packed.json`, `manifest.jsonl`, `journal.jsonl` as every
//! packed corpus. What is missing is zeros, and the manifest's status says why.

use super::boxes::FaceBoxes;
use super::clip::ClipShape;
use super::corpus::{HumeClip, HumeCorpus, HumeSplit};
use super::packed::EriInfo;
use super::recipe::HumeRecipe;
use super::sampling::Sampling;
use super::sound::{CEPSTRA, Sound, read_sound};
use super::video::{Place, VideoBuffers, read_pictures};
use crate::DataError;
use crate::prepare::{Done, Job, NpyOut, PrepareReport, Progress, Written, lock_out, pack_all, relative, write_rows, write_text};
use ndarray::Array2;
use react_media::MediaError;
use react_store::NpyElement;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Changes whenever the same sources would be packed to other bytes.
const FORMAT: u32 = 1;

/// Statuses of the manifest beside `packed`.
const NO_VIDEO: &str = "no video";
const NO_FACE: &str = "no face";
const BLACK: &str = "black";
const NO_SOUND: &str = "no sound";
const SILENT: &str = "silent";
const TOO_SHORT: &str = "too short";
const UNDECODABLE: &str = "undecodable";
/// Where the faces are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Faces {
    /// Each frame's largest centred square is the face; a warning says so.
    #[default]
    Centre,
    /// In a csv of boxes ([`FaceBoxes`]); a clip without any box has no face.
    Boxes(PathBuf),
}

/// What becomes of a video or sound that cannot be decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Undecodable {
    /// An error that names the file.
    #[default]
    Fail,
    /// It counts as missing: marked in the manifest, with a warning that names the file.
    Mark,
}

/// What to prepare, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct HumeConfig {
    /// The corpus's folder.
    pub root: PathBuf,
    /// The packed folder; made where it is missing.
    pub out: PathBuf,
    /// The corpus's layout.
    pub recipe: HumeRecipe,
    /// Side of the packed frames, in pixels.
    pub crop: usize,
    /// Frames of a clip.
    pub frames: usize,
    /// Steps of sound of a clip.
    pub steps: usize,
    /// Where the faces are.
    pub faces: Faces,
    /// What becomes of files that cannot be decoded.
    pub undecodable: Undecodable,
    /// The labels' columns, in order.
    pub emotions: Vec<String>,
    /// Clips at once; 0 takes one per core. The result does not depend on it.
    pub threads: usize,
}

impl Default for HumeConfig {
    /// The recipe's sizes and emotions, faces in the centre; `root` and `out` are empty.
    fn default() -> Self {
        // The recipe is part of the program, and its tests read it.
        let recipe = HumeRecipe::built_in().unwrap_or_else(|error| unreachable!("{error}"));
        Self {
            root: PathBuf::new(),
            out: PathBuf::new(),
            crop: recipe.frames.crop,
            frames: recipe.frames.count,
            steps: recipe.sound.steps,
            faces: Faces::Centre,
            undecodable: Undecodable::Fail,
            emotions: recipe.emotions.clone(),
            threads: 0,
            recipe,
        }
    }
}

impl HumeConfig {
    /// The recipe with the sizes and emotions of this configuration.
    fn effective(&self) -> HumeRecipe {
        let mut recipe = self.recipe.clone();
        recipe.frames.count = self.frames;
        recipe.frames.crop = self.crop;
        recipe.sound.steps = self.steps;
        recipe.emotions = self.emotions.clone();
        recipe
    }
}

/// What [`prepare_hume`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HumeReport {
    /// Units, files and bytes; where the manifest is.
    pub packing: PrepareReport,
    /// Clips of all splits.
    pub clips: usize,
    /// Clips whose frames are zeros.
    pub without_face: usize,
    /// Clips whose cepstra are zeros.
    pub without_sound: usize,
    /// Clips without labels.
    pub unlabelled: usize,
}

impl std::fmt::Display for HumeReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { packing, clips, without_face, without_sound, unlabelled } = self;
        write!(f, "{clips} clips, {without_face} without a face, {without_sound} without sound, {unlabelled} without labels; {packing}")
    }
}

/// Packs Hume-Reaction; resumes and reuses as [`crate::prepare`] does, with the same bytes at any number of threads.
///
/// A clip whose video or sound is missing, silent or without a face is kept: zeros, and the manifest's status says why (`no video`,
/// `no face`, `black`, `undecodable`; `no sound`, `silent`, `too short`). A video of fewer frames than are wanted repeats them, which a note in
/// the manifest says, as of how many frames have no box of their own.
///
/// # Errors
/// [`DataError`] naming the first file, row, line or clip that is wrong. What was finished before stays and counts.
pub fn prepare_hume(config: &HumeConfig, progress: &dyn Progress) -> Result<HumeReport, DataError> {
    progress.message("looking for files");
    let corpus = HumeCorpus::open(&config.root, &config.effective())?;
    let boxes = match &config.faces {
        Faces::Boxes(file) => Some(FaceBoxes::read(file)?),
        Faces::Centre => {
            tracing::warn!("no boxes of faces are given: each frame's centre counts as the face");
            None
        }
    };
    let _lock = lock_out(&config.root, &config.out)?;
    let shape = ClipShape { crop: config.crop, frames: config.frames, steps: config.steps };
    let job = HumeJob { corpus: &corpus, boxes: boxes.as_ref(), out: &config.out, shape, undecodable: config.undecodable };
    let splits: Vec<String> = corpus.splits().iter().map(|split| split.name().to_owned()).collect();
    let info = EriInfo {
        corpus: corpus.recipe().name.clone(),
        crop: shape.crop,
        frames: shape.frames,
        steps: shape.steps,
        cepstra: CEPSTRA,
        emotions: corpus.recipe().emotions.clone(),
        faces: if boxes.is_some() { "boxes" } else { "centre" }.to_owned(),
        splits: splits.clone(),
    };
    let (packing, done) = pack_all(&job, &job.units(), &splits, &info.to_json(), config.threads, progress)?;
    let clips = || corpus.splits().iter().flat_map(HumeSplit::clips);
    let without = |folder: &str| missing(&done, folder);
    Ok(HumeReport {
        packing,
        clips: clips().count(),
        without_face: without("frames"),
        without_sound: without("mfcc"),
        unlabelled: clips().filter(|clip| clip.labels.is_none()).count(),
    })
}

/// Files below `SPLIT/folder/` that hold zeros.
fn missing(done: &BTreeMap<String, Done>, folder: &str) -> usize {
    let files = done.values().flat_map(|entry| &entry.files).filter(|file| file.path.split('/').nth(1) == Some(folder));
    files.filter(|file| file.status != "packed").count()
}

/// What a file holds, or the status that says why it holds zeros.
type Made<T> = Result<T, &'static str>;
/// Frames, with what else is to be known of them.
type Noted = (Vec<u8>, Option<String>);

/// What all units of a run have in common.
struct HumeJob<'a> {
    corpus: &'a HumeCorpus,
    boxes: Option<&'a FaceBoxes>,
    out: &'a Path,
    shape: ClipShape,
    undecodable: Undecodable,
}

enum HumeUnit<'a> {
    /// A split's labels, as text.
    Labels(&'a HumeSplit, String),
    Clip(&'a HumeSplit, &'a HumeClip),
}

impl<'a> HumeJob<'a> {
    fn units(&self) -> Vec<HumeUnit<'a>> {
        let corpus = self.corpus;
        let units = |split: &'a HumeSplit| {
            let labels = HumeUnit::Labels(split, labels_csv(split, &corpus.recipe().emotions));
            std::iter::once(labels).chain(split.clips().iter().map(move |clip| HumeUnit::Clip(split, clip)))
        };
        corpus.splits().iter().flat_map(units).collect()
    }

    /// Frames of a clip, or why there are none, with a note.
    fn frames(&self, clip: &HumeClip, buffers: &mut VideoBuffers) -> Result<Made<Noted>, DataError> {
        let Some(file) = &clip.video else { return Ok(Err(NO_VIDEO)) };
        let place = match self.boxes.map(|boxes| boxes.track(&clip.id)) {
            None => Place::Centre,
            Some(Some(track)) => Place::Boxes(track),
            Some(None) => return Ok(Err(NO_FACE)),
        };
        if clip.sampling == Sampling::NoFace {
            return Ok(Err(NO_FACE));
        }
        let ClipShape { crop, frames: wanted, .. } = self.shape;
        let pictures = match read_pictures(file, wanted, crop, &clip.sampling, place, buffers) {
            Err(error) => return self.undecodable(error).map(Err),
            Ok(pictures) => pictures,
        };
        if pictures.black() {
            return Ok(Err(BLACK));
        }
        if pictures.frames == 1 {
            tracing::warn!("{}: it has one frame only, which is repeated", file.display());
        }
        let short = (pictures.frames < wanted).then(|| format!("{} frames, repeated", pictures.frames));
        let faceless = (pictures.faceless > 0).then(|| format!("{} of {wanted} frames without a box", pictures.faceless));
        let notes: Vec<String> = short.into_iter().chain(faceless).collect();
        Ok(Ok((pictures.bytes, (!notes.is_empty()).then(|| notes.join("; ")))))
    }

    /// Cepstra of a clip, or why there are none.
    fn cepstra(&self, clip: &HumeClip) -> Result<Made<Array2<f32>>, DataError> {
        let Some(file) = &clip.sound else { return Ok(Err(NO_SOUND)) };
        Ok(match read_sound(file, self.shape.steps) {
            Ok(Sound::Heard(cepstra)) => Ok(cepstra),
            Ok(Sound::Silent) => Err(SILENT),
            Ok(Sound::TooShort) => Err(TOO_SHORT),
            Err(error) => return self.undecodable(error).map(Err),
        })
    }

    /// What cannot be decoded is an error or counts as missing; what the system refuses is always an error.
    fn undecodable(&self, error: DataError) -> Result<&'static str, DataError> {
        let of_the_file = match &error {
            DataError::Media(media) => !matches!(media, MediaError::Io { .. } | MediaError::Argument(_) | MediaError::Store(_)),
            DataError::Sound { .. } => true,
            _ => false,
        };
        if self.undecodable == Undecodable::Fail || !of_the_file {
            return Err(error);
        }
        tracing::warn!("{error}; it counts as missing");
        Ok(UNDECODABLE)
    }

    fn pack_clip(&self, split: &HumeSplit, clip: &HumeClip, buffers: &mut VideoBuffers) -> Result<Vec<Written>, DataError> {
        let ClipShape { crop, frames, steps } = self.shape;
        let path = |folder: &str| format!("{}/{folder}/{}.npy", split.name(), clip.id);
        let source = |file: &Option<PathBuf>| file.iter().map(|file| relative(self.corpus.root(), file)).collect::<Vec<_>>();

        let mut npy = NpyOut::create(self.out, &path("frames"), NpyElement::U8, &[frames, crop, crop, 3])?;
        let pictures = match self.frames(clip, buffers)? {
            Ok((bytes, note)) => {
                npy.write(&bytes)?;
                npy.finish(source(&clip.video))?.marked("packed", note)
            }
            Err(why) => {
                npy.write(&vec![0; frames * crop * crop * 3])?;
                npy.finish(source(&clip.video))?.marked(why, None)
            }
        };
        let (cepstra, status) = match self.cepstra(clip)? {
            Ok(cepstra) => (cepstra, "packed"),
            Err(why) => (Array2::zeros((steps, CEPSTRA)), why),
        };
        let sound = write_rows(self.out, &path("mfcc"), &cepstra, steps, source(&clip.sound))?.marked(status, None);
        Ok(vec![pictures, sound])
    }
}

/// The labels as `SPLIT/labels.csv`: id and emotions, empty where there are none.
fn labels_csv(split: &HumeSplit, emotions: &[String]) -> String {
    let mut text = format!("id,{}\n", emotions.join(","));
    for clip in split.clips() {
        let cells: Vec<String> = match &clip.labels {
            Some(labels) => labels.iter().map(f32::to_string).collect(),
            None => vec![String::new(); emotions.len()],
        };
        text.push_str(&format!("{},{}\n", clip.id, cells.join(",")));
    }
    text
}

impl<'a> Job for HumeJob<'a> {
    type Unit = HumeUnit<'a>;
    type Buffers = VideoBuffers;

    fn root(&self) -> &Path {
        self.corpus.root()
    }

    fn out(&self) -> &Path {
        self.out
    }

    fn name(&self, unit: &HumeUnit<'a>) -> String {
        match unit {
            HumeUnit::Labels(split, _) => split.name().to_owned(),
            HumeUnit::Clip(split, clip) => format!("{}/{}", split.name(), clip.id),
        }
    }

    fn key(&self, unit: &HumeUnit<'a>) -> String {
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
        match unit {
            HumeUnit::Labels(_, text) => format!("hume {FORMAT}, {}", hash(text.as_bytes())),
            HumeUnit::Clip(_, clip) => {
                let ClipShape { crop, frames, steps } = self.shape;
                let faces = match self.boxes.map(|boxes| boxes.track(&clip.id)) {
                    None => "centre".to_owned(),
                    Some(None) => "none".to_owned(),
                    Some(Some(track)) => hash(&track.bytes()),
                };
                let sampling = match &clip.sampling {
                    Sampling::Uniform => "uniform".to_owned(),
                    Sampling::NoFace => "none".to_owned(),
                    Sampling::Listed(frames) => hash(&frames.iter().flat_map(|frame| (*frame as u64).to_le_bytes()).collect::<Vec<_>>()),
                };
                let policy = match self.undecodable {
                    Undecodable::Fail => "",
                    Undecodable::Mark => ", undecodable marked",
                };
                format!("hume {FORMAT}, {frames} frames of {crop} ({sampling}), {steps} steps, faces {faces}{policy}")
            }
        }
    }

    fn sources(&self, unit: &HumeUnit<'a>) -> Vec<PathBuf> {
        match unit {
            HumeUnit::Labels(..) => vec![self.corpus.labels_csv()],
            HumeUnit::Clip(_, clip) => clip.video.iter().chain(&clip.sound).cloned().collect(),
        }
    }

    fn pack(&self, unit: &HumeUnit<'a>, buffers: &mut VideoBuffers) -> Result<Vec<Written>, DataError> {
        match unit {
            HumeUnit::Labels(split, text) => {
                let source = relative(self.corpus.root(), &self.corpus.labels_csv());
                let (rows, columns) = (split.clips().len(), self.corpus.recipe().emotions.len() + 1);
                let path = format!("{}/labels.csv", split.name());
                Ok(vec![write_text(self.out, &path, text, [rows, columns], vec![source])?])
            }
            HumeUnit::Clip(split, clip) => self.pack_clip(split, clip, buffers),
        }
    }
}
