//! What is drawn: a speaker, the true reaction, and generated ones; from a run's data and weights.

use super::film::{Film, read_film, read_sound};
use crate::predict::Checkpoint;
use crate::tensors::{array, to_device};
use crate::{Config, Run, evaluate};
use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;
use ndarray::{Array2, Array3, Array4, Axis, Ix3};
use react_data::{Corpus, Cut, Packed, PackedSplit, Recipe, Role};
use react_face::{Avatar, Person};
use react_media::Audio;
use react_model::Mode;
use react_model::transvae::Noise;
use react_random::Draws;
use react_viz::Listener;

/// One clip's reactions, ready to be drawn.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    /// The clip's name.
    pub(crate) name: String,
    /// Frames per second.
    pub(crate) fps: f64,
    /// The speaker's frames, u8 `[t, h, w, 3]`.
    pub(crate) speaker: Option<Array4<u8>>,
    /// The speaker's sound, from the first frame on.
    pub(crate) sound: Option<Audio>,
    /// The listener's coefficients as recorded (mean face in them), `[t, 58]`.
    pub(crate) truth: Option<Array2<f32>>,
    /// The listener's attributes as recorded, `[t, 25]`.
    #[cfg_attr(not(feature = "rerun"), allow(dead_code, reason = "only a recording for Rerun holds them"))]
    pub(crate) attributes: Option<Array2<f32>>,
    /// Generated coefficients, mean face added back, `[k, t, 58]`.
    pub(crate) coeffs: Array3<f32>,
    /// Generated attributes, `[k, t, 25]`.
    pub(crate) emotion: Option<Array3<f32>>,
    /// Who they are drawn as: the true listener's and each sample's.
    pub(crate) seed: u64,
    /// What a viewer should know.
    pub(crate) notes: Vec<String>,
}

impl Scene {
    /// Faces for `listeners` listeners: people at random, but the same every time.
    pub(crate) fn people(seed: u64, listeners: usize) -> Vec<Avatar> {
        let person = |i| Avatar::from(Person::draw(&mut Draws::new(seed, "listener of the report", i, 0)).groomed());
        (0..listeners as u32).map(person).collect()
    }

    /// The captions of the true listener, where it is known, and of the first `samples` generated ones.
    pub(crate) fn labels(&self, samples: usize) -> Vec<String> {
        let truth = self.truth.iter().map(|_| "True listener".to_owned());
        truth.chain((1..=samples.min(self.coeffs.dim().0)).map(|k| format!("Sample {k}"))).collect()
    }

    /// Those who have these captions, each with a face of its own.
    pub(crate) fn listeners<'a>(&'a self, labels: &'a [String], people: &'a [Avatar]) -> Vec<Listener<'a>> {
        let coeffs = self.truth.iter().map(|truth| truth.view()).chain(self.coeffs.outer_iter());
        labels.iter().zip(coeffs).zip(people).map(|((label, coeffs), avatar)| Listener { label, coeffs, avatar }).collect()
    }
}

/// What scenes of a run are made from: its data and its best weights.
#[derive(Debug)]
pub(crate) struct Stage {
    config: Config,
    split: PackedSplit,
    checkpoint: Checkpoint,
    /// The corpus as recorded, where it is still there.
    corpus: Option<Corpus>,
    fps: f64,
    frames: usize,
    /// FRCorr of each item, where this split was evaluated.
    scores: Option<Vec<f64>>,
}

