//! Convolution of channels-last frames, forward and backward, without im2col: [`super::tile`] reads the overlapping rows of a
//! zero-padded copy of a frame as they lie.
//!
//! ```text
//! forward   y[oy, ox, co] = Σ_{kh,kw,ci} x[oy·s + kh, ox·s + kw, ci] · w[co, ci, kh, kw]         x zero-padded
//! weights   dw[kh, kw, ci, co] = Σ_{oy,ox} x[oy·s + kh, ox·s + kw, ci] · dy[oy, ox, co]
//! input     dx[s·q + r, …, ci] = Σ_{j, …, co} dy[q − j, …, co] · w[co, ci, r + s·j, …]           one small convolution per phase r
//! ```
//!
//! A temporal kernel is more of the same: its taps are further terms of the sums, a frame of x apart. With one tap and stride 1 the
//! frames know nothing of each other, and all clips of a batch are one row of frames.
//!
//! Frames are worked on in groups. A large frame is a group alone, and the kernel's rows are pixels of an image row; of small
//! frames several make a group, and the kernel's rows are the same pixel of each of them.

use super::simd::multiversion;
use super::tile::{Lhs, Out, Packed, Panels, Segment, panel, product};
use super::winograd::{self, Kernels, Plane};
use rayon::prelude::*;
use std::ops::Range;

/// Sizes of a convolution of `[n, height, width, cin]` with weights `[cout, cin, time.kernel, kernel]`; axes in the order height,
/// width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conv {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) cin: usize,
    pub(crate) cout: usize,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    pub(crate) padding: [usize; 2],
    pub(crate) time: Time,
}

/// Taps and stride along time. Frames of zeros before and after a clip are the caller's affair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
}

impl Time {
    /// Each frame for itself.
    pub(crate) const FRAME: Self = Self { kernel: 1, stride: 1 };
}

/// A convolution's weights, packed for the forward product.
#[derive(Debug)]
pub(crate) enum Weights {
    Direct(Packed),
    Winograd(Kernels),
}

/// A convolution's weights, packed for the gradient of its input.
#[derive(Debug)]
pub(crate) enum GradientWeights {
    /// Per temporal tap and phase: taps of the two axes, and the packed part of the weights.
    Direct(Vec<Vec<([usize; 2], Packed)>>),
    Winograd(Kernels),
}

/// Floats of a padded frame below which frames are worked on in groups.
const SMALL_FRAME: usize = 8192;
/// Small frames in a group: the rows of two kernel calls.
const GROUP: usize = 28;
/// Pixels of a sum over which reading and writing the result is cheap.
const LONG_SUM: usize = 224;
/// Floats of dy that all taps pass over before the next come.
const STRIP: usize = 8192;
/// Pixels of a row that is a short loop.
const SHORT_ROW: usize = 8;
/// Floats that a task of a sum takes.
const CHUNK: usize = 4096;
/// Channels that a change of layout moves together.
const BLOCK: usize = 16;
/// Channels from which fewer multiplications are worth the transforms.
const WINOGRAD_CHANNELS: usize = 32;

impl Conv {
    /// Output sizes; `None` where the kernel does not fit.
    pub(crate) fn out(&self) -> Option<[usize; 2]> {
        let size = |n: usize, axis: usize| Some((n + 2 * self.padding[axis]).checked_sub(self.kernel[axis])? / self.stride[axis] + 1);
        Some([size(self.height, 0)?, size(self.width, 1)?])
    }

    fn sizes(&self) -> [usize; 2] {
        self.out().unwrap_or([0, 0])
    }

    pub(crate) fn in_frame(&self) -> usize {
        self.height * self.width * self.cin
    }

    pub(crate) fn out_frame(&self) -> usize {
        let [ho, wo] = self.sizes();
        ho * wo * self.cout
    }

