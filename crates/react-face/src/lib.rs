//! The 3DMM: a head as a linear model of 58 coefficients, drawn by a software rasteriser or exported as an animation.
//!
//! A head's vertices are mean + Σ identity + Σ expression, then rotated and moved: the form of FaceVerse and of every
//! scanned morphable model. Who is drawn is an [`Avatar`]:
//! - [`Head::embedded`] as a [`Person`]: geometry made in code, so that pictures need no licensed file; its 52 expression
//!   channels ([`EXPRESSIONS`]) do what ARKit's blend shapes of the same names do;
//! - [`FaceVerse`] v2 as a [`FaceVersePerson`], from its authors' files: a pickle, interpreted without running anything.
//!
//! Coefficients per frame (`f32`, 58): 52 expression weights (0 = rest, 1 = full), rotation x, y, z in rad
//! ([`rotation`]), translation x, y, z in dm; [`with_mean`] adds the data set's mean back. Lengths are dm; x is right in the
//! picture, y up, z towards the camera.
//!
//! ```
//! use react_face::{Avatar, Look, Person, expression};
//! use react_random::Draws;
//!
//! let avatar = Avatar::from(Person::draw(&mut Draws::new(1, "person", 0, 0)));
//! let mut coeffs = [0.0; 58];
//! for name in ["mouthSmileLeft", "mouthSmileRight"] {
//!     coeffs[expression(name).unwrap()] = 0.8;
//! }
//! let mut rgb = vec![0; 64 * 64 * 3];
//! avatar.portrait(Look::default(), 64, 64).frame(&coeffs, &mut rgb);
//! ```

mod avatar;
mod channels;
mod embedded;
mod error;
mod faceverse;
mod glb;
mod head;
mod math;
mod person;
mod portrait;
mod raster;
mod shading;
mod solid;

pub use avatar::{Avatar, with_mean};
pub use channels::{EXPRESSIONS, expression};
pub use error::FaceError;
pub use faceverse::{FaceVerse, FaceVersePerson};
pub use head::{Head, IDENTITIES, Material, Mesh};
pub use math::rotation;
pub use person::Person;
pub use portrait::Portrait;
pub use raster::{Look, Renderer, project};
pub use shading::{Shading, harmonic_light};
pub use solid::Solid;

/// The identity channels by name, in the order of [`Person::shape`].
pub const IDENTITY: [&str; IDENTITIES] = embedded::IDENTITY;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
