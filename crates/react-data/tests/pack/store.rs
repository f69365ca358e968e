//! Stores, room and disk: frames that stay in their videos, what packing says it needs, files that were damaged, disks that are full.

use crate::tiny::{FRAMES, Tiny, add_videos, digest};
use react_data::{Loader, LoaderConfig, Packed, PackedSplit, PrepareConfig, Progress, Recipe, Store, VerifyReport, prepare, verify};
use react_media::FrameShape;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

fn of_sources(tiny: &Tiny, out: &str) -> PrepareConfig {
    PrepareConfig { store: Store::Source, ..tiny.config(out, 2) }
}

fn split(out: &Path, name: &str) -> PackedSplit {
    Packed::open(out).unwrap().split(name).unwrap()
}

#[test]
fn batches_of_a_store_of_sources_are_those_of_stored_frames() {
    let tiny = Tiny::new();
    add_videos(&tiny);
    let shape = FrameShape { shorter: 40, crop: 32 };
    prepare(&PrepareConfig { shape, ..tiny.config("npy", 0) }, &()).unwrap();
    prepare(&PrepareConfig { shape, ..of_sources(&tiny, "source") }, &()).unwrap();
    let names = |out: &str| digest(&tiny.out(out)).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert!(names("source").iter().all(|name| !(name.contains("/frames/") && name.ends_with(".npy"))));
    assert_eq!(names("source").len(), names("npy").len());
    // Everything but the frames is the same bytes.
    let rest = |out: &str| {
        let files = digest(&tiny.out(out)).into_iter().filter(|(name, _)| name.matches('/').count() > 1 && !name.contains("/frames/"));
        files.collect::<Vec<_>>()
    };
    assert_eq!(rest("npy"), rest("source"));
    for (name, clip_length) in [("train", 4), ("val", 10), ("test", 7)] {
        let loader = |out: &str| {
            let config = LoaderConfig { batch: 2, clip_length, seed: 3 };
            Loader::new(Arc::new(split(&tiny.out(out), name)), config).unwrap()
        };
        let (stored, decoded) = (loader("npy"), loader("source"));
        for step in 0..12 {
            let (a, b) = (stored.at(step).unwrap(), decoded.at(step).unwrap());
            assert!(a.speaker_video().get() == b.speaker_video().get(), "{name}, step {step}");
            assert_eq!(a.listener_3dmm().get(), b.listener_3dmm().get());
        }
        let (stored, decoded) = (split(&tiny.out("npy"), name), split(&tiny.out("source"), name));
        assert!(stored.whole(&[0, 1]).unwrap().speaker_video().get() == decoded.whole(&[0, 1]).unwrap().speaker_video().get());
        assert!(stored.clips()[0].frames().unwrap() == decoded.clips()[0].frames().unwrap());
    }
    let test = split(&tiny.out("source"), "test");
    let error = test.clips()[0].copy_frames(39, &mut vec![0; 2 * 32 * 32 * 3]).unwrap_err().to_string();
    assert!(error.contains("frame 39 on wanted of NoXI/c1/E/1, which has 40"), "{error}");
    // Both folders moved together are still whole.
    let (moved, from) = (tiny.out("moved"), tiny.root());
    fs::create_dir(&moved).unwrap();
    fs::rename(&from, moved.join("corpus")).unwrap();
    fs::rename(tiny.out("source"), moved.join("source")).unwrap();
    assert_eq!(split(&moved.join("source"), "train").common_frames(), FRAMES);
}

