//! Reading AVI: where the coded frames of its video stream lie.

use crate::MediaError;
use crate::source::{Extent, Source};
use std::path::Path;

/// An open AVI file and the frames of its first video stream.
#[derive(Debug)]
pub(crate) struct Avi {
    pub(crate) source: Source,
    pub(crate) codec: [u8; 4],
    /// Headers of the codec that the container carries; often none.
    pub(crate) headers: Vec<u8>,
    pub(crate) fps: f64,
    pub(crate) frames: Vec<Extent>,
}

/// What the headers say of the video stream.
struct Stream {
    number: u8,
    codec: [u8; 4],
    headers: Vec<u8>,
    fps: f64,
}

/// The most frames: nineteen hours at 30 a second.
const MAX_FRAMES: usize = 2 << 20;

/// No honest header list is larger.
const MAX_HEADER_BYTES: u64 = 16 << 20;

impl Avi {
    pub(crate) fn open(path: &Path) -> Result<Self, MediaError> {
        let mut source = Source::open(path)?;
        if source.len() < 12 {
            return Err(MediaError::unsupported(path, "a file that is no AVI"));
        }
        let head: [u8; 12] = source.array(0)?;
        if &head[..4] != b"RIFF" || &head[8..] != b"AVI " {
            return Err(MediaError::unsupported(path, "a file that is no AVI"));
        }
        let mut stream = None;
        let mut frames = Vec::new();
        let end = source.len();
        // The top level: RIFF pieces (more than one beyond a gigabyte), each a row of chunks.
        let mut at = 0;
        while let Some(riff) = chunk(&mut source, at, end)? {
            source.check(riff.payload, u64::from(riff.size), || format!("its {} piece", riff.id.escape_ascii()))?;
            let form: [u8; 4] = if riff.list && riff.size >= 4 { source.array(at + 8)? } else { *b"    " };
            if riff.id == *b"RIFF" && (form == *b"AVI " || form == *b"AVIX") {
                read_piece(&mut source, at + 12, riff.end, &mut stream, &mut frames)?;
            }
            at = riff.next();
        }
        let stream = stream.ok_or_else(|| MediaError::NoTrack { file: path.to_owned(), kind: "video" })?;
        Ok(Self { source, codec: stream.codec, headers: stream.headers, fps: stream.fps, frames })
    }
}

/// The header of one chunk.
struct Chunk {
    id: [u8; 4],
    /// Whether its payload starts with a type and holds chunks.
    list: bool,
    payload: u64,
    size: u32,
    end: u64,
}

impl Chunk {
    /// Chunks start at even places.
    fn next(&self) -> u64 {
        self.end + self.end % 2
    }
}

/// The chunk at `at`; `None` at `end`.
fn chunk(source: &mut Source, at: u64, end: u64) -> Result<Option<Chunk>, MediaError> {
    if at + 8 > end {
        return Ok(None);
    }
    let [a, b, c, d, s0, s1, s2, s3] = source.array(at)?;
    let (id, size) = ([a, b, c, d], u32::from_le_bytes([s0, s1, s2, s3]));
    let list = matches!(&id, b"RIFF" | b"LIST");
    Ok(Some(Chunk { id, list, payload: at + 8, size, end: at + 8 + u64::from(size) }))
}

fn read_piece(source: &mut Source, mut at: u64, end: u64, stream: &mut Option<Stream>, frames: &mut Vec<Extent>) -> Result<(), MediaError> {
    while let Some(part) = chunk(source, at, end)? {
        if part.list && part.size >= 4 {
            match &source.array(part.payload)? {
                b"hdrl" if stream.is_none() => {
                    source.check(part.payload, u64::from(part.size), || "its header list".to_owned())?;
                    if u64::from(part.size) > MAX_HEADER_BYTES {
                        return Err(MediaError::damaged(source.path(), format!("its header list claims {} bytes", part.size)));
                    }
                    let mut bytes = Vec::new();
                    source.read(part.payload + 4, part.size as usize - 4, &mut bytes)?;
                    *stream = read_headers(&bytes);
                }
                b"movi" => {
                    source.check(part.payload, u64::from(part.size), || "its list of frames".to_owned())?;
                    read_frames(source, part.payload + 4, part.end, stream.as_ref(), frames)?;
                }
                _ => {}
            }
        }
        at = part.next();
    }
    Ok(())
}

