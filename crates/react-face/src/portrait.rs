//! A person before a camera: coefficients in, pictures out.

use crate::head::{Head, Mesh};
use crate::math::Vec3;
use crate::person::Person;
use crate::raster::{Look, Renderer};

/// One person, ready to be drawn frame after frame; holds every buffer.
///
/// ```
/// use react_face::{Head, Look, Person, Portrait};
/// let mut portrait = Portrait::new(&Head::embedded(), &Person::average(), Look::default(), 64, 64);
/// let mut rgb = vec![0; 64 * 64 * 3];
/// portrait.frame(&[0.0; 58], &mut rgb);
/// let middle = &rgb[(32 * 64 + 20) * 3..][..3];
/// assert!(middle[0] > middle[2]); // skin: more red than blue
/// ```
#[derive(Clone, Debug)]
pub struct Portrait {
    head: Head,
    neutral: Vec<Vec3>,
    mesh: Mesh,
    look: Look,
    renderer: Renderer,
}

impl Portrait {
    /// `person` in pictures of `width` × `height` pixels.
    #[must_use]
    pub fn new(head: &Head, person: &Person, look: Look, width: usize, height: usize) -> Self {
        Self { neutral: head.neutral(person), mesh: head.mesh(person), head: head.clone(), look, renderer: Renderer::new(width, height) }
    }

    /// Draws the frame of 58 coefficients (52 of expression, rotation in rad, translation in dm) into RGB bytes
    /// `[height][width][3]`.
    ///
    /// # Panics
    /// Where `out` is not `width·height·3` long.
    pub fn frame(&mut self, coeffs: &[f32; 58], out: &mut [u8]) {
        self.head.pose_into(&self.neutral, coeffs, &mut self.mesh);
        self.renderer.render_into(&self.mesh, &self.look, out);
    }
}
