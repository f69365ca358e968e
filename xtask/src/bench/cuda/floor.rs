//! What a step takes at the least on a card of these rates: the larger of its products over the rate of matrix products, and of its
//! bytes over the rate of memory.

use serde_json::Value;

/// The card's rates, as measured.
#[derive(Default)]
pub(super) struct Peak {
    /// 10¹² multiplications and additions a second.
    f32: Option<f64>,
    tf32: Option<f64>,
    bf16: Option<f64>,
    /// 10⁹ bytes a second, read and written.
    bandwidth: Option<f64>,
}

impl Peak {
    pub(super) fn of(lines: &[Value]) -> Self {
        let find = |name: &str, key: &str| lines.iter().find(|line| line["peak"] == name)?[key].as_f64();
        Self {
            f32: find("f32", "tflops"),
            tf32: find("tf32", "tflops"),
            bf16: find("bf16", "tflops"),
            bandwidth: find("bandwidth", "gb_s"),
        }
    }

    pub(super) fn rows(&self) -> [(String, Option<f64>, &'static str); 4] {
        let product = |name: &str| format!("matrix product, 8192³, {name}");
        [
            (product("f32"), self.f32, "TFLOP/s"),
            (product("tf32"), self.tf32, "TFLOP/s"),
            (product("bf16"), self.bf16, "TFLOP/s"),
            ("copy of 4 GiB, bytes read and written".to_owned(), self.bandwidth, "GB/s"),
        ]
    }

    /// The least seconds of an offline training step of so many clips, frames and pixels.
    pub(super) fn step(&self, precision: &str, [clips, frames, size]: [usize; 3]) -> Option<f64> {
        let (rate, bytes) = if precision == "bf16" { (self.bf16, 2.0) } else { (self.tf32, 4.0) };
        let work = work(size, bytes);
        let frames = (clips * frames) as f64;
        Some((frames * work.operations / (rate? * 1e12)).max(frames * work.bytes / (self.bandwidth? * 1e9)))
    }
}

/// Of a frame's way through the five convolutions and back; what comes after them is less than a hundredth.
struct Work {
    /// Multiplications and additions.
    operations: f64,
    bytes: f64,
}

/// Per convolution: channels in and out, taps of its kernel, its stride and padding, and whether a pool of 3×3 and stride 2 follows.
const CONVOLUTIONS: [(usize, usize, usize, usize, usize, bool); 5] =
    [(3, 32, 7, 2, 3, true), (32, 128, 7, 2, 3, false), (128, 128, 3, 2, 1, false), (128, 128, 3, 1, 1, false), (128, 128, 3, 2, 1, false)];

/// Forward a convolution is one product, backward two (the first has no gradient of its input). Bytes: forward its input x is read, its
/// output y written and, for the norm, read again, and the normalised z written; backward y and z's gradient are read twice (for the
/// norm's sums, then for y's gradient, which is written), y's gradient and x read for the kernel's gradient, y's gradient read and
/// x's written for the input's: 3x + 7y + 3z, without x's gradient, and with x in bytes, for the first.
fn work(size: usize, bytes: f64) -> Work {
    let (mut side, mut work) = (size, Work { operations: 0.0, bytes: 0.0 });
    for (i, (cin, cout, kernel, stride, padding, pooled)) in CONVOLUTIONS.into_iter().enumerate() {
        let x = (side * side * cin) as f64;
        side = (side + 2 * padding - kernel) / stride + 1;
        let y = (side * side * cout) as f64;
        side = if pooled { (side - 3) / 2 + 1 } else { side };
        // After the last one comes a mean over the picture.
        let z = if i == 4 { 0.0 } else { (side * side * cout) as f64 };
        let product = y * (kernel * kernel * cin * 2) as f64;
        work.operations += product * if i == 0 { 2.0 } else { 3.0 };
        work.bytes += bytes * (7.0 * y + 3.0 * z) + if i == 0 { 2.0 * x } else { 3.0 * x * bytes };
    }
    work
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_work_of_a_frame() {
        let found = work(224, 4.0);
        // 118 + 315 + 58 + 58 + 14 million forward.
        assert!((found.operations / 1e6 - (2.0 * 118.0 + 3.0 * 445.2)).abs() < 2.0, "{}", found.operations);
        assert!((found.bytes / 1e6 - 21.9).abs() < 0.3, "{}", found.bytes);
        let peak = Peak { tf32: Some(400.0), bandwidth: Some(4300.0), ..Peak::default() };
        let seconds = peak.step("tf32", [4, 256, 224]).unwrap();
        assert!((0.0045..0.0060).contains(&seconds), "{seconds}");
        assert!(peak.step("bf16", [4, 256, 224]).is_none());
    }
}
