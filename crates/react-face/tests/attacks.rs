//! Hostile model files: each abuse has its file in `tests/fixtures/attacks/pickle`, and the error that it gets.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use react_face::FaceVerse;
use std::collections::BTreeMap;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/attacks/pickle");

#[test]
fn each_attack_has_its_error() {
    let errors: BTreeMap<String, String> = serde_json::from_slice(&std::fs::read(Path::new(FOLDER).join("errors.json")).unwrap()).unwrap();
    let mut files = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.ends_with(".npy") && !name.ends_with(".npz") {
            continue;
        }
        files += 1;
        let error = FaceVerse::read(&path).unwrap_err().to_string();
        let want = errors.get(&name).cloned().unwrap_or_default();
        if want.is_empty() || !error.contains(&want) || !error.contains(&name) {
            wrong.push(format!("  \"{name}\": \"{}\",", error.replace(FOLDER, "…").replace('"', "'")));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(files, errors.len());
}

/// Whatever is cut off or changed: an error or a model, never a panic.
#[test]
fn damage_is_an_error() {
    let path = Path::new(FOLDER).join("../../face/forms/protocol5.npy");
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(7).chain(0..600) {
        assert!(FaceVerse::parse(&whole[..length], &path).is_err(), "{length} of {} bytes", whole.len());
    }
    for at in 0..whole.len() {
        for byte in [0x00, 0x28, 0x52, 0x7F, 0xFF] {
            if at > 2000 && (at * 31 + usize::from(byte)) % 61 != 0 {
                continue;
            }
            let mut damaged = whole.clone();
            damaged[at] = byte;
            let _ = FaceVerse::parse(&damaged, &path);
        }
    }
}
