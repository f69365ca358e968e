//! The C++ programs, one for each file of kernels, kept between runs of the tests as long as no source changes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};
use std::{env, fs};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/emulator");
const FLAGS: [&str; 5] = ["-std=c++17", "-O2", "-ffp-contract=off", "-fno-strict-aliasing", "-w"];

fn compiler() -> Option<&'static str> {
    static COMPILER: OnceLock<Option<&str>> = OnceLock::new();
    *COMPILER.get_or_init(|| {
        let found =
            ["c++", "g++", "clang++"].into_iter().find(|c| Command::new(c).arg("--version").output().is_ok_and(|o| o.status.success()));
        if found.is_none() {
            let _ = writeln!(std::io::stderr(), "no C++ compiler (c++, g++, clang++): the kernels' tests are skipped");
        }
        found
    })
}

/// Whether kernels can be compiled here.
pub(super) fn has_compiler() -> bool {
    cfg!(target_os = "linux") && compiler().is_some()
}

/// The program that has a kernel.
pub(super) fn program(kernels: &Path, kernel: &str) -> Result<PathBuf, String> {
    // Kernel by kernel: tests of one file of kernels wait for each other, and see no other file's mistakes.
    type Programs = BTreeMap<PathBuf, Result<(PathBuf, Vec<String>), String>>;
    static PROGRAMS: Mutex<Programs> = Mutex::new(BTreeMap::new());
    let mut programs = PROGRAMS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut broken = String::new();
    for source in sources(kernels, kernel)? {
        let built = programs.entry(source.clone()).or_insert_with(|| build(&source));
        match built {
            Ok((program, names)) if names.iter().any(|n| n == kernel) => return Ok(program.clone()),
            Ok(_) => {}
            Err(what) => broken += what,
        }
    }
    Err(format!("{kernel}: no file in {} has it\n{broken}", kernels.display()))
}

/// The files of kernels, those first that name the kernel.
fn sources(kernels: &Path, kernel: &str) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(kernels).map_err(|e| format!("{}: {e}", kernels.display()))?;
    let mut sources: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    sources.retain(|path| path.extension().is_some_and(|e| e == "cu"));
    sources.sort_by_key(|path| (!fs::read_to_string(path).is_ok_and(|text| text.contains(kernel)), path.clone()));
    Ok(sources)
}

fn folder() -> Result<PathBuf, String> {
    let program = env::current_exe().map_err(|e| e.to_string())?;
    let folder = program.ancestors().nth(2).ok_or("the test has no folder")?.join("emulator");
    fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    Ok(folder)
}

fn call(arguments: &[&std::ffi::OsStr]) -> Result<String, String> {
    let compiler = compiler().ok_or("no C++ compiler")?;
    let output = Command::new(compiler).args(FLAGS).args(arguments).output().map_err(|e| format!("{compiler}: {e}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("{compiler} does not compile it:\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Compiles a file of kernels; the program, and its kernels' names.
fn build(source: &Path) -> Result<(PathBuf, Vec<String>), String> {
    let folder = folder()?;
    let common = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels");
    let include = [source.parent().unwrap_or(&common), &common, Path::new(FOLDER)].map(|p| format!("-I{}", p.display()));
    // Names as they are after the preprocessor: a file may make its kernels with macros.
    let mut arguments: Vec<&std::ffi::OsStr> = include.iter().map(|i| i.as_ref()).collect();
    let preprocess = ["-E", "-P", "-x", "c++"].map(std::ffi::OsStr::new);
    let text = call(&[&arguments[..], &preprocess, &[source.as_os_str()]].concat())?;
    let names = kernel_names(&text);
    let mut hash = DefaultHasher::new();
    (&text, fs::read_to_string(source).ok(), fs::read_to_string(common.join("common.cuh")).ok(), FLAGS).hash(&mut hash);
    for file in ["emulator.h", "emulator.cpp"] {
        fs::read(Path::new(FOLDER).join(file)).map_err(|e| format!("{file}: {e}"))?.hash(&mut hash);
    }
    let stem = source.file_stem().and_then(|s| s.to_str()).unwrap_or("kernels");
    let program = folder.join(format!("{stem}-{:016x}", hash.finish()));
    if program.exists() {
        return Ok((program, names));
    }
    let unit = folder.join(format!("{stem}-{}.cpp", std::process::id()));
    let list: String = names.iter().map(|n| format!("    Entry<&{n}>::kernel(\"{n}\"),\n")).collect();
    let text = format!(
        "#include \"emulator.h\"\n#include \"{}\"\nconst Kernel kernels[] = {{\n{list}}};\nconst unsigned kernel_count = {};\n#include \"emulator.cpp\"\n",
        source.display(),
        names.len()
    );
    fs::write(&unit, text).map_err(|e| format!("{}: {e}", unit.display()))?;
    let partial = program.with_extension(std::process::id().to_string());
    arguments.extend([unit.as_os_str(), "-o".as_ref(), partial.as_os_str()]);
    call(&arguments)?;
    fs::rename(&partial, &program).map_err(|e| format!("{}: {e}", program.display()))?;
    Ok((program, names))
}

/// The names of `extern "C" __global__ void react_…(`.
fn kernel_names(text: &str) -> Vec<String> {
    let kernels = text.split("__global__").skip(1);
    let names = kernels.filter_map(|rest| {
        let start = rest.find("react_")?;
        let name: String = rest[start..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        // A template's definition is no kernel of its own.
        rest[..start].contains("void").then_some(name)
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}
