//! Whole recordings, cut into clips as a list of sessions says.

use super::{ClipFiles, Part, Split};
use crate::clip::{ClipId, Pair, ROLES};
use crate::table::Table;
use crate::{DataError, Recipe};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

const COLUMNS: [&str; 11] = ["split", "site", "chat", "person", "role", "video", "audio", "emotion", "coeffs", "start", "end"];

/// One person's recording of a session.
struct Recording {
    row: usize,
    person: String,
    files: ClipFiles,
    /// Clips that fit.
    clips: usize,
}

/// A list's rows, column by column.
struct Rows {
    text: [Vec<String>; 9],
    times: [Vec<f64>; 2],
}

pub(super) fn splits(root: &Path, recipe: &Recipe, csv: &Path, seconds: f64) -> Result<Vec<Split>, DataError> {
    let fault = |why: String| Err(DataError::csv(csv, why));
    if !(0.1..=86_400.0).contains(&seconds) {
        return fault(format!("clips of {seconds} s cannot be cut"));
    }
    let mut sessions: BTreeMap<(String, String, String), [Option<Recording>; 2]> = BTreeMap::new();
    let rows = read(csv)?;
    for row in 0..rows.text[0].len() {
        let [split, site, chat, person, role, paths @ ..] = std::array::from_fn::<_, 9, _>(|column| rows.text[column][row].clone());
        let known = recipe.splits.iter().chain(&recipe.optional_splits).any(|name| *name == split);
        if !known {
            return Err(DataError::cell(csv, row, 0, format!("{split:?} is no split of {}", recipe.name)));
        }
        let Some(place) = ROLES.iter().position(|known| *known == role) else {
            return Err(DataError::cell(csv, row, 4, format!("{role:?} is neither speaker nor listener")));
        };
        let [start, end] = [rows.times[0][row], rows.times[1][row]];
        let clips = ((end - start) / seconds + 1e-9).floor();
        if clips < 1.0 {
            return Err(DataError::cell(csv, row, 10, format!("from {start} s to {end} s there is no clip of {seconds} s")));
        }
        let [video, audio, emotion, coeffs] = below(root, csv, row, &paths)?;
        let files = ClipFiles { video, audio, emotion, coeffs, part: Some(Part { start, seconds }) };
        let session = sessions.entry((split, site, chat)).or_default();
        if let Some(earlier) = &session[place] {
            return Err(DataError::cell(csv, row, 4, format!("the {role} of this chat is in row {} already", earlier.row + 1)));
        }
        session[place] = Some(Recording { row, person, files, clips: clips as usize });
    }
    let mut splits: BTreeMap<String, (Vec<Pair>, BTreeMap<ClipId, ClipFiles>)> = BTreeMap::new();
    for ((split, site, chat), recordings) in sessions {
        let [Some(speaker), Some(listener)] = recordings else {
            return fault(format!("the chat {site}/{chat} ({split}) has no row of its {}", ROLES[usize::from(recordings[0].is_some())]));
        };
        if speaker.clips != listener.clips {
            return Err(DataError::cell(
                csv,
                listener.row,
                10,
                format!("it holds {} clips, and the speaker's in row {} {}", listener.clips, speaker.row + 1, speaker.clips),
            ));
        }
        let (pairs, parts) = splits.entry(split).or_default();
        for k in 0..speaker.clips {
            let mut clip = |recording: &Recording| {
                let path = format!("{site}/{chat}/{}/{}", recording.person, k + 1);
                let id = ClipId::parse(&path).map_err(|why| DataError::cell(csv, recording.row, 3, why))?;
                let start = recording.files.part.map_or(0.0, |part| part.start) + k as f64 * seconds;
                let files = ClipFiles { part: Some(Part { start, seconds }), ..recording.files.clone() };
                parts.insert(id.clone(), files);
                Ok::<_, DataError>(id)
            };
            let pair = Pair { speaker: clip(&speaker)?, listener: clip(&listener)? };
            if pair.speaker == pair.listener {
                return Err(DataError::cell(csv, listener.row, 3, format!("the speaker {} listens to itself", pair.speaker)));
            }
            pairs.push(pair);
        }
    }
    if let Some(missing) = recipe.splits.iter().find(|name| !splits.contains_key(*name)) {
        return fault(format!("it lists no session of the split {missing}"));
    }
    let order = recipe.splits.iter().chain(&recipe.optional_splits);
    let found = order.filter_map(|name| splits.remove_entry(name)).map(|(name, (pairs, parts))| Split {
        video_folder: root.to_owned(),
        face_crops: false,
        audio_features: false,
        lonely: Vec::new(),
        name,
        pairs,
        parts: Some(parts),
    });
    Ok(found.collect())
}

fn read(csv: &Path) -> Result<Rows, DataError> {
    let table = Table::read(csv)?;
    let names = table.names();
    if names != COLUMNS {
        return Err(DataError::csv(csv, format!("its columns are {}, not {}", names.join(","), COLUMNS.join(","))));
    }
    let mut text: [Vec<String>; 9] = Default::default();
    for (column, cells) in text.iter_mut().enumerate() {
        *cells = table.parsed(column, |cell| Ok(cell.to_owned()))?;
    }
    let seconds = |cell: &str| match cell.parse::<f64>() {
        Ok(value) if (0.0..=1e6).contains(&value) => Ok(value),
        _ => Err(format!("{cell:?} is no number of seconds")),
    };
    Ok(Rows { text, times: [table.parsed(9, seconds)?, table.parsed(10, seconds)?] })
}

/// Paths below the root: a list from elsewhere must not lead out of it.
fn below(root: &Path, csv: &Path, row: usize, paths: &[String; 4]) -> Result<[PathBuf; 4], DataError> {
    if let Some(at) = paths.iter().position(|path| !Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))) {
        return Err(DataError::cell(csv, row, 5 + at, format!("{:?} is no path below the corpus", paths[at])));
    }
    Ok(std::array::from_fn(|i| root.join(&paths[i])))
}