    /// Rows of the weight matrix: temporal kernel × kernel height × kernel width × input channels.
    pub(crate) fn taps(&self) -> usize {
        self.time.kernel * self.kernel[0] * self.kernel[1] * self.cin
    }

    /// Frames of input that `count` frames of output are made of.
    pub(crate) fn reach_in_time(&self, count: usize) -> usize {
        (count - 1) * self.time.stride + self.time.kernel
    }

    /// Bytes between rows of a padded frame, in floats.
    fn padded_row(&self) -> usize {
        (self.width + 2 * self.padding[1]) * self.cin
    }

    pub(crate) fn padded_frame(&self) -> usize {
        (self.height + 2 * self.padding[0]) * self.padded_row()
    }

    /// Frames that are worked on together: enough small ones for the kernel's rows, enough middling ones that a sum over their
    /// pixels is long.
    pub(crate) fn group(&self) -> usize {
        let [ho, wo] = self.sizes();
        if self.winograd() {
            winograd::TILES.div_ceil(winograd::tiles([ho, wo])).min(GROUP)
        } else if self.by_frames() {
            GROUP
        } else {
            (LONG_SUM / (ho * wo).max(1)).clamp(1, GROUP)
        }
    }

    /// Whether tiles of 2×2 pixels are computed at once.
    fn winograd(&self) -> bool {
        self.kernel == [3, 3]
            && self.stride == [1, 1]
            && self.time == Time::FRAME
            && self.cin.min(self.cout) >= WINOGRAD_CHANNELS
            && self.sizes().iter().all(|size| *size >= 2)
    }

    /// The padded input.
    fn input_plane(&self) -> Plane {
        let [rows, columns] = [self.height + 2 * self.padding[0], self.width + 2 * self.padding[1]];
        Plane { start: 0, rows, columns, channels: self.cin, row: self.padded_row(), frame: self.padded_frame() }
    }

    fn output_plane(&self) -> Plane {
        let [rows, columns] = self.sizes();
        Plane { start: 0, rows, columns, channels: self.cout, row: columns * self.cout, frame: self.out_frame() }
    }

    /// Floats of a part of the weight gradient.
    pub(crate) fn weight_sums(&self) -> usize {
        if self.winograd() { winograd::PLACES * self.cin * self.cout } else { self.taps() * self.cout }
    }

    fn by_frames(&self) -> bool {
        self.padded_frame() <= SMALL_FRAME
    }

    /// Most taps of a phase, per axis: what dy is padded by in front, plus one.
    fn reach(&self, axis: usize) -> usize {
        self.kernel[axis].div_ceil(self.stride[axis])
    }

    /// Sizes of a frame of dy with the zeros that the input gradient's products run into.
    fn padded_grad(&self) -> [usize; 2] {
        let out = self.sizes();
        let size = |n: usize, axis: usize| ((self.padding[axis] + n - 1) / self.stride[axis]).max(out[axis] - 1) + self.reach(axis);
        [size(self.height, 0), size(self.width, 1)]
    }

    fn grad_row(&self) -> usize {
        self.padded_grad()[1] * self.cout
    }

    pub(crate) fn grad_frame(&self) -> usize {
        self.padded_grad()[0] * self.grad_row()
    }

    /// Where the first pixel of row `oy` of dy lies in a padded frame of it.
    pub(crate) fn grad_row_start(&self, oy: usize) -> usize {
        (oy + self.reach(0) - 1) * self.grad_row() + (self.reach(1) - 1) * self.cout
    }

    /// Packs `[cout, cin, kt, kh, kw]` weights for [`Self::forward`].
    pub(crate) fn pack(&self, weights: &[f32]) -> Weights {
        if self.winograd() {
            return Weights::Winograd(Kernels::new(weights, self.cin, self.cout, false));
        }
        Weights::Direct(self.pack_forward(weights))
    }

