//! What a validation looks like, for TensorBoard: one clip with the mean of the latent.

use crate::tensors::array;
use anyhow::Result;
use ndarray::{Ix3, s};
use react_data::{PackedSplit, Role};
use react_face::{Avatar, Person};
use react_model::transvae::Reaction;
use react_viz::plots::{ChannelTraces, channels, coefficients};
use react_viz::strip::{Strip, evenly, strip_png};
use react_viz::{Ground, Listener};

/// Moments of the filmstrip.
const COLUMNS: usize = 8;
/// Pixels of a picture's side in it.
const SIDE: usize = 96;

/// Tags and PNG files.
pub(super) type Pictures = Vec<(&'static str, Vec<u8>)>;

/// The speaker, the real listener and the generated one of an item as a filmstrip, and their attributes and coefficients over time.
pub(super) fn pictures(split: &PackedSplit, item: usize, reaction: &Reaction, fps: f64) -> Result<Pictures> {
    let emotion = array(reaction.emotion.get())?.into_dimensionality::<Ix3>()?;
    let coeffs = array(reaction.coeffs.get())?.into_dimensionality::<Ix3>()? + split.mean_face();
    let (speaker, listener) = (split.clip(item, Role::Speaker)?, split.clip(item, Role::Listener)?);
    let frames = emotion.shape()[1].min(coeffs.shape()[1]);
    let cut = s![..frames, ..];

    let avatar = Avatar::Embedded(Person::average());
    let listeners = [
        Listener { label: "True listener", coeffs: listener.coeffs()?.slice_move(cut), avatar: &avatar },
        Listener { label: "Generated", coeffs: coeffs.slice(s![0, ..frames, ..]), avatar: &avatar },
    ];
    let video = speaker.frames()?;
    let moments = evenly(frames, COLUMNS.min(frames));
    let strip = Strip { speaker: Some(video.view()), listeners: &listeners, fps, frames: &moments, side: SIDE };

    let traces = ChannelTraces {
        fps,
        speaker: Some(speaker.emotion()?.slice_move(cut)),
        truth: Some(listener.emotion()?.slice_move(cut)),
        samples: Some(emotion.slice(s![.., ..frames, ..])),
        lines: 1,
    };
    let (moving, title) = (ChannelTraces { samples: Some(coeffs.slice(s![.., ..frames, ..])), ..traces }, speaker.id().path());
    let moving =
        ChannelTraces { speaker: Some(speaker.coeffs()?.slice_move(cut)), truth: Some(listener.coeffs()?.slice_move(cut)), ..moving };
    Ok(vec![
        ("validation/faces", strip_png(&strip)?),
        ("validation/attributes", channels(title, &traces)?.png(1.0, Ground::Light)?),
        ("validation/coefficients", coefficients(title, &moving)?.png(1.0, Ground::Light)?),
    ])
}
