//! Batches where the network is: tensors of the processor's memory, or of a card's, where the next ones are on their way while one is
//! in use.

use crate::Compute;
use anyhow::{Context, Result};
use react_model::device::{Lent, Source, Upload, Uploads};
use std::ops::Deref;

/// What the batches of a source are as tensors.
type Tensors<S> = <<S as Source>::Batch as Upload>::There;

/// The batches of a training, in order.
pub(crate) enum Batches<S: Source<Error = anyhow::Error>> {
    /// For the processor: a batch of the source, and what moves its values into tensors.
    Here(S, fn(S::Batch) -> Result<Tensors<S>>),
    /// For a card: copied while it computes.
    There(Uploads<Tensors<S>, anyhow::Error>),
}

/// A batch, until it is dropped.
pub(crate) enum Batch<T> {
    Here(T),
    There(Lent<T>),
}

impl<S: Source<Error = anyhow::Error>> Batches<S> {
    /// The batches of a source; `here` makes tensors of the processor of one, by value: the source does not get its memory back, as it
    /// does where batches are copied to a card.
    pub(crate) fn open(compute: &Compute, source: S, here: fn(S::Batch) -> Result<Tensors<S>>) -> Result<Self> {
        match compute.is_card() {
            true => Ok(Self::There(Uploads::new(compute.device(), source)?)),
            false => Ok(Self::Here(source, here)),
        }
    }

    /// The next batch; an error at the end too, which a training does not ask for.
    pub(crate) fn next(&mut self) -> Result<Batch<Tensors<S>>> {
        const ENDED: &str = "the batches ended before the training";
        match self {
            Self::Here(source, here) => Ok(Batch::Here(here(source.next().context(ENDED)??)?)),
            Self::There(batches) => Ok(Batch::There(batches.next().context(ENDED)??)),
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
