//! Y'CbCr 4:2:0 ↔ RGB24.
//!
//! Towards RGB this is the arithmetic of FFmpeg's swscale (`libswscale/yuv2rgb.c` and its 16-bit vector path), bit for bit, because
//! OpenCV, PyAV, decord and ffmpeg all give that: nearest chroma, products `(a · b) >> 16` of 16-bit numbers, saturation at the end.

#[cfg(target_arch = "x86_64")]
mod avx2;

/// Which matrix and range a video is in; the code points of ITU-T H.273.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColorSpace {
    /// `matrix_coefficients`; 2 is unspecified.
    pub(crate) matrix: u8,
    /// 0–255 rather than 16–235.
    pub(crate) full_range: bool,
}

impl ColorSpace {
    /// What a file that says nothing is read as: BT.601, limited range.
    pub(crate) const UNSPECIFIED: Self = Self { matrix: 2, full_range: false };
}

/// The 16-bit factors of swscale for one [`ColorSpace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coefficients {
    y_offset: i16,
    y: i16,
    v_to_r: i16,
    u_to_g: i16,
    v_to_g: i16,
    u_to_b: i16,
}

impl Coefficients {
    pub(crate) fn new(space: ColorSpace) -> Self {
        // V→R, U→B, U→G, V→G in 16.16 fixed point, for limited range: swscale's table, indexed by H.273 code point.
        let [vr, ub, ug, vg]: [i64; 4] = match space.matrix {
            0 | 1 => [117_489, 138_438, 13_975, 34_925],
            4 => [104_448, 132_798, 24_759, 53_109],
            7 => [117_579, 136_230, 16_907, 35_559],
            9 | 10 => [110_013, 140_363, 12_277, 42_626],
            _ => [104_597, 132_201, 25_675, 53_279],
        };
        // A full range shrinks the chroma; a limited one stretches the luma. C's division, towards zero.
        let chroma = |c: i64| rounded(if space.full_range { c * 224 / 255 } else { c });
        let (y, y_offset) = if space.full_range { (1 << 16, 0) } else { ((1 << 16) * 255 / 219, 16 * 8) };
        Self { y_offset, y: rounded(y), v_to_r: chroma(vr), u_to_g: chroma(-ug), v_to_g: chroma(-vg), u_to_b: chroma(ub) }
    }
}

/// 16.16 → 3.13 fixed point, rounded.
fn rounded(c: i64) -> i16 {
    ((c * (1 << 13) + (1 << 15)) >> 16).clamp(-0x7fff, 0x7fff) as i16
}

/// Three planes of a picture with half as many columns of chroma as of luma.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Planes<'a> {
    pub(crate) y: &'a [u8],
    pub(crate) u: &'a [u8],
    pub(crate) v: &'a [u8],
    /// Bytes from one luma row to the next.
    pub(crate) y_stride: usize,
    /// Bytes from one chroma row to the next.
    pub(crate) c_stride: usize,
    /// Luma rows that share a chroma row: 2 in 4:2:0, 1 in 4:2:2.
    pub(crate) rows_a_chroma: usize,
}

/// Converts the top left `width`×`height` pixels of `planes` to RGB24 `[h][w][3]`, replacing what `rgb` held.
///
/// `None` where a plane is too small.
pub(crate) fn to_rgb(planes: &Planes<'_>, width: usize, height: usize, coefficients: &Coefficients, rgb: &mut Vec<u8>) -> Option<()> {
    rgb.resize(width * height * 3, 0);
    let chroma_width = width.div_ceil(2);
    for (row, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
        let (at, at_c) = (row * planes.y_stride, row / planes.rows_a_chroma * planes.c_stride);
        let y = planes.y.get(at..at + width)?;
        let u = planes.u.get(at_c..at_c + chroma_width)?;
        let v = planes.v.get(at_c..at_c + chroma_width)?;
        row_to_rgb(y, u, v, coefficients, out);
    }
    Some(())
}

/// Luma samples converted at a time: enough to fill vector registers, few enough to stay in the first cache.
const BLOCK: usize = 64;

/// Gives a loop a twin that is compiled for AVX2 and runs where the processor has it; the numbers are the same either way.
macro_rules! vectorised {
    ($name:ident, $body:ident($($argument:ident: $kind:ty),*)) => {
        #[inline]
        fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn on_avx2($($argument: $kind),*) {
                    $body($($argument),*);
                }
                if std::arch::is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor was just asked for AVX2.
                    unsafe { on_avx2($($argument),*) };
                    return;
                }
            }
            $body($($argument),*);
        }
    };
}

