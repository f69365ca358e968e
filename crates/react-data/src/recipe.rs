use crate::DataError;
use react_media::FrameShape;
use serde::Deserialize;

/// The recipes that are part of the program, by name: `data-prep/NAME/recipe.toml`.
const BUILT_IN: [(&str, &str); 3] = [
    ("react2024", include_str!("../../../data-prep/react2024/recipe.toml")),
    ("react2025", include_str!("../../../data-prep/react2025/recipe.toml")),
    ("synthetic", include_str!("../../../data-prep/synthetic/recipe.toml")),
];

/// How a corpus lies on disk and what it is packed to: names of folders and files, frame rate, size of the frames.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The corpus's name.
    pub name: String,
    /// How clips and pairs are found.
    #[serde(default)]
    pub layout: Layout,
    /// Frames per second of every clip; where it is not given, each video says its own.
    #[serde(default)]
    pub fps: Option<f64>,
    /// Splits that must be there.
    pub splits: Vec<String>,
    /// Splits that are prepared where their csv is there.
    #[serde(default)]
    pub optional_splits: Vec<String>,
    /// Size of the packed frames.
    pub frames: FramesRecipe,
    /// Folders of the modalities, below a split's folder.
    pub folders: Folders,
    /// Files below the root.
    pub files: Files,
    /// How many reactions of a session are appropriate ([`Layout::Roles`]).
    #[serde(default)]
    pub appropriate: SessionReactions,
}

/// How clips and pairs are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// A csv for each split lists the pairs, as REACT 2023 and 2024 do.
    #[default]
    Pairs,
    /// `SPLIT/MODALITY/{speaker,listener}/SESSION/RECORDING.EXT`, as MARS (REACT 2025 and 2026).
    Roles,
}

/// Of the reactions of a session, which are appropriate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionReactions {
    /// Reactions to a clip, its own among them; 0 for all of the session.
    pub most: usize,
    /// Seed of the draw of the others.
    pub seed: u64,
}

impl Default for SessionReactions {
    /// 10, as the challenge's program draws: the own one and 9 more.
    fn default() -> Self {
        Self { most: 10, seed: 0 }
    }
}

/// Size of the packed frames, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramesRecipe {
    /// The shorter side after resizing.
    pub shorter: usize,
    /// Side of the square centre crop.
    pub crop: usize,
}

/// Folders of the modalities, below a split's folder.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folders {
    /// Videos: the first that a split has.
    pub video: Vec<String>,
    /// Those of the video folders whose pictures are crops of faces.
    #[serde(default)]
    pub face_crops: Vec<String>,
    /// Sound, `.wav`.
    pub audio: String,
    /// Given audio features, `.npy`: taken instead of the sound where a split has the folder.
    #[serde(default)]
    pub audio_features: Option<String>,
    /// Attributes, `.csv` or `.npy`.
    pub emotion: String,
    /// 3DMM coefficients, `.npy`.
    pub coeffs: String,
}

/// Files below the root.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// A split's pairs; `{split}` stands for its name. With [`Layout::Pairs`], as the two that follow.
    #[serde(default)]
    pub pairs: String,
    /// Site, chat and clip of each row of the appropriateness matrix.
    #[serde(default)]
    pub indices: String,
    /// The appropriateness matrix of the whole corpus.
    #[serde(default)]
    pub appropriate: String,
    /// The mean face, 58 coefficients.
    pub mean_face: String,
}

impl Recipe {
    /// The built-in recipe of a corpus.
    ///
    /// ```
    /// let recipe = react_data::Recipe::named("react2024")?;
    /// assert_eq!((recipe.fps, recipe.frames.crop), (Some(25.0), 224));
    /// let error = react_data::Recipe::named("react2042").unwrap_err();
    /// assert_eq!(error.to_string(), "recipe react2042: there is none of this name; there are react2024, react2025, synthetic");
    /// # Ok::<(), react_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// [`DataError::Recipe`] with the names there are.
    pub fn named(name: &str) -> Result<Self, DataError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((name, text)) => Self::parse(name, text),
            None => {
                let known = BUILT_IN.map(|(name, _)| name).join(", ");
                let why = format!("there is none of this name; there are {known}");
                Err(DataError::Recipe { name: name.to_owned(), why })
            }
        }
    }

    /// Reads a recipe's text; `name` is what errors call it.
    ///
    /// # Errors
    /// [`DataError::Recipe`] for a key that is unknown or missing, or a value that cannot be.
    pub fn parse(name: &str, text: &str) -> Result<Self, DataError> {
        let error = |why: String| DataError::Recipe { name: name.to_owned(), why };
        let recipe: Self = toml::from_str(text).map_err(|source| error(source.to_string().trim_end().replace('\n', " ")))?;
        if let Some(fps) = recipe.fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0)) {
            return Err(error(format!("fps must be above 0 and at most 1000, is {fps}")));
        }
        let Files { pairs, indices, appropriate, .. } = &recipe.files;
        if recipe.layout == Layout::Pairs && [pairs, indices, appropriate].iter().any(|name| name.is_empty()) {
            return Err(error("files.pairs, files.indices and files.appropriate are needed".to_owned()));
        }
        if recipe.folders.video.is_empty() {
            return Err(error("folders.video names no folder".to_owned()));
        }
        Ok(recipe)
    }

    /// The size of the packed frames, as the decoder's side knows it.
    #[must_use]
    pub fn frame_shape(&self) -> FrameShape {
        FrameShape { shorter: self.frames.shorter, crop: self.frames.crop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_recipes_are_whole() {
        for (name, _) in BUILT_IN {
            assert_eq!(Recipe::named(name).unwrap().name, name);
        }
    }

    #[test]
    fn unknown_keys_and_odd_values_are_refused() {
        let text = BUILT_IN[0].1;
        let error = |text: &str| Recipe::parse("x.toml", text).unwrap_err().to_string();
        assert!(error(&text.replace("fps =", "fsp =")).starts_with("recipe x.toml: "));
        assert_eq!(error(&text.replace("25.0", "0.0")), "recipe x.toml: fps must be above 0 and at most 1000, is 0");
    }
}
