//! A tiny Hume-Reaction made by hand goes through `prepare_hume`: contents, flags, resuming, errors.

use crate::tiny::{digest, tree};
use ndarray::{Axis, s};
use react_data::hume::{
    EriPacked, HumeConfig, HumeCorpus, HumeRecipe, Sampling, Undecodable, pool_steps, prepare_hume, prepare_one, uniform_frames,
};
use react_data::{Faces, MfccConfig, mfcc};
use react_media::{FrameShape, Quality, Resizer, VideoReader, VideoWriter, read_audio, write_wav};
use std::fs;
use std::path::{Path, PathBuf};

const WIDTH: usize = 48;
const HEIGHT: usize = 32;
const HEADER: &str = "File_ID,Split,Adoration,Amusement,Anxiety,Disgust,Empathic-Pain,Fear,Surprise,Age,Country\n";

/// Which files a clip has.
#[derive(Clone, Copy, PartialEq)]
enum Has {
    Both,
    Video,
    Sound,
    Silence,
}

/// (split, id, frames, files).
const CLIPS: [(&str, &str, usize, Has); 7] = [
    ("train", "00003", 20, Has::Both),
    ("train", "00001", 3, Has::Both),
    ("train", "00002", 1, Has::Video),
    ("val", "00010", 9, Has::Sound),
    ("val", "00011", 9, Has::Silence),
    ("test", "00020", 9, Has::Both),
    ("test", "00021", 9, Has::Both),
];

pub(crate) struct Tiny {
    folder: tempfile::TempDir,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap() };
        let mut table = HEADER.to_owned();
        for (n, (split, id, frames, has)) in CLIPS.into_iter().enumerate() {
            if has != Has::Sound {
                write_video(&this.file(split, "mp4", id), n, frames);
            }
            if has != Has::Video {
                let samples: Vec<f32> = (0..8000 + 4000 * n).map(|i| (i as f32 * 0.03 * (n + 1) as f32).sin() * 0.4).collect();
                let wav = this.file(split, "wav", id);
                fs::create_dir_all(wav.parent().unwrap()).unwrap();
                write_wav(&wav, &if has == Has::Silence { vec![0.0; 8000] } else { samples }, 16_000).unwrap();
            }
            // The table does not name the last clip; its file is there.
            match split {
                "test" if id == "00021" => {}
                "test" => table += &format!("[{id}],Test,,,,,,,,31,South Africa\n"),
                _ => {
                    let labels: Vec<String> = (0..7).map(|e| format!("{}", (n * 7 + e) as f32 / 64.0)).collect();
                    let split = if split == "train" { "Train" } else { "Val" };
                    table += &format!("[{id}],{split},{},31,United States\n", labels.join(","));
                }
            }
        }
        fs::write(this.root().join("data_info.csv"), table).unwrap();
        this
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("hume")
    }

    pub(crate) fn file(&self, split: &str, kind: &str, id: &str) -> PathBuf {
        self.root().join(split).join(kind).join(format!("{id}.{kind}"))
    }

    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self, out: &str) -> HumeConfig {
        HumeConfig { root: self.root(), out: self.out(out), crop: 16, frames: 4, steps: 8, ..HumeConfig::default() }
    }

    fn prepare(&self, out: &str) -> Result<String, String> {
        prepare_hume(&self.config(out), &()).map(|report| report.to_string()).map_err(|error| error.to_string())
    }

    /// The error of opening with another table.
    fn table(&self, text: &str) -> String {
        fs::write(self.root().join("data_info.csv"), text).unwrap();
        let error = HumeCorpus::open(&self.root(), &HumeRecipe::built_in().unwrap()).unwrap_err().to_string();
        error.replace(&format!("{}/", self.root().display()), "")
    }
}

fn write_video(path: &Path, seed: usize, frames: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut writer = VideoWriter::create(path, WIDTH, HEIGHT, 12.0, Quality::Fast).unwrap();
    for t in 0..frames {
        let picture: Vec<u8> = (0..WIDTH * HEIGHT * 3).map(|i| (40 + i / 3 % WIDTH + 4 * seed + 7 * t) as u8).collect();
        writer.push(&picture).unwrap();
    }
    writer.finish().unwrap();
}

