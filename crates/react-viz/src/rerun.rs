//! Recordings for the Rerun viewer (<https://rerun.io>): speaker frames, meshes, coefficients and attributes on one timeline.
//!
//! ```text
//! speaker                                     the speaker's frames
//! NAME/mesh                                   a face, its triangles and colours once, its vertices each frame
//! NAME/coefficients/expression 1 …            a curve each, 58
//! NAME/attributes/AU1 …                       a curve each, 25
//! ```
//! Everything stands on the timelines `frame` (from 0) and `time` (seconds of the clip). `rerun FILE.rrd` shows it.

use crate::error::VizError;
use ndarray::{ArrayView2, ArrayView4, Axis};
use react_contracts::channels::{EMOTION, coeff_name};
use react_contracts::{ATTRIBUTES, COEFFS};
use rerun::components::{ImageBuffer, ImageFormat};
use rerun::{EntityPath, EntityPathPart, Image, Mesh3D, RecordingStream, RecordingStreamBuilder, Scalars, SeriesLines, TimeColumn};
use std::ops::Range;
use std::path::Path;

/// Frames of pictures and meshes that are sent at once: what bounds the memory.
const BATCH: usize = 16;

/// A clip to record.
#[derive(Clone, Copy)]
pub struct Recording<'a> {
    /// The clip's name.
    pub name: &'a str,
    /// Frames per second.
    pub fps: f64,
    /// The speaker's frames, u8 `[t, h, w, 3]`.
    pub speaker: Option<ArrayView4<'a, u8>>,
    /// Everybody of whom there are numbers: the speaker too, where its attributes are known.
    pub tracks: &'a [Track<'a>],
}

/// What is known of one person over time.
#[derive(Clone, Copy)]
pub struct Track<'a> {
    /// The name in the recording: `"true listener"`, `"sample 1"`.
    pub name: &'a str,
    /// The face.
    pub mesh: Option<MeshTrack<'a>>,
    /// `[t, 58]`.
    pub coefficients: Option<ArrayView2<'a, f32>>,
    /// `[t, 25]`.
    pub attributes: Option<ArrayView2<'a, f32>>,
}

/// A face that moves.
#[derive(Clone, Copy)]
pub struct MeshTrack<'a> {
    /// Number of frames.
    pub frames: usize,
    /// Corners of the triangles.
    pub triangles: &'a [[u32; 3]],
    /// A colour a vertex, sRGB.
    pub colours: &'a [[u8; 3]],
    /// The vertices of a frame.
    pub posed: &'a dyn Fn(usize) -> Vertices,
}

/// The vertices of a mesh at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vertices {
    /// Where they are.
    pub positions: Vec<[f32; 3]>,
    /// Their normals; none where the surface has no light and shade.
    pub normals: Vec<[f32; 3]>,
}

/// Writes a recording as an `.rrd` file.
///
/// # Errors
/// Where there is nothing to record, an array has another shape than said, `fps` is not positive, or the file cannot be written.
pub fn record(path: &Path, recording: &Recording<'_>) -> Result<(), VizError> {
    recording.check()?;
    let refused = |reason: String| VizError::Events { path: path.to_owned(), source: std::io::Error::other(reason) };
    let stream = RecordingStreamBuilder::new("react").recording_name(recording.name).save(path);
    let stream = stream.map_err(|error| refused(error.to_string()))?;
    let send = || -> Result<(), Box<dyn std::error::Error>> {
        let writer = Writer { stream: &stream, fps: recording.fps };
        if let Some(speaker) = recording.speaker {
            writer.film("speaker", speaker)?;
        }
        for track in recording.tracks {
            if let Some(mesh) = &track.mesh {
                writer.mesh(track.name, mesh)?;
            }
            if let Some(values) = track.coefficients {
                writer.curves(track.name, "coefficients", values, coeff_name)?;
            }
            if let Some(values) = track.attributes {
                writer.curves(track.name, "attributes", values, |channel| EMOTION[channel].to_owned())?;
            }
        }
        Ok(stream.flush_blocking()?)
    };
    send().map_err(|error| refused(error.to_string()))?;
    stream.disconnect();
    Ok(())
}

impl Recording<'_> {
    fn check(&self) -> Result<(), VizError> {
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(VizError::Value { what: "fps", reason: format!("must be positive, is {}", self.fps) });
        }
        let shape = |what: &str, axis, want, got| {
            if want == got { Ok(()) } else { Err(VizError::Shape { what: what.to_owned(), axis, want, got }) }
        };
        let mut frames = 0;
        if let Some(speaker) = self.speaker {
            shape("speaker frames", "colours", 3, speaker.len_of(Axis(3)))?;
            frames = speaker.len_of(Axis(0));
        }
        for track in self.tracks {
            if let Some(values) = track.coefficients {
                shape(track.name, "coefficients", COEFFS, values.ncols())?;
                frames = frames.max(values.nrows());
            }
            if let Some(values) = track.attributes {
                shape(track.name, "attributes", ATTRIBUTES, values.ncols())?;
                frames = frames.max(values.nrows());
            }
            frames = frames.max(track.mesh.map_or(0, |mesh| mesh.frames));
        }
        if frames == 0 { Err(VizError::Empty { what: format!("recording {:?}", self.name) }) } else { Ok(()) }
    }
}

