//! Rows of Y'CbCr to RGB24 in AVX2: what a compiler makes of the loop spends most of its time on putting three colours side by side.

use super::Coefficients;
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi16, _mm256_cvtepu8_epi16, _mm256_mulhi_epi16, _mm256_or_si256, _mm256_packus_epi16,
    _mm256_permute2x128_si256, _mm256_permute4x64_epi64, _mm256_set1_epi16, _mm256_setr_epi8, _mm256_shuffle_epi8, _mm256_slli_epi16,
    _mm256_storeu_si256, _mm256_sub_epi16, _mm256_unpackhi_epi16, _mm256_unpacklo_epi16,
};

/// Pixels at a time.
const STEP: usize = 32;

/// Converts as many pixels from the left as fill whole registers, and says how many; the numbers are those of the loop.
#[target_feature(enable = "avx2")]
pub(super) fn row_to_rgb(y: &[u8], u: &[u8], v: &[u8], k: &Coefficients, out: &mut [u8]) -> usize {
    let mut done = 0;
    let (y_parts, _) = y.as_chunks::<{ STEP / 2 }>().0.as_chunks::<2>();
    let (u_parts, _) = u.as_chunks::<{ STEP / 2 }>();
    let (v_parts, _) = v.as_chunks::<{ STEP / 2 }>();
    let (out_parts, _) = out.as_chunks_mut::<{ STEP * 3 }>();
    for (((y, u), v), out) in y_parts.iter().zip(u_parts).zip(v_parts).zip(out_parts) {
        let (u, v) = (chroma(u), chroma(v));
        let r = twice(_mm256_mulhi_epi16(v, _mm256_set1_epi16(k.v_to_r)));
        let g = _mm256_add_epi16(_mm256_mulhi_epi16(u, _mm256_set1_epi16(k.u_to_g)), _mm256_mulhi_epi16(v, _mm256_set1_epi16(k.v_to_g)));
        let (g, b) = (twice(g), twice(_mm256_mulhi_epi16(u, _mm256_set1_epi16(k.u_to_b))));
        let y = [luma(&y[0], k), luma(&y[1], k)];
        interleave(bytes(y, r), bytes(y, g), bytes(y, b), out);
        done += STEP;
    }
    done
}

/// 16 bytes as 16-bit numbers.
#[target_feature(enable = "avx2")]
fn wide(from: &[u8; STEP / 2]) -> __m256i {
    // SAFETY: there are 16 bytes; the load has no alignment.
    _mm256_cvtepu8_epi16(unsafe { _mm_loadu_si128(from.as_ptr().cast::<__m128i>()) })
}

#[target_feature(enable = "avx2")]
fn luma(y: &[u8; STEP / 2], k: &Coefficients) -> __m256i {
    let y = _mm256_sub_epi16(_mm256_slli_epi16::<3>(wide(y)), _mm256_set1_epi16(k.y_offset));
    _mm256_mulhi_epi16(y, _mm256_set1_epi16(k.y))
}

#[target_feature(enable = "avx2")]
fn chroma(c: &[u8; STEP / 2]) -> __m256i {
    _mm256_sub_epi16(_mm256_slli_epi16::<3>(wide(c)), _mm256_set1_epi16(1024))
}

/// Each number for both pixels of its pair: of pixels 0 to 15, and 16 to 31.
#[target_feature(enable = "avx2")]
fn twice(c: __m256i) -> [__m256i; 2] {
    // Halves of a register do not mix: what belongs into the first result is brought into the lower quarter of each half.
    let c = _mm256_permute4x64_epi64::<0b11_01_10_00>(c);
    [_mm256_unpacklo_epi16(c, c), _mm256_unpackhi_epi16(c, c)]
}

/// Luma and chroma together, as bytes, in order.
#[target_feature(enable = "avx2")]
fn bytes(y: [__m256i; 2], c: [__m256i; 2]) -> __m256i {
    let packed = _mm256_packus_epi16(_mm256_add_epi16(y[0], c[0]), _mm256_add_epi16(y[1], c[1]));
    _mm256_permute4x64_epi64::<0b11_01_10_00>(packed)
}

/// Three colours of 32 pixels, pixel by pixel.
#[target_feature(enable = "avx2")]
fn interleave(r: __m256i, g: __m256i, b: __m256i, out: &mut [u8; STEP * 3]) {
    // Each half holds 16 pixels, which become three registers' halves; `place` says which pixel's colour goes to each of 16 bytes.
    let third = |of_r: __m256i, of_g: __m256i, of_b: __m256i| {
        let two = _mm256_or_si256(_mm256_shuffle_epi8(r, of_r), _mm256_shuffle_epi8(g, of_g));
        _mm256_or_si256(two, _mm256_shuffle_epi8(b, of_b))
    };
    let first = third(
        place([0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5]),
        place([-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1]),
        place([-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1]),
    );
    let second = third(
        place([-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1]),
        place([5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10]),
        place([-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1]),
    );
    let last = third(
        place([-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1]),
        place([-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1]),
        place([10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15]),
    );
    let whole = [
        _mm256_permute2x128_si256::<0x20>(first, second),
        _mm256_permute2x128_si256::<0x30>(last, first),
        _mm256_permute2x128_si256::<0x31>(second, last),
    ];
    let (thirds, _) = out.as_chunks_mut::<32>();
    for (third, whole) in thirds.iter_mut().zip(whole) {
        // SAFETY: there are 32 bytes; the store has no alignment.
        unsafe { _mm256_storeu_si256(third.as_mut_ptr().cast(), whole) };
    }
}

/// The same order of bytes in both halves; -1 leaves a byte 0.
#[target_feature(enable = "avx2")]
fn place(p: [i8; 16]) -> __m256i {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, q] = p;
    _mm256_setr_epi8(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, q, a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, q)
}
