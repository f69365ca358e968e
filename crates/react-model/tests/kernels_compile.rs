//! Every file of kernels through NVIDIA's own compiler and assembler, where the machine has them: for an A100 and an H100, and nothing
//! spills from registers to memory. Without `nvcc` and `ptxas` (on PATH, or in `CUDA_HOME`) the test says so and passes.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn tool(name: &str) -> Option<PathBuf> {
    let home = env::var_os("CUDA_HOME").map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    home.into_iter().chain(env::split_paths(&path)).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// What the program wrote, standard error after standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}:\n{text}");
    text
}

#[test]
fn the_kernels_compile_and_do_not_spill() {
    let (Some(nvcc), Some(ptxas)) = (tool("nvcc"), tool("ptxas")) else {
        let _ = writeln!(std::io::stderr(), "no nvcc and ptxas: whether the kernels compile is not tested");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let mut sources: Vec<PathBuf> = fs::read_dir(kernels).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|e| e == "cu"));
    assert!(!sources.is_empty());
    // The compiler uses one core for a file.
    let spilling: Vec<String> = std::thread::scope(|scope| {
        let (nvcc, ptxas, folder) = (&nvcc, &ptxas, folder.path());
        let running: Vec<_> = sources.iter().map(|source| scope.spawn(move || spills(nvcc, ptxas, source, folder))).collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(spilling.is_empty(), "{spilling:#?}");
}

/// The kernels of a file that spill; none where nvcc is a stand-in that compiles nothing.
fn spills(nvcc: &Path, ptxas: &Path, source: &Path, folder: &Path) -> Vec<String> {
    let ptx = folder.join(source.with_extension("ptx").file_name().unwrap());
    run(Command::new(nvcc).args(["-ptx", "-O3", "-std=c++17", "-arch=compute_80", "-Werror", "all-warnings", "-o"]).arg(&ptx).arg(source));
    let mut spilling = Vec::new();
    if fs::metadata(&ptx).unwrap().len() == 0 {
        return spilling;
    }
    for card in ["sm_80", "sm_90"] {
        let report = run(Command::new(ptxas).args(["-v", "-arch", card, "-o"]).arg(ptx.with_extension(card)).arg(&ptx));
        let mut kernel = "";
        for line in report.lines() {
            if let Some(named) = line.split("Compiling entry function '").nth(1) {
                kernel = named.split('\'').next().unwrap_or(named);
            }
            if line.contains("bytes spill stores") && !line.contains(" 0 bytes spill stores, 0 bytes spill loads") {
                spilling.push(format!("{kernel} for {card}: {}", line.trim()));
            }
        }
    }
    spilling
}
