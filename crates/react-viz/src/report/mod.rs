//! The report: one HTML file with everything that a run came to, which opens from disk and asks the network for nothing.

mod html;
mod scores;

use crate::error::VizError;
use crate::plots::LossHistory;
use crate::scores::{Metric, Score, ScoreTable};
use crate::svg::Figure;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Videos and pictures up to this many bytes together stand inside the page; beyond it the videos lie beside it.
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

/// A clip to look at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// The clip's name.
    pub name: String,
    /// What to look for.
    pub caption: String,
    /// Speaker, real listener, samples.
    pub video: Option<Video>,
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
}

/// One clip's scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClipRow {
    /// The clip's name; the clip of an [`Example`] of the same name links to it.
    pub clip: String,
    /// One number a metric; those that are missing are dashes.
    pub scores: Vec<Score>,
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
    /// Writes the page and, where pictures and videos are more than [`INLINE_LIMIT`] together, the videos into a folder
    /// beside it. The same report gives the same bytes.
    ///
    /// # Errors
    /// Where a file cannot be written, or a plot of the losses cannot be drawn.
    pub fn write(&self, path: &Path) -> Result<Written, VizError> {
        self.write_within(path, INLINE_LIMIT)
    }

    fn write_within(&self, path: &Path, inline_limit: u64) -> Result<Written, VizError> {
        let pictures = self.pictures.iter().map(|p| p.png.len() as u64).sum::<u64>();
        let videos = self.examples.iter().filter_map(|e| e.video.as_ref()).map(|v| v.mp4.len() as u64).sum::<u64>();
        let stem = path.file_stem().map_or_else(|| "report".into(), |s| s.to_string_lossy().into_owned());
        let folder = (encoded_size(pictures + videos) > inline_limit).then(|| format!("{stem}-videos"));
        let mut beside = Vec::new();
        if let Some(folder) = &folder {
            for (i, video) in self.examples.iter().enumerate().filter_map(|(i, e)| Some((i, e.video.as_ref()?))) {
                let file = path.with_file_name(folder).join(video_name(i));
                react_store::write_atomic(&file, |w| w.write_all(&video.mp4))?;
                beside.push(file);
            }
        }
        let page = html::page(self, folder.as_deref())?;
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

/// Bytes of base64 for so many bytes.
fn encoded_size(bytes: u64) -> u64 {
    bytes.div_ceil(3) * 4
}

/// The file of the `i`-th example's video.
fn video_name(i: usize) -> String {
    format!("example-{}.mp4", i + 1)
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
