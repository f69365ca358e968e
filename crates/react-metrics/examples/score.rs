//! Scores two npy files and prints a table.
//!
//! ```text
//! cargo run --release -p react-metrics --example score -- PREDICTION.npy LISTENER.npy [SPEAKER.npy [NEIGHBOURS.npy]]
//! ```
//! `PREDICTION` f32 `[N, K, T, 25]`, `LISTENER` and `SPEAKER` f32 `[N, T, 25]`, `NEIGHBOURS` f64 `[N, N]` (without it the identity).
//! Without arguments it scores two made arrays.

use ndarray::{Array2, Array3, Array4};
use react_metrics::{Bootstrap, Inputs, Neighbours, Options, Published, Scores, score};

#[allow(clippy::print_stdout, reason = "a program")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let (prediction, listener): (Array4<f32>, Array3<f32>) = match files.as_slice() {
        [] => made(),
        [prediction, listener, ..] => (ndarray_npy::read_npy(prediction)?, ndarray_npy::read_npy(listener)?),
        [_] => return Err("give a prediction and a listener".into()),
    };
    let speaker: Option<Array3<f32>> = files.get(2).map(ndarray_npy::read_npy).transpose()?;
    let neighbours = match files.get(3) {
        Some(file) => Neighbours::new(ndarray_npy::read_npy::<_, Array2<f64>>(file)?.view())?,
        None => Neighbours::identity(listener.dim().0),
    };
    let inputs = Inputs::new(prediction.view(), listener.view(), speaker.as_ref().map(|s| s.view()), &neighbours)?;
    let options = Options { bootstrap: Some(Bootstrap::default()), ..Options::default() };
    println!("{}", table(&score(&inputs, &options, &|_| ())));
    Ok(())
}

fn made() -> (Array4<f32>, Array3<f32>) {
    let listener = Array3::from_shape_fn((3, 200, 25), |(i, t, c)| (t as f32 * 0.05 * (i + 1) as f32 + c as f32).sin());
    (Array4::from_shape_fn((3, 4, 200, 25), |(i, k, t, c)| listener[[i, (t + 3 * k) % 200, c]] * 0.8), listener)
}

fn table(scores: &Scores) -> String {
    let Published { fr_corr, fr_dist, fr_div, fr_var, fr_dvs, fr_syn, fr_syn_all } = scores.published;
    let sound = scores.sound;
    let rows = [
        ("FRCorr", Some(fr_corr), Some(sound.fr_corr), scores.intervals.map(|i| i.fr_corr)),
        ("FRDist", Some(fr_dist), Some(sound.fr_dist), scores.intervals.map(|i| i.fr_dist)),
        ("FRDiv", Some(fr_div), Some(sound.fr_div), scores.intervals.map(|i| i.fr_div)),
        ("FRVar", Some(fr_var), Some(sound.fr_var), scores.intervals.map(|i| i.fr_var)),
        ("FRDvs", Some(fr_dvs), Some(sound.fr_dvs), scores.intervals.map(|i| i.fr_dvs)),
        ("FRSyn", fr_syn, sound.fr_syn, scores.intervals.and_then(|i| i.fr_syn)),
        ("FRSyn_all", fr_syn_all, None, scores.intervals.and_then(|i| i.fr_syn_all)),
    ];
    let number = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.5}"));
    let mut lines = vec![format!("{:<10} {:>12} {:>26} {:>12}", "", "published", "95 % over clips", "sound")];
    for (name, published, sound, interval) in rows {
        let interval = interval.map_or("-".to_owned(), |i| format!("{:.5} … {:.5}", i.low, i.high));
        lines.push(format!("{name:<10} {:>12} {interval:>26} {:>12}", number(published), number(sound)));
    }
    lines.extend(scores.diagnostics.warnings().iter().map(|warning| format!("note: {warning}")));
    lines.push(format!("FRDist left out {:.1} % of {} pairs, provably", 100.0 * scores.pruning.share(), scores.pruning.pairs));
    lines.join("\n")
}
