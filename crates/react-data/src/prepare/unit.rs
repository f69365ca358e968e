//! Units of work: what each is made of and how it is made.

use super::journal::Done;
use super::{BAD_LIST, Job, NpyOut, Written, excuse, npy_bytes, relative, write_rows, write_source, write_text};
use crate::arrays::read_mean_face;
use crate::corpus::{Appropriate, ClipFiles, Corpus, Split};
use crate::doctor::{Examined, Expected, Kind, Severity, check_decoded};
use crate::faces::{Cropper, FaceTrack, Finder, Place, ranges};
use crate::packed::{FrameSource, Store};
use crate::{AppropriateIndex, ClipId, DataError, Pair, own_neighbours, session_neighbours, split_neighbours};
use ndarray::{Array1, Array2};
use react_contracts::{ATTRIBUTES, COEFFS, FEATURES_PER_WINDOW};
use react_media::{FrameShape, VideoInfo, VideoReader};
use react_store::{NpyElement, read_npy_header};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

/// Changes whenever the same sources would be packed to other bytes.
const FORMAT: u32 = 1;

/// What all units of a run have in common.
pub(super) struct Context<'a> {
    pub(super) corpus: &'a Corpus,
    pub(super) out: &'a Path,
    pub(super) shape: FrameShape,
    pub(super) faces: &'a Finder,
    pub(super) store: Store,
    pub(super) ignore_room: bool,
    /// What every clip must be.
    pub(super) expected: Expected,
    /// Bad clips that may still be left out.
    pub(super) left: AtomicUsize,
    /// What is not as it should be and can be used nevertheless: of each kind how many clips, and the first that was found.
    pub(super) warnings: Mutex<BTreeMap<Kind, (usize, String)>>,
}

/// Buffers of one worker: a decoded frame, a packed frame, the cropper's own.
#[derive(Default)]
pub(super) struct Buffers {
    rgb: Vec<u8>,
    packed: Vec<u8>,
    cropper: Cropper,
}

pub(super) enum Unit<'a> {
    MeanFace,
    Clip(&'a Split, &'a ClipId, ClipFiles),
    /// A clip that cannot be packed, and why.
    Bad(&'a Split, &'a ClipId, String),
    /// A split's pairs and neighbours, without the pairs of bad clips.
    Tables(&'a Split, Vec<Pair>),
    /// The list of bad clips, as text.
    BadList(String),
}

impl<'a> Unit<'a> {
    /// The mean face and all clips; finds every file of every clip, so that a missing one is known before anything is decoded.
    pub(super) fn all(corpus: &'a Corpus) -> Vec<Self> {
        let mut units = vec![Self::MeanFace];
        for split in corpus.splits() {
            for clip in split.clips() {
                units.push(match corpus.files(split, clip) {
                    Ok(files) => Self::Clip(split, clip, files),
                    Err(error) => Self::Bad(split, clip, error.to_string()),
                });
            }
            for clip in split.lonely() {
                units.push(Self::Bad(split, clip, format!("clip {clip} ({}): its partner is not there", split.name())));
            }
        }
        units
    }

