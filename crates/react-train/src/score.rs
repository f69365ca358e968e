//! `react-train score`: predictions of any program, by the challenge's metrics.

use crate::cli;
use anyhow::{Context, Result, ensure};
use ndarray::{Array, ArrayD, Dimension};
use react_metrics::{Inputs, Neighbours, Options, Scores};
use react_viz::{Kind, Metric, ScoreRow, ScoreTable};
use std::path::Path;

/// Reads the arrays, scores them, writes the JSON where it is asked for, and returns the table.
///
/// # Errors
/// Where a file cannot be read or written, a shape does not fit, or a value is not finite.
pub fn score(args: &cli::Score) -> Result<String> {
    let prediction = read(&args.prediction, "[N,K,T,25]")?;
    let listener = read(&args.listener, "[N,T,25]")?;
    let speaker = args.speaker.as_deref().map(|path| read(path, "[N,T,25]")).transpose()?;
    let clips = prediction.shape()[0];
    let neighbours = match &args.neighbours {
        Some(path) => {
            let matrix = read::<ndarray::Ix2>(path, "[N,N]")?;
            Neighbours::new(matrix.view()).with_context(|| path.display().to_string())?
        }
        None => Neighbours::identity(clips),
    };
    let inputs = Inputs::new(prediction.view(), listener.view(), speaker.as_ref().map(|s| s.view()), &neighbours)
        .with_context(|| format!("cannot score {}", args.prediction.display()))?;
    let scores = react_metrics::score(&inputs, &Options::default(), &|_| ());
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&scores)? + "\n";
        react_store::write_atomic(path, |file| file.write_all(text.as_bytes()))?;
    }
    let name = args.prediction.file_name().unwrap_or_default().to_string_lossy();
    Ok(table(&scores, &name).trim_end().to_owned())
}

fn read<D: Dimension>(path: &Path, want: &str) -> Result<Array<f32, D>> {
    let array: ArrayD<f32> = react_store::read_npy_f32(path)?;
    let shape = array.shape().to_vec();
    ensure!(D::NDIM == Some(shape.len()), "{}: wanted an array {want}, found {shape:?}", path.display());
    Ok(array.into_dimensionality()?)
}

fn table(scores: &Scores, name: &str) -> String {
    let metrics = Metric::react();
    let published = &scores.published;
    let values = [published.fr_corr, published.fr_dist, published.fr_div, published.fr_var, published.fr_dvs].map(Some);
    let row = ScoreRow::new(name, Kind::Model, &[&values[..], &[published.fr_syn]].concat());
    let title = format!("{} clips, {} samples each, by the challenge's definitions", scores.clips, scores.samples);
    let table = ScoreTable { title, caption: String::new(), metrics, rows: vec![row] };
    let warnings: String = scores.diagnostics.warnings().iter().map(|warning| format!("note: {warning}\n")).collect();
    format!("{}\n{warnings}", react_viz::table::text(&table).trim_end())
}
