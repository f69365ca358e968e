//! From the tables of a track to where and when each of its samples is.

use super::boxes::{atoms, find, need};
use crate::MediaError;
use crate::source::{Extent, Source};
use re_mp4::{Co64Box, CttsBox, ElstBox, StcoBox, StscBox, StssBox, StszBox, SttsBox};
use std::path::Path;

/// The most samples of one track: twelve hours of sound, nineteen of pictures at 30 a second.
pub(super) const MAX_SAMPLES: usize = 2 << 20;

/// Refuses a track of more than [`MAX_SAMPLES`].
pub(super) fn check_count(count: usize, file: &Path, kind: &str) -> Result<(), MediaError> {
    if count > MAX_SAMPLES {
        return Err(MediaError::damaged(file, format!("its {kind} track claims {count} samples, more than {MAX_SAMPLES}")));
    }
    Ok(())
}

/// One sample of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) extent: Extent,
    /// Presentation time, in units of the track.
    pub(crate) time: i64,
}

/// A stretch of a track that is shown, in units of the track: `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) start: i64,
    pub(crate) end: i64,
}

/// Reads the sample table `stbl`, and checks that every sample lies in the file.
///
/// Returns the samples in decoding order and their durations' sum.
pub(super) fn samples(stbl: &[u8], source: &Source, kind: &str) -> Result<(Vec<Sample>, u64), MediaError> {
    let file = source.path();
    let damaged = |what: &str| MediaError::damaged(file, format!("the sample table of its {kind} track {what}"));
    let sizes: StszBox = need(stbl, b"stsz", file)?.parse(file)?;
    let chunks: StscBox = need(stbl, b"stsc", file)?.parse(file)?;
    let times: SttsBox = need(stbl, b"stts", file)?.parse(file)?;
    let shifts: Option<CttsBox> = find(stbl, b"ctts").map(|atom| atom.parse(file)).transpose()?;
    let chunk_offsets: Vec<u64> = match find(stbl, b"stco") {
        Some(atom) => atom.parse::<StcoBox>(file)?.entries.into_iter().map(u64::from).collect(),
        None => need(stbl, b"co64", file)?.parse::<Co64Box>(file)?.entries,
    };
    // A constant size comes with no list, so nothing but the file's length bounds the count.
    let count = sizes.sample_count as usize;
    check_count(count, file, kind)?;
    if sizes.sample_size != 0 && u64::from(sizes.sample_count) * u64::from(sizes.sample_size) > source.len() {
        return Err(damaged("claims more bytes than the file has"));
    }
    let size_of = |i: usize| if sizes.sample_size != 0 { Some(sizes.sample_size) } else { sizes.sample_sizes.get(i).copied() };

    let mut deltas = runs(times.entries.iter().map(|e| (e.sample_count, e.sample_delta)));
    let mut shifts = shifts.map(|ctts| runs(ctts.entries.into_iter().map(|e| (e.sample_count, e.sample_offset))));
    let mut samples = Vec::new();
    let mut time = 0i64;
    let mut runs_of_chunks = chunks.entries.iter().peekable();
    let mut per_chunk = 0;
    for (chunk, &offset) in chunk_offsets.iter().enumerate() {
        if let Some(run) = runs_of_chunks.next_if(|run| run.first_chunk as usize <= chunk + 1) {
            per_chunk = run.samples_per_chunk;
        }
        let mut at = offset;
        for _ in 0..per_chunk {
            let index = samples.len();
            if index == count {
                break;
            }
            let size = size_of(index).ok_or_else(|| damaged("is shorter than its count"))?;
            source.check(at, u64::from(size), || format!("sample {index} of its {kind} track"))?;
            let shift = match &mut shifts {
                Some(shifts) => shifts.next().ok_or_else(|| damaged("has composition times for fewer samples than it holds"))?,
                None => 0,
            };
            samples.push(Sample { extent: Extent { offset: at, size }, time: time + i64::from(shift) });
            let delta = deltas.next().ok_or_else(|| damaged("has times for fewer samples than it holds"))?;
            time = time.checked_add(i64::from(delta)).filter(|time| *time < i64::MAX / 2).ok_or_else(|| damaged("has impossible times"))?;
            at += u64::from(size);
        }
    }
    if samples.len() < count {
        return Err(damaged(&format!("places {} of {count} samples", samples.len())));
    }
    Ok((samples, time as u64))
}

/// The sync samples of `stbl`: numbers from 0, ascending; `None` where there is no list, and every sample is one.
pub(super) fn keys(stbl: &[u8], file: &Path) -> Result<Option<Vec<u32>>, MediaError> {
    let Some(stss) = find(stbl, b"stss") else {
        return Ok(None);
    };
    let stss: StssBox = stss.parse(file)?;
    let mut keys: Vec<u32> = stss.entries.iter().filter_map(|number| number.checked_sub(1)).collect();
    keys.sort_unstable();
    Ok(Some(keys))
}

/// Writes out run lengths.
fn runs<T: Copy>(entries: impl Iterator<Item = (u32, T)>) -> impl Iterator<Item = T> {
    entries.flat_map(|(count, value)| std::iter::repeat_n(value, count as usize))
}

/// The edit list of a track: which stretches of it are shown, in order. `None` where it has none, and all is shown.
pub(super) fn edits(trak: &[u8], source: &Source, movie_scale: u32, track_scale: u32) -> Result<Option<Vec<Edit>>, MediaError> {
    let file = source.path();
    let Some(elst) = find(trak, b"edts").and_then(|edts| atoms(edts.payload()).find(|atom| &atom.kind == b"elst")) else {
        return Ok(None);
    };
    let elst: ElstBox = elst.parse(file)?;
    let mut edits = Vec::new();
    for entry in &elst.entries {
        let start = if elst.version == 1 { entry.media_time as i64 } else { i64::from(entry.media_time as u32 as i32) };
        // An empty edit delays the track; nothing of it is shown meanwhile.
        if start < 0 {
            continue;
        }
        if (entry.media_rate, entry.media_rate_fraction) != (1, 0) {
            return Err(MediaError::unsupported(file, "an edit list that changes the speed"));
        }
        // A length of 0 is that of a file whose length was not known when its header was written.
        let length = match entry.segment_duration {
            0 => i128::from(i64::MAX),
            length => rescale(length, track_scale, movie_scale),
        };
        let end = (i128::from(start) + length).min(i128::from(i64::MAX)) as i64;
        edits.push(Edit { start, end });
    }
    if edits.windows(2).any(|pair| pair[1].start < pair[0].end) {
        return Err(MediaError::unsupported(file, "an edit list that goes back in time"));
    }
    Ok((!edits.is_empty()).then_some(edits))
}

/// `value · to / from`, to the nearest.
fn rescale(value: u64, to: u32, from: u32) -> i128 {
    let from = i128::from(from.max(1));
    (i128::from(value) * i128::from(to) + from / 2) / from
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rescaled_to_the_nearest() {
        assert_eq!(rescale(1080, 12_800, 1000), 13_824);
        assert_eq!(rescale(1, 3, 2), 2);
        assert_eq!(rescale(u64::MAX, u32::MAX, 1), i128::from(u64::MAX) * i128::from(u32::MAX));
        assert_eq!(rescale(5, 2, 0), 10);
    }

    #[test]
    fn runs_are_written_out() {
        assert_eq!(runs([(2, 'a'), (0, 'b'), (1, 'c')].into_iter()).collect::<String>(), "aac");
    }
}
