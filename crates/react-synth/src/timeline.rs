//! Events of one clip: the script's slots with this clip's jitter, and the listener's answers to them.

use crate::script::{Kind, Scripts};
use react_random::Draws;
use serde::{Deserialize, Serialize};

/// An event as it is seen and heard in one clip; times in frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its kind.
    pub kind: Kind,
    /// When the face begins.
    pub face_onset: f32,
    /// When the voice begins.
    pub voice_onset: f32,
    /// How long the face shows it.
    pub face_length: f32,
    /// How long the voice has it.
    pub voice_length: f32,
    /// How strong it is, about 1.
    pub gain: f32,
}

/// How a listener answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// At once and strongly.
    Mirroring,
    /// Weakly and briefly.
    Reserved,
    /// Late, with nods.
    Nodding,
}

impl Style {
    /// All styles, equally likely.
    pub const ALL: [Self; 3] = [Self::Mirroring, Self::Reserved, Self::Nodding];

    /// Delay in slots, length as a factor, gain, amplitude of nods in rad.
    pub(crate) fn traits(self) -> Traits {
        match self {
            Self::Mirroring => Traits { delay: 0.85, length: 1.00, gain: 1.05, nod: 0.0 },
            Self::Reserved => Traits { delay: 0.95, length: 0.90, gain: 0.75, nod: 0.0 },
            Self::Nodding => Traits { delay: 1.05, length: 1.00, gain: 0.92, nod: 0.10 },
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    pub(crate) delay: f32,
    pub(crate) length: f32,
    pub(crate) gain: f32,
    pub(crate) nod: f32,
}

/// What the speaker does: each slot begins up to 0.3 of its length (6 frames of 20) early or late, face and voice
/// together, and each a little for itself.
pub(crate) fn speak(scripts: &Scripts, script: usize, draws: &mut Draws) -> Vec<Event> {
    let slot = scripts.slot;
    let one = |base: &crate::script::Slot| {
        let together = draws.between(-0.30, 0.30);
        Event {
            kind: base.kind,
            face_onset: base.face_onset + slot * (together + draws.between(-0.05, 0.05)),
            voice_onset: base.voice_onset + slot * (together + draws.between(-0.05, 0.05)),
            face_length: base.face_length * draws.between(0.85, 1.0),
            voice_length: base.voice_length * draws.between(0.85, 1.0),
            gain: draws.between(0.85, 1.15),
        }
    };
    scripts.slots[script].iter().map(one).collect()
}

/// What the listener does: an answer to each event, once both face and voice have begun, after the style's delay.
pub(crate) fn answer(scripts: &Scripts, heard: &[Event], style: Style, draws: &mut Draws) -> Vec<Event> {
    let (slot, how) = (scripts.slot, style.traits());
    let one = |event: &Event| {
        let begun = event.face_onset.max(event.voice_onset);
        let face_onset = begun + slot * (how.delay + 0.07 * draws.normal().clamp(-2.0, 2.0));
        let length = how.length * draws.between(0.90, 1.10);
        Event {
            kind: event.kind,
            face_onset,
            voice_onset: face_onset + slot * draws.between(-0.05, 0.05),
            face_length: length * 0.5 * (event.face_length + event.voice_length),
            voice_length: length * event.voice_length,
            gain: how.gain * draws.between(0.85, 1.15),
        }
    };
    heard.iter().map(one).collect()
}
