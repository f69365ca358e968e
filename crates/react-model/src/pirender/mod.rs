//! PIRender: a photograph that moves as 3DMM coefficients say. Inference only.
//!
//! Ren et al., "PIRenderer: Controllable Portrait Image Generation via Semantic Neural Rendering", ICCV 2021; as the REACT baseline
//! draws its listeners with it, from 58 coefficients instead of 73.
//!
//! ```text
//! mapping   window of 27 frames [27, 58] → conv 1 → 73, conv 7 → d, 3 × (x + conv 3, dilation 3), mean over time   descriptor [d]
//! warping   picture → hourglass of AdaIN blocks under the descriptor → flow; the picture along the flow              warped [h, w, 3]
//! editing   picture ‖ warped → U-net with AdaIN blocks under the descriptor → tanh                                  frame [h, w, 3]
//! ```
//!
//! Equations and a legend: `docs/models.md`. What sees no descriptor (the first convolution of the warping net, and the picture's half
//! of the editing net's) runs once for a picture. A frame runs on one thread, frames beside each other: a frame does not depend on its
//! neighbours in a batch, nor on the number of threads. The arithmetic is the crate's own, on the CPU. Axes: h, w pixels · c channels
//! last.

mod config;
mod conv;
mod editing;
mod load;
mod mapping;
mod maps;
mod sample;
mod warping;
mod winograd;

pub use config::{EditingConfig, PiRenderConfig, WINDOW, WarpingConfig};

use crate::weights::Tensors;
use crate::{ModelError, Result};
use config::RADIUS;
use editing::Editing;
use load::Loader;
use mapping::Mapping;
use maps::{Map, Pool};
use ndarray::{Array1, Array3, ArrayView2, ArrayView3};
use rayon::prelude::*;
use react_contracts::COEFFS;
use std::path::Path;
use warping::Warping;

/// Largest side of a picture.
const MOST_PIXELS: usize = 4096;

/// The three nets with their weights.
///
/// ```no_run
/// use ndarray::{Array2, Array3};
/// use react_model::pirender::{PiRender, PiRenderConfig};
/// let net = PiRender::load("pirender.pth".as_ref(), &PiRenderConfig::published())?;
/// let face = net.reference(Array3::<u8>::zeros((256, 256, 3)).view())?;
/// let coeffs = Array2::<f32>::zeros((750, 58)); // with the mean face added back
/// net.render(&face, coeffs.view(), |t, frame| {
///     assert_eq!(frame.dim(), (256, 256, 3));
///     Ok::<(), react_model::ModelError>(())
/// })?;
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct PiRender {
    config: PiRenderConfig,
    mapping: Mapping,
    warping: Warping,
    editing: Editing,
}

/// A picture, with all that frames share.
#[derive(Debug)]
pub struct Reference {
    picture: Map,
    /// Of the warping net.
    encoded: Map,
    /// Of the editing net.
    edited: Map,
}

/// What the nets make of a picture and a window of coefficients.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// The motion descriptor, `[d]`.
    pub descriptor: Array1<f32>,
    /// The flow in pixels of its own grid, x first, `[h', w', 2]`.
    pub flow: Array3<f32>,
    /// The picture along the flow, in [−1, 1], `[h, w, 3]`.
    pub warped: Array3<f32>,
    /// The frame in [−1, 1], `[h, w, 3]`.
    pub frame: Array3<f32>,
}

impl PiRender {
    /// The weights of a file: a `.pth` of the published program, or safetensors of the same names.
    ///
    /// # Errors
    /// [`ModelError::File`] where it cannot be read; [`ModelError::Missing`], [`ModelError::Shape`] or [`ModelError::Unknown`] with the
    /// first tensor that does not fit; [`ModelError::NotFinite`] where one holds a number that is none; [`ModelError::Config`] for
    /// sizes that no nets have.
    pub fn load(path: &Path, config: &PiRenderConfig) -> Result<Self> {
        Self::from_tensors(&Tensors::read(path)?, config)
    }

