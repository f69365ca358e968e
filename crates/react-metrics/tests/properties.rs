//! What must hold for any data.

#![allow(clippy::unwrap_used, reason = "tests")]

use ndarray::{Array2, Array3, Array4, Axis, s};
use react_metrics::*;
use react_random::Draws;

/// A named test set: predictions and listeners of the given values.
fn random(n: usize, k: usize, t: usize, seed: u64, value: impl Fn(&mut Draws) -> f32) -> (Array4<f32>, Array3<f32>) {
    let mut draws = Draws::new(seed, "test", 0, 0);
    let prediction = Array4::from_shape_simple_fn((n, k, t, 25), || value(&mut draws));
    (prediction, Array3::from_shape_simple_fn((n, t, 25), || value(&mut draws)))
}

/// Smooth reactions: a random walk in every channel.
fn smooth(n: usize, k: usize, t: usize, seed: u64) -> (Array4<f32>, Array3<f32>) {
    let (mut prediction, mut listener) = random(n, k, t, seed, Draws::normal);
    prediction.accumulate_axis_inplace(Axis(2), |before, x| *x = 0.95 * before + 0.1 * *x);
    listener.accumulate_axis_inplace(Axis(1), |before, x| *x = 0.95 * before + 0.1 * *x);
    (prediction, listener)
}

fn everyone(n: usize) -> Neighbours {
    Neighbours::new(Array2::from_elem((n, n), true).view()).unwrap()
}

fn scores(prediction: &Array4<f32>, listener: &Array3<f32>, neighbours: &Neighbours) -> Scores {
    let inputs = Inputs::new(prediction.view(), listener.view(), Some(listener.view()), neighbours).unwrap();
    score(&inputs, &Options::default(), &|_| ())
}

/// FRDist without any pruning.
fn exhaustive(prediction: &Array4<f32>, listener: &Array3<f32>, neighbours: &Neighbours) -> Vec<f64> {
    let distance = |i: usize, k: usize, j: u32| {
        reaction_distance(prediction.slice(s![i, k, .., ..]), listener.index_axis(Axis(0), j as usize)).unwrap()
    };
    let nearest = |i, k| neighbours.of(i).iter().map(|j| distance(i, k, *j)).fold(f64::INFINITY, f64::min);
    (0..prediction.dim().0).map(|i| (0..prediction.dim().1).map(|k| nearest(i, k)).sum()).collect()
}

