//! The mapping net: a window of coefficients to a motion descriptor; and the small perceptrons that make it a norm's parameters.

use super::config::{MAPPING_LAYERS, WINDOW};
use super::load::Loader;
use super::maps::{Map, Norm, leaky};
use crate::Result;
use crate::kernels::{Lhs, Out, Packed, panel, product};

/// A convolution over time without padding; a kernel of 1 is a linear layer.
#[derive(Debug)]
pub(super) struct Conv1d {
    inputs: usize,
    kernel: usize,
    dilation: usize,
    bias: Vec<f32>,
    weights: Packed,
}

impl Conv1d {
    /// Of weights `[outputs, inputs, kernel]`.
    fn new(weights: &[f32], bias: Vec<f32>, kernel: usize, dilation: usize) -> Self {
        let outputs = bias.len();
        let inputs = weights.len() / (outputs * kernel);
        let packed = Packed::new(kernel * inputs, outputs, panel(WINDOW, outputs), |k, co| {
            weights[(co * inputs + k % inputs) * kernel + k / inputs]
        });
        Self { inputs, kernel, dilation, bias, weights: packed }
    }

    fn load(l: &mut Loader<'_>, name: &str, kernel: usize, dilation: usize) -> Result<Self> {
        Ok(Self::new(&l.get(&format!("{name}.weight"))?, l.get(&format!("{name}.bias"))?, kernel, dilation))
    }

    /// Frames that an output frame sees, less one.
    fn reach(&self) -> usize {
        (self.kernel - 1) * self.dilation
    }

    /// x `[t, inputs]` → `[t − reach, outputs]`.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (outputs, frames) = (self.bias.len(), (x.len() / self.inputs).saturating_sub(self.reach()));
        let mut y = self.bias.repeat(frames);
        let segments: Vec<_> =
            (0..self.kernel).map(|k| (k * self.dilation * self.inputs, k * self.inputs * self.weights.width())).collect();
        let a = Lhs { data: x, offset: 0, row: self.inputs, step: 1 };
        let out = Out { data: &mut y, offset: 0, row: outputs };
        product(frames, outputs, self.inputs, &segments, a, self.weights.panels(0), out, true);
        y
    }
}

/// The mapping net.
#[derive(Debug)]
pub(super) struct Mapping {
    pre: Conv1d,
    first: Conv1d,
    encoders: Vec<Conv1d>,
}

impl Mapping {
    pub(super) fn new(l: &mut Loader<'_>) -> Result<Self> {
        let mut conv = |name: &str, kernel, dilation| Conv1d::load(l, &format!("mapping_net.{name}"), kernel, dilation);
        Ok(Self {
            pre: conv("pre", 1, 1)?,
            first: conv("first.0", 7, 1)?,
            encoders: (0..MAPPING_LAYERS).map(|i| conv(&format!("encoder{i}.1"), 3, 3)).collect::<Result<_>>()?,
        })
    }

    /// A window of coefficients `[27, 58]` → descriptor `[d]`.
    pub(super) fn forward(&self, window: &[f32]) -> Vec<f32> {
        let mut x = self.first.forward(&self.pre.forward(window));
        let d = self.first.bias.len();
        for conv in &self.encoders {
            let active: Vec<f32> = x.iter().map(|x| leaky(*x)).collect();
            let mut y = conv.forward(&active);
            // x without the three frames at either end that the kernel takes off.
            y.iter_mut().zip(&x[3 * d..]).for_each(|(y, x)| *y += x);
            x = y;
        }
        let frames = x.len() / d;
        let mean = |c: usize| (0..frames).map(|t| x[t * d + c]).sum::<f32>() / frames as f32;
        (0..d).map(mean).collect()
    }
}

/// Adaptive instance normalisation: InstanceNorm(x)·(1 + γ) + β, with γ and β of the descriptor.
#[derive(Debug)]
pub(super) struct AdaIn {
    shared: Conv1d,
    /// γ, then β.
    both: [Conv1d; 2],
}

impl AdaIn {
    pub(super) fn new(l: &mut Loader<'_>, name: &str) -> Result<Self> {
        let mut linear = |part: &str| Conv1d::load(l, &format!("{name}.{part}"), 1, 1);
        Ok(Self { shared: linear("mlp_shared.0")?, both: [linear("mlp_gamma")?, linear("mlp_beta")?] })
    }

    /// The norm of maps beside each other, under a descriptor.
    pub(super) fn of(&self, maps: &[&Map], descriptor: &[f32]) -> Norm {
        let mut hidden = self.shared.forward(descriptor);
        // What is no number stays that.
        hidden.iter_mut().for_each(|x| *x = if *x <= 0.0 { 0.0 } else { *x });
        let [gamma, beta] = self.both.each_ref().map(|linear| linear.forward(&hidden));
        let channels = maps.iter().flat_map(|map| map.instance_norm());
        Norm::new(&channels.zip(gamma.iter().zip(&beta)).map(|(norm, (g, b))| norm.then(1.0 + g, *b)).collect::<Vec<_>>())
    }
}
