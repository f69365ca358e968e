//! A split, and the reactions to it.

use super::System;
use crate::config::{Config, CorpusKind};
use crate::predict::Checkpoint;
use crate::tensors::{array, to_device};
use crate::{Compute, Progress};
use anyhow::{Context, Result};
use ndarray::{Array1, Array2, Array3, Array4, ArrayView4, Axis, Ix1, Ix3, s};
use react_contracts::{ATTRIBUTES, AudioFeatures, Batch, Frames};
use react_data::{Cut, HostBatch, Packed, PackedSplit, Role, mfcc_per_frame};
use react_metrics::{Baseline, Baselines, Bootstrap, Inputs, MeanReaction, Neighbours, Options};
use react_model::transvae::{Noise, Reaction};
use react_random::Draws;
use react_synth::{Split, Truth};
use react_viz::Kind;

/// What the network is shown of the speaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The clip itself.
    Own,
    /// Another clip of the split.
    Shuffled,
    /// The clip in silence.
    WithoutSound,
    /// The clip in the dark.
    WithoutPicture,
}

/// What the network answered.
pub(super) struct Generated {
    /// `[N, K, T, 25]`.
    pub(super) emotion: Array4<f32>,
    /// Means of the latents, `[N, windows, d]`; of the first sample where each has its own.
    pub(super) means: Array3<f32>,
}

/// A split, ready to be scored.
pub(super) struct Data {
    pub(super) split: PackedSplit,
    train: PackedSplit,
    pub(super) fps: f64,
    pub(super) frames: usize,
    /// `[N, T, 25]`.
    pub(super) listener: Array3<f32>,
    /// `[N, T, 25]`.
    pub(super) speaker: Array3<f32>,
    neighbours: Neighbours,
}

impl Data {
    pub(super) fn open(config: &Config) -> Result<Self> {
        let packed = Packed::open(&config.corpus.packed)?;
        let split = packed.split(&config.evaluate.split)?;
        let frames = split.common_frames().min(config.evaluate.frames);

        let neighbours =
            Neighbours::new(split.neighbours().view()).with_context(|| format!("the neighbours of the split {}", split.name()))?;
        Ok(Self {
            train: packed.split("train")?,
            fps: packed.info().fps,
            frames,
            listener: split.emotion(Role::Listener, frames)?,
            speaker: split.emotion(Role::Speaker, frames)?,
            neighbours,
            split,
        })
    }

    /// Fresh draws of the process that made the corpus, for each clip's own script: `[N, K, T, 25]`.
    fn oracle(&self, config: &Config) -> Result<Array4<f32>> {
        let root = &config.corpus.root;
        let truth = Truth::read(root)?.with_context(|| format!("{} is no synthetic corpus", root.display()))?;
        let fresh = truth.world()?.oracle(Split::named(&config.evaluate.split)?, config.evaluate.samples);
        Ok(fresh.attributes.slice_move(s![.., .., ..self.frames, ..]))
    }

    pub(super) fn names(&self) -> Result<Vec<String>> {
        (0..self.split.len()).map(|item| Ok(self.split.clip(item, Role::Speaker)?.id().path().to_owned())).collect()
    }