    /// Packs the same weights for [`Self::input_gradient`].
    pub(crate) fn pack_gradient(&self, weights: &[f32]) -> GradientWeights {
        if self.winograd() {
            return GradientWeights::Winograd(Kernels::new(weights, self.cin, self.cout, true));
        }
        let phases = |t| self.phases().map(|phase| self.pack_phase(weights, t, phase)).collect();
        GradientWeights::Direct((0..self.time.kernel).map(phases).collect())
    }

    /// Rows (tap, ci), columns co.
    fn pack_forward(&self, weights: &[f32]) -> Packed {
        let rows = if self.by_frames() { GROUP } else { self.sizes()[1] };
        let (cin, width) = (self.cin, panel(rows, self.cout));
        let taps = self.taps() / cin;
        Packed::with(self.taps(), self.cout, width, |p, data| {
            let end = self.cout.min((p + 1) * width);
            for (block, first) in (p * width..end).step_by(BLOCK).enumerate() {
                let count = BLOCK.min(end - first);
                let weights = &weights[first * self.taps()..][..count * self.taps()];
                for ci in 0..cin {
                    for tap in 0..taps {
                        let row = &mut data[(tap * cin + ci) * width + block * BLOCK..][..count];
                        for (co, value) in row.iter_mut().enumerate() {
                            *value = weights[co * self.taps() + ci * taps + tap];
                        }
                    }
                }
            }
        })
    }

    /// Rows (tap of the phase, co), columns ci.
    fn pack_phase(&self, weights: &[f32], t: usize, phase: [(usize, usize); 2]) -> ([usize; 2], Packed) {
        let [kh, kw] = self.kernel;
        let [jy, jx] = phase.map(|(r, axis)| (self.kernel[axis] - r).div_ceil(self.stride[axis]));
        let rows = if self.by_frames() { GROUP } else { self.width.div_ceil(self.stride[1]) };
        let (cin, width) = (self.cin, panel(rows, self.cin));
        let taps = self.taps() / cin;
        let packed = Packed::with(jy * jx * self.cout, cin, width, |p, data| {
            for (co, weights) in weights.chunks_exact(self.taps()).enumerate() {
                for tap in 0..jy * jx {
                    // Ascending in dy is descending in the kernel.
                    let (y, x) = (jy - 1 - tap / jx, jx - 1 - tap % jx);
                    let from = (t * kh + phase[0].0 + self.stride[0] * y) * kw + phase[1].0 + self.stride[1] * x;
                    let row = &mut data[(tap * self.cout + co) * width..][..width.min(cin - p * width)];
                    for (ci, value) in row.iter_mut().enumerate() {
                        *value = weights[(p * width + ci) * taps + from];
                    }
                }
            }
        });
        ([jy, jx], packed)
    }

    /// Phases of the stride that the kernel touches, each with its axis. A phase that no tap reaches has no gradient.
    fn phases(&self) -> impl Iterator<Item = [(usize, usize); 2]> + use<> {
        let (sy, sx) = (self.stride[0].min(self.kernel[0]), self.stride[1].min(self.kernel[1]));
        (0..sy).flat_map(move |y| (0..sx).map(move |x| [(y, 0), (x, 1)]))
    }

    /// Copies a frame into the inside of a zero-padded one.
    pub(crate) fn pad(&self, frame: &[f32], padded: &mut [f32]) {
        let row = self.width * self.cin;
        let start = self.padding[0] * self.padded_row() + self.padding[1] * self.cin;
        for (from, to) in frame.chunks_exact(row).zip(padded[start..].chunks_mut(self.padded_row())) {
            to[..row].copy_from_slice(from);
        }
    }

    /// The same from bytes, scaled to (x/255 − 0.5)/0.5.
    pub(crate) fn pad_bytes(&self, frame: &[u8], padded: &mut [f32]) {
        let row = self.width * self.cin;
        let start = self.padding[0] * self.padded_row() + self.padding[1] * self.cin;
        for (from, to) in frame.chunks_exact(row).zip(padded[start..].chunks_mut(self.padded_row())) {
            scale(from, &mut to[..row]);
        }
    }

