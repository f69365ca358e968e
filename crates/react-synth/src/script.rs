//! Scripts: which affect events happen in a dyad, in which order, and about when.
//!
//! F aspects of the face × V aspects of the voice make S = F·V *kinds* of event and as many scripts. Script (f, v) is a
//! sequence of slots, two thirds of them of the script's own kind (f, v), the others with one aspect changed: each other
//! aspect of the face once in a cycle, each other aspect of the voice once. kind = ((f + a) mod F, (v + b) mod V) with
//! offsets (a, b). So
//!
//! - every script has every aspect of the face and every aspect of the voice: no picture and no sound of one moment tells
//!   the script, and the two together leave F + V − 1 scripts, the likeliest of them with a probability of two thirds;
//! - at any slot the S scripts have the S kinds, each once: the mean over scripts says nothing;
//! - how often and when an aspect of the face is seen depends on f alone, of the voice on v alone: each tells half.

use crate::{SynthConfig, SynthError};
use react_random::Draws;
use serde::{Deserialize, Serialize};

/// The kind of an event: which aspect the face shows, which the voice has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Kind {
    /// 0 joy, 1 displeasure, 2 surprise.
    pub face: usize,
    /// 0 excited, 1 calm, 2 tense.
    pub voice: usize,
}

/// One slot of a script: a kind, and when its face and its voice begin before jitter, and how long they last (frames).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slot {
    pub(crate) kind: Kind,
    pub(crate) face_onset: f32,
    pub(crate) voice_onset: f32,
    pub(crate) face_length: f32,
    pub(crate) voice_length: f32,
}

/// Lengths in slots: an aspect that is not the script's own is not only rarer, it is shorter.
const OWN_LENGTH: f32 = 1.0;
const OTHER_LENGTH: f32 = 0.7;

/// All scripts of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Scripts {
    /// Slots of each script.
    pub(crate) slots: Vec<Vec<Slot>>,
    /// Length of a slot, frames.
    pub(crate) slot: f32,
}

/// About as many frames a slot takes where the clip is long enough: 0.8 s.
const SLOT_FRAMES: f64 = 20.0;

impl Scripts {
    pub(crate) fn new(config: &SynthConfig) -> Result<Self, SynthError> {
        let (faces, voices) = config.levels()?;
        let order = order(config, faces, voices);
        let cycles = ((config.frames as f64 / (SLOT_FRAMES * order.len() as f64)).round() as usize).max(1);
        let count = cycles * order.len();
        // One slot's length is left free at the end, for the last answer.
        let slot = config.frames as f32 / (count as f32 + 1.0);
        let shift = |purpose, level: usize, k: usize| Draws::new(config.seed, purpose, level as u32, k as u32).between(-0.12, 0.12);
        let slots = (0..config.scripts)
            .map(|script| {
                let own = own_kind(script, voices);
                let one = |k: usize| {
                    let (a, b) = order[k % order.len()];
                    let base = (k as f32 + 0.1) * slot;
                    Slot {
                        kind: Kind { face: (own.face + a) % faces, voice: (own.voice + b) % voices },
                        // Each track's times depend on its own aspect only, or the times of one would tell the other.
                        face_onset: base + slot * shift("synth.script.face", own.face, k),
                        voice_onset: base + slot * shift("synth.script.voice", own.voice, k),
                        face_length: slot * if a == 0 { OWN_LENGTH } else { OTHER_LENGTH },
                        voice_length: slot * if b == 0 { OWN_LENGTH } else { OTHER_LENGTH },
                    }
                };
                (0..count).map(one).collect()
            })
            .collect();
        Ok(Self { slots, slot })
    }
}

/// The kind that a script has most.
pub(crate) fn own_kind(script: usize, voices: usize) -> Kind {
    Kind { face: script / voices, voice: script % voices }
}

/// The offsets of one cycle: each change of one aspect once, in an order that the seed gives, (0, 0) around it.
fn order(config: &SynthConfig, faces: usize, voices: usize) -> Vec<(usize, usize)> {
    let mut others: Vec<_> = (1..faces).map(|a| (a, 0)).chain((1..voices).map(|b| (0, b))).collect();
    Draws::new(config.seed, "synth.order", 0, 0).shuffle(&mut others);
    others.into_iter().flat_map(|other| [(0, 0), other, (0, 0)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scripts(scripts: usize, frames: usize) -> Scripts {
        Scripts::new(&SynthConfig { scripts, frames, ..SynthConfig::default() }).unwrap()
    }

    /// A moment's picture or sound alone excludes no script; both together leave F + V − 1, none above two thirds.
    #[test]
    fn no_moment_gives_the_script_away() {
        for (count, faces, voices) in [(4, 2, 2), (6, 3, 2), (9, 3, 3)] {
            let all = scripts(count, 128).slots;
            let has = |slots: &[Slot], test: &dyn Fn(Kind) -> bool| slots.iter().filter(|slot| test(slot.kind)).count();
            for slots in &all {
                assert!((0..faces).all(|face| has(slots, &|kind| kind.face == face) > 0), "{count} scripts");
                assert!((0..voices).all(|voice| has(slots, &|kind| kind.voice == voice) > 0), "{count} scripts");
            }
            for own in 0..count {
                let kind = own_kind(own, voices);
                let share: Vec<usize> = all.iter().map(|slots| has(slots, &|other| other == kind)).collect();
                let (most, sum) = (share.iter().max().unwrap(), share.iter().sum::<usize>());
                assert_eq!(share.iter().filter(|n| **n > 0).count(), faces + voices - 1, "{kind:?}: {share:?}");
                assert!(3 * most <= 2 * sum && share[own] == *most, "{kind:?}: {share:?}");
            }
        }
    }

    #[test]
    fn a_slot_has_each_kind_in_one_script() {
        for count in [4, 6, 9] {
            let all = scripts(count, 128).slots;
            for k in 0..all[0].len() {
                let mut kinds: Vec<Kind> = all.iter().map(|slots| slots[k].kind).collect();
                kinds.sort_unstable();
                kinds.dedup();
                assert_eq!(kinds.len(), count);
            }
        }
    }

    /// The face's track (aspects and times) is the same for all scripts of one aspect, and so is the voice's.
    #[test]
    fn each_track_tells_its_own_half() {
        for (count, voices) in [(4, 2), (6, 2), (9, 3)] {
            let all = scripts(count, 300).slots;
            for (i, a) in all.iter().enumerate() {
                for (j, b) in all.iter().enumerate() {
                    let face = |s: &[Slot]| -> Vec<(usize, f32)> { s.iter().map(|slot| (slot.kind.face, slot.face_onset)).collect() };
                    let voice = |s: &[Slot]| -> Vec<(usize, f32)> { s.iter().map(|slot| (slot.kind.voice, slot.voice_onset)).collect() };
                    assert_eq!(face(a) == face(b), i / voices == j / voices);
                    assert_eq!(voice(a) == voice(b), i % voices == j % voices);
                }
            }
        }
    }

    #[test]
    fn slots_take_about_a_second_and_fill_the_clip() {
        for frames in [16, 64, 128, 256, 751] {
            let s = scripts(4, frames);
            let last = s.slots[0].last().unwrap();
            assert!(last.face_onset + 2.0 * s.slot <= frames as f32 + 0.2 * s.slot, "{frames}: {last:?}");
        }
        let long = scripts(4, 751);
        assert_eq!(long.slots[0].len(), 36);
        assert!((long.slot - 20.3).abs() < 0.1, "{}", long.slot);
    }
}
