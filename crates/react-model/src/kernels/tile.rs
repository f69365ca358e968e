//! The one matrix kernel that everything else is built from: a block of C += A·B kept in registers.
//!
//! A's elements are broadcast from wherever they lie (any two strides, and a list of offsets that the sum runs over), B's
//! rows are vectors. A convolution needs no im2col that way: a row of output pixels is an A whose rows overlap.
//!
//! ```text
//! c[i·c_row + j] (+)= Σ_s Σ_k a[s.a + i·a_row + k·a_step] · b[s.b + k·b_step + j]        i < rows, j < columns, k < depth
//! ```

use super::memory::{LINE, line_start};
use super::simd::{Isa, Plain, Simd, isa};

/// Where a part of the sum starts, in A and in B.
pub(crate) type Segment = (usize, usize);

/// A matrix to read: element (i, k) lies at `offset + i·row + k·step`.
#[derive(Clone, Copy)]
pub(crate) struct Lhs<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) offset: usize,
    pub(crate) row: usize,
    pub(crate) step: usize,
}

/// A matrix to read by rows: element (k, j) lies at `offset + k·step + j`.
#[derive(Clone, Copy)]
pub(crate) struct Rhs<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) offset: usize,
    pub(crate) step: usize,
}

/// A matrix to write: element (i, j) lies at `offset + i·row + j`.
pub(crate) struct Out<'a> {
    pub(crate) data: &'a mut [f32],
    pub(crate) offset: usize,
    pub(crate) row: usize,
}

struct Tile<'a> {
    a: *const f32,
    a_row: usize,
    a_step: usize,
    b: *const f32,
    b_step: usize,
    c: *mut f32,
    c_row: usize,
    depth: usize,
    segments: &'a [Segment],
    /// Lanes of the last vector of a row, 1..=LANES.
    last: usize,
    accumulate: bool,
}

/// # Safety
/// The instruction set of `S` is there; all elements that the tile touches lie inside the slices its pointers come from.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NV: usize, const TAIL: bool, const UNIT: bool>(t: &Tile) {
    unsafe {
        let a_row = if UNIT { 1 } else { t.a_row };
        let mut acc = [[S::zero(); NV]; MR];
        for &(sa, sb) in t.segments {
            let mut a = t.a.add(sa);
            let mut b = t.b.add(sb);
            for _ in 0..t.depth {
                let mut row = [S::zero(); NV];
                for v in 0..NV {
                    let p = b.add(v * S::LANES);
                    row[v] = if TAIL && v + 1 == NV { S::load_first(p, t.last) } else { S::load(p) };
                }
                for i in 0..MR {
                    let x = S::splat(a.wrapping_add(i * a_row));
                    for v in 0..NV {
                        acc[i][v] = S::fma(x, row[v], acc[i][v]);
                    }
                }
                // May step past the end after the last round, where nothing is read any more.
                a = a.wrapping_add(t.a_step);
                b = b.wrapping_add(t.b_step);
            }
        }
        for i in 0..MR {
            for v in 0..NV {
                let p = t.c.add(i * t.c_row + v * S::LANES);
                if TAIL && v + 1 == NV {
                    let old = if t.accumulate { S::load_first(p, t.last) } else { S::zero() };
                    S::store_first(p, S::add(old, acc[i][v]), t.last);
                } else {
                    let old = if t.accumulate { S::load(p) } else { S::zero() };
                    S::store(p, S::add(old, acc[i][v]));
                }
            }
        }
    }
}

type Kernel = unsafe fn(&Tile);

