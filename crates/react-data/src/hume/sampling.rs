//! Which frames of a clip are looked at.
//!
//! A list of frames (`sample_32_{split}.txt`, optional) has a line for each clip: its id, then the numbers of its frames, from 0,
//! in order of time, apart by spaces or commas; a number may come more than once. An id alone says that the clip has no face.
//! Empty lines and lines that begin with `#` say nothing. Without a list the frames are those of [`uniform_frames`].

use crate::DataError;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Which frames of a clip are packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Spread evenly over the clip.
    Uniform,
    /// These, from 0, in order of time.
    Listed(Vec<usize>),
    /// None: the list says that there is no face.
    NoFace,
}

/// The middles of `count` equal parts of a clip of `frames` frames: ⌊(2k + 1)·frames / (2·count)⌋ for k in 0..count.
///
/// A clip with fewer frames repeats some.
///
/// ```
/// use react_data::hume::uniform_frames;
/// assert_eq!(uniform_frames(64, 4), [8, 24, 40, 56]);
/// assert_eq!(uniform_frames(3, 6), [0, 0, 1, 1, 2, 2]);
/// ```
#[must_use]
pub fn uniform_frames(frames: usize, count: usize) -> Vec<usize> {
    // In u128 no file's claim overflows.
    let place = |k: usize| ((2 * k as u128 + 1) * frames as u128 / (2 * count as u128)) as usize;
    (0..count).map(place).collect()
}

/// Reads a list of frames: each clip's sampling by its id.
///
/// # Errors
/// [`DataError::Line`] for a line that has not `count` numbers or none, has them out of order, or names a clip again.
pub(super) fn read_samples(file: &Path, count: usize) -> Result<BTreeMap<String, Sampling>, DataError> {
    let text = fs::read_to_string(file).map_err(DataError::io("read", file))?;
    let mut samples = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let error = |why: String| DataError::Line { file: file.to_owned(), line: index + 1, why };
        let mut words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
        let Some(id) = words.next().filter(|word| !word.starts_with('#')) else { continue };
        let id = unbracketed(id).unwrap_or(id);
        let frame = |word: &str| word.parse::<usize>().map_err(|_| error(format!("{word:?} is no number of a frame")));
        let frames = words.map(frame).collect::<Result<Vec<_>, _>>()?;
        let sampling = match frames.len() {
            0 => Sampling::NoFace,
            found if found != count => return Err(error(format!("clip {id} has {found} frames, not {count}"))),
            _ if !frames.is_sorted() => return Err(error(format!("the frames of clip {id} are not in order of time"))),
            _ => Sampling::Listed(frames),
        };
        if samples.insert(id.to_owned(), sampling).is_some() {
            return Err(error(format!("clip {id} has a line already")));
        }
    }
    Ok(samples)
}

/// What is inside the brackets of a published id.
pub(crate) fn unbracketed(id: &str) -> Option<&str> {
    id.strip_prefix('[').and_then(|id| id.strip_suffix(']'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_frames_are_in_the_clip_and_in_order() {
        for n in [1, 2, 31, 32, 33, 300, usize::MAX] {
            let frames = uniform_frames(n, 32);
            assert!(frames.len() == 32 && frames.is_sorted() && frames[31] < n, "{n}");
        }
        assert_eq!(uniform_frames(32, 32), (0..32).collect::<Vec<_>>());
        assert_eq!(uniform_frames(1, 32), [0; 32]);
    }

    #[test]
    fn each_abuse_of_a_list_names_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample_3_train.txt");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_samples(&path, 3).map_err(|error| error.to_string().rsplit_once(".txt: ").unwrap().1.to_owned())
        };
        let list = read("# id frames\n[00001] 0 4 4\n\n00002,1,2,3\n00003\n").unwrap();
        assert_eq!(list["00001"], Sampling::Listed(vec![0, 4, 4]));
        assert_eq!(list["00002"], Sampling::Listed(vec![1, 2, 3]));
        assert_eq!(list["00003"], Sampling::NoFace);
        assert_eq!(read("a 1 2 3\nb 1 2\n").unwrap_err(), "line 2: clip b has 2 frames, not 3");
        assert_eq!(read("a 1 3 2\n").unwrap_err(), "line 1: the frames of clip a are not in order of time");
        assert_eq!(read("a 1 -3 2\n").unwrap_err(), "line 1: \"-3\" is no number of a frame");
        assert_eq!(read("a 1 2 3\na 1 2 3\n").unwrap_err(), "line 2: clip a has a line already");
    }
}
