//! From events to 58 coefficients and 25 attributes per frame.
//!
//! t frames · coefficients = rest + Σ events + speech + blinks + gaze + slow noise; attributes follow from the coefficients
//! (action units) and from the affect of the same events (valence, arousal, expressions), with noise of their own.

use crate::actor::Actor;
use crate::affect::{AU_THRESHOLD, EXPRESSION, Prototype, Role, action_units, channels, demeanour, prototype};
use crate::config::FPS;
use crate::signal::{Slow, envelope, smoothstep};
use crate::speech::Utterance;
use crate::timeline::Event;
use ndarray::{Array2, ArrayView1, s};
use react_contracts::{ATTRIBUTES, COEFFS, channels as contract};
use react_face::expression;
use react_random::Draws;
use std::f32::consts::TAU;

/// One person's clip as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Performance {
    /// `[t, 58]`.
    pub(crate) coeffs: Array2<f32>,
    /// `[t, 25]`.
    pub(crate) attributes: Array2<f32>,
}

/// Acts out `events`; `nod` is the amplitude of nods during them, rad; the mouth moves with `utterance`.
pub(crate) fn perform(
    role: Role,
    actor: &Actor,
    events: &[Event],
    nod: f32,
    utterance: &Utterance,
    frames: usize,
    draws: &mut Draws,
) -> Performance {
    let acts: Vec<(Event, Prototype)> = events.iter().map(|event| (*event, prototype(role, event.kind))).collect();
    let mut coeffs = Array2::zeros((frames, COEFFS));
    coeffs.slice_mut(s![.., ..EXPRESSION]).assign(&ndarray::ArrayView1::from(&actor.rest));
    coeffs.slice_mut(s![.., 52..]).assign(&ndarray::ArrayView1::from(&actor.hold));
    act(&mut coeffs, &acts, actor.expressivity, nod);
    speak(&mut coeffs, utterance);
    idle(&mut coeffs, actor, role, draws);
    let attributes = attributes(&coeffs, &acts, role, actor, draws);
    Performance { coeffs, attributes }
}

/// Adds the events' expressions and movements of the head.
fn act(coeffs: &mut Array2<f32>, acts: &[(Event, Prototype)], expressivity: f32, nod: f32) {
    for (event, prototype) in acts {
        let members: Vec<(usize, f32)> = prototype.face.iter().flat_map(|(name, weight)| channels(name).map(|i| (i, *weight))).collect();
        for (t, mut frame) in coeffs.outer_iter_mut().enumerate() {
            let strength = event.gain * expressivity * envelope(t as f32, event.face_onset, event.face_length);
            if strength == 0.0 {
                continue;
            }
            members.iter().for_each(|(i, weight)| frame[*i] += strength * weight);
            (0..3).for_each(|axis| frame[52 + axis] += strength * prototype.rotation[axis]);
            let phase = TAU * 2.0 * (t as f32 - event.face_onset) / FPS as f32;
            frame[52] += nod * strength * phase.sin();
        }
    }
}

/// The jaw follows the syllables, as strongly in every voice: the mouth must not tell what only the voice may.
fn speak(coeffs: &mut Array2<f32>, utterance: &Utterance) {
    let Some(jaw) = expression("jawOpen") else { return };
    for (t, mut frame) in coeffs.outer_iter_mut().enumerate() {
        frame[jaw] += 0.13 * utterance.open((t as f32 + 0.5) / FPS as f32);
    }
}

