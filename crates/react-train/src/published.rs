//! Published numbers, each with the split that it stands on and where it is from.
//!
//! A number is here only if its source, its data and its split are known. The REACT challenge's own tables are not: they were not at
//! hand to be copied from when this was written, and [`REACTIONS`] is empty until somebody who has them beside him adds them.

/// One published system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Published {
    /// The system's name.
    pub system: &'static str,
    /// The data.
    pub data: &'static str,
    /// The split.
    pub split: &'static str,
    /// Where the numbers stand.
    pub source: &'static str,
    /// Metric and value.
    pub scores: &'static [(&'static str, f64)],
}

impl Published {
    /// A metric's value.
    #[must_use]
    pub fn score(&self, metric: &str) -> Option<f64> {
        self.scores.iter().find(|(name, _)| *name == metric).map(|(_, value)| *value)
    }

    /// Data, split and source in one sentence.
    #[must_use]
    pub fn note(&self) -> String {
        format!("{}, {} split; {}", self.data, self.split, self.source)
    }
}

/// Systems of the REACT challenges, by the challenge's definitions with ten samples.
pub const REACTIONS: [Published; 0] = [];

/// Where the challenge's own tables are printed.
pub const REACTION_TABLES: &str = "arXiv:2306.06583 (REACT 2023), arXiv:2401.05166 (REACT 2024), arXiv:2505.17223 (REACT 2025)";

const YU: &str = "J. Yu et al., arXiv:2303.09210";

const fn intensity(system: &'static str, split: &'static str, source: &'static str, scores: &'static [(&'static str, f64)]) -> Published {
    Published { system, data: "Hume-Reaction", split, source, scores }
}

/// Systems on Hume-Reaction: the mean of Pearson's correlations over the seven emotions, called `mean`.
pub const INTENSITIES: [Published; 12] = [
    intensity("eGeMAPS (audio)", "val", YU, &[("mean", 0.0583)]),
    intensity("DeepSpectrum (audio)", "val", YU, &[("mean", 0.1087)]),
    intensity("FAU (video)", "val", YU, &[("mean", 0.2840)]),
    intensity("VGGFACE2 (video)", "val", YU, &[("mean", 0.2488)]),
    intensity("ViPER (fusion)", "val", YU, &[("mean", 0.3025)]),
    intensity("dual branch, audio", "val", YU, &[("mean", 0.2972)]),
    intensity("dual branch, video", "val", YU, &[("mean", 0.3500)]),
    intensity("dual branch, fusion", "val", YU, &[("mean", 0.4429)]),
    intensity("dual branch, final", "val", "J. Yu et al., CVPR Workshops 2023, pp. 5811–5818", &[("mean", 0.4439)]),
    intensity("dual branch, final", "test", "J. Yu et al., CVPR Workshops 2023, pp. 5811–5818", &[("mean", 0.4380)]),
    intensity("holistic and local", "val", "Y. Fang et al., arXiv:2305.05534", &[("mean", 0.455)]),
    intensity("holistic and local", "test", "Y. Fang et al., arXiv:2305.05534", &[("mean", 0.4547)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_its_split_and_source() {
        for row in REACTIONS.iter().chain(&INTENSITIES) {
            assert!(!row.scores.is_empty() && !row.split.is_empty() && !row.data.is_empty(), "{row:?}");
            assert!(row.source.contains("arXiv:") || row.source.contains("pp."), "{row:?}");
        }
    }

    #[test]
    fn the_program_prints_the_same_numbers() {
        for (system, value) in crate::eri::PUBLISHED {
            let row = INTENSITIES.iter().find(|row| row.system == system).unwrap();
            assert_eq!(row.score("mean"), Some(value), "{system}");
        }
    }
}
