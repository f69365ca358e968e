//! Prints shape and element of npy files: `cargo run -p react-store --example header FILE…`
#![allow(clippy::print_stdout)]

fn main() {
    for path in std::env::args_os().skip(1) {
        match react_store::read_npy_header(path.as_ref()) {
            Ok(header) => println!("{}: {} {:?}", path.display(), header.element, header.shape),
            Err(error) => println!("{error}"),
        }
    }
}