    /// Why it cannot be packed.
    pub(super) fn bad(&self) -> Option<&str> {
        match self {
            Self::Bad(_, _, why) => Some(why),
            _ => None,
        }
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
            Unit::BadList(_) => "bad".to_owned(),
            Unit::Tables(split, _) => split.name().to_owned(),
            Unit::Clip(split, clip, _) | Unit::Bad(split, clip, _) => format!("{}/{clip}", split.name()),
        }
    }

    fn key(&self, unit: &Unit<'a>) -> String {
        let hash = |text: String| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
        match unit {
            Unit::MeanFace => format!("format {FORMAT}"),
            Unit::Tables(split, pairs) => {
                format!("format {FORMAT}, {}", hash(format!("{:?} {}", self.appropriate(), pairs_text(split, pairs))))
            }
            Unit::BadList(text) => format!("format {FORMAT}, {}", hash(text.clone())),
            Unit::Bad(_, _, why) => format!("format {FORMAT}, bad {}", hash(why.clone())),
            Unit::Clip(split, clip, files) => {
                let (Expected { fps, own_rate }, FrameShape { shorter, crop }) = (self.expected, self.shape);
                let part = files.part.map_or_else(String::new, |part| format!(", {} s from {} s on", part.seconds, part.start));
                let rate = if own_rate { "about " } else { "" };
                let faces = match self.faces.key(split.name(), clip.path()) {
                    centre if centre == "centre" => String::new(),
                    other => format!(", faces {other}"),
                };
                format!("format {FORMAT}, {rate}{fps} frames/s, shorter side {shorter}, crop {crop}{faces}{part}")
            }
        }
    }

    fn sources(&self, unit: &Unit<'a>) -> Vec<PathBuf> {
        match unit {
            Unit::MeanFace => self.corpus.mean_face_npy().into_iter().collect(),
            Unit::BadList(_) => vec![],
            Unit::Bad(split, clip, _) => self.corpus.find(split, clip).into_iter().flatten().collect(),
            Unit::Tables(split, _) => {
                let mut sources: Vec<_> = self.corpus.pairs_csv(split).into_iter().filter(|_| !split.is_cut()).collect();
                if let Appropriate::Published { indices, matrix } = self.corpus.appropriate() {
                    sources.extend([indices, matrix]);
                }
                sources
            }
            Unit::Clip(_, _, files) => vec![files.video.clone(), files.audio.clone(), files.emotion.clone(), files.coeffs.clone()],
        }
    }

    fn bytes(&self, unit: &Unit<'a>) -> u64 {
        match unit {
            Unit::Clip(_, _, files) => clip_bytes(self, files).unwrap_or(0),
            Unit::Tables(split, pairs) => {
                let side = 2 * pairs.len();
                npy_bytes(NpyElement::U8, &[side, side]) + pairs_text(split, pairs).len() as u64
            }
            Unit::MeanFace => npy_bytes(NpyElement::F32, &[COEFFS]),
            Unit::BadList(_) | Unit::Bad(..) => 0,
        }
    }

    fn ignores_room(&self) -> bool {
        self.ignore_room
    }

    fn pack(&self, unit: &Unit<'a>, buffers: &mut Buffers) -> Result<Vec<Written>, DataError> {
        match unit {
            Unit::MeanFace => pack_mean_face(self),
            Unit::Tables(split, pairs) => pack_tables(self, split, pairs),
            Unit::Clip(split, clip, files) => ClipJob { context: self, split, clip, files }.pack(buffers),
            Unit::Bad(_, _, why) => Err(DataError::Bad { kind: Kind::Missing, why: why.clone() }),
            Unit::BadList(text) => Ok(vec![write_text(self.out, BAD_LIST, text, [text.lines().count() - 1, 3], vec![])?]),
        }
    }

    fn excuse(&self, unit: &Unit<'a>, error: &DataError) -> Option<String> {
        matches!(unit, Unit::Clip(..) | Unit::Bad(..)).then(|| excuse(&self.left, error)).flatten()
    }
}

impl Context<'_> {
    fn appropriate(&self) -> Appropriate {
        match self.corpus.appropriate() {
            // The folders' own paths must not be part of a key.
            Appropriate::Published { .. } => Appropriate::Published { indices: PathBuf::new(), matrix: PathBuf::new() },
            other => other,
        }
    }

    fn warn(&self, faults: impl Iterator<Item = (Kind, String)>) {
        let mut warnings = self.warnings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (kind, what) in faults {
            warnings.entry(kind).or_insert_with(|| (0, what)).0 += 1;
        }
    }
}

