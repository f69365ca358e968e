//! From the published folder to a packed one.
//!
//! A packed folder holds, for each split, `SPLIT/frames/ID.npy` (u8 `[32, 112, 112, 3]`), `SPLIT/mfcc/ID.npy` (f32 `[128, 40]`),
//! `SPLIT/labels.csv` (id and emotions, empty where there are no labels); `packed.json`, `manifest.jsonl`, `journal.jsonl` as every
//! packed corpus. What is missing is zeros, and the manifest's status says why.

use super::clip::ClipShape;
use super::corpus::{HumeClip, HumeCorpus, HumeSplit};
use super::packed::EriInfo;
use super::recipe::HumeRecipe;
use super::sampling::Sampling;
use super::sound::{CEPSTRA, Sound, read_sound};
use super::video::{VideoBuffers, read_pictures};
use crate::DataError;
use crate::faces::{Faces, Finder, Place, ranges};
use crate::prepare::{BAD_LIST, Done, Ending, Job, NpyOut, PrepareReport, Progress, Written, bad_list, check_bad, excuse};
use crate::prepare::{lock_out, pack_all, relative, remove_list, too_many, write_rows, write_text};
use ndarray::Array2;
use react_media::{MediaError, VideoReader};
use react_store::NpyElement;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;

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
    /// Clips that may be bad: the work goes on without them, and `bad.csv` lists them.
    pub max_bad: usize,
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
            faces: Faces::Corpus,
            undecodable: Undecodable::Fail,
            max_bad: 0,
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
    let (corpus, lost) = HumeCorpus::survey(&config.root, &config.effective())?;
    let lost: BTreeMap<String, String> =
        lost.into_iter().map(|clip| (format!("{}/{}", clip.split, clip.id), clip.error.to_string())).collect();
    let all = lost.len() + corpus.splits().iter().map(|split| split.clips().len()).sum::<usize>();
    check_bad(lost.values().map(String::as_str), all, config.max_bad)?;
    // The published videos show persons, not crops of faces.
    let faces = Finder::open(&config.faces, false)?;
    let _lock = lock_out(&config.root, &config.out)?;
    let shape = ClipShape { crop: config.crop, frames: config.frames, steps: config.steps };
    let job = HumeJob {
        corpus: &corpus,
        faces: &faces,
        out: &config.out,
        shape,
        undecodable: config.undecodable,
        left: AtomicUsize::new(config.max_bad - lost.len()),
    };
    let splits: Vec<String> = corpus.splits().iter().map(|split| split.name().to_owned()).collect();
    let info = EriInfo {
        corpus: corpus.recipe().name.clone(),
        crop: shape.crop,
        frames: shape.frames,
        steps: shape.steps,
        cepstra: CEPSTRA,
        emotions: corpus.recipe().emotions.clone(),
        faces: faces.name().to_owned(),
        splits: splits.clone(),
    };
    let ending = |done: &BTreeMap<String, Done>| {
        let mut bad = lost.clone();
        bad.extend(done.values().filter_map(|unit| Some((unit.unit.clone(), unit.bad.clone()?))));
        check_bad(bad.values().map(String::as_str), all, config.max_bad)?;
        let mut units: Vec<_> = corpus.splits().iter().map(|split| HumeUnit::labels(split, &corpus, &bad)).collect();
        if bad.is_empty() {
            remove_list(&config.out)?;
        } else {
            units.push(HumeUnit::BadList(bad_list(&bad)));
        }
        Ok(Ending { units, info: info.to_json() })
    };
    let packed = pack_all(&job, &job.units(), splits.len(), &ending, &splits, config.threads, progress);
    let (mut packing, done) = packed.map_err(|error| too_many(error, all, config.max_bad))?;
    packing.bad += lost.len();
    let is_packed =
        |split: &HumeSplit, clip: &HumeClip| done.get(&format!("{}/{}", split.name(), clip.id)).is_some_and(|unit| unit.bad.is_none());
    let clips = || corpus.splits().iter().flat_map(|split| split.clips().iter().filter(move |clip| is_packed(split, clip)));
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
/// Frames, with what else is to be known of them, and who decoded them.
type Noted = (Vec<u8>, Option<String>, String);

/// What all units of a run have in common.
struct HumeJob<'a> {
    corpus: &'a HumeCorpus,
    faces: &'a Finder,
    out: &'a Path,
    shape: ClipShape,
    undecodable: Undecodable,
    /// Bad clips that may still be left out.
    left: AtomicUsize,
}

