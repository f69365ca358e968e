//! The report of a run: scores, curves, clips to look at, and how to run it again.

use crate::config::{Config, CorpusKind};
use crate::evaluate::{self, Evaluation};
use crate::predict::Checkpoint;
use crate::tensors::{array, to_device};
use crate::{Record, Run};
use anyhow::{Context, Result};
use candle_core::Device;
use ndarray::{Array2, Array3, Array4, ArrayView2, Axis, Ix3, s};
use react_data::{Corpus, Cut, Packed, PackedSplit, Recipe, Role};
use react_face::Person;
use react_media::VideoReader;
use react_model::Mode;
use react_model::transvae::Noise;
use react_random::Draws;
use react_viz::plots::{ChannelTraces, LossHistory, LossPoint, channels, per_clip};
use react_viz::strip::{Strip, evenly, write_strip};
use react_viz::video::{Panels, write_panels};
use react_viz::{ClipRow, ClipTable, Example, Listener, Metric, Picture, Report, Score, Video};
use std::path::PathBuf;

/// Width and height of a face in the videos, in pixels.
const PANEL_SIDE: usize = 192;
/// Samples drawn as faces and as lines.
const SHOWN_SAMPLES: usize = 2;

/// Draws the report of a trained and evaluated run; returns its path.
///
/// # Errors
/// Where the run was not evaluated, or a file cannot be read or written.
pub fn write(config: &Config, run: &Run) -> Result<PathBuf> {
    let evaluation = evaluate::read(run)?.with_context(|| format!("{} was not evaluated yet", run.folder().display()))?;
    let drawer = Drawer::open(config, run, &evaluation)?;
    let records = run.records()?;
    let history = history(&records);
    let table = evaluation.table();
    let model = evaluation.systems.first().context("an evaluation of nothing")?;
    let corr = Metric::react().swap_remove(0);
    let means: Vec<_> =
        evaluation.systems.iter().skip(1).map(|system| (system.name.as_str(), system.score("FRCorr").unwrap_or(f64::NAN))).collect();
    let per_clip_values: Vec<_> = model.per_clip.fr_corr.iter().map(|value| Some(*value)).collect();
    let mut examples = Vec::new();
    for (caption, item) in drawer.chosen(&model.per_clip.fr_corr) {
        examples.push(drawer.example(caption, item)?);
    }
    let report = Report {
        title: format!("Facial reactions: {}", config.name),
        run: config.name.clone(),
        summary: summary(config, &evaluation),
        facts: facts(config, &evaluation, &records),
        tables: vec![table],
        pictures: vec![drawer.picture()?],
        examples,
        history,
        figures: vec![per_clip(&corr, &per_clip_values, &means)?],
        clips: Some(clip_table(&evaluation)),
        rerun: rerun(config),
        configuration: config.to_toml()?,
        environment: environment(),
        notes: notes(config),
    };
    let written = report.write(&run.report())?;
    Ok(written.path)
}

/// What example clips are drawn from: the data, the network, and faces for the listeners.
struct Drawer<'a> {
    config: &'a Config,
    run: &'a Run,
    split: PackedSplit,
    checkpoint: Checkpoint,
    fps: f64,
    frames: usize,
    people: Vec<Person>,
}

/// One clip's reactions, ready to be drawn.
struct Scene {
    speaker: Array4<u8>,
    /// Mean face added back, `[t, 58]`.
    truth: Array2<f32>,
    /// Mean face added back, `[k, t, 58]`.
    coeffs: Array3<f32>,
    /// `[k, t, 25]`.
    emotion: Array3<f32>,
}

