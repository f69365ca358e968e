//! What each kind of event does to a face and to the affect behind it: the tables of the model (`docs/synthetic.md`).

use crate::script::Kind;
use react_face::{EXPRESSIONS, expression};

/// Who is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Speaker,
    Listener,
}

/// What an event adds at its height.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prototype {
    /// Expression weights by the name of a channel, or of both sides of one.
    pub(crate) face: &'static [(&'static str, f32)],
    /// Rotation about x, y, z, rad.
    pub(crate) rotation: [f32; 3],
    pub(crate) valence: f32,
    pub(crate) arousal: f32,
    /// Logits of Neutral, Happy, Sad, Surprise, Fear, Disgust, Anger, Contempt.
    pub(crate) logits: [f32; 8],
}

type Face = (&'static [(&'static str, f32)], [f32; 3]);

/// A speaker's face shows the event's aspect of the face, and nothing of the voice's.
const SPEAKER: [Face; 3] = [
    (
        &[
            ("mouthSmile", 0.95),
            ("cheekSquint", 0.65),
            ("jawOpen", 0.34),
            ("mouthUpperUp", 0.50),
            ("browOuterUp", 0.42),
            ("mouthDimple", 0.45),
            ("mouthLowerDown", 0.30),
        ],
        [-0.08, 0.0, 0.0],
    ),
    (
        &[
            ("mouthFrown", 0.95),
            ("browDown", 0.95),
            ("browInnerUp", 0.42),
            ("eyeSquint", 0.50),
            ("noseSneer", 0.45),
            ("mouthShrugLower", 0.60),
            ("mouthPress", 0.50),
            ("mouthRollLower", 0.45),
        ],
        [0.16, 0.0, 0.0],
    ),
    (
        &[
            ("browInnerUp", 0.85),
            ("browOuterUp", 0.85),
            ("eyeWide", 0.80),
            ("jawOpen", 0.60),
            ("mouthFunnel", 0.45),
            ("mouthLowerDown", 0.35),
            ("mouthDimple", 0.40),
            ("noseSneer", 0.40),
        ],
        [-0.02, 0.0, 0.10],
    ),
];

/// A listener's face answers both: rows by the aspect of the face, columns by that of the voice.
const LISTENER: [[Face; 3]; 3] = [
    [
        (
            &[
                ("mouthSmile", 1.0),
                ("cheekSquint", 0.75),
                ("jawOpen", 0.46),
                ("mouthUpperUp", 0.55),
                ("browOuterUp", 0.50),
                ("mouthLowerDown", 0.40),
            ],
            [-0.10, 0.0, 0.0],
        ),
        (
            &[("mouthSmile", 0.65), ("mouthDimple", 0.65), ("cheekSquint", 0.50), ("eyeSquint", 0.50), ("browInnerUp", 0.50)],
            [0.03, 0.0, 0.12],
        ),
        (
            &[("mouthStretch", 0.70), ("mouthSmile", 0.50), ("browInnerUp", 0.60), ("mouthUpperUp", 0.45), ("eyeWide", 0.40)],
            [0.0, 0.10, 0.0],
        ),
    ],
    [
        (
            &[
                ("browInnerUp", 0.85),
                ("browOuterUp", 0.70),
                ("eyeWide", 0.80),
                ("jawOpen", 0.46),
                ("mouthStretch", 0.50),
                ("mouthLowerDown", 0.45),
                ("noseSneer", 0.50),
                ("mouthUpperUp", 0.45),
            ],
            [-0.12, 0.0, 0.0],
        ),
        (
            &[
                ("browDown", 0.75),
                ("mouthFrown", 0.85),
                ("mouthShrugLower", 0.70),
                ("mouthPress", 0.55),
                ("mouthRollLower", 0.55),
                ("eyeSquint", 0.55),
            ],
            [0.17, 0.0, -0.06],
        ),
        (&[("noseSneer", 0.90), ("mouthUpperUp", 0.60), ("browDown", 0.80), ("eyeSquint", 0.60), ("mouthFrown", 0.50)], [0.05, -0.12, 0.0]),
    ],
    [
        (&[("browInnerUp", 0.80), ("browOuterUp", 0.90), ("eyeWide", 0.90), ("jawOpen", 0.65), ("mouthFunnel", 0.50)], [-0.08, 0.0, 0.0]),
        (
            &[("browOuterUp", 0.75), ("browInnerUp", 0.55), ("mouthPucker", 0.40), ("mouthDimple", 0.50), ("mouthPress", 0.45)],
            [0.02, 0.0, 0.14],
        ),
        (
            &[("browDownLeft", 0.80), ("browOuterUpRight", 0.80), ("mouthLeft", 0.40), ("mouthPress", 0.55), ("mouthRollLower", 0.50)],
            [0.0, 0.14, 0.08],
        ),
    ],
];

/// Valence of the face's aspect, arousal of the voice's.
const VALENCE: [f32; 3] = [0.70, -0.65, 0.05];
const AROUSAL: [f32; 3] = [0.65, -0.45, 0.20];

