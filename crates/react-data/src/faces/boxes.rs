//! Boxes of any detector, smoothed over time and made square.

use crate::DataError;
use crate::hume::unbracketed;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The columns of a csv of boxes.
const HEADER: &str = "clip,frame,x,y,w,h";
/// Frames that boxes are smoothed over: the deviation of a Gaussian, and how far it is followed.
const SIGMA: f64 = 6.0;
const REACH: usize = 18;
/// Frames without a box that are bridged: half a second at 30 frames/s. Frames in longer gaps have no face.
pub(crate) const GAP: usize = 15;
/// A square is this much larger than the longer side of its box.
const MARGIN: f64 = 1.25;

/// Boxes of faces by clip, from a csv.
///
/// The csv has the header `clip,frame,x,y,w,h`: the clip (an id with or without brackets, or a path such as
/// `NoXI/010_2016-03-25_Paris/Expert_video/5` or `speaker/session0/Camera-1`, with or without `SPLIT/` before it), the frame from 0,
/// the box's left, top, width and height in pixels of the video. A frame without a face has no line.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceBoxes {
    tracks: BTreeMap<String, FaceTrack>,
}

/// The boxes of one clip, sorted by frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaceTrack {
    /// Frame, centre x, centre y, longer side.
    boxes: Vec<(usize, [f64; 3])>,
    /// The same with short gaps bridged.
    bridged: Vec<(usize, [f64; 3])>,
}

impl FaceBoxes {
    /// Reads a csv of boxes.
    ///
    /// # Errors
    /// [`DataError`] with row and column of what is no number, a box without area, or a frame's second box.
    pub fn read(file: &Path) -> Result<Self, DataError> {
        let reader = BufReader::new(File::open(file).map_err(DataError::io("read", file))?);
        let mut tracks: BTreeMap<String, FaceTrack> = BTreeMap::new();
        for (index, line) in reader.lines().enumerate() {
            let line = line.map_err(DataError::io("read", file))?;
            let line = line.trim_end();
            match index.checked_sub(1) {
                None if line.trim_start_matches('\u{feff}') == HEADER => {}
                None => return Err(DataError::csv(file, format!("its header is {line:?}, not {HEADER:?}"))),
                Some(_) if line.is_empty() => {}
                Some(row) => {
                    let (clip, frame, face) = parse(line).map_err(|(column, why)| DataError::cell(file, row, column, why))?;
                    tracks.entry(clip).or_default().boxes.push((frame, face));
                }
            }
        }
        for (clip, track) in &mut tracks {
            *track = FaceTrack::new(std::mem::take(&mut track.boxes))
                .map_err(|frame| DataError::csv(file, format!("clip {clip} has two boxes in frame {frame}")))?;
        }
        Ok(Self { tracks })
    }

    /// The boxes of a clip, under its name with the split's or alone; `None` where it has none.
    #[must_use]
    pub fn track(&self, split: &str, clip: &str) -> Option<&FaceTrack> {
        self.tracks.get(&format!("{split}/{clip}")).or_else(|| self.tracks.get(clip))
    }
}

type Parsed = (String, usize, [f64; 3]);

fn parse(line: &str) -> Result<Parsed, (usize, String)> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let [clip, frame, numbers @ ..] = &cells[..] else { return Err((cells.len(), "it is empty".to_owned())) };
    if numbers.len() != 4 {
        return Err((cells.len().min(6), format!("there are {} columns, not 6", cells.len())));
    }
    let frame = frame.parse().map_err(|_| (1, format!("{frame:?} is no number of a frame")))?;
    let mut values = [0.0f64; 4];
    for (i, (value, text)) in values.iter_mut().zip(numbers).enumerate() {
        *value = text.parse().map_err(|_| (i + 2, format!("{text:?} is no number")))?;
        // Far beyond any picture, and far from where numbers lose their pixels.
        if !(-1e6..=1e6).contains(value) || (i > 1 && *value <= 0.0) {
            return Err((i + 2, format!("{text} cannot be of a box")));
        }
    }
    let [x, y, w, h] = values;
    Ok((unbracketed(clip).unwrap_or(clip).to_owned(), frame, [x + 0.5 * w, y + 0.5 * h, w.max(h)]))
}

