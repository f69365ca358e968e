//! Intensities: as they are, as the face shows them, as the voice has them.
//!
//! ```text
//! z ~ N(0, C)                                  seven correlated emotions
//! label_e = σ(1.3·z_e − 0.6)
//! seen_e  = g_face ·σ(1.1·(z_e + s_e·n_e) − 0.3)     n ~ N(0, 1), s_e how badly emotion e is seen; g the person's gain
//! heard_e = g_voice·σ(1.1·(z_e + h_e·m_e) − 0.3)     m independent of n
//! ```

use super::config::{EMOTIONS, HumeSynthConfig};
use react_random::Draws;
use serde::{Deserialize, Serialize};

/// How many emotions there are.
pub(super) const E: usize = EMOTIONS.len();
/// Deviations of the noise of what is seen and heard, in units of the latent's.
const SEEN_NOISE: [f32; E] = [0.8, 0.4, 1.5, 0.45, 1.3, 1.4, 0.5];
const HEARD_NOISE: [f32; E] = [2.0, 2.4, 0.6, 2.4, 0.65, 0.6, 2.2];
/// Correlations of the latents: who adores is amused and not disgusted; who fears is anxious.
const CORRELATIONS: [(usize, usize, f64); 15] = [
    (0, 1, 0.35),
    (0, 3, -0.20),
    (0, 4, -0.05),
    (0, 5, -0.15),
    (1, 2, -0.20),
    (1, 3, -0.10),
    (1, 4, -0.25),
    (1, 5, -0.15),
    (1, 6, 0.20),
    (2, 3, 0.20),
    (2, 4, 0.30),
    (2, 5, 0.45),
    (3, 4, 0.15),
    (3, 5, 0.25),
    (4, 5, 0.25),
];
const FEAR_AND_SURPRISE: f64 = 0.25;
/// Shares of clips without a face (half of them black, half an empty room) and without a sound; none lacks both.
const FACELESS: f32 = 0.04;
const SOUNDLESS: f32 = 0.04;
/// Clips that a person is in.
const CLIPS_PER_PERSON: usize = 4;

/// Whether a clip shows a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Face {
    /// It does.
    Shown,
    /// Its pictures are black.
    Black,
    /// It shows an empty room.
    Room,
}

/// The truth about a clip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HumeClip {
    /// Its id, without brackets.
    pub id: String,
    /// `train`, `val` or `test`.
    pub split: String,
    /// Who is in it; persons of different splits are different.
    pub person: u32,
    /// Intensities in [0, 1], in the order of [`EMOTIONS`]: as in the table, to four digits.
    pub labels: [f32; E],
    /// How strongly the face shows each.
    pub seen: [f32; E],
    /// How strongly the voice has each.
    pub heard: [f32; E],
    /// Whether there is a face.
    pub face: Face,
    /// Whether there is a sound.
    pub sound: bool,
}

/// All clips of a configuration, in the order of their ids.
pub(super) fn clips(config: &HumeSynthConfig) -> Vec<HumeClip> {
    let splits = [("train", config.train), ("val", config.val), ("test", config.test)];
    let places = splits.iter().flat_map(|(name, count)| (0..*count).map(move |i| (*name, i)));
    let mixing = cholesky();
    let mut person = 0;
    let mut clips = Vec::new();
    for (number, (split, place)) in places.enumerate() {
        if number > 0 && place % CLIPS_PER_PERSON == 0 {
            person += 1;
        }
        clips.push(clip(config.seed, number as u32, person, split, &mixing));
    }
    clips
}

fn clip(seed: u64, number: u32, person: u32, split: &str, mixing: &[[f64; E]; E]) -> HumeClip {
    let draws = &mut Draws::new(seed, "hume.latent", number, 0);
    let white: [f64; E] = std::array::from_fn(|_| f64::from(draws.normal()));
    let latent: [f32; E] = mixing.map(|row| row.iter().zip(&white).map(|(a, b)| a * b).sum::<f64>() as f32);
    let habits = &mut Draws::new(seed, "hume.gain", person, 0);
    let gains = [(0.10 * habits.normal()).exp(), (0.08 * habits.normal()).exp()];
    let mut shown = |gain: f32, noise: &[f32; E]| -> [f32; E] {
        std::array::from_fn(|e| gain * sigmoid(1.1 * (latent[e] + noise[e] * draws.normal()) - 0.3))
    };
    let (seen, heard) = (shown(gains[0], &SEEN_NOISE), shown(gains[1], &HEARD_NOISE));
    let lacks = draws.uniform();
    let face = match lacks {
        x if x < 0.5 * FACELESS => Face::Black,
        x if x < FACELESS => Face::Room,
        _ => Face::Shown,
    };
    HumeClip {
        id: format!("{number:05}"),
        split: split.to_owned(),
        person,
        labels: latent.map(|z| (sigmoid(1.3 * z - 0.6) * 1e4).round() / 1e4),
        seen,
        heard,
        face,
        sound: !(FACELESS..FACELESS + SOUNDLESS).contains(&lacks),
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The lower triangular L with L·Lᵀ = C.
fn cholesky() -> [[f64; E]; E] {
    let mut c = [[0.0; E]; E];
    for (a, b, value) in CORRELATIONS.into_iter().chain([(5, 6, FEAR_AND_SURPRISE)]) {
        c[a][b] = value;
        c[b][a] = value;
    }
    (0..E).for_each(|i| c[i][i] = 1.0);
    let mut l = [[0.0f64; E]; E];
    for i in 0..E {
        for j in 0..=i {
            let rest = c[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            l[i][j] = if i == j { rest.max(0.0).sqrt() } else { rest / l[j][j] };
        }
    }
    l
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn correlations_are_positive_definite_and_met() {
        let l = cholesky();
        assert!((0..E).all(|i| l[i][i] > 0.3), "{l:?}");
        let c = |a: usize, b: usize| (0..E).map(|k| l[a][k] * l[b][k]).sum::<f64>();
        assert!((c(2, 5) - 0.45).abs() < 1e-12 && (c(5, 6) - 0.25).abs() < 1e-12 && (c(3, 3) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn persons_stay_in_their_split_and_a_few_clips_lack_something() {
        let clips = clips(&HumeSynthConfig { train: 402, val: 99, test: 3, ..HumeSynthConfig::default() });
        assert_eq!(
            (clips.len(), clips[401].split.as_str(), clips[402].split.as_str(), clips[503].id.as_str()),
            (504, "train", "val", "00503")
        );
        assert!(clips[401].person < clips[402].person);
        assert_eq!(clips.iter().filter(|clip| clip.person == 3).count(), 4);
        let share = |lacks: fn(&HumeClip) -> bool| clips.iter().filter(|clip| lacks(clip)).count() as f32 / 504.0;
        let (faceless, silent) = (share(|clip| clip.face != Face::Shown), share(|clip| !clip.sound));
        assert!((0.01..0.08).contains(&faceless) && (0.01..0.08).contains(&silent), "{faceless} {silent}");
        assert!(clips.iter().all(|clip| clip.sound || clip.face == Face::Shown));
        assert!(clips.iter().flat_map(|clip| clip.labels).all(|label| (0.0..=1.0).contains(&label)));
    }
}
