//! The listener's side.
//!
//! ```text
//! z = latent sample of the behaviour             q = dropout(positions)
//! r₁ = decoder₁(q, memory z)                     r = decoder₂(r₁, memory r₁)          causal masks on self-attention only
//! coeffs = Linear d→58 (r)                       emotion = Linear d→25 (Linear (d+58)→d (cat(coeffs, r)))
//! ```

use super::{Config, LatentModel, Noise, Reaction};
use crate::layers::{DecoderLayer, Linear, positions};
use crate::ops::dropout;
use crate::{Mode, Result, Scope};
use candle_core::Tensor;
use react_contracts::{ATTRIBUTES, COEFFS, Coeffs3dmm, Emotion};

/// From the behaviour to the reaction.
#[derive(Clone, Debug)]
pub struct ReactionDecoder {
    vae_model: LatentModel,
    decoder_1: DecoderLayer,
    decoder_2: DecoderLayer,
    coeffs_map: Linear,
    emotion_map: [Linear; 2],
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
            dropout: config.dropout,
            site: scope.path("PE"),
        })
    }

    pub(super) fn forward(&self, behaviour_btd: &Tensor, noise: &Noise, mode: &Mode) -> Result<Reaction> {
        let (b, t, d) = behaviour_btd.dims3()?;
        let latent = self.vae_model.forward(behaviour_btd, mode)?;
        let sample_nd = match noise.window(0, b, d, behaviour_btd.device())? {
            None => latent.mu.clone(),
            Some(eps_bkd) => {
                let spread = latent.std.unsqueeze(1)?.broadcast_mul(&eps_bkd)?;
                latent.mu.unsqueeze(1)?.broadcast_add(&spread)?.flatten(0, 1)?
            }
        };
        let reaction_ntd = self.decode(&sample_nd, t, mode)?;
        let coeffs = self.coeffs_map.forward(&reaction_ntd, mode)?;
        let both = Tensor::cat(&[&coeffs, &reaction_ntd], 2)?;
        let emotion = self.emotion_map[1].forward(&self.emotion_map[0].forward(&both, mode)?, mode)?;
        Ok(Reaction { emotion: Emotion::new(emotion)?, coeffs: Coeffs3dmm::new(coeffs)?, latents: vec![latent] })
    }

    /// samples `[n, d]` → `[n, t, d]`.
    fn decode(&self, sample_nd: &Tensor, frames: usize, mode: &Mode) -> Result<Tensor> {
        let (n, d) = sample_nd.dims2()?;
        let memory_n1d = sample_nd.unsqueeze(1)?;
        let queries = positions(frames, d, sample_nd.device())?.unsqueeze(0)?;
        let attended_ntd = if mode.has_dropout() {
            let queries = dropout(&queries.broadcast_as((n, frames, d))?.contiguous()?, self.dropout, mode, &self.site)?;
            self.decoder_1.forward_self(&queries, mode)?
        } else {
            // Without dropout the queries of all samples are the same until the memory comes in.
            self.decoder_1.forward_self(&queries, mode)?.broadcast_as((n, frames, d))?.contiguous()?
        };
        let first = self.decoder_1.forward_memory(&attended_ntd, &memory_n1d, mode)?;
        self.decoder_2.forward(&first, &first, mode)
    }
}
