use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};
use ndarray::{ArrayView1, ArrayView2, ArrayView3, Axis as Dim};
use react_contracts::channels::{AFFECT, AU, COEFF_EXPRESSION, COEFF_ROTATION, COEFF_TRANSLATION, EMOTION, EXPRESSIONS, coeff_name};
use react_contracts::{ATTRIBUTES, COEFFS};
use std::ops::Range;

/// What the action units do (Facial Action Coding System, Ekman and Friesen 1978).
const AU_WORDS: [&str; 15] = [
    "inner brow raiser",
    "outer brow raiser",
    "brow lowerer",
    "cheek raiser",
    "lid tightener",
    "nose wrinkler",
    "upper lip raiser",
    "lip corner puller",
    "dimpler",
    "lip corner depressor",
    "chin raiser",
    "lip tightener",
    "lip pressor",
    "lips part",
    "jaw drop",
];

/// Samples from which on the middle half of them is drawn.
const ENOUGH_FOR_QUARTERS: usize = 4;

/// Channels of one kind.
struct Group {
    channels: Range<usize>,
    /// The name of their axis.
    unit: &'static str,
    /// What their range has at least.
    range: Option<(f64, f64)>,
}

/// What sets the two figures of channels apart.
struct Kind {
    /// The name of the arrays' last axis.
    axis: &'static str,
    channels: usize,
    groups: [Group; 3],
    name: fn(usize) -> String,
    columns: usize,
    width: u32,
    height: u32,
    font: f64,
}

/// The channels of one clip: what is there is drawn. For [`channels`] the last axis has 25 attributes, for [`coefficients`] 58
/// coefficients.
#[derive(Clone, Copy, Debug)]
pub struct ChannelTraces<'a> {
    /// Frames per second.
    pub fps: f64,
    /// The speaker, `[t, channels]`.
    pub speaker: Option<ArrayView2<'a, f32>>,
    /// The real listener, `[t, channels]`.
    pub truth: Option<ArrayView2<'a, f32>>,
    /// The generated listeners, `[k, t, channels]`: a band from the lowest to the highest of all, one of their middle half (from 4
    /// samples on), the first few as lines.
    pub samples: Option<ArrayView3<'a, f32>>,
    /// How many samples are drawn as lines.
    pub lines: usize,
}

/// The 25 attributes over time in small multiples, a panel each: speaker, real listener, samples and the bands of all samples.
///
/// ```
/// use ndarray::Array2;
/// use react_viz::plots::{ChannelTraces, channels};
/// let truth = Array2::<f32>::zeros((50, 25));
/// let traces = ChannelTraces { fps: 25.0, speaker: None, truth: Some(truth.view()), samples: None, lines: 3 };
/// let figure = channels("clip 1", &traces)?;
/// assert_eq!(figure.panels.len(), 25);
/// assert!(figure.panels[7].standalone().contains("AU12 lip corner puller"));
/// # Ok::<(), react_viz::VizError>(())
/// ```
///
/// # Errors
/// Where an array has not 25 attributes, there is none at all, or `fps` is not positive.
pub fn channels(title: &str, traces: &ChannelTraces<'_>) -> Result<Figure, VizError> {
    let kind = Kind {
        axis: "attributes",
        channels: ATTRIBUTES,
        groups: [
            Group { channels: AU, unit: "occurrence", range: Some((0.0, 1.0)) },
            Group { channels: AFFECT, unit: "in [−1, 1]", range: Some((-1.0, 1.0)) },
            Group { channels: EXPRESSIONS, unit: "probability", range: Some((0.0, 1.0)) },
        ],
        name: |channel| {
            let name = EMOTION[channel];
            AU_WORDS.get(channel).map_or_else(|| name.to_owned(), |words| format!("{name} {words}"))
        },
        columns: 5,
        width: 208,
        height: 132,
        font: 10.0,
    };
    let caption = "Action units are binary in the recordings, valence and arousal in [−1, 1], expressions probabilities.";
    kind.figure(title, caption, traces)
}