impl FaceTrack {
    /// A track of (frame, centre x, centre y, longer side).
    ///
    /// # Errors
    /// The frame that has two boxes.
    pub(crate) fn new(mut boxes: Vec<(usize, [f64; 3])>) -> Result<Self, usize> {
        boxes.sort_by_key(|(frame, _)| *frame);
        if let Some(pair) = boxes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(pair[0].0);
        }
        let mut bridged: Vec<(usize, [f64; 3])> = Vec::with_capacity(boxes.len());
        for (frame, face) in &boxes {
            if let Some((before, from)) = bridged.last().copied().filter(|(before, _)| frame - before - 1 <= GAP) {
                for between in before + 1..*frame {
                    let part = (between - before) as f64 / (frame - before) as f64;
                    bridged.push((between, std::array::from_fn(|i| from[i] + part * (face[i] - from[i]))));
                }
            }
            bridged.push((*frame, *face));
        }
        Ok(Self { boxes, bridged })
    }

    /// Whether there is no box at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// Whether a frame has a box of its own.
    #[must_use]
    pub fn has(&self, frame: usize) -> bool {
        self.boxes.binary_search_by_key(&frame, |(at, _)| *at).is_ok()
    }

    /// Whether a frame has a face: a box of its own, one in a gap that is bridged, or one at most 15 frames away at an end.
    #[must_use]
    pub fn shows(&self, frame: usize) -> bool {
        let at_end = |end: Option<&(usize, [f64; 3])>, outside: bool| outside && end.is_some_and(|(at, _)| at.abs_diff(frame) <= GAP);
        let (first, last) = (self.boxes.first(), self.boxes.last());
        self.bridged.binary_search_by_key(&frame, |(at, _)| *at).is_ok()
            || at_end(first, first.is_some_and(|(at, _)| frame < *at))
            || at_end(last, last.is_some_and(|(at, _)| frame > *at))
    }

    /// The square of a frame in a picture of `width` × `height` pixels: left, top, side. It is not larger than the picture's
    /// longer side, and moved into the picture as far as it fits.
    ///
    /// Centre and side are means over the boxes of the 18 frames before and after, short gaps bridged, weighted by a Gaussian of 6
    /// frames; where there is no box so near, those of the nearest box. The side is 1.25 times the box's longer side.
    #[must_use]
    pub fn square(&self, frame: usize, width: usize, height: usize) -> (isize, isize, usize) {
        let [x, y, longer] = self.smooth(frame);
        let side = ((longer * MARGIN).round() as usize).clamp(1, width.max(height).max(1));
        let place = |centre: f64, length: usize| {
            let start = (centre - 0.5 * side as f64).round() as isize;
            let room = length as isize - side as isize;
            if room >= 0 { start.clamp(0, room) } else { start.clamp(room, 0) }
        };
        (place(x, width), place(y, height), side)
    }

    fn smooth(&self, frame: usize) -> [f64; 3] {
        let from = self.bridged.partition_point(|(at, _)| *at + REACH < frame);
        let near = self.bridged[from..].iter().take_while(|(at, _)| *at <= frame + REACH);
        let (mut sum, mut total) = ([0.0; 3], 0.0);
        for (at, face) in near {
            let distance = at.abs_diff(frame) as f64 / SIGMA;
            let weight = (-0.5 * distance * distance).exp();
            total += weight;
            sum.iter_mut().zip(face).for_each(|(sum, value)| *sum += weight * value);
        }
        if total > 0.0 {
            return sum.map(|sum| sum / total);
        }
        let nearest = self.boxes.iter().min_by_key(|(at, _)| at.abs_diff(frame));
        nearest.map_or([0.0, 0.0, 1.0], |(_, face)| *face)
    }

    /// Every box as bytes, for a hash.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let one = |(frame, face): &(usize, [f64; 3])| {
            (*frame as u64).to_le_bytes().into_iter().chain(face.iter().flat_map(|x| x.to_le_bytes())).collect::<Vec<_>>()
        };
        self.boxes.iter().flat_map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<FaceBoxes, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.csv");
        std::fs::write(&path, body).unwrap();
        FaceBoxes::read(&path).map_err(|error| error.to_string().rsplit_once(".csv: ").unwrap().1.to_owned())
    }

    #[test]
    fn boxes_are_smoothed_bridged_and_made_square() {
        let boxes = read(&format!("{HEADER}\n[00001],0,10,10,20,16\n00001,2,14,10,20,16\n00001,60,50,40,8,8\n")).unwrap();
        let track = boxes.track("train", "00001").unwrap();
        assert!(track.has(2) && !track.has(1) && boxes.track("train", "00002").is_none());
        // A frame between two boxes is bridged, one in a long gap is not, nor one far beyond the last.
        assert_eq!([1, 3, 40, 60, 75, 76].map(|frame| track.shows(frame)), [true, false, false, true, true, false]);
        // Between two boxes at the same distance: their mean; 25 pixels for a longer side of 20.
        assert_eq!(track.square(1, 100, 80), (10, 6, 25));
        // Far from any box: the nearest one's.
        assert_eq!(track.square(35, 100, 80), (49, 39, 10));
        // Moved into the picture; never larger than it.
        assert_eq!(track.square(1, 30, 80), (5, 6, 25));
        assert_eq!(track.square(1, 12, 8), (0, 0, 12));
    }

    #[test]
    fn gaps_up_to_fifteen_frames_are_bridged() {
        let boxes = read(&format!("{HEADER}\na,0,0,0,10,10\na,16,32,0,10,10\nb,0,0,0,10,10\nb,17,34,0,10,10\nval/a,3,1,1,2,2\n")).unwrap();
        let (a, b) = (boxes.track("train", "a").unwrap(), boxes.track("train", "b").unwrap());
        assert!((0..=16).all(|frame| a.shows(frame)) && !b.shows(8) && b.shows(17));
        // The middle of a bridged gap, by symmetry also after smoothing.
        assert_eq!(a.square(8, 100, 100).0, 21 - 6);
        assert!(boxes.track("val", "a").unwrap().has(3) && FaceTrack::default().is_empty() && !FaceTrack::default().shows(0));
    }

    #[test]
    fn each_abuse_names_its_place() {
        let row = |row: &str| read(&format!("{HEADER}\n1,0,1,1,2,2\n{row}\n")).unwrap_err();
        assert_eq!(row("1,x,1,1,2,2"), "row 2, column 2: \"x\" is no number of a frame");
        assert_eq!(row("1,1,1,nan,2,2"), "row 2, column 4: nan cannot be of a box");
        assert_eq!(row("1,1,1,1,0,2"), "row 2, column 5: 0 cannot be of a box");
        assert_eq!(row("1,1,1,1"), "row 2, column 5: there are 4 columns, not 6");
        assert_eq!(row("1,0,5,5,2,2"), "clip 1 has two boxes in frame 0");
        assert_eq!(read("id,x\n").unwrap_err(), "its header is \"id,x\", not \"clip,frame,x,y,w,h\"");
    }
}
