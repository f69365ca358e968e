//! The plots of an intensity configuration.

use super::write;
use crate::eri::{EriConfig, Record, SeedRun};
use anyhow::Result;
use react_viz::Figure;
use react_viz::plots::{Curve, overlay};

/// Writes the plots of a configuration's seeds into its folder `plots`, beside the scatter of its predictions: losses and
/// correlations over steps. Returns them, the scatter first.
pub(crate) fn intensities(config: &EriConfig, scatter: Figure) -> Result<Vec<Figure>> {
    let mut named = vec![("intensities", scatter)];
    let names = ["Total", "Mean squared error", "In a training batch", "On the validation split"];
    let mut panels: Vec<(&str, Vec<Curve>)> = names.iter().map(|name| (*name, Vec::new())).collect();
    for (seed, run) in SeedRun::all(config)? {
        let label = format!("seed {seed}");
        let mut points: [Vec<(f64, f64)>; 4] = Default::default();
        for record in run.records()? {
            let steps = record.steps() as f64;
            match record {
                Record::Step { loss, mse, correlation, .. } => {
                    points[0].push((steps, loss));
                    points[1].push((steps, mse));
                    points[2].push((steps, correlation));
                }
                Record::Validation { correlation, .. } => points[3].push((steps, correlation)),
            }
        }
        for (panel, points) in panels.iter_mut().zip(points) {
            panel.1.push(Curve { label: label.clone(), points });
        }
    }
    let correlations = panels.split_off(2);
    for (name, title, mut panels, unit) in
        [("losses", "Losses", panels, "loss"), ("correlations", "Correlation with the labels", correlations, "mean correlation")]
    {
        panels.retain(|(_, curves)| curves.iter().any(|curve| !curve.points.is_empty()));
        if !panels.is_empty() {
            named.push((name, overlay(title, &panels, "training step", unit)?));
        }
    }
    write(&config.folder().join("plots"), &named)?;
    Ok(named.into_iter().map(|(_, figure)| figure).collect())
}
