//! Clips that cannot be packed, and how many of them are allowed.

use crate::DataError;
use crate::doctor::{Kind, kind_of};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where bad clips are listed, below the packed folder.
pub(crate) const BAD_LIST: &str = "bad.csv";

/// Whether the work goes on without a clip, and then what is said of it: only where the clip's own files are at fault, never where the
/// system refuses, and only while `left` more are allowed.
pub(crate) fn excuse(left: &AtomicUsize, error: &DataError) -> Option<String> {
    if !is_of_a_clip(error) {
        return None;
    }
    let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    taken.is_ok().then(|| error.to_string())
}

/// Whether a clip's own files are at fault.
fn is_of_a_clip(error: &DataError) -> bool {
    use DataError::{Bad, Cell, Clip, Csv, FrameList, Media, Missing, Shape, Sound};
    let of_a_file = matches!(error, Cell { .. } | Csv { .. } | FrameList { .. } | Media(_) | Missing { .. } | Shape { .. } | Sound { .. });
    (of_a_file || matches!(error, Bad { .. } | Clip { .. })) && kind_of(error) != Kind::Unreadable
}

/// The error of a clip that comes after as many bad ones as were allowed says so.
pub(crate) fn too_many(error: DataError, clips: usize, allowed: usize) -> DataError {
    if allowed == 0 || !is_of_a_clip(&error) {
        return error;
    }
    DataError::TooManyBad { bad: allowed + 1, clips, allowed, first: error.to_string() }
}

/// Nothing, or the error that more clips are bad than were allowed. A single one's is its own.
pub(crate) fn check_bad<'a>(mut bad: impl Iterator<Item = &'a str> + Clone, clips: usize, allowed: usize) -> Result<(), DataError> {
    let count = bad.clone().count();
    match bad.next().filter(|_| count > allowed) {
        None => Ok(()),
        Some(first) if count == 1 => Err(DataError::Bad { kind: Kind::Other, why: first.to_owned() }),
        Some(first) => Err(DataError::TooManyBad { bad: count, clips, allowed, first: first.to_owned() }),
    }
}

/// The list as csv: split, clip, why, of units' names with what is wrong.
pub(crate) fn bad_list(bad: &BTreeMap<String, String>) -> String {
    let mut text = "split,clip,why\n".to_owned();
    for (unit, why) in bad {
        let (split, clip) = unit.split_once('/').unwrap_or((unit, ""));
        let why = why.replace('"', "\"\"").replace(['\n', '\r'], " ");
        text.push_str(&format!("{split},{clip},\"{why}\"\n"));
    }
    text
}

/// Removes the list, when no clip is bad any more.
pub(crate) fn remove_list(out: &Path) -> Result<(), DataError> {
    let path = out.join(BAD_LIST);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(DataError::io("remove", &path)(error)),
        _ => Ok(()),
    }
}
