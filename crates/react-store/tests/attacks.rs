//! Hostile files of `tests/fixtures/attacks`, each with the error it gets, in memory that its size bounds.
#![allow(clippy::unwrap_used, reason = "everything here is a test")]

#[path = "../../../tests/common/counting.rs"]
mod counting;

use counting::memory;
use react_store::{Csv, NpyMap, parse_npy_f32, read_npy_f32, read_npy_header, read_npy_u8};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn bounded<T>(file: &Path, work: impl FnOnce(&Path) -> T) -> T {
    let bytes = fs::metadata(file).unwrap().len() as usize;
    let (result, most) = memory(|| work(file));
    assert!(most <= 4 * bytes + (16 << 20), "{}: {most} bytes for a file of {bytes}", file.display());
    result
}

/// The errors that a folder's files should get, by name: `errors.json`.
fn cases(kind: &str) -> (PathBuf, BTreeMap<String, String>) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/attacks")).join(kind);
    let errors: BTreeMap<String, String> = serde_json::from_slice(&fs::read(folder.join("errors.json")).unwrap()).unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter(|name| name != "errors.json").collect();
    files.sort();
    assert_eq!(files, errors.keys().cloned().collect::<Vec<_>>(), "every file has its error, every error its file");
    (folder, errors)
}

/// Calls `read` with every file of a folder and compares its error.
fn attack(kind: &str, read: impl Fn(&Path) -> Result<(), react_store::StoreError>) {
    let (folder, errors) = cases(kind);
    let mut wrong = Vec::new();
    for (name, want) in errors {
        let found = bounded(&folder.join(&name), &read).err().map_or("no error".to_owned(), |error| error.to_string());
        let found = found.replace(&format!("{}/", folder.display()), "");
        if found != want {
            wrong.push(format!("{name:?}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join(",\n"));
}

#[test]
fn hostile_arrays_from_disk() {
    attack("npy", |path| read_npy_f32(path).map(drop));
    attack("npy", |path| NpyMap::open(path).map(drop));
    attack("npy", |path| read_npy_header(path).map(drop));
    attack("npy", |path| read_npy_u8(path).map(drop));
}

#[test]
fn hostile_arrays_in_memory() {
    attack("npy", |path| parse_npy_f32(&fs::read(path).unwrap(), path).map(drop));
}

#[test]
fn hostile_tables() {
    attack("csv", |path| Csv::read(path).map(drop));
}

#[test]
fn what_is_read_is_bounded_by_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let npy = folder.path().join("a.npy");
    // The worst: bytes become f32.
    react_store::write_npy(&npy, &ndarray::Array1::<u8>::ones(6_000_000)).unwrap();
    assert_eq!(bounded(&npy, |path| read_npy_f32(path).unwrap()).sum(), 6e6);
    let csv = folder.path().join("a.csv");
    for text in ["a,b\n".to_owned() + &",\n".repeat(2_000_000), "\n".repeat(4_000_000) + "a", "a\n".to_owned() + &"1\n".repeat(2_000_000)] {
        fs::write(&csv, &text).unwrap();
        let rows = bounded(&csv, |path| Csv::read(path).unwrap().rows());
        assert_eq!(rows, text.lines().filter(|line| !line.is_empty()).count() - 1);
    }
}

#[test]
fn every_cut_and_every_flipped_byte_of_a_small_array() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.npy");
    react_store::write_npy(&path, &ndarray::arr2(&[[1.0f32, 2.0], [3.0, 4.0]])).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        assert!(parse_npy_f32(&whole[..length], &path).is_err(), "{length} bytes");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            // It may still be an array; then of as many values as there are.
            if let Ok(array) = parse_npy_f32(&bytes, &path) {
                assert!(array.len() * 4 == 16 || array.len() * 8 == 16, "{at}: {:?}", array.shape());
            }
        }
    }
}
