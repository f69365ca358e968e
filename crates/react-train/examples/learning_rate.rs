//! Prints the learning rate of every tenth step of a preset: `cargo run -p react-train --example learning_rate demo`
#![allow(clippy::print_stdout)]

fn main() -> anyhow::Result<()> {
    let preset = std::env::args().nth(1).unwrap_or_else(|| "demo".to_owned());
    let config = react_train::Config::load(&preset, &[])?;
    for step in (0..=200).step_by(10) {
        println!("{step:4} {:.6}", config.train.learning_rate_at(step, 200));
    }
    Ok(())
}