impl<'a> Drawer<'a> {
    fn open(config: &'a Config, run: &'a Run, evaluation: &Evaluation) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let person = |i| Person::draw(&mut Draws::new(config.seed, "listener of the report", i, 0));
        let mut checkpoint = Checkpoint::read(&run.best())?;
        checkpoint.model = checkpoint.model.with_windows(config.evaluate.windows())?;
        Ok(Self {
            config,
            run,
            split: packed.split(&config.evaluate.split)?,
            checkpoint,
            fps: packed.info().fps,
            frames: evaluation.frames,
            people: (0..4).map(person).collect(),
        })
    }

    /// The clips with the highest, the median and the lowest score: nothing flatters.
    fn chosen(&self, scores: &[f64]) -> Vec<(&'static str, usize)> {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let places = [
            ("The clip with the highest FRCorr.", 0),
            ("The clip with the median FRCorr.", order.len() / 2),
            ("The clip with the lowest FRCorr.", order.len().saturating_sub(1)),
        ];
        let mut chosen: Vec<(&str, usize)> =
            places.into_iter().filter_map(|(caption, place)| Some((caption, *order.get(place)?))).collect();
        chosen.dedup_by_key(|(_, item)| *item);
        chosen
    }

    fn scene(&self, item: usize) -> Result<Scene> {
        let batch = self.split.batch(&[Cut { item, start: 0, swap: false }], self.frames)?;
        let speaker = match self.recorded(item)? {
            Some(frames) => frames,
            None => batch.speaker_video().get().index_axis(Axis(0), 0).to_owned(),
        };
        let truth = &batch.listener_3dmm().get().index_axis(Axis(0), 0) + self.split.mean_face();
        let batch = to_device(batch, &Device::Cpu)?;
        let model = &self.checkpoint.model;
        let behaviour = model.encode(batch.speaker_video(), batch.speaker_audio(), &Mode::eval())?;
        let noise = Noise::samples(self.config.seed, &[u32::try_from(item)?], self.config.evaluate.samples, 1.0);
        let reaction = model.react(&behaviour, &noise, &Mode::eval())?;
        let coeffs = array(reaction.coeffs.get())?.into_dimensionality::<Ix3>()? + self.split.mean_face();
        Ok(Scene { speaker, truth, coeffs, emotion: array(reaction.emotion.get())?.into_dimensionality::<Ix3>()? })
    }

    /// The speaker's video as it was recorded, sharper than the packed frames, where the corpus is still there.
    fn recorded(&self, item: usize) -> Result<Option<Array4<u8>>> {
        let root = &self.config.corpus.root;
        if !root.is_dir() {
            return Ok(None);
        }
        let corpus = Corpus::open(root, Recipe::named(self.config.corpus.kind.recipe())?)?;
        let Some(split) = corpus.splits().iter().find(|split| split.name() == self.split.name()) else { return Ok(None) };
        let mut video = VideoReader::open(&corpus.files(split, self.split.clip(item, Role::Speaker)?.id())?.video)?;
        let (width, height) = (video.info().width, video.info().height);
        let (mut rgb, mut frames, mut count) = (Vec::new(), Vec::new(), 0);
        while count < self.frames && video.next_frame(&mut rgb)? {
            frames.extend_from_slice(&rgb);
            count += 1;
        }
        Ok(Some(Array4::from_shape_vec((count, height, width, 3), frames)?))
    }

    /// The listeners of a scene: the real one, then the first samples, each with a face of its own.
    fn listeners<'s>(&'s self, scene: &'s Scene, labels: &'s [String]) -> Vec<Listener<'s>> {
        let coeffs: Vec<ArrayView2<'s, f32>> = std::iter::once(scene.truth.view()).chain(scene.coeffs.outer_iter()).collect();
        labels.iter().zip(coeffs).zip(&self.people).map(|((label, coeffs), person)| Listener { label, coeffs, person }).collect()
    }

    fn labels(&self) -> Vec<String> {
        let samples = SHOWN_SAMPLES.min(self.config.evaluate.samples);
        std::iter::once("True listener".to_owned()).chain((1..=samples).map(|k| format!("Sample {k}"))).collect()
    }

    fn example(&self, caption: &str, item: usize) -> Result<Example> {
        let scene = self.scene(item)?;
        let labels = self.labels();
        let name = self.split.clip(item, Role::Speaker)?.id().path().to_owned();
        let path = self.run.file(&format!("clips/{}.mp4", name.replace('/', "-")));
        let listeners = self.listeners(&scene, &labels);
        let facts =
            write_panels(&path, &Panels { speaker: Some(scene.speaker.view()), listeners: &listeners, fps: self.fps, side: PANEL_SIDE })?;
        let speaker = self.split.clip(item, Role::Speaker)?.emotion()?;
        let truth = self.split.clip(item, Role::Listener)?.emotion()?;
        let traces = ChannelTraces {
            fps: self.fps,
            speaker: Some(speaker.slice_move(s![..self.frames, ..])),
            truth: Some(truth.slice_move(s![..self.frames, ..])),
            samples: Some(scene.emotion.view()),
            lines: 3,
        };
        Ok(Example {
            caption: caption.to_owned(),
            video: Some(Video::read(&path, facts.width, facts.height)?),
            scores: Vec::new(),
            figures: vec![channels(&name, &traces)?],
            name,
        })
    }

    /// The first clip as a filmstrip.
    fn picture(&self) -> Result<Picture> {
        let scene = self.scene(0)?;
        let labels = self.labels();
        let listeners = self.listeners(&scene, &labels);
        let frames = evenly(self.frames, 8);
        let path = self.run.file("filmstrip.png");
        write_strip(
            &path,
            &Strip { speaker: Some(scene.speaker.view()), listeners: &listeners, fps: self.fps, frames: &frames, side: 112 },
        )?;
        let name = self.split.clip(0, Role::Speaker)?.id().path().to_owned();
        let caption = format!("{name}: the speaker, the true listener rendered from the recorded coefficients, and generated listeners.");
        Ok(Picture::read(&path, "Rows: speaker, true listener, generated samples. Columns: moments of the clip.", &caption)?)
    }
}

