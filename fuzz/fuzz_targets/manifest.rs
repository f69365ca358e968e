//! The packed folder's own files: settings, journal, manifest, sums and the record of a clip's frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

const SETTINGS: &str =
    r#"{"corpus":"x","fps":25.0,"shorter":32,"crop":24,"audio_features":78,"faces":"given","store":"source","root":".","splits":["val"]}"#;

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::Builder::new().prefix("react-fuzz").tempdir_in("/dev/shm").unwrap().keep();
    react_store::write_npy(&folder.join("mean_face.npy"), &ndarray::Array1::<f32>::zeros(58)).unwrap();
    react_store::write_npy(&folder.join("val/audio/NoXI/a/b/1.npy"), &ndarray::Array2::<f32>::zeros((2, 78))).unwrap();
    fs::create_dir_all(folder.join("val/frames/NoXI/a/b")).unwrap();
    fs::write(folder.join("val/pairs.csv"), ",s,l\n0,NoXI/a/b/1,NoXI/a/c/1\n").unwrap();
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let Some((which, bytes)) = bytes.split_first() else { return };
    let file = |name: &str| FOLDER.join(name);
    for name in ["journal.jsonl", "manifest.jsonl", "BLAKE3SUMS", "val/frames/NoXI/a/b/1.json"] {
        let _ = fs::remove_file(file(name));
    }
    fs::write(file("packed.json"), SETTINGS).unwrap();
    let name = match which % 5 {
        0 => "journal.jsonl",
        1 => "manifest.jsonl",
        2 => "BLAKE3SUMS",
        3 => "val/frames/NoXI/a/b/1.json",
        _ => "packed.json",
    };
    fs::write(file(name), bytes).unwrap();
    if let Ok(packed) = react_data::Packed::open(&FOLDER) {
        let _ = packed.split("val");
    }
    let _ = react_data::verify(&FOLDER, 1, &());
});
