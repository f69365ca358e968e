//! Where a loss that is no number comes from: the first tensor on the way to it that holds such a value.

use crate::tensors::DeviceBatch;
use anyhow::Result;
use candle_core::Tensor;
use react_data::{Loader, Role};
use react_model::Params;
use react_model::transvae::{Behaviour, Reaction};

/// The first tensor that is not finite, with the place of its first such value: in the batch (then with the clip), among the
/// weights, in what the network made of them. None of them is where the loss overflows by itself.
pub(super) fn blame(
    batch: &DeviceBatch,
    loader: &Loader,
    number: u64,
    params: &Params,
    behaviour: &Behaviour,
    reaction: &Reaction,
) -> Result<String> {
    let inputs = [
        ("speaker_audio", batch.speaker_audio().get(), Role::Speaker),
        ("listener_emotion", batch.listener_emotion().get(), Role::Listener),
        ("listener_3dmm", batch.listener_3dmm().get(), Role::Listener),
    ];
    for (name, tensor, role) in inputs {
        if let Some(place) = first(tensor)? {
            return Ok(format!("{name}{place:?} of the batch, from {}, is not finite", clip(loader, number, place[0], role)?));
        }
    }
    for (name, weight) in params.all() {
        if let Some(place) = first(weight.as_tensor())? {
            return Ok(format!("the weight {name}{place:?} is not finite"));
        }
    }
    let latents = reaction.latents.iter().flat_map(|latent| [("latent mean", &latent.mu), ("latent std", &latent.std)]);
    let made = [("behaviour", behaviour.tensor())].into_iter().chain(latents);
    for (name, tensor) in made.chain([("3DMM of the reaction", reaction.coeffs.get()), ("emotion of the reaction", reaction.emotion.get())])
    {
        if let Some(place) = first(tensor)? {
            return Ok(format!("the {name}{place:?} is not finite, from finite data and weights"));
        }
    }
    Ok("all data, weights and outputs are finite".to_owned())
}

/// Where the first value that is not finite lies.
fn first(tensor: &Tensor) -> Result<Option<Vec<usize>>> {
    let values = tensor.flatten_all()?.to_vec1::<f32>()?;
    let Some(mut at) = values.iter().position(|value| !value.is_finite()) else { return Ok(None) };
    let mut place = Vec::with_capacity(tensor.rank());
    for n in tensor.dims().iter().rev() {
        place.push(at % n);
        at /= n;
    }
    place.reverse();
    Ok(Some(place))
}

/// The clip in a row of a batch, and its frames.
fn clip(loader: &Loader, number: u64, row: usize, role: Role) -> Result<String> {
    let batches = loader.steps_per_epoch().max(1) as u64;
    let (cuts, frames) = loader.cuts(u32::try_from(number / batches)?, usize::try_from(number % batches)?)?;
    let Some(cut) = cuts.get(row) else { return Ok("an unknown clip".to_owned()) };
    let role = match (role, cut.swap) {
        (Role::Speaker, false) | (Role::Listener, true) => Role::Speaker,
        (Role::Listener, false) | (Role::Speaker, true) => Role::Listener,
    };
    let clip = loader.split().clip(cut.item, role)?.id().path().to_owned();
    Ok(format!("{clip}, frames {}..{}", cut.start, cut.start + frames))
}
