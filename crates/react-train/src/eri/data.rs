//! Clips to tensors, and the network over a split.

use super::features::Features;
use crate::tensors::{array, tensor};
use crate::{Compute, Progress};
use anyhow::{Context, Result};
use candle_core::{Device, Tensor};
use ndarray::{Array2, Array3, ArrayView2, Ix2, s};
use react_data::hume::{EriBatch, EriSplit};
use react_metrics::{EriScores, eri_of};
use react_model::eri::{Eri, Input};

/// A batch as the network takes it, in a device's memory.
pub(super) fn device(batch: EriBatch, features: Option<Array3<f32>>, device: &Device) -> Result<Input> {
    Ok(Input {
        frames: Some(tensor(batch.frames, device)?),
        features: features.map(|features| tensor(features, device)).transpose()?,
        mfcc: Some(tensor(batch.mfcc, device)?),
        keep: Some(tensor(batch.keep, device)?),
    })
}

/// What is taken from every clip of a split, to see what it was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// The voice.
    Audio,
    /// The face.
    Video,
}

/// Intensities of a whole split, `[N, emotions]`.
///
/// # Errors
/// Where a clip cannot be read.
pub(super) fn predictions(
    model: &Eri,
    split: &EriSplit,
    features: Option<&Features>,
    batch: usize,
    without: Option<Without>,
    compute: &Compute,
) -> Result<Array2<f32>> {
    let mut out = Array2::zeros((split.len(), model.config().emotions));
    let progress = Progress::new("predict", split.len() as u64);
    for first in (0..split.len()).step_by(batch.max(1)) {
        let items: Vec<usize> = (first..split.len().min(first + batch.max(1))).collect();
        let seen = features.map(|features| features.batch(split, &items)).transpose()?;
        let mut input = device(split.batch(&items)?, seen, compute.device())?;
        if let Some(without) = without {
            let keep = match without {
                Without::Audio => [0.0f32, 1.0],
                Without::Video => [1.0, 0.0],
            };
            let mask = Tensor::new(&[keep], compute.device())?;
            input.keep = input.keep.map(|there| there.broadcast_mul(&mask)).transpose()?;
        }
        let intensity = array(&model.forward(&input, &compute.eval())?.intensity)?.into_dimensionality::<Ix2>()?;
        out.slice_mut(s![first..first + items.len(), ..]).assign(&intensity);
        progress.advance(items.len() as u64, "");
    }
    Ok(out)
}

/// The labels of a split, `[N, emotions]`.
pub(super) fn labels(split: &EriSplit) -> Result<Array2<f32>> {
    let rows = (0..split.len()).map(|i| split.labels(i).with_context(|| format!("the clip {} has no labels", split.id(i))));
    let flat: Vec<f32> = rows.collect::<Result<Vec<_>>>()?.into_iter().flatten().copied().collect();
    Ok(Array2::from_shape_vec((split.len(), split.emotions().len()), flat)?)
}

/// Scores over the whole split.
pub(super) fn score(split: &EriSplit, predicted: &Array2<f32>) -> Result<EriScores> {
    score_against(predicted.view(), labels(split)?.view(), split.emotions())
}

pub(super) fn score_against(predicted: ArrayView2<'_, f32>, labels: ArrayView2<'_, f32>, emotions: &[String]) -> Result<EriScores> {
    Ok(eri_of(predicted, labels, emotions)?)
}
