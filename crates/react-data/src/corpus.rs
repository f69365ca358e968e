use crate::clip::{ClipId, Pair};
use crate::table::Table;
use crate::{DataError, Recipe};
use std::path::{Path, PathBuf};

/// A corpus in its published folder layout: its splits and pairs, and where each clip's files are.
#[derive(Clone, Debug)]
pub struct Corpus {
    root: PathBuf,
    recipe: Recipe,
    splits: Vec<Split>,
}

/// One split: its pairs in the csv's order.
#[derive(Clone, Debug)]
pub struct Split {
    name: String,
    pairs: Vec<Pair>,
    video_folder: PathBuf,
}

/// The four files of a clip (the video may be a folder of PNGs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipFiles {
    /// `.mp4`, `.avi`, or a folder of numbered PNGs.
    pub video: PathBuf,
    /// `.wav`.
    pub audio: PathBuf,
    /// `.csv`, a header and 25 columns.
    pub emotion: PathBuf,
    /// `.npy`, `[t, 1, 58]` or `[t, 58]`.
    pub coeffs: PathBuf,
}

impl Corpus {
    /// Reads the split csvs; looks at no clip.
    ///
    /// # Errors
    /// [`DataError`] where the root or a split's csv or video folder is missing, or a row names no clip.
    pub fn open(root: &Path, recipe: Recipe) -> Result<Self, DataError> {
        if !root.is_dir() {
            return Err(DataError::missing(format!("folder of the corpus {}", recipe.name), root));
        }
        let mut splits = Vec::new();
        for name in &recipe.splits {
            splits.push(Split::open(root, name, &recipe)?);
        }
        for name in &recipe.optional_splits {
            if pairs_csv(root, name, &recipe).exists() {
                splits.push(Split::open(root, name, &recipe)?);
            }
        }
        Ok(Self { root: root.to_owned(), recipe, splits })
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

    /// Where a split's csv is.
    #[must_use]
    pub fn pairs_csv(&self, split: &Split) -> PathBuf {
        pairs_csv(&self.root, &split.name, &self.recipe)
    }

    /// Where the list of the appropriateness matrix's rows is.
    #[must_use]
    pub fn indices_csv(&self) -> PathBuf {
        self.root.join(&self.recipe.files.indices)
    }

    /// Where the appropriateness matrix is.
    #[must_use]
    pub fn appropriate_npy(&self) -> PathBuf {
        self.root.join(&self.recipe.files.appropriate)
    }

    /// Where the mean face is.
    #[must_use]
    pub fn mean_face_npy(&self) -> PathBuf {
        self.root.join(&self.recipe.files.mean_face)
    }

    /// Finds a clip's files.
    ///
    /// # Errors
    /// [`DataError::Missing`] with the first file that is not there.
    pub fn files(&self, split: &Split, clip: &ClipId) -> Result<ClipFiles, DataError> {
        let folder = self.root.join(&split.name);
        let folders = &self.recipe.folders;
        let file = |modality: &str, extension: &str, what: &str| {
            let path = folder.join(modality).join(format!("{clip}.{extension}"));
            if path.is_file() { Ok(path) } else { Err(DataError::missing(format!("{what} of clip {clip}"), &path)) }
        };
        Ok(ClipFiles {
            video: find_video(&split.video_folder, clip)?,
            audio: file(&folders.audio, "wav", "sound")?,
            emotion: file(&folders.emotion, "csv", "attributes")?,
            coeffs: file(&folders.coeffs, "npy", "3DMM coefficients")?,
        })
    }
}

fn find_video(folder: &Path, clip: &ClipId) -> Result<PathBuf, DataError> {
    let mp4 = folder.join(format!("{clip}.mp4"));
    let avi = mp4.with_extension("avi");
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
        let csv = pairs_csv(root, name, recipe);
        if !csv.is_file() {
            return Err(DataError::missing(format!("list of pairs of the split {name}"), &csv));
        }
        let folder = root.join(name);
        let candidates = recipe.folders.video.iter().map(|video| folder.join(video));
        let video_folder = candidates.clone().find(|path| path.is_dir());
        let video_folder = video_folder.ok_or_else(|| {
            let names = recipe.folders.video.join(" or ");
            DataError::missing(format!("folder of videos ({names})"), &folder)
        })?;
        Ok(Self { name: name.to_owned(), pairs: read_pairs(&csv)?, video_folder })
    }

    /// `train`, `val` or `test`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pairs in the csv's order.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
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