/// The 58 3DMM coefficients over time in small multiples, a panel each, as [`channels`] draws the attributes: 52 of expression,
/// 3 of rotation in rad, 3 of translation. All panels of a kind have one range, so that what moves more looks it.
///
/// ```
/// use ndarray::Array3;
/// use react_viz::plots::{ChannelTraces, coefficients};
/// let samples = Array3::<f32>::zeros((10, 50, 58));
/// let figure = coefficients("clip 1", &ChannelTraces { fps: 25.0, speaker: None, truth: None, samples: Some(samples.view()), lines: 3 })?;
/// assert_eq!(figure.panels.len(), 58);
/// assert!(figure.panels[53].standalone().contains("rotation y (rad)"));
/// # Ok::<(), react_viz::VizError>(())
/// ```
///
/// # Errors
/// Where an array has not 58 coefficients, there is none at all, or `fps` is not positive.
pub fn coefficients(title: &str, traces: &ChannelTraces<'_>) -> Result<Figure, VizError> {
    let kind = Kind {
        axis: "coefficients",
        channels: COEFFS,
        groups: [
            Group { channels: COEFF_EXPRESSION, unit: "coefficient", range: None },
            Group { channels: COEFF_ROTATION, unit: "rad", range: None },
            Group { channels: COEFF_TRANSLATION, unit: "model units", range: None },
        ],
        name: coeff_name,
        columns: 6,
        width: 184,
        height: 112,
        font: 9.5,
    };
    let caption = "Expression coefficients share one range, as do rotations (rad) and translations (the face model's units).";
    kind.figure(title, caption, traces)
}

impl Kind {
    fn figure(&self, title: &str, caption: &str, traces: &ChannelTraces<'_>) -> Result<Figure, VizError> {
        self.check(traces)?;
        let mut panels = Vec::with_capacity(self.channels);
        for group in &self.groups {
            // One range a group, so that its panels compare.
            let given = group.range.into_iter().flat_map(|(low, high)| [low, high]);
            let (low, high) = extent(group.channels.clone().flat_map(|c| traces.values(c)).chain(given)).unwrap_or((0.0, 1.0));
            let air = 0.05 * (high - low);
            for channel in group.channels.clone() {
                let (x, y) = (traces.time(), Axis::linear(group.unit, low - air, high + air, 3));
                let (title, marks) = ((self.name)(channel), traces.marks(channel));
                let Self { width, height, font, .. } = *self;
                panels.push(Panel { title, width, height, font, heading: true, right: 8, x, y, marks }.draw()?);
            }
        }
        let (title, caption) = (title.to_owned(), caption.to_owned());
        Ok(Figure { title, caption, keys: traces.keys(), panels, columns: self.columns })
    }

    fn check(&self, traces: &ChannelTraces<'_>) -> Result<(), VizError> {
        if !(traces.fps.is_finite() && traces.fps > 0.0) {
            return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {}", traces.fps) });
        }
        let widths = [
            ("speaker", traces.speaker.map(|a| a.ncols())),
            ("truth", traces.truth.map(|a| a.ncols())),
            ("samples", traces.samples.map(|a| a.len_of(Dim(2)))),
        ];
        for (what, got) in widths {
            if let Some(got) = got.filter(|&got| got != self.channels) {
                return Err(VizError::Shape { what: what.to_owned(), axis: self.axis, want: self.channels, got });
            }
        }
        if traces.frames() == 0 {
            return Err(VizError::Empty { what: format!("{} over time", self.axis) });
        }
        Ok(())
    }
}

