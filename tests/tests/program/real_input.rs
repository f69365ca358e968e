//! Clips that other programs made: mp4 by FFmpeg (x264, B-frames, AAC), wav of recorded-like speech.

use crate::{fixture, succeeds, text};

fn predict(out: &str, folder: &std::path::Path, more: &[&str]) -> String {
    let (video, audio) = (fixture("video/h264_high_b.mp4"), fixture("audio/speech_44k_mono.wav"));
    let weights = fixture("transvae/transvae_offline.weights.safetensors");
    let args = [
        "predict",
        "--checkpoint",
        text(&weights),
        "--task",
        "offline",
        "--speaker-video",
        text(&video),
        "--speaker-audio",
        text(&audio),
        "--out",
        out,
    ];
    succeeds(folder, &[&args[..], more].concat()).0
}

#[test]
fn reactions_to_a_clip_of_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    predict("three", folder.path(), &["--samples", "3", "--seed", "1"]);
    let read = |out: &str, name: &str| react_store::read_npy_f32(&folder.path().join(out).join(name)).unwrap();
    assert_eq!(read("three", "reaction_3dmm.npy").shape(), [3, 40, 58]);
    let emotion = read("three", "reaction_emotion.npy");
    assert_eq!(emotion.shape(), [3, 40, 25]);
    assert!(emotion.iter().all(|x| x.is_finite()));
    assert_eq!(read("three", "latent_mu.npy").shape(), [1, 32]);
    assert!(read("three", "latent_std.npy").iter().all(|std| *std > 0.0));
    assert_ne!(emotion.index_axis(ndarray::Axis(0), 0), emotion.index_axis(ndarray::Axis(0), 1), "samples differ");

    predict("again", folder.path(), &["--samples", "3", "--seed", "1"]);
    assert_eq!(read("again", "reaction_emotion.npy"), emotion, "the same seed, the same reactions");
    predict("mean", folder.path(), &["--samples", "2", "--temperature", "0"]);
    let mean = read("mean", "reaction_emotion.npy");
    assert_eq!(mean.index_axis(ndarray::Axis(0), 0), mean.index_axis(ndarray::Axis(0), 1), "temperature 0 takes the latent mean");
}

/// The sound of a container (AAC in mp4) serves too, and arrays serve as well as files.
#[test]
fn sound_from_the_video_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (video, weights) = (fixture("video/h264_high_b.mp4"), fixture("transvae/transvae_offline.weights.safetensors"));
    let args = [
        "predict",
        "--checkpoint",
        text(&weights),
        "--task",
        "offline",
        "--speaker-video",
        text(&video),
        "--speaker-audio",
        text(&video),
        "--out",
        "out",
    ];
    succeeds(folder.path(), &args);
    assert_eq!(react_store::read_npy_f32(&folder.path().join("out/reaction_3dmm.npy")).unwrap().shape(), [1, 40, 58]);
}