#[test]
fn pruned_is_exhaustive_bit_for_bit() {
    let spiky = |d: &mut Draws| if d.chance(0.02) { 1.0 } else { 0.0 };
    let sets = vec![
        ("uniform", random(7, 3, 33, 1, Draws::uniform)),
        ("binary", random(6, 2, 40, 2, |d| f32::from(u8::from(d.chance(0.3))))),
        ("spikes", random(6, 2, 70, 3, spiky)),
        ("smooth", smooth(9, 3, 90, 4)),
        ("large offset, small movement", random(6, 2, 20, 5, |d| 1e6 + d.uniform())),
        ("squares overflow f32", random(5, 2, 12, 6, |d| (d.uniform() - 0.5) * 1e30)),
        ("some squares overflow f32", random(5, 2, 12, 7, |d| d.normal() * 10f32.powi(d.below(41) as i32 - 20))),
        ("squares vanish in f32", random(5, 2, 12, 8, |d| d.uniform() * 1e-30)),
        ("greatest f32", random(4, 1, 6, 9, |d| if d.chance(0.5) { f32::MAX } else { f32::MIN })),
        ("nearly tied", random(6, 2, 20, 10, |d| 0.5 + 1e-6 * d.uniform())),
        ("all the same", random(5, 3, 9, 11, |_| 0.25)),
        ("two frames", random(5, 3, 2, 12, Draws::uniform)),
        ("more rows than one ask", smooth(5, 2, 200, 13)),
        // Costs by products (both series within [0, 1]), which are wrong by more than these series are apart.
        ("nearly tied zeros and ones", random(6, 2, 60, 16, |d| f32::from(u8::from(d.chance(0.5))) + 1e-4 * d.uniform())),
        ("closer than products can tell", random(6, 2, 30, 17, |d| 0.9 + 1e-5 * d.uniform())),
        ("on both sides of the products' range", random(6, 2, 30, 18, |d| if d.chance(0.02) { 9.0 } else { d.uniform() })),
    ];
    let near = {
        // Late copies of listeners: tight bounds, so that only a narrow band of cells stays alive.
        let (mut prediction, listener) = smooth(6, 3, 150, 15);
        for ((i, k, t, c), x) in prediction.indexed_iter_mut() {
            *x = listener[[(i + k) % 6, t.saturating_sub(4 * k), c]] + 0.01 * *x;
        }
        ("near copies", (prediction, listener))
    };
    for (name, (prediction, listener)) in sets.iter().chain([&near]) {
        let neighbours = everyone(listener.dim().0);
        let found = scores(prediction, listener, &neighbours);
        let want = exhaustive(prediction, listener, &neighbours);
        for (clip, want) in found.per_clip.iter().zip(want) {
            assert_eq!(clip.published.fr_dist, want, "{name}");
        }
        assert_eq!(found.pruning.pairs as usize, prediction.dim().0 * prediction.dim().1 * listener.dim().0);
        assert!(found.pruning.computed <= found.pruning.terms && found.pruning.exact >= 1);
    }
    // Where listeners differ clearly, most pairs are indeed pruned.
    let (mut prediction, mut listener) = smooth(12, 2, 60, 14);
    for i in 0..12 {
        listener.index_axis_mut(Axis(0), i).slice_mut(s![.., 15..17]).mapv_inplace(|x| x + i as f32);
        prediction.index_axis_mut(Axis(0), i).slice_mut(s![.., .., 15..17]).mapv_inplace(|x| x + i as f32);
    }
    let found = scores(&prediction, &listener, &everyone(12));
    assert_eq!(found.published.fr_dist, exhaustive(&prediction, &listener, &everyone(12)).iter().sum::<f64>() / 12.0);
    assert!(found.pruning.share() > 0.5, "{:?}", found.pruning);
}

#[test]
fn sparse_neighbours_and_acc_are_exhaustive() {
    let (prediction, listener) = smooth(9, 3, 30, 21);
    let matrix = Array2::from_shape_fn((9, 9), |(i, j)| i == j || (i * j) % 3 == 1);
    let neighbours = Neighbours::new(matrix.view()).unwrap();
    let found = scores(&prediction, &listener, &neighbours);
    assert_eq!(found.per_clip.iter().map(|c| c.published.fr_dist).collect::<Vec<_>>(), exhaustive(&prediction, &listener, &neighbours));
    let inputs = Inputs::new(prediction.view(), listener.view(), None, &neighbours).unwrap();
    let acc = accuracy(&inputs, &Options::default(), &|_| ());
    let right = |i: usize, k: usize| {
        let distances =
            (0..9).map(|j| reaction_distance(prediction.slice(s![i, k, .., ..]), listener.index_axis(Axis(0), j)).unwrap()).enumerate();
        matrix[[i, distances.min_by(|x, y| x.1.total_cmp(&y.1)).unwrap().0]]
    };
    let want = (0..9).map(|i| (0..3).filter(|k| right(i, *k)).count() as f64 / 3.0).sum::<f64>() / 9.0;
    assert!((acc.acc - want).abs() < 1e-15 && acc.acc > 0.0);
    assert_eq!(acc.chance, neighbours.pairs() as f64 / 81.0);
}