    /// y of `count` frames, added to what `out` holds or written; `padded` holds the [`Self::reach_in_time`] frames that they see.
    pub(crate) fn forward(&self, count: usize, padded: &[f32], weights: &Weights, out: &mut [f32], accumulate: bool) {
        match weights {
            Weights::Direct(packed) => self.direct(count, padded, packed, out, accumulate),
            Weights::Winograd(kernels) => {
                winograd::forward(count, padded, self.input_plane(), kernels, out, self.output_plane(), accumulate);
            }
        }
    }

    fn direct(&self, count: usize, padded: &[f32], weights: &Packed, out: &mut [f32], accumulate: bool) {
        let [ho, wo] = self.sizes();
        let depth = self.kernel[1] * self.cin;
        let panels = weights.panels(0);
        let frame = self.time.stride * self.padded_frame();
        let taps = (0..self.time.kernel).flat_map(|t| (0..self.kernel[0]).map(move |y| (t, y))).enumerate();
        let segments: Vec<Segment> =
            taps.map(|(i, (t, y))| (t * self.padded_frame() + y * self.padded_row(), i * depth * weights.width())).collect();
        for oy in 0..ho {
            let line = oy * self.stride[0] * self.padded_row();
            let segments = if self.time.kernel == 1 { &segments[self.rows_inside(oy)] } else { &segments };
            let mut run = |rows, offset, row, c_offset, c_row| {
                let a = Lhs { data: padded, offset, row, step: 1 };
                product(rows, self.cout, depth, segments, a, panels, Out { data: &mut *out, offset: c_offset, row: c_row }, accumulate);
            };
            if self.by_frames() {
                for ox in 0..wo {
                    let pixel = line + ox * self.stride[1] * self.cin;
                    run(count, pixel, frame, (oy * wo + ox) * self.cout, self.out_frame());
                }
            } else {
                for f in 0..count {
                    run(wo, f * frame + line, self.stride[1] * self.cin, f * self.out_frame() + oy * wo * self.cout, self.cout);
                }
            }
        }
    }

    /// Rows of the kernel that lie on the picture, not on its padding, for row `oy` of the output.
    fn rows_inside(&self, oy: usize) -> Range<usize> {
        let top = oy * self.stride[0];
        let end = (self.padding[0] + self.height).saturating_sub(top).min(self.kernel[0]);
        self.padding[0].saturating_sub(top).min(end)..end
    }

