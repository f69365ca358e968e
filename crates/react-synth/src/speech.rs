//! A voice-like sound: glottal pulses and breath through three formants, in syllables; pitch, loudness, brightness and
//! breath carry the affect.
//!
//! Units: seconds, Hz, dB; samples in [−1, 1] at [`RATE`].

use crate::actor::Voice;
use crate::affect::Role;
use crate::config::{FPS, RATE};
use crate::signal::{envelope, smoothstep};
use crate::timeline::Event;
use react_random::Draws;

/// What a kind of voice changes at its height.
#[derive(Clone, Copy)]
struct Prosody {
    /// Factor on the fundamental, as its natural logarithm.
    pitch: f32,
    /// dB.
    loudness: f32,
    /// Natural logarithm of the factor on the low-pass of the glottal source.
    brightness: f32,
    /// Share of breath added.
    breath: f32,
}

/// Excited, calm, tense.
const PROSODY: [Prosody; 3] = [
    Prosody { pitch: 0.50, loudness: 10.0, brightness: 1.1, breath: 0.0 },
    Prosody { pitch: -0.25, loudness: -11.0, brightness: -1.1, breath: 0.4 },
    Prosody { pitch: 0.18, loudness: 1.0, brightness: 0.5, breath: 0.9 },
];

/// Formants (Hz) of five vowels: a, e, i, o, u.
pub(crate) const VOWELS: [[f32; 3]; 5] =
    [[760.0, 1250.0, 2500.0], [480.0, 1850.0, 2550.0], [300.0, 2250.0, 2950.0], [480.0, 900.0, 2450.0], [330.0, 780.0, 2300.0]];
const BANDWIDTHS: [f32; 3] = [80.0, 110.0, 160.0];

pub(crate) struct Syllable {
    pub(crate) start: f32,
    pub(crate) length: f32,
    pub(crate) vowel: [f32; 3],
    pub(crate) stress: f32,
}

/// Who says what when: syllables, and the prosody of events.
pub(crate) struct Utterance {
    syllables: Vec<Syllable>,
    events: Vec<Event>,
    voice: Voice,
}

impl Utterance {
    /// A speaker talks throughout, with short pauses; a listener only hums while answering.
    pub(crate) fn new(role: Role, voice: Voice, events: &[Event], frames: usize, draws: &mut Draws) -> Self {
        let end = frames as f32 / FPS as f32;
        let mut syllables = Vec::new();
        let mut at = 0.05 * draws.uniform();
        while at < end {
            let length = draws.between(0.75, 1.15) / voice.rate;
            let vowel = VOWELS[draws.below(VOWELS.len())].map(|f| f * voice.tract * draws.between(0.97, 1.03));
            syllables.push(Syllable { start: at, length, vowel, stress: draws.between(0.8, 1.0) });
            at += length * 1.02;
            if draws.chance(0.06) {
                at += draws.between(0.08, 0.25);
            }
        }
        let events = events.to_vec();
        let mut all = Self { syllables: Vec::new(), events, voice };
        if role == Role::Listener {
            syllables.retain(|syllable| all.answering(syllable.start + 0.5 * syllable.length));
        }
        all.syllables = syllables;
        all
    }

    /// Whether an event's voice is well under way at `seconds`.
    fn answering(&self, seconds: f32) -> bool {
        let t = seconds * FPS as f32;
        self.events.iter().any(|event| envelope(t, event.voice_onset, event.voice_length) > 0.35)
    }

    /// How far the mouth is open for speech at `seconds`, 0…1.
    pub(crate) fn open(&self, seconds: f32) -> f32 {
        self.syllables.iter().map(|syllable| syllable.shape(seconds)).fold(0.0, f32::max)
    }

    fn prosody(&self, t: f32) -> Prosody {
        let mut sum = Prosody { pitch: 0.0, loudness: 0.0, brightness: 0.0, breath: 0.0 };
        for event in &self.events {
            let strength = envelope(t, event.voice_onset, event.voice_length);
            let kind = PROSODY[event.kind.voice];
            // Loudness and pitch vary with the event, but less than kinds differ.
            let gain = strength * (0.7 + 0.3 * event.gain);
            sum.pitch += gain * kind.pitch;
            sum.loudness += gain * kind.loudness;
            sum.brightness += gain * kind.brightness;
            sum.breath += gain * kind.breath;
        }
        sum
    }

