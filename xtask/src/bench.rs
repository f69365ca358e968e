//! `cargo xtask bench [NAME]`: the measurements behind docs/performance.md.

use crate::run;
use anyhow::Result;

/// Each benchmark: its name and the example that measures it, in release.
const BENCHES: [(&str, &str, &str); 2] = [("model", "react-model", "step"), ("metrics", "react-metrics", "bench")];

pub(crate) fn run(names: &[String]) -> Result<()> {
    for (name, package, example) in BENCHES {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            println!("== {name}");
            run::cargo(["run", "--release", "--quiet", "--package", package, "--example", example])?;
        }
    }
    Ok(())
}
