//! What is wrong with one clip: the checks that `doctor` reports and `prepare` insists on.

use super::finding::{Fault, Kind, Modality, Severity};
use crate::arrays::{has_extension, read_audio_features, read_coeffs, read_emotion};
use crate::corpus::Part;
use crate::{DataError, mfcc_per_frame};
use ndarray::{Array2, s};
use react_contracts::channels::{AFFECT, AU, EMOTION, EXPRESSIONS};
use react_media::{AudioOptions, VideoReader, read_audio_with};
use std::path::{Path, PathBuf};

/// Probabilities whose sum is this far from 1 are rounded; further, they are none.
const ROUNDED: f32 = 0.005;
const NO_SUM: f32 = 0.05;

/// What a clip sounds like.
pub(crate) enum Sound {
    /// Mono samples in [−1, 1] and their rate in Hz.
    Samples(Vec<f32>, u32),
    /// Features that were given, f32 `[t, a]`.
    Given(Array2<f32>),
}

/// A clip's contents as far as they can be read, and what is wrong with them. The video is open and not decoded.
pub(crate) struct Examined {
    pub(crate) video: Option<VideoReader>,
    /// First frame of the clip in its video.
    pub(crate) first: usize,
    pub(crate) sound: Option<Sound>,
    pub(crate) emotion: Option<Array2<f32>>,
    pub(crate) coeffs: Option<Array2<f32>>,
    /// Frames that all modalities have; 0 where they do not agree.
    pub(crate) frames: usize,
    /// Frames/s of the clip.
    pub(crate) fps: f64,
    pub(crate) faults: Vec<Fault>,
}

/// What a corpus says of all its clips.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    /// Frames/s that each video must have within 1 %.
    pub(crate) fps: f64,
    /// Whether each video's own rate is taken.
    pub(crate) own_rate: bool,
}

impl Examined {
    /// Reads the files (video, sound, attributes, coefficients), or of them a part.
    pub(crate) fn of(files: [Result<PathBuf, DataError>; 4], part: Option<Part>, expected: Expected) -> Self {
        let [video, sound, emotion, coeffs] = files;
        let mut this =
            Self { video: None, first: 0, sound: None, emotion: None, coeffs: None, frames: 0, fps: expected.fps, faults: Vec::new() };
        this.emotion = this.read(Modality::Attributes, &emotion, read_emotion);
        this.coeffs = this.read(Modality::Coefficients, &coeffs, read_coeffs);
        this.video = this.read(Modality::Video, &video, |path| Ok(VideoReader::open(path)?));
        this.sound = this.read(Modality::Sound, &sound, |path| read_sound(path, part));
        if let (Some(reader), Ok(path)) = (&this.video, &video) {
            // Pictures in a folder have no rate of their own, nor has one frame.
            let rate = Some(reader.info().fps).filter(|_| path.is_file() && reader.info().frames > 1);
            if let Some(rate) = rate.filter(|rate| (rate - expected.fps).abs() > 0.01 * expected.fps) {
                let why = format!("its video has {rate:.2} frames/s, the corpus {}", expected.fps);
                this.faults.push(Fault::new(Severity::Error, Kind::FrameRate, Modality::Video, Some(path.clone()), why));
            }
            this.fps = rate.filter(|_| expected.own_rate).unwrap_or(expected.fps);
        }
        if let (Some(values), Ok(path)) = (&this.emotion, &emotion) {
            this.faults.extend(attribute_faults(values, path));
        }
        let counts = this.cut(part);
        this.agree(&counts);
        this
    }

    fn read<T>(
        &mut self,
        modality: Modality,
        path: &Result<PathBuf, DataError>,
        read: impl FnOnce(&Path) -> Result<T, DataError>,
    ) -> Option<T> {
        let fault = match path {
            Err(error) => Fault::new(Severity::Error, Kind::Missing, modality, None, error.to_string()),
            Ok(path) if path.is_file() && std::fs::metadata(path).is_ok_and(|found| found.len() == 0) => {
                let why = format!("{} is empty", path.display());
                Fault::new(Severity::Error, Kind::Empty, modality, Some(path.clone()), why)
            }
            Ok(path) => match read(path) {
                Ok(value) => return Some(value),
                Err(error) => Fault::of(error, modality, Some(path.clone())),
            },
        };
        self.faults.push(fault);
        None
    }

