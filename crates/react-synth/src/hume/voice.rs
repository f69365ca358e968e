//! What is heard: a voice whose pitch, loudness, timbre, breath, tempo, rhythm, tract and tremor carry seven emotions.

use super::config::HUME_RATE;
use super::face::Course;
use super::latent::E;
use crate::actor::Voice;
use crate::speech::{Control, Syllable, Tract, VOWELS, decibels, glottal};
use react_random::Draws;
use std::f32::consts::TAU;

/// What an emotion changes at strength 1.
#[derive(Clone, Copy, Default)]
struct Prosody {
    /// Natural logarithm of the factor on the fundamental.
    pitch: f32,
    /// dB.
    loudness: f32,
    /// Natural logarithm of the factor on the source's low-pass.
    brightness: f32,
    /// Share of breath.
    breath: f32,
    /// Natural logarithm of the factor on syllables per second.
    tempo: f32,
    /// Natural logarithm of the factor on formants.
    tract: f32,
    /// Depth of a tremor of 8 Hz, in loudness and pitch.
    tremor: f32,
    /// How much weaker every other syllable is.
    rhythm: f32,
}

const NONE: Prosody = Prosody { pitch: 0.0, loudness: 0.0, brightness: 0.0, breath: 0.0, tempo: 0.0, tract: 0.0, tremor: 0.0, rhythm: 0.0 };

/// In the order of [`super::EMOTIONS`].
const PROSODY: [Prosody; E] = [
    Prosody { brightness: -1.2, tract: 0.16, ..NONE },
    Prosody { rhythm: 0.8, loudness: 3.0, ..NONE },
    Prosody { tempo: 0.8, tremor: 0.6, ..NONE },
    Prosody { tract: -0.30, pitch: -0.2, ..NONE },
    Prosody { breath: 1.6, loudness: -9.0, ..NONE },
    Prosody { pitch: 1.0, brightness: 1.6, ..NONE },
    Prosody { loudness: 9.0, tempo: -0.3, ..NONE },
];

/// What the strengths are about on average; a voice at these is the person's usual one.
const USUAL: f32 = 0.43;

impl Prosody {
    fn of(strengths: &[f32; E]) -> Self {
        let mut sum = NONE;
        for (strength, one) in strengths.iter().zip(PROSODY) {
            let by = strength - USUAL;
            sum.pitch += by * one.pitch;
            sum.loudness += by * one.loudness;
            sum.brightness += by * one.brightness;
            sum.tempo += by * one.tempo;
            sum.tract += by * one.tract;
            // These cannot be less than none.
            sum.breath += strength * one.breath;
            sum.tremor += strength * one.tremor;
            sum.rhythm += strength * one.rhythm;
        }
        sum
    }
}

/// The sound of a clip, `seconds` long at [`HUME_RATE`], in [−1, 1].
pub(super) fn sound(voice: &Voice, heard: &[f32; E], seconds: f64, draws: &mut Draws) -> Vec<f32> {
    let rate = HUME_RATE as f32;
    let count = (seconds * f64::from(HUME_RATE)).round() as usize;
    let course = Course::draw(draws);
    let at = |t: f32| Prosody::of(&std::array::from_fn(|e| heard[e] * course.at(e, t)));
    let syllables = syllables(voice, &Prosody::of(heard), seconds as f32, draws);
    let room = decibels(voice.room);
    let mut tract = Tract::default();
    let (mut phase, mut wander, mut current) = (0.0f32, 0.0f32, 0);
    let mut now = Control::default();
    let mut out = Vec::with_capacity(count);
    for n in 0..count {
        // What changes slowly is set anew every 32 samples (2 ms).
        if n % 32 == 0 {
            let t = n as f32 / rate;
            while syllables.get(current + 1).is_some_and(|next| next.start <= t) {
                current += 1;
            }
            wander = 0.98 * wander + 0.004 * draws.normal();
            now = control(voice, syllables.get(current), t, &at(t), wander);
            tract.tune(&now, rate);
        }
        phase += now.pitch / rate;
        phase -= phase.floor();
        let noise = draws.uniform() - 0.5;
        let sample = tract.filter(now.amplitude * (glottal(phase) + now.breath * noise)) + room * noise;
        // Soft limits: loud vowels bend rather than clip.
        out.push(sample / (1.0 + sample.abs()));
    }
    out
}