#[test]
fn identity_gives_zero_distance_and_k() {
    let (_, listener) = smooth(4, 1, 60, 31);
    let prediction = listener.view().insert_axis(Axis(1)).broadcast((4, 5, 60, 25)).unwrap().to_owned();
    for neighbours in [Neighbours::identity(4), everyone(4)] {
        let found = scores(&prediction, &listener, &neighbours);
        assert_eq!(found.published.fr_dist, 0.0);
        assert!((found.published.fr_corr - 5.0).abs() < 1e-5 && (found.sound.fr_corr - 1.0).abs() < 1e-6);
        assert_eq!((found.published.fr_div, found.published.fr_syn, found.sound.fr_syn), (0.0, Some(0.0), Some(0.0)));
        assert_eq!(found.diagnostics.duplicates.len(), 4 * 4);
    }
}

#[test]
fn dtw_is_symmetric_and_at_most_the_straight_path() {
    let (prediction, listener) = smooth(3, 1, 25, 41);
    for i in 0..3 {
        let (a, b) = (prediction.slice(s![i, 0, .., ..]), listener.index_axis(Axis(0), i));
        assert_eq!(reaction_distance(a, b).unwrap(), reaction_distance(b, a).unwrap());
        let straight = a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum::<f64>().sqrt();
        // The least sum is taken in another order than the straight one's.
        assert!(dtw(a, b).unwrap() <= straight * (1.0 + 1e-12));
        let backwards = |x: ndarray::ArrayView2<'_, f32>| x.slice(s![..;-1, ..]).to_owned();
        let turned = dtw(backwards(a).view(), backwards(b).view()).unwrap();
        assert!((turned - dtw(a, b).unwrap()).abs() < 1e-12);
    }
}

#[test]
fn all_pairs_are_single_pairs() {
    let (_, listener) = smooth(12, 1, 70, 45);
    let clips: Vec<_> = (0..12).map(|i| listener.slice(s![i, ..70 - 5 * (i % 4), ..])).collect();
    let all = reaction_distances(&clips, InstructionSet::Best, &|_| ()).unwrap();
    assert_eq!(all, reaction_distances(&clips, InstructionSet::Portable, &|_| ()).unwrap());
    for ((i, j), distance) in all.indexed_iter() {
        let want = if i == j { 0.0 } else { reaction_distance(clips[i.min(j)], clips[i.max(j)]).unwrap() };
        assert_eq!(*distance, want, "{i} {j}");
    }
    let mut bad = listener.clone();
    bad[[1, 2, 3]] = f32::NAN;
    let error = reaction_distances(&[bad.index_axis(Axis(0), 1)], InstructionSet::Best, &|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "behaviour: clip 0, frame 2, channel 3 (AU6) is NaN");
}

#[test]
fn a_checkpoint_changes_no_bit_and_others_are_left_alone() {
    let (prediction, listener) = smooth(9, 10, 40, 46);
    let neighbours = everyone(9);
    let inputs = Inputs::new(prediction.view(), listener.view(), None, &neighbours).unwrap();
    let kept = std::sync::Mutex::new(Vec::new());
    let keep = |unit: &Unit| kept.lock().unwrap().push(unit.clone());
    let run = |known: Vec<Unit>| {
        let checkpoint = Checkpoint::new(known, &keep);
        let options = Options { checkpoint: Some(&checkpoint), ..Options::default() };
        (score(&inputs, &options, &|_| ()), accuracy(&inputs, &options, &|_| ()))
    };
    let whole = run(Vec::new());
    let mut units = std::mem::take(&mut *kept.lock().unwrap());
    assert_eq!(units.len(), 4, "90 predictions in batches of 64, for FRDist and for ACC");
    units.remove(1);
    assert_eq!(run(units.clone()), whole);
    assert_eq!(kept.lock().unwrap().len(), 1);
    // Through JSON and back; of another size or with impossible listeners they are searched again.
    units = units.iter().map(|unit| serde_json::from_str(&serde_json::to_string(unit).unwrap()).unwrap()).collect();
    units[0].nearest[3].listener = 9;
    units[1].nearest.pop();
    assert_eq!(run(units), whole);
}

