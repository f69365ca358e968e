//! Training batches from a packed corpus: what is in them, and that they depend on (seed, epoch, step) alone.

use crate::tiny::{FRAMES, Tiny, coeffs_of, emotion};
use ndarray::{Axis, s};
use react_data::{Cut, HostBatch, Loader, LoaderConfig, Packed, PackedSplit, Prefetch, Role};
use std::sync::Arc;

fn train(tiny: &Tiny) -> Arc<PackedSplit> {
    tiny.prepare("out", 0).unwrap();
    Arc::new(Packed::open(&tiny.out("out")).unwrap().split("train").unwrap())
}

fn loader(split: &Arc<PackedSplit>, batch: usize, clip_length: usize) -> Loader {
    Loader::new(Arc::clone(split), LoaderConfig { batch, clip_length, seed: 7 }).unwrap()
}

fn same(a: &HostBatch, b: &HostBatch) -> bool {
    a.speaker_video().get() == b.speaker_video().get()
        && a.speaker_audio().get() == b.speaker_audio().get()
        && a.speaker_emotion().get() == b.speaker_emotion().get()
        && a.listener_emotion().get() == b.listener_emotion().get()
        && a.listener_3dmm().get() == b.listener_3dmm().get()
}

/// The seed of the hand-made clip that an item's role holds: item i of n is pair i mod n, mirrored in the second half.
fn clip_seed(item: usize, listener: bool) -> usize {
    2 * (item % 3) + usize::from(listener != (item >= 3))
}

#[test]
fn a_batch_is_its_cuts() {
    let tiny = Tiny::new();
    let split = train(&tiny);
    let cuts = [Cut { item: 0, start: 2, swap: false }, Cut { item: 4, start: 0, swap: true }];
    let batch = split.batch(&cuts, 6).unwrap();
    assert_eq!(batch.speaker_video().get().dim(), (2, 6, 24, 24, 3));
    assert_eq!(batch.speaker_audio().get().dim(), (2, 6, 78));
    // Item 4 is pair 1 mirrored, and swapped it is pair 1 as given.
    for (i, (speaker, listener, start)) in [(0, 1, 2), (2, 3, 0)].into_iter().enumerate() {
        let rows = s![start..start + 6, ..];
        assert_eq!(batch.speaker_emotion().get().index_axis(Axis(0), i), emotion(speaker, FRAMES).slice(rows));
        assert_eq!(batch.listener_emotion().get().index_axis(Axis(0), i), emotion(listener, FRAMES).slice(rows));
        let coeffs = coeffs_of(listener, FRAMES).mapv(|x| x as f32).index_axis_move(Axis(1), 0);
        let target = &coeffs.slice(rows) - split.mean_face();
        assert_eq!(batch.listener_3dmm().get().index_axis(Axis(0), i), target);
        let clip = split.clips().iter().find(|clip| clip.emotion().unwrap()[[0, 15]] == speaker as f32 / 64.0).unwrap();
        assert_eq!(batch.speaker_video().get().index_axis(Axis(0), i), clip.frames().unwrap().slice(s![start..start + 6, .., .., ..]));
        assert_eq!(batch.speaker_audio().get().index_axis(Axis(0), i), clip.audio().unwrap().slice(rows));
    }
}

#[test]
fn a_file_that_is_cut_while_it_is_in_use_is_an_error() {
    let tiny = Tiny::new();
    let split = train(&tiny);
    let cut = [Cut { item: 0, start: 0, swap: false }];
    split.batch(&cut, 4).unwrap();
    for modality in ["frames", "audio", "emotion", "coeffs"] {
        let listener = modality == "emotion" || modality == "coeffs";
        let clip = split.clip(0, if listener { Role::Listener } else { Role::Speaker }).unwrap();
        let path = tiny.out("out").join("train").join(modality).join(format!("{}.npy", clip.id()));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_len(200).unwrap();
        let error = split.batch(&cut, 4).unwrap_err().to_string();
        let want = format!("it was cut from {} bytes to 200 while it was in use", bytes.len());
        assert!(error.contains(path.to_str().unwrap()) && error.ends_with(&want), "{error}");
        // Grown again, its map holds what was written.
        std::fs::write(&path, &bytes).unwrap();
        split.batch(&cut, 4).unwrap();
    }
}

#[test]
fn whole_clips_for_evaluation_keep_their_roles() {
    let tiny = Tiny::new();
    let split = train(&tiny);
    let batch = split.whole(&[1, 5]).unwrap();
    assert_eq!(batch.listener_emotion().get().dim(), (2, FRAMES, 25));
    assert_eq!(batch.speaker_emotion().get()[[0, 0, 15]] * 64.0, clip_seed(1, false) as f32);
    assert_eq!(batch.speaker_emotion().get()[[1, 0, 15]] * 64.0, clip_seed(5, false) as f32);
    let listeners = split.emotion(Role::Listener, 8).unwrap();
    assert_eq!(listeners.dim(), (6, 8, 25));
    let first: Vec<_> = listeners.slice(s![.., 0, 15]).iter().map(|valence| valence * 64.0).collect();
    assert_eq!(first, [1.0, 3.0, 5.0, 0.0, 2.0, 4.0]);
    let coeffs = split.coeffs(Role::Speaker, 3).unwrap();
    assert_eq!(coeffs[[2, 1, 4]], 400.0 + 1.0 + 4.0 / 64.0 - 2.0);
    assert_eq!(
        split.emotion(Role::Listener, 11).unwrap_err().to_string(),
        "loader: 11 frames wanted of every clip of the split train, the shortest has 10"
    );
}

