//! A training that is stopped anywhere ends with the bits of an undisturbed one.

use crate::{files, packed, run_to, small, steps};
use react_random::Draws;
use react_train::train::Stop;
use react_viz::tensorboard::Events;

/// Stops the training after each of `count` random numbers of steps, goes on, and compares every file.
fn from_random_steps(preset: &str, count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let config = small(preset, &packed(), &["train.keep_every=5", "train.tensorboard=true"]);
    let (whole, trained) = run_to(&config, &folder.path().join("whole"), &Stop::never());
    assert_eq!((trained.steps, trained.total, trained.planned, trained.stopped), (24, 24, 24, false));
    let want = files(&whole);
    let names: Vec<_> = want.iter().map(|(name, _)| name.as_str()).collect();
    let kept = ["best.safetensors", "config.toml", "epoch-0005.safetensors", "epoch-0010.safetensors", "last.safetensors", "metrics.jsonl"];
    assert_eq!(names, kept);

    let mut stops: Vec<u64> = (1..24).collect();
    Draws::new(1, "stops", 0, 0).shuffle(&mut stops);
    for step in stops.into_iter().take(count) {
        let place = folder.path().join(format!("{step}"));
        let (cut, trained) = run_to(&config, &place, &Stop::after(step));
        assert_eq!((trained.total, trained.stopped), (step, true));
        assert_eq!(trained.or_interrupted().unwrap_err().steps, step);
        assert_eq!(steps(&cut.records().unwrap()), step as usize);
        let (_, trained) = run_to(&config, &place, &Stop::never());
        assert_eq!((trained.steps, trained.stopped), (24 - step, false));
        for ((name, want), (found, bytes)) in want.iter().zip(files(&cut)) {
            assert!(*name == found && *want == bytes, "{preset}, stopped after step {step}: {name} differs");
        }
        let events = Events::resume(&cut.events(), u64::MAX).unwrap().unwrap();
        assert_eq!((events.count(), events.last_step()), (whole.records().unwrap().len(), 24));
    }
}

#[test]
fn offline_from_twenty_random_steps() {
    from_random_steps("demo", 20);
}

#[test]
fn online_from_twenty_random_steps() {
    from_random_steps("online-demo", 20);
}

#[test]
fn a_finished_training_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=2"]);
    let (run, _) = run_to(&config, folder.path(), &Stop::never());
    let modified = || std::fs::metadata(run.last()).unwrap().modified().unwrap();
    let (before, when) = (files(&run), modified());
    let (_, trained) = run_to(&config, folder.path(), &Stop::never());
    assert_eq!((trained.steps, trained.total), (0, 4));
    assert!(before == files(&run) && when == modified());
}

/// What changes no number may change between two calls; what does may not.
#[test]
fn only_the_same_training_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    run_to(&small("demo", &packed(), &["train.epochs=2"]), folder.path(), &Stop::after(1));
    let housekeeping = ["train.epochs=2", "train.save_every_steps=1", "train.keep_every=1", "train.tensorboard=true", "evaluate.samples=2"];
    let (run, trained) = run_to(&small("demo", &packed(), &housekeeping), folder.path(), &Stop::after(3));
    assert_eq!(trained.total, 3);
    let records = run.records().unwrap();
    let events = Events::resume(&run.events(), u64::MAX).unwrap().unwrap();
    assert_eq!((events.count(), events.last_step()), (records.len(), 3), "events that were wished for later hold the earlier steps too");
    for other in ["train.ema=0.5", "train.decay_biases_and_norms=false", "seed=12", "model.width=16"] {
        let config = small("demo", &packed(), &["train.epochs=2", other]);
        let error = react_train::train::train(&config, &run, &Stop::never()).unwrap_err().to_string();
        let key = if other.starts_with("train") { "train" } else { other.split(['.', '=']).next().unwrap() };
        assert!(error.contains(&format!("was trained with another {key}")), "{error}");
    }
}

/// A kill between a step and its checkpoint leaves records that no checkpoint has, perhaps half of one.
#[test]
fn records_beyond_the_checkpoint_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=3"]);
    let (whole, _) = run_to(&config, &folder.path().join("whole"), &Stop::never());
    let (cut, _) = run_to(&config, &folder.path().join("cut"), &Stop::after(2));
    let text = std::fs::read_to_string(whole.metrics_file()).unwrap();
    let lines: Vec<_> = text.split_inclusive('\n').collect();
    std::fs::write(cut.metrics_file(), [lines[..4].concat().as_str(), &lines[4][..20]].concat()).unwrap();
    run_to(&config, cut.folder(), &Stop::never());
    assert!(files(&whole) == files(&cut));
}
