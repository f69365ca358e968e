//! Vectors of 16 f32 or 8 f64 on the instruction set that the processor has, chosen at run time.
//!
//! A token ([`Avx512`], [`Avx2`], [`Portable`]) is made only where its instructions exist; owning one makes its methods safe.
//! A [`Kernel`] is written once over any token; [`InstructionSet::run`] compiles it once for each.
//! All tokens have the same number of lanes, and f64 never fuses a multiplication with an addition, so that f64 results
//! have the same bits on every processor.

/// A number type with its memory block of one vector.
pub(crate) trait Real: Copy + Default + PartialOrd + Send + Sync + 'static {
    /// One vector in memory, on its own cache line.
    type Block: Copy + Send + Sync + AsRef<[Self]> + AsMut<[Self]>;
    /// As many numbers, anywhere.
    type Array;
    /// Numbers in a vector.
    const LANES: usize;
    const INFINITY: Self;
    fn from_f32(x: f32) -> Self;
    /// The same or a little more.
    fn at_least(x: f64) -> Self;
    fn to_f64(self) -> f64;
    fn block(x: Self) -> Self::Block;
}

macro_rules! real {
    ($real:ty, $block:ident, $lanes:literal) => {
        #[derive(Clone, Copy)]
        #[repr(C, align(64))]
        pub(crate) struct $block(pub(crate) [$real; $lanes]);

        impl AsRef<[$real]> for $block {
            #[inline(always)]
            fn as_ref(&self) -> &[$real] {
                &self.0
            }
        }

        impl AsMut<[$real]> for $block {
            #[inline(always)]
            fn as_mut(&mut self) -> &mut [$real] {
                &mut self.0
            }
        }

        impl Real for $real {
            type Block = $block;
            type Array = [$real; $lanes];
            const LANES: usize = $lanes;
            const INFINITY: Self = <$real>::INFINITY;
            #[inline(always)]
            fn at_least(x: f64) -> Self {
                (x as $real).next_up()
            }
            #[inline(always)]
            fn from_f32(x: f32) -> Self {
                <$real>::from(x)
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn block(x: Self) -> $block {
                $block([x; $lanes])
            }
        }
    };
}
real!(f32, F32x16, 16);
real!(f64, F64x8, 8);

/// Arithmetic on vectors of `R`.
pub(crate) trait Vectors<R: Real>: Copy + Send + Sync {
    /// A vector in registers.
    type V: Copy;
    fn load(self, from: &R::Block) -> Self::V;
    fn load_array(self, from: &R::Array) -> Self::V;
    fn store(self, x: Self::V, to: &mut R::Block);
    fn splat(self, x: R) -> Self::V;
    fn add(self, x: Self::V, y: Self::V) -> Self::V;
    fn sub(self, x: Self::V, y: Self::V) -> Self::V;
    fn min(self, x: Self::V, y: Self::V) -> Self::V;
    /// Whether the register file holds tiles of eight rows (32 registers of 512 bits).
    const WIDE: bool;
    /// Whether x > y in every lane.
    fn all_above(self, x: Self::V, y: Self::V) -> bool;
    /// sum + x·y; f32 with one rounding where the processor can, f64 always with two.
    fn mul_add(self, x: Self::V, y: Self::V, sum: Self::V) -> Self::V;
}

/// A token for both number types.
pub(crate) trait Simd: Vectors<f32> + Vectors<f64> {}
impl<S: Vectors<f32> + Vectors<f64>> Simd for S {}

/// Work written over any token.
pub(crate) trait Kernel {
    type Output;
    /// Must be `#[inline(always)]`, so that it is compiled with the token's instructions, and hand no vectors to closures,
    /// which would not be.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Plain arrays: every processor.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

macro_rules! portable {
    ($real:ty, $block:ident, $lanes:literal) => {
        impl Vectors<$real> for Portable {
            type V = [$real; $lanes];
            const WIDE: bool = false;
            #[inline(always)]
            fn load(self, from: &$block) -> Self::V {
                from.0
            }
            #[inline(always)]
            fn load_array(self, from: &[$real; $lanes]) -> Self::V {
                *from
            }
            #[inline(always)]
            fn store(self, x: Self::V, to: &mut $block) {
                to.0 = x;
            }
            #[inline(always)]
            fn splat(self, x: $real) -> Self::V {
                [x; $lanes]
            }
            #[inline(always)]
            fn add(self, x: Self::V, y: Self::V) -> Self::V {
                std::array::from_fn(|l| x[l] + y[l])
            }
            #[inline(always)]
            fn sub(self, x: Self::V, y: Self::V) -> Self::V {
                std::array::from_fn(|l| x[l] - y[l])
            }
            #[inline(always)]
            fn min(self, x: Self::V, y: Self::V) -> Self::V {
                std::array::from_fn(|l| if x[l] < y[l] { x[l] } else { y[l] })
            }
            #[inline(always)]
            fn all_above(self, x: Self::V, y: Self::V) -> bool {
                (0..$lanes).all(|l| x[l] > y[l])
            }
            #[inline(always)]
            fn mul_add(self, x: Self::V, y: Self::V, sum: Self::V) -> Self::V {
                std::array::from_fn(|l| sum[l] + x[l] * y[l])
            }
        }
    };
}
portable!(f32, F32x16, 16);
portable!(f64, F64x8, 8);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{F32x16, F64x8, Real, Vectors};
    use std::arch::x86_64::*;

    /// One 512-bit register a vector. Exists only where `avx512f` was detected.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512(());

    /// Two 256-bit registers a vector. Exists only where `avx2` and `fma` were detected.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2(());

    impl Avx512 {
        pub(crate) fn detect() -> Option<Self> {
            is_x86_feature_detected!("avx512f").then_some(Self(()))
        }

        pub(crate) fn run<K: super::Kernel>(self, kernel: K) -> K::Output {
            #[target_feature(enable = "avx512f")]
            fn run<K: super::Kernel>(token: Avx512, kernel: K) -> K::Output {
                kernel.run(token)
            }
            // SAFETY: the token exists only where avx512f does.
            unsafe { run(self, kernel) }
        }
    }

    impl Avx2 {
        pub(crate) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(Self(()))
        }

        pub(crate) fn run<K: super::Kernel>(self, kernel: K) -> K::Output {
            #[target_feature(enable = "avx2,fma")]
            fn run<K: super::Kernel>(token: Avx2, kernel: K) -> K::Output {
                kernel.run(token)
            }
            // SAFETY: the token exists only where avx2 and fma do.
            unsafe { run(self, kernel) }
        }
    }

    // SAFETY, of every block in the two macros: the token exists only where its instructions do, and loads and stores cover
    // exactly the block behind the reference.
    macro_rules! avx512 {
        ($real:ty, $block:ident, $v:ty, $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $min:ident,
            $above:ident, ($x:ident, $y:ident, $sum:ident) => $mul_add:expr) => {
            impl Vectors<$real> for Avx512 {
                type V = $v;
                const WIDE: bool = true;
                #[inline(always)]
                fn load(self, from: &$block) -> $v {
                    Vectors::<$real>::load_array(self, &from.0)
                }
                #[inline(always)]
                fn load_array(self, from: &<$real as Real>::Array) -> $v {
                    unsafe { $load(from.as_ptr()) }
                }
                #[inline(always)]
                fn store(self, x: $v, to: &mut $block) {
                    unsafe { $store(to.0.as_mut_ptr(), x) }
                }
                #[inline(always)]
                fn splat(self, x: $real) -> $v {
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                fn add(self, x: $v, y: $v) -> $v {
                    unsafe { $add(x, y) }
                }
                #[inline(always)]
                fn sub(self, x: $v, y: $v) -> $v {
                    unsafe { $sub(x, y) }
                }
                #[inline(always)]
                fn min(self, x: $v, y: $v) -> $v {
                    unsafe { $min(x, y) }
                }
                #[inline(always)]
                fn all_above(self, x: $v, y: $v) -> bool {
                    unsafe { $above::<_CMP_GT_OQ>(x, y) == !0 }
                }
                #[inline(always)]
                fn mul_add(self, $x: $v, $y: $v, $sum: $v) -> $v {
                    unsafe { $mul_add }
                }
            }
        };
    }

    macro_rules! avx2 {
        ($real:ty, $block:ident, $v:ty, $half:literal, $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident,
            $min:ident, $above:ident, $mask:ident, ($x:ident, $y:ident, $sum:ident) => $mul_add:expr) => {
            impl Vectors<$real> for Avx2 {
                type V = [$v; 2];
                const WIDE: bool = false;
                #[inline(always)]
                fn load(self, from: &$block) -> Self::V {
                    Vectors::<$real>::load_array(self, &from.0)
                }
                #[inline(always)]
                fn load_array(self, from: &<$real as Real>::Array) -> Self::V {
                    unsafe { [$load(from.as_ptr()), $load(from.as_ptr().add($half))] }
                }
                #[inline(always)]
                fn store(self, x: Self::V, to: &mut $block) {
                    unsafe {
                        $store(to.0.as_mut_ptr(), x[0]);
                        $store(to.0.as_mut_ptr().add($half), x[1]);
                    }
                }
                #[inline(always)]
                fn splat(self, x: $real) -> Self::V {
                    unsafe { [$splat(x); 2] }
                }
                #[inline(always)]
                fn add(self, x: Self::V, y: Self::V) -> Self::V {
                    unsafe { [$add(x[0], y[0]), $add(x[1], y[1])] }
                }
                #[inline(always)]
                fn sub(self, x: Self::V, y: Self::V) -> Self::V {
                    unsafe { [$sub(x[0], y[0]), $sub(x[1], y[1])] }
                }
                #[inline(always)]
                fn min(self, x: Self::V, y: Self::V) -> Self::V {
                    unsafe { [$min(x[0], y[0]), $min(x[1], y[1])] }
                }
                #[inline(always)]
                fn all_above(self, x: Self::V, y: Self::V) -> bool {
                    unsafe { $mask($above::<_CMP_GT_OQ>(x[0], y[0])) & $mask($above::<_CMP_GT_OQ>(x[1], y[1])) == (1 << $half) - 1 }
                }
                #[inline(always)]
                fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
                    let ($x, $y, $sum) = (a[0], b[0], c[0]);
                    let low = unsafe { $mul_add };
                    let ($x, $y, $sum) = (a[1], b[1], c[1]);
                    [low, unsafe { $mul_add }]
                }
            }
        };
    }

    avx512!(f32, F32x16, __m512, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_add_ps, _mm512_sub_ps, _mm512_min_ps,
        _mm512_cmp_ps_mask, (x, y, sum) => _mm512_fmadd_ps(x, y, sum));
    avx512!(f64, F64x8, __m512d, _mm512_loadu_pd, _mm512_storeu_pd, _mm512_set1_pd, _mm512_add_pd, _mm512_sub_pd, _mm512_min_pd,
        _mm512_cmp_pd_mask, (x, y, sum) => _mm512_add_pd(sum, _mm512_mul_pd(x, y)));
    avx2!(f32, F32x16, __m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_add_ps, _mm256_sub_ps, _mm256_min_ps,
        _mm256_cmp_ps, _mm256_movemask_ps, (x, y, sum) => _mm256_fmadd_ps(x, y, sum));
    avx2!(f64, F64x8, __m256d, 4, _mm256_loadu_pd, _mm256_storeu_pd, _mm256_set1_pd, _mm256_add_pd, _mm256_sub_pd, _mm256_min_pd,
        _mm256_cmp_pd, _mm256_movemask_pd, (x, y, sum) => _mm256_add_pd(sum, _mm256_mul_pd(x, y)));
}