#[test]
fn clips_and_samples_may_be_permuted() {
    let (prediction, listener) = smooth(6, 3, 40, 51);
    let matrix = Array2::from_shape_fn((6, 6), |(i, j)| i == j || (2 * i + j) % 3 == 0);
    let order = [3, 0, 5, 1, 4, 2];
    let permuted = prediction.select(Axis(0), &order).select(Axis(1), &[2, 0, 1]);
    let before = scores(&prediction, &listener, &Neighbours::new(matrix.view()).unwrap());
    let shuffled = matrix.select(Axis(0), &order).select(Axis(1), &order);
    let after = scores(&permuted, &listener.select(Axis(0), &order), &Neighbours::new(shuffled.view()).unwrap());
    let (b, a) = (before.published, after.published);
    let pairs = [(b.fr_corr, a.fr_corr), (b.fr_dist, a.fr_dist), (b.fr_div, a.fr_div), (b.fr_var, a.fr_var), (b.fr_dvs, a.fr_dvs)];
    for (x, y) in pairs.into_iter().chain([(b.fr_syn_all.unwrap(), a.fr_syn_all.unwrap())]) {
        assert!((x - y).abs() < 1e-12 * x.abs().max(1.0), "{x} {y}");
    }
    for (i, from) in order.into_iter().enumerate() {
        let (x, y) = (before.per_clip[from].published.fr_dist, after.per_clip[i].published.fr_dist);
        assert!((x - y).abs() < 1e-12);
    }
}

#[test]
fn closed_forms_are_the_sums_over_pairs() {
    let (prediction, _) = random(5, 4, 7, 61, |d| 100.0 + d.uniform());
    let squared = |a: (usize, usize), b: (usize, usize)| {
        let (a, b) = (prediction.slice(s![a.0, a.1, .., ..]), prediction.slice(s![b.0, b.1, .., ..]));
        a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>()
    };
    let mut div = 0.0;
    let mut dvs = 0.0;
    for i in 0..5 {
        for a in 0..4 {
            (0..4).for_each(|b| div += squared((i, a), (i, b)));
            (0..5).for_each(|j| dvs += squared((i, a), (j, a)));
        }
    }
    let values = (7 * 25) as f64;
    assert!((fr_div(prediction.view()).unwrap() - div / (5.0 * 12.0 * values)).abs() < 1e-13);
    assert!((fr_dvs(prediction.view()).unwrap() - dvs / (20.0 * 4.0 * values)).abs() < 1e-13);
}

#[test]
fn smallest_inputs() {
    // N = 1, K = 1, T = 2.
    let (prediction, listener) = random(1, 1, 2, 71, Draws::uniform);
    let found = scores(&prediction, &listener, &Neighbours::identity(1));
    assert_eq!((found.published.fr_div, found.published.fr_dvs), (0.0, 0.0));
    assert!(found.published.fr_var > 0.0 && found.published.fr_dist > 0.0);
    // At lag −49 nothing overlaps: NaN, and the first NaN wins. The sound form asks for 25 frames.
    assert_eq!((found.published.fr_syn, found.sound.fr_syn), (Some(49.0), None));
    let json = serde_json::to_string(&found).unwrap();
    assert!(!json.contains("NaN"));
}

#[test]
fn constant_everything() {
    let (prediction, listener) = (Array4::from_elem((3, 2, 80, 25), 0.5), Array3::from_elem((3, 80, 25), 0.5));
    let found = scores(&prediction, &listener, &everyone(3));
    let p = found.published;
    assert_eq!((p.fr_corr, p.fr_dist, p.fr_div, p.fr_var, p.fr_dvs), (0.0, 0.0, 0.0, 0.0, 0.0));
    assert_eq!((p.fr_syn, found.sound.fr_syn, found.sound.predictions_without_fr_syn), (Some(49.0), None, Some(6)));
    assert_eq!((found.diagnostics.frozen.len(), found.diagnostics.constant_channels.len()), (6, 25));
    assert_eq!((found.diagnostics.offset_share, found.diagnostics.nan_lags), (None, Some(6)));
    assert_eq!(found.diagnostics.warnings().len(), 4);
}

