//! MARS' folders: `SPLIT/MODALITY/{speaker,listener}/SESSION/RECORDING.EXT`. Who belongs together has the same session and recording.

use crate::clip::{ClipId, Pair, ROLES};
use crate::{DataError, Recipe};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Whether a split has videos of both roles.
pub(super) fn is_there(split: &Path, recipe: &Recipe) -> bool {
    let both = |video: &String| ROLES.iter().all(|role| split.join(video).join(role).is_dir());
    recipe.folders.video.iter().any(both)
}

/// The pairs of a folder of videos, sorted, and the clips without partner.
pub(super) fn pairs(videos: &Path) -> Result<(Vec<Pair>, Vec<ClipId>), DataError> {
    let [speakers, listeners] = [recordings(videos, ROLES[0])?, recordings(videos, ROLES[1])?];
    let clip = |role: &str, (session, recording): &(String, String)| {
        let path = format!("{role}/{session}/{recording}");
        ClipId::parse(&path).map_err(|why| DataError::Clip { split: videos.display().to_string(), clip: path, why })
    };
    let pair = |key| Ok(Pair { speaker: clip(ROLES[0], key)?, listener: clip(ROLES[1], key)? });
    let pairs = speakers.intersection(&listeners).map(pair).collect::<Result<Vec<_>, DataError>>()?;
    let alone =
        |of: &BTreeSet<_>, other: &BTreeSet<_>, role| of.difference(other).map(|key| clip(role, key)).collect::<Result<Vec<_>, _>>();
    let mut lonely = alone(&speakers, &listeners, ROLES[0])?;
    lonely.extend(alone(&listeners, &speakers, ROLES[1])?);
    if pairs.is_empty() {
        return Err(DataError::missing(format!("recording of both a {} and a {}", ROLES[0], ROLES[1]), videos));
    }
    Ok((pairs, lonely))
}

/// (session, recording) of all videos of a role; hidden files (`._*` of macOS) are none.
fn recordings(videos: &Path, role: &str) -> Result<BTreeSet<(String, String)>, DataError> {
    let folder = videos.join(role);
    let mut found = BTreeSet::new();
    for session in entries(&folder)? {
        if !folder.join(&session).is_dir() {
            continue;
        }
        for name in entries(&folder.join(&session))? {
            let path = folder.join(&session).join(&name);
            let stem = if path.is_dir() { Some(name.as_str()) } else { name.strip_suffix(".mp4").or_else(|| name.strip_suffix(".avi")) };
            found.extend(stem.map(|stem| (session.clone(), stem.to_owned())));
        }
    }
    Ok(found)
}

/// Names in a folder that are no hidden ones.
fn entries(folder: &Path) -> Result<Vec<String>, DataError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(DataError::io("read", folder))? {
        let name = entry.map_err(DataError::io("read", folder))?.file_name();
        // Names that are no text cannot be in a table of clips.
        names.extend(name.into_string().ok().filter(|name| !name.starts_with('.')));
    }
    Ok(names)
}
