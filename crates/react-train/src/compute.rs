//! What computes: the processor or an NVIDIA card, and how exactly.

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use react_model::device::{self, Choice};
use react_model::{Mode, Precision};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The file of a run's folder that says where each of its stages ran; there is none where all ran on the processor.
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
        let precision = precision_on(choice, precision);
        ensure!(
            choice != Choice::Cpu || precision == Precision::F32,
            "the precision {precision} is for --device cuda: the processor has f32"
        );
        let device = if choice == Choice::Cpu { Device::Cpu } else { device::open(choice)? };
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

    /// Remembers where a stage of a run is computed: all of it, or what comes after a part that was computed before.
    pub(crate) fn record(&self, folder: &Path, stage: &str, part: Part) -> Result<()> {
        let here = self.stage(stage)?;
        if self.is_card() {
            tracing::info!("{stage:<10} on {}", here.words());
        }
        let before = recorded(folder)?;
        let stages = with(before.clone(), here, part);
        if stages == before || stages.iter().all(Stage::is_of_the_processor) && before.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_string_pretty(&stages)?;
        Ok(react_store::write_atomic(&folder.join(ENVIRONMENT), |file| file.write_all(text.as_bytes()))?)
    }

    fn stage(&self, stage: &str) -> Result<Stage> {
        if !self.is_card() {
            return Ok(Stage::of_the_processor(stage));
        }
        let mut facts = device::facts(&self.device)?;
        facts.push(("precision".to_owned(), self.precision.to_string()));
        Ok(Stage { stage: stage.to_owned(), facts })
    }
}

/// The precision on a device: f32 on the processor and tf32 on a card where none is asked for.
pub(crate) fn precision_on(choice: Choice, asked: Option<Precision>) -> Precision {
    asked.unwrap_or(if choice == Choice::Cpu { Precision::F32 } else { Precision::Tf32 })
}

/// What of a stage is computed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// What is left of it.
    Rest,
}

impl Part {
    /// Of a training that goes on after so many steps.
    pub(crate) fn after(steps: u64) -> Self {
        if steps == 0 { Self::Whole } else { Self::Rest }
    }
}

/// A stage, or a part of it, that ran on one device.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
struct Stage {
    stage: String,
    facts: Vec<(String, String)>,
}

impl Stage {
    fn of_the_processor(stage: &str) -> Self {
        let facts = [("device", "the processor"), ("precision", "f32")];
        Self { stage: stage.to_owned(), facts: facts.map(|(name, value)| (name.to_owned(), value.to_owned())).into() }
    }

    fn is_of_the_processor(&self) -> bool {
        *self == Self::of_the_processor(&self.stage)
    }

    fn words(&self) -> String {
        self.facts.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// The stages, with what is computed now of one of them.
fn with(mut stages: Vec<Stage>, here: Stage, part: Part) -> Vec<Stage> {
    let is_same = |there: &Stage| there.stage == here.stage;
    if part == Part::Whole {
        stages.retain(|there| !is_same(there));
    } else if !stages.iter().any(is_same) {
        // Of what ran on the processor there may be no record.
        stages.push(Stage::of_the_processor(&here.stage));
    }
    if stages.iter().rfind(|there| is_same(there)) != Some(&here) {
        stages.push(here);
    }
    stages
}

fn recorded(folder: &Path) -> Result<Vec<Stage>> {
    let path = folder.join(ENVIRONMENT);
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is no record of devices", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// What a run's folder says of the devices that it was computed on, for its report.
pub(crate) fn environment(folder: &Path) -> Result<Vec<(String, String)>> {
    let mut lines: Vec<(String, String)> = Vec::new();
    for stage in recorded(folder)? {
        let name = format!("{} on", stage.stage);
        match lines.iter_mut().find(|(there, _)| *there == name) {
            Some((_, words)) => words.extend(["; then on ".to_owned(), stage.words()]),
            None => lines.push((name, stage.words())),
        }
    }
    Ok(lines)
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
    fn it_is_known_where_each_part_of_a_stage_ran() {
        let folder = tempfile::tempdir().unwrap();
        let record = |stage, part| Compute::cpu().record(folder.path(), stage, part).unwrap();
        let words = || environment(folder.path()).unwrap();
        record("train", Part::Whole);
        assert!(words().is_empty() && !folder.path().join(ENVIRONMENT).exists());
        let facts = |name: &str| vec![("device".to_owned(), name.to_owned()), ("precision".to_owned(), "tf32".to_owned())];
        let on_card = |stage: &str| Stage { stage: stage.to_owned(), facts: facts("a card") };
        let stages = with(with(Vec::new(), on_card("train"), Part::Rest), on_card("evaluate"), Part::Whole);
        std::fs::write(folder.path().join(ENVIRONMENT), serde_json::to_string(&stages).unwrap()).unwrap();
        let train = ("train on".to_owned(), "the processor, f32; then on a card, tf32".to_owned());
        assert_eq!(words(), [train.clone(), ("evaluate on".to_owned(), "a card, tf32".to_owned())]);
        assert_eq!(with(stages.clone(), on_card("train"), Part::Rest), stages);
        // The scores of a card go with those that the processor made after them, and so does a training that begins anew.
        record("evaluate", Part::Whole);
        assert_eq!(words(), [train.clone(), ("evaluate on".to_owned(), "the processor, f32".to_owned())]);
        record("train", Part::Rest);
        assert_eq!(words()[0], (train.0.clone(), train.1 + "; then on the processor, f32"));
        record("train", Part::Whole);
        assert!(words().contains(&(train.0, "the processor, f32".to_owned())));
        std::fs::write(folder.path().join(ENVIRONMENT), "{").unwrap();
        assert!(environment(folder.path()).is_err());
    }
}
