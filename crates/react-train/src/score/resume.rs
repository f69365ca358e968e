//! What a stopped scoring had found: a journal beside the results.

use anyhow::{Context, Result, ensure};
use react_metrics::Unit;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The journal's first line.
#[derive(Serialize, Deserialize)]
struct Head {
    react_score_journal: u32,
    /// Hash of everything that the units depend on.
    key: String,
}

const VERSION: u32 = 1;

/// The units of a journal, which is begun where there is none.
///
/// A last line that was cut off when the program was stopped is left out (and closed, so that the next one is a line of its own).
///
/// # Errors
/// Where the file is no such journal, or of other inputs.
pub(crate) fn open(path: &Path, key: &str) -> Result<Vec<Unit>> {
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut lines = text.lines();
    let Some(first) = lines.next() else {
        let head = serde_json::to_string(&Head { react_score_journal: VERSION, key: key.to_owned() })?;
        react_store::append_line(path, &head)?;
        return Ok(Vec::new());
    };
    let head: Head = serde_json::from_str(first).with_context(|| format!("{} is no journal of a scoring", path.display()))?;
    ensure!(
        head.react_score_journal == VERSION && head.key == key,
        "{} belongs to another scoring (other arrays, neighbours or program): give another file, or remove it",
        path.display()
    );
    if !text.ends_with('\n') {
        react_store::append_line(path, "")?;
    }
    Ok(lines.filter_map(|line| serde_json::from_str(line).ok()).collect())
}
