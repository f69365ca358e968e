//! What computes: the processor or an NVIDIA card, and how exactly.

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use react_model::device::{self, Choice};
use react_model::{Mode, Precision};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of a run's folder that says on which card each of its stages ran; there is none where all ran on the processor.
const ENVIRONMENT: &str = "environment.json";

/// An open device, and the precision of the work on it.
#[derive(Clone, Debug)]
pub struct Compute {
    device: Device,
    precision: Precision,
}

impl Compute {
    /// The processor.
    #[must_use]
    pub fn cpu() -> Self {
        Self { device: Device::Cpu, precision: Precision::F32 }
    }

    /// Opens a device. Without a precision it is f32 on the processor and tf32 on a card.
    ///
    /// # Errors
    /// Where the program was built without the feature `cuda`, the card cannot be used, or a precision is for cards alone.
    pub fn open(choice: Choice, precision: Option<Precision>) -> Result<Self> {
        let (device, usual) = match choice {
            Choice::Cpu => (Device::Cpu, Precision::F32),
            Choice::Cuda(_) => (device::open(choice)?, Precision::Tf32),
        };
        let precision = precision.unwrap_or(usual);
        ensure!(
            choice != Choice::Cpu || precision == Precision::F32,
            "the precision {precision} is for --device cuda: the processor has f32"
        );
        Ok(Self { device, precision })
    }

    /// Where tensors live.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// How exactly is computed.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Whether this is a card.
    #[must_use]
    pub fn is_card(&self) -> bool {
        !self.device.is_cpu()
    }

    /// Evaluation.
    pub(crate) fn eval(&self) -> Mode {
        Mode::eval().with_precision(self.precision)
    }

    /// A training step's first pass.
    pub(crate) fn train(&self, seed: u64, step: u32) -> Mode {
        Mode::train(seed, step).with_precision(self.precision)
    }

    /// Remembers on which card a stage of a run was computed.
    pub(crate) fn record(&self, folder: &Path, stage: &str) -> Result<()> {
        if !self.is_card() {
            return Ok(());
        }
        let mut facts = device::facts(&self.device)?;
        facts.push(("precision".to_owned(), self.precision.to_string()));
        let mut stages: Vec<Stage> = recorded(folder)?.into_iter().filter(|there| there.stage != stage).collect();
        tracing::info!("{stage:<10} on {}", facts.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", "));
        stages.push(Stage { stage: stage.to_owned(), facts });
        let text = serde_json::to_string_pretty(&stages)?;
        Ok(react_store::write_atomic(&folder.join(ENVIRONMENT), |file| file.write_all(text.as_bytes()))?)
    }
}

/// A stage that ran on a card.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Stage {
    stage: String,
    facts: Vec<(String, String)>,
}

fn recorded(folder: &Path) -> Result<Vec<Stage>> {
    let path = folder.join(ENVIRONMENT);
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is no record of devices", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What a run's folder says of the cards that it was computed on, for its report.
pub(crate) fn environment(folder: &Path) -> Result<Vec<(String, String)>> {
    let of =
        |stage: &Stage| (format!("{} on", stage.stage), stage.facts.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", "));
    Ok(recorded(folder)?.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_computes_in_f32() {
        assert_eq!(Compute::open(Choice::Cpu, None).unwrap().precision(), Precision::F32);
        assert!(Compute::open(Choice::Cpu, Some(Precision::F32)).is_ok());
        let error = Compute::open(Choice::Cpu, Some(Precision::Bf16)).unwrap_err().to_string();
        assert_eq!(error, "the precision bf16 is for --device cuda: the processor has f32");
    }

    #[test]
    fn stages_on_cards_are_remembered_once_each() {
        let folder = tempfile::tempdir().unwrap();
        Compute::cpu().record(folder.path(), "train").unwrap();
        assert!(environment(folder.path()).unwrap().is_empty());
        let facts = |name: &str| vec![("device".to_owned(), name.to_owned()), ("precision".to_owned(), "tf32".to_owned())];
        let stages = vec![Stage { stage: "train".to_owned(), facts: facts("a card") }];
        std::fs::write(folder.path().join(ENVIRONMENT), serde_json::to_string(&stages).unwrap()).unwrap();
        assert_eq!(environment(folder.path()).unwrap(), [("train on".to_owned(), "a card, tf32".to_owned())]);
        std::fs::write(folder.path().join(ENVIRONMENT), "{").unwrap();
        assert!(environment(folder.path()).is_err());
    }
}