vectorised!(luma_row, luma_row_loop(rgb: &Row, y: &mut [u8]));
vectorised!(chroma_row, chroma_row_loop(rows: &[Row; 2], u: &mut [u8], v: &mut [u8]));

/// One row: luma of each pixel, chroma of each pair of them.
fn row_to_rgb(y: &[u8], u: &[u8], v: &[u8], k: &Coefficients, out: &mut [u8]) {
    let done = whole_registers_to_rgb(y, u, v, k, out);
    row_to_rgb_loop(&y[done..], &u[done / 2..], &v[done / 2..], k, &mut out[done * 3..]);
}

/// Converts what fills registers, where the processor has those that this is written for; how many pixels these were.
#[cfg(target_arch = "x86_64")]
fn whole_registers_to_rgb(y: &[u8], u: &[u8], v: &[u8], k: &Coefficients, out: &mut [u8]) -> usize {
    match std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor was just asked for AVX2.
        true => unsafe { avx2::row_to_rgb(y, u, v, k, out) },
        false => 0,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn whole_registers_to_rgb(_y: &[u8], _u: &[u8], _v: &[u8], _k: &Coefficients, _out: &mut [u8]) -> usize {
    0
}

#[inline(always)]
fn row_to_rgb_loop(y: &[u8], u: &[u8], v: &[u8], k: &Coefficients, out: &mut [u8]) {
    let (y_blocks, y_rest) = y.as_chunks::<BLOCK>();
    let whole = y_blocks.len();
    let (u, u_rest) = u.split_at(whole * BLOCK / 2);
    let (v, v_rest) = v.split_at(whole * BLOCK / 2);
    let (out, out_rest) = out.split_at_mut(whole * BLOCK * 3);
    let (u_blocks, _) = u.as_chunks::<{ BLOCK / 2 }>();
    let (v_blocks, _) = v.as_chunks::<{ BLOCK / 2 }>();
    let (out_blocks, _) = out.as_chunks_mut::<{ BLOCK * 3 }>();
    for (((y, u), v), out) in y_blocks.iter().zip(u_blocks).zip(v_blocks).zip(out_blocks) {
        block_to_rgb(y, u, v, k, out);
    }
    if !y_rest.is_empty() {
        let (mut y, mut u, mut v, mut rgb) = ([0; BLOCK], [0; BLOCK / 2], [0; BLOCK / 2], [0; BLOCK * 3]);
        y[..y_rest.len()].copy_from_slice(y_rest);
        u[..u_rest.len()].copy_from_slice(u_rest);
        v[..v_rest.len()].copy_from_slice(v_rest);
        block_to_rgb(&y, &u, &v, k, &mut rgb);
        out_rest.copy_from_slice(&rgb[..out_rest.len()]);
    }
}

#[inline(always)]
fn block_to_rgb(y: &[u8; BLOCK], u: &[u8; BLOCK / 2], v: &[u8; BLOCK / 2], k: &Coefficients, out: &mut [u8; BLOCK * 3]) {
    // The chroma terms, each written twice: one for either pixel of its pair.
    let (mut r, mut g, mut b) = ([0i16; BLOCK], [0i16; BLOCK], [0i16; BLOCK]);
    for i in 0..BLOCK / 2 {
        let (u, v) = ((i16::from(u[i]) << 3) - 1024, (i16::from(v[i]) << 3) - 1024);
        let (to_r, to_g, to_b) = (high(v, k.v_to_r), high(u, k.u_to_g) + high(v, k.v_to_g), high(u, k.u_to_b));
        (r[2 * i], r[2 * i + 1]) = (to_r, to_r);
        (g[2 * i], g[2 * i + 1]) = (to_g, to_g);
        (b[2 * i], b[2 * i + 1]) = (to_b, to_b);
    }
    let (mut r8, mut g8, mut b8) = ([0u8; BLOCK], [0u8; BLOCK], [0u8; BLOCK]);
    for i in 0..BLOCK {
        let luma = high((i16::from(y[i]) << 3) - k.y_offset, k.y);
        r8[i] = (luma + r[i]).clamp(0, 255) as u8;
        g8[i] = (luma + g[i]).clamp(0, 255) as u8;
        b8[i] = (luma + b[i]).clamp(0, 255) as u8;
    }
    for i in 0..BLOCK {
        out[3 * i] = r8[i];
        out[3 * i + 1] = g8[i];
        out[3 * i + 2] = b8[i];
    }
}

/// The upper half of a 16×16-bit product (`pmulhw`).
#[inline(always)]
fn high(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// A 4:2:0 picture to encode: BT.601, limited range, even sizes.
#[derive(Debug, Default)]
pub(crate) struct Yuv {
    pub(crate) y: Vec<u8>,
    pub(crate) u: Vec<u8>,
    pub(crate) v: Vec<u8>,
    rows: [Row; 2],
}

/// A row of RGB, each colour apart.
#[derive(Debug, Default)]
struct Row([Vec<i32>; 3]);

impl Yuv {
    /// Converts RGB24 `[height][width][3]`; the last row and column are repeated where a size is odd.
    pub(crate) fn fill(&mut self, rgb: &[u8], width: usize, height: usize) {
        let (even_width, even_height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        self.y.resize(even_width * even_height, 0);
        self.u.resize(even_width * even_height / 4, 0);
        self.v.resize(even_width * even_height / 4, 0);
        for row in &mut self.rows {
            row.0.iter_mut().for_each(|colour| colour.resize(even_width, 0));
        }
        for pair in 0..even_height / 2 {
            for (half, row) in self.rows.iter_mut().enumerate() {
                let from = (2 * pair + half).min(height - 1);
                row.fill(&rgb[from * width * 3..][..width * 3]);
                luma_row(row, &mut self.y[(2 * pair + half) * even_width..][..even_width]);
            }
            let chroma = pair * even_width / 2..(pair + 1) * even_width / 2;
            chroma_row(&self.rows, &mut self.u[chroma.clone()], &mut self.v[chroma]);
        }
    }
}

impl Row {
    fn fill(&mut self, rgb: &[u8]) {
        let [r, g, b] = &mut self.0;
        let (pixels, _) = rgb.as_chunks::<3>();
        for (((r, g), b), pixel) in r.iter_mut().zip(g.iter_mut()).zip(b.iter_mut()).zip(pixels) {
            (*r, *g, *b) = (pixel[0].into(), pixel[1].into(), pixel[2].into());
        }
        if let (true, Some(last)) = (r.len() > pixels.len(), pixels.last()) {
            for (colour, value) in [r, g, b].into_iter().zip(last) {
                colour[pixels.len()] = i32::from(*value);
            }
        }
    }
}

// BT.601 in 16.16 fixed point: 219/255 of (0.299, 0.587, 0.114), and 224/255 of the colour differences.
#[inline(always)]
fn luma_row_loop(Row([r, g, b]): &Row, y: &mut [u8]) {
    for (((y, r), g), b) in y.iter_mut().zip(r).zip(g).zip(b) {
        *y = ((16_829 * r + 33_039 * g + 6_416 * b + (16 << 16) + (1 << 15)) >> 16) as u8;
    }
}

#[inline(always)]
fn chroma_row_loop(rows: &[Row; 2], u: &mut [u8], v: &mut [u8]) {
    let [top, bottom] = rows.each_ref().map(|row| row.0.each_ref().map(|colour| colour.as_chunks::<2>().0));
    let count = u.len().min(v.len());
    let [r, g, b]: [_; 3] = std::array::from_fn(|c| top[c][..count].iter().zip(&bottom[c][..count]));
    for ((((u, v), r), g), b) in u.iter_mut().zip(v).zip(r).zip(g).zip(b) {
        // The mean of four pixels, kept times four until the shift.
        let [r, g, b] = [r, g, b].map(|(top, bottom)| top[0] + top[1] + bottom[0] + bottom[1]);
        *u = ((-9_714 * r - 19_070 * g + 28_784 * b + (128 << 18) + (1 << 17)) >> 18).clamp(0, 255) as u8;
        *v = ((28_784 * r - 24_103 * g - 4_681 * b + (128 << 18) + (1 << 17)) >> 18).clamp(0, 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factors_are_those_of_swscale() {
        let limited = Coefficients::new(ColorSpace::UNSPECIFIED);
        assert_eq!(limited, Coefficients { y_offset: 128, y: 9539, v_to_r: 13075, u_to_g: -3209, v_to_g: -6660, u_to_b: 16525 });
        let full = Coefficients::new(ColorSpace { matrix: 5, full_range: true });
        assert_eq!(full, Coefficients { y_offset: 0, y: 8192, v_to_r: 11485, u_to_g: -2819, v_to_g: -5850, u_to_b: 14516 });
        assert_eq!(Coefficients::new(ColorSpace { matrix: 1, full_range: false }).v_to_r, 14686);
    }

    #[test]
    fn rows_of_any_length_convert_alike() {
        // 16-bit arithmetic of one pixel, written out.
        let one = |y: u8, u: u8, v: u8| {
            let (y, u, v) = (i32::from(y) * 8 - 128, i32::from(u) * 8 - 1024, i32::from(v) * 8 - 1024);
            let luma = (y * 9539) >> 16;
            [luma + ((v * 13075) >> 16), luma + ((u * -3209) >> 16) + ((v * -6660) >> 16), luma + ((u * 16525) >> 16)]
                .map(|c| c.clamp(0, 255) as u8)
        };
        assert_eq!(one(81, 90, 240), [253, 0, 0]);
        for width in [1usize, 2, 3, 31, 32, 33, 63, 64, 65, 96, 98, 130, 163] {
            let y: Vec<u8> = (0..width * 3).map(|i| (i * 37 % 256) as u8).collect();
            let chroma_width = width.div_ceil(2);
            let u: Vec<u8> = (0..chroma_width * 2).map(|i| (i * 91 % 256) as u8).collect();
            let v: Vec<u8> = (0..chroma_width * 2).map(|i| (255 - i * 53 % 256) as u8).collect();
            let planes = Planes { y: &y, u: &u, v: &v, y_stride: width, c_stride: chroma_width, rows_a_chroma: 2 };
            let mut rgb = vec![1; 7];
            to_rgb(&planes, width, 3, &Coefficients::new(ColorSpace::UNSPECIFIED), &mut rgb).unwrap();
            for (i, pixel) in rgb.as_chunks::<3>().0.iter().enumerate() {
                let (row, column) = (i / width, i % width);
                let c = row / 2 * chroma_width + column / 2;
                assert_eq!(*pixel, one(y[i], u[c], v[c]), "width {width}, row {row}, column {column}");
            }
            assert_eq!(rgb.len(), width * 9);
        }
    }

    #[test]
    fn whole_registers_give_what_the_loop_gives() {
        let mut state = 7u32;
        let mut bytes = |count: usize| -> Vec<u8> {
            let byte = |_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..count).map(byte).collect()
        };
        for matrix in [1, 2, 4, 7, 9] {
            for full_range in [false, true] {
                let (k, width) = (Coefficients::new(ColorSpace { matrix, full_range }), 60_032);
                let (y, u, v) = (bytes(width), bytes(width / 2), bytes(width / 2));
                let [mut found, mut want] = [vec![0; width * 3], vec![0; width * 3]];
                row_to_rgb(&y, &u, &v, &k, &mut found);
                row_to_rgb_loop(&y, &u, &v, &k, &mut want);
                assert!(found == want, "matrix {matrix}, full range {full_range}");
            }
        }
    }

    #[test]
    fn a_short_plane_is_refused() {
        let planes = Planes { y: &[0; 4], u: &[0; 1], v: &[], y_stride: 2, c_stride: 1, rows_a_chroma: 2 };
        assert!(to_rgb(&planes, 2, 2, &Coefficients::new(ColorSpace::UNSPECIFIED), &mut Vec::new()).is_none());
    }

    #[test]
    fn grey_and_primaries_go_there_and_back() {
        for colour in [[0, 0, 0], [255, 255, 255], [128, 128, 128], [255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 150, 90]] {
            let mut yuv = Yuv::default();
            let rgb: Vec<u8> = std::iter::repeat_n(colour, 15).flatten().collect();
            yuv.fill(&rgb, 5, 3);
            assert_eq!((yuv.y.len(), yuv.u.len()), (24, 6));
            let planes = Planes { y: &yuv.y, u: &yuv.u, v: &yuv.v, y_stride: 6, c_stride: 3, rows_a_chroma: 2 };
            let mut back = Vec::new();
            to_rgb(&planes, 5, 3, &Coefficients::new(ColorSpace::UNSPECIFIED), &mut back).unwrap();
            for (a, b) in rgb.iter().zip(&back) {
                assert!(a.abs_diff(*b) <= 3, "{colour:?} came back as {:?}", &back[..3]);
            }
        }
    }
}
