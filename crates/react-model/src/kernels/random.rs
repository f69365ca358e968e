//! Dropout masks as a function of (seed, site, step, element): the same in the forward and the backward pass, on any number of
//! threads. Philox 4×32-10 as in react-random, 16 counters at a time, 16 bits a draw.

use super::simd::multiversion;

/// Names a dropout mask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct DropKey {
    key: [u32; 2],
    site: u32,
    step: u32,
    /// Draws of 16 bits below it drop their element.
    threshold: u32,
    scale: f32,
}

/// Draws of one call of the generator: 16 counters × 4 words × 2 halves.
const CHUNK: usize = 128;

/// What a kept element is multiplied by.
pub(crate) fn keep_scale(p: f32) -> f32 {
    1.0 / (1.0 - p)
}

impl DropKey {
    /// The mask of `site` at a step; `pass` tells two passes of a step apart.
    pub(crate) fn new(p: f32, seed: u64, site: &str, step: u32, pass: u32) -> Self {
        let key = [seed as u32, (seed >> 32) as u32 ^ react_random::fnv1a("dropout") ^ pass.wrapping_mul(0x9E37_79B9)];
        Self { key, site: react_random::fnv1a(site), step, threshold: (p * 65536.0).round() as u32, scale: keep_scale(p) }
    }

    /// What a GPU's kernel is told: the key's two words, the site, the step, the threshold; and the scale.
    pub(crate) fn words(&self) -> ([u32; 5], f32) {
        ([self.key[0], self.key[1], self.site, self.step, self.threshold], self.scale)
    }

    /// The factors, 0 or 1/(1 − p), of the first elements of row `row`.
    pub(crate) fn fill(&self, row: u32, out: &mut [f32]) {
        fill(self.key, [row, self.site, self.step], self.threshold, self.scale, out);
    }
}

multiversion! {
    fn fill(key: [u32; 2], name: [u32; 3], threshold: u32, scale: f32, out: &mut [f32]) {
        for (chunk, out) in out.chunks_mut(CHUNK).enumerate() {
            let mut c: [[u32; 16]; 4] = [[0; 16]; 4];
            for l in 0..16 {
                c[0][l] = (chunk * 16 + l) as u32;
                c[1][l] = name[0];
                c[2][l] = name[1];
                c[3][l] = name[2];
            }
            let mut k = key;
            for round in 0..10 {
                if round > 0 {
                    k = [k[0].wrapping_add(0x9E37_79B9), k[1].wrapping_add(0xBB67_AE85)];
                }
                for l in 0..16 {
                    let p0 = u64::from(c[0][l]) * 0xD251_1F53;
                    let p1 = u64::from(c[2][l]) * 0xCD9E_8D57;
                    let (c1, c3) = (c[1][l], c[3][l]);
                    c[0][l] = (p1 >> 32) as u32 ^ c1 ^ k[0];
                    c[1][l] = p1 as u32;
                    c[2][l] = (p0 >> 32) as u32 ^ c3 ^ k[1];
                    c[3][l] = p0 as u32;
                }
            }
            for (i, out) in out.chunks_mut(16).enumerate() {
                for (o, word) in out.iter_mut().zip(&c[i / 2]) {
                    let draw = if i % 2 == 0 { word & 0xFFFF } else { word >> 16 };
                    *o = if draw < threshold { 0.0 } else { scale };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_philox() {
        let mut out = [0.0; 20];
        let key = DropKey::new(0.5, 0x1234_5678_9ABC_DEF0, "site", 7, 1);
        key.fill(3, &mut out);
        for (i, o) in out.iter().enumerate().take(16) {
            let words = react_random::philox(key.key, [i as u32, 3, key.site, 7]);
            assert_eq!(*o, if words[0] & 0xFFFF < 32768 { 0.0 } else { 2.0 });
        }
        let words = react_random::philox(key.key, [1, 3, key.site, 7]);
        assert_eq!(out[17], if words[0] >> 16 < 32768 { 0.0 } else { 2.0 });
    }

    #[test]
    fn a_tenth_is_dropped_and_the_mean_kept() {
        let mut out = vec![0.0; 100_000];
        DropKey::new(0.1, 1, "site", 0, 0).fill(0, &mut out);
        let dropped = out.iter().filter(|x| **x == 0.0).count();
        assert!((9_700..10_300).contains(&dropped), "{dropped}");
        let mut other = vec![0.0; 100_000];
        DropKey::new(0.1, 1, "site", 0, 1).fill(0, &mut other);
        assert_ne!(out, other);
    }
}
