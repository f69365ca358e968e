//! The listener's side, window by window.
//!
//! ```text
//! window i of w frames, after a past of p = i·w
//! fused  = Linear (d+58+25)→d (cat(behaviour of the frames so far, past coeffs and zeros, past emotion and zeros))
//! z      = latent sample of fused                r = decoder₂(decoder₁(positions, z), …)        positions restart in each window
//! i = 0  coeffs = Linear d→58 (r)
//! i > 0  all = cat(Linear 58→d (past coeffs), Linear d→d (r))
//!        h = decoder_3d(all, memory all)[p..]    causal self-attention; the memory is not masked
//!        coeffs = Linear d→58 (LSTM(h; h₀ = c₀ = last frame of the past))
//! emotion = Linear (Linear (cat(coeffs, r)))
//! ```
//!
//! What a past frame adds to `fused`, and the keys and values that later windows read of it, never change: they are computed once.

use super::decoder::sample;
use super::{Behaviour, Config, Noise, Reaction, ReactionDecoder};
use crate::layers::{DecoderLayer, DecoderPast, Linear, Lstm};
use crate::tape;
use crate::{Mode, ModelError, Result, Scope};
use candle_core::Tensor;
use react_contracts::{COEFFS, Coeffs3dmm, Emotion};

/// The layers that only the online model has.
#[derive(Clone, Debug)]
pub struct OnlineDecoder {
    linear_3d: Linear,
    linear_reaction: Linear,
    decoder_3d: DecoderLayer,
    lstm: Lstm,
}

impl OnlineDecoder {
    pub(super) fn new(config: &Config, scope: &Scope) -> Result<Self> {
        let d = config.width;
        let layer = scope.at("listener_reaction_decoder_3d").at("layers").at("0");
        Ok(Self {
            linear_3d: Linear::new(COEFFS, d, &scope.at("linear_3d"))?,
            linear_reaction: Linear::new(d, d, &scope.at("linear_reaction"))?,
            decoder_3d: DecoderLayer::new(&config.transformer(), &layer)?,
            lstm: Lstm::new(d, d, &scope.at("lstm"))?,
        })
    }
}

/// The past as the next window reads it.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    /// Keys and values of the past frames.
    cache: DecoderPast,
    /// The last past frame, `[n, d]`.
    last: Option<Tensor>,
    /// What decodes any window of as many frames before its sample comes in, where it does not change: without dropout and gradients.
    queries: Option<Tensor>,
}

impl Past {
    /// The decoder's queries for a window of as many frames, `[1, w, d]` or one for each sample.
    fn queries(&mut self, decoder: &ReactionDecoder, frames: usize, sample_nd: &Tensor, mode: &Mode) -> Result<Tensor> {
        if mode.has_gradient() || mode.has_dropout() {
            return decoder.queries(sample_nd, frames, mode);
        }
        let kept = self.queries.take().filter(|queries| queries.dims().get(1) == Some(&frames));
        let queries = kept.map_or_else(|| decoder.queries(sample_nd, frames, mode), Ok)?;
        self.queries = Some(queries.clone());
        Ok(queries)
    }

    /// Forgets all but the last frames.
    pub(super) fn keep(&mut self, frames: usize) -> Result<()> {
        self.cache.keep(frames)
    }
}

/// What a window generates: `[n, w, 58]` and `[n, w, 25]`.
pub(super) struct Generated {
    pub(super) coeffs: Tensor,
    pub(super) emotion: Tensor,
}

impl Generated {
    fn last(&self, frames: usize) -> Result<Self> {
        let last = |x: &Tensor| x.narrow(1, x.dim(1)? - frames, frames);
        Ok(Self { coeffs: last(&self.coeffs)?, emotion: last(&self.emotion)? })
    }

    /// The next window, its first frames mixed with what this one foresaw of them: more of this one at first, less and less then.
    fn fade_into(&self, next: &Self) -> Result<Self> {
        let fade = |ahead: &Tensor, next: &Tensor| -> Result<Tensor> {
            let frames = ahead.dim(1)?.min(next.dim(1)?);
            let shares: Vec<f32> = (1..=frames).map(|i| i as f32 / (frames + 1) as f32).collect();
            let share = Tensor::from_vec(shares, (1, frames, 1), next.device())?;
            let (ahead, first) = (ahead.narrow(1, 0, frames)?, next.narrow(1, 0, frames)?);
            let mixed = (&ahead + (first - &ahead)?.broadcast_mul(&share)?)?;
            Ok(Tensor::cat(&[&mixed, &next.narrow(1, frames, next.dim(1)? - frames)?], 1)?)
        };
        Ok(Self { coeffs: fade(&self.coeffs, &next.coeffs)?, emotion: fade(&self.emotion, &next.emotion)? })
    }
}

impl ReactionDecoder {
    fn online(&self) -> Result<&OnlineDecoder> {
        let what = "must be online: this model has no layers for windows".to_owned();
        self.online.as_ref().ok_or(ModelError::Config { field: "task", what })
    }

