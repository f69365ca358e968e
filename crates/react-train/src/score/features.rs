//! FRRea: the Fréchet distance of features of real and generated frames.

use super::frames::{self, Protocol};
use super::{Arrays, Realism, Wanted};
use crate::{Compute, cli};
use anyhow::{Context, Result, bail};
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis, Ix2, concatenate, stack};
use react_metrics::Gaussian;
use react_model::inception::Inception;
use std::path::Path;

/// Feature vectors of any network.
const FEATURES: Wanted<'_> = Wanted { keys: &["features", "activations"], axes: 2, shape: "[vectors, features]" };

/// FRRea from features, or the reason why there is none.
///
/// # Errors
/// Where only one side is given, or what is given cannot be read.
pub(crate) fn realism(args: &cli::Score, compute: &Compute) -> Result<Realism> {
    if let (Some(real), Some(generated)) = (&args.features_real, &args.features_generated) {
        let (real, generated) = (gaussian(real)?, gaussian(generated)?);
        return distance(&real, &generated);
    }
    let (Some(real), Some(generated)) = (&args.frrea_real, &args.frrea_generated) else {
        return Ok(Realism::Missing(
            "no frames were given (--frrea-real, --frrea-generated and --inception) and no features (--features-real, --features-generated)"
                .to_owned(),
        ));
    };
    let weights = match &args.inception {
        None => return Ok(Realism::Missing("the weights of the FID Inception-v3 were not given (--inception)".to_owned())),
        Some(path) if !path.exists() => {
            return Ok(Realism::Missing(format!("there are no weights of the FID Inception-v3 at {}", path.display())));
        }
        Some(path) => path,
    };
    let inception = Inception::load(weights).with_context(|| format!("{}: no FID Inception-v3", weights.display()))?;
    let inception = inception.on(compute.device());
    let protocol = args.stride.map_or(Protocol::Published, |stride| Protocol::Stride(stride as usize));
    let (real, generated) = (seen(&inception, real, protocol)?, seen(&inception, generated, protocol)?);
    distance(&real, &generated)
}

/// Frames that go through the network together.
const FRAMES: usize = 16;
/// Vectors that go into the covariance together.
const VECTORS: usize = 256;

/// Frames on their way through the network into a Gaussian.
struct Viewer<'a> {
    inception: &'a Inception,
    /// Of one size.
    frames: Vec<Array3<u8>>,
    vectors: Vec<Array2<f32>>,
    gaussian: Option<Gaussian>,
}

impl Viewer<'_> {
    fn take(&mut self, frame: ArrayView3<'_, u8>) -> Result<()> {
        if self.frames.len() == FRAMES || self.frames.first().is_some_and(|first| first.dim() != frame.dim()) {
            self.look()?;
        }
        self.frames.push(frame.to_owned());
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let views: Vec<_> = self.frames.iter().map(|frame| frame.view()).collect();
        self.vectors.push(self.inception.features(stack(Axis(0), &views)?.view())?);
        self.frames.clear();
        if self.vectors.iter().map(|vectors| vectors.nrows()).sum::<usize>() >= VECTORS { self.push() } else { Ok(()) }
    }

    fn push(&mut self) -> Result<()> {
        let views: Vec<_> = self.vectors.iter().map(|vectors| vectors.view()).collect();
        if let Some(width) = views.first().map(|view| view.ncols()) {
            self.gaussian.get_or_insert_with(|| Gaussian::new(width)).push(concatenate(Axis(0), &views)?.view())?;
        }
        self.vectors.clear();
        Ok(())
    }
}

/// Features of the frames that count.
fn seen(inception: &Inception, path: &Path, protocol: Protocol) -> Result<Gaussian> {
    let mut viewer = Viewer { inception, frames: Vec::new(), vectors: Vec::new(), gaussian: None };
    frames::each(path, protocol, |frame| viewer.take(frame))?;
    viewer.look()?;
    viewer.push()?;
    viewer.gaussian.with_context(|| match protocol {
        Protocol::Published => format!("{}: no frame of the published protocol (1, 31, 61, …) in it; see --stride", path.display()),
        Protocol::Stride(_) => format!("{}: no frame in it", path.display()),
    })
}

fn gaussian(path: &Path) -> Result<Gaussian> {
    let arrays = Arrays::read(path, FEATURES)?;
    let Some(features) = arrays.stacked()? else { bail!("{}: wanted one array {}", path.display(), FEATURES.shape) };
    let features: ArrayView2<'_, f32> = features.into_dimensionality::<Ix2>()?;
    let mut gaussian = Gaussian::new(features.ncols());
    // In batches, so that no more than some rows are held in f64.
    for batch in features.axis_chunks_iter(Axis(0), 1024) {
        gaussian.push(batch).with_context(|| path.display().to_string())?;
    }
    Ok(gaussian)
}

fn distance(real: &Gaussian, generated: &Gaussian) -> Result<Realism> {
    let distance = generated.distance(real).context("FRRea")?;
    Ok(Realism::Found { distance, real: real.count(), generated: generated.count(), features: real.mean().len() })
}
