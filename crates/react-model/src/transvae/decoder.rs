//! The listener's side.
//!
//! ```text
//! z = latent sample of the behaviour             q = dropout(positions)
//! r₁ = decoder₁(q, memory z)                     r = decoder₂(r₁, memory r₁)          causal masks on self-attention only
//! coeffs = Linear d→58 (r)                       emotion = Linear d→25 (Linear (d+58)→d (cat(coeffs, r)))
//! ```

use super::{Config, Latent, LatentModel, Noise, OnlineDecoder, Reaction, Task};
use crate::layers::{DecoderLayer, Linear, positions};
use crate::ops::dropout;
use crate::tape;
use crate::{Mode, Result, Scope};
use candle_core::Tensor;
use react_contracts::{ATTRIBUTES, COEFFS, Coeffs3dmm, Emotion};

/// From the behaviour to the reaction.
#[derive(Clone, Debug)]
pub struct ReactionDecoder {
    pub(super) vae_model: LatentModel,
    decoder_1: DecoderLayer,
    decoder_2: DecoderLayer,
    coeffs_map: Linear,
    emotion_map: [Linear; 2],
    /// What only the online model has.
    pub(super) online: Option<OnlineDecoder>,
    dropout: f32,
    site: String,
}

impl ReactionDecoder {
    pub(super) fn new(config: &Config, scope: &Scope) -> Result<Self> {
        let d = config.width;
        let decoder = |name: &str| DecoderLayer::new(&config.transformer(), &scope.at(name).at("layers").at("0"));
        let emotion = scope.at("listener_reaction_emotion_map_layer");
        Ok(Self {
            vae_model: LatentModel::new(config, &scope.at("vae_model"))?,
            decoder_1: decoder("listener_reaction_decoder_1")?,
            decoder_2: decoder("listener_reaction_decoder_2")?,
            coeffs_map: Linear::new(d, COEFFS, &scope.at("listener_reaction_3dmm_map_layer"))?,
            emotion_map: [Linear::new(d + COEFFS, d, &emotion.at("0"))?, Linear::new(d, ATTRIBUTES, &emotion.at("1"))?],
            online: match config.task {
                Task::Offline => None,
                Task::Online => Some(OnlineDecoder::new(config, scope)?),
            },
            dropout: config.dropout,
            site: scope.path("PE"),
        })
    }

    pub(super) fn forward(&self, behaviour_btd: &Tensor, noise: &Noise, mode: &Mode) -> Result<Reaction> {
        let (b, t, _) = behaviour_btd.dims3()?;
        let latent = self.vae_model.forward(behaviour_btd, mode)?;
        let sample_nd = sample(&latent, noise, 0, b)?;
        let reaction_ntd = self.decode(&sample_nd, t, mode)?;
        let coeffs = self.coeffs(&reaction_ntd, mode)?;
        let emotion = self.emotion(&coeffs, &reaction_ntd, mode)?;
        Ok(Reaction { emotion: Emotion::new(emotion)?, coeffs: Coeffs3dmm::new(coeffs)?, latents: vec![latent] })
    }

    /// The first head: `[n, t, d]` → `[n, t, 58]`.
    pub(super) fn coeffs(&self, features_ntd: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.coeffs_map.forward(features_ntd, mode)
    }

    /// The second head: coefficients `[n, t, 58]` and reaction `[n, t, d]` → `[n, t, 25]`.
    pub(super) fn emotion(&self, coeffs: &Tensor, reaction_ntd: &Tensor, mode: &Mode) -> Result<Tensor> {
        self.emotion_map[1].forward(&self.emotion_map[0].forward_both([coeffs, reaction_ntd], mode)?, mode)
    }

    /// samples `[n, d]` → `[n, t, d]`.
    fn decode(&self, sample_nd: &Tensor, frames: usize, mode: &Mode) -> Result<Tensor> {
        self.decode_queries(&self.queries(sample_nd, frames, mode)?, sample_nd, mode)
    }

    /// What the memory of samples `[n, d]` meets: `[n, t, d]` with dropout, `[1, t, d]` without.
    pub(super) fn queries(&self, sample_nd: &Tensor, frames: usize, mode: &Mode) -> Result<Tensor> {
        let (n, d) = sample_nd.dims2()?;
        let mut queries = positions(frames, d, sample_nd.device())?.unsqueeze(0)?;
        if mode.has_dropout() {
            queries = dropout(&queries.broadcast_as((n, frames, d))?.contiguous()?, self.dropout, mode, &self.site)?;
        }
        // Without dropout the queries of all samples are the same until the memory comes in.
        self.decoder_1.forward_self(&queries, mode)
    }

    /// The rest: [`Self::queries`] and samples `[n, d]` → `[n, t, d]`.
    pub(super) fn decode_queries(&self, queries: &Tensor, sample_nd: &Tensor, mode: &Mode) -> Result<Tensor> {
        let ((n, d), frames) = (sample_nd.dims2()?, queries.dim(1)?);
        let attended_ntd = if queries.dim(0)? == n { queries.clone() } else { tape::expand(queries, (n, frames, d))? };
        let first = self.decoder_1.forward_memory(&attended_ntd, &tape::unsqueeze(sample_nd, 1)?, mode)?;
        self.decoder_2.forward(&first, &first, mode)
    }
}

/// z = mu + eps·std of a window: a distribution for each of `batch` clips, or for each of their samples already → `[n, d]`.
pub(super) fn sample(latent: &Latent, noise: &Noise, window: usize, batch: usize) -> Result<Tensor> {
    let (rows, d) = latent.mu.dims2()?;
    let Some(eps_bkd) = noise.window(window, batch, d, latent.mu.device())? else { return Ok(latent.mu.clone()) };
    let each = |x: &Tensor| tape::reshape(x, (batch, rows / batch, d));
    let spread = tape::mul(&each(&latent.std)?, &eps_bkd)?;
    Ok(tape::flatten(&tape::add(&each(&latent.mu)?, &spread)?, 0)?)
}
