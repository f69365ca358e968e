//! Prints the learning rate of every epoch of a preset on a split of 24 batches:
//! `cargo run -p react-train --example learning_rate demo train.schedule=step train.milestones=[20,40]`
#![allow(clippy::print_stdout, reason = "an example's voice")]

use react_train::train::Plan;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let preset = args.next().unwrap_or_else(|| "demo".to_owned());
    let train = react_train::Config::load(&preset, &args.collect::<Vec<_>>())?.train;
    let plan = Plan::new(&train, 24);
    for epoch in 0..u64::from(train.epochs) {
        println!("{epoch:4} {:.6}", train.learning_rate_at(epoch * plan.steps_per_epoch(), &plan));
    }
    Ok(())
}