    /// Adds to dw, [`Self::weight_sums`] floats for [`Self::sum_weight_gradients`], what `count` frames contribute; `padded` as in
    /// [`Self::forward`], `dy` is padded ([`Self::grad_frame`]).
    pub(crate) fn weight_gradient(&self, count: usize, padded: &[f32], dy: &[f32], dw: &mut [f32]) {
        let [ho, wo] = self.sizes();
        if self.winograd() {
            let of = Plane { start: self.grad_row_start(0), row: self.grad_row(), frame: self.grad_frame(), ..self.output_plane() };
            return winograd::weight_gradient(count, padded, self.input_plane(), dy, of, dw);
        }
        let (line, columns) = (self.kernel[1] * self.cin, self.cout);
        let width = panel(line, columns);
        let mut run = |depth, rows: &[(usize, Segment)], a_step, b_step| {
            for y in 0..self.kernel[0] {
                // Zeros of the padding add nothing.
                let inside = rows.iter().filter(|(oy, _)| self.rows_inside(*oy).contains(&y));
                let segments: Vec<Segment> = inside.map(|(_, segment)| *segment).collect();
                if segments.is_empty() {
                    continue;
                }
                for t in 0..self.time.kernel {
                    let a = Lhs { data: padded, offset: t * self.padded_frame() + y * self.padded_row(), row: 1, step: a_step };
                    let out = Out { data: dw, offset: (t * self.kernel[0] + y) * line * columns, row: columns };
                    product(line, columns, depth, &segments, a, Panels::rows(dy, 0, b_step, width), out, true);
                }
            }
        };
        let frame = self.time.stride * self.padded_frame();
        if self.by_frames() {
            let pixels = (0..ho).flat_map(|oy| (0..wo).map(move |ox| (oy, ox)));
            let pixels: Vec<(usize, Segment)> =
                pixels.map(|(oy, ox)| (oy, (self.input_pixel(oy, ox), self.grad_row_start(oy) + ox * self.cout))).collect();
            run(count, &pixels, frame, self.grad_frame());
            return;
        }
        // A strip of rows whose dy stays in the first-level cache while all taps pass over it.
        let strip = (STRIP / (wo * width.min(columns))).max(1);
        for first in (0..count * ho).step_by(strip) {
            let rows = first..(first + strip).min(count * ho);
            // The end of a short loop is hard to foresee for a processor: short rows are taken pixel by pixel.
            let (pixels, depth) = if wo <= SHORT_ROW { (wo, 1) } else { (1, wo) };
            let segments = rows.flat_map(|row| {
                let (f, oy) = (row / ho, row % ho);
                let (x, dy) = (f * frame + self.input_pixel(oy, 0), f * self.grad_frame() + self.grad_row_start(oy));
                (0..pixels).map(move |ox| (oy, (x + ox * self.stride[1] * self.cin, dy + ox * self.cout)))
            });
            run(depth, &segments.collect::<Vec<_>>(), self.stride[1] * self.cin, self.cout);
        }
    }

    /// The sum of parts in the layout of the weight, `[cout, cin, kt, kh, kw]`.
    pub(crate) fn sum_weight_gradients(&self, parts: &[Vec<f32>]) -> Vec<f32> {
        let (cin, cout) = (self.cin, self.cout);
        let taps = self.taps() / cin;
        let mut sum = vec![0.0; self.weight_sums()];
        sum.par_chunks_mut(CHUNK).enumerate().for_each(|(i, sum)| {
            for part in parts {
                add(&part[i * CHUNK..][..sum.len()], sum);
            }
        });
        if self.winograd() {
            return winograd::weights_of(&sum, cin, cout);
        }
        // From [kt, kh, kw, cin, cout].
        let mut out = vec![0.0; sum.len()];
        out.par_chunks_mut(BLOCK * self.taps()).enumerate().for_each(|(block, out)| {
            let count = out.len() / self.taps();
            for ci in 0..cin {
                for tap in 0..taps {
                    let row = &sum[(tap * cin + ci) * cout + block * BLOCK..][..count];
                    for (co, value) in row.iter().enumerate() {
                        out[co * self.taps() + ci * taps + tap] = *value;
                    }
                }
            }
        });
        out
    }

    /// Where the window of output pixel (oy, ox) starts in a padded frame.
    fn input_pixel(&self, oy: usize, ox: usize) -> usize {
        oy * self.stride[0] * self.padded_row() + ox * self.stride[1] * self.cin
    }

