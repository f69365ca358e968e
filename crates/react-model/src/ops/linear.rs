use super::planned::Planned;
use super::{ROWS, floats, gradient, with_floats};
use crate::gpu::{is_gpu, linear as on_gpu, run_op};
use crate::kernels::{DropKey, Lhs, Out, PARTS, Packed, Panels, multiversion, panel, part, product};
use crate::mode::Mode;
use crate::tape;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

/// What follows a linear layer in the same operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// ReLU, then dropout of probability `p`: the inside of a Transformer's feed-forward part.
    ReluDropout {
        /// Probability of dropping.
        p: f32,
    },
}

impl Activation {
    /// ReLU alone.
    pub const RELU: Self = Self::ReluDropout { p: 0.0 };
}

/// `y = activation(x·Wᵀ + b)`: x `[…, in]`, W `[out, in]`, b `[out]` → `[…, out]`. `site` names the layer's dropout mask.
///
/// ```
/// use candle_core::{Device::Cpu, Tensor};
/// use react_model::{Mode, ops::{Activation, linear}};
/// let x = Tensor::new(&[[1f32, 2.0]], &Cpu)?;
/// let w = Tensor::new(&[[1f32, 1.0], [0.0, -1.0]], &Cpu)?;
/// let b = Tensor::new(&[0.5f32, 0.25], &Cpu)?;
/// let y = linear(&x, &w, &b, Activation::None, &Mode::eval(), "fc")?;
/// assert_eq!(y.to_vec2::<f32>()?, [[3.5, -1.75]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// Candle's, where shapes do not fit.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor, activation: Activation, mode: &Mode, site: &str) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    if x.dims().last() != Some(&inputs) || bias.dims() != [outputs] {
        candle_core::bail!("linear {site}: weight {:?} and bias {:?} do not fit the input {:?}", weight.dims(), bias.dims(), x.dims());
    }
    let (relu, drop) = match activation {
        Activation::None => (false, None),
        Activation::ReluDropout { p } => (true, mode.drop_key(p, site)),
    };
    let scale = match activation {
        Activation::ReluDropout { p } if drop.is_some() => crate::kernels::keep_scale(p),
        _ => 1.0,
    };
    if is_gpu(x) {
        let layer = on_gpu::Layer { rows: x.elem_count() / inputs, inputs, outputs, relu, tf32: mode.precision().rounds_factors() };
        return linear_on_gpu([x, weight, bias], layer, drop.as_ref(), scale);
    }
    tape::apply3(x, weight, bias, Linear { inputs, outputs, relu, drop, scale })
}

fn linear_on_gpu([x, weight, bias]: [&Tensor; 3], layer: on_gpu::Layer, drop: Option<&DropKey>, scale: f32) -> Result<Tensor> {
    let mut dims = x.dims().to_vec();
    if let Some(last) = dims.last_mut() {
        *last = layer.outputs;
    }
    let op = Planned::new("linear", layer.forward(drop, ROWS * layer.outputs), dims, move |arguments, _, y, grad| {
        let [x, w, b] = *arguments else { candle_core::bail!("linear: {} arguments", arguments.len()) };
        let mut given = vec![x, w, grad];
        if layer.relu {
            given.push(y);
        }
        let mut gradients = run_op(&layer.backward(scale, x.track_op()), grad.device(), &given)?.into_iter();
        let mut next = |of: &Tensor| gradients.next().map(|g| g.reshape(of.shape())).transpose();
        let (dw, db) = (next(w)?, next(b)?);
        Ok(vec![next(x)?, dw, db])
    });
    tape::apply3(x, weight, bias, op)
}

