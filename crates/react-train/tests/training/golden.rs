//! Golden losses: every number of two short trainings, bit by bit.
//!
//! They depend on the corpus in tests/fixtures/golden/packed, the code, the C library's exponential, and on whether the processor fuses
//! multiplication and addition: AVX-512 and AVX2 give the same bits, the plain kernels others. After a change that is meant to change
//! them: `REACT_BLESS=1 cargo test -p react-train --test training golden`, and once more with `REACT_ISA=baseline`.

use crate::{golden_folder, packed, run_to, small};
use react_model::ops::{Isa, isa};
use react_train::Record;
use react_train::train::Stop;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize, Serialize, PartialEq)]
struct Golden {
    /// BLAKE3 of `last.safetensors` without its notes: all weights, moments and averages.
    weights: String,
    records: Vec<Record>,
}

fn golden(preset: &str, threads: usize) -> Golden {
    let folder = tempfile::tempdir().unwrap();
    let config = small(preset, &packed(), &["train.epochs=4", "train.validate_every=2", "model.width=24"]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).stack_size(64 << 20).build().unwrap();
    let (run, _) = pool.install(|| run_to(&config, folder.path(), &Stop::never()));
    let bytes = std::fs::read(run.last()).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut views = tensors.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let mut hasher = blake3::Hasher::new();
    for (name, view) in views {
        hasher.update(name.as_bytes()).update(view.data());
    }
    Golden { weights: hasher.finalize().to_hex().to_string(), records: run.records().unwrap() }
}

fn compare(preset: &str, name: &str) {
    let found = golden(preset, 1);
    assert_eq!(golden(preset, 3), found, "on three threads");
    let kernels = if isa() == Isa::Baseline { "plain" } else { "fused" };
    let file = golden_folder().join(format!("{name}.{}.{kernels}.json", std::env::consts::ARCH));
    if std::env::var_os("REACT_BLESS").is_some() {
        std::fs::write(&file, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let Ok(text) = std::fs::read_to_string(&file) else {
        assert_ne!(std::env::consts::ARCH, "x86_64", "{} is missing", file.display());
        return; // The thread counts were compared; golden losses were made on x86-64 only.
    };
    let want: Golden = serde_json::from_str(&text).unwrap();
    for (want, found) in want.records.iter().zip(&found.records) {
        assert_eq!(want, found, "{}", file.display());
    }
    assert_eq!(want, found, "{}", file.display());
}

#[test]
fn offline_golden_losses() {
    compare("demo", "offline");
}

#[test]
fn online_golden_losses() {
    compare("online-demo", "online");
}
