//! What the network is made of: convolutions with their norm folded in, pools, and maps to pass between them.

use crate::gpu::plan::Type;
use crate::gpu::{conv3d, convolution, pool as pools, run_for};
use crate::kernels::{Conv, Time, Weights};
use crate::ops::MaxPool3dShape;
use crate::{ModelError, Precision, Result};
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::sync::OnceLock;

/// Feature maps `[n, h, w, c]`.
#[derive(Clone, Debug)]
pub(super) struct Map {
    n: usize,
    size: [usize; 2],
    c: usize,
    /// Of a map on the CPU.
    pub(super) data: Vec<f32>,
    /// Of a map on a GPU, `[n, h, w, c]`.
    on_gpu: Option<Tensor>,
}

impl Map {
    pub(super) fn new(n: usize, size: [usize; 2], c: usize) -> Self {
        Self { n, size, c, data: vec![0.0; n * size[0] * size[1] * c], on_gpu: None }
    }

    fn of(tensor: Tensor) -> Result<Self> {
        let (n, h, w, c) = tensor.dims4()?;
        Ok(Self { n, size: [h, w], c, data: Vec::new(), on_gpu: Some(tensor) })
    }

    /// The same on a device.
    pub(super) fn on(self, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(self);
        }
        Self::of(Tensor::from_vec(self.data, (self.n, self.size[0], self.size[1], self.c), device)?)
    }

    fn frame(&self) -> usize {
        self.size[0] * self.size[1] * self.c
    }

    /// Means over the picture, `[n, c]`.
    pub(super) fn means(&self) -> Result<Vec<f32>> {
        if let Some(x) = &self.on_gpu {
            return Ok(crate::ops::picture_mean(x)?.flatten_all()?.to_vec1()?);
        }
        let pixels = (self.size[0] * self.size[1]) as f64;
        let mut out = Vec::with_capacity(self.n * self.c);
        for frame in self.data.chunks_exact(self.frame()) {
            let mut sums = vec![0.0f64; self.c];
            for pixel in frame.chunks_exact(self.c) {
                sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += f64::from(*x));
            }
            out.extend(sums.iter().map(|sum| (sum / pixels) as f32));
        }
        Ok(out)
    }
}

/// Gives a tensor's values by its name and shape.
type Source<'a> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a;

/// Makes layers from tensors by name.
pub(super) struct Loader<'a> {
    get: Box<Source<'a>>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(get: impl FnMut(&str, &[usize]) -> Result<Vec<f32>> + 'a) -> Self {
        Self { get: Box::new(get) }
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let values = (self.get)(name, shape)?;
        if values.len() != shape.iter().product::<usize>() {
            let what = format!("{name}: {} values for the shape {shape:?}", values.len());
            return Err(ModelError::Config { field: "weights of Inception", what });
        }
        Ok(values)
    }

    /// The tensors `name.conv.weight` and `name.bn.*`.
    pub(super) fn conv(
        &mut self,
        name: &str,
        cin: usize,
        cout: usize,
        kernel: [usize; 2],
        stride: usize,
        padding: [usize; 2],
    ) -> Result<BasicConv> {
        const EPSILON: f32 = 1e-3;
        let mut weights = self.tensor(&format!("{name}.conv.weight"), &[cout, cin, kernel[0], kernel[1]])?;
        let mut norm = |part: &str| self.tensor(&format!("{name}.bn.{part}"), &[cout]);
        let (gamma, beta, mean, variance) = (norm("weight")?, norm("bias")?, norm("running_mean")?, norm("running_var")?);
        let mut bias = Vec::with_capacity(cout);
        for (co, weights) in weights.chunks_exact_mut(cin * kernel[0] * kernel[1]).enumerate() {
            let scale = gamma[co] / (variance[co] + EPSILON).sqrt();
            weights.iter_mut().for_each(|w| *w *= scale);
            bias.push(beta[co] - mean[co] * scale);
        }
        let conv = Conv { height: 0, width: 0, cin, cout, kernel, stride: [stride; 2], padding, time: Time::FRAME };
        Ok(BasicConv { conv, weights, bias, packed: OnceLock::new(), on_gpu: OnceLock::new() })
    }
}

/// relu(BatchNorm(conv(x))).
#[derive(Debug)]
pub(super) struct BasicConv {
    /// Its sizes but the picture's.
    conv: Conv,
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// For the one size of picture that comes by.
    packed: OnceLock<(Conv, Weights)>,
    /// Weights and bias, once a GPU has asked for them.
    on_gpu: OnceLock<[Tensor; 2]>,
}

impl BasicConv {
    pub(super) fn forward(&self, x: &Map) -> Result<Map> {
        match &x.on_gpu {
            Some(x) => self.forward_on_gpu(x),
            None => Ok(self.forward_on_cpu(x)),
        }
    }

    fn forward_on_gpu(&self, x: &Tensor) -> Result<Map> {
        let Conv { cin, cout, kernel: [kh, kw], stride, padding, .. } = self.conv;
        let (n, height, width, _) = x.dims4()?;
        let conv = convolution::Conv {
            batch: n,
            input: [1, height, width],
            cin,
            cout,
            kernel: [1, kh, kw],
            stride: [1, stride[0], stride[1]],
            padding: [0, padding[0], padding[1]],
            bytes: false,
            input_gradient: false,
            // The distance is compared with published ones.
            precision: Precision::F32,
            row: cin * kh * kw,
        };
        let upload =
            || -> Result<_> { Ok([Tensor::new(self.weights.as_slice(), x.device())?, Tensor::new(self.bias.as_slice(), x.device())?]) };
        let [weights, bias] = match self.on_gpu.get() {
            Some(there) => there,
            None => {
                let made = upload()?;
                self.on_gpu.get_or_init(|| made)
            }
        };
        let [_, rows, columns] = conv.output();
        let [y] = run_for(&conv3d::forward_relu(&conv), x.device(), &[x, weights, bias])?;
        Map::of(y.reshape((n, rows, columns, cout))?)
    }

