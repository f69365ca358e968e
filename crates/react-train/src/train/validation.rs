//! Validation: which weights are the best so far.

use super::Stop;
use super::log::Log;
use super::pictures::{Pictures, pictures};
use super::state::State;
use crate::Record;
use crate::tensors::to_device;
use anyhow::{Result, ensure};
use candle_core::Tensor;
use react_model::loss::reconstruction;
use react_model::transvae::Noise;

/// A validation's record, and what it looks like where TensorBoard is wished for.
pub(super) struct Validation {
    pub(super) record: Record,
    pub(super) pictures: Pictures,
}

impl State<'_> {
    /// Whether a validation belongs here that was not made yet.
    pub(super) fn validation_due(&self) -> bool {
        let (epoch, ended) = self.plan().epochs_after(self.steps());
        let last = self.steps() == self.plan().steps();
        ended && (last || epoch.is_multiple_of(u64::from(self.config.train.validate_every))) && self.selection.validated != self.steps()
    }

    /// Mean reconstruction loss and KL divergence over the whole clips of the split, with the latent means; the weights with the
    /// least reconstruction + kl_p · KL are the best. None where it was stopped: it is made again from its beginning.
    pub(super) fn validate(&mut self, stop: &Stop, log: &Log) -> Result<Option<Validation>> {
        let online;
        let model = match &self.average {
            Some(average) => &average.model,
            None => {
                online = self.model.with_windows(self.config.evaluate.windows())?;
                &online
            }
        };
        let (mut sum, mut kl_sum, clips) = (0.0, 0.0, self.validation.len());
        let mut pictured = Pictures::new();
        let mut add = |losses: Tensor| -> Result<()> {
            let losses = losses.to_vec1::<f32>()?;
            let Some((reconstruction, kl)) = losses.split_first() else { return Ok(()) };
            sum += f64::from(*reconstruction);
            kl.iter().for_each(|kl_of_latent| kl_sum += f64::from(*kl_of_latent) / kl.len() as f64);
            Ok(())
        };
        // A clip's losses are read when the next clip is on its way: a card computes the one while the other is fetched.
        let mut made = None;
        for item in 0..clips {
            if stop.asked(self.steps()) {
                return Ok(None);
            }
            log.validating(item, clips);
            let batch = self.validation.whole(&[item])?;
            made.take().map_or(Ok(()), &mut add)?;
            let batch = to_device(batch, self.compute.device())?;
            let behaviour = model.encode(batch.speaker_video(), batch.speaker_audio(), &self.compute.eval())?;
            let reaction = model.react(&behaviour, &Noise::Mean, &self.compute.eval())?;
            let mut losses = vec![reconstruction(&reaction, batch.listener_emotion(), batch.listener_3dmm())?];
            for latent in &reaction.latents {
                losses.push(latent.kl()?);
            }
            made = Some(Tensor::stack(&losses, 0)?);
            if item == 0 && self.config.train.tensorboard {
                pictured = pictures(&self.validation, item, &reaction, self.fps)?;
            }
        }
        made.take().map_or(Ok(()), &mut add)?;
        let (reconstruction, kl) = (sum / clips as f64, kl_sum / clips as f64);
        let selection = reconstruction + self.config.train.kl_p * kl;
        ensure!(selection.is_finite(), "the validation after step {} is not finite", self.steps());
        self.select(selection)?;
        let epoch = u32::try_from(self.plan().epochs_after(self.steps()).0)?;
        let record = Record::Validation { epoch, step: self.steps(), reconstruction, kl, selection };
        Ok(Some(Validation { record, pictures: pictured }))
    }

    fn select(&mut self, value: f64) -> Result<()> {
        let better = self.selection.best.is_none_or(|best| value < best);
        if better {
            self.save_best()?;
            self.selection.best = Some(value);
        }
        self.selection.worse_since = if better { 0 } else { self.selection.worse_since + 1 };
        self.selection.validated = self.steps();
        self.unsaved = true;
        Ok(())
    }
}
