//! Walking the boxes of an ISO base media file (ISO/IEC 14496-12), each checked against its parent before it is entered.

use crate::{MediaError, source::Source};
use re_mp4::ReadBox;
use std::io::Cursor;
use std::path::Path;

/// No honest index is larger: a day of sound and pictures takes a few megabytes. Its tables are written out to twice that.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// One box of a larger piece: its type, and its bytes with the last eight of its header in front of the payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Atom<'a> {
    pub(super) kind: [u8; 4],
    /// Of all of it.
    size: usize,
    bytes: &'a [u8],
}

impl<'a> Atom<'a> {
    pub(super) fn payload(&self) -> &'a [u8] {
        &self.bytes[8..]
    }

    /// Has re_mp4 read this box, which needs its cursor just behind a header of eight bytes.
    pub(super) fn parse<'c, T>(&self, file: &Path) -> Result<T, MediaError>
    where
        'a: 'c,
        T: for<'r> ReadBox<&'r mut Cursor<&'c [u8]>>,
    {
        let mut cursor = Cursor::new(self.bytes);
        cursor.set_position(8);
        T::read_box(&mut cursor, self.bytes.len() as u64)
            .map_err(|why| MediaError::damaged(file, format!("its {} box cannot be read ({why})", self.kind.escape_ascii())))
    }
}

/// The boxes that lie in `data`, one after the other.
pub(super) fn atoms(mut data: &[u8]) -> impl Iterator<Item = Atom<'_>> {
    std::iter::from_fn(move || {
        let (atom, rest) = split_atom(data)?;
        data = rest;
        Some(atom)
    })
}

/// Whether boxes fill `data` from end to end.
pub(super) fn are_whole(data: &[u8]) -> bool {
    atoms(data).map(|atom| atom.size).sum::<usize>() + 8 > data.len()
}

/// `None` at the end, and at anything that is no box: what follows it cannot be found.
fn split_atom(data: &[u8]) -> Option<(Atom<'_>, &[u8])> {
    let size = u32::from_be_bytes(*data.first_chunk()?) as usize;
    let kind = *data.get(4..8)?.first_chunk()?;
    let (header, size) = match size {
        0 => (8, data.len()),
        1 => (16, usize::try_from(u64::from_be_bytes(*data.get(8..16)?.first_chunk()?)).ok()?),
        _ => (8, size),
    };
    if size < header || size > data.len() {
        return None;
    }
    let (whole, rest) = data.split_at(size);
    Some((Atom { kind, size, bytes: &whole[header - 8..] }, rest))
}

/// The first box of that type among those in `data`.
pub(super) fn find<'a>(data: &'a [u8], kind: &[u8; 4]) -> Option<Atom<'a>> {
    atoms(data).find(|atom| atom.kind == *kind)
}

/// As [`find`]; where it is missing, an error names it.
pub(super) fn need<'a>(data: &'a [u8], kind: &[u8; 4], file: &Path) -> Result<Atom<'a>, MediaError> {
    find(data, kind).ok_or_else(|| MediaError::damaged(file, format!("it has no {} box", kind.escape_ascii())))
}

/// A box at the top level of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Top {
    pub(super) start: u64,
    pub(super) payload: u64,
    /// Of the payload.
    pub(super) size: usize,
}

/// The indices at the top level of a file: the movie box, read, and the places of its fragments.
pub(super) fn read_index(source: &mut Source) -> Result<(Vec<u8>, Vec<Top>), MediaError> {
    let mut at = 0;
    let mut moov = None;
    let (mut moofs, mut moof_bytes) = (Vec::new(), 0);
    let too_large = |path: &Path, size: u64| MediaError::damaged(path, format!("its index claims {size} bytes"));
    while at < source.len() {
        source.check(at, 8, || "a box header".to_owned())?;
        let head: [u8; 8] = source.array(at)?;
        let kind = [head[4], head[5], head[6], head[7]];
        let (header, size) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => (8, source.len() - at),
            1 => (16, u64::from_be_bytes(source.array(at + 8)?)),
            size => (8, u64::from(size)),
        };
        if at == 0 && !matches!(&kind, b"ftyp" | b"moov" | b"mdat" | b"free" | b"skip" | b"wide" | b"styp" | b"pnot" | b"uuid") {
            return Err(MediaError::unsupported(source.path(), "a file that is neither mp4, mov nor m4a"));
        }
        if size < header {
            return Err(MediaError::damaged(source.path(), format!("its {} box is smaller than its header", kind.escape_ascii())));
        }
        source.check(at, size, || format!("its {} box", kind.escape_ascii()))?;
        let payload = size - header;
        match &kind {
            b"moov" if moov.is_none() => {
                if payload > MAX_INDEX_BYTES {
                    return Err(too_large(source.path(), payload));
                }
                let mut bytes = Vec::new();
                source.read(at + header, payload as usize, &mut bytes)?;
                moov = Some(bytes);
            }
            b"moof" => {
                // Each is read by itself, but their number must not fill the memory either.
                moof_bytes += payload.max(64);
                if moof_bytes > MAX_INDEX_BYTES {
                    return Err(too_large(source.path(), moof_bytes));
                }
                moofs.push(Top { start: at, payload: at + header, size: payload as usize });
            }
            _ => {}
        }
        at += size;
    }
    let missing = || MediaError::damaged(source.path(), "it has no moov box, which is the index of an mp4 (was it cut short?)");
    Ok((moov.ok_or_else(missing)?, moofs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atom(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
        [&(payload.len() as u32 + 8).to_be_bytes(), kind.as_slice(), payload].concat()
    }

    #[test]
    fn boxes_are_walked_and_long_sizes_understood() {
        let long = [&1u32.to_be_bytes(), b"free".as_slice(), &17u64.to_be_bytes(), &[7]].concat();
        let data = [atom(b"stts", &[1, 2, 3]), long, atom(b"stsz", &[])].concat();
        let found: Vec<_> = atoms(&data).map(|a| (a.kind, a.payload().to_vec())).collect();
        assert_eq!(found, [(*b"stts", vec![1, 2, 3]), (*b"free", vec![7]), (*b"stsz", vec![])]);
        assert!(find(&data, b"stco").is_none());
    }

    #[test]
    fn a_box_that_leaves_its_parent_ends_the_walk() {
        let mut data = atom(b"stts", &[1, 2, 3]);
        data[3] = 12;
        assert_eq!(atoms(&data).count(), 0);
        data[3] = 7;
        assert_eq!(atoms(&data).count(), 0);
        assert_eq!(atoms(&[0, 0, 0]).count(), 0);
    }
}