enum HumeUnit<'a> {
    Clip(&'a HumeSplit, &'a HumeClip),
    /// A split's labels, as text, and its rows.
    Labels(&'a HumeSplit, String, usize),
    /// The list of bad clips, as text.
    BadList(String),
}

impl<'a> HumeUnit<'a> {
    fn labels(split: &'a HumeSplit, corpus: &HumeCorpus, bad: &BTreeMap<String, String>) -> Self {
        let clips: Vec<_> = split.clips().iter().filter(|clip| !bad.contains_key(&format!("{}/{}", split.name(), clip.id))).collect();
        Self::Labels(split, labels_csv(&clips, &corpus.recipe().emotions), clips.len())
    }
}

impl<'a> HumeJob<'a> {
    fn units(&self) -> Vec<HumeUnit<'a>> {
        let units = |split: &'a HumeSplit| split.clips().iter().map(move |clip| HumeUnit::Clip(split, clip));
        self.corpus.splits().iter().flat_map(units).collect()
    }

    /// Frames of a clip, or why there are none, with a note.
    fn frames(&self, split: &str, clip: &HumeClip, buffers: &mut VideoBuffers) -> Result<Made<Noted>, DataError> {
        let Some(file) = &clip.video else { return Ok(Err(NO_VIDEO)) };
        if clip.sampling == Sampling::NoFace {
            return Ok(Err(NO_FACE));
        }
        let track = match self.faces.track(split, &clip.id, &mut || Ok(VideoReader::open(file)?), usize::MAX) {
            Err(error) => return self.undecodable(error).map(Err),
            Ok(track) => track,
        };
        let place = match &track {
            None => Place::Centre,
            Some(track) if track.is_empty() => return Ok(Err(NO_FACE)),
            Some(track) => Place::Boxes(track),
        };
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
        let faceless = (!pictures.faceless.is_empty())
            .then(|| format!("{} of {wanted} frames without a face: {}", pictures.faceless.len(), ranges(&pictures.faceless)));
        let notes: Vec<String> = short.into_iter().chain(faceless).collect();
        Ok(Ok((pictures.bytes, (!notes.is_empty()).then(|| notes.join("; ")), pictures.decoder)))
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
        let pictures = match self.frames(split.name(), clip, buffers)? {
            Ok((bytes, note, decoder)) => {
                npy.write(&bytes)?;
                npy.finish(source(&clip.video))?.marked("packed", note).decoded_by(&decoder)
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
fn labels_csv(clips: &[&HumeClip], emotions: &[String]) -> String {
    let mut text = format!("id,{}\n", emotions.join(","));
    for clip in clips {
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
            HumeUnit::Labels(split, ..) => split.name().to_owned(),
            HumeUnit::BadList(_) => "bad".to_owned(),
            HumeUnit::Clip(split, clip) => format!("{}/{}", split.name(), clip.id),
        }
    }

    fn key(&self, unit: &HumeUnit<'a>) -> String {
        let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex()[..16].to_owned();
        match unit {
            HumeUnit::Labels(_, text, _) | HumeUnit::BadList(text) => format!("hume {FORMAT}, {}", hash(text.as_bytes())),
            HumeUnit::Clip(split, clip) => {
                let ClipShape { crop, frames, steps } = self.shape;
                let faces = self.faces.key(split.name(), &clip.id);
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
            HumeUnit::BadList(_) => vec![],
            HumeUnit::Clip(_, clip) => clip.video.iter().chain(&clip.sound).cloned().collect(),
        }
    }

    fn excuse(&self, unit: &HumeUnit<'a>, error: &DataError) -> Option<String> {
        matches!(unit, HumeUnit::Clip(..)).then(|| excuse(&self.left, error)).flatten()
    }

    fn pack(&self, unit: &HumeUnit<'a>, buffers: &mut VideoBuffers) -> Result<Vec<Written>, DataError> {
        match unit {
            HumeUnit::Labels(split, text, rows) => {
                let source = relative(self.corpus.root(), &self.corpus.labels_csv());
                let columns = self.corpus.recipe().emotions.len() + 1;
                let path = format!("{}/labels.csv", split.name());
                Ok(vec![write_text(self.out, &path, text, [*rows, columns], vec![source])?])
            }
            HumeUnit::BadList(text) => Ok(vec![write_text(self.out, BAD_LIST, text, [text.lines().count() - 1, 3], vec![])?]),
            HumeUnit::Clip(split, clip) => self.pack_clip(split, clip, buffers),
        }
    }
}
