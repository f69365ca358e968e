//! `cargo xtask bench [NAME]`: the measurements behind docs/performance.md.

mod cuda;
mod data;
mod eri;
mod metrics;
mod model;
mod viz;

use anyhow::Result;

/// Each benchmark by its name.
type Bench = fn(&[String]) -> Result<()>;
const BENCHES: [(&str, Bench); 6] =
    [("model", model::run), ("metrics", metrics::run), ("eri", eri::run), ("data", data::run), ("viz", viz::run), ("cuda", cuda::run)];

/// `words` are names of benchmarks, and flags for them; without a name all.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let (flags, names): (Vec<String>, Vec<String>) = words.iter().cloned().partition(|word| word.starts_with("--"));
    for (name, bench) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("== {name}");
            bench(&flags)?;
        }
    }
    Ok(())
}