/// The instructions to compute with. Scores do not depend on it, only their speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum InstructionSet {
    /// The widest that the processor has, found at run time.
    #[default]
    Best,
    /// AVX-512F, or what the processor has instead.
    Avx512,
    /// AVX2 with FMA, or [`InstructionSet::Portable`] where they are missing.
    Avx2,
    /// What the target of compilation always has.
    Portable,
}

impl InstructionSet {
    /// What is really used on this processor: never [`InstructionSet::Best`].
    ///
    /// ```
    /// use react_metrics::InstructionSet;
    /// assert_ne!(InstructionSet::Best.resolved(), InstructionSet::Best);
    /// assert_eq!(InstructionSet::Portable.resolved(), InstructionSet::Portable);
    /// ```
    #[must_use]
    pub fn resolved(self) -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if matches!(self, Self::Best | Self::Avx512) && x86::Avx512::detect().is_some() {
                return Self::Avx512;
            }
            if self != Self::Portable && x86::Avx2::detect().is_some() {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// Runs a kernel with these instructions.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        {
            if matches!(self, Self::Best | Self::Avx512)
                && let Some(token) = x86::Avx512::detect()
            {
                return token.run(kernel);
            }
            if self != Self::Portable
                && let Some(token) = x86::Avx2::detect()
            {
                return token.run(kernel);
            }
        }
        kernel.run(Portable)
    }
}