/// Frames decoded and resized by hand.
fn by_hand(video: &Path, chosen: &[usize], crop: usize) -> Vec<u8> {
    let mut reader = VideoReader::open(video).unwrap();
    let (mut frames, mut rgb) = (Vec::new(), Vec::new());
    while reader.next_frame(&mut rgb).unwrap() {
        let mut out = vec![0; crop * crop * 3];
        Resizer::new().apply(&rgb, WIDTH, HEIGHT, &FrameShape { shorter: crop, crop }, &mut out).unwrap();
        frames.push(out);
    }
    chosen.iter().flat_map(|frame| frames[*frame].clone()).collect()
}

#[test]
fn what_is_packed_is_what_was_there() {
    let tiny = Tiny::new();
    let report = tiny.prepare("out").unwrap();
    assert!(
        report.starts_with("7 clips, 1 without a face, 2 without sound, 2 without labels; packed 10 units, 0 were there (17 files, "),
        "{report}"
    );
    let packed = EriPacked::open(&tiny.out("out")).unwrap();
    assert_eq!((packed.info().crop, packed.info().frames, packed.info().steps, packed.info().cepstra), (16, 4, 8, 40));
    let train = packed.split("train").unwrap();
    assert_eq!((0..train.len()).map(|i| train.id(i)).collect::<Vec<_>>(), ["00001", "00002", "00003"]);
    assert_eq!(train.emotions()[4], "Empathic-Pain");
    assert_eq!(train.labels(2).unwrap(), (0..7).map(|e| e as f32 / 64.0).collect::<Vec<_>>());

    let batch = train.batch(&[2, 0, 1]).unwrap();
    assert_eq!((batch.frames.dim(), batch.mfcc.dim()), ((3, 4, 16, 16, 3), (3, 8, 40)));
    assert_eq!(batch.keep, ndarray::array![[1.0, 1.0], [1.0, 1.0], [0.0, 1.0]]);
    assert_eq!(batch.labels.unwrap().row(1).to_vec(), train.labels(0).unwrap());
    let clip = |i: usize| batch.frames.index_axis(Axis(0), i).iter().copied().collect::<Vec<u8>>();
    assert_eq!(clip(0), by_hand(&tiny.file("train", "mp4", "00003"), &uniform_frames(20, 4), 16));
    assert_eq!(clip(1), by_hand(&tiny.file("train", "mp4", "00001"), &[0, 1, 1, 2], 16));
    assert_eq!(clip(2), by_hand(&tiny.file("train", "mp4", "00002"), &[0; 4], 16));
    let audio = read_audio(&tiny.file("train", "wav", "00003")).unwrap();
    let cepstra = mfcc(&audio.mono(), MfccConfig::eri(16_000)).unwrap();
    assert_eq!(batch.mfcc.index_axis(Axis(0), 0), pool_steps(&cepstra, 8));
    assert!(batch.mfcc.slice(s![2, .., ..]).iter().all(|x| *x == 0.0));

    let val = packed.split("val").unwrap();
    assert_eq!(val.batch(&[0, 1]).unwrap().keep, ndarray::array![[1.0, 0.0], [0.0, 1.0]]);
    assert!(val.batch(&[0]).unwrap().frames.iter().all(|shade| *shade == 0));
    let test = packed.split("test").unwrap();
    assert_eq!((test.len(), test.labels(0), test.is_labelled(), val.is_labelled()), (2, None, false, true));
    assert_eq!(test.batch(&[1]).unwrap().labels, None);

    let manifest = fs::read_to_string(tiny.out("out/manifest.jsonl")).unwrap();
    let line = |path: &str| manifest.lines().find(|line| line.contains(&format!("\"{path}\""))).unwrap();
    assert!(line("train/frames/00002.npy").contains("\"status\":\"packed\",\"note\":\"1 frames, repeated\""), "{manifest}");
    assert!(line("train/mfcc/00002.npy").ends_with("\"status\":\"no sound\"}"));
    assert!(line("val/frames/00010.npy").ends_with("\"status\":\"no video\"}"));
    assert!(line("val/mfcc/00011.npy").ends_with("\"status\":\"silent\"}"));
    assert!(!manifest.contains(tiny.folder.path().to_str().unwrap()));
}