fn history(records: &[Record]) -> LossHistory {
    let mut history = LossHistory::default();
    let mut best = f64::INFINITY;
    for record in records {
        match *record {
            Record::Step { step, loss, reconstruction, kl, diversity, .. } => history.train.push(LossPoint {
                step,
                total: Some(loss),
                reconstruction: Some(reconstruction),
                kl: Some(kl),
                diversity: Some(diversity),
            }),
            Record::Validation { step, reconstruction, kl, selection, .. } => {
                if selection < best {
                    best = selection;
                    history.best_step = Some(step);
                }
                history.validation.push(LossPoint { step, reconstruction: Some(reconstruction), kl: Some(kl), ..LossPoint::default() });
            }
        }
    }
    history
}

fn clip_table(evaluation: &Evaluation) -> ClipTable {
    let mut metrics = Metric::react();
    metrics.truncate(2);
    let scores = evaluation.systems.first().map(|model| &model.per_clip);
    let rows = scores.into_iter().flat_map(|scores| {
        let values = scores.fr_corr.iter().zip(&scores.fr_dist);
        evaluation
            .clips
            .iter()
            .zip(values)
            .map(|(clip, (corr, dist))| ClipRow { clip: clip.clone(), scores: vec![Score::from(*corr), Score::from(*dist)] })
    });
    ClipTable { rows: rows.collect(), metrics }
}

fn data_words(config: &Config) -> &'static str {
    match config.corpus.kind {
        CorpusKind::Synthetic => "the synthetic corpus",
        CorpusKind::React2024 | CorpusKind::React2025 => "the REACT challenge's corpus",
        CorpusKind::Hume => "Hume-Reaction",
    }
}

fn summary(config: &Config, evaluation: &Evaluation) -> String {
    format!(
        "Trans-VAE ({:?}, d = {}) trained on {}, with {} reactions generated for each of the {} clips of the split {}.",
        config.model.task,
        config.model.width,
        data_words(config),
        evaluation.samples,
        evaluation.clips.len(),
        evaluation.split
    )
}

fn facts(config: &Config, evaluation: &Evaluation, records: &[Record]) -> Vec<(String, String)> {
    let steps = records.iter().filter(|record| matches!(record, Record::Step { .. })).count();
    let corr = |name: &str| {
        evaluation.system(name).and_then(|system| system.score("FRCorr")).map_or_else(|| "–".to_owned(), |corr| format!("{corr:.2}"))
    };
    let mut facts = vec![
        ("FRCorr".to_owned(), corr("Trans-VAE")),
        ("FRCorr, speakers shuffled".to_owned(), corr("speakers shuffled")),
        ("FRCorr, real listeners".to_owned(), corr("GT")),
        ("training steps".to_owned(), steps.to_string()),
    ];
    facts.push(("seed".to_owned(), config.seed.to_string()));
    facts
}

fn rerun(config: &Config) -> Vec<String> {
    vec![
        format!("cargo run --release -p react-train -- --config {}", config.run_folder().join("config.toml").display()),
        format!("cargo run --release -p react-train -- report {}", config.run_folder().display()),
    ]
}

pub(crate) fn environment() -> Vec<(String, String)> {
    let threads = std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |n| n.to_string());
    [
        ("react-train", env!("CARGO_PKG_VERSION").to_owned()),
        ("system", format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)),
        ("threads", threads),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

fn notes(config: &Config) -> Vec<String> {
    let mut notes = vec![
        "FRRea and ACC are not computed.".to_owned(),
        "Listeners are rendered with the embedded parametric head, from their 58 coefficients with the corpus' mean face added back."
            .to_owned(),
        "Intervals: 95 % percentile bootstrap over clips.".to_owned(),
    ];
    if config.corpus.kind == CorpusKind::Synthetic {
        notes.push(
            "The corpus is synthetic: the scores say how well the program learns a known process, and compare with no published table."
                .to_owned(),
        );
    }
    notes
}