/// Bytes that a clip's files will have, from the headers of its sources.
fn clip_bytes(context: &Context<'_>, files: &ClipFiles) -> Result<u64, DataError> {
    let fps = context.expected.fps;
    let frames = match files.part {
        Some(part) => part.frames(fps).1,
        None => VideoReader::open(&files.video)?.info().frames.min(read_npy_header(&files.coeffs)?.shape.first().copied().unwrap_or(0)),
    };
    let features = match read_npy_header(&files.audio) {
        Ok(given) => given.shape.last().copied().unwrap_or(0),
        // Windows of 25 ms every 10 ms that a frame holds.
        Err(_) => FEATURES_PER_WINDOW * (1.0 + (100.0 / fps - 2.5).max(0.0)) as usize,
    };
    let side = context.shape.crop;
    let pictures = match context.store {
        Store::Npy => npy_bytes(NpyElement::U8, &[frames, side, side, 3]),
        // A square a frame where there are boxes.
        Store::Source => 512 + if matches!(context.faces, Finder::Given | Finder::Centre) { 0 } else { 24 * frames as u64 },
    };
    let tables = [features, ATTRIBUTES, COEFFS].map(|columns| npy_bytes(NpyElement::F32, &[frames, columns]));
    Ok(pictures + tables.iter().sum::<u64>())
}

/// The pairs of a split of which both clips were packed.
pub(super) fn whole_pairs(split: &Split, bad: &BTreeMap<String, String>) -> Vec<Pair> {
    let whole = |clip: &ClipId| !bad.contains_key(&format!("{}/{clip}", split.name()));
    split.pairs().iter().filter(|pair| whole(&pair.speaker) && whole(&pair.listener)).cloned().collect()
}

/// Audio features of a frame, which must be the same in all clips.
pub(super) fn audio_features(done: &BTreeMap<String, Done>) -> Result<usize, DataError> {
    let audio = |path: &str| path.split('/').nth(1) == Some("audio");
    let mut files = done.values().flat_map(|unit| &unit.files).filter(|file| audio(&file.path));
    let Some(first) = files.next() else { return Ok(react_contracts::AUDIO_FEATURES) };
    let columns = first.shape.last().copied().unwrap_or_default();
    match files.find(|file| file.shape.last() != first.shape.last()) {
        None => Ok(columns),
        Some(other) => Err(DataError::Shape {
            file: PathBuf::from(&other.path),
            want: format!("of {columns} audio features a frame, as {} (the rate or the kind of features differs)", first.path),
            found: other.shape.clone(),
        }),
    }
}

fn pack_mean_face(context: &Context<'_>) -> Result<Vec<Written>, DataError> {
    let source = context.corpus.mean_face_npy();
    let mean = match &source {
        Some(source) => read_mean_face(source)?,
        None => {
            tracing::warn!("the corpus has no {}: coefficients stay as they are", context.corpus.recipe().files.mean_face);
            Array1::zeros(COEFFS)
        }
    };
    let mut npy = NpyOut::create(context.out, "mean_face.npy", NpyElement::F32, &[mean.len()])?;
    npy.write(&mean.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())?;
    let sources = source.iter().map(|source| relative(context.corpus.root(), source)).collect();
    let note = source.is_none().then(|| "the corpus has none: zeros".to_owned());
    Ok(vec![npy.finish(sources)?.marked("packed", note)])
}

fn pairs_text(split: &Split, pairs: &[Pair]) -> String {
    debug_assert!(pairs.len() <= split.pairs().len());
    let mut text = ",speaker_path,listener_path\n".to_owned();
    for (row, pair) in pairs.iter().enumerate() {
        text.push_str(&format!("{row},{},{}\n", pair.speaker, pair.listener));
    }
    text
}

