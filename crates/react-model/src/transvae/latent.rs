//! The latent distribution of a reaction.
//!
//! ```text
//! [m, l, …] = encoder layer([mu_token, logvar_token, Linear d→d (x)…])     mu = m     std = √exp(l)     z = mu + eps·std
//! ```
//!
//! Only the two tokens' rows are read, so only theirs are computed (Petrovich, Black, Varol, "Action-conditioned 3D human motion
//! synthesis with transformer VAE", 2021).

use super::decoder::sample;
use super::{Config, Noise};
use crate::gpu::{is_gpu, latent as on_gpu, run_for};
use crate::layers::{EncoderLayer, Linear, RunningEncoder};
use crate::tape;
use crate::{Init, Mode, Result, Scope};
use candle_core::Tensor;

/// A diagonal normal distribution, `[b, d]` each.
#[derive(Clone, Debug)]
pub struct Latent {
    /// Mean.
    pub mu: Tensor,
    /// Standard deviation.
    pub std: Tensor,
    /// ln of the variance, as the network gives it.
    pub logvar: Tensor,
}

impl Latent {
    /// Of the two tokens' rows, `[b, 2, d]`.
    fn of_tokens(tokens_b2d: &Tensor) -> Result<Self> {
        let [mu, logvar] = Self::rows(tokens_b2d)?;
        let std = tape::exp_of(&logvar, 0.5)?;
        Ok(Self { mu, std, logvar })
    }

    /// mu and logvar of the two tokens' rows.
    fn rows(tokens_b2d: &Tensor) -> Result<[Tensor; 2]> {
        let row = |i| tape::squeeze(&tape::narrow(tokens_b2d, 1, i, 1)?, 1);
        Ok([row(0)?, row(1)?])
    }

    /// The distributions and samples of the same draws `[…, d]`, as many of each, in one launch on a GPU.
    fn drawn_on_gpu(tokens_b2d: &Tensor, eps: &Tensor) -> Result<(Self, Tensor)> {
        let (b, _, d) = tokens_b2d.dims3()?;
        let samples = eps.elem_count() / d.max(1);
        let plan = on_gpu::sample([b, samples, d]);
        let [mu, logvar] = Self::rows(tokens_b2d)?;
        let [std, z] = run_for(&plan, tokens_b2d.device(), &[&tokens_b2d.contiguous()?, &eps.contiguous()?])?;
        Ok((Self { mu, std: std.reshape((b, d))?, logvar }, z.reshape((samples, d))?))
    }

    /// Mean over batch and channels of KL(N(mu, std) ‖ N(0, 1)) = (σ² + mu² − 1 − ln σ²)/2: a scalar.
    ///
    /// # Errors
    /// Candle's.
    pub fn kl(&self) -> Result<Tensor> {
        let inside = ((self.logvar.exp()? + self.mu.sqr()?)? - &self.logvar)?;
        Ok(((inside.mean_all()? - 1.0)? * 0.5)?)
    }
}

/// From a sequence to its latent distribution.
#[derive(Clone, Debug)]
pub struct LatentModel {
    linear: Linear,
    mu_token: Tensor,
    logvar_token: Tensor,
    encoder: EncoderLayer,
}

impl LatentModel {
    pub(super) fn new(config: &Config, scope: &Scope) -> Result<Self> {
        let d = config.width;
        Ok(Self {
            linear: Linear::new(d, d, &scope.at("linear"))?,
            mu_token: scope.get("mu_token", &[d], Init::Normal)?,
            logvar_token: scope.get("logvar_token", &[d], Init::Normal)?,
            encoder: EncoderLayer::new(&config.transformer(), &scope.at("seqTransEncoder").at("layers").at("0"))?,
        })
    }

    /// x `[b, t, d]` → the distribution, `[b, d]`.
    ///
    /// # Errors
    /// Candle's, where shapes do not fit.
    pub fn forward(&self, x_btd: &Tensor, mode: &Mode) -> Result<Latent> {
        let (b, _, d) = x_btd.dims3()?;
        let token = |t: &Tensor| tape::expand(&tape::reshape(&mode.parameter(t), (1, 1, d))?, (b, 1, d));
        let sequence = tape::cat(&[&token(&self.mu_token)?, &token(&self.logvar_token)?, &self.linear.forward(x_btd, mode)?], 1)?;
        let tokens_b2d = self.encoder.forward_first(&sequence, 2, mode)?;
        Latent::of_tokens(&tokens_b2d)
    }

    /// The same of `rows` sequences that grow.
    pub(super) fn running(&self, rows: usize) -> Result<RunningLatent> {
        let d = self.mu_token.elem_count();
        let tokens_12d = Tensor::stack(&[&self.mu_token.detach(), &self.logvar_token.detach()], 0)?.unsqueeze(0)?;
        let encoder = self.encoder.running(&tokens_12d.broadcast_as((rows, 2, d))?.contiguous()?)?;
        Ok(RunningLatent { linear: self.linear.clone(), encoder })
    }
}

/// From a sequence that grows to its latent distribution: the tokens' queries never change, so their attention is a running sum.
#[derive(Clone, Debug)]
pub(super) struct RunningLatent {
    linear: Linear,
    encoder: RunningEncoder,
}

impl RunningLatent {
    /// The distribution if the sequence ended with x `[n, w, d]`, and its samples of a window `[n, d]`.
    pub(super) fn with(&self, x_nwd: &Tensor, noise: &Noise, window: usize) -> Result<(Latent, Tensor)> {
        let tokens_n2d = self.encoder.with(&self.linear.forward(x_nwd, &Mode::eval())?)?;
        if is_gpu(&tokens_n2d)
            && let Some(eps) = noise.window(window, 1, tokens_n2d.dim(2)?, tokens_n2d.device())?
        {
            return Latent::drawn_on_gpu(&tokens_n2d, &eps);
        }
        let latent = Latent::of_tokens(&tokens_n2d)?;
        let sample_nd = sample(&latent, noise, window, 1)?;
        Ok((latent, sample_nd))
    }

    /// The sequence goes on with x `[n, w, d]`.
    pub(super) fn push(&mut self, x_nwd: &Tensor) -> Result<()> {
        self.encoder.push(&self.linear.forward(x_nwd, &Mode::eval())?)
    }
}
