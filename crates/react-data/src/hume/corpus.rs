use super::labels::{Row, is_id, read_labels};
use super::recipe::HumeRecipe;
use super::sampling::{Sampling, read_samples};
use crate::DataError;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Hume-Reaction in its published folder layout: its splits, clips and labels.
///
/// `ROOT/data_info.csv` has a row for each clip: File_ID in brackets, Split, a column for each emotion (Age and Country are not
/// read); `ROOT/{train,val,test}/{mp4,wav}/ID.*` are its video and sound, of which one may be missing; `sample_32_{split}.txt` may
/// list the frames to look at ([`Sampling`]).
#[derive(Clone, Debug)]
pub struct HumeCorpus {
    root: PathBuf,
    recipe: HumeRecipe,
    splits: Vec<HumeSplit>,
}

/// One split: its clips, sorted by id.
#[derive(Clone, Debug)]
pub struct HumeSplit {
    name: String,
    clips: Vec<HumeClip>,
}

/// One clip: a person's reaction.
#[derive(Clone, Debug, PartialEq)]
pub struct HumeClip {
    /// Its id, without brackets.
    pub id: String,
    /// Intensities in [0, 1], in the recipe's order of emotions; `None` where the split's labels are not given.
    pub labels: Option<Vec<f32>>,
    /// `.mp4`, `.avi`, or a folder of numbered PNGs.
    pub video: Option<PathBuf>,
    /// `.wav`.
    pub sound: Option<PathBuf>,
    /// Which frames are looked at.
    pub sampling: Sampling,
}

/// A clip that the table names and that cannot be found.
#[derive(Debug)]
pub struct LostClip {
    /// Its split.
    pub split: String,
    /// Its id.
    pub id: String,
    /// What is missing.
    pub error: DataError,
}

impl HumeCorpus {
    /// Reads the tables and finds the files; decodes nothing.
    ///
    /// Clips of an optional split (test) are those of the table and those whose files are there.
    ///
    /// # Errors
    /// [`DataError`] naming file, row and column of what is wrong in a table, or the clip that has neither video nor sound, or
    /// that the list of frames leaves out.
    pub fn open(root: &Path, recipe: &HumeRecipe) -> Result<Self, DataError> {
        let (corpus, lost) = Self::survey(root, recipe)?;
        lost.into_iter().next().map_or(Ok(corpus), |clip| Err(clip.error))
    }

    /// As [`HumeCorpus::open`], with the clips that can be found, and those that cannot.
    ///
    /// # Errors
    /// [`DataError`] where a table or a list of frames cannot be used.
    pub fn survey(root: &Path, recipe: &HumeRecipe) -> Result<(Self, Vec<LostClip>), DataError> {
        recipe.check().map_err(|why| DataError::Recipe { name: recipe.name.clone(), why })?;
        if !root.is_dir() {
            return Err(DataError::missing(format!("folder of the corpus {}", recipe.name), root));
        }
        let table = root.join(&recipe.files.labels);
        let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in read_labels(&table, recipe)? {
            rows.entry(row.split.clone()).or_default().push(row);
        }
        let (mut splits, mut lost) = (Vec::new(), Vec::new());
        for name in recipe.splits.iter().chain(&recipe.optional_splits) {
            let optional = recipe.optional_splits.contains(name);
            let mut rows = rows.remove(name).unwrap_or_default();
            if optional {
                add_unlisted(&mut rows, &root.join(name), name, recipe)?;
            }
            match (rows.is_empty(), optional) {
                (true, true) => {}
                (true, false) => return Err(DataError::csv(&table, format!("it lists no clip of the split {name}"))),
                (false, _) => splits.push(HumeSplit::open(root, name, rows, recipe, &mut lost)?),
            }
        }
        Ok((Self { root: root.to_owned(), recipe: recipe.clone(), splits }, lost))
    }

    /// The corpus's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The recipe it was opened with.
    #[must_use]
    pub fn recipe(&self) -> &HumeRecipe {
        &self.recipe
    }

