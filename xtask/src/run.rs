//! Running cargo, with its output shown or read.

use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Cargo itself, in the workspace's root.
pub(crate) fn command<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// Runs cargo in the folder that the user is in, and fails where it fails.
pub(crate) fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Result<()> {
    let mut command = command(args);
    // Paths on the command line are the user's, not the workspace's.
    command.current_dir(std::env::current_dir()?);
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(status.success(), "{} failed ({status})", describe(&command));
    Ok(())
}

/// Runs cargo and returns what it prints on its standard output.
pub(crate) fn output<I: IntoIterator<Item: AsRef<OsStr>>>(args: I) -> Result<String> {
    let mut command = command(args);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{} failed ({})", describe(&command), output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Cargo's target folder.
pub(crate) fn target() -> Result<PathBuf> {
    let text = output(["metadata", "--format-version=1", "--no-deps"])?;
    let found: serde_json::Value = serde_json::from_str(&text)?;
    Ok(PathBuf::from(found["target_directory"].as_str().context("cargo names no target folder")?))
}

fn describe(command: &Command) -> String {
    let args: Vec<_> = command.get_args().map(|arg| arg.to_string_lossy()).collect();
    format!("cargo {}", args.join(" "))
}
