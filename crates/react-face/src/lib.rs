//! The 3DMM: a head as a linear model of 58 coefficients, and a software rasteriser for it. No network, no files.
//!
//! A head's vertices are mean + Σ identity + Σ expression, then rotated and moved: the form of FaceVerse and of every
//! scanned morphable model. [`Head::embedded`] carries its own geometry, made in code, so that pictures need no licensed
//! file; its 52 expression channels ([`EXPRESSIONS`]) do what ARKit's blend shapes of the same names do.
//!
//! Coefficients per frame (`f32`, 58): 52 expression weights (0 = rest, 1 = full), rotation x, y, z in rad
//! ([`rotation`]), translation x, y, z in dm. Lengths are dm; x is right in the picture, y up, z towards the camera.
//!
//! ```
//! use react_face::{Head, Look, Person, Portrait, expression};
//! use react_random::Draws;
//!
//! let person = Person::draw(&mut Draws::new(1, "person", 0, 0));
//! let mut portrait = Portrait::new(&Head::embedded(), &person, Look::default(), 64, 64);
//! let mut coeffs = [0.0; 58];
//! for name in ["mouthSmileLeft", "mouthSmileRight"] {
//!     coeffs[expression(name).unwrap()] = 0.8;
//! }
//! let mut rgb = vec![0; 64 * 64 * 3];
//! portrait.frame(&coeffs, &mut rgb);
//! ```

mod channels;
mod embedded;
mod head;
mod math;
mod person;
mod portrait;
mod raster;

pub use channels::{EXPRESSIONS, expression};
pub use head::{Head, IDENTITIES, Material, Mesh};
pub use math::rotation;
pub use person::Person;
pub use portrait::Portrait;
pub use raster::{Look, Renderer};

/// The identity channels by name, in the order of [`Person::shape`].
pub const IDENTITY: [&str; IDENTITIES] = embedded::IDENTITY;
