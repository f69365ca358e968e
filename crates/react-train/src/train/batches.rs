//! Batches where the network is, the next one made while one is in use.

use crate::Compute;
use crate::tensors::{DeviceBatch, to_device};
use anyhow::Result;
use react_data::{HostBatch, Loader, Prefetch};
use react_model::device::{Lent, Source, Uploads};
use std::ops::{Deref, Range};

/// Batches that are made ahead for a card: its steps take a tenth of the time that a batch takes one thread to make.
const AHEAD: usize = 3;

/// The batches of a training, in order.
pub(super) enum Batches {
    /// For the processor: a batch's values are moved into its tensors.
    Here(Prefetch),
    /// For a card: copied while it computes.
    There(Uploads<DeviceBatch, anyhow::Error>),
}

/// A batch, until it is dropped.
pub(crate) enum Batch<T> {
    Here(T),
    There(Lent<T>),
}

impl Batches {
    /// The batches of a range, counted through all epochs.
    pub(super) fn open(compute: &Compute, loader: Loader, range: Range<u64>) -> Result<Self> {
        if !compute.is_card() {
            // One ahead: at the published sizes a batch is 154 MB.
            return Ok(Self::Here(Prefetch::new(loader, range, 1, 1)?));
        }
        let ahead = Ahead(Prefetch::new(loader, range, AHEAD, AHEAD)?);
        Ok(Self::There(Uploads::new(compute.device(), ahead)?))
    }
}

impl Iterator for Batches {
    type Item = Result<Batch<DeviceBatch>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Here(batches) => {
                let batch = batches.next()?;
                Some(batch.map_err(Into::into).and_then(|batch| Ok(Batch::Here(to_device(batch, &candle_core::Device::Cpu)?))))
            }
            Self::There(batches) => Some(batches.next()?.map(Batch::There)),
        }
    }
}

impl<T> Deref for Batch<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Here(batch) => batch,
            Self::There(batch) => batch,
        }
    }
}

/// The loader's threads as what a card's batches come from; their memory goes back to them.
struct Ahead(Prefetch);

impl Source for Ahead {
    type Batch = HostBatch;
    type Error = anyhow::Error;

    fn next(&mut self) -> Option<Result<HostBatch>> {
        Some(self.0.next()?.map_err(Into::into))
    }

    fn recycle(&mut self, batch: HostBatch) {
        self.0.recycle(batch);
    }
}
