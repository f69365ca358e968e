//! With the feature `cuda`: every `kernels/*.cu` to PTX by nvcc, for the compute capability of `CUDA_COMPUTE_CAP` (80 if not
//! given; PTX runs on that card and all newer ones).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed=kernels");
    println!("cargo::rerun-if-env-changed=CUDA_COMPUTE_CAP");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=PATH");
    if let Err(what) = build() {
        println!("cargo::error={what}");
    }
}

/// Writes the PTX and a table of it: (name, PTX) sorted by name.
fn build() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let nvcc = env::var("NVCC").unwrap_or_else(|_| "nvcc".to_owned());
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".to_owned()).replace('.', "");
    let entries = fs::read_dir("kernels").map_err(|e| format!("kernels: {e}"))?;
    let mut sources: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    sources.retain(|path| path.extension().is_some_and(|e| e == "cu"));
    sources.sort();
    let mut table = "static MODULES: &[(&str, &str)] = &[\n".to_owned();
    for source in sources {
        let ptx = compile(&nvcc, &capability, &source, &out)?;
        let name = source.file_stem().and_then(|n| n.to_str()).ok_or("the name of a kernel's file is not UTF-8")?;
        table += &format!("    ({name:?}, include_str!({:?})),\n", ptx.to_str().ok_or("OUT_DIR is not UTF-8")?);
    }
    fs::write(out.join("modules.rs"), table + "];\n").map_err(|e| format!("modules.rs: {e}"))
}

fn compile(nvcc: &str, capability: &str, source: &Path, out: &Path) -> Result<PathBuf, String> {
    let ptx = out.join(source.with_extension("ptx").file_name().ok_or("a kernel's file has no name")?);
    let mut command = Command::new(nvcc);
    command.args(["-ptx", "-O3", "-std=c++17", &format!("-arch=compute_{capability}")]).arg("-o").arg(&ptx).arg(source);
    let output = command.output().map_err(|e| {
        format!("the feature cuda needs the CUDA compiler: {nvcc} could not be started ({e}). Put CUDA's bin on PATH, or name nvcc in NVCC")
    })?;
    if output.status.success() {
        return Ok(ptx);
    }
    let text = String::from_utf8_lossy(&output.stderr).replace('\n', "; ");
    Err(format!("{nvcc} does not compile {}: {text}", source.display()))
}
