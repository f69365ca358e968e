//! Packs a corpus and prints what became of it: `cargo run -p react-data --example prepare -- CORPUS ROOT OUT`.

#![allow(clippy::print_stdout, reason = "an example speaks to its user")]

use react_data::{Packed, PrepareConfig, Recipe, prepare};
use std::env::args;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let [corpus, root, out] = args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "usage: prepare CORPUS ROOT OUT")?;
    let recipe = Recipe::named(&corpus)?;
    let config = PrepareConfig::new(recipe, root, out);
    let report = prepare(&config, &())?;
    print!("{}", std::fs::read_to_string(&report.manifest)?);
    println!("{report}");

    let packed = Packed::open(&config.out)?;
    for name in &packed.info().splits {
        let split = packed.split(name)?;
        println!("{name}: {} pairs, {} clips, at least {} frames each", split.pairs(), split.clips().len(), split.common_frames());
    }
    Ok(())
}