    /// The reactions of all windows, cross-faded over the first `overlap` frames of each. Frames after the last window's end are zeros.
    pub(super) fn forward_online(
        &self,
        behaviour: &Behaviour,
        fusion: &Linear,
        noise: &Noise,
        overlap: usize,
        mode: &Mode,
    ) -> Result<Reaction> {
        let Behaviour { windows: behaviours, frames } = behaviour;
        let (mut past, mut fused_past): (Past, Option<Tensor>) = (Past::default(), None);
        let (mut coeffs, mut emotion, mut latents) = (Vec::new(), Vec::new(), Vec::new());
        let (mut start, mut ahead): (usize, Option<Generated>) = (0, None);
        for (i, behaviour_bed) in behaviours.iter().enumerate() {
            let mode = mode.at_window(u32::try_from(i).unwrap_or(u32::MAX));
            let (b, end, _) = behaviour_bed.dims3()?;
            let rows = noise.rows(b)?;
            let base_bed = fusion.forward_first(behaviour_bed, &mode)?;
            let fused = with_past(&base_bed, fused_past.as_ref(), rows, end - start)?;
            let latent = self.vae_model.forward(&fused, &mode)?;
            let mut sample_nd = sample(&latent, noise, i, b)?;
            if sample_nd.dim(0)? != rows {
                sample_nd = repeat(&sample_nd, rows / b)?;
            }
            let last = i + 1 == behaviours.len();
            // Only where a window looks ahead: what is shared must be copied before it grows.
            let before = (overlap > 0 && !last).then(|| past.clone());
            let mut window = self.window(&sample_nd, end - start, &mut past, &mode)?;
            if !last {
                let fused_now = fused_part(fusion, &window, None, &mode)?;
                fused_past = Some(match fused_past.take() {
                    Some(before) => tape::cat(&[before, fused_now], 1)?,
                    None => fused_now,
                });
            }
            if let Some(ahead) = ahead.take() {
                window = ahead.fade_into(&window)?;
            }
            if let Some(mut before) = before {
                ahead = Some(self.window(&sample_nd, end - start + overlap, &mut before, &mode)?.last(overlap)?);
            }
            coeffs.push(window.coeffs);
            emotion.push(window.emotion);
            latents.push(latent);
            start = end;
        }
        let (mut coeffs, mut emotion) = (tape::cat(&coeffs, 1)?, tape::cat(&emotion, 1)?);
        if start < *frames {
            (coeffs, emotion) = (tape::pad(&coeffs, 1, 0, frames - start)?, tape::pad(&emotion, 1, 0, frames - start)?);
        }
        Ok(Reaction { emotion: Emotion::new(emotion)?, coeffs: Coeffs3dmm::new(coeffs)?, latents })
    }

    /// A window of w frames from its samples `[n, d]`; it becomes the past's end.
    pub(super) fn window(&self, sample_nd: &Tensor, frames: usize, past: &mut Past, mode: &Mode) -> Result<Generated> {
        let online = self.online()?;
        let queries_1wd = past.queries(self, frames, sample_nd, mode)?;
        let reaction_nwd = self.decode_queries(&queries_1wd, sample_nd, mode)?;
        let features_nwd = match &past.last {
            Some(last) => {
                let now = online.linear_reaction.forward(&reaction_nwd, mode)?;
                let attended = online.decoder_3d.forward_after(&now, &mut past.cache, mode)?;
                online.lstm.forward_after(&attended, last, mode)?
            }
            None => reaction_nwd.clone(),
        };
        let coeffs = self.coeffs(&features_nwd, mode)?;
        let emotion = self.emotion(&coeffs, &reaction_nwd, mode)?;
        let over = online.linear_3d.forward(&coeffs, mode)?;
        online.decoder_3d.remember(&over, &mut past.cache, mode)?;
        past.last = Some(tape::squeeze(&tape::narrow(&over, 1, frames - 1, 1)?, 1)?);
        Ok(Generated { coeffs, emotion })
    }
}

/// What a window's reaction adds to `fused` once it is past, `[n, w, d]`; with `to`, the sum of both.
pub(super) fn fused_part(fusion: &Linear, window: &Generated, to: Option<&Tensor>, mode: &Mode) -> Result<Tensor> {
    fusion.forward_last([&window.coeffs, &window.emotion], to, mode)
}

/// `fused` of `rows` samples `[n, e, d]`: the speaker's part `[b, e, d]` and that of the windows before; the current one adds
/// nothing. Without a past the samples of a clip are alike, and stay one: `[b, e, d]`.
fn with_past(base_bed: &Tensor, past: Option<&Tensor>, rows: usize, window: usize) -> Result<Tensor> {
    let Some(past) = past else { return Ok(base_bed.clone()) };
    let (b, end, d) = base_bed.dims3()?;
    let past = tape::pad(past, 1, 0, window)?;
    let past = tape::reshape(&past, (b, rows / b, end, d))?;
    Ok(tape::flatten(&tape::add(&tape::unsqueeze(base_bed, 1)?, &past)?, 0)?)
}

/// `[b, d]` → `[b·k, d]`.
fn repeat(x_bd: &Tensor, k: usize) -> Result<Tensor> {
    let (b, d) = x_bd.dims2()?;
    Ok(tape::flatten(&tape::expand(&tape::unsqueeze(x_bd, 1)?, (b, k, d))?, 0)?)
}