    /// K reactions to every clip. The encoder runs once per clip.
    pub(super) fn generate(
        &self,
        checkpoint: &Checkpoint,
        compute: &Compute,
        config: &Config,
        shown: Shown,
        progress: &Progress,
    ) -> Result<Generated> {
        let (n, k, t) = (self.split.len(), config.evaluate.samples, self.frames);
        let order: Vec<usize> = match shown {
            // Within each half of the mirrored items, so that a shuffled clip keeps its role: only its content is another.
            Shown::Shuffled => {
                let mut draws = Draws::new(config.seed, "shuffled speakers", 0, 0);
                let pairs = n / 2;
                let (given, mirrored) = (derangement(pairs, &mut draws), derangement(pairs, &mut draws));
                given.into_iter().chain(mirrored.into_iter().map(|item| item + pairs)).collect()
            }
            _ => (0..n).collect(),
        };
        let (mut out, mut means) = (Array4::zeros((n, k, t, ATTRIBUTES)), Vec::new());
        let mut keep = |(item, reaction): (usize, Reaction)| -> Result<()> {
            let emotion = array(reaction.emotion.get())?.into_dimensionality::<Ix3>()?;
            out.slice_mut(s![item, .., .., ..]).assign(&emotion);
            for latent in &reaction.latents {
                means.push(array(&latent.mu)?.index_axis_move(Axis(0), 0).into_dimensionality::<Ix1>()?);
            }
            progress.advance(1, "");
            Ok(())
        };
        // A reaction is read when the next clip is on its way: a card computes the one while the other is fetched.
        let mut made = None;
        for (item, seen) in order.into_iter().enumerate() {
            let batch = self.split.batch(&[Cut { item: seen, start: 0, swap: false }], t)?;
            let batch = self.show(batch, shown)?;
            made.take().map_or(Ok(()), &mut keep)?;
            let batch = to_device(batch, compute.device())?;
            let behaviour = checkpoint.model.encode(batch.speaker_video(), batch.speaker_audio(), &compute.eval())?;
            let noise = Noise::samples(config.seed, &[u32::try_from(item)?], k, 1.0);
            made = Some((item, checkpoint.model.react(&behaviour, &noise, &compute.eval())?));
        }
        made.take().map_or(Ok(()), &mut keep)?;
        let rows: Vec<_> = means.iter().map(|mean: &Array1<f32>| mean.view()).collect();
        let means = ndarray::stack(Axis(0), &rows)?;
        let (windows, width) = (means.nrows() / n.max(1), means.ncols());
        Ok(Generated { emotion: out, means: means.into_shape_with_order((n, windows, width))? })
    }

    /// The batch without what is taken away. Darkness is black frames, silence the features of silence.
    fn show(&self, batch: HostBatch, shown: Shown) -> Result<HostBatch> {
        let (mut frames, mut audio, speaker, listener, coeffs) = batch.into_parts();
        match shown {
            Shown::Own | Shown::Shuffled => {}
            Shown::WithoutPicture => {
                let mut black = frames.into_inner();
                black.fill(0);
                frames = Frames::new(black)?;
            }
            Shown::WithoutSound => {
                const RATE: u32 = 44_100;
                let samples = vec![0.0; (f64::from(RATE) * self.frames as f64 / self.fps).ceil() as usize];
                let (features, silence) = (audio.features(), mfcc_per_frame(&samples, RATE, self.frames, self.fps)?);
                // Given features of silence are not known: zeros then.
                let silence = if silence.ncols() == features { silence } else { Array2::zeros((self.frames, features)) };
                audio = AudioFeatures::of(features, silence.insert_axis(Axis(0)))?;
            }
        }
        Ok(Batch::new(frames, audio, speaker, listener, coeffs)?)
    }

    pub(super) fn system(&self, name: &str, kind: Kind, prediction: &Array4<f32>) -> Result<System> {
        let inputs = Inputs::new(prediction.view(), self.listener.view(), Some(self.speaker.view()), &self.neighbours)?;
        let options = Options { bootstrap: Some(Bootstrap::default()), ..Options::default() };
        System::new(name, kind, &react_metrics::score(&inputs, &options, &|_| ()))
    }

    /// The systems that need no network; `seen` looks at their predictions.
    pub(super) fn naive(&self, config: &Config, seen: &mut dyn FnMut(&str, ArrayView4<'_, f32>)) -> Result<Vec<System>> {
        let listeners =
            (0..self.train.len()).map(|item| Ok(self.train.clip(item, Role::Listener)?.emotion()?)).collect::<Result<Vec<_>>>()?;
        let mean = MeanReaction::new(listeners)?;
        let maker = Baselines { samples: config.evaluate.samples, seed: config.seed, mean: Some(&mean) };
        let mut systems = Vec::new();
        for baseline in Baseline::ALL {
            let kind = if baseline == Baseline::GroundTruth { Kind::Truth } else { Kind::Baseline };
            let prediction = maker.stack(baseline, self.listener.view(), Some(self.speaker.view()))?;
            seen(baseline.name(), prediction.view());
            systems.push(self.system(baseline.name(), kind, &prediction)?);
        }
        if config.corpus.kind == CorpusKind::Synthetic {
            let prediction = self.oracle(config)?;
            seen("oracle", prediction.view());
            systems.push(self.system("oracle", Kind::Oracle, &prediction)?);
        }
        Ok(systems)
    }
}

/// A permutation of 0..n that leaves nothing in its place where n > 1 (Sattolo's algorithm).
fn derangement(n: usize, draws: &mut Draws) -> Vec<usize> {
    let mut order: Vec<_> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, draws.below(i));
    }
    order
}