#[test]
fn an_epoch_is_every_item_once_in_an_order_of_its_own() {
    let tiny = Tiny::new();
    let loader = loader(&train(&tiny), 4, 4);
    assert_eq!(loader.steps_per_epoch(), 2);
    let order = |epoch| -> Vec<usize> { (0..2).flat_map(|step| loader.cuts(epoch, step).unwrap().0).map(|cut| cut.item).collect() };
    let mut orders = Vec::new();
    for epoch in 0..6 {
        let mut items = order(epoch);
        assert_eq!(items, order(epoch));
        orders.push(items.clone());
        items.sort_unstable();
        assert_eq!(items, [0, 1, 2, 3, 4, 5]);
    }
    orders.sort();
    orders.dedup();
    assert!(orders.len() > 3, "{orders:?}");
    assert_eq!(loader.batch(0, 1).unwrap().speaker_video().batch(), 2);
    assert_eq!(loader.batch(0, 2).unwrap_err().to_string(), "loader: there is no step 2 in an epoch of 2");
}

#[test]
fn cuts_reach_every_start_and_half_the_items_swap() {
    let tiny = Tiny::new();
    let loader = loader(&train(&tiny), 6, 8);
    let mut starts = [0; 3];
    let mut swaps = 0;
    for epoch in 0..200 {
        for cut in loader.cuts(epoch, 0).unwrap().0 {
            starts[cut.start] += 1;
            swaps += usize::from(cut.swap);
        }
    }
    assert!(starts.iter().all(|n| (330..470).contains(n)), "{starts:?}");
    assert!((530..670).contains(&swaps), "{swaps} of 1200");
}

#[test]
fn a_batch_is_cut_to_its_shortest_item() {
    let tiny = Tiny::new();
    tiny.write_clip("train", "NoXI/c1/Novice/1", 1, 7);
    let split = train(&tiny);
    assert_eq!(split.common_frames(), 7);
    let loader = loader(&split, 6, 100);
    let (cuts, frames) = loader.cuts(3, 0).unwrap();
    assert_eq!(frames, 7);
    assert!(cuts.iter().filter(|cut| cut.item % 3 == 0).all(|cut| cut.start == 0));
    assert_eq!(loader.batch(3, 0).unwrap().speaker_video().frames(), 7);
}

#[test]
fn batches_do_not_depend_on_workers_or_where_one_begins() {
    let tiny = Tiny::new();
    let loader = loader(&train(&tiny), 2, 5);
    let alone: Vec<_> = (0..7).map(|step| loader.at(step).unwrap()).collect();
    for (workers, depth) in [(1, 1), (2, 3), (8, 2)] {
        let ahead: Vec<_> = Prefetch::new(loader.clone(), 0..7, workers, depth).unwrap().map(Result::unwrap).collect();
        assert!(ahead.len() == 7 && alone.iter().zip(&ahead).all(|(a, b)| same(a, b)), "{workers} workers");
    }
    let later: Vec<_> = Prefetch::new(loader.clone(), 4..7, 2, 2).unwrap().map(Result::unwrap).collect();
    assert!(later.len() == 3 && alone[4..].iter().zip(&later).all(|(a, b)| same(a, b)));
    assert!(!same(&alone[0], &alone[3]), "epochs differ");
    // Dropped in the middle, its threads end.
    let mut ahead = Prefetch::new(loader, 0..1_000_000, 3, 4).unwrap();
    assert!(same(&ahead.next().unwrap().unwrap(), &alone[0]));
}

#[test]
fn what_cannot_be_is_an_error() {
    let tiny = Tiny::new();
    let split = train(&tiny);
    let config = |batch, clip_length| Loader::new(Arc::clone(&split), LoaderConfig { batch, clip_length, seed: 0 });
    assert!(config(0, 4).is_err() && config(4, 0).is_err());
    let error = |cut, t| split.batch(&[cut], t).unwrap_err().to_string();
    assert_eq!(error(Cut { item: 6, start: 0, swap: false }, 1), "loader: there is no item 6 in the split train, only 6");
    assert_eq!(error(Cut { item: 0, start: 5, swap: false }, 6), "loader: 6 frames from frame 5 on wanted of item 0, which has 10");
    assert!(error(Cut { item: 0, start: usize::MAX, swap: true }, 2).contains("which has 10"));
    assert!(split.batch(&[], 1).is_err());
    let packed = Packed::open(&tiny.out("out")).unwrap();
    assert!(packed.split("test").unwrap_err().to_string().ends_with("there is no split \"test\"; there are train, val"));
    // A packed file of another shape is named when the split is opened.
    let path = tiny.out("out").join("val/coeffs/UDIVA/038/Talk/FC1/1.npy");
    react_store::write_npy(&path, &ndarray::Array2::<f32>::zeros((9, 58))).unwrap();
    assert!(packed.split("val").unwrap_err().to_string().ends_with("FC1/1.npy: wanted an array f32 [10, 58], found [9, 58]"));
}