    /// The weights of an open file.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_tensors(tensors: &Tensors, config: &PiRenderConfig) -> Result<Self> {
        config.check()?;
        Self::build(Loader::from_file(config, tensors)?, config)
    }

    /// The weights from anywhere: `get(name, shape)` gives a tensor's values, row-major.
    ///
    /// # Errors
    /// What `get` gives, and [`ModelError::Config`] where it gives another number of values.
    pub fn new(config: &PiRenderConfig, get: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Self> {
        Self::build(Loader::new(config, get)?, config)
    }

    fn build(mut loader: Loader<'_>, config: &PiRenderConfig) -> Result<Self> {
        Ok(Self {
            config: *config,
            mapping: Mapping::new(&mut loader)?,
            warping: Warping::new(&mut loader, &config.warping)?,
            editing: Editing::new(&mut loader, &config.editing)?,
        })
    }

    /// A picture to move, RGB `[h, w, 3]`: sides of a multiple of 32 at published sizes ([`PiRenderConfig::multiple`]), at least two of
    /// them; the published program's are 256×256.
    ///
    /// # Errors
    /// [`ModelError::Config`] where the picture has another shape.
    pub fn reference(&self, picture: ArrayView3<'_, u8>) -> Result<Reference> {
        self.reference_of_floats(picture.mapv(|x| f32::from(x) / 127.5 - 1.0).view())
    }

    /// The same of values in [−1, 1].
    ///
    /// # Errors
    /// As [`Self::reference`], and [`ModelError::NotFinite`].
    pub fn reference_of_floats(&self, picture: ArrayView3<'_, f32>) -> Result<Reference> {
        let (height, width, channels) = picture.dim();
        let step = self.config.multiple();
        let fits = |side: usize| side.is_multiple_of(step) && (2 * step..=MOST_PIXELS).contains(&side);
        if channels != 3 || !fits(height) || !fits(width) {
            let what = format!(
                "must be [h, w, 3] with sides of a multiple of {step} from {} to {MOST_PIXELS}, is {:?}",
                2 * step,
                picture.shape()
            );
            return Err(ModelError::Config { field: "reference picture", what });
        }
        if !picture.iter().all(|x| x.is_finite()) {
            return Err(ModelError::NotFinite { what: "a pixel", name: "the reference picture".to_owned() });
        }
        let mut pool = Pool::default();
        let mut map = Map::new(&mut pool, [height, width], channels);
        map.data.iter_mut().zip(picture).for_each(|(to, from)| *to = *from);
        let (encoded, edited) = (self.warping.encode(&mut pool, &map), self.editing.encode(&mut pool, &map));
        Ok(Reference { picture: map, encoded, edited })
    }

    /// Draws every frame of a clip, given to `each` in their order: coefficients `[t, 58]` with the mean face added back → RGB
    /// `[h, w, 3]`. Frame t sees the coefficients of frames t − 13 … t + 13, the first and the last repeated beyond the ends.
    ///
    /// As many frames are in memory as there are threads. The result is the same for any number of them.
    ///
    /// # Errors
    /// [`ModelError::Config`] where rows have not 58 values, or the picture was encoded by nets of other sizes, and
    /// [`ModelError::NotFinite`] with the first value that is no number, before any frame is drawn; the same with the frame where values
    /// are so large that pixels are no numbers; what `each` gives, after which no frame follows.
    pub fn render<E: From<ModelError>>(
        &self,
        reference: &Reference,
        coeffs: ArrayView2<'_, f32>,
        mut each: impl FnMut(usize, ArrayView3<'_, u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        check(coeffs)?;
        self.fits(reference)?;
        let frames = coeffs.nrows();
        let workers = rayon::current_num_threads().clamp(1, frames.max(1));
        let [height, width] = reference.size();
        let mut slots: Vec<(Pool, Array3<u8>)> = (0..workers).map(|_| (Pool::default(), Array3::zeros((height, width, 3)))).collect();
        for first in (0..frames).step_by(workers) {
            let count = workers.min(frames - first);
            let draw = |(i, (pool, frame)): (usize, &mut (Pool, _))| self.draw(pool, reference, &window(coeffs, first + i), frame);
            let drawn: Vec<bool> = slots[..count].par_iter_mut().enumerate().map(draw).collect();
            if let Some(i) = drawn.iter().position(|finite| !finite) {
                return Err(ModelError::NotFinite { what: "a pixel", name: format!("frame {}", first + i) }.into());
            }
            for (i, (_, frame)) in slots[..count].iter().enumerate() {
                each(first + i, frame.view())?;
            }
        }
        Ok(())
    }

    /// Whether all pixels are numbers.
    fn draw(&self, pool: &mut Pool, reference: &Reference, window: &[f32], frame: &mut Array3<u8>) -> bool {
        let Made { flow, warped, picture, .. } = self.make(pool, reference, window);
        for (byte, x) in frame.iter_mut().zip(&picture.data) {
            // From [−1, 1], to the nearest.
            *byte = (x.tanh() * 127.5 + 128.0) as u8;
        }
        let finite = picture.data.iter().all(|x| x.is_finite());
        [flow, warped, picture].into_iter().for_each(|map| map.give_back(pool));
        finite
    }

    /// That the picture was encoded by nets of these sizes.
    fn fits(&self, reference: &Reference) -> Result<()> {
        let PiRenderConfig { warping, editing, .. } = &self.config;
        let even = reference.size().iter().all(|side| side.is_multiple_of(self.config.multiple()));
        if even && reference.encoded.c == warping.width(0) && reference.edited.c == editing.width(0) {
            return Ok(());
        }
        Err(ModelError::Config { field: "reference picture", what: "was encoded by nets of other sizes".to_owned() })
    }

    /// One frame, with what lies between: of a window of coefficients `[27, 58]`.
    ///
    /// # Errors
    /// [`ModelError::Config`] where the window has another shape or the picture was encoded by nets of other sizes,
    /// [`ModelError::NotFinite`].
    pub fn forward(&self, reference: &Reference, window: ArrayView2<'_, f32>) -> Result<Drawn> {
        check(window)?;
        self.fits(reference)?;
        if window.nrows() != WINDOW {
            let what = format!("must be {WINDOW} frames, are {}", window.nrows());
            return Err(ModelError::Config { field: "window of coefficients", what });
        }
        let Made { descriptor, flow, warped, picture } =
            self.make(&mut Pool::default(), reference, &window.iter().copied().collect::<Vec<_>>());
        let array = |map: Map| Array3::from_shape_vec((map.size[0], map.size[1], map.c), map.data);
        let shape = |e: ndarray::ShapeError| ModelError::Config { field: "pirender", what: e.to_string() };
        Ok(Drawn {
            descriptor: descriptor.into(),
            flow: array(flow).map_err(shape)?,
            warped: array(warped).map_err(shape)?,
            frame: array(picture).map_err(shape)?.mapv(f32::tanh),
        })
    }

    fn make(&self, pool: &mut Pool, reference: &Reference, window: &[f32]) -> Made {
        let descriptor = self.mapping.forward(window);
        let flow = self.warping.flow(pool, &reference.encoded, &descriptor);
        let warped = sample::warp(pool, &reference.picture, &flow);
        let picture = self.editing.picture(pool, &reference.edited, &warped, &descriptor);
        Made { descriptor, flow, warped, picture }
    }
}

struct Made {
    descriptor: Vec<f32>,
    flow: Map,
    warped: Map,
    /// Before its tanh.
    picture: Map,
}

impl Reference {
    /// Height and width of the frames.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        self.picture.size
    }
}

