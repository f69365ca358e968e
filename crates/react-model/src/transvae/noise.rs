use crate::{ModelError, Result};
use candle_core::{Device, Tensor};
use react_random::Draws;

/// The standard-normal draws of the latent samples, one for each window and row; offline there is one window.
#[derive(Clone, Debug)]
pub enum Noise {
    /// None: the latent mean, one sample of each clip ("temperature 0").
    Mean,
    /// Draws `[windows, b·k, d]`, k samples of each clip one after the other.
    Given(Tensor),
    /// Drawn when a window comes: see [`Noise::training`].
    Training {
        /// The run's seed.
        seed: u64,
        /// The optimizer step.
        step: u32,
        /// The pass within the step.
        pass: u32,
    },
    /// Drawn when a window comes: see [`Noise::samples`].
    Samples {
        /// Seed of the samples.
        seed: u64,
        /// Numbers of the clips of the batch.
        clips: Vec<u32>,
        /// k, the samples of each clip.
        samples: usize,
        /// What the draws are multiplied by.
        temperature: f32,
    },
}

impl Noise {
    /// The draws of a training step, one sample of each clip: functions of (seed, step, pass, window).
    #[must_use]
    pub fn training(seed: u64, step: u32, pass: u32) -> Self {
        Self::Training { seed, step, pass }
    }

    /// `samples` draws for each clip, times `temperature`. A draw is a function of (seed, the clip's number, the sample's, the
    /// window's): neither batch size nor order of the clips changes it.
    #[must_use]
    pub fn samples(seed: u64, clips: &[u32], samples: usize, temperature: f32) -> Self {
        Self::Samples { seed, clips: clips.to_vec(), samples, temperature }
    }

    /// How many reactions these draws give for `batch` clips.
    ///
    /// # Errors
    /// [`ModelError::Config`] where they do not fit the batch.
    pub(super) fn rows(&self, batch: usize) -> Result<usize> {
        let fault = |what: String| Err(ModelError::Config { field: "noise", what });
        match self {
            Self::Mean | Self::Training { .. } => Ok(batch),
            Self::Given(eps) => match *eps.dims() {
                [_, rows, _] if rows > 0 && rows.is_multiple_of(batch.max(1)) => Ok(rows),
                ref found => fault(format!("draws {found:?} are not [windows, a multiple of {batch}, d]")),
            },
            Self::Samples { clips, samples, .. } if clips.len() == batch && *samples > 0 => Ok(batch * samples),
            Self::Samples { clips, samples, .. } => fault(format!("{samples} samples of {} clips for a batch of {batch}", clips.len())),
        }
    }

    /// The draws of a window for `batch` clips of width d: `[b, k, d]`, or none.
    pub(super) fn window(&self, window: usize, batch: usize, width: usize, device: &Device) -> Result<Option<Tensor>> {
        let rows = self.rows(batch)?;
        let shape = (batch, rows / batch.max(1), width);
        let mut eps = vec![0.0; rows * width];
        match self {
            Self::Mean => return Ok(None),
            Self::Given(eps) => {
                if window >= eps.dim(0)? || eps.dim(2)? != width {
                    let what = format!("draws {:?} are not [windows > {window}, a multiple of {batch}, {width}]", eps.dims());
                    return Err(ModelError::Config { field: "noise", what });
                }
                return Ok(Some(eps.narrow(0, window, 1)?.reshape(shape)?.to_device(device)?));
            }
            Self::Training { seed, step, pass } => {
                Draws::new(*seed, &purpose("latent of training", window), *step, *pass).fill_normal(&mut eps);
            }
            Self::Samples { seed, clips, samples, temperature } => {
                let purpose = purpose("latent", window);
                for (i, row) in eps.chunks_exact_mut(width.max(1)).enumerate() {
                    Draws::new(*seed, &purpose, clips[i / samples], (i % samples) as u32).fill_normal(row);
                    row.iter_mut().for_each(|e| *e *= temperature);
                }
            }
        }
        Ok(Some(Tensor::from_vec(eps, shape, device)?))
    }
}

/// The first window's draws are those of the offline model.
fn purpose(name: &str, window: usize) -> String {
    if window == 0 { name.to_owned() } else { format!("{name}, window {window}") }
}