#[test]
fn a_clip_from_files_is_the_packed_one() {
    let tiny = Tiny::new();
    tiny.prepare("out").unwrap();
    let packed = EriPacked::open(&tiny.out("out")).unwrap();
    let batch = packed.split("test").unwrap().batch(&[0]).unwrap();
    let (mp4, wav) = (tiny.file("test", "mp4", "00020"), tiny.file("test", "wav", "00020"));
    let one = prepare_one(Some(&mp4), Some(&wav), &packed.info().shape()).unwrap();
    assert_eq!((one.frames.view(), one.mfcc.view()), (batch.frames.index_axis(Axis(0), 0), batch.mfcc.index_axis(Axis(0), 0)));
    assert_eq!(one.keep, [1.0, 1.0]);
    let mute = prepare_one(Some(&mp4), None, &packed.info().shape()).unwrap();
    assert_eq!((mute.keep, mute.mfcc.sum()), ([0.0, 1.0], 0.0));
    let blind = prepare_one(None, Some(&wav), &packed.info().shape()).unwrap();
    assert_eq!((blind.keep, blind.frames.iter().max()), ([1.0, 0.0], Some(&0)));
    assert!(prepare_one(None, None, &packed.info().shape()).is_err());
    let error = prepare_one(Some(&wav), None, &packed.info().shape()).unwrap_err().to_string();
    assert!(error.contains("00020.wav"), "{error}");
}

#[test]
fn the_same_bytes_at_any_thread_count_and_after_an_interruption() {
    let tiny = Tiny::new();
    for (out, threads) in [("one", 1), ("three", 3)] {
        prepare_hume(&HumeConfig { threads, ..tiny.config(out) }, &()).unwrap();
    }
    // Journals hold times of change, the same here.
    assert_eq!(digest(&tiny.out("one")), digest(&tiny.out("three")));

    // Killed while packing: a file half-written, a journal's line cut off, no manifest.
    let whole = tree(&tiny.out("one"));
    fs::remove_file(tiny.out("one/packed.json")).unwrap();
    fs::remove_file(tiny.out("one/manifest.jsonl")).unwrap();
    fs::write(tiny.out("one/val/mfcc/.00010.npy.77-0.tmp"), "half").unwrap();
    let journal = fs::read_to_string(tiny.out("one/journal.jsonl")).unwrap();
    fs::write(tiny.out("one/journal.jsonl"), &journal[..journal.len() - 40]).unwrap();
    let report = tiny.prepare("one").unwrap();
    assert!(report.contains("packed 1 units, 9 were there"), "{report}");
    assert_eq!(tree(&tiny.out("one")), whole);
    assert!(tiny.prepare("one").unwrap().contains("all 10 units were packed already"));

    // Other emotions change the labels only.
    let config = HumeConfig { emotions: vec!["Fear".into(), "Disgust".into()], ..tiny.config("one") };
    assert_eq!(prepare_hume(&config, &()).unwrap().packing.packed, 3);
    let train = EriPacked::open(&tiny.out("one")).unwrap().split("train").unwrap();
    assert_eq!(
        (train.emotions(), train.labels(2).unwrap()),
        (&["Fear".to_owned(), "Disgust".to_owned()][..], &[5.0 / 64.0, 3.0 / 64.0][..])
    );
}

