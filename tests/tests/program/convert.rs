//! Weights from one format to the other and back, by the program.

use crate::{fails, fixture, succeeds, text};

#[test]
fn there_and_back_are_the_same_bytes() {
    for task in ["offline", "online"] {
        let folder = tempfile::tempdir().unwrap();
        let weights = fixture(&format!("transvae/transvae_{task}.weights.safetensors"));
        let (out, _) = succeeds(folder.path(), &["convert", text(&weights), "a.safetensors"]);
        assert!(out.contains("parameters in a.safetensors"), "{out}");
        succeeds(folder.path(), &["convert", "a.safetensors", "b.pth"]);
        succeeds(folder.path(), &["convert", "b.pth", "c.safetensors"]);
        succeeds(folder.path(), &["convert", "c.safetensors", "d.pth"]);
        let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
        assert!(read("a.safetensors") == read("c.safetensors") && read("b.pth") == read("d.pth"));
        assert!(read("b.pth").starts_with(b"PK"));
    }
}

#[test]
fn another_ending_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let weights = fixture("transvae/transvae_offline.weights.safetensors");
    let error = fails(folder.path(), &["convert", text(&weights), "weights.bin"]);
    assert!(error.contains("weights.bin") && error.contains(".pth or .safetensors"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
