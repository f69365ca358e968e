//! The report: one HTML file with everything that a run came to, which opens from disk and asks the network for nothing.

mod html;
mod media;
mod player;
mod scores;
mod settings;

use crate::error::VizError;
use crate::plots::LossHistory;
use crate::scores::{Metric, Score, ScoreTable};
use crate::svg::Figure;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A page weighs at most so many bytes where its videos can help it: they stand inside up to there, and lie beside it beyond.
pub const INLINE_LIMIT: u64 = 50 << 20;

/// What a run came to. Every part may be empty; what is empty is left out of the page.
///
/// ```
/// use react_viz::{Kind, Metric, Report, ScoreRow, ScoreTable};
/// let table = ScoreTable { metrics: Metric::react(), rows: vec![ScoreRow::new("<Mime>", Kind::Baseline, &[Some(0.71)])], ..Default::default() };
/// let report = Report { title: "Demo".into(), run: "demo".into(), tables: vec![table], ..Default::default() };
/// let folder = tempfile::tempdir()?;
/// let written = report.write(&folder.path().join("report.html"))?;
/// assert!(written.beside.is_empty());
/// assert!(std::fs::read_to_string(&written.path)?.contains("&lt;Mime&gt;"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The page's title.
    pub title: String,
    /// The run's name.
    pub run: String,
    /// A sentence or two on top: what was trained on what, and how it went.
    pub summary: String,
    /// The few numbers that come first: (name, value).
    pub facts: Vec<(String, String)>,
    /// Scores of systems.
    pub tables: Vec<ScoreTable>,
    /// Pictures, such as a filmstrip.
    pub pictures: Vec<Picture>,
    /// Clips to look at.
    pub examples: Vec<Example>,
    /// Losses, drawn as curves.
    pub history: LossHistory,
    /// Further plots.
    pub figures: Vec<Figure>,
    /// Scores clip by clip, sortable.
    pub clips: Option<ClipTable>,
    /// Settings side by side, for pages that compare.
    pub settings: Option<Settings>,
    /// Commands that run it again.
    pub rerun: Vec<String>,
    /// The whole configuration, as text.
    pub configuration: String,
    /// Versions, processor, times: (name, value).
    pub environment: Vec<(String, String)>,
    /// Remarks: what was left out, what to read with care.
    pub notes: Vec<String>,
}

/// A picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// The PNG file.
    #[serde(with = "base64_bytes")]
    pub png: Vec<u8>,
    /// What it shows, for those who do not see it.
    pub alt: String,
    /// What stands below it.
    pub caption: String,
}

/// A video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Video {
    /// The mp4 file.
    #[serde(with = "base64_bytes")]
    pub mp4: Vec<u8>,
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
}

impl Video {
    /// The video that [`write_panels`](crate::video::write_panels) wrote.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(path: &Path, width: usize, height: usize) -> Result<Self, VizError> {
        Ok(Self { mp4: read(path)?, width, height })
    }
}

impl Picture {
    /// The picture that [`strip`](crate::strip::write_strip) wrote.
    ///
    /// # Errors
    /// Where the file cannot be read.
    pub fn read(path: &Path, alt: &str, caption: &str) -> Result<Self, VizError> {
        Ok(Self { png: read(path)?, alt: alt.to_owned(), caption: caption.to_owned() })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, VizError> {
    std::fs::read(path).map_err(|source| VizError::Read { path: path.to_owned(), source })
}

/// A listener in 3D, to turn and to play beside the video.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Animation {
    /// Who it is: `"True listener"`, `"Sample 1"`.
    pub label: String,
    /// Binary glTF 2.0: one scene, morph targets, one animation.
    #[serde(with = "base64_bytes")]
    pub glb: Vec<u8>,
}

/// A clip to look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Example {
    /// The clip's name.
    pub name: String,
    /// What to look for.
    pub caption: String,
    /// Whether it stands in the section of examples; the others open from their row of [`Report::clips`] alone.
    pub featured: bool,
    /// Speaker, real listener, samples.
    pub video: Option<Video>,
    /// The listeners in 3D; the first is shown first.
    pub animations: Vec<Animation>,
    /// This clip's scores: (metric, value).
    pub scores: Vec<(Metric, Option<f64>)>,
    /// Plots of this clip.
    pub figures: Vec<Figure>,
}

/// Scores clip by clip.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipTable {
    /// The columns.
    pub metrics: Vec<Metric>,
    /// The rows.
    pub rows: Vec<ClipRow>,
    /// How to have more: which clips have a video, what draws the others.
    #[serde(default)]
    pub note: String,
}

/// One clip's scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipRow {
    /// The clip's name; the clip of an [`Example`] of the same name links to it.
    pub clip: String,
    /// One number a metric; those that are missing are dashes.
    pub scores: Vec<Score>,
}

/// Settings of several runs, those that differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The runs.
    pub runs: Vec<String>,
    /// A key, and its value in each run; empty where a run has no such key.
    pub rows: Vec<(String, Vec<String>)>,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The page.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Files that it needs beside it: its videos, where they are too large to stand inside.
    pub beside: Vec<PathBuf>,
}

impl Report {
    /// Writes the page and, where it would weigh more than [`INLINE_LIMIT`], its videos into a folder beside it. The same
    /// report gives the same bytes.
    ///
    /// # Errors
    /// Where a file cannot be written, or a plot of the losses cannot be drawn.
    pub fn write(&self, path: &Path) -> Result<Written, VizError> {
        self.write_within(path, INLINE_LIMIT)
    }

    fn write_within(&self, path: &Path, inline_limit: u64) -> Result<Written, VizError> {
        let stem = path.file_stem().map_or_else(|| "report".into(), |s| s.to_string_lossy().into_owned());
        let folder = format!("{stem}-videos");
        let mut page = html::page(self, Some(&folder))?;
        let videos = self.examples.iter().filter_map(|e| e.video.as_ref()).map(|v| media::encoded_size(v.mp4.len())).sum::<u64>();
        let mut beside = Vec::new();
        if page.len() as u64 + videos <= inline_limit {
            page = html::page(self, None)?;
        } else {
            for (i, video) in self.examples.iter().enumerate().filter_map(|(i, e)| Some((i, e.video.as_ref()?))) {
                let file = path.with_file_name(&folder).join(media::video_name(i));
                react_store::write_atomic(&file, |w| w.write_all(&video.mp4))?;
                beside.push(file);
            }
        }
        react_store::write_atomic(path, |w| w.write_all(page.as_bytes()))?;
        tracing::debug!(path = %path.display(), bytes = page.len(), beside = beside.len(), "report written");
        Ok(Written { path: path.to_owned(), bytes: page.len() as u64, beside })
    }

    /// The page as text, with everything inside it.
    ///
    /// # Errors
    /// Where a plot of the losses cannot be drawn.
    pub fn html(&self) -> Result<String, VizError> {
        html::page(self, None)
    }
}

/// Bytes as base64 text in serialised reports.
mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
