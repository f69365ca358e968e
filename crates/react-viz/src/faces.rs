//! The listeners' faces: from coefficients to squares of pixels.

use crate::error::VizError;
use ndarray::ArrayView2;
use react_contracts::COEFFS;
use react_face::{Avatar, Look, Portrait};

/// A listener to draw.
#[derive(Clone, Copy, Debug)]
pub struct Listener<'a> {
    /// The caption: `"True listener"`, `"Sample 1"`.
    pub label: &'a str,
    /// The 3DMM coefficients `[t, 58]` as they are rendered: 52 of expression, rotation in rad, translation, with the
    /// data set's `mean_face` added back where it was taken away.
    pub coeffs: ArrayView2<'a, f32>,
    /// Who is drawn.
    pub avatar: &'a Avatar,
}

impl Listener<'_> {
    /// # Errors
    /// Where there are not 58 coefficients, or one is not a finite number.
    pub(crate) fn check(&self) -> Result<(), VizError> {
        if self.coeffs.ncols() != COEFFS {
            return Err(VizError::Shape { what: self.label.to_owned(), axis: "coefficients", want: COEFFS, got: self.coeffs.ncols() });
        }
        match self.coeffs.indexed_iter().find(|(_, v)| !v.is_finite()) {
            Some(((t, c), v)) => {
                Err(VizError::Value { what: "3DMM coefficients", reason: format!("{}: {v} at frame {t}, channel {c}", self.label) })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn portrait(&self, side: usize) -> Portrait {
        self.avatar.portrait(Look::default(), side, side)
    }

    /// The square of frame `t`, which must exist.
    pub(crate) fn frame(&self, portrait: &mut Portrait, t: usize, out: &mut [u8]) {
        let mut coeffs = [0.0; COEFFS];
        coeffs.iter_mut().zip(self.coeffs.row(t)).for_each(|(to, from)| *to = *from);
        portrait.frame(&coeffs, out);
    }
}
