//! NumPy's archives: a zip of npy files, stored one after another as `np.savez` writes them.

use react_store::StoreError;
use std::path::Path;

const END: &[u8; 4] = b"PK\x05\x06";
const ENTRY: &[u8; 4] = b"PK\x01\x02";
const LOCAL: &[u8; 4] = b"PK\x03\x04";

/// The arrays of an archive: names without `.npy`, and the bytes of each npy file, within `archive`.
///
/// # Errors
/// Where the archive is damaged, or an entry is compressed: nothing is unpacked here, so nothing can grow.
pub(super) fn entries<'a>(archive: &'a [u8], file: &Path) -> Result<Vec<(String, &'a [u8])>, StoreError> {
    let refuse = |why: String| StoreError::Npy { file: file.to_owned(), why };
    let cut = || refuse("the archive is cut or damaged".to_owned());
    // The end record lies within the last 64 KiB: its comment may be that long.
    let from = archive.len().saturating_sub((1 << 16) + 22);
    let end = (from..archive.len().saturating_sub(21)).rev().find(|at| archive[*at..].starts_with(END)).ok_or_else(cut)?;
    let (count, mut at) = (number(archive, end + 10, 2).ok_or_else(cut)?, number(archive, end + 16, 4).ok_or_else(cut)?);
    let mut out = Vec::new();
    for index in 0..count {
        let field = |offset: usize, size: usize| number(archive, at.saturating_add(offset), size).ok_or_else(cut);
        if archive.get(at..at + 4) != Some(ENTRY) {
            return Err(refuse(format!("entry {index} of its directory is damaged")));
        }
        let (method, size, unpacked) = (field(10, 2)?, field(20, 4)?, field(24, 4)?);
        let (name, extra, comment, local) = (field(28, 2)?, field(30, 2)?, field(32, 2)?, field(42, 4)?);
        let name = archive.get(at + 46..at + 46 + name).and_then(|name| std::str::from_utf8(name).ok()).ok_or_else(cut)?;
        if method != 0 || size != unpacked {
            return Err(refuse(format!("{name} is compressed; write the archive with np.savez, not np.savez_compressed")));
        }
        if archive.get(local..local.saturating_add(4)) != Some(LOCAL) {
            return Err(refuse(format!("{name} is not where the directory says")));
        }
        let before = number(archive, local + 26, 2).zip(number(archive, local + 28, 2)).map(|(name, extra)| 30 + name + extra);
        let start = local + before.ok_or_else(cut)?;
        let bytes = archive.get(start..start + size).ok_or_else(cut)?;
        let crc = field(16, 4)?;
        if crc32(bytes) as usize != crc {
            return Err(refuse(format!("the checksum of {name} is wrong")));
        }
        out.push((name.trim_end_matches(".npy").to_owned(), bytes));
        at += 46 + (name.len() + extra + comment);
    }
    Ok(out)
}

fn number(bytes: &[u8], at: usize, size: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(size)?)?;
    Some(field.iter().rev().fold(0, |word, byte| word << 8 | usize::from(*byte)))
}

/// CRC-32 as zip has it.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut i = 0;
        while i < 256 {
            let mut word = i as u32;
            let mut bit = 0;
            while bit < 8 {
                word = if word & 1 == 1 { 0xEDB8_8320 ^ (word >> 1) } else { word >> 1 };
                bit += 1;
            }
            table[i] = word;
            i += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc: u32, byte| TABLE[((crc ^ u32::from(*byte)) & 0xFF) as usize] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_checksum_is_that_of_zip() {
        assert_eq!(super::crc32(b"123456789"), 0xCBF4_3926);
    }
}
