//! What can be checked of the CUDA path without a card: all Rust code of the feature, behind a stand-in for CUDA's compiler. (Kernels run
//! on an emulator in react-model's tests, and are compiled by the real one there where it is: `tests/kernels_compile.rs`.)

use crate::run;
use anyhow::{Context, Result, ensure};
use std::ffi::OsString;

/// Clippy over react-model with the feature `cuda`, where all of its code is: react-train only hands the feature on. It has a target
/// folder of its own, so that the usual one does not change with the compiler on the path.
pub(crate) fn check() -> Result<()> {
    let mut path = OsString::from(run::root().join("xtask/nvcc-stand-in"));
    if let Some(rest) = std::env::var_os("PATH") {
        path.push(":");
        path.push(rest);
    }
    let mut command = run::command(["clippy", "--package", "react-model", "--features", "cuda", "--all-targets", "--", "-D", "warnings"]);
    command
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", run::target()?.join("cuda-stand-in"))
        .env("CUDA_COMPUTE_CAP", "80")
        .env_remove("NVCC");
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "cargo clippy --package react-model --features cuda failed ({status})");
    Ok(())
}
