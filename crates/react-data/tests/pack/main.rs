//! From a hand-made corpus to batches: one program, because linking takes longer than the tests.

#![allow(clippy::unwrap_used, reason = "everything here is a test")]

mod cut;
mod doctor;
mod hume;
mod loader;
mod mars;
mod prepare;
mod store;
mod tiny;
