//! Training batches: which clips, and what of them is dropped.

use super::config::EriConfig;
use super::features::Features;
use crate::Compute;
use crate::batches::Batches;
use crate::tensors::{array, tensor};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use ndarray::{Array2, Array3, ArrayView2, ArrayViewD, Ix2};
use react_data::hume::{EriBatch, EriSplit, order};
use react_model::ModelError;
use react_model::device::{Source, Upload};
use react_model::eri::{Input, Modalities, modality_dropout};
use std::ops::Range;
use std::sync::Arc;

/// Makes the batch of any step: a function of (seed, step).
#[derive(Debug)]
pub(super) struct Maker {
    config: EriConfig,
    split: EriSplit,
    /// Whose labels each clip is trained with.
    labels: Vec<usize>,
    features: Option<Features>,
}

/// Batches of some steps in the host's memory.
pub(super) struct Steps {
    maker: Arc<Maker>,
    steps: Range<u64>,
}

/// A batch as the network and its loss take it.
pub(super) struct Labelled {
    pub(super) input: Input,
    /// f32 `[b, e]`.
    pub(super) labels: Tensor,
}

/// The same in the host's memory.
pub(super) struct Host {
    clips: EriBatch,
    features: Option<Array3<f32>>,
    labels: Array2<f32>,
}

impl Maker {
    pub(super) fn new(config: &EriConfig, split: EriSplit, features: Option<Features>) -> Self {
        let labels = match config.train.shuffle_labels {
            true => order(config.seed ^ 0x5eed, 0, split.len()),
            false => (0..split.len()).collect(),
        };
        Self { config: config.clone(), split, labels, features }
    }

    /// Clips of a batch.
    fn size(&self) -> usize {
        self.config.train.batch.min(self.split.len())
    }

    /// Whole batches only: the correlation of a few clips is noise.
    pub(super) fn per_epoch(&self) -> u64 {
        (self.split.len() / self.size().max(1)).max(1) as u64
    }

    fn host(&self, step: u64) -> Result<Host> {
        let (config, per_epoch, size) = (&self.config, self.per_epoch(), self.size());
        let (epoch, place) = (u32::try_from(step / per_epoch)?, usize::try_from(step % per_epoch)?);
        let draw = u32::try_from(step).context("more than 2³² steps")?;
        let order = order(config.seed, epoch, self.split.len());
        let items = order.chunks(size.max(1)).nth(place).context("a split of no clips")?;
        let features = self.features.as_ref().map(|features| features.batch(&self.split, items)).transpose()?;
        let mut clips = self.split.batch(items)?;
        if config.model.modalities == Modalities::Fusion {
            let kept = modality_dropout(config.seed, draw, size, config.train.modality_dropout)?;
            clips.keep = drop_modalities(clips.keep.view(), array(&kept)?.into_dimensionality::<Ix2>()?.view());
        }
        let rows = items.iter().map(|i| self.split.labels(self.labels[*i]).unwrap_or_default());
        let labels = Array2::from_shape_vec((size, self.split.emotions().len()), rows.flatten().copied().collect())?;
        Ok(Host { clips, features, labels })
    }
}

impl Steps {
    /// The batches of a range of steps.
    pub(super) fn open(compute: &Compute, maker: &Arc<Maker>, steps: Range<u64>) -> Result<Batches<Self>> {
        Batches::open(compute, Self { maker: Arc::clone(maker), steps }, Host::here)
    }
}

impl Host {
    /// The same in tensors of the processor.
    fn here(self) -> Result<Labelled> {
        let Self { clips, features, labels } = self;
        Ok(Labelled { input: super::data::device(clips, features, &Device::Cpu)?, labels: tensor(labels, &Device::Cpu)? })
    }
}

impl Source for Steps {
    type Batch = Host;
    type Error = anyhow::Error;

    fn next(&mut self) -> Option<Result<Host>> {
        let step = self.steps.next()?;
        Some(self.maker.host(step).with_context(|| format!("step {step}")))
    }
}

impl Upload for Host {
    type There = Labelled;

    fn pixels(&self) -> ArrayViewD<'_, u8> {
        self.clips.frames.view().into_dyn()
    }

    fn values(&self) -> Vec<ArrayViewD<'_, f32>> {
        let features = self.features.iter().map(|features| features.view().into_dyn());
        let others = [self.clips.mfcc.view().into_dyn(), self.clips.keep.view().into_dyn(), self.labels.view().into_dyn()];
        others.into_iter().chain(features).collect()
    }

    fn there(&self, pixels: Tensor, values: Vec<Tensor>) -> Result<Labelled, ModelError> {
        let mut values = values.into_iter();
        let (Some(mfcc), Some(keep), Some(labels)) = (values.next(), values.next(), values.next()) else {
            return Err(ModelError::Config { field: "device", what: "a batch without sound, what is kept, or labels".to_owned() });
        };
        Ok(Labelled { input: Input { frames: Some(pixels), features: values.next(), mfcc: Some(mfcc), keep: Some(keep) }, labels })
    }
}

/// What is there and was not dropped, `[b, 2]`; where a clip has one modality only, it keeps it.
fn drop_modalities(there: ArrayView2<'_, f32>, kept: ArrayView2<'_, f32>) -> Array2<f32> {
    let mut both = &there * &kept;
    for (mut row, there) in both.outer_iter_mut().zip(there.outer_iter()) {
        if row.iter().all(|x| *x == 0.0) {
            row.assign(&there);
        }
    }
    both
}
