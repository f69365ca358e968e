//! One clip's channels over time.

use crate::Run;
use crate::config::Config;
use crate::evaluate::Evaluation;
use crate::predict::Checkpoint;
use crate::tensors::{array, to_device};
use anyhow::Result;
use candle_core::Device;
use ndarray::{Array2, Array3, Ix3, s};
use react_data::{Cut, Packed, Role};
use react_model::Mode;
use react_model::transvae::Noise;
use react_viz::Figure;
use react_viz::plots::{ChannelTraces, channels, coefficients};

/// Samples that are drawn as lines.
const LINES: usize = 3;

/// What is known of a clip over time: attributes as recorded and generated, coefficients with the mean face.
#[derive(Clone, Debug)]
pub struct Traces {
    /// The speaker's clip.
    pub name: String,
    /// Frames per second.
    pub fps: f64,
    /// `[t, 25]` of the speaker and of the real listener, `[k, t, 25]` of the samples.
    pub emotion: (Array2<f32>, Array2<f32>, Array3<f32>),
    /// `[t, 58]` of the speaker and of the real listener, `[k, t, 58]` of the samples.
    pub coeffs: (Array2<f32>, Array2<f32>, Array3<f32>),
}

/// The traces of an item of the evaluated split: the reactions are those that were scored.
///
/// # Errors
/// Where the packed corpus or the checkpoint is missing or does not fit.
pub fn traces(config: &Config, run: &Run, evaluation: &Evaluation, item: usize) -> Result<Traces> {
    let packed = Packed::open(&config.corpus.packed)?;
    let split = packed.split(&evaluation.split)?;
    let mut checkpoint = Checkpoint::read(&run.best())?;
    checkpoint.model = checkpoint.model.with_windows(config.evaluate.windows())?;
    let frames = evaluation.frames;
    let batch = to_device(split.batch(&[Cut { item, start: 0, swap: false }], frames)?, &Device::Cpu)?;
    let behaviour = checkpoint.model.encode(batch.speaker_video(), batch.speaker_audio(), &Mode::eval())?;
    let noise = Noise::samples(config.seed, &[u32::try_from(item)?], evaluation.samples, 1.0);
    let reaction = checkpoint.model.react(&behaviour, &noise, &Mode::eval())?;
    let (speaker, listener) = (split.clip(item, Role::Speaker)?, split.clip(item, Role::Listener)?);
    let cut = |values: ndarray::ArrayView2<'_, f32>| values.slice(s![..frames, ..]).to_owned();
    Ok(Traces {
        name: speaker.id().path().to_owned(),
        fps: packed.info().fps,
        emotion: (cut(speaker.emotion()?), cut(listener.emotion()?), array(reaction.emotion.get())?.into_dimensionality::<Ix3>()?),
        coeffs: (
            cut(speaker.coeffs()?),
            cut(listener.coeffs()?),
            array(reaction.coeffs.get())?.into_dimensionality::<Ix3>()? + split.mean_face(),
        ),
    })
}

impl Traces {
    /// The 25 attributes over time.
    ///
    /// # Errors
    /// Where there are no frames.
    pub fn attributes(&self) -> Result<Figure> {
        Ok(channels(&format!("Attributes of {}", self.name), &self.of(&self.emotion))?)
    }

    /// The 58 coefficients over time.
    ///
    /// # Errors
    /// Where there are no frames.
    pub fn coefficients(&self) -> Result<Figure> {
        Ok(coefficients(&format!("3DMM coefficients of {}", self.name), &self.of(&self.coeffs))?)
    }

    fn of<'a>(&self, (speaker, truth, samples): &'a (Array2<f32>, Array2<f32>, Array3<f32>)) -> ChannelTraces<'a> {
        ChannelTraces {
            fps: self.fps,
            speaker: Some(speaker.view()),
            truth: Some(truth.view()),
            samples: Some(samples.view()),
            lines: LINES,
        }
    }
}