/// The kernels of one instruction set, by rows − 1.
struct Kernels {
    lanes: usize,
    /// `[tail][unit]` → kernels of 1, 2 and 4 vectors a row.
    one: [[&'static [Kernel]; 2]; 2],
    two: [[&'static [Kernel]; 2]; 2],
    four: [[&'static [Kernel]; 2]; 2],
}

macro_rules! kernels {
    ($module:ident, $simd:ty, $feature:literal, [$($one:literal)*], [$($two:literal)*], [$($four:literal)*]) => {
        mod $module {
            use super::*;
            #[target_feature(enable = $feature)]
            unsafe fn run<const MR: usize, const NV: usize, const TAIL: bool, const UNIT: bool>(t: &Tile) {
                unsafe { tile::<$simd, MR, NV, TAIL, UNIT>(t) }
            }
            kernels!(@table $simd, [$($one)*], [$($two)*], [$($four)*]);
        }
    };
    ($module:ident, $simd:ty, [$($one:literal)*], [$($two:literal)*], [$($four:literal)*]) => {
        mod $module {
            use super::*;
            unsafe fn run<const MR: usize, const NV: usize, const TAIL: bool, const UNIT: bool>(t: &Tile) {
                unsafe { tile::<$simd, MR, NV, TAIL, UNIT>(t) }
            }
            kernels!(@table $simd, [$($one)*], [$($two)*], [$($four)*]);
        }
    };
    (@table $simd:ty, [$($one:literal)*], [$($two:literal)*], [$($four:literal)*]) => {
        pub(super) static KERNELS: Kernels = Kernels {
            lanes: <$simd>::LANES,
            one: kernels!(@flags 1, [$($one)*]),
            two: kernels!(@flags 2, [$($two)*]),
            four: kernels!(@flags 4, [$($four)*]),
        };
    };
    (@flags $nv:literal, [$($mr:literal)*]) => {
        [
            [&[$(run::<$mr, $nv, false, false> as Kernel),*], &[$(run::<$mr, $nv, false, true> as Kernel),*]],
            [&[$(run::<$mr, $nv, true, false> as Kernel),*], &[$(run::<$mr, $nv, true, true> as Kernel),*]],
        ]
    };
}

#[cfg(target_arch = "x86_64")]
kernels!(avx512, super::super::simd::Avx512, "avx512f,avx512dq,avx512bw,avx512vl,avx2,fma", [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4 5 6 7 8 9 10 11 12 13 14], [1 2 3 4 5 6 7]);
#[cfg(target_arch = "x86_64")]
kernels!(avx2, super::super::simd::Avx2, "avx2,fma", [1 2 3 4 5 6], [1 2 3 4 5 6], [1 2 3]);
#[cfg(target_arch = "aarch64")]
kernels!(neon, super::super::simd::Neon, "neon", [1 2 3 4 5 6 7 8 9 10 11 12], [1 2 3 4 5 6 7 8 9 10 11 12], [1 2 3 4 5 6]);
kernels!(plain, Plain, [1 2 3 4 5 6], [1 2 3 4 5 6], [1 2 3]);

fn table() -> &'static Kernels {
    match isa() {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => &avx512::KERNELS,
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => &avx2::KERNELS,
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => &neon::KERNELS,
        Isa::Baseline => &plain::KERNELS,
    }
}

/// Columns of a panel for a matrix of `rows` × `columns`: how [`Packed`] cuts B.
pub(crate) fn panel(rows: usize, columns: usize) -> usize {
    let table = table();
    let vectors = columns.div_ceil(table.lanes);
    // Few rows leave registers free for wider ones.
    let wide = if rows <= table.four[0][0].len() && vectors > 2 { 4 } else { 2 };
    wide.min(vectors.next_power_of_two()) * table.lanes
}

/// C (+)= A·B over all segments. `panel` says how many columns one pass takes; B's columns lie `panel_stride` apart from panel to panel.
///
/// # Panics
/// Where an element would lie outside its slice: callers pass sizes that they have checked.
#[allow(clippy::too_many_arguments)]
pub(crate) fn product(rows: usize, columns: usize, depth: usize, segments: &[Segment], a: Lhs, b: Panels, c: Out, accumulate: bool) {
    if rows == 0 || columns == 0 {
        return;
    }
    let (max_a, max_b) = segments.iter().fold((0, 0), |(a, b), s| (a.max(s.0), b.max(s.1)));
    let panels = columns.div_ceil(b.width);
    if depth > 0 && !segments.is_empty() {
        assert!(a.offset + max_a + (rows - 1) * a.row + (depth - 1) * a.step < a.data.len(), "A is too short");
        let last_width = columns - (panels - 1) * b.width;
        assert!(
            b.rhs.offset + max_b + (panels - 1) * b.stride + (depth - 1) * b.rhs.step + last_width <= b.rhs.data.len(),
            "B is too short"
        );
        assert!(
            panels == 1 || b.rhs.offset + max_b + (panels - 2) * b.stride + (depth - 1) * b.rhs.step + b.width <= b.rhs.data.len(),
            "B is too short"
        );
    }
    assert!(c.offset + (rows - 1) * c.row + columns <= c.data.len(), "C is too short");
    let table = table();
    let out = c.data.as_mut_ptr();
    let segments = if depth == 0 { &[] } else { segments };
    for p in 0..panels {
        let width = b.width.min(columns - p * b.width);
        let mut done = 0;
        while done < width {
            let vectors = (width - done).div_ceil(table.lanes);
            let (set, take) = match vectors {
                1 => (&table.one, 1),
                2 | 3 => (&table.two, 2),
                _ if b.width >= 4 * table.lanes && rows <= table.four[0][0].len() => (&table.four, 4),
                _ => (&table.two, 2),
            };
            let lanes = (width - done).min(take * table.lanes);
            let last = lanes - (take - 1) * table.lanes;
            let kernels = set[usize::from(last < table.lanes)][usize::from(a.row == 1)];
            let blocks = rows.div_ceil(kernels.len());
            let mut row = 0;
            for block in 0..blocks {
                // Even shares: 28 rows are 14 + 14, 16 are 8 + 8.
                let share = (rows - row).div_ceil(blocks - block);
                let tile = Tile {
                    a: a.data.as_ptr().wrapping_add(a.offset + row * a.row),
                    a_row: a.row,
                    a_step: a.step,
                    b: b.rhs.data.as_ptr().wrapping_add(b.rhs.offset + p * b.stride + done),
                    b_step: b.rhs.step,
                    c: out.wrapping_add(c.offset + row * c.row + p * b.width + done),
                    c_row: c.row,
                    depth,
                    segments,
                    last,
                    accumulate,
                };
                // SAFETY: the asserts above bound the largest index of each matrix; `table` holds only what this processor can run.
                unsafe { kernels[share - 1](&tile) };
                row += share;
            }
            done += lanes;
        }
    }
}

/// B as panels of `width` columns, `stride` elements apart; rows of a panel are `rhs.step` apart.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub(crate) rhs: Rhs<'a>,
    pub(crate) width: usize,
    pub(crate) stride: usize,
}

impl<'a> Panels<'a> {
    /// A row-major matrix as it lies: panels beside each other.
    pub(crate) fn rows(data: &'a [f32], offset: usize, step: usize, width: usize) -> Self {
        Self { rhs: Rhs { data, offset, step }, width, stride: width }
    }
}

/// B copied into panels, each contiguous, so that a pass over one reads memory in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    data: Vec<f32>,
    /// Where the first panel begins: on a line of the cache.
    start: usize,
    width: usize,
    stride: usize,
}

impl Packed {
    /// Packs the `depth` × `columns` matrix whose element (k, j) is `value(k, j)`.
    pub(crate) fn new(depth: usize, columns: usize, width: usize, value: impl Fn(usize, usize) -> f32) -> Self {
        Self::with(depth, columns, width, |p, panel| {
            for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                for (j, x) in row.iter_mut().enumerate().take(columns - p * width) {
                    *x = value(k, p * width + j);
                }
            }
        })
    }

    /// A `depth` × `columns` matrix whose panels `fill(panel, rows)` writes, row by row of `width` elements; they begin as zeros.
    pub(crate) fn with(depth: usize, columns: usize, width: usize, fill: impl Fn(usize, &mut [f32])) -> Self {
        let stride = depth * width;
        let length = columns.div_ceil(width) * stride;
        let mut data = vec![0.0; length + LINE];
        let start = line_start(&data);
        data[start..start + length].chunks_exact_mut(stride.max(1)).enumerate().for_each(|(p, panel)| fill(p, panel));
        Self { data, start, width, stride }
    }

    /// The panels from row `k` on.
    pub(crate) fn panels(&self, k: usize) -> Panels<'_> {
        Panels {
            rhs: Rhs { data: &self.data, offset: self.start + k * self.width, step: self.width },
            width: self.width,
            stride: self.stride,
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use react_random::Draws;

    /// Every combination of row and column counts against the definition, with segments and strides.
    #[test]
    fn product_is_the_sum_of_products() {
        let mut draws = Draws::new(1, "tile", 0, 0);
        let (depth, segments) = (5, [(0, 0), (40, 7 * 80), (3, 2 * 80)]);
        for (a_row, a_step) in [(1, 60), (17, 1), (9, 2)] {
            let mut a = vec![0.0; 800];
            let mut b = vec![0.0; 13 * 80];
            draws.fill_normal(&mut a);
            draws.fill_normal(&mut b);
            for rows in [1, 2, 5, 7, 8, 13, 14, 15, 29] {
                for columns in [1, 3, 4, 8, 15, 16, 17, 31, 32, 33, 48, 64, 70] {
                    for accumulate in [false, true] {
                        let mut c = vec![0.5; rows * 75];
                        let lhs = Lhs { data: &a, offset: 2, row: a_row, step: a_step };
                        let width = panel(rows, columns);
                        product(
                            rows,
                            columns,
                            depth,
                            &segments,
                            lhs,
                            Panels::rows(&b, 0, 80, width),
                            Out { data: &mut c, offset: 0, row: 75 },
                            accumulate,
                        );
                        let packed = Packed::new(13, columns, width, |k, j| b[k * 80 + j]);
                        let in_packed = segments.map(|(sa, sb)| (sa, sb / 80 * width));
                        let mut d = vec![0.5; rows * 75];
                        product(
                            rows,
                            columns,
                            depth,
                            &in_packed,
                            lhs,
                            packed.panels(0),
                            Out { data: &mut d, offset: 0, row: 75 },
                            accumulate,
                        );
                        assert_eq!(c, d);
                        for i in 0..rows {
                            for j in 0..75 {
                                let mut want = if accumulate || j >= columns { 0.5 } else { 0.0 };
                                if j < columns {
                                    for (sa, sb) in segments {
                                        for k in 0..depth {
                                            want += f64::from(a[2 + sa + i * a_row + k * a_step]) * f64::from(b[sb + k * 80 + j]);
                                        }
                                    }
                                }
                                assert!((f64::from(c[i * 75 + j]) - want).abs() < 1e-4, "rows {rows}, columns {columns}: ({i}, {j})");
                            }
                        }
                    }
                }
            }
        }
    }
}