/// Valence and arousal of a role at rest: who speaks is engaged, who listens is calm. A listener's reaction is no copy of the
/// speaker's behaviour, even where both answer to the same events.
pub(crate) fn demeanour(role: Role) -> [f32; 2] {
    match role {
        Role::Speaker => [0.10, 0.32],
        Role::Listener => [-0.08, -0.32],
    }
}

/// Logits by aspect of the face and of the voice. Order: Neutral, Happy, Sad, Surprise, Fear, Disgust, Anger, Contempt.
const LOGITS: [[[f32; 8]; 3]; 3] = [
    [[-2.0, 4.6, 0.0, 3.4, 0.0, 0.0, 0.0, 0.0], [-1.0, 3.4, 0.0, 0.0, 0.0, 0.0, 0.0, 3.6], [-1.0, 2.8, 0.0, 1.0, 3.0, 0.0, 0.0, 0.0]],
    [[-2.0, 0.0, 0.0, 3.0, 4.2, 0.0, 3.6, 0.0], [-2.0, 0.0, 4.4, 0.0, 0.0, 3.6, 0.0, 0.0], [-2.0, 0.0, 0.0, 0.0, 0.0, 4.4, 3.4, 0.0]],
    [[-2.0, 2.5, 0.0, 4.6, 0.0, 0.0, 0.0, 0.0], [-0.5, 0.0, 2.0, 3.4, 0.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 2.6, 0.0, 0.0, 2.0, 3.4]],
];

/// The prototype of an event as a speaker or a listener shows it.
pub(crate) fn prototype(role: Role, kind: Kind) -> Prototype {
    let (face, rotation) = match role {
        Role::Speaker => SPEAKER[kind.face],
        Role::Listener => LISTENER[kind.face][kind.voice],
    };
    Prototype { face, rotation, valence: VALENCE[kind.face], arousal: AROUSAL[kind.voice], logits: LOGITS[kind.face][kind.voice] }
}

/// The channels that a name of the tables means: itself, or its left and right.
pub(crate) fn channels(name: &str) -> impl Iterator<Item = usize> {
    let sides = [name.to_owned(), format!("{name}Left"), format!("{name}Right")];
    sides.into_iter().filter_map(|name| expression(&name))
}

/// The action units of the attributes, in their order, as the mean of expression channels times a factor.
const ACTION_UNITS: [(&[&str], f32); 15] = [
    (&["browInnerUp"], 1.0),
    (&["browOuterUpLeft", "browOuterUpRight"], 1.0),
    (&["browDownLeft", "browDownRight"], 0.8),
    (&["cheekSquintLeft", "cheekSquintRight"], 1.0),
    (&["eyeSquintLeft", "eyeSquintRight"], 1.0),
    (&["noseSneerLeft", "noseSneerRight"], 1.0),
    (&["mouthUpperUpLeft", "mouthUpperUpRight"], 1.0),
    (&["mouthSmileLeft", "mouthSmileRight"], 0.8),
    (&["mouthDimpleLeft", "mouthDimpleRight"], 1.0),
    (&["mouthFrownLeft", "mouthFrownRight"], 0.8),
    (&["mouthShrugLower"], 0.9),
    (&["mouthRollLower"], 1.0),
    (&["mouthPressLeft", "mouthPressRight"], 1.0),
    (&["mouthLowerDownLeft", "mouthLowerDownRight", "jawOpen"], 1.3),
    (&["jawOpen"], 1.2),
];

/// Above this an action unit is on.
pub(crate) const AU_THRESHOLD: f32 = 0.27;

/// Channel numbers and factor of each action unit.
pub(crate) fn action_units() -> [(Vec<usize>, f32); 15] {
    ACTION_UNITS.map(|(names, factor)| (names.iter().filter_map(|name| expression(name)).collect(), factor))
}

/// How many expression channels there are.
pub(crate) const EXPRESSION: usize = EXPRESSIONS.len();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_the_tables_is_a_channel() {
        let faces = SPEAKER.iter().chain(LISTENER.iter().flatten());
        for (name, _) in faces.flat_map(|(face, _)| *face) {
            assert!(channels(name).count() > 0, "{name}");
        }
        for ((channels, _), (names, _)) in action_units().iter().zip(ACTION_UNITS) {
            assert_eq!(channels.len(), names.len(), "{names:?}");
        }
    }

    /// In either role and with four scripts, each action unit is on in some kind of event and off in another.
    #[test]
    fn every_action_unit_is_used() {
        let units = action_units();
        for role in [Role::Speaker, Role::Listener] {
            for (unit, (members, factor)) in units.iter().enumerate() {
                let on = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(face, voice)| {
                    let mut weights = [0.0; EXPRESSION];
                    for (name, weight) in prototype(role, Kind { face, voice }).face {
                        channels(name).for_each(|i| weights[i] += weight);
                    }
                    factor * members.iter().map(|i| weights[*i]).sum::<f32>() / members.len() as f32 > AU_THRESHOLD
                });
                assert!(on.contains(&true) && on.contains(&false), "{role:?}, action unit {unit}: {on:?}");
            }
        }
    }
}