    /// What `count` frames of dy (padded) give to dx (not padded) through the temporal tap `tap`, written or added to: to every
    /// `time.stride`-th frame from the first on. Pixels that no tap of a picture reaches are left alone.
    pub(crate) fn input_gradient(&self, count: usize, dy: &[f32], weights: &GradientWeights, tap: usize, dx: &mut [f32], accumulate: bool) {
        let backward = match weights {
            GradientWeights::Direct(taps) => &taps[tap],
            GradientWeights::Winograd(kernels) => return self.input_gradient_by_tiles(count, dy, kernels, dx, accumulate),
        };
        let (dx_frame, ho) = (self.time.stride * self.in_frame(), self.sizes()[0]);
        for (phase, ([jy, jx], packed)) in self.phases().zip(backward) {
            let depth = jx * self.cout;
            let segments: Vec<Segment> = (0..*jy).map(|i| (i * self.grad_row(), i * depth * packed.width())).collect();
            // Rows and columns s·q + r of the padded input that lie inside the frame.
            let range = |(r, axis): (usize, usize), n: usize| {
                let (s, p) = (self.stride[axis], self.padding[axis]);
                let first = p.saturating_sub(r).div_ceil(s);
                let end = (p + n).saturating_sub(r).div_ceil(s);
                first..end.max(first)
            };
            let (qy, qx) = (range(phase[0], self.height), range(phase[1], self.width));
            let mut run = |rows, q: [usize; 2], frame: usize, a_row, c_row| {
                let offset =
                    frame * self.grad_frame() + (q[0] + self.reach(0) - jy) * self.grad_row() + (q[1] + self.reach(1) - jx) * self.cout;
                // Rows of dy above and below the picture are zeros: row q − jy + 1 + i for segment i.
                let end = (ho + jy - 1).saturating_sub(q[0]).min(*jy);
                let segments = &segments[(jy - 1).saturating_sub(q[0]).min(end)..end];
                let (y, x) = (self.stride[0] * q[0] + phase[0].0 - self.padding[0], self.stride[1] * q[1] + phase[1].0 - self.padding[1]);
                let out = Out { data: &mut *dx, offset: frame * dx_frame + (y * self.width + x) * self.cin, row: c_row };
                product(rows, self.cin, depth, segments, Lhs { data: dy, offset, row: a_row, step: 1 }, packed.panels(0), out, accumulate);
            };
            for y in qy {
                if self.by_frames() {
                    for x in qx.clone() {
                        run(count, [y, x], 0, self.grad_frame(), dx_frame);
                    }
                } else if !qx.is_empty() {
                    for f in 0..count {
                        run(qx.len(), [y, qx.start], f, self.cout, self.stride[1] * self.cin);
                    }
                }
            }
        }
    }

    fn input_gradient_by_tiles(&self, count: usize, dy: &[f32], kernels: &Kernels, dx: &mut [f32], accumulate: bool) {
        // dx at (y, x) sees the 3×3 pixels of padded dy from (y + padding, x + padding) on.
        let [rows, columns] = self.padded_grad();
        let [py, px] = self.padding;
        let start = py * self.grad_row() + px * self.cout;
        let from =
            Plane { start, rows: rows - py, columns: columns - px, channels: self.cout, row: self.grad_row(), frame: self.grad_frame() };
        let [rows, columns] = [self.height, self.width];
        let to = Plane { start: 0, rows, columns, channels: self.cin, row: columns * self.cin, frame: self.in_frame() };
        winograd::forward(count, dy, from, kernels, dx, to, accumulate);
    }
}

multiversion! {
    fn add(x: &[f32], sum: &mut [f32]) {
        for (s, x) in sum.iter_mut().zip(x) {
            *s += x;
        }
    }
}

