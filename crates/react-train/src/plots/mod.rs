//! The plots of a run, as SVG and PNG in its folder `plots`: what they show is in docs/plots.md.

mod intensities;
mod traces;

pub(crate) use intensities::intensities;

use crate::config::Config;
use crate::evaluate::{Analysis, Evaluation, REAL, median};
use crate::{Record, Run};
use anyhow::{Context, Result};
use rayon::prelude::*;
use react_viz::plots::{
    LagCurve, LatentPoints, LossHistory, LossPoint, OfClips, SeamCurve, Spread, lag_curves, latent_space, losses, per_clip, seam_curves,
    spread, systems_by_clip,
};
use react_viz::{Figure, Metric};
use std::path::Path;
pub use traces::{Traces, traces};

/// Pixels of a PNG a CSS pixel.
const SCALE: f32 = 2.0;

/// A figure, and its file's name without an ending.
pub(crate) type Named = (&'static str, Figure);

/// Draws every plot of an evaluated run, and writes each as `plots/NAME.svg` and `plots/NAME.png` into its folder: losses, FRCorr per
/// clip, diversity, spread of the attributes, latent space, synchrony over lag, window seams (online), and the 25 attributes and 58
/// coefficients of the clip with the median FRCorr. What an older evaluation does not hold is left out: [`left_out`] says so.
///
/// # Errors
/// Where a file of the run cannot be read, or a plot not be written.
pub fn figures(config: &Config, run: &Run, evaluation: &Evaluation) -> Result<Vec<Figure>> {
    let analysis = Analysis::read(run, evaluation)?;
    let mut named = scores(evaluation)?;
    let history = history(&run.records()?);
    if !history.is_empty() {
        named.insert(0, ("losses", losses(&history)?));
    }
    if let Some((analysis, means)) = &analysis {
        named.extend(spreads(analysis)?);
        named.extend(latents(evaluation, analysis, means)?);
        let mut curves: Vec<_> = analysis.lags.iter().map(|of| LagCurve { label: &of.system, points: &of.points }).collect();
        // This run's, the real listeners', the others.
        curves.get_mut(1..).unwrap_or_default().sort_by_key(|curve| curve.label != REAL);
        // Nothing that moves has no curve.
        if curves.iter().any(|curve| !curve.points.is_empty()) {
            named.push(("synchrony", lag_curves(&curves, analysis.fps)?));
        }
        let curves: Vec<_> = analysis.jumps.iter().map(|of| SeamCurve { label: &of.system, jumps: &of.by_place }).collect();
        if curves.iter().any(|curve| curve.jumps.len() > 1) {
            named.push(("seams", seam_curves(&curves)?));
        }
    } else if let Some(why) = left_out(run, evaluation)? {
        tracing::info!("plots: {why}");
    }
    if let Some(item) = median(&evaluation.model_scores()?.per_clip.fr_corr) {
        let traces = traces(config, run, evaluation, item)?;
        named.push(("attributes", traces.attributes()?));
        named.push(("coefficients", traces.coefficients()?));
    }
    write(&run.file("plots"), &named)?;
    Ok(named.into_iter().map(|(_, figure)| figure).collect())
}

/// Which plots [`figures`] leaves out, in a sentence; none where all are there.
///
/// # Errors
/// Where a file of the run cannot be read.
pub fn left_out(run: &Run, evaluation: &Evaluation) -> Result<Option<String>> {
    let missing = Analysis::read(run, evaluation)?.is_none().then(|| {
        "The latent space, synchrony over lag, the spread of the attributes and window seams are left out: this run was evaluated by a \
         version that did not keep them. Remove its scores.json and evaluate it again to have them."
            .to_owned()
    });
    Ok(missing)
}

/// Writes each figure as SVG and PNG.
pub(crate) fn write(folder: &Path, named: &[Named]) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    named.par_iter().try_for_each(|(name, figure)| {
        figure.write_svg(&folder.join(format!("{name}.svg")))?;
        figure.write_png(&folder.join(format!("{name}.png")), SCALE).with_context(|| format!("the plot {name}"))
    })
}

