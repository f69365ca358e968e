//! A face before a camera: coefficients in, pictures out.

use crate::faceverse::FaceVersePerson;
use crate::head::{Head, Mesh};
use crate::math::Vec3;
use crate::person::Person;
use crate::raster::{Look, Renderer};
use crate::shading::Shading;
use rayon::prelude::*;

/// One face, ready to be drawn frame after frame; holds every buffer.
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
    face: Face,
    mesh: Mesh,
    look: Look,
    renderer: Renderer,
}

#[derive(Clone, Debug)]
enum Face {
    Head { head: Head, neutral: Vec<Vec3> },
    FaceVerse { person: FaceVersePerson, scratch: Vec<Vec3> },
}

impl Portrait {
    /// `person` in pictures of `width` × `height` pixels.
    #[must_use]
    pub fn new(head: &Head, person: &Person, look: Look, width: usize, height: usize) -> Self {
        let face = Face::Head { neutral: head.neutral(person), head: head.clone() };
        Self { face, mesh: head.mesh(person), look, renderer: Renderer::new(width, height) }
    }

    /// A FaceVerse person in pictures of `width` × `height` pixels.
    #[must_use]
    pub fn faceverse(person: &FaceVersePerson, look: Look, width: usize, height: usize) -> Self {
        let face = Face::FaceVerse { person: person.clone(), scratch: Vec::new() };
        Self { face, mesh: person.mesh(), look, renderer: Renderer::new(width, height).shaded(person.shading()) }
    }

    /// The same face with another shading.
    #[must_use]
    pub fn shaded(mut self, shading: Shading) -> Self {
        self.renderer = self.renderer.shaded(shading);
        self
    }

    /// The picture's width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        self.renderer.size()
    }

    /// Draws the frame of 58 coefficients (52 of expression, rotation in rad, translation in dm) into RGB bytes
    /// `[height][width][3]`.
    ///
    /// # Panics
    /// Where `out` is not `width·height·3` long.
    pub fn frame(&mut self, coeffs: &[f32; 58], out: &mut [u8]) {
        match &mut self.face {
            Face::Head { head, neutral } => head.pose_into(neutral, coeffs, &mut self.mesh),
            Face::FaceVerse { person, scratch } => person.pose_into(coeffs, scratch, &mut self.mesh),
        }
        self.renderer.render_into(&self.mesh, &self.look, out);
    }

    /// Draws many frames on all cores, `[frames][height][width][3]`; each is what [`Portrait::frame`] draws, whatever the
    /// number of threads.
    ///
    /// ```
    /// use react_face::{Avatar, Look};
    /// let rgb = Avatar::default().portrait(Look::default(), 32, 32).frames(&[[0.0; 58]; 5]);
    /// assert_eq!(rgb.len(), 5 * 32 * 32 * 3);
    /// ```
    #[must_use]
    pub fn frames(&self, coeffs: &[[f32; 58]]) -> Vec<u8> {
        let (width, height) = self.size();
        let bytes = width * height * 3;
        let mut out = vec![0; coeffs.len() * bytes];
        if bytes > 0 {
            let frames = out.par_chunks_exact_mut(bytes).zip(coeffs);
            frames.for_each_init(|| self.clone(), |portrait, (out, coeffs)| portrait.frame(coeffs, out));
        }
        out
    }
}
