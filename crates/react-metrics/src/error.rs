use react_contracts::channels::EMOTION;

/// What is wrong with the inputs of a metric.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum MetricsError {
    /// An array has another shape than its metric needs.
    #[error("{what}: expected shape {want}, got {got:?}")]
    Shape {
        /// Which array.
        what: String,
        /// The shape that was wanted, in words where some sizes are free.
        want: String,
        /// The shape that came.
        got: Vec<usize>,
    },
    /// A count that must agree with another, or reach a least value.
    #[error("{what}: expected {want}, got {got}")]
    Count {
        /// What is counted.
        what: String,
        /// The number that was wanted.
        want: String,
        /// The number that came.
        got: usize,
    },
    /// A value that is NaN or infinite.
    #[error("{what}: {}", place(*clip, *sample, *frame, *channel, *value))]
    NotFinite {
        /// `prediction`, `listener` or `speaker`.
        what: &'static str,
        /// Index of the clip.
        clip: usize,
        /// Index of the sample (predictions only).
        sample: Option<usize>,
        /// Index of the frame.
        frame: usize,
        /// Index of the channel, 0..25.
        channel: usize,
        /// The value found.
        value: f32,
    },
    /// An intensity that is NaN or infinite.
    #[error("{what}: subject {subject}, {emotion} is {value}")]
    IntensityNotFinite {
        /// `prediction` or `target`.
        what: &'static str,
        /// Index of the subject.
        subject: usize,
        /// Name of the emotion.
        emotion: String,
        /// The value found.
        value: f32,
    },
    /// A feature that is NaN or infinite.
    #[error("features: vector {vector}, feature {feature} is {value}")]
    FeatureNotFinite {
        /// Index of the feature vector, counted over all batches.
        vector: usize,
        /// Index of the feature.
        feature: usize,
        /// The value found.
        value: f64,
    },
    /// A clip for which no reaction is appropriate.
    #[error("neighbours: row {clip} is empty: clip {clip} has no appropriate reaction, not even its own")]
    NoNeighbour {
        /// Index of the row.
        clip: usize,
    },
    /// A cell of the neighbour matrix that is neither 0 nor 1.
    #[error("neighbours: row {row}, column {column} must be 0 or 1, is {value}")]
    NeighbourValue {
        /// Row of the cell.
        row: usize,
        /// Column of the cell.
        column: usize,
        /// The value found.
        value: f64,
    },
    /// A metric that needs the speakers' attributes, called without.
    #[error("{what} needs the speakers' attributes [N, T, 25]")]
    NoSpeaker {
        /// What was asked for.
        what: &'static str,
    },
}

fn place(clip: usize, sample: Option<usize>, frame: usize, channel: usize, value: f32) -> String {
    let sample = sample.map(|k| format!("sample {k}, ")).unwrap_or_default();
    let name = EMOTION.get(channel).copied().unwrap_or("?");
    format!("clip {clip}, {sample}frame {frame}, channel {channel} ({name}) is {value}")
}
