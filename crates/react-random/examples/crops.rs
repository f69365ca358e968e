//! Prints where the crops of an epoch's first steps begin: the same on every machine.
#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use react_random::Draws;

fn main() {
    for step in 0..5 {
        println!("step {step}: frame {}", Draws::new(7, "crop", 0, step).below(751 - 256 + 1));
    }
}
