use crate::StoreError;
use std::path::Path;

/// Bytes that can still be written to the file system of a folder by who asks; none where the system does not say.
///
/// # Errors
/// Where the folder is not there or the system refuses.
#[cfg(unix)]
pub fn free_bytes(folder: &Path) -> Result<Option<u64>, StoreError> {
    let found = rustix::fs::statvfs(folder).map_err(|error| StoreError::io("ask for the free space of", folder)(error.into()))?;
    Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
}

/// Bytes that can still be written; not known on this system.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn free_bytes(_folder: &Path) -> Result<Option<u64>, StoreError> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_some_and_a_missing_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        if cfg!(unix) {
            assert!(free_bytes(folder.path()).unwrap().unwrap() > 0);
            let error = free_bytes(&folder.path().join("no")).unwrap_err().to_string();
            assert!(error.starts_with("cannot ask for the free space of ") && error.contains("/no: "), "{error}");
        }
    }
}