impl Stage {
    /// Opens a run's best weights and one split of its packed corpus; the evaluation's where none is named.
    ///
    /// # Errors
    /// Where either is missing.
    pub(crate) fn open(config: &Config, run: &Run, split: Option<&str>) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let split = packed.split(split.unwrap_or(&config.evaluate.split))?;
        let mut checkpoint = Checkpoint::read(&run.best()).context("nothing to draw: train first")?;
        checkpoint.model = checkpoint.model.with_windows(config.evaluate.windows())?;
        let root = &config.corpus.root;
        let corpus = if root.is_dir() { Some(Corpus::open(root, Recipe::named(config.corpus.kind.recipe())?)?) } else { None };
        let scores = evaluate::read(run)?
            .filter(|evaluation| evaluation.split == split.name() && evaluation.clips.len() == split.len())
            .and_then(|evaluation| evaluation.systems.into_iter().next())
            .map(|system| system.per_clip.fr_corr);
        // As many as are scored: a network that looks at the whole clip answers another length differently.
        let frames = split.common_frames().min(config.evaluate.frames);
        Ok(Self { config: config.clone(), fps: packed.info().fps, split, checkpoint, corpus, frames, scores })
    }

    /// The split.
    pub(crate) fn split(&self) -> &PackedSplit {
        &self.split
    }

    /// The clip's name: its speaker's.
    pub(crate) fn name(&self, item: usize) -> Result<String> {
        Ok(self.split.clip(item, Role::Speaker)?.id().path().to_owned())
    }

    /// The item of a clip's name, of the end of one, or of a number; without any the one with the median FRCorr, or the middle one
    /// where there are no scores.
    pub(crate) fn find(&self, clip: Option<&str>) -> Result<usize> {
        let Some(clip) = clip else { return Ok(self.median()) };
        let names = (0..self.split.len()).map(|item| self.name(item)).collect::<Result<Vec<_>>>()?;
        if let Some(item) = names.iter().position(|name| name == clip) {
            return Ok(item);
        }
        if let Some(item) = clip.parse().ok().filter(|item| *item < names.len()) {
            return Ok(item);
        }
        let ends: Vec<usize> = (0..names.len()).filter(|item| names[*item].ends_with(&format!("/{clip}"))).collect();
        match ends[..] {
            [item] => Ok(item),
            [] => {
                let some = names.iter().take(5).map(String::as_str).collect::<Vec<_>>().join(", ");
                bail!("the split {} has no clip {clip}; it has {} (0 to {}): {some}, …", self.split.name(), names.len(), names.len() - 1)
            }
            _ => {
                let some = ends.iter().take(5).map(|item| names[*item].as_str()).collect::<Vec<_>>().join(", ");
                bail!("{} clips of the split {} end in {clip}: {some}, …", ends.len(), self.split.name())
            }
        }
    }

    fn median(&self) -> usize {
        self.scores.as_ref().map_or(self.split.len() / 2, |scores| evaluate::median(scores).unwrap_or(0))
    }

    /// Generates `samples` reactions to a clip, as the evaluation did, and reads what was recorded; pictures for panels of `side` pixels.
    ///
    /// # Errors
    /// Where there is no such item, or a file of the corpus cannot be read.
    pub(crate) fn scene(&self, item: usize, samples: usize, side: usize) -> Result<Scene> {
        let has = self.split.frames(item)?;
        ensure!(self.frames > 0, "the split {} has no frames", self.split.name());
        let batch = self.split.batch(&[Cut { item, start: 0, swap: false }], self.frames)?;
        let mut notes = Vec::new();
        if has > self.frames {
            notes.push(format!("Frames 0 to {} of {has}: as many as are scored.", self.frames - 1));
        }
        let (speaker, sound) = match self.recorded(item, side)? {
            Some((film, sound)) => {
                if sound.is_none() {
                    notes.push("Without sound: the corpus has none for this clip.".to_owned());
                }
                (film.frames, sound)
            }
            None => {
                let root = self.config.corpus.root.display();
                notes.push(format!("The corpus is not in {root}: packed frames, and no sound."));
                (batch.speaker_video().get().index_axis(Axis(0), 0).to_owned(), None)
            }
        };
        let attributes = batch.listener_emotion().get().index_axis(Axis(0), 0).to_owned();
        let truth = &batch.listener_3dmm().get().index_axis(Axis(0), 0) + self.split.mean_face();
        let batch = to_device(batch, &Device::Cpu)?;
        let model = &self.checkpoint.model;
        let behaviour = model.encode(batch.speaker_video(), batch.speaker_audio(), &Mode::eval())?;
        let noise = Noise::samples(self.config.seed, &[u32::try_from(item)?], samples, 1.0);
        let reaction = model.react(&behaviour, &noise, &Mode::eval())?;
        let coeffs = array(reaction.coeffs.get())?.into_dimensionality::<Ix3>()? + self.split.mean_face();
        let emotion = array(reaction.emotion.get())?.into_dimensionality::<Ix3>()?;
        Ok(Scene {
            name: self.name(item)?,
            fps: self.fps,
            speaker: Some(speaker),
            sound,
            truth: Some(truth),
            attributes: Some(attributes),
            coeffs,
            emotion: Some(emotion),
            seed: self.config.seed,
            notes,
        })
    }

    /// The speaker's video as it was recorded, sharper than the packed frames, and its sound, where the corpus is still there.
    fn recorded(&self, item: usize, side: usize) -> Result<Option<(Film, Option<Audio>)>> {
        let Some(corpus) = &self.corpus else { return Ok(None) };
        let Some(split) = corpus.splits().iter().find(|split| split.name() == self.split.name()) else { return Ok(None) };
        let files = corpus.files(split, self.split.clip(item, Role::Speaker)?.id())?;
        let (from, first) = files.part.map_or((0.0, 0), |part| (part.start, part.frames(self.fps).0));
        let film = read_film(&files.video, first, self.frames, side)?;
        let seconds = self.frames as f64 / self.fps;
        let sound = match files.audio.extension().is_some_and(|extension| extension == "wav") {
            true => read_sound(&files.audio, from, seconds)?,
            // Given features in place of sound: the video may have some of its own.
            false if files.video.is_file() => read_sound(&files.video, from, seconds).unwrap_or(None),
            false => None,
        };
        Ok(Some((film, sound)))
    }
}
