//! Inception-v3 as the Fréchet Inception distance uses it: frames in, 2048 features out. Inference only.
//!
//! Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016, figures 5, 6, 7 and 10; the network that
//! Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", 2017, took from TensorFlow, with
//! its differences: average pools do not count padding, the last block's pool is a max pool, BatchNorm eps is 1e-3, frames are
//! resized to 299×299 bilinearly without aligned corners, and scaled to [−1, 1].
//!
//! ```text
//! stem   conv 3×3 s2 → 32, conv 3×3 → 32, conv 3×3 p1 → 64, max pool [64] · conv 1×1 → 80, conv 3×3 → 192, max pool [192]
//! A ×3   1×1 ‖ 1×1, 5×5 ‖ 1×1, 3×3, 3×3 ‖ average pool, 1×1                                   35×35
//! B      3×3 s2 ‖ 1×1, 3×3, 3×3 s2 ‖ max pool                                                  17×17
//! C ×4   1×1 ‖ 1×1, 1×7, 7×1 ‖ 1×1, 7×1, 1×7, 7×1, 1×7 ‖ average pool, 1×1                     [768]
//! D      1×1, 3×3 s2 ‖ 1×1, 1×7, 7×1, 3×3 s2 ‖ max pool                                        8×8
//! E ×2   1×1 ‖ 1×1, (1×3 ‖ 3×1) ‖ 1×1, 3×3, (1×3 ‖ 3×1) ‖ average pool (last: max pool), 1×1    → mean over the picture [2048]
//! ```
//!
//! Every conv is a convolution without bias, BatchNorm and ReLU: at loading, the norm goes into weights and bias; running, bias and
//! ReLU are one operation with the convolution. Axes: n frames · h, w pixels · c channels, channels last.

mod layers;
mod resize;

use crate::weights::Tensors;
use crate::{ModelError, Result};
use candle_core::Device;
use layers::{BasicConv, Loader, Map, Pool, concat, pool};
use ndarray::{Array2, ArrayView4};
use rayon::prelude::*;
use std::path::Path;

/// Pixels of a side that the network sees.
const SIDE: usize = 299;
/// Frames that pass through the network together.
const BATCH: usize = 8;

/// The network with its weights.
///
/// ```no_run
/// use react_model::inception::Inception;
/// let inception = Inception::load("pt_inception-2015-12-05-6726825d.pth".as_ref())?;
/// let frames = ndarray::Array4::<u8>::zeros((10, 224, 224, 3));
/// assert_eq!(inception.features(frames.view())?.dim(), (10, 2048));
/// # Ok::<(), react_model::ModelError>(())
/// ```
#[derive(Debug)]
pub struct Inception {
    stem: [BasicConv; 5],
    a: [BlockA; 3],
    b: BlockB,
    c: [BlockC; 4],
    d: BlockD,
    e: [BlockE; 2],
    device: Device,
}

/// Means over the picture of the network's feature maps.
#[derive(Clone, Debug)]
pub struct FeatureMeans {
    /// After the first max pool, `[n, 64]`.
    pub first: Array2<f32>,
    /// After the second max pool, `[n, 192]`.
    pub second: Array2<f32>,
    /// Before the last reduction, `[n, 768]`.
    pub third: Array2<f32>,
    /// The features of the distance, `[n, 2048]`.
    pub last: Array2<f32>,
}

