//! The packed folder's own files, made hostile: read in at most 4 times their size and 16 MiB.
#![allow(clippy::unwrap_used, reason = "everything here is a test")]

#[path = "../../../tests/common/counting.rs"]
mod counting;

use counting::memory;
use react_data::{Packed, verify};
use std::fs;
use std::path::Path;

const SIZE: usize = 3 << 20;

fn lines(line: impl Fn(usize) -> String) -> Vec<u8> {
    let mut text = String::new();
    for n in 0.. {
        if text.len() >= SIZE {
            break;
        }
        text.push_str(&line(n));
        text.push('\n');
    }
    text.into_bytes()
}

fn settings(dir: &Path) {
    let text = r#"{"corpus":"x","fps":25.0,"shorter":32,"crop":24,"store":"source","root":".","splits":["val"]}"#;
    fs::write(dir.join("packed.json"), text).unwrap();
    react_store::write_npy(&dir.join("mean_face.npy"), &ndarray::Array1::<f32>::zeros(58)).unwrap();
}

// One test: the counters are the whole process's.
#[test]
fn memory_is_bounded_by_the_file() {
    let folder = tempfile::tempdir().unwrap();
    settings(folder.path());
    let hash = "0".repeat(64);
    let file = |path: &str| format!(r#"{{"path":"{path}","shape":[],"element":"","bytes":0,"blake3":"{hash}","sources":[]}}"#);
    let long = |part: &str| [&b"{\"unit\":\"a\",\"shape\":["[..], part.repeat(SIZE / part.len()).as_bytes()].concat();
    let bombs = || [long("0,"), long("["), long("{\"a\":"), vec![b'\n'; SIZE], vec![0xff; SIZE], vec![b'"'; SIZE]];
    let journals = [
        lines(|n| format!(r#"{{"unit":"{n}","key":"","sources":[],"files":[],"bad":""}}"#)),
        lines(|n| format!(r#"{{"unit":"{n}","key":"","sources":[],"files":[{}]}}"#, file("a"))),
        lines(|n| format!(r#"{{"unit":"{n}","key":"","sources":[],"files":[{}]}}"#, vec![file("a"); 5000].join(","))),
        lines(|n| {
            format!(
                r#"{{"unit":"{n}","key":"","files":[],"bad":"","sources":[{}]}}"#,
                vec![r#"{"path":"","stamp":"","blake3":""}"#; 25_000].join(",")
            )
        }),
    ];
    for (n, bytes) in journals.into_iter().chain(bombs()).enumerate() {
        fs::write(folder.path().join("journal.jsonl"), &bytes).unwrap();
        let ((), taken) = memory(|| drop(Packed::open(folder.path()).unwrap()));
        assert!(taken <= 4 * bytes.len() + (16 << 20), "journal {n}: {taken} bytes for {}", bytes.len());
    }
    fs::remove_file(folder.path().join("journal.jsonl")).unwrap();
    let manifests = [
        lines(|n| format!(r#"{{"path":"{n}","shape":[],"element":"","blake3":"{hash}","status":""}}"#)),
        lines(|n| {
            let source = |m: usize| format!(r#"{{"path":"{n}/{m}","blake3":"{hash}"}}"#);
            let sources = (0..5000).map(source).collect::<Vec<_>>().join(",");
            format!(r#"{{"path":"val/frames/{n}","shape":[],"element":"","blake3":"{hash}","status":"","sources":[{sources}]}}"#)
        }),
    ];
    for (n, bytes) in manifests.into_iter().chain(bombs()).enumerate() {
        fs::write(folder.path().join("manifest.jsonl"), &bytes).unwrap();
        let ((), taken) = memory(|| assert!(!verify(folder.path(), 1, &()).unwrap().bad.is_empty()));
        // The report names every file, so it may be as large as they are.
        assert!(taken <= 4 * bytes.len() + (16 << 20), "manifest {n}: {taken} bytes for {}", bytes.len());
    }
}
