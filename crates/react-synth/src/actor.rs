//! Who acts: habits of face and voice that belong to a person, not to a script.

use react_face::{Look, Person};
use react_random::Draws;

/// A person's habits.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// Shape and colours.
    pub(crate) person: Person,
    /// Room and light.
    pub(crate) look: Look,
    /// How strongly the face moves, about 1.
    pub(crate) expressivity: f32,
    /// Resting weights of the expression channels: nobody's neutral face is neutral.
    pub(crate) rest: Vec<f32>,
    /// Where the head is held: rotation (rad), translation (dm).
    pub(crate) hold: [f32; 6],
    /// Amplitude of head sway, about 1.
    pub(crate) sway: f32,
    /// Blinks per second.
    pub(crate) blinks: f32,
    /// Resting valence and arousal.
    pub(crate) mood: [f32; 2],
    pub(crate) voice: Voice,
}

/// A person's voice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    /// Fundamental frequency at rest, Hz.
    pub(crate) pitch: f32,
    /// Factor on formant frequencies: a shorter vocal tract has higher ones.
    pub(crate) tract: f32,
    /// Loudness, dB about the mean.
    pub(crate) loudness: f32,
    /// Syllables per second.
    pub(crate) rate: f32,
    /// Background noise of the room, dB.
    pub(crate) room: f32,
}

impl Actor {
    /// The person of a stream of draws.
    pub(crate) fn draw(draws: &mut Draws) -> Self {
        let person = Person::draw(draws);
        let tone = |draws: &mut Draws, low, high| draws.between(low, high);
        let grey = draws.between(0.35, 0.70);
        let top = std::array::from_fn(|_| (grey + tone(draws, -0.10, 0.14)).clamp(0.0, 1.0));
        let bottom = top.map(|c: f32| (c - 0.14).max(0.0));
        let light = [draws.between(-0.8, 0.8), draws.between(0.3, 0.9), 0.85];
        let look = Look { top, bottom, light, ambient: draws.between(0.36, 0.50) };
        let rest = (0..crate::affect::EXPRESSION).map(|_| 0.02 * draws.normal()).collect();
        let hold = [
            0.03 * draws.normal(),
            0.05 * draws.normal(),
            0.025 * draws.normal(),
            0.02 * draws.normal(),
            0.02 * draws.normal(),
            // A little back, so that the picture's middle holds the whole head.
            -0.60 + 0.12 * draws.normal(),
        ];
        // Two registers, about those of men and women.
        let register = if draws.chance(0.5) { 118.0 } else { 205.0 };
        let voice = Voice {
            pitch: register * (0.10 * draws.normal().clamp(-2.0, 2.0)).exp(),
            tract: if register > 150.0 { 1.14 } else { 1.0 } * draws.between(0.94, 1.06),
            loudness: draws.between(-1.5, 1.5),
            rate: draws.between(4.2, 5.2),
            room: draws.between(-60.0, -56.0),
        };
        Self {
            person,
            look,
            expressivity: draws.between(0.90, 1.12),
            rest,
            hold,
            sway: draws.between(0.6, 1.4),
            blinks: draws.between(0.2, 0.45),
            mood: [0.05 * draws.normal(), 0.05 * draws.normal()],
            voice,
        }
    }
}