/// The losses of a training, for their plot.
pub(crate) fn history(records: &[Record]) -> LossHistory {
    let mut history = LossHistory::default();
    let mut best = f64::INFINITY;
    for record in records {
        match *record {
            Record::Step { step, loss, reconstruction, kl, diversity, .. } => history.train.push(LossPoint {
                step,
                total: Some(loss),
                reconstruction: Some(reconstruction),
                kl: Some(kl),
                diversity: Some(diversity),
            }),
            Record::Validation { step, reconstruction, kl, selection, .. } => {
                if selection < best {
                    best = selection;
                    history.best_step = Some(step);
                }
                history.validation.push(LossPoint { step, reconstruction: Some(reconstruction), kl: Some(kl), ..LossPoint::default() });
            }
        }
    }
    history
}

/// What the scores alone show.
fn scores(evaluation: &Evaluation) -> Result<Vec<Named>> {
    let metrics = Metric::react();
    let model = evaluation.model_scores()?;
    let others = evaluation.systems.iter().skip(1);
    let means: Vec<_> = others.map(|system| (system.name.as_str(), system.score("FRCorr").unwrap_or(f64::NAN))).collect();
    let values: Vec<_> = model.per_clip.fr_corr.iter().map(|value| Some(*value)).collect();
    let mut named = vec![("frcorr-per-clip", per_clip(&metrics[0], &values, &means)?)];
    let of_clips = |metric: &Metric| {
        let all =
            evaluation.systems.iter().filter_map(|system| Some(OfClips { label: &system.name, values: system.of_clips(&metric.name)? }));
        all.filter(|of| !of.values.is_empty()).collect::<Vec<_>>()
    };
    let diversity: Vec<_> =
        metrics[2..5].iter().map(|metric| (metric, of_clips(metric))).filter(|(_, systems)| !systems.is_empty()).collect();
    if !diversity.is_empty() {
        named.push(("diversity", systems_by_clip("Diversity", &diversity)?));
    }
    Ok(named)
}

fn spreads(analysis: &Analysis) -> Result<Option<Named>> {
    fn series(of: &[crate::evaluate::Channels]) -> Vec<Spread<'_>> {
        of.iter().map(|one| Spread { label: &one.system, values: &one.values }).collect()
    }
    let words = "standard deviation";
    let panels = [
        ("Between reactions to one clip", words, series(&analysis.between)),
        ("Over the time of a reaction", words, series(&analysis.over_time)),
    ];
    let panels: Vec<_> = panels.into_iter().filter(|(_, _, series)| !series.is_empty()).collect();
    let caption = "Attributes in their own units. Between reactions: at the same moment. Between real listeners: those whose reactions are appropriate to the same clip.";
    Ok(Some(("spread", spread("Spread of the attributes", caption, &panels)?)))
}

/// Clips or windows by their latents, coloured by how the real listener feels and by how well the network did.
fn latents(evaluation: &Evaluation, analysis: &Analysis, means: &ndarray::Array3<f32>) -> Result<Option<Named>> {
    let (clips, windows, width) = means.dim();
    let points = means.view().into_shape_with_order((clips * windows, width))?;
    let spread = points.iter().any(|v| *v != points[[0, 0]]);
    if clips * windows < 3 || !spread || points.iter().any(|v| !v.is_finite()) {
        return Ok(None);
    }
    let each = |values: &[f64]| -> Vec<Option<f64>> { values.iter().flat_map(|v| std::iter::repeat_n(Some(*v), windows)).collect() };
    let (valence, corr) = (each(&analysis.valence), each(&evaluation.model_scores()?.per_clip.fr_corr));
    let by: [(&str, &[Option<f64>]); 2] = [("the listener's valence", &valence), ("FRCorr", &corr)];
    let unit = if windows > 1 { "window" } else { "clip" };
    Ok(Some(("latent-space", latent_space(&LatentPoints { means: points, unit, by: &by })?)))
}