multiversion! {
    /// Bytes to [−1, 1], as the published program scales them.
    fn scale(bytes: &[u8], out: &mut [f32]) {
        for (x, y) in bytes.iter().zip(out) {
            *y = (f32::from(*x) / 255.0 - 0.5) / 0.5;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use react_random::Draws;

    fn normal(n: usize, purpose: &str) -> Vec<f32> {
        let mut x = vec![0.0; n];
        Draws::new(5, purpose, 0, 0).fill_normal(&mut x);
        x
    }

    /// Forward and both gradients against sums written out, on frames large and small, and strides that skip pixels.
    #[test]
    fn convolution_is_its_definition() {
        for (height, width, cin, cout, kernel, stride, padding) in [
            (9, 11, 3, 5, [7, 7], [2, 2], [3, 3]),
            (40, 44, 6, 20, [7, 7], [2, 2], [3, 3]),
            (8, 8, 16, 32, [3, 3], [2, 2], [1, 1]),
            (38, 31, 8, 66, [3, 3], [1, 1], [1, 1]),
            (4, 4, 12, 36, [3, 3], [1, 1], [1, 1]),
            (38, 31, 33, 66, [3, 3], [1, 1], [1, 1]),
            (5, 4, 64, 36, [3, 3], [1, 1], [1, 1]),
            (7, 9, 32, 32, [3, 3], [1, 1], [0, 2]),
            (2, 2, 48, 32, [3, 3], [1, 1], [1, 1]),
            (7, 6, 2, 3, [2, 3], [3, 4], [0, 1]),
            (60, 60, 3, 3, [1, 2], [2, 3], [0, 0]),
            (1, 1, 4, 4, [3, 3], [2, 2], [1, 1]),
        ] {
            let conv = Conv { height, width, cin, cout, kernel, stride, padding, time: Time::FRAME };
            let [ho, wo] = conv.out().unwrap();
            let n = 3;
            let x = normal(n * conv.in_frame(), "x");
            let w = normal(cout * conv.taps(), "w");
            let dy = normal(n * conv.out_frame(), "dy");
            let (mut y_want, mut dx_want, mut dw_want) = (vec![0.0f64; dy.len()], vec![0.0f64; x.len()], vec![0.0f64; w.len()]);
            for f in 0..n {
                for (oy, ox, co) in itertools(ho, wo, cout) {
                    let out = ((f * ho + oy) * wo + ox) * cout + co;
                    for (kh, kw, ci) in itertools(kernel[0], kernel[1], cin) {
                        let (iy, ix) = ((oy * stride[0] + kh).wrapping_sub(padding[0]), (ox * stride[1] + kw).wrapping_sub(padding[1]));
                        if iy < height && ix < width {
                            let input = ((f * height + iy) * width + ix) * cin + ci;
                            let weight = ((co * cin + ci) * kernel[0] + kh) * kernel[1] + kw;
                            y_want[out] += f64::from(x[input]) * f64::from(w[weight]);
                            dx_want[input] += f64::from(dy[out]) * f64::from(w[weight]);
                            dw_want[weight] += f64::from(dy[out]) * f64::from(x[input]);
                        }
                    }
                }
            }
            let (weights, gradient_weights) = (conv.pack(&w), conv.pack_gradient(&w));
            let (mut padded, mut padded_dy) = (vec![0.0; n * conv.padded_frame()], vec![0.0; n * conv.grad_frame()]);
            for f in 0..n {
                conv.pad(&x[f * conv.in_frame()..][..conv.in_frame()], &mut padded[f * conv.padded_frame()..][..conv.padded_frame()]);
                for oy in 0..ho {
                    let line = &dy[(f * ho + oy) * wo * cout..][..wo * cout];
                    padded_dy[f * conv.grad_frame() + conv.grad_row_start(oy)..][..wo * cout].copy_from_slice(line);
                }
            }
            let (mut y, mut dx, mut dw) = (vec![0.0; dy.len()], vec![0.0; x.len()], vec![0.0; conv.weight_sums()]);
            conv.forward(n, &padded, &weights, &mut y, false);
            conv.input_gradient(n, &padded_dy, &gradient_weights, 0, &mut dx, false);
            conv.weight_gradient(n, &padded, &padded_dy, &mut dw);
            let dw = conv.sum_weight_gradients(&[dw]);
            for (name, got, want) in [("y", y, y_want), ("dx", dx, dx_want), ("dw", dw, dw_want)] {
                let worst = got.iter().zip(&want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
                assert!(worst < 2e-4, "{name} of {conv:?}: {worst}");
            }
        }
    }

    fn itertools(a: usize, b: usize, c: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        (0..a).flat_map(move |i| (0..b).flat_map(move |j| (0..c).map(move |k| (i, j, k))))
    }

    #[test]
    fn bytes_are_scaled_to_plus_minus_one() {
        let mut out = [9.0; 3];
        scale(&[0, 255, 51], &mut out);
        assert_eq!(out, [-1.0, 1.0, -0.6]);
    }
}
