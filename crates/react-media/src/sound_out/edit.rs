//! What muxide leaves out of a sound track: an edit list (ISO/IEC 14496-12, 8.6.6), and a clock that ticks once a sample.
//!
//! What a decoder of Opus gives begins with the codec's delay, and its last packet reaches beyond the video. An edit says where the
//! sound begins and how long it is; without it players would show the video early by that delay, or last longer than it. FFmpeg and
//! Chromium take the edit's beginning for a number of samples, whatever the track's clock: muxide's 90 kHz would cost 6 ms more.

use super::RATE;
use std::ops::Range;

/// Bytes of an `edts` box with one edit.
const EDIT: usize = 36;
/// muxide's ticks a second.
const TICKS: u32 = 90_000;

/// Has the sound track of a file that muxide wrote tick at [`RATE`], and adds an edit to it: it begins `skip` samples into its packets,
/// and is `milliseconds` long, as the video. `None` where the boxes are not those of such a file.
pub(crate) fn trim_sound(file: &mut Vec<u8>, skip: u32, milliseconds: u32) -> Option<()> {
    let moov = child(file, 0..file.len(), b"moov", 0)?;
    let before_data = moov.start < child(file, 0..file.len(), b"mdat", 0)?.start;
    let tracks = [child(file, content(&moov), b"trak", 0)?, child(file, content(&moov), b"trak", 1)?];
    let is_sound = |trak: &Range<usize>| {
        let hdlr = child(file, content(&child(file, content(trak), b"mdia", 0)?), b"hdlr", 0)?;
        Some(file.get(content(&hdlr))?.get(8..12)? == b"soun")
    };
    let [video, sound] = tracks;
    if is_sound(&video)? || !is_sound(&sound)? {
        return None;
    }
    // Version 0: identity and times before it.
    let duration_of = |trak: &Range<usize>| Some(content(&child(file, content(trak), b"tkhd", 0)?).start + 20);
    let (pictures, to) = (duration_of(&video)?, duration_of(&sound)?);
    let whole = word(file, pictures)?.max(milliseconds);
    let header = content(&child(file, content(&moov), b"mvhd", 0)?).start;
    put(file, to, milliseconds)?;
    put(file, header + 16, whole)?;
    tick_in_samples(file, &sound)?;
    if before_data {
        for trak in [&video, &sound] {
            let mut at = trak.clone();
            for kind in [b"mdia", b"minf", b"stbl", b"stco"] {
                at = child(file, content(&at), kind, 0)?;
            }
            for entry in (content(&at).start + 8..at.end).step_by(4) {
                let moved = word(file, entry)?.checked_add(EDIT as u32)?;
                put(file, entry, moved)?;
            }
        }
    }
    for grown in [&moov, &sound] {
        let size = word(file, grown.start)?.checked_add(EDIT as u32)?;
        put(file, grown.start, size)?;
    }
    let place = child(file, content(&sound), b"tkhd", 0)?.end;
    let words = [EDIT as u32, u32::from_be_bytes(*b"edts"), 28, u32::from_be_bytes(*b"elst"), 0, 1, milliseconds, skip, 0x0001_0000];
    file.splice(place..place, words.into_iter().flat_map(u32::to_be_bytes));
    Some(())
}

/// Rewrites the times of a track from muxide's clock to one of [`RATE`]: the durations of its packets, and their sum.
fn tick_in_samples(file: &mut [u8], track: &Range<usize>) -> Option<()> {
    let samples = |ticks: u32| u32::try_from(u64::from(ticks) * u64::from(RATE) / u64::from(TICKS)).ok();
    let mdia = child(file, content(track), b"mdia", 0)?;
    // Version 0: creation, modification, clock, duration.
    let mdhd = content(&child(file, content(&mdia), b"mdhd", 0)?).start;
    if word(file, mdhd)? >> 24 != 0 || word(file, mdhd + 12)? != TICKS {
        return None;
    }
    let duration = samples(word(file, mdhd + 16)?)?;
    put(file, mdhd + 12, RATE)?;
    put(file, mdhd + 16, duration)?;
    let mut at = mdia;
    for kind in [b"minf", b"stbl", b"stts"] {
        at = child(file, content(&at), kind, 0)?;
    }
    // Runs of packets: how many, how long each.
    for run in (content(&at).start + 8..at.end).step_by(8) {
        let duration = samples(word(file, run + 4)?)?;
        put(file, run + 4, duration)?;
    }
    Some(())
}

/// The `nth` box of a type among those in a range, with its header.
fn child(file: &[u8], mut within: Range<usize>, kind: &[u8; 4], nth: usize) -> Option<Range<usize>> {
    let mut seen = 0;
    while within.len() >= 8 {
        let size = word(file, within.start)? as usize;
        let whole = within.start..within.start.checked_add(size).filter(|end| size >= 8 && *end <= within.end)?;
        if file.get(whole.start + 4..whole.start + 8)? == kind {
            if seen == nth {
                return Some(whole);
            }
            seen += 1;
        }
        within.start = whole.end;
    }
    None
}

fn content(whole: &Range<usize>) -> Range<usize> {
    whole.start + 8..whole.end
}

fn word(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*file.get(at..at + 4)?.first_chunk()?))
}

fn put(file: &mut [u8], at: usize, value: u32) -> Option<()> {
    file.get_mut(at..at + 4)?.copy_from_slice(&value.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_muxide_did_not_write_is_left_alone() {
        for file in [vec![], vec![0; 40], b"\0\0\0\x08moov\0\0\0\x08mdat".to_vec(), b"\0\0\0\xffmoov".to_vec()] {
            let mut patched = file.clone();
            assert_eq!(trim_sound(&mut patched, 312, 1000), None);
            assert_eq!(patched, file);
        }
    }
}