/// Ranges of at most [`BATCH`] frames.
fn batches(frames: usize) -> impl Iterator<Item = Range<usize>> {
    (0..frames).step_by(BATCH).map(move |start| start..frames.min(start + BATCH))
}

/// A recording that is being written. Columns are sent whole, so that no wall clock gets into it.
struct Writer<'a> {
    stream: &'a RecordingStream,
    fps: f64,
}

type Sent = Result<(), Box<dyn std::error::Error>>;

impl Writer<'_> {
    fn times(&self, frames: Range<usize>) -> [TimeColumn; 2] {
        let seconds = frames.clone().map(|frame| frame as f64 / self.fps);
        [TimeColumn::new_sequence("frame", frames.map(|frame| frame as i64)), TimeColumn::new_duration_secs("time", seconds)]
    }

    fn film(&self, place: &str, film: ArrayView4<'_, u8>) -> Sent {
        let (frames, height, width, _) = film.dim();
        let size = [u32::try_from(width)?, u32::try_from(height)?];
        self.stream.log_static(place, &Image::update_fields().with_format(ImageFormat::rgb8(size)))?;
        for batch in batches(frames) {
            let picture = |t| ImageBuffer::from(film.index_axis(Axis(0), t).iter().copied().collect::<Vec<u8>>());
            let columns = Image::update_fields().with_many_buffer(batch.clone().map(picture)).columns_of_unit_batches()?;
            self.stream.send_columns(place, self.times(batch), columns)?;
        }
        Ok(())
    }

    fn mesh(&self, name: &str, mesh: &MeshTrack<'_>) -> Sent {
        let place = path(&[name, "mesh"]);
        let colours = mesh.colours.iter().map(|[r, g, b]| rerun::Color::from_rgb(*r, *g, *b));
        let still = Mesh3D::update_fields().with_triangle_indices(mesh.triangles.iter().copied()).with_vertex_colors(colours);
        self.stream.log_static(place.clone(), &still)?;
        for batch in batches(mesh.frames) {
            let posed: Vec<Vertices> = batch.clone().map(|frame| (mesh.posed)(frame)).collect();
            let positions = posed.iter().flat_map(|vertices| vertices.positions.iter().copied());
            let columns = Mesh3D::update_fields().with_vertex_positions(positions).columns(posed.iter().map(|v| v.positions.len()))?;
            self.stream.send_columns(place.clone(), self.times(batch.clone()), columns)?;
            if posed.iter().all(|vertices| vertices.normals.len() == vertices.positions.len()) {
                let normals = posed.iter().flat_map(|vertices| vertices.normals.iter().copied());
                let columns = Mesh3D::update_fields().with_vertex_normals(normals).columns(posed.iter().map(|v| v.normals.len()))?;
                self.stream.send_columns(place.clone(), self.times(batch), columns)?;
            }
        }
        Ok(())
    }

    fn curves(&self, name: &str, kind: &str, values: ArrayView2<'_, f32>, channel_name: impl Fn(usize) -> String) -> Sent {
        for (channel, curve) in values.columns().into_iter().enumerate() {
            let label = channel_name(channel);
            let place = path(&[name, kind, &label]);
            self.stream.log_static(place.clone(), &SeriesLines::update_fields().with_names([label]))?;
            let columns = Scalars::update_fields().with_scalars(curve.iter().map(|v| f64::from(*v))).columns_of_unit_batches()?;
            self.stream.send_columns(place, self.times(0..curve.len()), columns)?;
        }
        Ok(())
    }
}

/// A place in the recording, whatever characters its names have.
fn path(parts: &[&str]) -> EntityPath {
    EntityPath::new(parts.iter().map(|part| EntityPathPart::new(*part)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, Array4};

    #[test]
    fn a_recording_is_written_and_wrong_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clip.rrd");
        let film = Array4::<u8>::from_elem((20, 4, 6, 3), 9);
        let (coefficients, attributes) = (Array2::<f32>::zeros((20, 58)), Array2::<f32>::zeros((20, 25)));
        let posed = |frame: usize| Vertices {
            positions: vec![[frame as f32, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            normals: vec![[0.0, 0.0, 1.0]; 3],
        };
        let mesh = MeshTrack { frames: 20, triangles: &[[0, 1, 2]], colours: &[[200, 160, 140]; 3], posed: &posed };
        let track = Track {
            name: "sample 1/of \"many\"",
            mesh: Some(mesh),
            coefficients: Some(coefficients.view()),
            attributes: Some(attributes.view()),
        };
        let recording = Recording { name: "clip", fps: 25.0, speaker: Some(film.view()), tracks: &[track] };
        record(&file, &recording).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        assert!(bytes.starts_with(b"RRF") && bytes.len() > 2000, "{} bytes", bytes.len());

        assert!(record(&file, &Recording { fps: 0.0, ..recording }).is_err());
        assert!(record(&file, &Recording { speaker: None, tracks: &[], ..recording }).is_err());
        let wide = Array2::<f32>::zeros((20, 59));
        let wrong = Track { coefficients: Some(wide.view()), ..track };
        let error = record(&file, &Recording { tracks: &[wrong], ..recording }).unwrap_err();
        assert!(error.to_string().contains("coefficients must be 58, is 59"), "{error}");
        assert!(record(&folder.path().join("no/such/clip.rrd"), &recording).is_err());
    }
}
