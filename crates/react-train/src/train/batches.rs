//! The loader's batches, made ahead on threads of their own.

use crate::Compute;
use crate::batches::Batches;
use crate::tensors::to_device;
use anyhow::Result;
use candle_core::Device;
use react_data::{HostBatch, Loader, Prefetch};
use react_model::device::Source;
use std::ops::Range;

/// Batches that are made ahead for a card: its steps take a tenth of the time that a batch takes one thread to make.
const AHEAD: usize = 3;

/// The loader's threads as what batches come from; memory that was copied to a card goes back to them.
pub(super) struct Ahead(Prefetch);

impl Ahead {
    /// The batches of a range, counted through all epochs.
    pub(super) fn open(compute: &Compute, loader: Loader, range: Range<u64>) -> Result<Batches<Self>> {
        // For the processor one ahead: at the published sizes a batch is 154 MB.
        let ahead = if compute.is_card() { AHEAD } else { 1 };
        let source = Self(Prefetch::new(loader, range, ahead, ahead)?);
        Batches::open(compute, source, |batch| to_device(batch, &Device::Cpu))
    }
}

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
