//! Fragments (`moof` boxes; ISO/IEC 14496-12, 8.8): the samples that a fragmented mp4 lists piece by piece.

use super::boxes::{Atom, Top, atoms, find};
use super::table::{MAX_SAMPLES, Sample};
use crate::MediaError;
use crate::source::{Extent, Source};
use std::path::Path;

/// What a sample is where its fragment does not say: the `trex` of its track.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Defaults {
    duration: u32,
    size: u32,
    flags: u32,
}

/// `sample_is_non_sync_sample`.
const NOT_A_KEY: u32 = 0x0001_0000;

/// The samples of one track that its fragments add.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    /// In decoding order.
    pub(super) samples: Vec<Sample>,
    /// Their numbers at which decoding can start, counted from the first of `samples`.
    pub(super) keys: Vec<u32>,
    /// Their durations' sum, in units of the track.
    pub(super) duration: u64,
}

/// Reads the fragments at `moofs` for the track `id`; its first sample's decoding time is `time`, where they do not say.
pub(super) fn fragments(source: &mut Source, moov: &[u8], moofs: &[Top], id: u32, time: u64) -> Result<Fragments, MediaError> {
    let path = source.path().to_owned();
    let reader = Reader { file: &path, defaults: defaults(moov, id), id };
    let mut out = Fragments::default();
    let (mut bytes, mut time) = (Vec::new(), i64::try_from(time).unwrap_or(i64::MAX));
    for moof in moofs {
        source.read(moof.payload, moof.size, &mut bytes)?;
        reader.moof(moof.start, &bytes, source, &mut time, &mut out)?;
    }
    Ok(out)
}

fn defaults(moov: &[u8], id: u32) -> Defaults {
    let mvex = find(moov, b"mvex").map_or(&[][..], |mvex| mvex.payload());
    let trex = atoms(mvex).filter(|atom| &atom.kind == b"trex").find_map(|trex| {
        let mut fields = Fields(trex.payload());
        let [_, track, _, duration, size, flags] = [(); 6].map(|()| fields.word());
        (track? == id).then_some(Defaults { duration: duration?, size: size?, flags: flags? })
    });
    trex.unwrap_or_default()
}

struct Reader<'a> {
    file: &'a Path,
    defaults: Defaults,
    id: u32,
}

/// Big-endian numbers, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn long(&mut self) -> Option<u64> {
        let (long, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*long))
    }

    /// A word that is there only with a bit of `flags`.
    fn word_if(&mut self, flags: u32, bit: u32, otherwise: u32) -> Option<u32> {
        if flags & bit == 0 { Some(otherwise) } else { self.word() }
    }
}