/// Blinks, gaze, sway and slow noise.
fn idle(coeffs: &mut Array2<f32>, actor: &Actor, role: Role, draws: &mut Draws) {
    let blink: Vec<usize> = channels("eyeBlink").collect();
    let mut noise: Vec<Slow> = (0..EXPRESSION).map(|_| Slow::new(0.8, 0.025, draws)).collect();
    let sway = actor.sway * if role == Role::Speaker { 1.0 } else { 0.7 };
    let spread = [0.030, 0.045, 0.025, 0.025, 0.020, 0.030].map(|sd: f32| sd * sway);
    let mut head = spread.map(|sd| Slow::new(0.96, sd, draws));
    let mut gaze = [Slow::new(0.9, 0.18, draws), Slow::new(0.9, 0.14, draws)];
    let mut shut = -10.0f32;
    for (t, mut frame) in coeffs.outer_iter_mut().enumerate() {
        noise.iter_mut().enumerate().for_each(|(i, slow)| frame[i] += slow.next(draws));
        head.iter_mut().enumerate().for_each(|(i, slow)| frame[52 + i] += slow.next(draws));
        look(&mut frame, gaze[0].next(draws), gaze[1].next(draws));
        if draws.chance(actor.blinks / FPS as f32) && t as f32 - shut > 10.0 {
            shut = t as f32 + 2.0;
        }
        let lid = 1.0 - smoothstep((t as f32 - shut).abs() / 3.0);
        blink.iter().for_each(|i| frame[*i] += 0.95 * lid);
    }
}

/// Both eyes towards x (+ the person's left) and y (+ up).
fn look(frame: &mut ndarray::ArrayViewMut1<'_, f32>, x: f32, y: f32) {
    let mut add = |name: &str, weight: f32| {
        if let Some(i) = expression(name) {
            frame[i] += weight.max(0.0);
        }
    };
    add("eyeLookOutLeft", x);
    add("eyeLookInRight", x);
    add("eyeLookInLeft", -x);
    add("eyeLookOutRight", -x);
    for side in ["Left", "Right"] {
        add(&format!("eyeLookUp{side}"), y);
        add(&format!("eyeLookDown{side}"), -y);
    }
}

/// The 25 attributes: action units from the coefficients, affect and expressions from the events.
fn attributes(coeffs: &Array2<f32>, acts: &[(Event, Prototype)], role: Role, actor: &Actor, draws: &mut Draws) -> Array2<f32> {
    let units = action_units();
    let mut noise: Vec<Slow> = (0..units.len()).map(|_| Slow::new(0.85, 0.035, draws)).collect();
    let mut drift = [Slow::new(0.95, 0.06, draws), Slow::new(0.95, 0.06, draws)];
    let mut doubt: Vec<Slow> = (0..8).map(|_| Slow::new(0.9, 0.30, draws)).collect();
    let mut out = Array2::zeros((coeffs.nrows(), ATTRIBUTES));
    for (t, (mut row, frame)) in out.outer_iter_mut().zip(coeffs.outer_iter()).enumerate() {
        for (i, ((members, factor), slow)) in units.iter().zip(&mut noise).enumerate() {
            let evidence = factor * mean(frame, members) + slow.next(draws);
            row[i] = f32::from(u8::from(evidence > AU_THRESHOLD));
        }
        let rest = demeanour(role);
        let mut affect = [actor.mood[0] + rest[0], actor.mood[1] + rest[1]];
        let mut logits = [1.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for (event, prototype) in acts {
            let strength = event.gain * envelope(t as f32, event.face_onset, event.face_length);
            affect[0] += strength * prototype.valence;
            affect[1] += strength * prototype.arousal;
            logits.iter_mut().zip(prototype.logits).for_each(|(l, add)| *l += strength * add);
        }
        for (i, (value, slow)) in affect.iter().zip(&mut drift).enumerate() {
            row[contract::AFFECT.start + i] = (value + slow.next(draws)).clamp(-1.0, 1.0);
        }
        logits.iter_mut().zip(&mut doubt).for_each(|(l, slow)| *l += slow.next(draws));
        for (i, p) in softmax(logits).into_iter().enumerate() {
            row[contract::EXPRESSIONS.start + i] = p;
        }
    }
    out
}

fn mean(frame: ArrayView1<'_, f32>, members: &[usize]) -> f32 {
    members.iter().map(|i| frame[*i]).sum::<f32>() / members.len().max(1) as f32
}

fn softmax(logits: [f32; 8]) -> [f32; 8] {
    let top = logits.iter().copied().fold(f32::MIN, f32::max);
    let powers = logits.map(|l| (l - top).exp());
    let sum: f32 = powers.iter().sum();
    powers.map(|p| p / sum)
}