#[test]
fn boxes_say_where_the_face_is_and_whether_there_is_one() {
    let tiny = Tiny::new();
    let csv = tiny.out("boxes.csv");
    let rows: String = (0..20).filter(|t| *t != 7).map(|t| format!("[00003],{t},20,8,8,8\n")).collect();
    fs::write(&csv, format!("clip,frame,x,y,w,h\n{rows}00001,0,0,0,16,16\n")).unwrap();
    let config = HumeConfig { faces: Faces::Boxes(csv.clone()), ..tiny.config("out") };
    let report = prepare_hume(&config, &()).unwrap();
    assert_eq!((report.without_face, report.packing.packed), (5, 10));
    let train = EriPacked::open(&tiny.out("out")).unwrap().split("train").unwrap();
    assert_eq!([0, 1, 2].map(|i| train.has_face(i)), [true, false, true]);
    let manifest = fs::read_to_string(tiny.out("out/manifest.jsonl")).unwrap();
    let line = |path: &str| manifest.lines().find(|line| line.contains(&format!("\"{path}\""))).unwrap();
    // A gap of one frame is bridged.
    assert!(line("train/frames/00003.npy").contains("\"status\":\"packed\",\"decoder\":"), "{manifest}");
    assert!(line("train/frames/00002.npy").ends_with("\"status\":\"no face\"}"));
    // The middle of the square, 10 pixels from (19, 7) on, is the middle of the picture's box.
    let frames = train.batch(&[2]).unwrap().frames;
    let edge = frames[[0, 0, 8, 15, 0]] as f32 - frames[[0, 0, 8, 0, 0]] as f32;
    assert!((6.0..11.0).contains(&edge), "shades of {edge} columns");

    // Only the clip whose boxes change is packed again.
    fs::write(&csv, format!("clip,frame,x,y,w,h\n{rows}00001,0,0,0,12,16\n")).unwrap();
    assert_eq!(prepare_hume(&config, &()).unwrap().packing.packed, 1);
}

#[test]
fn a_list_of_frames_is_followed() {
    let tiny = Tiny::new();
    let list = tiny.root().join("sample_4_train.txt");
    fs::write(&list, "[00001] 0 0 2 2\n00002\n00003 1 2 3 19\n").unwrap();
    let report = tiny.prepare("out").unwrap();
    assert!(report.contains("2 without a face"), "{report}");
    let batch = EriPacked::open(&tiny.out("out")).unwrap().split("train").unwrap().batch(&[2]).unwrap();
    assert_eq!(batch.frames.into_raw_vec_and_offset().0, by_hand(&tiny.file("train", "mp4", "00003"), &[1, 2, 3, 19], 16));
    fs::write(&list, "00001 0 0 2 2\n00002\n00003 1 2 3 20\n").unwrap();
    let error = tiny.prepare("out").unwrap_err();
    assert!(error.ends_with("00003.mp4: the list of frames asks for frame 20 (from 0), and it has 20"), "{error}");
    fs::write(&list, "00001 0 0 2 2\n00003 1 2 3 4\n").unwrap();
    let error = tiny.prepare("out").unwrap_err();
    assert!(error.starts_with("clip 00002 (train): ") && error.contains("sample_4_train.txt has no line for it"), "{error}");
    let clips = |recipe: &HumeRecipe| HumeCorpus::open(&tiny.root(), recipe).unwrap().splits()[0].clips().to_vec();
    assert_eq!(clips(&HumeRecipe::built_in().unwrap())[0].sampling, Sampling::Uniform);
}

#[test]
fn files_that_cannot_be_decoded_follow_the_policy() {
    let tiny = Tiny::new();
    let mp4 = tiny.file("val", "mp4", "00011");
    let bytes = fs::read(&mp4).unwrap();
    fs::write(&mp4, &bytes[..bytes.len() / 2]).unwrap();
    fs::write(tiny.file("val", "wav", "00010"), "no sound").unwrap();
    let error = tiny.prepare("out").unwrap_err();
    assert!(error.contains("00010.wav") || error.contains("00011.mp4"), "{error}");
    let config = HumeConfig { undecodable: Undecodable::Mark, ..tiny.config("out") };
    let report = prepare_hume(&config, &()).unwrap();
    assert_eq!((report.without_face, report.without_sound), (2, 3));
    let manifest = fs::read_to_string(tiny.out("out/manifest.jsonl")).unwrap();
    assert_eq!(manifest.matches("\"status\":\"undecodable\"").count(), 2, "{manifest}");
    // Black pictures show no face either.
    let mut writer = VideoWriter::create(&mp4, WIDTH, HEIGHT, 12.0, Quality::Fast).unwrap();
    (0..3).for_each(|_| writer.push(&[0; WIDTH * HEIGHT * 3]).unwrap());
    writer.finish().unwrap();
    prepare_hume(&config, &()).unwrap();
    assert!(fs::read_to_string(tiny.out("out/manifest.jsonl")).unwrap().contains("\"status\":\"black\""));
}

