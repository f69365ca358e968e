//! What a track is coded with: the first entry of its sample description box.

use super::boxes::{Atom, atoms, find, need};
use crate::MediaError;
use crate::color::ColorSpace;
use std::path::Path;

/// The codec of a track, with what its decoder must know first.
#[derive(Debug)]
pub(crate) enum Codec {
    /// H.264: its parameter sets and whether the samples may bring others, the bytes of a length in front of each NAL unit, the
    /// container's word on colour.
    H264 { parameters: Vec<Vec<u8>>, in_band: bool, length_size: usize, color: Option<ColorSpace> },
    /// MPEG-4 part 2: its headers.
    Mpeg4 { headers: Vec<u8> },
    /// Sound.
    Sound { codec: SoundCodec, channels: usize, rate: u32 },
    /// Anything else: its name.
    Other(String),
}

/// The codec of a sound track.
#[derive(Debug)]
pub(crate) enum SoundCodec {
    /// AAC with its AudioSpecificConfig.
    Aac(Vec<u8>),
    /// MPEG-1 or -2 layer III.
    Mp3,
    /// Opus, with the samples at 48 kHz by which it comes late.
    Opus { pre_skip: u16 },
}

pub(super) fn codec(stsd: &[u8], file: &Path) -> Result<Codec, MediaError> {
    let entry = stsd.get(8..).and_then(|entries| atoms(entries).next());
    let entry = entry.ok_or_else(|| MediaError::damaged(file, "a track of it has no sample description"))?;
    match &entry.kind {
        b"avc1" | b"avc3" => h264(&entry, file),
        b"mp4v" => mpeg4(&entry, file),
        b"mp4a" | b".mp3" => sound(&entry, file),
        b"Opus" => opus(&entry, file),
        other => Ok(Codec::Other(other.escape_ascii().to_string())),
    }
}

/// The boxes behind the fixed part of a visual sample entry.
fn visual_children<'a>(entry: &Atom<'a>) -> &'a [u8] {
    entry.payload().get(78..).unwrap_or_default()
}

fn h264(entry: &Atom<'_>, file: &Path) -> Result<Codec, MediaError> {
    let children = visual_children(entry);
    let (length_size, parameters) =
        avcc(need(children, b"avcC", file)?.payload()).ok_or_else(|| MediaError::damaged(file, "its avcC box cannot be read"))?;
    let color = find(children, b"colr").and_then(|colr| color(colr.payload()));
    Ok(Codec::H264 { parameters, in_band: &entry.kind == b"avc3", length_size, color })
}

/// The AVCDecoderConfigurationRecord of ISO/IEC 14496-15: the bytes of a NAL unit's length, and the parameter sets.
fn avcc(record: &[u8]) -> Option<(usize, Vec<Vec<u8>>)> {
    let length_size = usize::from(record.get(4)? & 3) + 1;
    let mut rest = record.get(5..)?;
    let mut parameters = Vec::new();
    for mask in [0x1f, 0xff] {
        let (count, after) = rest.split_first()?;
        rest = after;
        for _ in 0..count & mask {
            let (length, after) = rest.split_first_chunk::<2>()?;
            let (nal, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            parameters.push(nal.to_vec());
            rest = after;
        }
    }
    Some((length_size, parameters))
}

/// A `colr` box: `nclx` (MPEG) has a range, `nclc` (QuickTime) has none.
fn color(colr: &[u8]) -> Option<ColorSpace> {
    let kind = colr.first_chunk::<4>()?;
    let matrix = u8::try_from(u16::from_be_bytes([*colr.get(8)?, *colr.get(9)?])).ok()?;
    match kind {
        b"nclx" => Some(ColorSpace { matrix, full_range: colr.get(10)? & 0x80 != 0 }),
        b"nclc" => Some(ColorSpace { matrix, full_range: false }),
        _ => None,
    }
}

fn mpeg4(entry: &Atom<'_>, file: &Path) -> Result<Codec, MediaError> {
    let esds = need(visual_children(entry), b"esds", file)?;
    let config = DecoderConfig::read(esds.payload()).ok_or_else(|| MediaError::damaged(file, "its esds box cannot be read"))?;
    match config.object_type {
        0x20 => Ok(Codec::Mpeg4 { headers: config.specific.to_vec() }),
        0x6c => Ok(Codec::Other("JPEG in mp4".to_owned())),
        0x60..=0x65 => Ok(Codec::Other("MPEG-2 video".to_owned())),
        other => Ok(Codec::Other(format!("mp4v of object type {other:#04x}"))),
    }
}

fn sound(entry: &Atom<'_>, file: &Path) -> Result<Codec, MediaError> {
    let damaged = || MediaError::damaged(file, "the description of its sound cannot be read");
    let body = entry.payload();
    let word = |at: usize| body.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or_else(damaged);
    // QuickTime lengthened the fixed part twice.
    let children = match word(8)? {
        0 => body.get(28..),
        1 => body.get(44..),
        _ => body.get(64..),
    };
    let children = children.ok_or_else(damaged)?;
    let (channels, rate) = (usize::from(word(16)?), u32::from(word(24)?));
    if &entry.kind == b".mp3" {
        return Ok(Codec::Sound { codec: SoundCodec::Mp3, channels, rate });
    }
    let esds = find(children, b"esds").or_else(|| find(find(children, b"wave")?.payload(), b"esds"));
    let config = esds.and_then(|esds| DecoderConfig::read(esds.payload())).ok_or_else(damaged)?;
    let codec = match config.object_type {
        0x40 | 0x66..=0x68 => SoundCodec::Aac(config.specific.to_vec()),
        0x69 | 0x6b => SoundCodec::Mp3,
        other => return Ok(Codec::Other(format!("sound of object type {other:#04x}"))),
    };
    Ok(Codec::Sound { codec, channels, rate })
}

/// Opus in ISO BMFF (Xiph's "Encapsulation of Opus in ISO Base Media File Format", 4.3): one or two channels.
fn opus(entry: &Atom<'_>, file: &Path) -> Result<Codec, MediaError> {
    let dops = need(entry.payload().get(28..).unwrap_or_default(), b"dOps", file)?;
    match *dops.payload() {
        [0, channels @ 1..=2, a, b, _, _, _, _, _, _, 0, ..] => {
            let codec = SoundCodec::Opus { pre_skip: u16::from_be_bytes([a, b]) };
            Ok(Codec::Sound { codec, channels: usize::from(channels), rate: 48_000 })
        }
        [0, channels, _, _, _, _, _, _, _, _, _, ..] => Ok(Codec::Other(format!("Opus with {channels} mapped channels"))),
        _ => Err(MediaError::damaged(file, "its dOps box cannot be read")),
    }
}

/// The DecoderConfigDescriptor of ISO/IEC 14496-1 that an `esds` box holds.
struct DecoderConfig<'a> {
    object_type: u8,
    /// The DecoderSpecificInfo; empty where there is none.
    specific: &'a [u8],
}

