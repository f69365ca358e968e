//! Where everything is in a corpus on disk.

mod roles;
mod sessions;

use crate::clip::{ClipId, Pair};
use crate::doctor::Modality;
use crate::recipe::Layout;
use crate::table::Table;
use crate::{DataError, Recipe};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A corpus in its published folder layout: its splits and pairs, and where each clip's files are.
#[derive(Clone, Debug)]
pub struct Corpus {
    root: PathBuf,
    recipe: Recipe,
    splits: Vec<Split>,
    /// The list of sessions, where clips are cut from whole recordings.
    sessions: Option<PathBuf>,
}

/// One split: its pairs in the csv's order, or in that of their paths.
#[derive(Clone, Debug)]
pub struct Split {
    name: String,
    pairs: Vec<Pair>,
    video_folder: PathBuf,
    /// Whether the folder's videos are crops of faces.
    face_crops: bool,
    /// Given audio features rather than sound.
    audio_features: bool,
    /// Clips whose partner is not there.
    lonely: Vec<ClipId>,
    /// Each clip's recording and part, where clips are cut from whole recordings.
    parts: Option<BTreeMap<ClipId, ClipFiles>>,
}

/// The four files of a clip (the video may be a folder of PNGs).
#[derive(Clone, Debug, PartialEq)]
pub struct ClipFiles {
    /// `.mp4`, `.avi`, or a folder of numbered PNGs.
    pub video: PathBuf,
    /// `.wav`, or given features as `.npy`, `[t, a]`.
    pub audio: PathBuf,
    /// `.csv`, a header and 25 columns, or `.npy`, `[t, 25]`.
    pub emotion: PathBuf,
    /// `.npy`, `[t, 1, 58]` or `[t, 58]`.
    pub coeffs: PathBuf,
    /// Which part of these files the clip is; `None` for all of them.
    pub part: Option<Part>,
}

/// A part of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// Its beginning in seconds.
    pub start: f64,
    /// Its length in seconds.
    pub seconds: f64,
}

impl Part {
    /// First frame, and frames, at a rate in frames/s: those nearest to its ends.
    ///
    /// ```
    /// let part = react_data::Part { start: 61.0, seconds: 30.0 };
    /// assert_eq!(part.frames(25.0), (1525, 750));
    /// ```
    #[must_use]
    pub fn frames(&self, fps: f64) -> (usize, usize) {
        ((self.start * fps).round() as usize, (self.seconds * fps).round() as usize)
    }
}

/// Which reactions are appropriate, by what the corpus says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Appropriate {
    /// The corpus's own list of rows and matrix.
    Published {
        /// Site, chat and clip of each row.
        indices: PathBuf,
        /// The matrix.
        matrix: PathBuf,
    },
    /// The reactions of all listeners of the same session, or so many of them.
    SameSession {
        /// Reactions to a clip, its own among them; 0 for all.
        most: usize,
        /// Seed of the draw.
        seed: u64,
    },
    /// The clip's own reaction alone.
    Own,
}

impl Corpus {
    /// Finds splits and pairs; looks into no clip.
    ///
    /// # Errors
    /// [`DataError`] where the root, or a split's list or video folder is missing, or a row names no clip.
    pub fn open(root: &Path, recipe: Recipe) -> Result<Self, DataError> {
        let (corpus, problems) = Self::survey(root, recipe)?;
        problems.into_iter().next().map_or(Ok(corpus), |(_, error)| Err(error))
    }

    /// As [`Corpus::open`], with the splits that can be opened, and why others (by name) cannot.
    ///
    /// # Errors
    /// [`DataError`] where the root is missing.
    pub fn survey(root: &Path, recipe: Recipe) -> Result<(Self, Vec<(String, DataError)>), DataError> {
        if !root.is_dir() {
            return Err(DataError::missing(format!("folder of the corpus {}", recipe.name), root));
        }
        let is_there = |name: &&String| match recipe.layout {
            Layout::Pairs => pairs_csv(root, name, &recipe).exists(),
            Layout::Roles => roles::is_there(&root.join(name), &recipe),
        };
        let (mut splits, mut problems) = (Vec::new(), Vec::new());
        for name in recipe.splits.iter().chain(recipe.optional_splits.iter().filter(is_there)) {
            match Split::open(root, name, &recipe) {
                Ok(split) => splits.push(split),
                Err(error) => problems.push((name.clone(), error)),
            }
        }
        Ok((Self { root: root.to_owned(), recipe, splits, sessions: None }, problems))
    }