impl Reader<'_> {
    fn damaged(&self, what: &str) -> MediaError {
        MediaError::damaged(self.file, format!("a fragment of it {what}"))
    }

    fn moof(&self, start: u64, moof: &[u8], source: &Source, time: &mut i64, out: &mut Fragments) -> Result<(), MediaError> {
        // Where the data of the track before ends: there the next begins, unless it says otherwise.
        let mut data = start;
        for traf in atoms(moof).filter(|atom| &atom.kind == b"traf") {
            let short = || self.damaged("breaks off");
            let tfhd = find(traf.payload(), b"tfhd").ok_or_else(|| self.damaged("has no tfhd box"))?;
            let mut fields = Fields(tfhd.payload());
            let (flags, track) = (fields.word().ok_or_else(short)?, fields.word().ok_or_else(short)?);
            let base = if flags & 1 != 0 {
                fields.long().ok_or_else(short)?
            } else if flags & 0x02_0000 != 0 {
                start
            } else {
                data
            };
            let mut defaults = || {
                fields.word_if(flags, 2, 0)?;
                let duration = fields.word_if(flags, 8, self.defaults.duration)?;
                let size = fields.word_if(flags, 0x10, self.defaults.size)?;
                Some(Defaults { duration, size, flags: fields.word_if(flags, 0x20, self.defaults.flags)? })
            };
            let defaults = defaults().ok_or_else(short)?;
            let is_ours = track == self.id;
            if let (true, Some(tfdt)) = (is_ours, find(traf.payload(), b"tfdt")) {
                *time = self.decode_time(&tfdt)?;
            }
            data = base;
            for trun in atoms(traf.payload()).filter(|atom| &atom.kind == b"trun") {
                data = self.run(&trun, base, data, defaults, source, time, is_ours.then_some(&mut *out))?;
            }
        }
        Ok(())
    }

    fn decode_time(&self, tfdt: &Atom<'_>) -> Result<i64, MediaError> {
        let mut fields = Fields(tfdt.payload());
        let is_long = fields.word().is_some_and(|version| version >> 24 == 1);
        let time = if is_long { fields.long() } else { fields.word().map(u64::from) };
        let time = time.and_then(|time| i64::try_from(time).ok()).filter(|&time| time < i64::MAX / 2);
        time.ok_or_else(|| self.damaged("has an impossible time"))
    }

    /// Reads a `trun` box; returns where its data ends.
    #[expect(clippy::too_many_arguments, reason = "one caller; a run needs to know all of where it stands")]
    fn run(
        &self,
        trun: &Atom<'_>,
        base: u64,
        data: u64,
        defaults: Defaults,
        source: &Source,
        time: &mut i64,
        mut out: Option<&mut Fragments>,
    ) -> Result<u64, MediaError> {
        let short = || self.damaged("lists fewer samples than it claims");
        let mut fields = Fields(trun.payload());
        let (flags, count) = (fields.word().ok_or_else(short)?, fields.word().ok_or_else(short)?);
        let mut at = data;
        if flags & 1 != 0 {
            let shift = i64::from(fields.word().ok_or_else(short)? as i32);
            at = base.checked_add_signed(shift).ok_or_else(|| self.damaged("places its data before the file"))?;
        }
        let first_flags = fields.word_if(flags, 4, defaults.flags).ok_or_else(short)?;
        // The fields of a sample may all be missing: then nothing but this bounds the count.
        let known = out.as_ref().map_or(0, |out| out.samples.len());
        if count as usize > MAX_SAMPLES - known.min(MAX_SAMPLES) {
            return Err(self.damaged(&format!("claims {count} samples")));
        }
        for i in 0..count {
            let otherwise = if i == 0 { first_flags } else { defaults.flags };
            let duration = fields.word_if(flags, 0x100, defaults.duration).ok_or_else(short)?;
            let size = fields.word_if(flags, 0x200, defaults.size).ok_or_else(short)?;
            let own = fields.word_if(flags, 0x400, otherwise).ok_or_else(short)?;
            let shift = fields.word_if(flags, 0x800, 0).ok_or_else(short)? as i32;
            source.check(at, u64::from(size), || "a sample of a fragment".to_owned())?;
            if let Some(out) = &mut out {
                if own & NOT_A_KEY == 0 {
                    out.keys.push(out.samples.len() as u32);
                }
                out.samples.push(Sample { extent: Extent { offset: at, size }, time: *time + i64::from(shift) });
                out.duration = out.duration.saturating_add(u64::from(duration));
                *time = time.saturating_add(i64::from(duration));
                if *time >= i64::MAX / 2 {
                    return Err(self.damaged("has an impossible time"));
                }
            }
            at += u64::from(size);
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(kind: &[u8; 4], words: &[u32], inner: &[u8]) -> Vec<u8> {
        let payload: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).chain(inner.iter().copied()).collect();
        [&(payload.len() as u32 + 8).to_be_bytes(), kind.as_slice(), &payload].concat()
    }

    fn read(moof: &[u8], moov: &[u8]) -> Result<Fragments, MediaError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        std::fs::write(&path, [moof, &[0; 100]].concat()).unwrap();
        let mut source = Source::open(&path).unwrap();
        fragments(&mut source, moov, &[Top { start: 0, payload: 8, size: moof.len() - 8 }], 7, 40)
    }

    #[test]
    fn runs_take_what_they_do_not_say_from_the_fragment_and_the_track() {
        let moov = atom(b"mvex", &[], &atom(b"trex", &[0, 7, 1, 10, 3, NOT_A_KEY], &[]));
        let tfhd = atom(b"tfhd", &[0x02_0000, 7], &[]);
        // Two samples of the default size, the first of which is a key; then one with a size and a shift of its own.
        let first = atom(b"trun", &[5, 2, 100, 0], &[]);
        let second = atom(b"trun", &[0x0100_0a00, 1, 9, (-4i32) as u32], &[]);
        let traf = atom(b"traf", &[], &[tfhd, first, second].concat());
        let other = atom(b"traf", &[], &[atom(b"tfhd", &[0x02_0000, 8], &[]), atom(b"trun", &[0, 1], &[])].concat());
        let moof = atom(b"moof", &[], &[other, traf].concat());
        let read = read(&moof, &moov).unwrap();
        let sample = |offset, size, time| Sample { extent: Extent { offset, size }, time };
        assert_eq!(read.samples, [sample(100, 3, 40), sample(103, 3, 50), sample(106, 9, 56)]);
        assert_eq!((read.keys, read.duration), (vec![0], 30));
    }

    #[test]
    fn claims_are_checked() {
        let message = |tfhd: &[u32], trun: &[u32]| {
            let traf = atom(b"traf", &[], &[atom(b"tfhd", tfhd, &[]), atom(b"trun", trun, &[])].concat());
            read(&atom(b"moof", &[], &traf), &[]).unwrap_err().to_string()
        };
        assert!(message(&[0, 7], &[0, u32::MAX]).contains("claims 4294967295 samples"));
        assert!(message(&[0, 7], &[0x200, 2, 5]).contains("lists fewer samples than it claims"));
        assert!(message(&[0, 7], &[0x201, 1, 90, 500]).contains("cut short: a sample of a fragment ends at byte 590"));
        assert!(message(&[0, 7], &[1, 1, u32::MAX]).contains("places its data before the file"));
        assert!(message(&[1, 7], &[0, 1]).contains("breaks off"));
        assert!(message(&[1, 7, u32::MAX, u32::MAX], &[0, 1]).contains("cut short"));
    }
}