impl Inception {
    /// The weights of a file: the FID network's `.pth`, or safetensors of the same names. What the distance does not use (`fc`,
    /// `AuxLogits`) may be there or not.
    ///
    /// # Errors
    /// [`ModelError::File`] where it cannot be read, [`ModelError::Missing`] or [`ModelError::Shape`] with the first tensor that
    /// does not fit.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_tensors(&Tensors::read(path)?)
    }

    /// The weights of an open file.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_tensors(tensors: &Tensors) -> Result<Self> {
        Self::new(|name, want| {
            let file = tensors.file().to_owned();
            match tensors.dims(name) {
                None => Err(ModelError::Missing { file, name: name.to_owned(), want: want.to_vec() }),
                Some(found) if found != want => Err(ModelError::Shape { file, name: name.to_owned(), want: want.to_vec(), found }),
                Some(_) => Ok(tensors.get(name)?.flatten_all()?.to_vec1()?),
            }
        })
    }

    /// The weights from anywhere: `get(name, shape)` gives a tensor's values, row-major.
    ///
    /// # Errors
    /// What `get` gives, and [`ModelError::Config`] where it gives another number of values.
    pub fn new(get: impl FnMut(&str, &[usize]) -> Result<Vec<f32>>) -> Result<Self> {
        let mut l = Loader::new(get);
        Ok(Self {
            stem: [
                l.conv("Conv2d_1a_3x3", 3, 32, [3, 3], 2, [0, 0])?,
                l.conv("Conv2d_2a_3x3", 32, 32, [3, 3], 1, [0, 0])?,
                l.conv("Conv2d_2b_3x3", 32, 64, [3, 3], 1, [1, 1])?,
                l.conv("Conv2d_3b_1x1", 64, 80, [1, 1], 1, [0, 0])?,
                l.conv("Conv2d_4a_3x3", 80, 192, [3, 3], 1, [0, 0])?,
            ],
            a: [
                BlockA::new(&mut l, "Mixed_5b", 192, 32)?,
                BlockA::new(&mut l, "Mixed_5c", 256, 64)?,
                BlockA::new(&mut l, "Mixed_5d", 288, 64)?,
            ],
            b: BlockB::new(&mut l, "Mixed_6a", 288)?,
            c: [
                BlockC::new(&mut l, "Mixed_6b", 128)?,
                BlockC::new(&mut l, "Mixed_6c", 160)?,
                BlockC::new(&mut l, "Mixed_6d", 160)?,
                BlockC::new(&mut l, "Mixed_6e", 192)?,
            ],
            d: BlockD::new(&mut l, "Mixed_7a")?,
            e: [BlockE::new(&mut l, "Mixed_7b", 1280, Pool::Mean)?, BlockE::new(&mut l, "Mixed_7c", 2048, Pool::Max)?],
            device: Device::Cpu,
        })
    }

    /// The network on a device; it begins on the CPU. A GPU computes in f32.
    #[must_use]
    pub fn on(self, device: &Device) -> Self {
        Self { device: device.clone(), ..self }
    }

    /// frames u8 `[n, h, w, 3]`, RGB → features `[n, 2048]`.
    ///
    /// # Errors
    /// [`ModelError::Config`] where frames are empty or have not three channels.
    pub fn features(&self, frames: ArrayView4<u8>) -> Result<Array2<f32>> {
        Ok(self.feature_means(frames)?.last)
    }

    /// frames u8 `[n, h, w, 3]`, RGB → the means of all four feature maps.
    ///
    /// # Errors
    /// As [`Self::features`].
    pub fn feature_means(&self, frames: ArrayView4<u8>) -> Result<FeatureMeans> {
        let (n, h, w, channels) = frames.dim();
        if h == 0 || w == 0 || channels != 3 {
            return Err(ModelError::Config { field: "frames", what: format!("must be [n, h, w, 3], are [{n}, {h}, {w}, {channels}]") });
        }
        let mut means = [64, 192, 768, 2048].map(|c| (c, Vec::with_capacity(n * c)));
        for first in (0..n).step_by(BATCH) {
            let frames = frames.slice(ndarray::s![first..n.min(first + BATCH), .., .., ..]);
            for ((_, means), map) in means.iter_mut().zip(self.maps(frames)?) {
                means.extend(map);
            }
        }
        let [first, second, third, last] = means.map(|(c, means)| {
            // As many as were written.
            Array2::from_shape_vec((n, c), means).unwrap_or_default()
        });
        Ok(FeatureMeans { first, second, third, last })
    }

    fn maps(&self, frames: ArrayView4<u8>) -> Result<[Vec<f32>; 4]> {
        let mut x = Map::new(frames.dim().0, [SIDE, SIDE], 3);
        let inputs: Vec<_> = frames.outer_iter().collect();
        x.data.par_chunks_exact_mut(SIDE * SIDE * 3).zip(inputs).for_each(|(out, frame)| resize::resize(frame, SIDE, out));
        let [conv1a, conv2a, conv2b, conv3b, conv4a] = &self.stem;
        x = x.on(&self.device)?;
        x = pool(&conv2b.forward(&conv2a.forward(&conv1a.forward(&x)?)?)?, Pool::Max, 2)?;
        let first = x.means()?;
        x = pool(&conv4a.forward(&conv3b.forward(&x)?)?, Pool::Max, 2)?;
        let second = x.means()?;
        x = self.b.forward(&self.a.iter().try_fold(x, |x, block| block.forward(&x))?)?;
        x = self.c.iter().try_fold(x, |x, block| block.forward(&x))?;
        let third = x.means()?;
        x = self.e.iter().try_fold(self.d.forward(&x)?, |x, block| block.forward(&x))?;
        Ok([first, second, third, x.means()?])
    }
}

