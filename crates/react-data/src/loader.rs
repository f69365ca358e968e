use crate::packed::{Cut, PackedSplit, Workshop};
use crate::{DataError, HostBatch};
use react_random::Draws;
use std::sync::Arc;

/// How batches are made for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoaderConfig {
    /// Items in a batch; the last of an epoch may have fewer.
    pub batch: usize,
    /// Frames of each item, cut at random.
    pub clip_length: usize,
    /// Seed of order, cuts and role swaps.
    pub seed: u64,
}

/// Training batches: [`Loader::batch`] is a pure function of (seed, epoch, step).
///
/// An epoch is every item of the split once (pairs in both roles), in an order drawn for the epoch. Each item swaps roles with
/// probability ½ and is cut at random, every start that fits being equally likely. Where an item is shorter than
/// `clip_length`, its whole batch is cut to the shortest of its items: nothing is padded.
#[derive(Clone, Debug)]
pub struct Loader {
    split: Arc<PackedSplit>,
    config: LoaderConfig,
}

impl Loader {
    /// A loader over a split.
    ///
    /// # Errors
    /// [`DataError::Loader`] for batches of no items or no frames.
    pub fn new(split: Arc<PackedSplit>, config: LoaderConfig) -> Result<Self, DataError> {
        match config {
            LoaderConfig { batch: 0, .. } => Err(DataError::Loader("batches of 0 items".to_owned())),
            LoaderConfig { clip_length: 0, .. } => Err(DataError::Loader("clips of 0 frames".to_owned())),
            _ => Ok(Self { split, config }),
        }
    }

    /// The split.
    #[must_use]
    pub fn split(&self) -> &Arc<PackedSplit> {
        &self.split
    }

    /// Batches in an epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.split.len().div_ceil(self.config.batch)
    }

    /// The items of a step with their cuts and roles, and the frames that each is cut to.
    ///
    /// # Errors
    /// [`DataError::Loader`] for a step beyond the epoch.
    pub fn cuts(&self, epoch: u32, step: usize) -> Result<(Vec<Cut>, usize), DataError> {
        let LoaderConfig { batch, clip_length, seed } = self.config;
        let mut order: Vec<_> = (0..self.split.len()).collect();
        Draws::new(seed, "loader order", epoch, 0).shuffle(&mut order);
        let items = order
            .chunks(batch)
            .nth(step)
            .ok_or_else(|| DataError::Loader(format!("there is no step {step} in an epoch of {}", self.steps_per_epoch())))?;
        let mut frames = clip_length;
        for item in items {
            frames = frames.min(self.split.frames(*item)?);
        }
        let cut = |item: &usize| {
            let starts = self.split.frames(*item)? - frames + 1;
            let start = Draws::new(seed, "loader cut", epoch, *item as u32).below(starts);
            let swap = Draws::new(seed, "loader swap", epoch, *item as u32).chance(0.5);
            Ok(Cut { item: *item, start, swap })
        };
        Ok((items.iter().map(cut).collect::<Result<_, DataError>>()?, frames))
    }

    /// The batch of a step.
    ///
    /// # Errors
    /// As [`Self::cuts`], and where a packed file cannot be read.
    pub fn batch(&self, epoch: u32, step: usize) -> Result<HostBatch, DataError> {
        self.batch_with(epoch, step, Workshop::default())
    }

    fn batch_with(&self, epoch: u32, step: usize, workshop: Workshop) -> Result<HostBatch, DataError> {
        let (cuts, frames) = self.cuts(epoch, step)?;
        self.split.batch_with(&cuts, frames, workshop)
    }

    /// The batch of a step counted through all epochs.
    ///
    /// # Errors
    /// As [`Self::batch`].
    pub fn at(&self, global_step: u64) -> Result<HostBatch, DataError> {
        self.at_with(global_step, Workshop::default())
    }

    pub(crate) fn at_with(&self, global_step: u64, workshop: Workshop) -> Result<HostBatch, DataError> {
        let steps = self.steps_per_epoch().max(1) as u64;
        let epoch =
            u32::try_from(global_step / steps).map_err(|_| DataError::Loader(format!("step {global_step} is beyond 2³² epochs")))?;
        self.batch_with(epoch, (global_step % steps) as usize, workshop)
    }
}