    /// Whole recordings, cut into clips as a list of sessions says: a csv with the columns `split`, `site`, `chat`, `person`, `role`
    /// (`speaker` or `listener`), `video`, `audio`, `emotion`, `coeffs` (paths below the root), `start` and `end` (seconds). Each chat
    /// has one row of each role. Clip k of a chat, from 1, is `seconds` long and begins `start + (k − 1)·seconds` into each file; what
    /// is left at the end is no clip.
    ///
    /// # Errors
    /// [`DataError`] with row and column of what is wrong in the list.
    pub fn cut(root: &Path, recipe: Recipe, sessions: &Path, seconds: f64) -> Result<Self, DataError> {
        if !root.is_dir() {
            return Err(DataError::missing(format!("folder of the corpus {}", recipe.name), root));
        }
        let splits = sessions::splits(root, &recipe, sessions, seconds)?;
        Ok(Self { root: root.to_owned(), recipe, splits, sessions: Some(sessions.to_owned()) })
    }

    /// The corpus's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The recipe it was opened with.
    #[must_use]
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The splits that are there, in the recipe's order.
    #[must_use]
    pub fn splits(&self) -> &[Split] {
        &self.splits
    }

    /// Where a split's pairs are listed; `None` where the folders themselves say it.
    #[must_use]
    pub fn pairs_csv(&self, split: &Split) -> Option<PathBuf> {
        match (&self.sessions, self.recipe.layout) {
            (Some(sessions), _) => Some(sessions.clone()),
            (None, Layout::Pairs) => Some(pairs_csv(&self.root, &split.name, &self.recipe)),
            (None, Layout::Roles) => None,
        }
    }

    /// What the corpus says of appropriate reactions.
    #[must_use]
    pub fn appropriate(&self) -> Appropriate {
        let files = &self.recipe.files;
        let published = || Appropriate::Published { indices: self.root.join(&files.indices), matrix: self.root.join(&files.appropriate) };
        match self.recipe.layout {
            Layout::Roles => Appropriate::SameSession { most: self.recipe.appropriate.most, seed: self.recipe.appropriate.seed },
            // Recordings of one's own have no matrix.
            Layout::Pairs if self.sessions.is_some() && !self.root.join(&files.appropriate).is_file() => Appropriate::Own,
            Layout::Pairs => published(),
        }
    }

    /// Where the mean face is; `None` where there is none and the corpus may do without.
    #[must_use]
    pub fn mean_face_npy(&self) -> Option<PathBuf> {
        let path = self.root.join(&self.recipe.files.mean_face);
        let optional = self.recipe.layout == Layout::Roles || self.sessions.is_some();
        (!optional || path.is_file()).then_some(path)
    }

    /// Finds a clip's files.
    ///
    /// # Errors
    /// [`DataError::Missing`] with the first file that is not there.
    pub fn files(&self, split: &Split, clip: &ClipId) -> Result<ClipFiles, DataError> {
        let [video, audio, emotion, coeffs] = self.find(split, clip);
        Ok(ClipFiles { video: video?, audio: audio?, emotion: emotion?, coeffs: coeffs?, part: self.part(split, clip) })
    }

    /// Whether its clips are parts of recordings.
    pub(crate) fn is_cut(&self) -> bool {
        self.sessions.is_some()
    }

    /// Which part of its files a clip is.
    pub(crate) fn part(&self, split: &Split, clip: &ClipId) -> Option<Part> {
        split.parts.as_ref()?.get(clip)?.part
    }

    /// The folders of a split's files.
    pub(crate) fn modality_folders(&self, split: &Split) -> [(Modality, PathBuf); 4] {
        let (folder, folders) = (self.root.join(&split.name), &self.recipe.folders);
        let audio = folders.audio_features.as_ref().filter(|_| split.audio_features).unwrap_or(&folders.audio);
        [
            (Modality::Video, split.video_folder.clone()),
            (Modality::Sound, folder.join(audio)),
            (Modality::Attributes, folder.join(&folders.emotion)),
            (Modality::Coefficients, folder.join(&folders.coeffs)),
        ]
    }

