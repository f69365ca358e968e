//! What is seen: 58 coefficients per frame from the strengths of seven emotions.
//!
//! coefficients(t) = rest + Σ_e seen_e · m_e(t) · prototype_e + blinks + sway + slow noise, m_e(t) = 1 + ½·sin(2π(f_e·t + φ_e)).

use super::config::HUME_FPS;
use super::latent::E;
use crate::actor::Actor;
use crate::affect::{EXPRESSION, channels};
use crate::signal::{Slow, smoothstep};
use ndarray::Array2;
use react_contracts::COEFFS;
use react_random::Draws;
use std::f32::consts::TAU;

/// Expression channels at strength 1, and what is added to rotation (rad) and translation (dm).
type Prototype = (&'static [(&'static str, f32)], [f32; 6]);

/// In the order of [`super::EMOTIONS`]; channels of one are mostly not another's.
const PROTOTYPES: [Prototype; E] = [
    (&[("mouthPucker", 0.9), ("eyeSquint", 0.5), ("mouthDimple", 0.4)], [0.0, 0.0, 0.30, 0.0, 0.0, 0.0]),
    (&[("mouthSmile", 1.2), ("cheekSquint", 0.9), ("mouthLowerDown", 0.3)], [-0.06, 0.0, 0.0, 0.0, 0.0, 0.0]),
    (&[("mouthPress", 0.8), ("mouthRollLower", 0.9), ("mouthRollUpper", 0.8)], [0.0, 0.28, 0.0, 0.0, 0.0, 0.0]),
    (&[("noseSneer", 1.2), ("browDown", 1.2), ("mouthUpperUp", 0.6)], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
    (&[("mouthFrown", 1.1), ("browInnerUp", 0.9), ("eyeBlink", 0.45)], [0.16, 0.0, 0.0, 0.0, -0.05, 0.0]),
    (&[("eyeWide", 1.1), ("mouthStretch", 1.1)], [0.0, 0.0, 0.0, 0.0, 0.0, -0.9]),
    (&[("jawOpen", 0.9), ("browOuterUp", 1.2), ("mouthFunnel", 0.4)], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
];

/// How each emotion's strength moves in a clip: rate in Hz and phase.
pub(super) struct Course([(f32, f32); E]);

impl Course {
    pub(super) fn draw(draws: &mut Draws) -> Self {
        Self(std::array::from_fn(|_| (draws.between(0.4, 1.0), draws.uniform())))
    }

    /// About 1, between ½ and 1½.
    pub(super) fn at(&self, emotion: usize, seconds: f32) -> f32 {
        let (rate, phase) = self.0[emotion];
        1.0 + 0.5 * (TAU * (rate * seconds + phase)).sin()
    }
}

/// The coefficients of a clip, `[frames, 58]`.
pub(super) fn perform(actor: &Actor, seen: &[f32; E], frames: usize, draws: &mut Draws) -> Array2<f32> {
    let course = Course::draw(draws);
    let mut out = Array2::zeros((frames, COEFFS));
    let mut noise: Vec<Slow> = (0..EXPRESSION).map(|_| Slow::new(0.7, 0.03, draws)).collect();
    let mut sway = [0.02, 0.025, 0.015, 0.02, 0.015, 0.03].map(|sd: f32| Slow::new(0.9, sd * actor.sway, draws));
    let blink: Vec<usize> = channels("eyeBlink").collect();
    let mut shut = -10.0f32;
    let members: Vec<Vec<(usize, f32)>> =
        PROTOTYPES.iter().map(|(face, _)| face.iter().flat_map(|(name, weight)| channels(name).map(|i| (i, *weight))).collect()).collect();
    for (t, mut frame) in out.outer_iter_mut().enumerate() {
        let seconds = t as f32 / HUME_FPS as f32;
        for i in 0..EXPRESSION {
            frame[i] = actor.rest[i] + noise[i].next(draws);
        }
        for i in 0..6 {
            frame[EXPRESSION + i] = actor.hold[i] + sway[i].next(draws);
        }
        for (e, (_, rigid)) in PROTOTYPES.iter().enumerate() {
            let strength = seen[e] * course.at(e, seconds);
            members[e].iter().for_each(|(i, weight)| frame[*i] += strength * weight);
            rigid.iter().enumerate().for_each(|(i, weight)| frame[EXPRESSION + i] += strength * weight);
        }
        if draws.chance(actor.blinks / HUME_FPS as f32) && t as f32 - shut > 5.0 {
            shut = t as f32 + 1.0;
        }
        let lid = 1.0 - smoothstep((t as f32 - shut).abs() / 1.5);
        blink.iter().for_each(|i| frame[*i] += 0.95 * lid);
    }
    out
}

/// The box around the face of a frame, pixels (x, y, width, height) in a picture of `size`²: the head's middle as the camera sees it,
/// 0.62 dm to each side.
pub(super) fn face_box(frame: &[f32], size: usize) -> [f32; 4] {
    let [x, y, z] = [frame[55], frame[56], frame[57]];
    // The camera of `react_face::Renderer`.
    let scale = 1315.0 / (10.0 - z) * size as f32 / 224.0;
    let half = 0.62 * scale;
    let middle = size as f32 / 2.0;
    [middle + scale * x - half, middle - scale * (y - 0.1) - half, 2.0 * half, 2.0 * half]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_channel_and_each_emotion_moves_its_own() {
        for (face, _) in PROTOTYPES {
            assert!(face.iter().all(|(name, _)| channels(name).count() > 0), "{face:?}");
        }
        let mut draws = Draws::new(1, "test", 0, 0);
        let actor = Actor::draw(&mut draws);
        let shown = |emotion: Option<usize>| {
            let seen = std::array::from_fn(|e| f32::from(u8::from(emotion == Some(e))));
            perform(&actor, &seen, 24, &mut Draws::new(1, "test", 1, 0))
        };
        let rest = shown(None);
        for (e, prototype) in PROTOTYPES.iter().enumerate() {
            let moved = (shown(Some(e)) - &rest).mapv(f32::abs).mean_axis(ndarray::Axis(0)).unwrap();
            let weights: Vec<usize> = prototype.0.iter().flat_map(|(name, _)| channels(name)).collect();
            assert!(weights.iter().all(|i| moved[*i] > 0.2), "{e}: {moved}");
        }
    }
}