/// A chain of convolutions.
fn chain(convs: &[BasicConv], x: &Map) -> Result<Map> {
    let Some((first, others)) = convs.split_first() else { return Ok(x.clone()) };
    others.iter().try_fold(first.forward(x)?, |x, conv| conv.forward(&x))
}

/// Figure 5.
#[derive(Debug)]
struct BlockA {
    branch1x1: BasicConv,
    branch5x5: [BasicConv; 2],
    branch3x3dbl: [BasicConv; 3],
    branch_pool: BasicConv,
}

impl BlockA {
    fn new(l: &mut Loader, name: &str, inputs: usize, pooled: usize) -> Result<Self> {
        let mut conv = |part: &str, i, o, kernel, padding| l.conv(&format!("{name}.{part}"), i, o, kernel, 1, padding);
        Ok(Self {
            branch1x1: conv("branch1x1", inputs, 64, [1, 1], [0, 0])?,
            branch5x5: [conv("branch5x5_1", inputs, 48, [1, 1], [0, 0])?, conv("branch5x5_2", 48, 64, [5, 5], [2, 2])?],
            branch3x3dbl: [
                conv("branch3x3dbl_1", inputs, 64, [1, 1], [0, 0])?,
                conv("branch3x3dbl_2", 64, 96, [3, 3], [1, 1])?,
                conv("branch3x3dbl_3", 96, 96, [3, 3], [1, 1])?,
            ],
            branch_pool: conv("branch_pool", inputs, pooled, [1, 1], [0, 0])?,
        })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        let pooled = self.branch_pool.forward(&pool(x, Pool::Mean, 1)?)?;
        concat(&[self.branch1x1.forward(x)?, chain(&self.branch5x5, x)?, chain(&self.branch3x3dbl, x)?, pooled])
    }
}

/// Figure 10, on 35×35.
#[derive(Debug)]
struct BlockB {
    branch3x3: BasicConv,
    branch3x3dbl: [BasicConv; 3],
}

impl BlockB {
    fn new(l: &mut Loader, name: &str, inputs: usize) -> Result<Self> {
        let mut conv = |part: &str, i, o, kernel, stride, padding| l.conv(&format!("{name}.{part}"), i, o, kernel, stride, padding);
        Ok(Self {
            branch3x3: conv("branch3x3", inputs, 384, [3, 3], 2, [0, 0])?,
            branch3x3dbl: [
                conv("branch3x3dbl_1", inputs, 64, [1, 1], 1, [0, 0])?,
                conv("branch3x3dbl_2", 64, 96, [3, 3], 1, [1, 1])?,
                conv("branch3x3dbl_3", 96, 96, [3, 3], 2, [0, 0])?,
            ],
        })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        concat(&[self.branch3x3.forward(x)?, chain(&self.branch3x3dbl, x)?, pool(x, Pool::Max, 2)?])
    }
}

/// Figure 6, n = 7; `c` channels inside.
#[derive(Debug)]
struct BlockC {
    branch1x1: BasicConv,
    branch7x7: [BasicConv; 3],
    branch7x7dbl: [BasicConv; 5],
    branch_pool: BasicConv,
}

/// One row of seven, one column of seven, with their padding.
const ROW: ([usize; 2], [usize; 2]) = ([1, 7], [0, 3]);
const COLUMN: ([usize; 2], [usize; 2]) = ([7, 1], [3, 0]);
const POINT: ([usize; 2], [usize; 2]) = ([1, 1], [0, 0]);