/// The coefficients that frame t sees, `[27, 58]`.
fn window(coeffs: ArrayView2<'_, f32>, t: usize) -> Vec<f32> {
    let last = coeffs.nrows().saturating_sub(1);
    let rows = (0..WINDOW).map(|i| (t + i).saturating_sub(RADIUS).min(last));
    rows.flat_map(|row| coeffs.row(row).to_vec()).collect()
}

fn check(coeffs: ArrayView2<'_, f32>) -> Result<()> {
    if coeffs.ncols() != COEFFS {
        let what = format!("must be {COEFFS} a frame, are {}", coeffs.ncols());
        return Err(ModelError::Config { field: "coefficients", what });
    }
    match coeffs.indexed_iter().find(|(_, x)| !x.is_finite()) {
        Some(((frame, channel), _)) => {
            Err(ModelError::NotFinite { what: "a coefficient", name: format!("frame {frame}, channel {channel}") })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    #[test]
    fn a_window_repeats_the_first_and_the_last_frame() {
        let coeffs = Array2::from_shape_fn((20, COEFFS), |(t, _)| t as f32);
        let rows = |t| window(coeffs.view(), t).chunks(COEFFS).map(|row| row[0] as usize).collect::<Vec<_>>();
        assert_eq!(rows(0), [vec![0; 13], (0..14).collect()].concat());
        assert_eq!(rows(13), [(0..20).collect(), vec![19; 7]].concat());
        assert_eq!(rows(19), [(6..20).collect(), vec![19; 13]].concat());
        assert_eq!(rows(19).len(), WINDOW);
    }
}