#[test]
fn a_source_that_is_gone_or_another_is_an_error_when_it_is_opened() {
    let tiny = Tiny::new();
    let config = of_sources(&tiny, "out");
    prepare(&config, &()).unwrap();
    let open = || Packed::open(&config.out).and_then(|packed| packed.split("train")).map(drop).map_err(|error| error.to_string());
    open().unwrap();
    let video = tiny.source("train", "Video_files", "NoXI/c1/Expert/2.mp4");
    let bytes = fs::read(&video).unwrap();
    // Only its time changes: its contents are read, and are the same.
    fs::write(&video, &bytes).unwrap();
    open().unwrap();
    let mut other = bytes.clone();
    let at = other.len() / 2;
    other[at] ^= 1;
    fs::write(&video, &other).unwrap();
    let error = open().unwrap_err();
    assert!(
        error.contains("Expert/2.mp4: the video of clip NoXI/c1/Expert/2 is not what it was when it was packed: run `prepare` again"),
        "{error}"
    );
    let report = verify(&config.out, 0, &()).unwrap();
    assert!(report.bad.len() == 1 && report.bad[0].0.ends_with("Expert/2.mp4"), "{report}");
    fs::remove_file(&video).unwrap();
    assert!(open().unwrap_err().starts_with("video of clip NoXI/c1/Expert/2 not found: "), "{}", open().unwrap_err());
    fs::rename(tiny.root(), tiny.out("away")).unwrap();
    assert!(open().unwrap_err().starts_with("the corpus that this store of sources decodes from"), "{}", open().unwrap_err());
}

#[test]
fn going_from_one_store_to_the_other_leaves_nothing_behind() {
    let tiny = Tiny::new();
    tiny.prepare("npy", 1).unwrap();
    let config = of_sources(&tiny, "npy");
    prepare(&config, &()).unwrap();
    let report = verify(&config.out, 2, &()).unwrap();
    assert!(report.bad.is_empty(), "{report}");
    tiny.prepare("npy", 3).unwrap();
    tiny.prepare("whole", 1).unwrap();
    assert_eq!(digest(&tiny.out("npy")), digest(&tiny.out("whole")));
}

#[test]
fn verifying_names_every_file_that_is_not_as_it_was() {
    let tiny = Tiny::new();
    tiny.prepare("out", 0).unwrap();
    let out = tiny.out("out");
    let found = || verify(&out, 2, &()).unwrap();
    let report = found();
    // 45 files, and the three that only the sums have hashes of.
    assert_eq!((report.files, report.bad.len(), report.foreign), (48, 0, 0), "{report}");
    // One flipped bit anywhere.
    let paths: Vec<_> = digest(&out).into_iter().map(|(name, _)| name.trim_start_matches('/').to_owned()).collect();
    for (n, name) in paths.iter().enumerate() {
        let path = out.join(name);
        let whole = fs::read(&path).unwrap();
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (n % 8);
            fs::write(&path, &bytes).unwrap();
            match verify(&out, 1, &()) {
                Ok(report) => assert!(report.bad.iter().any(|(bad, _)| bad == name || name == "BLAKE3SUMS"), "{name}, byte {at}: {report}"),
                // Settings that are no settings any more.
                Err(error) => assert!(name == "packed.json" && error.to_string().contains("packed.json"), "{name}: {error}"),
            }
        }
        fs::write(&path, whole).unwrap();
    }
    assert!(found().bad.is_empty());
    // Missing, too much, too short, left over; and what is not ours.
    fs::rename(out.join("val/emotion/UDIVA/038/Talk/FC1/1.npy"), out.join("val/emotion/UDIVA/038/Talk/FC1/2.npy")).unwrap();
    let audio = out.join("train/audio/NoXI/c1/Expert/1.npy");
    let bytes = fs::read(&audio).unwrap();
    fs::write(&audio, &bytes[..bytes.len() - 1]).unwrap();
    fs::write(out.join("train/.pairs.csv.17-3.tmp"), "").unwrap();
    fs::write(out.join("notes.txt"), "mine").unwrap();
    let VerifyReport { bad, foreign, .. } = found();
    let want = [
        ("train/.pairs.csv.17-3.tmp", "a killed run left it; the next run removes it"),
        ("train/audio/NoXI/c1/Expert/1.npy", "its contents are not what was packed"),
        ("val/emotion/UDIVA/038/Talk/FC1/1.npy", "it is missing"),
        ("val/emotion/UDIVA/038/Talk/FC1/2.npy", "it is not in the manifest"),
    ];
    assert_eq!(bad.iter().map(|(file, why)| (file.as_str(), why.as_str())).collect::<Vec<_>>(), want);
    assert_eq!(foreign, 1);
    fs::remove_file(out.join("packed.json")).unwrap();
    assert!(verify(&out, 1, &()).unwrap_err().to_string().contains("no complete packed corpus is here"));
}

