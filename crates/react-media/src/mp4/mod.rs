//! Reading mp4, m4a and mov: the tracks, where their samples lie, and which of them the edit list shows.
//!
//! The tables themselves are read by `re_mp4`, box by box; walking the boxes and combining the tables is done here, because a table
//! that contradicts another must be an error that names the file.

mod boxes;
mod entry;
mod fragment;
mod table;

pub(crate) use entry::{Codec, SoundCodec};
pub(crate) use table::{Edit, Sample};

use crate::MediaError;
use crate::source::Source;
use boxes::{Atom, Top, are_whole, atoms, need, read_index};
use re_mp4::{HdlrBox, MdhdBox, MvhdBox};
use std::path::Path;

/// An open mp4 file and its index.
#[derive(Debug)]
pub(crate) struct Mp4 {
    pub(crate) source: Source,
    moov: Vec<u8>,
    /// Where the fragments are.
    moofs: Vec<Top>,
}

/// What can be played of a file: the first track of a kind.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) codec: Codec,
    /// Units a second.
    pub(crate) scale: u32,
    /// In decoding order.
    pub(crate) samples: Vec<Sample>,
    /// Numbers of the samples at which decoding can start, ascending; `None` where the file says that it can at each.
    pub(crate) keys: Option<Vec<u32>>,
    /// Their durations' sum, in units of the track.
    pub(crate) duration: u64,
    pub(crate) edits: Option<Vec<Edit>>,
}

impl Mp4 {
    pub(crate) fn open(path: &Path) -> Result<Self, MediaError> {
        let mut source = Source::open(path)?;
        let (moov, moofs) = read_index(&mut source)?;
        Ok(Self { source, moov, moofs })
    }

    /// The first track of pictures.
    pub(crate) fn video(&mut self) -> Result<Track, MediaError> {
        self.track(b"vide", "video")
    }

    /// The first track of sound.
    pub(crate) fn sound(&mut self) -> Result<Track, MediaError> {
        self.track(b"soun", "sound")
    }

    fn track(&mut self, handler: &[u8; 4], kind: &'static str) -> Result<Track, MediaError> {
        let Self { source, moov, moofs } = self;
        for trak in atoms(moov).filter(|atom| &atom.kind == b"trak") {
            let mdia = need(trak.payload(), b"mdia", source.path())?;
            let hdlr: HdlrBox = need(mdia.payload(), b"hdlr", source.path())?.parse(source.path())?;
            if hdlr.handler_type.value == *handler {
                return read_track(source, moov, moofs, &trak, &mdia, kind);
            }
        }
        if !are_whole(moov) {
            return Err(MediaError::damaged(source.path(), "a box of its index overruns it"));
        }
        Err(MediaError::NoTrack { file: source.path().to_owned(), kind })
    }
}

fn read_track(source: &mut Source, moov: &[u8], moofs: &[Top], trak: &Atom<'_>, mdia: &Atom<'_>, kind: &str) -> Result<Track, MediaError> {
    let file = &source.path().to_owned();
    let mvhd: MvhdBox = need(moov, b"mvhd", file)?.parse(file)?;
    let mdhd: MdhdBox = need(mdia.payload(), b"mdhd", file)?.parse(file)?;
    let minf = need(mdia.payload(), b"minf", file)?;
    let stbl = need(minf.payload(), b"stbl", file)?;
    let codec = entry::codec(need(stbl.payload(), b"stsd", file)?.payload(), file)?;
    if mdhd.timescale == 0 {
        return Err(MediaError::damaged(file, format!("its {kind} track has no time scale")));
    }
    let (mut samples, mut duration) = table::samples(stbl.payload(), source, kind)?;
    let mut keys = table::keys(stbl.payload(), file)?;
    let tkhd = need(trak.payload(), b"tkhd", file)?;
    if !moofs.is_empty() {
        let id = track_id(tkhd.payload()).ok_or_else(|| MediaError::damaged(file, "its tkhd box breaks off"))?;
        let fragments = fragment::fragments(source, moov, moofs, id, duration)?;
        let before = samples.len() as u32;
        // Every sample of the table is a key frame where it has no list of them; those of fragments say it each.
        let known = keys.get_or_insert_with(|| (0..before).collect());
        known.extend(fragments.keys.iter().map(|key| before + key));
        samples.extend(fragments.samples);
        duration = duration.saturating_add(fragments.duration);
        table::check_count(samples.len(), file, kind)?;
    }
    let edits = table::edits(trak.payload(), source, mvhd.timescale, mdhd.timescale)?;
    if is_turned(tkhd.payload()) {
        tracing::warn!(file = %file.display(), "the file asks for its pictures to be turned; they are read as they are stored");
    }
    Ok(Track { codec, scale: mdhd.timescale, samples, keys, duration, edits })
}

impl Track {
    /// Indices of the samples that are shown, in the order of presentation.
    ///
    /// As FFmpeg has it: a frame is shown where its time lies in `start..end` of an edit.
    pub(crate) fn shown(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.samples.len() as u32).collect();
        let time = |i: &u32| self.samples[*i as usize].time;
        order.sort_by_key(time);
        if let Some(edits) = &self.edits {
            // They neither overlap nor go back: the last that starts at or before a time is the only one that can hold it.
            let holds = |time: i64| edits[..edits.partition_point(|edit| edit.start <= time)].last().is_some_and(|edit| time < edit.end);
            order.retain(|i| holds(time(i)));
        }
        order
    }
}

/// The number of a track.
fn track_id(tkhd: &[u8]) -> Option<u32> {
    let at = if tkhd.first() == Some(&1) { 20 } else { 12 };
    Some(u32::from_be_bytes(*tkhd.get(at..at + 4)?.first_chunk()?))
}

/// Whether the matrix of a track header does more than move.
fn is_turned(tkhd: &[u8]) -> bool {
    let at = if tkhd.first() == Some(&1) { 52 } else { 40 };
    tkhd.get(at..at + 16).is_some_and(|matrix| matrix[4..12] != [0; 8] || matrix[0] & 0x80 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Extent;

    fn track(times: &[i64], edits: Option<Vec<Edit>>) -> Track {
        let samples = times.iter().map(|&time| Sample { extent: Extent { offset: 0, size: 1 }, time }).collect();
        Track { codec: Codec::Other("none".to_owned()), scale: 25, samples, keys: None, duration: times.len() as u64, edits }
    }

    #[test]
    fn frames_come_in_the_order_of_presentation() {
        assert_eq!(track(&[2, 6, 4, 3, 5], None).shown(), [0, 3, 2, 4, 1]);
    }

    #[test]
    fn the_edit_list_picks() {
        let edits = vec![Edit { start: 3, end: 5 }, Edit { start: 6, end: 9 }];
        assert_eq!(track(&[2, 6, 4, 3, 5], Some(edits)).shown(), [3, 2, 1]);
    }
}
