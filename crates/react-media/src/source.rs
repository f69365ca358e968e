use crate::MediaError;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// An open file of known length; every range is checked against that length before a byte is allocated.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    file: File,
    len: u64,
    modified: Option<SystemTime>,
}

/// Where one coded frame or sound packet lies in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) size: u32,
}

impl Source {
    pub(crate) fn open(path: &Path) -> Result<Self, MediaError> {
        let file = File::open(path).map_err(MediaError::io("open", path))?;
        let meta = file.metadata().map_err(MediaError::io("open", path))?;
        if !meta.is_file() {
            return Err(MediaError::unsupported(path, "something that is not a file"));
        }
        Ok(Self { path: path.to_owned(), file, len: meta.len(), modified: meta.modified().ok() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length and time of change: what tells one file from another that took its place.
    pub(crate) fn identity(&self) -> (u64, Option<SystemTime>) {
        (self.len, self.modified)
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// That `offset..offset + size` lies in the file; `what` names it in the error.
    pub(crate) fn check(&self, offset: u64, size: u64, what: impl FnOnce() -> String) -> Result<(), MediaError> {
        let end = offset.saturating_add(size);
        if end > self.len {
            return Err(MediaError::Truncated { file: self.path.clone(), what: what(), needs: end, has: self.len });
        }
        Ok(())
    }

    /// Reads `offset..offset + size` into `out`, replacing what it held.
    pub(crate) fn read(&mut self, offset: u64, size: usize, out: &mut Vec<u8>) -> Result<(), MediaError> {
        self.check(offset, size as u64, || format!("a part of {size} bytes"))?;
        out.resize(size, 0);
        self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(out)).map_err(MediaError::io("read", &self.path))
    }

    /// Reads one extent into `out`, replacing what it held.
    pub(crate) fn read_extent(&mut self, extent: Extent, out: &mut Vec<u8>) -> Result<(), MediaError> {
        self.read(extent.offset, extent.size as usize, out)
    }

    /// Reads `N` bytes at `offset`.
    pub(crate) fn array<const N: usize>(&mut self, offset: u64) -> Result<[u8; N], MediaError> {
        self.check(offset, N as u64, || "a header".to_owned())?;
        let mut out = [0; N];
        self.file.seek(SeekFrom::Start(offset)).and_then(|_| self.file.read_exact(&mut out)).map_err(MediaError::io("read", &self.path))?;
        Ok(out)
    }
}
