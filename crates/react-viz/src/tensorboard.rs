//! TensorBoard's event files: scalars and pictures over steps.
//!
//! ```text
//! file   = record*                 record = length u64, crc(length), bytes, crc(bytes)      little-endian
//! crc(x) = rotate(CRC32C(x), 15) + 0xa282ead8
//! bytes  = Event{1: wall time f64, 2: step, 3: "brain.Event:2" (the first) | 5: Summary{1: Value*}}
//! Value  = {1: tag, 2: f32} or {1: tag, 4: Image{1: height, 2: width, 3: colours, 4: PNG}}
//! ```
//!
//! Source: tensorflow/core/util/event.proto, framework/summary.proto, lib/io/record_writer. No crate that is kept writes them.
//!
//! A file that is gone on with keeps its bytes up to where it is cut off, so that a TensorBoard that is reading it stays in step.

use crate::VizError;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

const VERSION: &[u8] = b"brain.Event:2";

/// An event file that is being written. TensorBoard finds it by `tfevents` in its name.
///
/// ```
/// use react_viz::tensorboard::Events;
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("events.out.tfevents.example");
/// let mut events = Events::create(&path)?;
/// events.scalars(1, &[("train/loss", 0.5), ("train/kl", 2.0)])?;
/// events.scalars(2, &[("train/loss", 0.4), ("train/kl", 1.5)])?;
/// drop(events);
/// let events = Events::resume(&path, 1)?.expect("it is there"); // step 2 is cut off
/// assert_eq!((events.count(), events.last_step()), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Events {
    path: PathBuf,
    file: File,
    count: usize,
    last_step: u64,
}

impl Events {
    /// A new file, in the place of any that was there.
    ///
    /// # Errors
    /// [`VizError::Events`] where it cannot be written.
    pub fn create(path: &Path) -> Result<Self, VizError> {
        let file = File::create(path).map_err(|source| fault(path, source))?;
        let mut this = Self { path: path.to_owned(), file, count: 0, last_step: 0 };
        this.write(&event(0, |out| bytes(out, 3, VERSION)))?;
        Ok(this)
    }

    /// Goes on with a file: what is beyond `last_step`, or damaged, and all that follows it, is cut off. None where there is no
    /// file, or nothing of it can be kept.
    ///
    /// # Errors
    /// [`VizError::Events`] where it cannot be read or cut.
    pub fn resume(path: &Path, last_step: u64) -> Result<Option<Self>, VizError> {
        let content = match std::fs::read(path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(fault(path, error)),
        };
        let (mut end, mut count, mut last, mut first) = (0, 0, 0, true);
        for (event, after) in (Records { content: &content, at: 0 }) {
            let Some(parsed) = Parsed::of(event).filter(|parsed| parsed.version == first && parsed.step <= last_step) else { break };
            (end, last, first) = (after, parsed.step.max(last), false);
            count += usize::from(parsed.scalars);
        }
        if end == 0 {
            return Ok(None);
        }
        let file = File::options().append(true).open(path).map_err(|source| fault(path, source))?;
        file.set_len(end as u64).map_err(|source| fault(path, source))?;
        Ok(Some(Self { path: path.to_owned(), file, count, last_step: last }))
    }

    /// Calls of [`Self::scalars`] that are in the file.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The highest step in the file; 0 where there is none.
    #[must_use]
    pub fn last_step(&self) -> u64 {
        self.last_step
    }

    /// Values at a step, by tag; TensorBoard groups tags by what is before a `/`.
    ///
    /// # Errors
    /// [`VizError::Events`] where the system refuses.
    pub fn scalars(&mut self, step: u64, values: &[(&str, f64)]) -> Result<(), VizError> {
        let value = |out: &mut Vec<u8>, (name, number): &(&str, f64)| {
            bytes(out, 1, name.as_bytes());
            key(out, 2, 5);
            out.extend((*number as f32).to_le_bytes());
        };
        let summary = message(|out| values.iter().for_each(|pair| bytes(out, 1, &message(|out| value(out, pair)))));
        self.write(&event(step, |out| bytes(out, 5, &summary)))?;
        self.count += 1;
        self.last_step = self.last_step.max(step);
        Ok(())
    }