impl<'a> DecoderConfig<'a> {
    fn read(esds: &'a [u8]) -> Option<Self> {
        let (_, es) = descriptors(esds.get(4..)?).find(|(tag, _)| *tag == 3)?;
        let flags = *es.get(2)?;
        let mut at = 3;
        at += if flags & 0x80 != 0 { 2 } else { 0 };
        at += if flags & 0x40 != 0 { 1 + usize::from(*es.get(at)?) } else { 0 };
        at += if flags & 0x20 != 0 { 2 } else { 0 };
        let (_, config) = descriptors(es.get(at..)?).find(|(tag, _)| *tag == 4)?;
        let specific = descriptors(config.get(13..)?).find(|(tag, _)| *tag == 5).map_or(&[][..], |(_, specific)| specific);
        Some(Self { object_type: *config.first()?, specific })
    }
}

/// The descriptors in `data`: tag and content.
fn descriptors(mut data: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&tag, mut rest) = data.split_first()?;
        let mut size = 0usize;
        // Seven bits a byte, four bytes at most.
        for _ in 0..4 {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            size = size << 7 | usize::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let content = rest.get(..size)?;
        data = &rest[size..];
        Some((tag, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_nest_with_long_and_short_sizes() {
        let specific = [5, 2, 0x12, 0x10];
        let config = [&[4, 0x80, 0x80, 17, 0x40], &[0; 12][..], &specific].concat();
        let es = [&[0, 0, 0, 0, 3, 3 + config.len() as u8, 0, 1, 0], &config[..]].concat();
        let read = DecoderConfig::read(&es).unwrap();
        assert_eq!((read.object_type, read.specific), (0x40, &[0x12, 0x10][..]));
        for cut in 0..es.len() {
            assert!(DecoderConfig::read(&es[..cut]).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn parameter_sets_are_read_or_refused() {
        let record = [1, 100, 0, 10, 0xff, 0xe1, 0, 2, 0x67, 9, 1, 0, 1, 0x68];
        assert_eq!(avcc(&record), Some((4, vec![vec![0x67, 9], vec![0x68]])));
        for cut in 0..record.len() {
            assert_eq!(avcc(&record[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn colour_is_read_from_both_kinds_of_box() {
        assert_eq!(color(b"nclx\0\x01\0\x01\0\x01\x80"), Some(ColorSpace { matrix: 1, full_range: true }));
        assert_eq!(color(b"nclc\0\x01\0\x01\0\x06"), Some(ColorSpace { matrix: 6, full_range: false }));
        assert_eq!(color(b"prof0123456789"), None);
        assert_eq!(color(b"nclx\0\x01"), None);
    }
}