#[test]
fn one_constant_channel_gives_49_in_the_published_form_only() {
    let wave = |t: usize, c: usize| (t as f32 * (0.21 + 0.01 * c as f32)).sin();
    let speaker = Array3::from_shape_fn((1, 300, 25), |(_, t, c)| wave(t + 5, c));
    let mut prediction = Array4::from_shape_fn((1, 1, 300, 25), |(.., t, c)| wave(t, c)); // 5 frames late
    let syn = |prediction: &Array4<f32>| {
        let neighbours = Neighbours::identity(1);
        let inputs = Inputs::new(prediction.view(), speaker.view(), Some(speaker.view()), &neighbours).unwrap();
        let found = score(&inputs, &Options::default(), &|_| ());
        (found.published.fr_syn, found.sound.fr_syn)
    };
    assert_eq!(syn(&prediction), (Some(5.0), Some(5.0)));
    prediction.slice_mut(s![.., .., .., 3]).fill(1.0);
    assert_eq!(syn(&prediction), (Some(49.0), Some(5.0)));
    // Constant in some overlaps only: from lag 20 on prediction[lag..] has channel 3 constant, so NaN wins at lag 20.
    prediction.slice_mut(s![.., .., ..20, 3]).fill(0.0);
    assert_eq!(syn(&prediction), (Some(20.0), Some(5.0)));
}

#[test]
fn correlations_survive_cancellation() {
    // One early spike of 1e4 dwarfs a movement of 1; overlaps without it must still see the movement.
    let wave = |t: usize| (t as f32 * 0.3).sin();
    let speaker = Array3::from_shape_fn((1, 200, 25), |(_, t, _)| if t == 0 { 1e7 } else { wave(t + 4) });
    let prediction = Array4::from_shape_fn((1, 1, 200, 25), |(.., t, _)| if t == 0 { 1e7 } else { wave(t) });
    // Lag 0 pairs the spikes: r = 1 there.
    assert_eq!(fr_syn(prediction.view(), speaker.view()).unwrap(), 0.0);
    let mut speaker = speaker;
    speaker.slice_mut(s![.., 0, ..]).fill(wave(4));
    assert_eq!(fr_syn(prediction.view(), speaker.view()).unwrap(), 4.0);
}

#[test]
fn clips_of_one_length_are_the_same_in_both_forms() {
    let (prediction, listener) = smooth(5, 2, 60, 81);
    let neighbours = everyone(5);
    let clips = |cut: &dyn Fn(usize) -> usize| {
        let predictions = (0..5).map(|i| prediction.slice(s![i, .., ..cut(i), ..])).collect();
        let listeners: Vec<_> = (0..5).map(|i| listener.slice(s![i, ..cut(4 - i), ..])).collect();
        let inputs = Inputs::from_clips(predictions, listeners.clone(), Some(listeners), &neighbours).unwrap();
        score(&inputs, &Options::default(), &|_| ())
    };
    assert_eq!(clips(&|_| 60), scores(&prediction, &listener, &neighbours));

    // Of different lengths: every pair is cut to the shorter, FRDvs to the shortest prediction.
    let lengths = [60, 31, 44, 60, 52];
    let found = clips(&|i| lengths[i]);
    for (i, clip) in found.per_clip.iter().enumerate() {
        let (mut corr, mut dist) = (0.0, 0.0);
        for k in 0..2 {
            let pair = |j: usize| {
                let frames = lengths[i].min(lengths[4 - j]);
                (prediction.slice(s![i, k, ..frames, ..]), listener.slice(s![j, ..frames, ..]))
            };
            let mean_ccc = |j| {
                let (p, l) = pair(j);
                (0..25).map(|c| ccc(p.column(c), l.column(c)).unwrap()).sum::<f64>() / 25.0
            };
            corr += (0..5).map(mean_ccc).fold(f64::MIN, f64::max);
            dist += (0..5).map(|j| reaction_distance(pair(j).0, pair(j).1).unwrap()).fold(f64::MAX, f64::min);
        }
        assert!((clip.published.fr_corr - corr).abs() < 1e-12, "{i}");
        assert_eq!(clip.published.fr_dist, dist, "{i}");
        let own = prediction.slice(s![i..=i, .., ..lengths[i], ..]);
        assert_eq!((clip.published.fr_div, clip.published.fr_var), (fr_div(own).unwrap(), fr_var(own).unwrap()));
    }
    assert_eq!(found.published.fr_dvs, fr_dvs(prediction.slice(s![.., .., ..31, ..])).unwrap());
}