fn pack_tables(context: &Context<'_>, split: &Split, pairs: &[Pair]) -> Result<Vec<Written>, DataError> {
    let corpus = context.corpus;
    if pairs.is_empty() {
        let why = format!("no pair of the split {} is left", split.name());
        return Err(DataError::Packed { dir: context.out.to_owned(), why });
    }
    let neighbours = corpus_neighbours(corpus, pairs)?;
    let empty = neighbours.outer_iter().filter(|row| row.iter().all(|cell| *cell == 0)).count();
    if empty > 0 {
        tracing::warn!("split {}: {empty} of {} items have no appropriate reaction", split.name(), neighbours.nrows());
    }
    let sources: Vec<String> = context.sources(&Unit::Tables(split, Vec::new())).iter().map(|path| relative(corpus.root(), path)).collect();
    let listed = sources.iter().take(usize::from(corpus.pairs_csv(split).is_some() && !split.is_cut())).cloned().collect();
    let path = format!("{}/pairs.csv", split.name());
    let left_out = split.pairs().len() - pairs.len();
    let note = (left_out > 0).then(|| format!("{left_out} of {} pairs left out: bad.csv says why", split.pairs().len()));
    let pairs_csv = write_text(context.out, &path, &pairs_text(split, pairs), [pairs.len(), 3], listed)?.marked("packed", note);

    let side = neighbours.nrows();
    let mut npy = NpyOut::create(context.out, &format!("{}/neighbours.npy", split.name()), NpyElement::U8, &[side, side])?;
    for row in neighbours.outer_iter() {
        npy.write(&row.to_vec())?;
    }
    let note = match corpus.appropriate() {
        Appropriate::Published { .. } => None,
        Appropriate::SameSession { most: 0, .. } => Some("all reactions of the same session".to_owned()),
        Appropriate::SameSession { most, seed } => Some(format!("at most {most} reactions of the same session, seed {seed}")),
        Appropriate::Own => Some("no matrix is given: each clip's own reaction".to_owned()),
    };
    Ok(vec![pairs_csv, npy.finish(sources)?.marked("packed", note)])
}

