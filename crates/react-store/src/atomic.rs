use crate::StoreError;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A file being written beside its place: [`AtomicFile::publish`] moves it there, dropping it removes it.
///
/// For writers that want a path or seek themselves; [`write_atomic`] serves everyone else.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    temp: PathBuf,
    published: bool,
}

impl AtomicFile {
    /// Reserves a name beside `target` (`.NAME.PID-N.tmp`) and makes the parent folders.
    ///
    /// # Errors
    /// Where a parent folder cannot be made.
    pub fn beside(target: &Path) -> Result<Self, StoreError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        if let Some(parent) = parent(target) {
            fs::create_dir_all(parent).map_err(StoreError::io("create folder", parent))?;
        }
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        Ok(Self { target: target.to_owned(), temp: target.with_file_name(name), published: false })
    }

    /// Where to write.
    #[must_use]
    pub fn temp(&self) -> &Path {
        &self.temp
    }

    /// Syncs what was written, renames it to its place and syncs the folder: after this the file is durable.
    ///
    /// # Errors
    /// Where the system refuses; the target is then as it was.
    pub fn publish(mut self) -> Result<(), StoreError> {
        let file = File::open(&self.temp).map_err(StoreError::io("open", &self.temp))?;
        file.sync_all().map_err(StoreError::io("sync", &self.temp))?;
        fs::rename(&self.temp, &self.target).map_err(StoreError::io("write", &self.target))?;
        self.published = true;
        match parent(&self.target) {
            Some(parent) => sync_folder(parent).map_err(StoreError::io("sync folder", parent)),
            None => sync_folder(Path::new(".")).map_err(StoreError::io("sync folder", Path::new("."))),
        }
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if !self.published {
            // Nothing more can be done about a temporary file that will not go; the next run overlooks it.
            let _ = fs::remove_file(&self.temp);
        }
    }
}

fn parent(path: &Path) -> Option<&Path> {
    path.parent().filter(|parent| !parent.as_os_str().is_empty())
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Writes a file so that it is whole or absent: beside its place, synced, renamed, the folder synced.
///
/// Missing parent folders are made.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("scores/a.txt");
/// react_store::write_atomic(&path, |file| file.write_all(b"0.5\n"))?;
/// assert_eq!(std::fs::read_to_string(path)?, "0.5\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Where the system or `write` refuses; the file is then as it was.
pub fn write_atomic(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StoreError> {
    let file = AtomicFile::beside(path)?;
    let mut buffer = BufWriter::new(File::create(file.temp()).map_err(StoreError::io("write", path))?);
    write(&mut buffer).and_then(|()| buffer.flush()).map_err(StoreError::io("write", path))?;
    drop(buffer);
    file.publish()
}

/// Appends one line to a journal and syncs it: after this the line is durable.
///
/// # Errors
/// Where the system refuses; what a full disk took of the line is removed again, so that the next line stands alone.
pub fn append_line(path: &Path, line: &str) -> Result<(), StoreError> {
    let mut file = File::options().create(true).append(true).open(path).map_err(StoreError::io("open", path))?;
    let before = file.metadata().map_err(StoreError::io("read", path))?.len();
    // One write, so that a kill leaves a line or (on a full disk) a part of one, never two mixed.
    let written = file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_data());
    if written.is_err() {
        // Readers drop half a line too, so nothing is lost where even this is refused.
        let _ = file.set_len(before);
    }
    written.map_err(StoreError::io("write", path))?;
    // A new file's name is durable only with its folder.
    match parent(path) {
        Some(parent) if before == 0 => sync_folder(parent).map_err(StoreError::io("sync folder", parent)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_atomic(&path, |file| file.write_all(b"old")).unwrap();
        let error = write_atomic(&path, |file| file.write_all(b"half").and_then(|()| Err(io::Error::other("disk full")))).unwrap_err();
        assert!(error.to_string().contains("a.txt: disk full"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn lines_are_appended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        append_line(&path, "a").unwrap();
        append_line(&path, "b").unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "a\nb\n");
    }
}
