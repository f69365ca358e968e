//! Where tensors live and work is done: the processor, or an NVIDIA card (feature `cuda`).
//!
//! On a card everything that is asked for is queued and done later, in the order of one stream. What looks at a number waits for all
//! that was queued before it, and while it waits nothing new is queued: so numbers are looked at late ([`Readback`]), and batches
//! come on a stream of their own ([`Uploads`]).

#[cfg(feature = "cuda")]
mod cuda;
mod readback;
mod times;
mod upload;

pub use readback::{Readback, Sent};
pub use times::{KernelTime, kernel_times};
pub use upload::{HostBatch, Lent, Source, TensorBatch, Upload, Uploads};

use crate::{ModelError, Result};
use candle_core::Device;
use serde::{Deserialize, Serialize};

/// Which device is wanted, as it is written: `cpu`, `cuda` (the first card) or `cuda:N`.
///
/// ```
/// use react_model::device::Choice;
/// assert_eq!("cuda:1".parse::<Choice>()?, Choice::Cuda(1));
/// assert_eq!(Choice::Cuda(0).to_string(), "cuda:0");
/// assert!("gpu".parse::<Choice>().is_err());
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// The processor.
    #[default]
    Cpu,
    /// The NVIDIA card of this number.
    Cuda(usize),
}

impl std::str::FromStr for Choice {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self> {
        let number = match text.strip_prefix("cuda") {
            None if text == "cpu" => return Ok(Self::Cpu),
            Some("") => Some(0),
            Some(rest) => rest.strip_prefix(':').and_then(|number| number.parse().ok()),
            None => None,
        };
        number.map(Self::Cuda).ok_or_else(|| fault(format!("must be cpu, cuda or cuda:N, is '{text}'")))
    }
}

impl TryFrom<String> for Choice {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.to_string()
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

fn fault(what: String) -> ModelError {
    ModelError::Config { field: "device", what }
}

/// Whether this program can use a card at all.
#[must_use]
pub fn built_with_cuda() -> bool {
    cfg!(feature = "cuda")
}

/// Opens a device. A card gets one stream for all of its work, whichever thread asks for it, and keeps freed memory for what comes
/// next.
///
/// # Errors
/// [`ModelError::Config`] where the program was built without the feature, or the card cannot be used.
pub fn open(choice: Choice) -> Result<Device> {
    match choice {
        Choice::Cpu => Ok(Device::Cpu),
        #[cfg(feature = "cuda")]
        Choice::Cuda(number) => {
            cuda::open(number).map_err(|error| fault(format!("the CUDA card {number} cannot be used: {}", first_line(&error))))
        }
        #[cfg(not(feature = "cuda"))]
        Choice::Cuda(_) => {
            Err(fault("this program was built without CUDA: cargo build --release -p react-train --features cuda".to_owned()))
        }
    }
}

/// Candle's errors go on with a backtrace.
#[cfg(feature = "cuda")]
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

/// What a device is, for records: names with their values.
///
/// # Errors
/// Candle's, where the driver does not answer.
pub fn facts(device: &Device) -> Result<Vec<(String, String)>> {
    let named = |name: &str, value: String| (name.to_owned(), value);
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(card) => {
            let [name, driver] = cuda::facts(card)?;
            Ok(vec![named("device", name), named("driver", driver)])
        }
        _ => Ok(vec![named("device", "cpu".to_owned())]),
    }
}

/// Whether every convolution on a card so far had an algorithm of cuDNN's that gives the same bits each time; true without a card.
#[must_use]
pub fn is_deterministic() -> bool {
    #[cfg(feature = "cuda")]
    return crate::gpu::cuda::convolution::is_deterministic();
    #[cfg(not(feature = "cuda"))]
    true
}

/// Waits until everything that was asked for is done.
///
/// # Errors
/// Candle's: of anything that went wrong since.
pub fn synchronize(device: &Device) -> Result<()> {
    Ok(device.synchronize()?)
}

/// The most bytes that were in use on a card at once since [`forget_peak`] (or the beginning); none on the processor.
///
/// # Errors
/// Candle's.
pub fn peak_bytes(device: &Device) -> Result<Option<u64>> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(card) => Ok(Some(cuda::peak_bytes(card)?)),
        _ => Ok(None),
    }
}

/// From now on [`peak_bytes`] counts anew.
///
/// # Errors
/// Candle's.
pub fn forget_peak(device: &Device) -> Result<()> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(card) => Ok(cuda::forget_peak(card)?),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_by_their_names() {
        for (text, want) in [("cpu", Choice::Cpu), ("cuda", Choice::Cuda(0)), ("cuda:0", Choice::Cuda(0)), ("cuda:12", Choice::Cuda(12))] {
            let choice: Choice = text.parse().unwrap();
            assert_eq!(choice, want);
            assert_eq!(choice.to_string().parse::<Choice>().unwrap(), want);
        }
        for text in ["", "cud", "cuda:", "cuda:-1", "cuda:x", "CPU", "cuda0"] {
            let error = text.parse::<Choice>().unwrap_err().to_string();
            assert_eq!(error, format!("device: must be cpu, cuda or cuda:N, is '{text}'"));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_program_without_cards_says_how_to_get_one_with() {
        let error = open(Choice::Cuda(0)).unwrap_err().to_string();
        assert!(error.ends_with("cargo build --release -p react-train --features cuda"), "{error}");
        assert!(open(Choice::Cpu).unwrap().is_cpu());
    }
}
