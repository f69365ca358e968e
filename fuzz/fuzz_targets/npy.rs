//! NumPy files, from memory and from disk: both say the same, and what is read is as large as the header says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = tempfile::Builder::new().prefix("react-fuzz").tempdir_in("/dev/shm").unwrap();
    folder.keep().join("a.npy")
});

fuzz_target!(|bytes: &[u8]| {
    let parsed = react_store::parse_npy_f32(bytes, Path::new("a.npy"));
    std::fs::write(&*FILE, bytes).unwrap();
    let read = react_store::read_npy_f32(&FILE);
    assert_eq!(parsed.is_ok(), read.is_ok());
    if let (Ok(parsed), Ok(read)) = (parsed, read) {
        assert_eq!(parsed.shape(), read.shape());
        let bits = |array: &ndarray::ArrayD<f32>| array.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&parsed), bits(&read));
        let map = react_store::NpyMap::open(&FILE).unwrap();
        assert_eq!(map.shape().iter().product::<usize>(), read.len());
        let _ = (map.view_u8(), map.view_f32());
    }
    let _ = (react_store::read_npy_u8(&FILE), react_store::read_npy_header(&FILE));
});