    /// Video, audio, attributes and coefficients of a clip, or the error that says which file is missing.
    pub(crate) fn find(&self, split: &Split, clip: &ClipId) -> [Result<PathBuf, DataError>; 4] {
        if let Some(files) = split.parts.as_ref().and_then(|parts| parts.get(clip)) {
            let there = |path: &PathBuf, what: &str| {
                if path.exists() { Ok(path.clone()) } else { Err(DataError::missing(format!("{what} of clip {clip}"), path)) }
            };
            return [
                there(&files.video, "video"),
                there(&files.audio, "sound"),
                there(&files.emotion, "attributes"),
                there(&files.coeffs, "3DMM coefficients"),
            ];
        }
        let (folder, folders) = (self.root.join(&split.name), &self.recipe.folders);
        let file = |modality: &str, extensions: &[&str], what: &str| {
            let path = |extension: &str| folder.join(modality).join(format!("{clip}.{extension}"));
            let found = extensions.iter().map(|extension| path(extension)).find(|path| path.is_file());
            found.ok_or_else(|| DataError::missing(format!("{what} of clip {clip}"), &path(extensions[0])))
        };
        let audio = match &folders.audio_features {
            Some(features) if split.audio_features => file(features, &["npy"], "audio features"),
            _ => file(&folders.audio, &["wav"], "sound"),
        };
        [
            find_video(&split.video_folder, clip),
            audio,
            file(&folders.emotion, &["csv", "npy"], "attributes"),
            file(&folders.coeffs, &["npy"], "3DMM coefficients"),
        ]
    }
}

fn find_video(folder: &Path, clip: &ClipId) -> Result<PathBuf, DataError> {
    let mp4 = folder.join(format!("{clip}.mp4"));
    let avi = folder.join(format!("{clip}.avi"));
    let pngs = folder.join(clip.path());
    if mp4.is_file() {
        Ok(mp4)
    } else if avi.is_file() {
        Ok(avi)
    } else if pngs.is_dir() {
        Ok(pngs)
    } else {
        Err(DataError::missing(format!("video of clip {clip} (.mp4, .avi or a folder of PNGs)"), &mp4))
    }
}

fn pairs_csv(root: &Path, split: &str, recipe: &Recipe) -> PathBuf {
    root.join(recipe.files.pairs.replace("{split}", split))
}

impl Split {
    fn open(root: &Path, name: &str, recipe: &Recipe) -> Result<Self, DataError> {
        let folder = root.join(name);
        let csv = pairs_csv(root, name, recipe);
        if recipe.layout == Layout::Pairs && !csv.is_file() {
            return Err(DataError::missing(format!("list of pairs of the split {name}"), &csv));
        }
        let candidates = &recipe.folders.video;
        let video = candidates.iter().find(|video| folder.join(video).is_dir()).ok_or_else(|| {
            let names = candidates.join(" or ");
            DataError::missing(format!("folder of videos ({names})"), &folder)
        })?;
        let video_folder = folder.join(video);
        let (pairs, lonely) = match recipe.layout {
            Layout::Pairs => (read_pairs(&csv)?, Vec::new()),
            Layout::Roles => roles::pairs(&video_folder)?,
        };
        Ok(Self {
            name: name.to_owned(),
            pairs,
            face_crops: recipe.folders.face_crops.contains(video),
            audio_features: recipe.folders.audio_features.as_ref().is_some_and(|features| folder.join(features).is_dir()),
            video_folder,
            lonely,
            parts: None,
        })
    }

    /// `train`, `val` or `test`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pairs in the csv's order, or in that of their paths.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// Clips whose partner is not there; they are in no pair.
    #[must_use]
    pub fn lonely(&self) -> &[ClipId] {
        &self.lonely
    }

    /// Whether its videos show nothing but faces, as the recipe says of their folder.
    #[must_use]
    pub fn face_crops(&self) -> bool {
        self.face_crops
    }

    /// Whether clips are parts of recordings.
    pub(crate) fn is_cut(&self) -> bool {
        self.parts.is_some()
    }