    /// The sound, `frames / 25` seconds of it.
    pub(crate) fn sound(&self, frames: usize, draws: &mut Draws) -> Vec<f32> {
        let rate = RATE as f32;
        let per_frame = RATE as usize / FPS as usize;
        let prosody: Vec<Prosody> = (0..=frames + 1).map(|t| self.prosody(t as f32)).collect();
        let room = decibels(self.voice.room);
        let mut tract = Tract::default();
        let (mut phase, mut wander, mut current) = (0.0f32, 0.0f32, 0);
        let mut out = Vec::with_capacity(frames * per_frame);
        let mut now = Control::default();
        for n in 0..frames * per_frame {
            let seconds = n as f32 / rate;
            // What changes slowly is set anew every 64 samples (1.5 ms).
            if n % 64 == 0 {
                while current + 1 < self.syllables.len() && self.syllables[current + 1].start <= seconds {
                    current += 1;
                }
                wander = 0.98 * wander + 0.004 * draws.normal();
                let (t, part) = (n / per_frame, (n % per_frame) as f32 / per_frame as f32);
                now = self.control(self.syllables.get(current), seconds, &prosody[t], &prosody[t + 1], part, wander);
                tract.tune(&now, rate);
            }
            phase += now.pitch / rate;
            phase -= phase.floor();
            let noise = draws.uniform() - 0.5;
            let source = now.amplitude * (glottal(phase) + now.breath * noise);
            let sample = tract.filter(source) + room * noise;
            // Soft limits: loud vowels bend rather than clip.
            out.push(sample / (1.0 + sample.abs()));
        }
        out
    }

    fn control(&self, syllable: Option<&Syllable>, seconds: f32, a: &Prosody, b: &Prosody, part: f32, wander: f32) -> Control {
        let mix = |a: f32, b: f32| a + (b - a) * part;
        let (shape, vowel) = syllable.map_or((0.0, VOWELS[0]), |s| (s.shape(seconds) * s.stress, s.vowel));
        // Pitch falls a little over each syllable.
        let fall = syllable.map_or(0.0, |s| -0.10 * ((seconds - s.start) / s.length).clamp(0.0, 1.0));
        Control {
            pitch: self.voice.pitch * (mix(a.pitch, b.pitch) + fall + wander).exp(),
            amplitude: 0.25 * shape * decibels(self.voice.loudness + mix(a.loudness, b.loudness)),
            breath: 0.12 + mix(a.breath, b.breath),
            cutoff: 900.0 * mix(a.brightness, b.brightness).exp(),
            vowel,
        }
    }
}

impl Syllable {
    /// Its loudness over time, 0…1.
    pub(crate) fn shape(&self, seconds: f32) -> f32 {
        let u = (seconds - self.start) / self.length;
        if u <= 0.0 || u >= 1.0 { 0.0 } else { smoothstep(u / 0.2) * smoothstep((1.0 - u) / 0.25) }
    }
}

#[derive(Clone, Copy, Default)]
pub(crate) struct Control {
    pub(crate) pitch: f32,
    pub(crate) amplitude: f32,
    pub(crate) breath: f32,
    pub(crate) cutoff: f32,
    pub(crate) vowel: [f32; 3],
}