/// Which reactions are appropriate among the items of some pairs, as the corpus says.
///
/// # Errors
/// As [`split_neighbours`].
pub(crate) fn corpus_neighbours(corpus: &Corpus, pairs: &[Pair]) -> Result<Array2<u8>, DataError> {
    Ok(match corpus.appropriate() {
        Appropriate::Published { indices, matrix } => split_neighbours(&AppropriateIndex::read(&indices)?, &matrix, pairs)?,
        Appropriate::SameSession { most, seed } => session_neighbours(pairs, most, seed),
        Appropriate::Own => own_neighbours(pairs.len()),
    })
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
        let ClipFiles { video, audio, emotion, coeffs, part } = self.files;
        let files = [video, audio, emotion, coeffs].map(|path| Ok(path.clone()));
        let mut clip = Examined::of(files, *part, self.context.expected);
        if let Some(error) = clip.error(self.split.name(), self.clip.path()) {
            return Err(error);
        }
        let softer = clip.faults.drain(..).filter(|fault| fault.severity == Severity::Warning);
        self.context.warn(softer.map(|fault| (fault.kind, format!("{}/{}: {}", self.split.name(), self.clip, fault.what))));
        let features = clip.audio_features(audio)?;
        let Examined { video: Some(reader), first, emotion: Some(attributes), coeffs: Some(coefficients), frames, .. } = clip else {
            return Err(self.error("it has no contents".to_owned()));
        };
        Ok(vec![
            self.pack_video(reader, first, frames, buffers)?,
            write_rows(out, &self.path("audio"), &features, frames, self.source(audio))?,
            write_rows(out, &self.path("emotion"), &attributes, frames, self.source(emotion))?,
            write_rows(out, &self.path("coeffs"), &coefficients, frames, self.source(coeffs))?,
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

    /// Decodes, resizes, crops and writes frame by frame. A whole video is decoded to its end, so that a cut file is found.
    fn pack_video(&self, mut video: VideoReader, first: usize, frames: usize, buffers: &mut Buffers) -> Result<Written, DataError> {
        let VideoInfo { width, height, frames: promised, .. } = *video.info();
        let (shape, side, file) = (self.context.shape, self.context.shape.crop, &self.files.video);
        let again = &mut || {
            let mut video = VideoReader::open(file)?;
            video.seek(first)?;
            Ok(video)
        };
        let track = self.context.faces.track(self.split.name(), self.clip.path(), again, frames)?;
        let faceless = track.as_ref().is_some_and(|track| track.is_empty());
        let place = track.as_deref().map_or(Place::Centre, Place::Boxes);
        if self.context.store == Store::Source {
            return self.refer(&video, first, frames, track.as_deref());
        }
        let Buffers { rgb, packed, cropper } = buffers;
        packed.clear();
        packed.resize(side * side * 3, 0);
        let mut npy = NpyOut::create(self.context.out, &self.path("frames"), NpyElement::U8, &[frames, side, side, 3])?;
        video.seek(first)?;
        let (mut decoded, mut without) = (0, Vec::new());
        while (self.files.part.is_none() || decoded < frames) && video.next_frame(rgb)? {
            if decoded < frames {
                if !faceless {
                    cropper.apply(rgb, (width, height), decoded, place, &shape, packed)?;
                }
                npy.write(packed)?;
                without.extend(track.as_ref().filter(|track| !track.shows(decoded)).map(|_| decoded));
            }
            decoded += 1;
        }
        let promised = if self.files.part.is_none() { promised } else { frames };
        check_decoded(file, promised, decoded).map_err(|why| self.error(why))?;
        let written = npy.finish(self.source(file))?.decoded_by(&video.info().decoder);
        Ok(marked(written, faceless, &without, frames))
    }

    /// Writes where the frames are, instead of the frames. Opening has checked that the video is whole, not that it can be decoded.
    fn refer(&self, video: &VideoReader, first: usize, frames: usize, track: Option<&FaceTrack>) -> Result<Written, DataError> {
        let VideoInfo { width, height, frames: has, .. } = *video.info();
        if first + frames > has {
            return Err(self.error(format!("its video has {has} frames, {} are wanted", first + frames)));
        }
        let faceless = track.is_some_and(FaceTrack::is_empty);
        let shown = if faceless { 0 } else { frames };
        let squares = track.map(|track| (0..shown).map(|frame| track.square(frame, width, height)).collect());
        let FrameShape { shorter, crop } = self.context.shape;
        let sources = self.source(&self.files.video);
        let record = FrameSource { video: sources.concat(), first, frames, shorter, crop, squares };
        let without: Vec<_> = track.map_or_else(Vec::new, |track| (0..shown).filter(|frame| !track.shows(*frame)).collect());
        let written = write_source(self.context.out, &self.path("frames"), &record, sources)?.decoded_by(&video.info().decoder);
        Ok(marked(written, faceless, &without, frames))
    }
}

/// What the manifest says of a clip's frames; some are `without` a face.
fn marked(written: Written, faceless: bool, without: &[usize], frames: usize) -> Written {
    match (faceless, without.len()) {
        (true, _) => written.marked("no face", None),
        (false, 0) => written,
        (false, n) => written.marked("packed", Some(format!("{n} of {frames} frames without a face: {}", ranges(without)))),
    }
}

/// Clips of an earlier split in the corpus's order that have the same bytes as one of a later split: names of units, with what is wrong.
pub(super) fn leaks(corpus: &Corpus, done: &BTreeMap<String, Done>) -> BTreeMap<String, String> {
    let splits: Vec<&str> = corpus.splits().iter().map(Split::name).collect();
    let mut by_hash: BTreeMap<&str, Vec<(usize, &str, &str)>> = BTreeMap::new();
    let named: BTreeSet<String> =
        corpus.splits().iter().flat_map(|split| split.clips().into_iter().map(|clip| format!("{}/{clip}", split.name()))).collect();
    for unit in done.values().filter(|unit| named.contains(&unit.unit) && unit.bad.is_none()) {
        let Some(split) = splits.iter().position(|name| unit.unit.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'))) else {
            continue;
        };
        // Silence of the same length is the same everywhere; the second source is the sound.
        for (_, source) in unit.sources.iter().enumerate().filter(|(place, _)| *place != 1) {
            by_hash.entry(&source.blake3).or_default().push((split, &unit.unit, &source.path));
        }
    }
    let mut found = BTreeMap::new();
    for mut same in by_hash.into_values() {
        same.sort_unstable();
        let Some((last, other, path)) = same.last().copied() else { continue };
        for (_, unit, own) in same.iter().filter(|(split, _, source)| *split < last && *source != path) {
            found.entry((*unit).to_owned()).or_insert_with(|| format!("{own} is the same as {path} of {other}, in another split"));
        }
    }
    found
}