#[test]
fn each_abuse_of_the_table_names_its_place() {
    let tiny = Tiny::new();
    let row = |id: &str, split: &str, label: &str| format!("[{id}],{split},0.5,0.5,{label},0.5,0.5,0.5,0.5,30,United States\n");
    let with = |rows: &str| tiny.table(&format!("{HEADER}{rows}{}{}", row("00001", "Train", "0.5"), row("00010", "Val", "1")));
    let cases = [
        (row("00003", "Train", "nan"), "data_info.csv: row 1, column 5: the label \"nan\" is not finite"),
        (row("00003", "Train", "1.5"), "data_info.csv: row 1, column 5: the label 1.5 is not in [0, 1]"),
        (row("00003", "Train", "-0.1"), "data_info.csv: row 1, column 5: the label -0.1 is not in [0, 1]"),
        (row("00003", "Train", "much"), "data_info.csv: row 1, column 5: \"much\" is no number"),
        (row("00003", "Train", ""), "data_info.csv: row 1, column 5: it is empty"),
        (row("00020", "Test", ""), "data_info.csv: row 1, column 5: it is empty"),
        (row("00001", "Val", "0"), "data_info.csv: row 2, column 1: clip 00001 is in row 1 already"),
        (row("00003", "Dev", "0"), "data_info.csv: row 1, column 2: \"Dev\" is no split; there are train, val, test"),
        (row("../3", "Train", "0"), "data_info.csv: row 1, column 1: \"[../3]\" is no id of a clip"),
        (row("00003", "Train", "0").replace(['[', ']'], ""), "data_info.csv: row 1, column 1: \"00003\" is not in brackets, as [00001] is"),
    ];
    for (rows, want) in cases {
        assert_eq!(with(&rows), want);
    }
    let wrong = tiny.table(&format!("{}{}", HEADER.replace("Disgust", "Disgusted"), row("00003", "Train", "0")));
    assert!(wrong.starts_with("data_info.csv: it has no column \"Disgust\"; its columns are File_ID, Split, "), "{wrong}");
    assert_eq!(tiny.table(&format!("{HEADER}{}", row("00003", "Train", "0"))), "data_info.csv: it lists no clip of the split val");
    let lost = tiny.table(&format!("{HEADER}{}{}", row("00099", "Train", "0"), row("00010", "Val", "1")));
    assert_eq!(lost, "clip 00099 (train): neither its video train/mp4/00099.mp4 nor its sound train/wav/00099.wav is there");
    fs::remove_file(tiny.root().join("data_info.csv")).unwrap();
    let error = tiny.prepare("out").unwrap_err();
    assert!(error.starts_with("table of clips and labels not found: "), "{error}");
}

#[test]
fn what_is_no_packed_folder_is_an_error() {
    let tiny = Tiny::new();
    let error = EriPacked::open(&tiny.root()).unwrap_err().to_string();
    assert!(error.ends_with("no complete packed corpus is here (no packed.json): run `prepare` to its end"), "{error}");
    tiny.prepare("out").unwrap();
    let packed = EriPacked::open(&tiny.out("out")).unwrap();
    assert!(packed.split("dev").unwrap_err().to_string().ends_with("there is no split \"dev\"; there are train, val, test"));
    let val = packed.split("val").unwrap();
    assert!(val.batch(&[]).is_err());
    assert_eq!(val.batch(&[2]).unwrap_err().to_string(), "loader: there is no item 2 in the split val, only 2");
    react_store::write_npy(&tiny.out("out/val/mfcc/00010.npy"), &ndarray::Array2::<f32>::zeros((8, 39))).unwrap();
    let error = val.batch(&[0]).unwrap_err().to_string();
    assert!(error.ends_with("00010.npy: wanted an array f32 [8, 40], found [8, 39]"), "{error}");
    fs::remove_file(tiny.out("out/val/frames/00011.npy")).unwrap();
    assert!(val.batch(&[1]).unwrap_err().to_string().starts_with("file not found: "));
    assert!(react_data::Packed::open(&tiny.out("out")).unwrap_err().to_string().contains("packed.json cannot be read"));
}