    /// Brings tables to the part, and counts the frames of each modality.
    fn cut(&mut self, part: Option<Part>) -> Vec<(&'static str, usize)> {
        let mut counts = Vec::new();
        let whole = self.video.as_ref().map(|video| video.info().frames);
        let (first, wanted) = part.map_or((0, usize::MAX), |part| part.frames(self.fps));
        self.first = first;
        let here = |rows: usize| rows.saturating_sub(first).min(wanted);
        counts.extend(whole.map(|rows| ("video", here(rows))));
        for (name, table) in [("emotion", &mut self.emotion), ("3DMM", &mut self.coeffs)] {
            let Some(table) = table else { continue };
            let rows = here(table.nrows());
            counts.push((name, rows));
            if part.is_some() {
                let from = first.min(table.nrows());
                *table = table.slice(s![from..from + rows, ..]).to_owned();
            }
        }
        // Samples were read of the part alone.
        if let Some(Sound::Given(table)) = &mut self.sound {
            let rows = here(table.nrows());
            counts.push(("audio features", rows));
            let from = first.min(table.nrows());
            *table = table.slice(s![from..from + rows, ..]).to_owned();
        }
        if wanted != usize::MAX {
            // A recording that ends within the part is too short.
            counts.push(("the list of sessions", wanted));
        }
        counts
    }

    /// The frames that all modalities have: the fewest, where they differ by one at most (751 and 750).
    fn agree(&mut self, counts: &[(&str, usize)]) {
        let (fewest, most) = counts.iter().fold((usize::MAX, 0), |(low, high), (_, count)| (low.min(*count), high.max(*count)));
        let listed = || counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
        if counts.is_empty() {
            return;
        }
        let fault = |kind, why| Fault::new(Severity::Error, kind, Modality::Clip, None, why);
        if fewest == 0 {
            self.faults.push(fault(Kind::Empty, format!("it has no frames ({})", listed())));
        } else if most - fewest > 1 {
            self.faults.push(fault(Kind::FrameCounts, format!("its frame counts differ by more than 1 ({})", listed())));
        } else {
            self.frames = fewest;
            let seconds = fewest as f64 / self.fps;
            if let Some(Sound::Samples(samples, rate)) = &self.sound
                && (samples.len() as f64) < (seconds - 1.0) * f64::from(*rate)
            {
                let sound = samples.len() as f64 / f64::from(*rate);
                let why = format!("{sound:.1} s of sound for {seconds:.1} s of video; the rest is silence");
                self.faults.push(Fault::new(Severity::Warning, Kind::Truncated, Modality::Sound, None, why));
            }
        }
    }

    /// Nothing, or the first error.
    pub(crate) fn error(&self, split: &str, clip: &str) -> Option<DataError> {
        let fault = self.faults.iter().find(|fault| fault.severity == Severity::Error)?;
        let why = fault.what.clone();
        // A file's own error names the file.
        Some(match fault.kind {
            Kind::FrameCounts | Kind::FrameRate | Kind::Partner => DataError::Clip { split: split.to_owned(), clip: clip.to_owned(), why },
            Kind::Empty if fault.file.is_none() => DataError::Clip { split: split.to_owned(), clip: clip.to_owned(), why },
            kind => DataError::Bad { kind, why },
        })
    }

    /// Audio features, f32 `[frames or more, a]`.
    pub(crate) fn audio_features(&mut self, file: &Path) -> Result<Array2<f32>, DataError> {
        match self.sound.take() {
            Some(Sound::Given(features)) => Ok(features),
            Some(Sound::Samples(samples, rate)) => mfcc_per_frame(&samples, rate, self.frames, self.fps).map_err(|error| match error {
                DataError::Audio(why) => DataError::Sound { file: file.to_owned(), why },
                other => other,
            }),
            None => Err(DataError::missing("sound", file)),
        }
    }
}

fn read_sound(path: &Path, part: Option<Part>) -> Result<Sound, DataError> {
    if has_extension(path, "npy") {
        return Ok(Sound::Given(read_audio_features(path)?));
    }
    let whole = AudioOptions::default();
    let options = part.map_or(whole, |part| AudioOptions { from: part.start, seconds: part.seconds, ..whole });
    let audio = read_audio_with(path, &options)?;
    let samples = audio.mono();
    match samples.iter().position(|sample| !sample.is_finite()) {
        Some(at) => {
            let at = at + part.map_or(0, |part| (part.start * f64::from(audio.rate)).round() as usize);
            Err(DataError::Sound { file: path.to_owned(), why: format!("sample {at} is not finite") })
        }
        None => Ok(Sound::Samples(samples, audio.rate)),
    }
}

