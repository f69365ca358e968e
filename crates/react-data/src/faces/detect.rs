//! The detector of the feature `detect`: SeetaFace's funnel-structured cascade (S. Wu et al., "Funnel-Structured Cascade for
//! Multi-View Face Detection with Alignment-Awareness", Neurocomputing 2017) by the crate rustface, with its published weights.

use super::FaceTrack;
use crate::DataError;
use react_media::VideoReader;
use std::path::Path;

/// BLAKE3 of `seeta_fd_frontal_v1.0.bin`: the parser of weights trusts what it reads, so it only gets the file that is known.
const WEIGHTS: &str = "b3e9594edb5f2e23ea8bda9e090beb7bc57ae6b2e205761346d3ee3000fb654e";
/// Every so many frames are looked at; those between are bridged.
const STRIDE: usize = 5;
/// Pixels of the shorter side that is looked at: larger pictures are shrunk by a whole number of pixels.
const SHORTER: usize = 240;

/// Weights of the detector.
#[derive(Clone)]
pub struct FaceModel(rustface::Model);

impl FaceModel {
    /// Reads the published weights, `seeta_fd_frontal_v1.0.bin`.
    ///
    /// # Errors
    /// [`DataError`] where the file is missing or another.
    pub fn read(file: &Path) -> Result<Self, DataError> {
        let bytes = std::fs::read(file).map_err(DataError::io("read", file))?;
        let odd = |why: String| DataError::Packed { dir: file.to_owned(), why };
        let hash = blake3::hash(&bytes).to_hex();
        if hash.as_str() != WEIGHTS {
            return Err(odd(format!("it is not SeetaFace's seeta_fd_frontal_v1.0.bin (its BLAKE3 is {hash}, wanted {WEIGHTS})")));
        }
        rustface::read_model(std::io::Cursor::new(bytes)).map(Self).map_err(|error| odd(format!("the detector cannot read it: {error}")))
    }

    /// What a clip's bytes depend on.
    pub(crate) fn key(&self) -> String {
        format!("seeta {} {STRIDE} {SHORTER}", &WEIGHTS[..8])
    }
}

/// A detector of one worker.
pub struct Detector {
    inner: Box<dyn rustface::Detector>,
    grey: Vec<u8>,
}

impl Detector {
    /// A detector with these weights.
    #[must_use]
    pub fn new(model: &FaceModel) -> Self {
        let mut inner = rustface::create_detector_with_model(model.0.clone());
        // The crate's own example's settings; the smallest face is a sixth of the shorter side.
        inner.set_min_face_size((SHORTER / 6) as u32);
        inner.set_score_thresh(2.0);
        inner.set_pyramid_scale_factor(0.8);
        inner.set_slide_window_step(4, 4);
        Self { inner, grey: Vec::new() }
    }

    /// The face of a picture, RGB24 of `width` × `height` pixels: left, top, width, height in its pixels. Of several the one nearest
    /// to `near` (centre x, y), or else the one with the highest score.
    pub fn face(&mut self, rgb: &[u8], (width, height): (usize, usize), near: Option<[f64; 2]>) -> Option<[f64; 4]> {
        let scale = (width.min(height) / SHORTER).max(1);
        let (w, h) = (width / scale, height / scale);
        if w < 40 || h < 40 || rgb.len() != width * height * 3 {
            return None;
        }
        self.grey.clear();
        self.grey.extend((0..w * h).map(|i| shade(rgb, width, (i % w) * scale, (i / w) * scale, scale)));
        let mut faces = self.inner.detect(&rustface::ImageData::new(&self.grey, w as u32, h as u32));
        let boxed = |face: &rustface::FaceInfo| {
            let found = face.bbox();
            [f64::from(found.x()), f64::from(found.y()), f64::from(found.width()), f64::from(found.height())].map(|x| x * scale as f64)
        };
        let far = |[x, y, w, h]: [f64; 4], [to_x, to_y]: [f64; 2]| (x + 0.5 * w - to_x).hypot(y + 0.5 * h - to_y);
        match near {
            Some(near) => faces.sort_by(|a, b| far(boxed(a), near).total_cmp(&far(boxed(b), near))),
            None => faces.sort_by(|a, b| b.score().total_cmp(&a.score())),
        }
        faces.first().map(boxed)
    }

    /// The faces of the next `frames` frames of a video, every fifth of them looked at.
    ///
    /// # Errors
    /// Where a frame cannot be decoded.
    pub fn track(&mut self, video: &mut VideoReader, frames: usize) -> Result<FaceTrack, DataError> {
        let size = (video.info().width, video.info().height);
        let (mut rgb, mut boxes, mut near) = (Vec::new(), Vec::new(), None);
        for frame in 0..frames {
            if !video.next_frame(&mut rgb)? {
                break;
            }
            if frame % STRIDE != 0 && frame + 1 != frames {
                continue;
            }
            if let Some([x, y, w, h]) = self.face(&rgb, size, near) {
                let centre = [x + 0.5 * w, y + 0.5 * h];
                near = Some(centre);
                boxes.push((frame, [centre[0], centre[1], w.max(h)]));
            }
        }
        Ok(FaceTrack::new(boxes).unwrap_or_default())
    }
}

/// The mean luma of a square of pixels.
fn shade(rgb: &[u8], width: usize, x: usize, y: usize, scale: usize) -> u8 {
    let mut sum = 0usize;
    for row in y..y + scale {
        for pixel in rgb[(row * width + x) * 3..][..scale * 3].as_chunks::<3>().0 {
            sum += 299 * usize::from(pixel[0]) + 587 * usize::from(pixel[1]) + 114 * usize::from(pixel[2]);
        }
    }
    (sum / (1000 * scale * scale)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_weights_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, b"\x01\x00\x00\x00").unwrap();
        let error = FaceModel::read(&path).err().unwrap().to_string();
        assert!(error.contains("model.bin: it is not SeetaFace's seeta_fd_frontal_v1.0.bin (its BLAKE3 is "), "{error}");
        assert!(FaceModel::read(&folder.path().join("none")).err().unwrap().to_string().starts_with("file not found"));
    }

    #[test]
    fn shades_are_means() {
        assert_eq!(shade(&[10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40], 2, 0, 0, 2), 25);
    }

    /// Needs the weights: `REACT_FACE_MODEL=seeta_fd_frontal_v1.0.bin` and `REACT_FACE_PICTURE` (a PNG with one face).
    #[test]
    #[ignore = "needs the detector's weights and a picture"]
    fn a_face_is_found_where_the_weights_are_given() {
        let (model, picture) = (std::env::var("REACT_FACE_MODEL").unwrap(), std::env::var("REACT_FACE_PICTURE").unwrap());
        let image = react_media::read_png(Path::new(&picture)).unwrap();
        let mut detector = Detector::new(&FaceModel::read(Path::new(&model)).unwrap());
        let found = detector.face(&image.rgb, (image.width, image.height), None).unwrap();
        assert_eq!(detector.face(&image.rgb, (image.width, image.height), None), Some(found));
        let [x, y, w, h] = found;
        assert!(x + w > 0.0 && y + h > 0.0 && x < image.width as f64 && y < image.height as f64, "{found:?}");
        assert!(detector.face(&vec![128; image.width * image.height * 3], (image.width, image.height), None).is_none());
    }
}
