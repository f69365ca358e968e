//! Evaluation: each seed, their mean, their ensemble, beside the published numbers.

use super::config::EriConfig;
use super::data::{Without, labels, score_against};
use super::run::SeedRun;
use super::trained::TrainedEri;
use crate::compute::Part;
use anyhow::{Result, ensure};
use ndarray::{Array2, ArrayView2};
use react_data::hume::{EriPacked, EriSplit};
use react_metrics::EriScores;
use react_model::eri::Modalities;
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;

/// Mean Pearson's correlation as published on Hume-Reaction, by their authors' protocols.
pub const PUBLISHED: [(&str, f64); 8] = [
    ("eGeMAPS (audio)", 0.0583),
    ("DeepSpectrum (audio)", 0.1087),
    ("FAU (video)", 0.2840),
    ("VGGFACE2 (video)", 0.2488),
    ("ViPER (fusion)", 0.3025),
    ("dual branch, audio", 0.2972),
    ("dual branch, video", 0.3500),
    ("dual branch, fusion", 0.4429),
];

/// The scores of all seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The data that they stand on.
    pub data: String,
    /// The split.
    pub split: String,
    /// Its clips.
    pub clips: usize,
    /// Each seed's.
    pub seeds: Vec<SeedScores>,
    /// Mean and standard deviation (n − 1) of the seeds' mean correlations.
    pub mean: f64,
    /// 0 for one seed.
    pub standard_deviation: f64,
    /// Of the seeds' mean predictions.
    pub ensemble: EriScores,
    /// Where the plot of the ensemble's predictions is.
    #[serde(skip)]
    pub scatter: PathBuf,
    /// That plot, and those of the training.
    #[serde(skip)]
    pub figures: Vec<react_viz::Figure>,
}

/// One seed's scores.
#[derive(Clone, Debug, Serialize)]
pub struct SeedScores {
    /// The seed.
    pub seed: u64,
    /// Its scores.
    pub scores: EriScores,
    /// Its mean correlation where the voice is taken away (fusion).
    pub without_audio: Option<f64>,
    /// Its mean correlation where the face is taken away (fusion).
    pub without_video: Option<f64>,
}

/// Evaluates every trained seed on the configured split, and writes `scores.json`, `predictions.csv` (of the ensemble), `scatter.svg`
/// and the folder `plots` into the configuration's folder.
///
/// # Errors
/// Where nothing is trained, or the packed corpus is missing or has no labels.
pub fn evaluate(config: &EriConfig) -> Result<Evaluation> {
    let split = EriPacked::open(&config.corpus.packed)?.split(&config.evaluate.split)?;
    let (truth, folder) = (labels(&split)?, config.folder());
    let runs = SeedRun::all(config)?;
    let compute = config.compute()?;
    ensure!(!runs.is_empty(), "nothing to evaluate in {}: train first", folder.display());
    compute.record(&folder, "evaluate", Part::Whole)?;
    let mut seeds = Vec::with_capacity(runs.len());
    let mut sum = Array2::<f32>::zeros(truth.raw_dim());
    for (seed, run) in &runs {
        let trained = TrainedEri::read_on(&run.best(), &compute)?;
        trained.check_emotions(split.emotions())?;
        let predict = |without| trained.predictions(&config.corpus.packed, &split, config.evaluate.batch, without);
        let score = |predicted: &Array2<f32>| score_against(predicted.view(), truth.view(), split.emotions());
        let predicted = predict(None)?;
        let lacking = |without| -> Result<Option<f64>> {
            let fusion = config.model.modalities == Modalities::Fusion;
            fusion.then(|| Ok(score(&predict(Some(without))?)?.mean_pearson)).transpose()
        };
        seeds.push(SeedScores {
            seed: *seed,
            scores: score(&predicted)?,
            without_audio: lacking(Without::Audio)?,
            without_video: lacking(Without::Video)?,
        });
        sum += &predicted;
    }
    let ensemble = sum / seeds.len() as f32;
    let (mean, standard_deviation) = spread(&seeds.iter().map(|seed| seed.scores.mean_pearson).collect::<Vec<_>>());
    let scatter = folder.join("scatter.svg");
    let figure = react_viz::plots::intensities(split.emotions(), truth.view(), ensemble.view())?;
    figure.write_svg(&scatter)?;
    let figures = crate::plots::intensities(config, figure)?;
    let table = csv(&split, ensemble.view());
    react_store::write_atomic(&folder.join("predictions.csv"), |file| file.write_all(table.as_bytes()))?;
    let evaluation = Evaluation {
        data: if config.corpus.synthetic.is_some() { "the synthetic corpus".to_owned() } else { config.corpus.root.display().to_string() },
        split: split.name().to_owned(),
        clips: split.len(),
        ensemble: score_against(ensemble.view(), truth.view(), split.emotions())?,
        seeds,
        mean,
        standard_deviation,
        scatter,
        figures,
    };
    let json = serde_json::to_string_pretty(&evaluation)? + "\n";
    react_store::write_atomic(&folder.join("scores.json"), |file| file.write_all(json.as_bytes()))?;
    Ok(evaluation)
}

/// `File_ID` and a column an emotion, in the published form: ids in brackets.
pub(super) fn csv(split: &EriSplit, intensities: ArrayView2<'_, f32>) -> String {
    let mut text = format!("File_ID,{}\n", split.emotions().join(","));
    for (i, row) in intensities.outer_iter().enumerate() {
        let values: Vec<String> = row.iter().map(|value| format!("{value:.6}")).collect();
        let _ = writeln!(text, "[{}],{}", split.id(i), values.join(","));
    }
    text
}

/// Mean and standard deviation.
fn spread(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (n - 1.0)).sqrt() } else { 0.0 })
}

impl std::fmt::Display for Evaluation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "Pearson's correlation over the split {} ({} clips of {})", self.split, self.clips, self.data)?;
        for SeedScores { seed, scores, without_audio, without_video } in &self.seeds {
            write!(f, "seed {seed:<12} {:.4}   MAE {:.4}, CCC {:.4}", scores.mean_pearson, scores.mae, scores.mean_ccc)?;
            if let (Some(audio), Some(video)) = (without_audio, without_video) {
                write!(f, "   without the voice {audio:.4}, without the face {video:.4}")?;
            }
            writeln!(f)?;
        }
        if self.seeds.len() > 1 {
            writeln!(f, "mean ± s.d.       {:.4} ± {:.4}", self.mean, self.standard_deviation)?;
            writeln!(f, "ensemble          {:.4}", self.ensemble.mean_pearson)?;
        }
        for emotion in &self.ensemble.emotions {
            let pearson = emotion.pearson.map_or_else(|| "constant".to_owned(), |r| format!("{r:.4}"));
            writeln!(f, "  {:<15} {pearson}", emotion.emotion)?;
        }
        writeln!(f, "published on Hume-Reaction, by their authors' protocols (the numbers above stand on {}):", self.data)?;
        for (name, value) in PUBLISHED {
            writeln!(f, "  {name:<22} {value:.4}")?;
        }
        write!(f, "scatter plots     {}", self.scatter.display())
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn spread_is_the_samples() {
        assert_eq!(super::spread(&[1.0, 3.0]), (2.0, 2f64.sqrt()));
        assert_eq!(super::spread(&[0.5]), (0.5, 0.0));
    }
}