/// That a video has the frames it promises, the whole of it having been decoded.
pub(crate) fn check_decoded(file: &Path, promised: usize, decoded: usize) -> Result<(), String> {
    if decoded == promised { Ok(()) } else { Err(format!("its video {} promises {promised} frames and has {decoded}", file.display())) }
}

/// Values of one kind that no attribute has.
struct Odd {
    severity: Severity,
    kind: Kind,
    count: usize,
    /// Row and column of the first, and what it is.
    place: (usize, usize),
    what: String,
}

/// The first value of each kind that no attribute has, and how many there are.
fn attribute_faults(values: &Array2<f32>, file: &Path) -> Vec<Fault> {
    let mut found: Vec<Odd> = Vec::new();
    let mut add = |severity, kind, place, what: &dyn Fn() -> String| match found
        .iter_mut()
        .find(|odd| (odd.severity, odd.kind) == (severity, kind))
    {
        Some(odd) => odd.count += 1,
        None => found.push(Odd { severity, kind, count: 1, place, what: what() }),
    };
    for (row, values) in values.outer_iter().enumerate() {
        for column in AU {
            let value = values[column];
            let say = || format!("{} is {value}, not 0 or 1", EMOTION[column]);
            match value {
                0.0 | 1.0 => {}
                _ if (0.0..=1.0).contains(&value) => add(Severity::Warning, Kind::ActionUnits, (row, column), &say),
                _ => add(Severity::Error, Kind::ActionUnits, (row, column), &say),
            }
        }
        for column in AFFECT {
            let value = values[column];
            if !(-1.0..=1.0).contains(&value) {
                add(Severity::Warning, Kind::Affect, (row, column), &|| format!("{} is {value}, not in [-1, 1]", EMOTION[column]));
            }
        }
        if let Some(column) = EXPRESSIONS.clone().find(|column| !(-1e-4..=1.0001).contains(&values[*column])) {
            let say = || format!("the probability of {} is {}", EMOTION[column], values[column]);
            add(Severity::Error, Kind::Probabilities, (row, column), &say);
        }
        let sum: f32 = EXPRESSIONS.map(|column| values[column]).sum();
        let off = (sum - 1.0).abs();
        if off > ROUNDED {
            let severity = if off > NO_SUM { Severity::Error } else { Severity::Warning };
            add(severity, Kind::Probabilities, (row, EXPRESSIONS.start), &|| format!("the probabilities sum to {sum}"));
        }
    }
    let fault = |Odd { severity, kind, count, place: (row, column), what }: Odd| {
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        let what = format!("{}: row {}, column {}: {what}{more}", file.display(), row + 1, column + 1);
        Fault::new(severity, kind, Modality::Attributes, Some(file.to_owned()), what)
    };
    found.into_iter().map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Array2<f32> {
        Array2::from_shape_fn((4, 25), |(_, column)| f32::from(u8::from(column == 3 || column == 17)))
    }

    fn said(values: &Array2<f32>) -> Vec<(Severity, String)> {
        attribute_faults(values, Path::new("e.csv")).into_iter().map(|fault| (fault.severity, fault.what)).collect()
    }

    #[test]
    fn attributes_that_are_none() {
        assert!(said(&attributes()).is_empty());
        let with = |at: &[((usize, usize), f32)]| {
            let mut values = attributes();
            at.iter().for_each(|(place, value)| values[*place] = *value);
            said(&values)
        };
        let error = |what: &str| vec![(Severity::Error, format!("e.csv: {what}"))];
        assert_eq!(with(&[((1, 2), 2.0), ((2, 2), -1.0)]), error("row 2, column 3: AU4 is 2, not 0 or 1 (and 1 more)"));
        assert_eq!(with(&[((1, 2), 0.5)]), [(Severity::Warning, "e.csv: row 2, column 3: AU4 is 0.5, not 0 or 1".to_owned())]);
        assert_eq!(with(&[((0, 16), -1.5)]), [(Severity::Warning, "e.csv: row 1, column 17: arousal is -1.5, not in [-1, 1]".to_owned())]);
        assert_eq!(with(&[((3, 17), 0.5)]), error("row 4, column 18: the probabilities sum to 0.5"));
        assert_eq!(with(&[((3, 17), 0.99)]), [(Severity::Warning, "e.csv: row 4, column 18: the probabilities sum to 0.99".to_owned())]);
        assert_eq!(with(&[((3, 17), 1.5), ((3, 18), -0.5)]), error("row 4, column 18: the probability of Neutral is 1.5"));
    }
}
