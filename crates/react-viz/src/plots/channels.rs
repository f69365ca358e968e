use super::axis::{Axis, extent};
use super::panel::{Mark, Panel, Pen};
use crate::colour::Colour;
use crate::error::VizError;
use crate::svg::{Figure, Key, KeyShape};
use ndarray::{ArrayView2, ArrayView3, Axis as Dim};
use react_contracts::ATTRIBUTES;
use react_contracts::channels::{AFFECT, AU, EMOTION, EXPRESSIONS};
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

/// Channels of one kind, the name of their axis, and the range of their values.
type Group = (Range<usize>, &'static str, f64, f64);

/// The 25 attributes of one clip: what is there is drawn.
#[derive(Clone, Copy, Debug)]
pub struct ChannelTraces<'a> {
    /// Frames per second.
    pub fps: f64,
    /// The speaker, `[t, 25]`.
    pub speaker: Option<ArrayView2<'a, f32>>,
    /// The real listener, `[t, 25]`.
    pub truth: Option<ArrayView2<'a, f32>>,
    /// The generated listeners, `[k, t, 25]`: the band from the lowest to the highest of all, the first few as lines.
    pub samples: Option<ArrayView3<'a, f32>>,
    /// How many samples are drawn as lines.
    pub lines: usize,
}

/// The 25 attributes over time in small multiples, a panel each: speaker, real listener, samples and the band of all samples.
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
    traces.check()?;
    let groups: [Group; 3] = [(AU, "occurrence", 0.0, 1.0), (AFFECT, "in [−1, 1]", -1.0, 1.0), (EXPRESSIONS, "probability", 0.0, 1.0)];
    let mut panels = Vec::with_capacity(ATTRIBUTES);
    for (group, unit, low, high) in groups {
        // One range a group, so that its panels compare.
        let (low, high) = extent(group.clone().flat_map(|c| traces.values(c)).chain([low, high])).unwrap_or((low, high));
        let air = 0.05 * (high - low);
        for channel in group {
            panels.push(traces.panel(channel, unit, low - air, high + air).draw()?);
        }
    }
    let caption = "Action units are binary in the recordings, valence and arousal in [−1, 1], expressions probabilities.".to_owned();
    Ok(Figure { title: title.to_owned(), caption, keys: traces.keys(), panels, columns: 5 })
}

impl ChannelTraces<'_> {
    fn check(&self) -> Result<(), VizError> {
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {}", self.fps) });
        }
        let widths = [
            ("speaker", self.speaker.map(|a| a.ncols())),
            ("truth", self.truth.map(|a| a.ncols())),
            ("samples", self.samples.map(|a| a.len_of(Dim(2)))),
        ];
        for (what, got) in widths {
            if let Some(got) = got.filter(|&got| got != ATTRIBUTES) {
                return Err(VizError::Shape { what: what.to_owned(), axis: "attributes", want: ATTRIBUTES, got });
            }
        }
        if self.frames() == 0 {
            return Err(VizError::Empty { what: "attributes over time".to_owned() });
        }
        Ok(())
    }

    fn frames(&self) -> usize {
        let lengths = [self.speaker.map(|a| a.nrows()), self.truth.map(|a| a.nrows()), self.samples.map(|a| a.len_of(Dim(1)))];
        lengths.into_iter().flatten().max().unwrap_or(0)
    }

    fn values(&self, channel: usize) -> impl Iterator<Item = f64> {
        let single = [self.speaker, self.truth].into_iter().flatten().flat_map(move |a| a.index_axis_move(Dim(1), channel).into_iter());
        let samples = self.samples.into_iter().flat_map(move |a| a.index_axis_move(Dim(2), channel).into_iter());
        single.chain(samples).map(|&v| f64::from(v))
    }

    fn panel(&self, channel: usize, unit: &str, low: f64, high: f64) -> Panel {
        let name = EMOTION[channel];
        let title = AU_WORDS.get(channel).map_or_else(|| name.to_owned(), |words| format!("{name} {words}"));
        let seconds = |frame: usize| frame as f64 / self.fps;
        let line = |column: ndarray::ArrayView1<'_, f32>| column.iter().enumerate().map(|(t, &v)| (seconds(t), f64::from(v))).collect();
        let mut marks = Vec::new();
        if let Some(samples) = self.samples.filter(|s| s.len_of(Dim(0)) > 0) {
            let of_channel = samples.index_axis_move(Dim(2), channel);
            let band = of_channel.columns().into_iter().enumerate().filter_map(|(t, column)| {
                let (low, high) = extent(column.iter().map(|&v| f64::from(v)))?;
                Some((seconds(t), low, high))
            });
            marks.push(Mark::Band(band.collect(), Pen::new(Colour::Sky, 1.0).faint(0.35)));
            let lines = of_channel.rows().into_iter().take(self.lines);
            marks.extend(lines.map(|row| Mark::Line(line(row), Pen::new(Colour::Blue, 0.9).faint(0.85))));
        }
        if let Some(speaker) = self.speaker {
            marks.push(Mark::Line(line(speaker.column(channel)), Pen::new(Colour::Vermillion, 1.1).dashed()));
        }
        if let Some(truth) = self.truth {
            marks.push(Mark::Line(line(truth.column(channel)), Pen::new(Colour::Ink, 1.4)));
        }
        let x = Axis::linear("time (s)", 0.0, seconds(self.frames()), 4);
        let y = Axis::linear(unit, low, high, 3);
        Panel { title, width: 208, height: 132, font: 10.0, heading: true, right: 8, x, y, marks }
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
            if k > 1 {
                keys.push(Key::new(&format!("lowest to highest of {k} samples"), Colour::Sky, KeyShape::Area));
            }
        }
        keys
    }
}