#[test]
fn layout_does_not_matter() {
    let (prediction, listener) = smooth(3, 2, 30, 91);
    let turned = prediction.view().permuted_axes([3, 1, 0, 2]).as_standard_layout().into_owned();
    let neighbours = everyone(3);
    let inputs = Inputs::new(turned.view().permuted_axes([2, 1, 3, 0]), listener.view(), None, &neighbours).unwrap();
    let straight = Inputs::new(prediction.view(), listener.view(), None, &neighbours).unwrap();
    let score = |inputs| score(inputs, &Options::default(), &|_| ());
    assert_eq!(score(&inputs), score(&straight));
}

#[test]
fn threads_and_instructions_change_no_bit() {
    let (prediction, listener) = smooth(10, 8, 100, 101);
    let neighbours = everyone(10);
    let scored = |threads, instructions| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let inputs = Inputs::new(prediction.view(), listener.view(), Some(listener.view()), &neighbours).unwrap();
            score(&inputs, &Options { bootstrap: Some(Bootstrap { replicates: 20, seed: 3 }), instructions, ..Options::default() }, &|_| ())
        })
    };
    let one = scored(1, InstructionSet::Best);
    for threads in [2, 5] {
        assert_eq!(scored(threads, InstructionSet::Best), one, "{threads} threads");
    }
    for instructions in [InstructionSet::Avx2, InstructionSet::Portable] {
        let mut other = scored(2, instructions);
        other.pruning = one.pruning; // how far a pair was screened in f32 may differ, never what came of it
        assert_eq!(other, one, "{instructions:?}");
    }
}

#[test]
fn progress_reaches_its_total() {
    use std::sync::Mutex;
    let (prediction, listener) = smooth(5, 2, 10, 111);
    let last = Mutex::new(Vec::new());
    let neighbours = everyone(5);
    let inputs = Inputs::new(prediction.view(), listener.view(), None, &neighbours).unwrap();
    let _ = score(&inputs, &Options::default(), &|p| {
        if p.done == p.total {
            last.lock().unwrap().push(p.stage);
        }
    });
    assert_eq!(*last.lock().unwrap(), [Stage::Clips, Stage::Diversity, Stage::Distance]);
}