fn read_frames(source: &mut Source, mut at: u64, end: u64, stream: Option<&Stream>, frames: &mut Vec<Extent>) -> Result<(), MediaError> {
    let Some(stream) = stream else {
        return Err(MediaError::damaged(source.path(), "its frames come before its headers"));
    };
    while let Some(part) = chunk(source, at, end)? {
        if part.list {
            // A `rec ` list groups chunks that belong together: go into it.
            at = part.payload + 4;
            continue;
        }
        let number = part.id.first_chunk::<2>().and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok());
        if number == Some(stream.number) && matches!(&part.id[2..], b"dc" | b"db") {
            source.check(part.payload, u64::from(part.size), || format!("frame {}", frames.len()))?;
            // An empty chunk repeats the frame before it; FFmpeg leaves it out, and so does this.
            if part.size > 0 {
                if frames.len() >= MAX_FRAMES {
                    return Err(MediaError::damaged(source.path(), format!("it claims more than {MAX_FRAMES} frames")));
                }
                frames.push(Extent { offset: part.payload, size: part.size });
            }
        }
        at = part.next();
    }
    Ok(())
}

/// The chunks in `data`: type, list type, payload.
fn chunks(mut data: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let id = *data.first_chunk::<4>()?;
        let size = u32::from_le_bytes(*data.get(4..8)?.first_chunk()?) as usize;
        let payload = data.get(8..)?.get(..size)?;
        data = data.get(8 + size + size % 2..).unwrap_or_default();
        Some((id, payload))
    })
}

/// Finds the first video stream in a header list.
fn read_headers(hdrl: &[u8]) -> Option<Stream> {
    let lists = chunks(hdrl).filter_map(|(id, payload)| (&id == b"LIST").then(|| payload.strip_prefix(b"strl")).flatten());
    lists.enumerate().find_map(|(number, strl)| {
        let strh = chunks(strl).find(|(id, _)| id == b"strh")?.1;
        let strf = chunks(strl).find(|(id, _)| id == b"strf")?.1;
        if !strh.starts_with(b"vids") {
            return None;
        }
        let word = |at: usize| strh.get(at..at + 4)?.first_chunk().map(|b| u32::from_le_bytes(*b));
        let (scale, rate) = (word(20)?, word(24)?);
        let codec = *strf.get(16..20)?.first_chunk()?;
        let fps = if scale == 0 { 0. } else { f64::from(rate) / f64::from(scale) };
        Some(Stream { number: u8::try_from(number).ok()?, codec, headers: strf.get(40..).unwrap_or_default().to_vec(), fps })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(id: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        let mut out = [id.as_slice(), &(payload.len() as u32).to_le_bytes(), payload].concat();
        out.resize(out.len().next_multiple_of(2), 0);
        out
    }

    fn small_avi(frames: &[&[u8]]) -> Vec<u8> {
        let mut strh = [0; 56];
        strh[..8].copy_from_slice(b"vidsMJPG");
        strh[20] = 1;
        strh[24] = 30;
        let mut strf = [0; 40];
        strf[16..20].copy_from_slice(b"MJPG");
        let strl = [b"strl".to_vec(), chunk(b"strh", &strh), chunk(b"strf", &strf)].concat();
        let audio = [b"strl".to_vec(), chunk(b"strh", b"auds"), chunk(b"strf", &[])].concat();
        let hdrl = [b"hdrl".to_vec(), chunk(b"avih", &[0; 56]), chunk(b"LIST", &audio), chunk(b"LIST", &strl)].concat();
        let movi: Vec<u8> = frames.iter().flat_map(|frame| [chunk(b"01dc", frame), chunk(b"00wb", &[9; 3])].concat()).collect();
        let movi = [b"movi".to_vec(), chunk(b"LIST", &[b"rec ".to_vec(), movi].concat())].concat();
        chunk(b"RIFF", &[b"AVI ".to_vec(), chunk(b"LIST", &hdrl), chunk(b"LIST", &movi)].concat())
    }

    #[test]
    fn frames_of_the_video_stream_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.avi");
        let bytes = small_avi(&[&[1, 2, 3], &[], &[4; 6]]);
        std::fs::write(&path, &bytes).unwrap();
        let avi = Avi::open(&path).unwrap();
        assert_eq!((&avi.codec, avi.fps), (b"MJPG", 30.));
        let found: Vec<_> = avi.frames.iter().map(|f| bytes[f.offset as usize..][..f.size as usize].to_vec()).collect();
        assert_eq!(found, [vec![1, 2, 3], vec![4; 6]]);
    }

    #[test]
    fn a_cut_file_is_an_error_wherever_it_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.avi");
        let bytes = small_avi(&[&[1; 100], &[2; 100]]);
        for cut in 0..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let error = Avi::open(&path).unwrap_err().to_string();
            assert!(error.contains("cut.avi"), "{error}");
        }
    }
}