    /// A picture at a step: a PNG file's bytes.
    ///
    /// # Errors
    /// [`VizError::Value`] where these are no PNG, [`VizError::Events`] where the system refuses.
    pub fn picture(&mut self, step: u64, tag: &str, png: &[u8]) -> Result<(), VizError> {
        // The signature, then the first chunk: its length, IHDR, width, height, bits, kind of colours.
        let header = png.first_chunk::<26>().filter(|header| header.starts_with(b"\x89PNG\r\n\x1a\n") && &header[12..16] == b"IHDR");
        let header = header.ok_or_else(|| VizError::Value { what: "picture", reason: "is no PNG".to_owned() })?;
        let size = |at: usize| header[at..at + 4].iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        // Grey with transparency, colours with it, grey or colours without.
        let colours = match header[25] {
            0 => 1,
            4 => 2,
            6 => 4,
            _ => 3,
        };
        let image = message(|out| {
            number(out, 1, size(20));
            number(out, 2, size(16));
            number(out, 3, colours);
            bytes(out, 4, png);
        });
        let value = message(|out| {
            bytes(out, 1, tag.as_bytes());
            bytes(out, 4, &image);
        });
        let summary = message(|out| bytes(out, 1, &value));
        self.write(&event(step, |out| bytes(out, 5, &summary)))?;
        self.last_step = self.last_step.max(step);
        Ok(())
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// [`VizError::Events`] where the system refuses.
    pub fn sync(&mut self) -> Result<(), VizError> {
        self.file.sync_data().map_err(|source| fault(&self.path, source))
    }

    /// One record, in one write: a kill leaves it whole or absent.
    fn write(&mut self, event: &[u8]) -> Result<(), VizError> {
        let length = (event.len() as u64).to_le_bytes();
        let record = [&length[..], &masked_crc(&length).to_le_bytes(), event, &masked_crc(event).to_le_bytes()].concat();
        self.file.write_all(&record).map_err(|source| fault(&self.path, source))
    }
}

fn fault(path: &Path, source: std::io::Error) -> VizError {
    VizError::Events { path: path.to_owned(), source }
}

fn message(fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    fill(&mut out);
    out
}

fn event(step: u64, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    message(|out| {
        key(out, 1, 1);
        out.extend(now.to_le_bytes());
        number(out, 2, step);
        fill(out);
    })
}

fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn number(out: &mut Vec<u8>, field: u64, value: u64) {
    key(out, field, 0);
    varint(out, value);
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The whole records of a file, each with the place after it.
struct Records<'a> {
    content: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = (&'a [u8], usize);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.content.get(self.at..)?.split_first_chunk::<8>()?;
        let (crc, rest) = rest.split_first_chunk::<4>()?;
        if masked_crc(head) != u32::from_le_bytes(*crc) {
            return None;
        }
        let length = usize::try_from(u64::from_le_bytes(*head)).ok()?;
        let (event, rest) = rest.split_at_checked(length)?;
        let crc = rest.first_chunk::<4>()?;
        if masked_crc(event) != u32::from_le_bytes(*crc) {
            return None;
        }
        self.at += length + 16;
        Some((event, self.at))
    }
}

/// What is read of an event.
#[derive(Default)]
struct Parsed {
    step: u64,
    version: bool,
    scalars: bool,
}

impl Parsed {
    fn of(event: &[u8]) -> Option<Self> {
        let mut parsed = Self::default();
        for field in (Fields { rest: event }) {
            match field? {
                (2, Field::Number(step)) => parsed.step = step,
                (3, Field::Bytes(_)) => parsed.version = true,
                (5, Field::Bytes(summary)) => {
                    let Some((1, Field::Bytes(value))) = Fields { rest: summary }.next()? else { return None };
                    parsed.scalars = Fields { rest: value }.any(|field| matches!(field, Some((2, Field::Fixed))));
                }
                _ => {}
            }
        }
        Some(parsed)
    }
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

/// The fields of a message, by number; an item that is none ends a message that is broken.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(usize::try_from(length).ok()?)?;
        self.rest = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// CRC32C (Castagnoli) of every byte.
const CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ CRC[usize::from(crc as u8 ^ byte)])
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_answer_of_crc32c() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283); // RFC 3720
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    }

    fn steps(path: &Path) -> Vec<u64> {
        let content = std::fs::read(path).unwrap();
        Records { content: &content, at: 0 }.map(|(event, _)| Parsed::of(event).unwrap().step).collect()
    }

    #[test]
    fn what_is_kept_keeps_its_bytes_and_what_is_beyond_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.out.tfevents.test");
        assert!(Events::resume(&path, 3).unwrap().is_none());
        let mut events = Events::create(&path).unwrap();
        for step in [1, 2, 2, 3, 400] {
            events.scalars(step, &[("loss", step as f64)]).unwrap();
        }
        events.picture(400, "face", b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x02\0\0\0\x01\x08\x06").unwrap();
        assert!(events.picture(400, "face", b"GIF89a").is_err());
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 2, 3, 400, 400]);

        // A torn record at the end goes, and what is written after it follows the whole ones.
        std::fs::write(&path, &whole[..whole.len() - 3]).unwrap();
        assert_eq!(Events::resume(&path, 400).unwrap().unwrap().count(), 5);
        let mut events = Events::resume(&path, 2).unwrap().unwrap();
        assert_eq!((events.count(), events.last_step()), (3, 2));
        events.scalars(3, &[("loss", 7.0)]).unwrap();
        assert_eq!(steps(&path), [0, 1, 2, 2, 3]);
        assert!(whole.starts_with(&std::fs::read(&path).unwrap()[..100]));
        for bytes in [&b"no events"[..], b"", &[0xff; 40]] {
            std::fs::write(&path, bytes).unwrap();
            assert!(Events::resume(&path, 3).unwrap().is_none());
        }
    }
}
