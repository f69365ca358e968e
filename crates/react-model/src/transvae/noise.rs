use crate::{ModelError, Result};
use candle_core::{Device, Tensor};
use react_random::Draws;

/// The standard-normal draws of the latent samples.
#[derive(Clone, Debug)]
pub enum Noise {
    /// None: the latent mean, one sample of each clip ("temperature 0").
    Mean,
    /// Draws `[windows, b·k, d]`, k samples of each clip one after the other; offline there is one window.
    Given(Tensor),
}

impl Noise {
    /// The draws of a training step: a function of (seed, step, pass), `[1, b, d]`.
    ///
    /// # Errors
    /// Candle's.
    pub fn training(seed: u64, step: u32, pass: u32, batch: usize, width: usize) -> Result<Self> {
        let mut eps = vec![0.0; batch * width];
        Draws::new(seed, "latent of training", step, pass).fill_normal(&mut eps);
        Ok(Self::Given(Tensor::from_vec(eps, (1, batch, width), &Device::Cpu)?))
    }

    /// `samples` draws for each clip, times `temperature`: `[1, b·k, d]`. A draw is a function of (seed, the clip's number, the
    /// sample's): neither batch size nor order of the clips changes it.
    ///
    /// # Errors
    /// Candle's.
    pub fn samples(seed: u64, clips: &[u32], samples: usize, width: usize, temperature: f32) -> Result<Self> {
        let rows = clips.len() * samples;
        let mut eps = vec![0.0; rows * width];
        for (i, row) in eps.chunks_exact_mut(width.max(1)).enumerate() {
            Draws::new(seed, "latent", clips[i / samples], (i % samples) as u32).fill_normal(row);
            row.iter_mut().for_each(|e| *e *= temperature);
        }
        Ok(Self::Given(Tensor::from_vec(eps, (1, rows, width), &Device::Cpu)?))
    }

    /// The draws of a window for `batch` clips of width d: `[b, k, d]`, or none.
    pub(super) fn window(&self, window: usize, batch: usize, width: usize, device: &Device) -> Result<Option<Tensor>> {
        let Self::Given(eps) = self else { return Ok(None) };
        let fault = |what: String| Err(ModelError::Config { field: "noise", what });
        match *eps.dims() {
            [windows, rows, d] if window < windows && rows > 0 && rows.is_multiple_of(batch.max(1)) && d == width => {
                Ok(Some(eps.narrow(0, window, 1)?.reshape((batch, rows / batch, d))?.to_device(device)?))
            }
            ref found => fault(format!("draws {found:?} are not [windows > {window}, a multiple of {batch}, {width}]")),
        }
    }
}