    /// The splits that are there, in the recipe's order.
    #[must_use]
    pub fn splits(&self) -> &[HumeSplit] {
        &self.splits
    }

    /// Where the table of clips and labels is.
    #[must_use]
    pub fn labels_csv(&self) -> PathBuf {
        self.root.join(&self.recipe.files.labels)
    }
}

impl HumeSplit {
    fn open(root: &Path, name: &str, mut rows: Vec<Row>, recipe: &HumeRecipe, lost: &mut Vec<LostClip>) -> Result<Self, DataError> {
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let list = root.join(recipe.samples(name));
        let samples = if list.is_file() { Some(read_samples(&list, recipe.frames.count)?) } else { None };
        let folder = root.join(name);
        let clip = |row: &Row| {
            let (video, sound) = (find_video(&folder, &row.id, recipe), find_sound(&folder, &row.id, recipe));
            let sampling = match &samples {
                None => Sampling::Uniform,
                Some(samples) => match samples.get(&row.id) {
                    Some(sampling) => sampling.clone(),
                    None if video.is_none() => Sampling::NoFace,
                    None => {
                        let why = format!("{} has no line for it (an id alone says that a clip has no face)", list.display());
                        return Err(DataError::Clip { split: name.to_owned(), clip: row.id.clone(), why });
                    }
                },
            };
            if video.is_none() && sound.is_none() {
                let [mp4, wav] = [(&recipe.folders.video, "mp4"), (&recipe.folders.audio, "wav")]
                    .map(|(modality, extension)| folder.join(modality).join(format!("{}.{extension}", row.id)));
                let why = format!("neither its video {} nor its sound {} is there", mp4.display(), wav.display());
                return Err(DataError::Clip { split: name.to_owned(), clip: row.id.clone(), why });
            }
            Ok(HumeClip { id: row.id.clone(), labels: row.labels.clone(), video, sound, sampling })
        };
        let mut clips = Vec::with_capacity(rows.len());
        for row in &rows {
            match clip(row) {
                Ok(clip) => clips.push(clip),
                Err(error) => lost.push(LostClip { split: name.to_owned(), id: row.id.clone(), error }),
            }
        }
        Ok(Self { name: name.to_owned(), clips })
    }

    /// `train`, `val` or `test`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its clips, sorted by id.
    #[must_use]
    pub fn clips(&self) -> &[HumeClip] {
        &self.clips
    }
}

fn find_video(split: &Path, id: &str, recipe: &HumeRecipe) -> Option<PathBuf> {
    let folder = split.join(&recipe.folders.video);
    let files = ["mp4", "avi"].map(|extension| folder.join(format!("{id}.{extension}")));
    let pngs = folder.join(id);
    files.into_iter().find(|path| path.is_file()).or_else(|| pngs.is_dir().then_some(pngs))
}

fn find_sound(split: &Path, id: &str, recipe: &HumeRecipe) -> Option<PathBuf> {
    let wav = split.join(&recipe.folders.audio).join(format!("{id}.wav"));
    wav.is_file().then_some(wav)
}

/// Adds the clips whose files are there and whom the table does not name.
fn add_unlisted(rows: &mut Vec<Row>, split: &Path, name: &str, recipe: &HumeRecipe) -> Result<(), DataError> {
    let listed: BTreeSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    let mut found = BTreeSet::new();
    for modality in [&recipe.folders.video, &recipe.folders.audio] {
        let folder = split.join(modality);
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.map_err(DataError::io("read", &folder))?.path();
            let kind = path.extension().and_then(|kind| kind.to_str());
            let known = matches!(kind, Some("mp4" | "avi" | "wav")) || path.is_dir();
            found.extend(path.file_stem().and_then(|id| id.to_str()).filter(|id| known && is_id(id)).map(str::to_owned));
        }
    }
    let new = found.difference(&listed).map(|id| Row { id: id.clone(), split: name.to_owned(), labels: None });
    rows.extend(new);
    Ok(())
}
