//! From a hand-made corpus to batches: one program, because linking takes longer than the tests.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod hume;
mod loader;
mod prepare;
mod tiny;
