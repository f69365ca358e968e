//! eˣ, the sigmoid and the hyperbolic tangent as straight-line arithmetic, which compilers turn into vector code.

/// eˣ for x ≤ 0 to about one unit in the last place: 2ⁿ·eʳ, |r| ≤ ln 2 / 2, eʳ by a polynomial (Cephes).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    // Written so that NaN stays NaN.
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = x - n * 0.693_359_375 + n * 2.121_944_4e-4;
    let mut p = 1.987_569_1e-4;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p * r + c;
    }
    let e = p * r * r + r + 1.0;
    // The last bits of `shifted` are n.
    e * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// 1/(1 + e⁻ˣ).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let above = 1.0 / (1.0 + e);
    if x < 0.0 { e * above } else { above }
}

/// tanh x: by a polynomial near 0 (Cephes), where (1 − e)/(1 + e) loses digits.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let a = x.abs();
    let e = exp(-2.0 * a);
    let far = (1.0 - e) / (1.0 + e);
    let z = x * x;
    let mut p = -5.704_988_7e-3;
    for c in [2.063_908_9e-2, -5.373_971_8e-2, 1.333_144_2e-1, -3.333_328_2e-1] {
        p = p * z + c;
    }
    let near = x + x * z * p;
    if a < 0.625 { near } else { far.copysign(x) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_close() {
        for i in 0..8700 {
            let x = -(i as f32) * 0.01;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) - want).abs() < 2.5e-7 * want, "exp {x}");
        }
        for i in -4000..4000 {
            let x = i as f32 * 0.01;
            let want = f64::from(x).tanh();
            assert!((f64::from(tanh(x)) - want).abs() <= 3e-7 * want.abs(), "tanh {x}");
            let want = 1.0 / (1.0 + (-f64::from(x)).exp());
            assert!((f64::from(sigmoid(x)) - want).abs() < 4e-7 * want, "sigmoid {x}");
        }
        assert_eq!((exp(0.0), tanh(0.0), sigmoid(0.0)), (1.0, 0.0, 0.5));
        assert!(exp(-1e9) < 1e-37);
        assert_eq!((tanh(1e9), tanh(-1e9), sigmoid(1e9)), (1.0, -1.0, 1.0));
        assert!(exp(f32::NAN).is_nan() && tanh(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan());
    }
}
