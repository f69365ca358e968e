use crate::DataError;
use serde::Deserialize;

const BUILT_IN: &str = include_str!("../../../../data-prep/hume/recipe.toml");

/// How Hume-Reaction lies on disk and what it is packed to.
///
/// ```
/// let recipe = react_data::hume::HumeRecipe::built_in()?;
/// assert_eq!((recipe.emotions.len(), recipe.frames.count, recipe.sound.steps), (7, 32, 128));
/// # Ok::<(), react_data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumeRecipe {
    /// The corpus's name.
    pub name: String,
    /// Splits that must be there.
    pub splits: Vec<String>,
    /// Splits that are prepared where they are there; their clips may lack labels.
    pub optional_splits: Vec<String>,
    /// Columns of labels, in the order of labels and predictions.
    pub emotions: Vec<String>,
    /// The packed frames.
    pub frames: HumeFrames,
    /// The packed sound.
    pub sound: HumeSound,
    /// Folders below a split's.
    pub folders: HumeFolders,
    /// Files below the root.
    pub files: HumeFiles,
}

/// The packed frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumeFrames {
    /// Frames of a clip.
    pub count: usize,
    /// Their side, in pixels.
    pub crop: usize,
}

/// The packed sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumeSound {
    /// Steps that a clip's cepstra are pooled to.
    pub steps: usize,
}

/// Folders below a split's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumeFolders {
    /// Videos: `.mp4`, `.avi`, or folders of numbered PNGs.
    pub video: String,
    /// Sounds: `.wav`.
    pub audio: String,
}

/// Files below the root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HumeFiles {
    /// The table of clips, splits and labels.
    pub labels: String,
    /// A split's list of frames, optional; `{frames}` and `{split}` stand for their number and its name.
    pub samples: String,
}

impl HumeRecipe {
    /// The program's own recipe: `data-prep/hume/recipe.toml`.
    ///
    /// # Errors
    /// None, as it is shipped.
    pub fn built_in() -> Result<Self, DataError> {
        Self::parse("hume", BUILT_IN)
    }

    /// Reads a recipe's text; `name` is what errors call it.
    ///
    /// # Errors
    /// [`DataError::Recipe`] for a key that is unknown or missing, or a value that cannot be.
    pub fn parse(name: &str, text: &str) -> Result<Self, DataError> {
        let error = |why: String| DataError::Recipe { name: name.to_owned(), why };
        let recipe: Self = toml::from_str(text).map_err(|source| error(source.to_string().trim_end().replace('\n', " ")))?;
        recipe.check().map_err(error)?;
        Ok(recipe)
    }

    /// What is wrong with its values, in a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        let within = |what: &str, value: usize, most: usize| match value {
            0 => Err(format!("{what} must not be 0")),
            _ if value > most => Err(format!("{what} must be at most {most}, is {value}")),
            _ => Ok(()),
        };
        within("the number of frames", self.frames.count, 4096)?;
        within("the frames' side", self.frames.crop, 4096)?;
        within("the number of steps", self.sound.steps, 65_536)?;
        if self.emotions.is_empty() {
            return Err("it names no emotion".to_owned());
        }
        let odd = self.emotions.iter().find(|emotion| emotion.is_empty() || emotion.contains([',', '"', '\n', '\r']));
        if let Some(odd) = odd {
            return Err(format!("{odd:?} is no name of a column"));
        }
        let twice = (1..self.emotions.len()).find(|i| self.emotions[..*i].contains(&self.emotions[*i]));
        twice.map_or(Ok(()), |i| Err(format!("it names the emotion {} twice", self.emotions[i])))
    }

    /// Where a split's list of frames would be, below the root.
    pub(super) fn samples(&self, split: &str) -> String {
        self.files.samples.replace("{split}", split).replace("{frames}", &self.frames.count.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_values_are_refused() {
        let error = |from: &str, to: &str| HumeRecipe::parse("x.toml", &BUILT_IN.replace(from, to)).unwrap_err().to_string();
        assert_eq!(error("count = 32", "count = 0"), "recipe x.toml: the number of frames must not be 0");
        assert_eq!(error("\"Fear\"", "\"Disgust\""), "recipe x.toml: it names the emotion Disgust twice");
        assert!(error("steps", "stepz").starts_with("recipe x.toml: "));
        assert_eq!(HumeRecipe::built_in().unwrap().samples("val"), "sample_32_val.txt");
    }
}
