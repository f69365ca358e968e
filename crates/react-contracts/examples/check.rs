//! Checks the shape of an array and shows the error of a wrong one.
#![allow(clippy::print_stdout)]

use ndarray::Array3;
use react_contracts::{Emotion, channels};

fn main() {
    for attributes in [25, 26] {
        match Emotion::new(Array3::<f32>::zeros((1, 750, attributes))) {
            Ok(emotion) => println!("{} frames of {}", emotion.frames(), channels::EMOTION.join(", ")),
            Err(error) => println!("{error}"),
        }
    }
}