fn syllables(voice: &Voice, prosody: &Prosody, end: f32, draws: &mut Draws) -> Vec<Syllable> {
    let mut out = Vec::new();
    let mut start = 0.05 * draws.uniform();
    while start < end {
        let length = draws.between(0.85, 1.05) / (voice.rate * prosody.tempo.exp());
        let factor = voice.tract * prosody.tract.exp();
        let vowel = VOWELS[draws.below(VOWELS.len())].map(|f| f * factor * draws.between(0.97, 1.03));
        let weak = if out.len() % 2 == 1 { (1.0 - prosody.rhythm).max(0.1) } else { 1.0 };
        out.push(Syllable { start, length, vowel, stress: weak * draws.between(0.9, 1.0) });
        start += length * 1.05;
    }
    out
}

fn control(voice: &Voice, syllable: Option<&Syllable>, t: f32, prosody: &Prosody, wander: f32) -> Control {
    let (shape, vowel) = syllable.map_or((0.0, VOWELS[0]), |s| (s.shape(t) * s.stress, s.vowel));
    let tremor = prosody.tremor.min(0.9) * (TAU * 8.0 * t).sin();
    Control {
        pitch: voice.pitch * (prosody.pitch + wander + 0.2 * tremor).exp(),
        amplitude: 0.25 * shape * (1.0 + tremor) * decibels(voice.loudness + prosody.loudness),
        breath: 0.06 + prosody.breath,
        cutoff: 900.0 * prosody.brightness.exp(),
        vowel,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn voiced(emotion: usize, strength: f32) -> Vec<f32> {
        let voice = Voice { pitch: 120.0, tract: 1.0, loudness: 0.0, rate: 4.6, room: -58.0 };
        let mut heard = [USUAL; E];
        heard[emotion] = strength;
        sound(&voice, &heard, 2.0, &mut Draws::new(1, "test", 0, 0))
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn surprise_is_loud_and_pain_is_soft() {
        let loudness = |emotion: usize| rms(&voiced(emotion, 0.9)) / rms(&voiced(emotion, 0.1));
        assert!(loudness(6) > 1.5 && loudness(4) < 0.8, "{} {}", loudness(6), loudness(4));
        assert_eq!(voiced(0, 0.5).len(), 32_000);
        assert!(voiced(6, 1.2).iter().all(|x| x.abs() < 1.0));
    }

    /// Energy of the differences over that of the samples: more with more high frequencies.
    fn brightness(samples: &[f32]) -> f32 {
        samples.windows(2).map(|pair| (pair[1] - pair[0]).powi(2)).sum::<f32>() / samples.iter().map(|x| x * x).sum::<f32>()
    }

    /// The median over windows of 64 ms, the loudest half, of the fundamental: the lag of the greatest autocorrelation.
    fn pitch(samples: &[f32]) -> f32 {
        let mut windows: Vec<&[f32]> = samples.chunks_exact(1024).collect();
        windows.sort_by(|a, b| rms(b).total_cmp(&rms(a)));
        let of = |window: &&[f32]| {
            let correlation = |lag: usize| window[..700].iter().zip(&window[lag..]).map(|(a, b)| a * b).sum::<f32>();
            let lag = (40..320).max_by(|a, b| correlation(*a).total_cmp(&correlation(*b))).unwrap();
            HUME_RATE as f32 / lag as f32
        };
        let mut pitches: Vec<f32> = windows[..windows.len() / 2].iter().map(of).collect();
        pitches.sort_by(f32::total_cmp);
        pitches[pitches.len() / 2]
    }

    #[test]
    fn fear_raises_pitch_and_brightness() {
        let (afraid, calm) = (voiced(5, 0.9), voiced(5, 0.1));
        assert!(pitch(&afraid) > 1.4 * pitch(&calm), "{} Hz and {} Hz", pitch(&afraid), pitch(&calm));
        assert!(brightness(&afraid) > 1.5 * brightness(&calm), "{} and {}", brightness(&afraid), brightness(&calm));
    }
}
