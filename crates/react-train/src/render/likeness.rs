//! What listeners look like: a face for their coefficients, and a painter where there are weights.

use super::painted::Painter;
use super::scene::Scene;
use crate::cli;
use anyhow::Result;
use ndarray::{Array4, ArrayView2};
use react_face::Avatar;

/// What a video of faces without a painter says of them.
const FACES_ALONE: &str =
    "Listeners are drawn from their 58 coefficients alone: no PIRender weights were given (--pirender with --reference).";

/// What listeners look like.
#[derive(Debug, Default)]
pub(crate) struct Likeness {
    /// Everybody's face, where a FaceVerse model was given; people of the embedded head otherwise.
    face: Option<Avatar>,
    painter: Option<Painter>,
}

impl Likeness {
    /// Reads models and weights.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub(crate) fn open(args: &cli::Likeness) -> Result<Self> {
        let face = match (&args.face_model, &args.identity) {
            (Some(model), Some(identity)) => Some(Avatar::faceverse(model, identity)?),
            _ => None,
        };
        let painter = match (&args.pirender, &args.reference) {
            (Some(weights), Some(reference)) => Some(Painter::open(weights, reference)?),
            _ => None,
        };
        Ok(Self { face, painter })
    }

    /// The true listener's face and those of `samples` generated ones.
    pub(crate) fn people(&self, seed: u64, samples: usize) -> Vec<Avatar> {
        match &self.face {
            Some(face) => vec![face.clone(); samples + 1],
            None => Scene::people(seed, samples + 1),
        }
    }

    /// Whether there is a painter.
    pub(crate) fn paints(&self) -> bool {
        self.painter.is_some()
    }

    /// A reaction (`[t, 58]`, mean face in it) as the painter shows it, u8 `[t, s, s, 3]`; none without one.
    ///
    /// # Errors
    /// Candle's.
    pub(crate) fn paint(&self, coeffs: ArrayView2<'_, f32>) -> Result<Option<Array4<u8>>> {
        self.painter.as_ref().map(|painter| painter.paint(coeffs)).transpose()
    }

    /// The 3DMM's name.
    pub(crate) fn face_name(&self) -> &'static str {
        if self.face.is_some() { "FaceVerse" } else { "embedded head" }
    }

    /// What has to be said of pictures without a painter.
    pub(crate) fn note(&self) -> Option<&'static str> {
        if self.painter.is_some() { None } else { Some(FACES_ALONE) }
    }
}