struct Linear {
    inputs: usize,
    outputs: usize,
    relu: bool,
    drop: Option<DropKey>,
    scale: f32,
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, w, b) = (floats(x, lx, "linear")?, floats(w, lw, "linear")?, floats(b, lb, "linear")?);
        let (n, k) = (self.outputs, self.inputs);
        let packed = Packed::new(k, n, panel(ROWS, n), |i, j| w[j * k + i]);
        let mut y = vec![0.0; lx.shape().elem_count() / k * n];
        y.par_chunks_mut(ROWS * n).enumerate().for_each(|(chunk, y)| {
            y.chunks_exact_mut(n).for_each(|row| row.copy_from_slice(b));
            let lhs = Lhs { data: x, offset: chunk * ROWS * k, row: k, step: 1 };
            product(y.len() / n, n, k, &[(0, 0)], lhs, packed.panels(0), Out { data: y, offset: 0, row: n }, true);
            if self.relu {
                let mut mask = vec![1.0; y.len()];
                if let Some(drop) = &self.drop {
                    drop.fill(chunk as u32, &mut mask);
                }
                relu_masked(&mask, y);
            }
        });
        let mut dims = lx.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = n;
        }
        Ok((CpuStorage::F32(y), dims.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        res: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        if self.relu {
            let dz = with_floats(res, "linear", |y| with_floats(grad, "linear", |g| Ok(relu_gradient(y, g, self.scale))))?;
            self.gradients(x, w, b, &dz)
        } else {
            with_floats(grad, "linear", |dz| self.gradients(x, w, b, dz))
        }
    }
}

impl Linear {
    /// Gradients for one of the sums before the activation.
    fn gradients(&self, x: &Tensor, w: &Tensor, b: &Tensor, dz: &[f32]) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (n, k) = (self.outputs, self.inputs);
        let dx = if x.track_op() {
            let mut dx = vec![0.0; x.elem_count()];
            with_floats(w, "linear", |w| {
                dx.par_chunks_mut(ROWS * k).enumerate().for_each(|(chunk, dx)| {
                    let lhs = Lhs { data: dz, offset: chunk * ROWS * n, row: n, step: 1 };
                    product(
                        dx.len() / k,
                        k,
                        n,
                        &[(0, 0)],
                        lhs,
                        Panels::rows(w, 0, k, panel(ROWS, k)),
                        Out { data: dx, offset: 0, row: k },
                        false,
                    );
                });
                Ok(())
            })?;
            gradient(x, dx)?
        } else {
            None
        };
        let mut dw = vec![0.0; n * k];
        let rows = dz.len() / n;
        with_floats(x, "linear", |x| {
            dw.par_chunks_mut(28 * k).enumerate().for_each(|(chunk, dw)| {
                let lhs = Lhs { data: dz, offset: chunk * 28, row: 1, step: n };
                product(
                    dw.len() / k,
                    k,
                    rows,
                    &[(0, 0)],
                    lhs,
                    Panels::rows(x, 0, k, panel(28, k)),
                    Out { data: dw, offset: 0, row: k },
                    false,
                );
            });
            Ok(())
        })?;
        Ok((dx, gradient(w, dw)?, gradient(b, column_sums(dz, n))?))
    }
}

/// Σ over rows, in f32 within a part and f64 across.
pub(super) fn column_sums(x: &[f32], columns: usize) -> Vec<f32> {
    let rows = x.len() / columns;
    let parts: Vec<Vec<f32>> = (0..PARTS)
        .map(|p| {
            let rows = part(rows, PARTS, p);
            let mut sums = vec![0.0; columns];
            add_rows(&x[rows.start * columns..rows.end * columns], &mut sums);
            sums
        })
        .collect();
    (0..columns).map(|j| parts.iter().map(|p| f64::from(p[j])).sum::<f64>() as f32).collect()
}

multiversion! {
    fn add_rows(x: &[f32], sums: &mut [f32]) {
        for row in x.chunks_exact(sums.len()) {
            for (s, x) in sums.iter_mut().zip(row) {
                *s += x;
            }
        }
    }
}

multiversion! {
    fn relu_masked(mask: &[f32], y: &mut [f32]) {
        for (y, m) in y.iter_mut().zip(mask) {
            *y = if *y <= 0.0 { 0.0 } else { *y * m };
        }
    }
}

multiversion! {
    /// What is positive in the result was neither cut nor dropped.
    fn relu_gradient(y: &[f32], grad: &[f32], scale: f32) -> Vec<f32> {
        y.iter().zip(grad).map(|(y, g)| if *y > 0.0 { g * scale } else { 0.0 }).collect()
    }
}