impl BlockC {
    fn new(l: &mut Loader, name: &str, c: usize) -> Result<Self> {
        let mut conv =
            |part: &str, i, o, (kernel, padding): ([usize; 2], [usize; 2])| l.conv(&format!("{name}.{part}"), i, o, kernel, 1, padding);
        Ok(Self {
            branch1x1: conv("branch1x1", 768, 192, POINT)?,
            branch7x7: [conv("branch7x7_1", 768, c, POINT)?, conv("branch7x7_2", c, c, ROW)?, conv("branch7x7_3", c, 192, COLUMN)?],
            branch7x7dbl: [
                conv("branch7x7dbl_1", 768, c, POINT)?,
                conv("branch7x7dbl_2", c, c, COLUMN)?,
                conv("branch7x7dbl_3", c, c, ROW)?,
                conv("branch7x7dbl_4", c, c, COLUMN)?,
                conv("branch7x7dbl_5", c, 192, ROW)?,
            ],
            branch_pool: conv("branch_pool", 768, 192, POINT)?,
        })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        let pooled = self.branch_pool.forward(&pool(x, Pool::Mean, 1)?)?;
        concat(&[self.branch1x1.forward(x)?, chain(&self.branch7x7, x)?, chain(&self.branch7x7dbl, x)?, pooled])
    }
}

/// Figure 10, on 17×17.
#[derive(Debug)]
struct BlockD {
    branch3x3: [BasicConv; 2],
    branch7x7x3: [BasicConv; 4],
}

impl BlockD {
    fn new(l: &mut Loader, name: &str) -> Result<Self> {
        let mut conv = |part: &str, i, o, (kernel, padding): ([usize; 2], [usize; 2]), stride| {
            l.conv(&format!("{name}.{part}"), i, o, kernel, stride, padding)
        };
        let square = ([3, 3], [0, 0]);
        Ok(Self {
            branch3x3: [conv("branch3x3_1", 768, 192, POINT, 1)?, conv("branch3x3_2", 192, 320, square, 2)?],
            branch7x7x3: [
                conv("branch7x7x3_1", 768, 192, POINT, 1)?,
                conv("branch7x7x3_2", 192, 192, ROW, 1)?,
                conv("branch7x7x3_3", 192, 192, COLUMN, 1)?,
                conv("branch7x7x3_4", 192, 192, square, 2)?,
            ],
        })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        concat(&[chain(&self.branch3x3, x)?, chain(&self.branch7x7x3, x)?, pool(x, Pool::Max, 2)?])
    }
}

/// Figure 7.
#[derive(Debug)]
struct BlockE {
    branch1x1: BasicConv,
    branch3x3: BasicConv,
    branch3x3_split: [BasicConv; 2],
    branch3x3dbl: [BasicConv; 2],
    branch3x3dbl_split: [BasicConv; 2],
    branch_pool: BasicConv,
    pool: Pool,
}

impl BlockE {
    fn new(l: &mut Loader, name: &str, inputs: usize, pool: Pool) -> Result<Self> {
        let mut conv =
            |part: &str, i, o, (kernel, padding): ([usize; 2], [usize; 2])| l.conv(&format!("{name}.{part}"), i, o, kernel, 1, padding);
        let (row, column) = (([1, 3], [0, 1]), ([3, 1], [1, 0]));
        Ok(Self {
            branch1x1: conv("branch1x1", inputs, 320, POINT)?,
            branch3x3: conv("branch3x3_1", inputs, 384, POINT)?,
            branch3x3_split: [conv("branch3x3_2a", 384, 384, row)?, conv("branch3x3_2b", 384, 384, column)?],
            branch3x3dbl: [conv("branch3x3dbl_1", inputs, 448, POINT)?, conv("branch3x3dbl_2", 448, 384, ([3, 3], [1, 1]))?],
            branch3x3dbl_split: [conv("branch3x3dbl_3a", 384, 384, row)?, conv("branch3x3dbl_3b", 384, 384, column)?],
            branch_pool: conv("branch_pool", inputs, 192, POINT)?,
            pool,
        })
    }

    fn forward(&self, x: &Map) -> Result<Map> {
        let (one, two) = (self.branch3x3.forward(x)?, chain(&self.branch3x3dbl, x)?);
        let split = |[a, b]: &[BasicConv; 2], x: &Map| -> Result<[Map; 2]> { Ok([a.forward(x)?, b.forward(x)?]) };
        let ([one_a, one_b], [two_a, two_b]) = (split(&self.branch3x3_split, &one)?, split(&self.branch3x3dbl_split, &two)?);
        let pooled = self.branch_pool.forward(&pool(x, self.pool, 1)?)?;
        concat(&[self.branch1x1.forward(x)?, one_a, one_b, two_a, two_b, pooled])
    }
}
