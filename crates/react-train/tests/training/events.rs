//! TensorBoard's events follow the records.

use crate::{packed, run_to, small};
use react_train::train::Stop;
use react_viz::tensorboard::Events;

#[test]
fn events_are_made_where_they_are_wished_for() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=1"]);
    let (run, _) = run_to(&config, &folder.path().join("without"), &Stop::never());
    assert!(!run.events().exists());
    let config = small("demo", &packed(), &["train.epochs=1", "train.tensorboard=true"]);
    let (run, _) = run_to(&config, &folder.path().join("with"), &Stop::never());
    let events = Events::resume(&run.events(), u64::MAX).unwrap().unwrap();
    assert_eq!(events.count(), run.records().unwrap().len());
}

/// After a power cut the events can be behind the checkpoint, or damaged: they are made again from the records.
#[test]
fn lost_events_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = small("demo", &packed(), &["train.epochs=2", "train.tensorboard=true"]);
    for damage in [|bytes: &mut Vec<u8>| bytes.truncate(300), |bytes: &mut Vec<u8>| bytes[250] ^= 1, Vec::clear] {
        let place = tempfile::tempdir_in(folder.path()).unwrap();
        let (run, _) = run_to(&config, place.path(), &Stop::after(3));
        let mut bytes = std::fs::read(run.events()).unwrap();
        damage(&mut bytes);
        std::fs::write(run.events(), bytes).unwrap();
        run_to(&config, place.path(), &Stop::never());
        let events = Events::resume(&run.events(), u64::MAX).unwrap().unwrap();
        assert_eq!((events.count(), events.last_step()), (run.records().unwrap().len(), 4));
    }
}