    /// The clips of all pairs, sorted, each once.
    #[must_use]
    pub fn clips(&self) -> Vec<&ClipId> {
        let mut clips: Vec<_> = self.pairs.iter().flat_map(|pair| [&pair.speaker, &pair.listener]).collect();
        clips.sort_unstable();
        clips.dedup();
        clips
    }
}

/// Reads a split's csv: a header, then index, speaker path, listener path.
///
/// # Errors
/// [`DataError`] with row and column where a path names no clip, a pair has the same clip twice, or there is no row.
pub fn read_pairs(csv: &Path) -> Result<Vec<Pair>, DataError> {
    let table = Table::read(csv)?;
    table.check_width(3..=3, "3 columns (index, speaker path, listener path)")?;
    let speakers = table.parsed(1, ClipId::parse)?;
    let listeners = table.parsed(2, ClipId::parse)?;
    if speakers.is_empty() {
        return Err(DataError::csv(csv, "it lists no pairs"));
    }
    let pairs: Vec<_> = speakers.into_iter().zip(listeners).map(|(speaker, listener)| Pair { speaker, listener }).collect();
    match pairs.iter().position(|pair| pair.speaker == pair.listener) {
        Some(row) => Err(DataError::cell(csv, row, 2, format!("the speaker {} listens to itself", pairs[row].speaker))),
        None => Ok(pairs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn missing_parts_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("corpus");
        let open = || Corpus::open(&root, Recipe::named("react2024").unwrap()).unwrap_err().to_string();
        assert_eq!(open(), format!("folder of the corpus react2024 not found: {}", root.display()));
        fs::create_dir(&root).unwrap();
        assert_eq!(open(), format!("list of pairs of the split train not found: {}", root.join("train.csv").display()));
        fs::write(root.join("train.csv"), ",speaker_path,listener_path\n0,NoXI/a/E/1,NoXI/a/N\n").unwrap();
        assert!(open().starts_with("folder of videos (cropped_face or Video_files) not found: "));
        fs::create_dir_all(root.join("train/Video_files")).unwrap();
        assert!(open().contains("train.csv: row 1, column 3: \"NoXI/a/N\" has 3 parts"), "{}", open());
        fs::write(root.join("train.csv"), ",s,l\n0,NoXI/a/E/1,NoXI/a/E/1\n").unwrap();
        assert!(open().contains("row 1, column 3: the speaker NoXI/a/E/1 listens to itself"), "{}", open());
        fs::write(root.join("train.csv"), ",s,l\n").unwrap();
        assert!(open().contains("train.csv: it lists no pairs"), "{}", open());
    }

    #[test]
    fn cropped_faces_come_first_and_videos_are_found_in_each_form() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for split in ["train", "val"] {
            let row = "0,NoXI/a/E/1,NoXI/a/N/1\n1,NoXI/a/E/2,NoXI/a/N/1\n";
            fs::write(root.join(format!("{split}.csv")), format!(",speaker_path,listener_path\n{row}")).unwrap();
            fs::create_dir_all(root.join(split).join("Video_files")).unwrap();
        }
        let videos = root.join("val/cropped_face/NoXI/a");
        fs::create_dir_all(videos.join("E/2")).unwrap();
        fs::create_dir_all(videos.join("N")).unwrap();
        fs::write(videos.join("E/1.avi"), "").unwrap();
        let corpus = Corpus::open(root, Recipe::named("react2024").unwrap()).unwrap();
        assert_eq!(corpus.splits().len(), 2);
        let val = &corpus.splits()[1];
        assert_eq!(val.clips().iter().map(|clip| clip.path()).collect::<Vec<_>>(), ["NoXI/a/E/1", "NoXI/a/E/2", "NoXI/a/N/1"]);
        assert_eq!(find_video(&val.video_folder, val.clips()[0]).unwrap(), videos.join("E/1.avi"));
        assert_eq!(find_video(&val.video_folder, val.clips()[1]).unwrap(), videos.join("E/2"));
        let error = find_video(&val.video_folder, val.clips()[2]).unwrap_err().to_string();
        assert!(error.starts_with("video of clip NoXI/a/N/1 (.mp4, .avi or a folder of PNGs) not found: "), "{error}");
        let error = corpus.files(val, val.clips()[0]).unwrap_err().to_string();
        assert!(error.starts_with("sound of clip NoXI/a/E/1 not found: "), "{error}");
    }
}
