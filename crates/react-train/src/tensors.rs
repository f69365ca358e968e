//! Arrays of the loader to tensors of the network, and back.

use anyhow::Result;
use candle_core::{Device, Tensor, WithDType};
use ndarray::{Array, ArrayD, Dimension, IxDyn};
use react_contracts::{AudioFeatures, Batch, Coeffs3dmm, Emotion, Frames, Storage};
use react_data::HostBatch;

/// A batch on the network's device.
pub(crate) type DeviceBatch = Batch<Tensor, Tensor>;

/// Moves a batch to tensors; values are moved, not copied, where they are contiguous.
pub(crate) fn to_device(batch: HostBatch, device: &Device) -> Result<DeviceBatch> {
    let (frames, audio, speaker, listener, coeffs) = batch.into_parts();
    Ok(Batch::new(
        Frames::new(tensor(frames.into_inner(), device)?)?,
        AudioFeatures::new(tensor(audio.into_inner(), device)?)?,
        Emotion::new(tensor(speaker.into_inner(), device)?)?,
        Emotion::new(tensor(listener.into_inner(), device)?)?,
        Coeffs3dmm::new(tensor(coeffs.into_inner(), device)?)?,
    )?)
}

/// An array as a tensor.
pub(crate) fn tensor<T: WithDType, D: Dimension>(array: Array<T, D>, device: &Device) -> Result<Tensor> {
    let shape = array.shape().to_vec();
    let values = if array.is_standard_layout() { array.into_raw_vec_and_offset().0 } else { array.iter().copied().collect() };
    Ok(Tensor::from_vec(values, shape, device)?)
}

/// A tensor of f32 as an array.
pub(crate) fn array(tensor: &Tensor) -> Result<ArrayD<f32>> {
    Ok(ArrayD::from_shape_vec(IxDyn(Storage::dims(tensor)), tensor.flatten_all()?.to_vec1::<f32>()?)?)
}