impl ChannelTraces<'_> {
    fn frames(&self) -> usize {
        let lengths = [self.speaker.map(|a| a.nrows()), self.truth.map(|a| a.nrows()), self.samples.map(|a| a.len_of(Dim(1)))];
        lengths.into_iter().flatten().max().unwrap_or(0)
    }

    fn time(&self) -> Axis {
        Axis::linear("time (s)", 0.0, self.frames() as f64 / self.fps, 4)
    }

    fn values(&self, channel: usize) -> impl Iterator<Item = f64> {
        let single = [self.speaker, self.truth].into_iter().flatten().flat_map(move |a| a.index_axis_move(Dim(1), channel).into_iter());
        let samples = self.samples.into_iter().flat_map(move |a| a.index_axis_move(Dim(2), channel).into_iter());
        single.chain(samples).map(|&v| f64::from(v))
    }

    fn marks(&self, channel: usize) -> Vec<Mark> {
        let seconds = |frame: usize| frame as f64 / self.fps;
        let line = |column: ArrayView1<'_, f32>| column.iter().enumerate().map(|(t, &v)| (seconds(t), f64::from(v))).collect();
        let mut marks = Vec::new();
        if let Some(samples) = self.samples.filter(|s| s.len_of(Dim(0)) > 0) {
            let of_channel = samples.index_axis_move(Dim(2), channel);
            let band = |part: f64| {
                let frames = of_channel.columns().into_iter().enumerate();
                frames.filter_map(|(t, column)| within(column, part).map(|(low, high)| (seconds(t), low, high))).collect()
            };
            marks.push(Mark::Band(band(0.0), Pen::new(Colour::Sky, 1.0).faint(0.28)));
            if of_channel.nrows() >= ENOUGH_FOR_QUARTERS {
                marks.push(Mark::Band(band(0.25), Pen::new(Colour::Sky, 1.0).faint(0.55)));
            }
            let lines = of_channel.rows().into_iter().take(self.lines);
            marks.extend(lines.map(|row| Mark::Line(line(row), Pen::new(Colour::Blue, 0.9).faint(0.85))));
        }
        if let Some(speaker) = self.speaker {
            marks.push(Mark::Line(line(speaker.column(channel)), Pen::new(Colour::Vermillion, 1.1).dashed()));
        }
        if let Some(truth) = self.truth {
            marks.push(Mark::Line(line(truth.column(channel)), Pen::new(Colour::Ink, 1.4)));
        }
        marks
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        if self.speaker.is_some() {
            keys.push(Key::new("speaker", Colour::Vermillion, KeyShape::Dashed));
        }
        if self.truth.is_some() {
            keys.push(Key::new("real listener", Colour::Ink, KeyShape::Line));
        }
        if let Some(k) = self.samples.map(|s| s.len_of(Dim(0))).filter(|&k| k > 0) {
            if self.lines > 0 {
                let label = if k.min(self.lines) == 1 { "sample 1".to_owned() } else { format!("samples 1–{}", k.min(self.lines)) };
                keys.push(Key::new(&label, Colour::Blue, KeyShape::Thin));
            }
            if k >= ENOUGH_FOR_QUARTERS {
                keys.push(Key::new("middle half of the samples (25 to 75 %)", Colour::Sky, KeyShape::Area));
            }
            if k > 1 {
                keys.push(Key::new(&format!("lowest to highest of {k} samples"), Colour::Sky, KeyShape::Pale));
            }
        }
        keys
    }
}

/// The values between which all but `part` at either end lie, of those that are numbers.
fn within(values: ArrayView1<'_, f32>, part: f64) -> Option<(f64, f64)> {
    let mut sorted: Vec<f64> = values.iter().map(|&v| f64::from(v)).filter(|v| v.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let at = |share: f64| {
        let place = share * last as f64;
        let (below, rest) = (place.floor() as usize, place.fract());
        sorted[below] + rest * (sorted[(below + 1).min(last)] - sorted[below])
    };
    Some((at(part), at(1.0 - part)))
}

#[cfg(test)]
mod tests {
    use super::within;
    use ndarray::array;

    #[test]
    fn bands_are_quantiles() {
        let values = array![5.0f32, 1.0, 3.0, 2.0, 4.0, f32::NAN];
        assert_eq!(within(values.view(), 0.0), Some((1.0, 5.0)));
        assert_eq!(within(values.view(), 0.25), Some((2.0, 4.0)));
        assert_eq!(within(values.slice(ndarray::s![..2]), 0.25), Some((2.0, 4.0)));
        assert_eq!(within(array![f32::NAN].view(), 0.0), None);
    }
}
