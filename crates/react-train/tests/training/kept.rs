//! Which checkpoints are kept, which weights are the best, and when a training ends early.

use crate::{files, packed, run_to, small, steps};
use react_model::weights::Tensors;
use react_train::Record;
use react_train::train::Stop;

fn validations(records: &[Record]) -> Vec<(u64, f64)> {
    let validation = |record: &Record| match record {
        Record::Validation { step, selection, .. } => Some((*step, *selection)),
        Record::Step { .. } => None,
    };
    records.iter().filter_map(validation).collect()
}

fn weights(path: &std::path::Path, prefix: &str) -> Vec<(String, Vec<f32>)> {
    let tensors = Tensors::read(path).unwrap();
    let names: Vec<_> = tensors.names().filter(|name| !name.contains('/') || !prefix.is_empty()).map(str::to_owned).collect();
    let of = |name: &String| name.strip_prefix(prefix).map(str::to_owned);
    let value = |name: &String| tensors.get(name).unwrap().flatten_all().unwrap().to_vec1().unwrap();
    names.iter().filter_map(|name| Some((of(name)?, value(name)))).collect()
}

/// The average is what was validated and kept as the best; without one the weights themselves are.
#[test]
fn the_best_weights_are_those_that_were_validated() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=1"]);
    let (run, _) = run_to(&config, &folder.path().join("average"), &Stop::never());
    assert_eq!(weights(&run.best(), ""), weights(&run.last(), "ema/"));
    assert_ne!(weights(&run.best(), ""), weights(&run.last(), ""));
    let mut config = small("demo", &packed(), &["train.epochs=1"]);
    config.train.ema = None;
    let (plain, _) = run_to(&config, &folder.path().join("plain"), &Stop::never());
    assert_eq!(weights(&plain.best(), ""), weights(&plain.last(), ""));
    assert_eq!(weights(&plain.last(), ""), weights(&run.last(), ""), "the average changes no step");
}

#[test]
fn the_best_is_the_least_selection_value() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.validate_every=1", "train.keep_every=1", "train.learning_rate=0.03"]);
    let (run, _) = run_to(&config, folder.path(), &Stop::never());
    let validations = validations(&run.records().unwrap());
    assert_eq!(validations.len(), 12);
    let least = validations.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let kept = run.kept(least.0 / 2);
    assert_eq!(weights(&run.best(), ""), weights(&kept, "ema/"), "{validations:?}");
}

#[test]
fn a_kept_checkpoint_can_be_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=4", "train.keep_every=2", "train.validate_every=1"]);
    let (run, _) = run_to(&config, folder.path(), &Stop::never());
    let before = files(&run);
    std::fs::copy(run.kept(2), run.last()).unwrap();
    let (run, trained) = run_to(&config, folder.path(), &Stop::never());
    assert_eq!(trained.steps, 4);
    assert!(before == files(&run));
}

#[test]
fn patience_ends_a_training_that_gets_no_better() {
    let folder = tempfile::tempdir().unwrap();
    // Learning backwards is not to be had; a rate that only shakes the weights is.
    let set = ["train.validate_every=1", "train.patience=2", "train.learning_rate=0.3", "train.schedule=constant", "train.ema=0.0"];
    let config = small("demo", &packed(), &set);
    let (run, trained) = run_to(&config, folder.path(), &Stop::never());
    let validations = validations(&run.records().unwrap());
    let best = validations.iter().enumerate().min_by(|a, b| a.1.1.total_cmp(&b.1.1)).unwrap().0;
    assert_eq!(validations.len(), best + 3, "two more than the best: {validations:?}");
    assert!(trained.total < trained.planned && !trained.stopped, "{trained}");
    assert_eq!(steps(&run.records().unwrap()) as u64, trained.total);
    assert!(trained.to_string().contains("no better since"));
    let (_, again) = run_to(&config, folder.path(), &Stop::never());
    assert_eq!((again.steps, again.stopped), (0, false));
}

/// The mean of the gradients of two batches is one batch's where both are the same items.
#[test]
fn a_step_has_as_many_batches_as_it_accumulates() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=1", "train.accumulate=3"]);
    let (run, trained) = run_to(&config, folder.path(), &Stop::never());
    assert_eq!((trained.planned, steps(&run.records().unwrap())), (1, 1), "3 batches of 2 items are one step");
}
