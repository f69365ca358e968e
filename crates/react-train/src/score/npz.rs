//! NumPy's archives: a zip of npy files, stored (`np.savez`) or deflated (`np.savez_compressed`).

use super::arrays::natural;
use anyhow::{Context, Result, ensure};
use flate2::CrcReader;
use flate2::read::DeflateDecoder;
use ndarray::ArrayD;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// More than this is not unpacked into memory: an .npy file is mapped instead.
const MOST_BYTES: u64 = 16 << 30;

/// All arrays of an archive, in natural order of their names.
///
/// Nothing that the archive says of its sizes is believed: bytes are taken as they come, up to a limit, and an array's shape is held
/// against them.
///
/// # Errors
/// Where the archive is damaged, or an entry no npy file of numbers.
pub(crate) fn read(path: &Path) -> Result<Vec<(String, ArrayD<f32>)>> {
    let mut out = Vec::new();
    let mut left = MOST_BYTES;
    for (name, bytes) in entries(path, |name| name.ends_with(".npy"), &mut left)? {
        let place = path.join(&name);
        let name = name.trim_end_matches(".npy").to_owned();
        out.push((name, react_store::parse_npy_f32(&bytes, &place)?));
    }
    out.sort_by(|(x, _), (y, _)| natural(x, y));
    Ok(out)
}

/// One entry of an archive, where it has it.
///
/// # Errors
/// Where the archive is damaged.
pub(crate) fn entry(path: &Path, wanted: &str) -> Result<Option<Vec<u8>>> {
    Ok(entries(path, |name| name == wanted, &mut { MOST_BYTES })?.into_iter().next().map(|(_, bytes)| bytes))
}

fn entries(path: &Path, wanted: impl Fn(&str) -> bool, left: &mut u64) -> Result<Vec<(String, Vec<u8>)>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).with_context(|| format!("{} is no npz file", path.display()))?;
    let mut out = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).with_context(|| format!("{}: entry {index}", path.display()))?;
        let name = entry.name().with_context(|| format!("{}: the name of entry {index}", path.display()))?.into_owned();
        if !wanted(&name) {
            continue;
        }
        let place = || format!("{}: {name}", path.display());
        ensure!(!entry.encrypted(), "{}: it is encrypted", place());
        let (method, crc) = (entry.compression(), entry.crc32());
        let bytes = match method {
            CompressionMethod::STORE => take(entry, left, crc),
            CompressionMethod::DEFLATE => take(DeflateDecoder::new(entry), left, crc),
            other => anyhow::bail!("{}: compressed by {other}; wanted stored or deflated, as NumPy writes", place()),
        };
        out.push((name.clone(), bytes.with_context(place)?));
    }
    Ok(out)
}

/// What comes, as far as `left` reaches.
fn take(from: impl Read, left: &mut u64, crc: u32) -> Result<Vec<u8>> {
    let mut from = CrcReader::new(from);
    let mut bytes = Vec::new();
    (&mut from).take(*left + 1).read_to_end(&mut bytes).context("it cannot be unpacked")?;
    ensure!(bytes.len() as u64 <= *left, "more than {} GiB in one archive: save .npy files, which are mapped", MOST_BYTES >> 30);
    ensure!(from.crc().sum() == crc, "its checksum is wrong");
    *left -= bytes.len() as u64;
    Ok(bytes)
}