/// Adds up what is said to be written.
#[derive(Default)]
struct Room(Mutex<u64>);

impl Progress for Room {
    fn total(&self, _: usize) {}
    fn advance(&self, _: usize) {}
    fn message(&self, _: &str) {}
    fn room(&self, needed: u64, free: Option<u64>) {
        assert!(free.is_none_or(|free| free > needed));
        *self.0.lock().unwrap() += needed;
    }
}

#[test]
fn what_packing_says_it_needs_is_what_it_writes() {
    let tiny = Tiny::new();
    let said = |config: &PrepareConfig| {
        let room = Room::default();
        let report = prepare(config, &room).unwrap();
        (room.0.into_inner().unwrap(), report.bytes)
    };
    let (said_once, wrote) = said(&tiny.config("out", 2));
    assert_eq!(said_once, wrote);
    // What is there already needs no room.
    assert_eq!(said(&tiny.config("out", 2)), (0, wrote));
    let (source, wrote) = said(&of_sources(&tiny, "source"));
    assert!(source >= wrote && source < said_once / 2, "{source} {wrote} {said_once}");
    // More than any disk has.
    let huge = FrameShape { shorter: 8_000_000, crop: 8_000_000 };
    let error = prepare(&PrepareConfig { shape: huge, ..tiny.config("huge", 2) }, &()).unwrap_err().to_string();
    assert!(error.contains("huge: packing needs ") && error.contains(" and the file system has "), "{error}");
    assert_eq!(fs::read_dir(tiny.out("huge")).unwrap().count(), 0);
}

/// Set for a test that runs this program again.
const CHILD: &str = "REACT_DATA_TEST_OUT";

#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_is_an_error_and_leaves_everything_usable() {
    let tiny = Tiny::new();
    let run = |limit: u64| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["store::child_with_a_small_disk", "--exact", "--ignored", "--nocapture"]);
        command.env(CHILD, format!("{limit}\n{}\n{}", tiny.root().display(), tiny.out("out").display()));
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for limit in [100, 4000, 10_000] {
        let (passed, text) = run(limit);
        assert!(passed && text.contains("the error: cannot write "), "{text}");
        let left = digest(&tiny.out("out"));
        assert!(left.iter().all(|(name, _)| !name.ends_with(".tmp") && !name.ends_with("packed.json")), "{left:?}");
    }
    tiny.prepare("out", 2).unwrap();
    tiny.prepare("whole", 2).unwrap();
    assert_eq!(digest(&tiny.out("out")), digest(&tiny.out("whole")));
}

/// Packs where no file may become larger than some bytes; the one above runs it as a process of its own, whose limit it is.
#[cfg(unix)]
#[test]
#[ignore = "another test runs it"]
fn child_with_a_small_disk() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let Ok(what) = std::env::var(CHILD) else { return };
    let [limit, root, out] = what.lines().collect::<Vec<_>>().try_into().unwrap();
    // SAFETY: ignoring a signal installs no code. Without that the signal of the limit would end the process.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let limit = limit.parse().unwrap();
    setrlimit(Resource::Fsize, Rlimit { current: Some(limit), maximum: Some(limit) }).unwrap();
    let config =
        PrepareConfig { shape: crate::tiny::SHAPE, threads: 2, ..PrepareConfig::new(Recipe::named("react2024").unwrap(), root, out) };
    eprintln!("the error: {}", prepare(&config, &()).unwrap_err());
}
