//! Counter-based random numbers (Philox 4×32-10): a draw is a function of `(seed, purpose, a, b)` and its index, of nothing else.
//!
//! Reproducible training needs draws that do not depend on thread count, on what was drawn before, or on where a run was
//! stopped. A counter-based generator has no state to save: `(seed, epoch, step, purpose)` names the stream.
//!
//! Source: J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
//!
//! ```
//! use react_random::Draws;
//! let mut a = Draws::new(7, "crop", 3, 11); // seed 7, epoch 3, step 11
//! let mut b = Draws::new(7, "crop", 3, 11);
//! assert_eq!(a.u32(), b.u32());
//! assert!((0.0..1.0).contains(&a.uniform()));
//! ```

/// One block of Philox 4×32-10: four random words from a key and a counter.
///
/// ```
/// // Known answer of Random123 for an all-zero key and counter.
/// assert_eq!(react_random::philox([0, 0], [0, 0, 0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
/// ```
#[must_use]
pub fn philox(mut key: [u32; 2], mut counter: [u32; 4]) -> [u32; 4] {
    for round in 0..10 {
        if round > 0 {
            key[0] = key[0].wrapping_add(0x9E37_79B9);
            key[1] = key[1].wrapping_add(0xBB67_AE85);
        }
        let p0 = u64::from(counter[0]) * 0xD251_1F53;
        let p1 = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [(p1 >> 32) as u32 ^ counter[1] ^ key[0], p1 as u32, (p0 >> 32) as u32 ^ counter[3] ^ key[1], p0 as u32];
    }
    counter
}

/// A uniform number in [0, 1) with 24 random bits, from a random word.
#[must_use]
pub fn unit_f32(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// A stream of draws, named by a seed, a purpose and two numbers (epoch and step, clip and person, …).
///
/// Streams of different names are independent. A stream holds 2³⁴ words.
#[derive(Clone, Debug)]
pub struct Draws {
    key: [u32; 2],
    stream: [u32; 3],
    block: u32,
    words: [u32; 4],
    used: usize,
    spare_normal: Option<f32>,
}

impl Draws {
    /// The stream of `(seed, purpose, a, b)`, at its start.
    #[must_use]
    pub fn new(seed: u64, purpose: &str, a: u32, b: u32) -> Self {
        Self {
            key: [seed as u32, (seed >> 32) as u32],
            stream: [fnv1a(purpose), a, b],
            block: 0,
            words: [0; 4],
            used: 4,
            spare_normal: None,
        }
    }

    /// The next 32 random bits.
    pub fn u32(&mut self) -> u32 {
        if self.used == 4 {
            let [purpose, a, b] = self.stream;
            self.words = philox(self.key, [self.block, purpose, a, b]);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        self.used += 1;
        self.words[self.used - 1]
    }

    /// The next 64 random bits.
    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) << 32 | u64::from(self.u32())
    }

    /// Uniform in [0, 1), 24 bits.
    pub fn uniform(&mut self) -> f32 {
        unit_f32(self.u32())
    }

    /// Uniform in [0, 1), 53 bits.
    pub fn uniform_f64(&mut self) -> f64 {
        (self.u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Standard normal, by Box and Muller's transform in f64.
    pub fn normal(&mut self) -> f32 {
        if let Some(z) = self.spare_normal.take() {
            return z;
        }
        let radius = (-2.0 * (1.0 - self.uniform_f64()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * self.uniform_f64()).sin_cos();
        self.spare_normal = Some((radius * sin) as f32);
        (radius * cos) as f32
    }

    /// A whole number in 0..n, without bias (Lemire's multiplication with rejection).
    ///
    /// # Panics
    /// Where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "a draw below 0 does not exist");
        let n = n as u64;
        let reject_below = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.u64()) * u128::from(n);
            if product as u64 >= reject_below {
                return (product >> 64) as usize;
            }
        }
    }

    /// Whether an event of probability `p` happens.
    pub fn chance(&mut self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Fisher and Yates' shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// Fills with standard normal numbers.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        out.iter_mut().for_each(|x| *x = self.normal());
    }

    /// Fills with uniform numbers in [0, 1).
    pub fn fill_uniform(&mut self, out: &mut [f32]) {
        out.iter_mut().for_each(|x| *x = self.uniform());
    }
}

/// 32-bit FNV-1a: short names of streams to words, the same everywhere.
#[must_use]
pub const fn fnv1a(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash = 0x811C_9DC5u32;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        let pi = philox([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]);
        assert_eq!(pi, [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
        assert_eq!(philox([!0; 2], [!0; 4]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
    }

    #[test]
    fn streams_differ_and_repeat() {
        let first = |purpose, a, b| Draws::new(1, purpose, a, b).u64();
        assert_eq!(first("crop", 0, 0), first("crop", 0, 0));
        for other in [first("swap", 0, 0), first("crop", 1, 0), first("crop", 0, 1)] {
            assert_ne!(first("crop", 0, 0), other);
        }
    }

    #[test]
    fn moments_of_the_normal() {
        let mut draws = Draws::new(3, "test", 0, 0);
        let mut z = vec![0.0; 200_000];
        draws.fill_normal(&mut z);
        let mean = z.iter().map(|x| f64::from(*x)).sum::<f64>() / z.len() as f64;
        let var = z.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / z.len() as f64;
        assert!(mean.abs() < 0.01 && (var - 1.0).abs() < 0.015, "mean {mean}, variance {var}");
    }

    #[test]
    fn below_reaches_every_value_and_shuffle_keeps_them() {
        let mut draws = Draws::new(3, "test", 1, 0);
        let mut seen = [0usize; 7];
        (0..7000).for_each(|_| seen[draws.below(7)] += 1);
        assert!(seen.iter().all(|n| (850..1150).contains(n)), "{seen:?}");
        let mut items: Vec<_> = (0..50).collect();
        draws.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