pub(crate) fn decibels(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// Rosenberg's glottal pulse over one period, its mean removed: opens for 0.4, closes for 0.16, rests.
pub(crate) fn glottal(phase: f32) -> f32 {
    const OPENING: f32 = 0.40;
    const CLOSING: f32 = 0.16;
    let flow = if phase < OPENING {
        let u = phase / OPENING;
        u * u * (3.0 - 2.0 * u)
    } else if phase < OPENING + CLOSING {
        let u = (phase - OPENING) / CLOSING;
        1.0 - u * u
    } else {
        0.0
    };
    flow - (0.5 * OPENING + CLOSING * 2.0 / 3.0)
}

/// Lip radiation, the source's low-pass, and three resonators in parallel.
#[derive(Default)]
pub(crate) struct Tract {
    previous: f32,
    low: f32,
    smooth: f32,
    formants: [Resonator; 3],
}

#[derive(Clone, Copy, Default)]
struct Resonator {
    gain: f32,
    a1: f32,
    a2: f32,
    y1: f32,
    y2: f32,
}

impl Tract {
    pub(crate) fn tune(&mut self, control: &Control, rate: f32) {
        self.smooth = 1.0 - (-std::f32::consts::TAU * control.cutoff / rate).exp();
        for (i, formant) in self.formants.iter_mut().enumerate() {
            let radius = (-std::f32::consts::PI * BANDWIDTHS[i] / rate).exp();
            let angle = std::f32::consts::TAU * control.vowel[i] / rate;
            formant.a1 = 2.0 * radius * angle.cos();
            formant.a2 = -radius * radius;
            // About 1 at resonance.
            formant.gain =
                (1.0 - radius) * (1.0 - 2.0 * radius * (2.0 * angle).cos() + radius * radius).max(0.0).sqrt() * [6.0, 4.0, 3.0][i];
        }
    }

    pub(crate) fn filter(&mut self, source: f32) -> f32 {
        self.low += self.smooth * (source - self.low);
        let radiated = self.low - 0.9 * self.previous;
        self.previous = self.low;
        self.formants.iter_mut().map(|formant| formant.filter(radiated)).sum()
    }
}

impl Resonator {
    fn filter(&mut self, x: f32) -> f32 {
        let y = self.gain * x + self.a1 * self.y1 + self.a2 * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::Kind;

    fn voice() -> Voice {
        Voice { pitch: 120.0, tract: 1.0, loudness: 0.0, rate: 4.6, room: -54.0 }
    }

    fn event(voice: usize) -> Event {
        Event { kind: Kind { face: 0, voice }, face_onset: 5.0, voice_onset: 5.0, face_length: 40.0, voice_length: 40.0, gain: 1.0 }
    }

    fn sound(role: Role, events: &[Event]) -> Vec<f32> {
        let mut draws = Draws::new(1, "test", 0, 0);
        Utterance::new(role, voice(), events, 50, &mut draws).sound(50, &mut draws)
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
    }

    /// The fundamental in Hz: the lag of the greatest autocorrelation between 60 and 400 Hz.
    fn pitch(samples: &[f32]) -> f32 {
        let correlation = |lag: usize| samples.iter().zip(&samples[lag..]).map(|(a, b)| a * b).sum::<f32>();
        let lags = RATE as usize / 400..RATE as usize / 60;
        let best = lags.max_by(|a, b| correlation(*a).total_cmp(&correlation(*b))).unwrap();
        RATE as f32 / best as f32
    }

    #[test]
    fn an_excited_voice_is_louder_and_higher_than_a_calm_one() {
        let [excited, calm] = [0, 1].map(|kind| sound(Role::Speaker, &[event(kind)]));
        assert_eq!(excited.len(), 2 * RATE as usize);
        let middle = RATE as usize / 2..RATE as usize * 3 / 2;
        assert!(rms(&excited[middle.clone()]) > 3.0 * rms(&calm[middle.clone()]));
        // Where a syllable is under way in both.
        let mut draws = Draws::new(1, "test", 0, 0);
        let utterance = Utterance::new(Role::Speaker, voice(), &[], 50, &mut draws);
        let at = (middle.start..middle.end).find(|n| utterance.open(*n as f32 / RATE as f32) > 0.9).unwrap();
        let (high, low) = (pitch(&excited[at..at + 3000]), pitch(&calm[at..at + 3000]));
        assert!(high > 1.4 * low, "{high} Hz and {low} Hz");
        assert!(excited.iter().all(|x| x.abs() < 1.0));
    }

    #[test]
    fn a_listener_is_silent_but_for_answers() {
        let answered = sound(Role::Listener, &[event(0)]);
        let silent = sound(Role::Listener, &[]);
        assert!(rms(&silent) < 0.003, "{}", rms(&silent));
        assert!(rms(&answered) > 10.0 * rms(&silent));
        assert!(rms(&answered[..3000]) < 0.003, "{}", rms(&answered[..3000]));
    }

    #[test]
    fn the_mouth_opens_with_syllables() {
        let mut draws = Draws::new(1, "test", 0, 0);
        let utterance = Utterance::new(Role::Speaker, voice(), &[], 50, &mut draws);
        let open: Vec<f32> = (0..50).map(|t| utterance.open((t as f32 + 0.5) / 25.0)).collect();
        assert!(open.iter().any(|x| *x > 0.9) && open.iter().any(|x| *x < 0.1));
    }
}
