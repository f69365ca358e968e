//! `react-train score`: predictions of any program, by the challenge's metrics.

mod arrays;
mod features;
mod frames;
mod npz;
mod output;
mod resume;

pub(crate) use arrays::{Arrays, Wanted, extension};
pub(crate) use npz::entry as npz_entry;
pub(crate) use output::{Found, Realism, write};

use crate::{Compute, Progress, cli, neighbours};
use anyhow::{Context, Result, ensure};
use ndarray::{Array3, ArrayView, ArrayViewD, Dimension, Ix2, Ix3, Ix4};
use react_contracts::channels::AU;
use react_metrics::{Accuracy, Bootstrap, Checkpoint, Inputs, MetricsError, Neighbours, OnProgress, Options, Scores, Stage, Unit};
use std::path::Path;
use std::sync::Mutex;

/// Generated attributes.
const PREDICTION: Wanted<'_> =
    Wanted { keys: &["prediction", "predictions", "pred"], axes: 4, shape: "[N,K,T,25] (or one array a clip, [K,T,25])" };
/// Real listeners' attributes.
pub(crate) const LISTENER: Wanted<'_> =
    Wanted { keys: &["listener", "listener_emotion", "target"], axes: 3, shape: "[N,T,25] (or one array a clip, [T,25])" };
/// Speakers' attributes.
pub(crate) const SPEAKER: Wanted<'_> =
    Wanted { keys: &["speaker", "speaker_emotion"], axes: 3, shape: "[N,T,25] (or one array a clip, [T,25])" };

/// Reads the arrays, scores them, writes what is asked for, and returns the table.
///
/// # Errors
/// Where a file cannot be read or written, a shape does not fit, or a value is not finite.
pub fn score(args: &cli::Score, compute: &Compute) -> Result<String> {
    let realism = features::realism(args, compute)?;
    let (Some(prediction), Some(listener)) = (&args.prediction, &args.listener) else {
        let found = Found { name: name(args), scores: None, accuracy: None, realism, names: &[] };
        return deliver(args, &found);
    };
    let prediction = Arrays::read(prediction, PREDICTION)?;
    let in_order = |arrays: Arrays| arrays.in_order_of(&prediction.names, prediction.path());
    let listener = in_order(Arrays::read(listener, LISTENER)?)?;
    let speaker = args.speaker.as_deref().map(|path| in_order(Arrays::read(path, SPEAKER)?)).transpose()?;
    let neighbours = neighbours_of(args.neighbours.as_deref(), &prediction)?;
    let rounded = if args.binarize { Some(rounded(&prediction)?) } else { None };
    let inputs = inputs(&prediction, rounded.as_deref(), &listener, speaker.as_ref(), &neighbours)?;

    let bootstrap = (args.bootstrap > 0).then_some(Bootstrap { replicates: args.bootstrap, seed: args.seed });
    let (scores, accuracy) = search(args, &inputs, &neighbours, Options { bootstrap, ..Options::default() })?;
    let names = &prediction.names;
    deliver(args, &Found { name: name(args), scores: Some(&scores), accuracy: accuracy.as_ref(), realism, names })
}

fn deliver(args: &cli::Score, found: &Found<'_>) -> Result<String> {
    write(args.json.as_deref(), || Ok(serde_json::to_string_pretty(&found.json()?)? + "\n"))?;
    write(args.csv.as_deref(), || Ok(found.csv()))?;
    write(args.latex.as_deref(), || Ok(found.latex()))?;
    Ok(found.text())
}

/// What the table calls the system: its name, or its file's.
fn name(args: &cli::Score) -> String {
    let file = [&args.prediction, &args.features_generated, &args.frrea_generated].into_iter().flatten().next();
    let file = file.and_then(|path| path.file_name()).unwrap_or_default();
    args.name.clone().unwrap_or_else(|| file.to_string_lossy().into_owned())
}

/// The matrix of a file, in the order of the predictions' clips where both name them; without one the identity.
pub(crate) fn neighbours_of(path: Option<&Path>, prediction: &Arrays) -> Result<Neighbours> {
    let clips = match prediction.stacked()? {
        Some(all) => all.shape()[0],
        None => prediction.names.len(),
    };
    let Some(path) = path else { return Ok(Neighbours::identity(clips)) };
    let matrix = neighbours::matrix(path, &prediction.names)?;
    Neighbours::new(matrix.view()).with_context(|| path.display().to_string())
}

/// Predictions with their AUs rounded (halves to the even side, as the published program), one array a clip.
fn rounded(prediction: &Arrays) -> Result<Vec<Array3<f32>>> {
    let round = |clip: ArrayViewD<'_, f32>| {
        let mut clip = clip.into_dimensionality::<Ix3>()?.to_owned();
        let aus = AU.end.min(clip.dim().2);
        clip.slice_mut(ndarray::s![.., .., ..aus]).mapv_inplace(f32::round_ties_even);
        Ok(clip)
    };
    prediction.clips()?.into_iter().map(round).collect()
}

