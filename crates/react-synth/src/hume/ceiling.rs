//! What a perfect reader of faces and voices would reach: the best linear readout of what is shown.

use super::latent::{E, Face, HumeClip};
use serde::{Deserialize, Serialize};

/// Pearson's correlation of labels with their best linear readout, for each emotion: fitted by least squares on the training
/// split, measured on the validation split, of the strengths that were rendered ([`HumeClip::seen`], [`HumeClip::heard`]). A missing
/// face or voice counts as the training split's mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ceiling {
    /// From what is seen.
    pub face: [f64; E],
    /// From what is heard.
    pub voice: [f64; E],
    /// From both.
    pub both: [f64; E],
}

impl Ceiling {
    /// The means over emotions: face, voice, both.
    #[must_use]
    pub fn mean(&self) -> [f64; 3] {
        [&self.face, &self.voice, &self.both].map(|values| values.iter().sum::<f64>() / E as f64)
    }

    pub(super) fn of(clips: &[HumeClip]) -> Self {
        let split = |name: &str| clips.iter().filter(|clip| clip.split == name).collect::<Vec<_>>();
        let (train, val) = (split("train"), split("val"));
        let seen = |clip: &HumeClip| (clip.face == Face::Shown).then_some(clip.seen);
        let heard = |clip: &HumeClip| clip.sound.then_some(clip.heard);
        let means = [mean(&train, seen), mean(&train, heard)];
        let inputs = |clip: &HumeClip, which: [bool; 2]| {
            let face = which[0].then(|| seen(clip).map_or(means[0], |x| x.map(f64::from)));
            let voice = which[1].then(|| heard(clip).map_or(means[1], |x| x.map(f64::from)));
            let mut row = vec![1.0];
            row.extend(face.into_iter().chain(voice).flatten());
            row
        };
        let readout = |which: [bool; 2]| {
            let rows = |clips: &[&HumeClip]| clips.iter().map(|clip| inputs(clip, which)).collect::<Vec<_>>();
            let (fit, test) = (rows(&train), rows(&val));
            std::array::from_fn(|e| {
                let labels = |clips: &[&HumeClip]| clips.iter().map(|clip| f64::from(clip.labels[e])).collect::<Vec<_>>();
                let weights = least_squares(&fit, &labels(&train));
                let read: Vec<f64> = test.iter().map(|row| row.iter().zip(&weights).map(|(x, w)| x * w).sum()).collect();
                correlation(&read, &labels(&val))
            })
        };
        Self { face: readout([true, false]), voice: readout([false, true]), both: readout([true, true]) }
    }
}

fn mean(clips: &[&HumeClip], values: impl Fn(&HumeClip) -> Option<[f32; E]>) -> [f64; E] {
    let there: Vec<[f32; E]> = clips.iter().filter_map(|clip| values(clip)).collect();
    std::array::from_fn(|e| there.iter().map(|x| f64::from(x[e])).sum::<f64>() / there.len().max(1) as f64)
}

/// Weights w that minimise Σ (x·w − y)², by the normal equations; a trace of ridge for corpora of a few clips.
fn least_squares(x: &[Vec<f64>], y: &[f64]) -> Vec<f64> {
    let n = x.first().map_or(0, Vec::len);
    let dot = |i: usize, j: usize| x.iter().map(|row| row[i] * row[j]).sum::<f64>();
    let mut l = vec![vec![0.0; n]; n];
    for i in 0..n {
        for j in 0..=i {
            let ridge = if i == j { 1e-9 * x.len() as f64 } else { 0.0 };
            let rest = dot(i, j) + ridge - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            l[i][j] = if i == j { rest.max(1e-12).sqrt() } else { rest / l[j][j] };
        }
    }
    let mut w: Vec<f64> = (0..n).map(|i| x.iter().zip(y).map(|(row, y)| row[i] * y).sum()).collect();
    for i in 0..n {
        w[i] = (w[i] - (0..i).map(|k| l[i][k] * w[k]).sum::<f64>()) / l[i][i];
    }
    for i in (0..n).rev() {
        w[i] = (w[i] - (i + 1..n).map(|k| l[k][i] * w[k]).sum::<f64>()) / l[i][i];
    }
    w
}

/// Pearson's correlation; 0 where either is constant.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().max(1) as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    let (ab, aa, bb) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
    if aa > 0.0 && bb > 0.0 { ab / (aa * bb).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_squares_finds_a_plane() {
        let x: Vec<Vec<f64>> = (0..9).map(|i| vec![1.0, f64::from(i % 3), f64::from(i * i % 5)]).collect();
        let y: Vec<f64> = x.iter().map(|row| 0.5 - 2.0 * row[1] + 3.0 * row[2]).collect();
        let w = least_squares(&x, &y);
        assert!(w.iter().zip([0.5, -2.0, 3.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{w:?}");
    }
}