#[test]
fn wrong_inputs_are_named() {
    let (prediction, listener) = random(3, 2, 5, 121, Draws::uniform);
    let neighbours = Neighbours::identity(3);
    let message = |p: &Array4<f32>, l: &Array3<f32>, s: Option<&Array3<f32>>, n: &Neighbours| {
        Inputs::new(p.view(), l.view(), s.map(|s| s.view()), n).err().map(|e| e.to_string()).unwrap_or_default()
    };
    assert_eq!(message(&prediction, &listener, Some(&listener), &neighbours), "");
    let narrow = prediction.slice(s![.., .., .., ..24]).to_owned();
    assert_eq!(message(&narrow, &listener, None, &neighbours), "prediction: expected shape [N, K, T, 25], got [3, 2, 5, 24]");
    let short = listener.slice(s![.., ..4, ..]).to_owned();
    assert_eq!(message(&prediction, &listener, Some(&short), &neighbours), "speaker: expected shape [3, 5, 25], got [3, 4, 25]");
    let small = Neighbours::identity(2);
    assert_eq!(message(&prediction, &listener, None, &small), "rows of neighbours: expected 3 (as predictions), got 2");
    let mut bad = prediction.clone();
    bad[[2, 1, 4, 15]] = f32::NAN;
    bad[[1, 0, 3, 4]] = f32::INFINITY;
    let want = "prediction: clip 1, sample 0, frame 3, channel 4 (AU7) is inf";
    assert_eq!(message(&bad, &listener, None, &neighbours), want);
    bad[[1, 0, 3, 4]] = 0.0;
    assert_eq!(message(&bad, &listener, None, &neighbours), "prediction: clip 2, sample 1, frame 4, channel 15 (valence) is NaN");
    let mut bad = listener.clone();
    bad[[0, 1, 24]] = f32::NAN;
    assert_eq!(message(&prediction, &bad, None, &neighbours), "listener: clip 0, frame 1, channel 24 (Contempt) is NaN");
    let none = Array4::zeros((3, 0, 5, 25));
    assert_eq!(message(&none, &listener, None, &neighbours), "samples: expected at least 1, got 0");
    let one = prediction.slice(s![.., .., ..1, ..]).to_owned();
    let one_listener = listener.slice(s![.., ..1, ..]).to_owned();
    assert_eq!(message(&one, &one_listener, None, &neighbours), "frames of the prediction of clip 0: expected at least 2, got 1");
    let matrix = |a: ndarray::Array2<f64>| Neighbours::new(a.view()).unwrap_err().to_string();
    assert_eq!(matrix(Array2::from_elem((2, 2), 0.5)), "neighbours: row 0, column 0 must be 0 or 1, is 0.5");
    assert_eq!(matrix(Array2::ones((2, 3))), "neighbours: expected shape [N, N], got [2, 3]");
}

#[test]
fn baselines_reach_their_published_levels() {
    let (_, listener) = smooth(6, 1, 300, 131);
    let (_, speaker) = smooth(6, 1, 300, 132);
    let mean = MeanReaction::new(listener.outer_iter()).unwrap();
    let baselines = Baselines { samples: 4, seed: 9, mean: Some(&mean) };
    let neighbours = Neighbours::identity(6);
    for baseline in Baseline::ALL {
        let prediction = baselines.stack(baseline, listener.view(), Some(speaker.view())).unwrap();
        let inputs = Inputs::new(prediction.view(), listener.view(), Some(speaker.view()), &neighbours).unwrap();
        let found = score(&inputs, &Options::default(), &|_| ());
        let p = found.published;
        match baseline {
            Baseline::GroundTruth => assert_eq!((p.fr_dist, p.fr_div), (0.0, 0.0)),
            Baseline::Random => {
                assert!((p.fr_div - 1.0 / 6.0).abs() < 1e-3 && (p.fr_var - 1.0 / 12.0).abs() < 1e-3);
                assert!((p.fr_dvs - 1.0 / 6.0).abs() < 1e-3);
                assert_eq!(prediction, baselines.stack(baseline, listener.view(), None).unwrap());
            }
            Baseline::Mime => assert_eq!((p.fr_syn_all, p.fr_div), (Some(0.0), 0.0)),
            Baseline::MeanSequence => assert_eq!((p.fr_div, p.fr_dvs), (0.0, 0.0)),
            Baseline::MeanFrame => assert_eq!((p.fr_var, p.fr_dvs, p.fr_syn), (0.0, 0.0, Some(49.0))),
        }
    }
    assert!(Baselines { mean: None, ..baselines }.stack(Baseline::MeanFrame, listener.view(), None).is_err());
    let error = baselines.stack(Baseline::Mime, listener.view(), None).unwrap_err();
    assert_eq!(error.to_string(), "Mime needs the speakers' attributes [N, T, 25]");
}