/// Checks that all goes together. Where all are arrays of all clips, lengths must agree; where a clip has its own array, pairs are
/// cut to the shorter.
pub(crate) fn inputs<'a>(
    prediction: &'a Arrays,
    rounded: Option<&'a [Array3<f32>]>,
    listener: &'a Arrays,
    speaker: Option<&'a Arrays>,
    neighbours: &'a Neighbours,
) -> Result<Inputs<'a>> {
    let stacked = (prediction.stacked()?, listener.stacked()?, speaker.map(Arrays::stacked).transpose()?);
    let made = match stacked {
        (Some(p), Some(l), s) if rounded.is_none() && !matches!(s, Some(None)) => {
            Inputs::new(fixed::<Ix4>(p)?, fixed::<Ix3>(l)?, s.flatten().map(fixed::<Ix3>).transpose()?, neighbours)
        }
        (p, l, _) => {
            if let (Some(p), Some(l)) = (p, l) {
                ensure!(
                    p.shape()[2] == l.shape()[1],
                    "{}: {} frames a clip, but {} has {}",
                    prediction.path().display(),
                    p.shape()[2],
                    listener.path().display(),
                    l.shape()[1]
                );
            }
            let predictions = match rounded {
                Some(clips) => clips.iter().map(|clip| clip.view()).collect(),
                None => prediction.clips()?.into_iter().map(fixed::<Ix3>).collect::<Result<Vec<_>>>()?,
            };
            let clips = |arrays: &'a Arrays| arrays.clips()?.into_iter().map(fixed::<Ix2>).collect::<Result<Vec<_>>>();
            Inputs::from_clips(predictions, clips(listener)?, speaker.map(clips).transpose()?, neighbours)
        }
    };
    made.map_err(|error| {
        let clip = match error {
            MetricsError::NotFinite { clip, .. } => prediction.names.get(clip),
            _ => None,
        };
        let named = clip.map(|name| format!(" (clip {name})")).unwrap_or_default();
        anyhow::Error::from(error).context(format!("cannot score {}{named}", prediction.path().display()))
    })
}

fn fixed<D: Dimension>(view: ArrayViewD<'_, f32>) -> Result<ArrayView<'_, f32, D>> {
    Ok(view.into_dimensionality()?)
}

/// Scores with progress; what is found on the way is kept where `--resume` names a journal.
fn search(args: &cli::Score, inputs: &Inputs<'_>, neighbours: &Neighbours, options: Options<'_>) -> Result<(Scores, Option<Accuracy>)> {
    let failed = Mutex::new(None);
    let keep = |unit: &Unit| {
        let Some(path) = &args.resume else { return };
        let line = serde_json::to_string(unit).map_err(anyhow::Error::from);
        let kept = line.and_then(|line| Ok(react_store::append_line(path, &line)?));
        if let (Err(error), Ok(mut failed)) = (kept, failed.lock()) {
            failed.get_or_insert(error);
        }
    };
    let checkpoint = match &args.resume {
        Some(path) => {
            let known = resume::open(path, &key(inputs, neighbours))?;
            if !known.is_empty() {
                tracing::info!("{}: {} batches of predictions were searched before", path.display(), known.len());
            }
            Some(Checkpoint::new(known, &keep))
        }
        None => None,
    };
    let options = Options { checkpoint: checkpoint.as_ref(), ..options };
    let shown = Stages::default();
    let tell: OnProgress<'_> = &|progress| shown.tell(progress);
    let scores = react_metrics::score(inputs, &options, tell);
    let accuracy = args.acc.then(|| react_metrics::accuracy(inputs, &options, tell));
    match failed.into_inner() {
        Ok(Some(error)) => Err(error.context("the journal could not be kept")),
        _ => Ok((scores, accuracy)),
    }
}

/// A hash of everything that FRDist and ACC depend on.
fn key(inputs: &Inputs<'_>, neighbours: &Neighbours) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(concat!("react-metrics ", env!("CARGO_PKG_VERSION")).as_bytes());
    let mut bytes = Vec::new();
    let mut add = |shape: &[usize], values: &[f32]| {
        shape.iter().for_each(|axis| {
            hasher.update(&(*axis as u64).to_le_bytes());
        });
        for values in values.chunks(1 << 16) {
            bytes.clear();
            bytes.extend(values.iter().flat_map(|x| x.to_le_bytes()));
            hasher.update(&bytes);
        }
    };
    inputs.each_prediction(|shape, values| add(shape, values));
    inputs.each_listener(|shape, values| add(shape, values));
    for clip in 0..neighbours.clips() {
        let row: Vec<u8> = neighbours.of(clip).iter().flat_map(|j| j.to_le_bytes()).chain([255; 4]).collect();
        hasher.update(&row);
    }
    hasher.finalize().to_hex().to_string()
}

/// A bar for one stage after the other.
#[derive(Default)]
pub(crate) struct Stages(Mutex<Option<(Stage, usize, Progress)>>);

impl Stages {
    pub(crate) fn tell(&self, now: react_metrics::Progress) {
        let Ok(mut shown) = self.0.lock() else { return };
        let fresh = || (now.stage, 0, Progress::new(now.stage.name(), now.total as u64));
        let (stage, done, bar) = shown.get_or_insert_with(fresh);
        if *stage != now.stage {
            (*stage, *done, *bar) = fresh();
        }
        // Threads may tell in another order than they count.
        if now.done > *done {
            bar.advance((now.done - *done) as u64, "");
            *done = now.done;
        }
        if now.done == now.total {
            *shown = None;
        }
    }
}