    fn forward_on_cpu(&self, x: &Map) -> Map {
        let point = self.conv.kernel == [1, 1] && self.conv.stride == [1, 1];
        // A kernel of one pixel takes a picture as one row.
        let [height, width] = if point { [1, x.size[0] * x.size[1]] } else { x.size };
        let conv = Conv { height, width, ..self.conv };
        let (packed_for, weights) = self.packed.get_or_init(|| (conv, conv.pack(&self.weights)));
        // Every layer sees pictures of one size: the network's input has one.
        debug_assert_eq!(*packed_for, conv);
        let size = if point { x.size } else { conv.out().unwrap_or([0, 0]) };
        let mut y = Map::new(x.n, size, conv.cout);
        let frames = y.data.par_chunks_exact_mut(size[0] * size[1] * conv.cout).zip(x.data.par_chunks_exact(x.frame()));
        frames.for_each_init(Vec::new, |padded, (y, x)| {
            y.chunks_exact_mut(conv.cout).for_each(|pixel| pixel.copy_from_slice(&self.bias));
            if conv.padding == [0, 0] {
                conv.forward(1, x, weights, y, true);
            } else {
                padded.resize(conv.padded_frame(), 0.0);
                conv.pad(x, padded);
                conv.forward(1, padded, weights, y, true);
            }
            y.iter_mut().for_each(|y| *y = if *y <= 0.0 { 0.0 } else { *y });
        });
        y
    }
}

/// What a pool takes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// The largest.
    Max,
    /// The mean of what lies inside the picture.
    Mean,
}

/// Windows of 3×3: with stride 2 inside the picture, with stride 1 around every pixel.
pub(super) fn pool(x: &Map, kind: Pool, stride: usize) -> Result<Map> {
    let padding = usize::from(stride == 1);
    let size = x.size.map(|n| (n + 2 * padding - 3) / stride + 1);
    if let Some(tensor) = &x.on_gpu {
        let plan = match kind {
            // Only around every pixel: stride 1.
            Pool::Mean => pools::mean_around([x.n, x.size[0], x.size[1], x.c]),
            Pool::Max => {
                let shape = MaxPool3dShape { kernel: [1, 3, 3], stride: [1, stride, stride], padding: [0, padding, padding] };
                let (sizes, out) = ([1, x.size[0], x.size[1]], [1, size[0], size[1]]);
                pools::MaxPool { element: Type::F32, clips: x.n, sizes, out, channels: x.c, shape }.forward(false)
            }
        };
        let [y] = run_for(&plan, tensor.device(), &[tensor])?;
        return Map::of(y.reshape((x.n, size[0], size[1], x.c))?);
    }
    let window = |i: usize, n: usize| (i * stride).saturating_sub(padding)..(i * stride + 3 - padding).min(n);
    let mut y = Map::new(x.n, size, x.c);
    let frames = y.data.par_chunks_exact_mut(size[0] * size[1] * x.c).zip(x.data.par_chunks_exact(x.frame()));
    frames.for_each(|(y, frame)| {
        for (i, y) in y.chunks_exact_mut(x.c).enumerate() {
            let (rows, columns) = (window(i / size[1], x.size[0]), window(i % size[1], x.size[1]));
            let count = (rows.len() * columns.len()) as f32;
            y.fill(if kind == Pool::Max { f32::NEG_INFINITY } else { 0.0 });
            for place in rows.flat_map(|row| columns.clone().map(move |column| row * x.size[1] + column)) {
                let pixel = frame[place * x.c..][..x.c].iter();
                match kind {
                    Pool::Max => y.iter_mut().zip(pixel).for_each(|(y, x)| *y = if *x > *y { *x } else { *y }),
                    Pool::Mean => y.iter_mut().zip(pixel).for_each(|(y, x)| *y += x),
                }
            }
            if kind == Pool::Mean {
                y.iter_mut().for_each(|y| *y /= count);
            }
        }
    });
    Ok(y)
}

/// Maps of the same pictures, one's channels after the other's.
pub(super) fn concat(maps: &[Map]) -> Result<Map> {
    let (Some(first), channels) = (maps.first(), maps.iter().map(|m| m.c).sum()) else { return Ok(Map::new(0, [0, 0], 0)) };
    let tensors: Vec<&Tensor> = maps.iter().filter_map(|map| map.on_gpu.as_ref()).collect();
    if !tensors.is_empty() {
        return Map::of(Tensor::cat(&tensors, 3)?);
    }
    let mut out = Map::new(first.n, first.size, channels);
    out.data.par_chunks_exact_mut(channels).enumerate().for_each(|(pixel, out)| {
        let mut start = 0;
        for map in maps {
            out[start..start + map.c].copy_from_slice(&map.data[pixel * map.c..][..map.c]);
            start += map.c;
        }
    });
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_of_a_picture_of_nine() {
        let x = Map { n: 1, size: [3, 3], c: 1, data: (1..=9u8).map(f32::from).collect(), on_gpu: None };
        assert_eq!(pool(&x, Pool::Max, 2).unwrap().data, [9.0]);
        assert_eq!(pool(&x, Pool::Max, 1).unwrap().data, [5.0, 6.0, 6.0, 8.0, 9.0, 9.0, 8.0, 9.0, 9.0]);
        // Padding is not counted.
        assert_eq!(pool(&x, Pool::Mean, 1).unwrap().data, [3.0, 3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 6.5, 7.0]);
    }
}
