//! Sound in the forms that corpora come in.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

use hound::{SampleFormat, WavSpec, WavWriter};
use react_media::{Audio, AudioOptions, read_audio, read_audio_with, write_wav};
use std::path::{Path, PathBuf};

fn write(path: &Path, bits: u16, format: SampleFormat, channels: u16, samples: &[f64]) {
    let spec = WavSpec { channels, sample_rate: 22_050, bits_per_sample: bits, sample_format: format };
    let mut writer = WavWriter::create(path, spec).unwrap();
    for &sample in samples {
        match format {
            SampleFormat::Float => writer.write_sample(sample as f32).unwrap(),
            SampleFormat::Int => writer.write_sample((sample * f64::powi(2., i32::from(bits) - 1)) as i32).unwrap(),
        }
    }
    writer.finalize().unwrap();
}

#[test]
fn every_width_of_wav_is_read_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    // Multiples of 1/128, which all of them hold.
    let samples: Vec<f64> = (-128..128).map(|i| f64::from(i) / 128.).collect();
    let kinds =
        [(8, SampleFormat::Int), (16, SampleFormat::Int), (24, SampleFormat::Int), (32, SampleFormat::Int), (32, SampleFormat::Float)];
    for (bits, format) in kinds {
        for channels in [1, 2] {
            write(&path, bits, format, channels, &samples);
            let audio = read_audio(&path).unwrap();
            assert_eq!((audio.rate, audio.channels, audio.frames()), (22_050, usize::from(channels), 256 / usize::from(channels)));
            assert!(audio.samples.iter().zip(&samples).all(|(a, b)| f64::from(*a) == *b), "{bits} bits, {format:?}");
        }
    }
}

#[test]
fn what_was_read_is_written_to_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["a.wav", "b.wav"].map(|name| folder.path().join(name));
    let samples: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.37).sin() * 1.1).collect();
    write_wav(&paths[0], &samples, 44_100).unwrap();
    let audio = read_audio(&paths[0]).unwrap();
    assert_eq!((audio.rate, audio.channels, audio.frames()), (44_100, 1, 5000));
    for (read, written) in audio.samples.iter().zip(&samples) {
        assert!((read - written.clamp(-1., 32_767. / 32_768.)).abs() <= 0.5 / 32_768., "{read} for {written}");
    }
    write_wav(&paths[1], &audio.samples, 44_100).unwrap();
    let [a, b] = paths.each_ref().map(|path| std::fs::read(path).unwrap());
    assert!(a == b);
}

#[test]
fn a_cut_wav_is_an_error_and_an_unknown_length_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.wav");
    write_wav(&path, &[0.25; 1000], 16_000).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for cut in [1500, 44, 20, 12, 3] {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let error = read_audio(&path).unwrap_err().to_string();
        assert!(error.contains("cut.wav"), "{error}");
    }
    std::fs::write(&path, &bytes[..1500]).unwrap();
    assert!(
        read_audio(&path).unwrap_err().to_string().contains("cut.wav is cut short: its sound ends at byte 2044, the file at byte 1500")
    );
    let mut wide = bytes.clone();
    wide[22..24].fill(0xff);
    std::fs::write(&path, wide).unwrap();
    assert!(read_audio(&path).unwrap_err().to_string().contains("claims 65535 channels"));
    // As `ffmpeg -f wav -` writes it to a pipe.
    let mut piped = bytes.clone();
    piped[4..8].fill(0xff);
    piped[40..44].fill(0xff);
    std::fs::write(&path, piped).unwrap();
    assert_eq!(read_audio(&path).unwrap().samples, [0.25; 1000]);
}

#[test]
fn other_files_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.wav");
    for content in ["", "not a sound", "still not a sound, though a little longer than any header that could be there"] {
        std::fs::write(&path, content).unwrap();
        let error = read_audio(&path).unwrap_err().to_string();
        assert!(error.contains("text.wav"), "{error}");
    }
    let error = read_audio(&folder.path().join("missing.wav")).unwrap_err().to_string();
    assert!(error.starts_with("cannot open ") && error.contains("missing.wav"), "{error}");
}

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/media")).join(name)
}

/// A wav written by hand: `tag` and `bits` of its format (in the extensible form where `extensible`), one channel at 8 kHz.
fn by_hand(path: &Path, tag: u16, bits: u16, extensible: bool, data: &[u8]) {
    let block = bits.div_ceil(8);
    let mut fmt = Vec::new();
    for word in [if extensible { 0xfffe } else { tag }, 1, 8000, 0, 0, 0, block, bits] {
        fmt.extend(word.to_le_bytes());
    }
    if extensible {
        // Its own size, valid bits, speakers, and the identifier of its kind.
        for word in [22, bits, 4, 0, tag, 0, 0, 0x10, 0x80, 0xaa00, 0x3800, 0x719b] {
            fmt.extend(u16::to_le_bytes(word));
        }
    }
    let chunk = |id: &[u8], data: &[u8]| [id, &(data.len() as u32).to_le_bytes(), data, &vec![0; data.len() % 2]].concat();
    let body = [b"WAVE".to_vec(), chunk(b"LIST", &[7; 5]), chunk(b"fmt ", &fmt), chunk(b"data", data)].concat();
    std::fs::write(path, chunk(b"RIFF", &body)).unwrap();
}

#[test]
fn wide_and_extensible_wavs_are_read_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    let samples = [0., 0.5, -0.5, -1., 0.25, 0.75];
    let f64s: Vec<u8> = samples.iter().flat_map(|x: &f64| x.to_le_bytes()).collect();
    let f32s: Vec<u8> = samples.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect();
    let i24s: Vec<u8> = samples.iter().flat_map(|x| ((x * 8_388_608.) as i32).to_le_bytes()[..3].to_vec()).collect();
    let i32s: Vec<u8> = samples.iter().flat_map(|x| ((x * 2_147_483_648.) as i32).to_le_bytes()).collect();
    let i16s: Vec<u8> = samples.iter().flat_map(|x| ((x * 32_768.) as i16).to_le_bytes()).collect();
    let u8s: Vec<u8> = samples.iter().map(|x| (x * 128. + 128.) as u8).collect();
    for extensible in [false, true] {
        for (tag, bits, data) in [(3, 64, &f64s), (3, 32, &f32s), (1, 24, &i24s), (1, 32, &i32s), (1, 16, &i16s), (1, 8, &u8s)] {
            by_hand(&path, tag, bits, extensible, data);
            let audio = read_audio(&path).unwrap();
            assert_eq!((audio.rate, audio.channels), (8000, 1));
            assert!(audio.samples.iter().map(|x| f64::from(*x)).eq(samples), "{bits} bits of kind {tag}: {:?}", audio.samples);
        }
    }
}

/// The tones that the files of `fixtures/media` were made from: one second, 22,050 Hz, another in each channel.
fn tones() -> Audio {
    let samples = (0..22_050).flat_map(|i| {
        let t = f64::from(i) / 22_050.;
        let tone = |a: f64, b: f64| (std::f64::consts::TAU * (a * t + b * t * t)).sin();
        [0.4 * tone(200., 400.), 0.3 * tone(900., -300.)].map(|x| x as f32)
    });
    Audio { samples: samples.collect(), rate: 22_050, channels: 2 }
}

#[test]
fn what_encoders_put_in_front_is_removed() {
    let want = tones();
    // The edit list of a fragmented file has no length: its sound is as long as its packets.
    for (name, frames) in [("tone_aac.m4a", 22_050), ("tone_mp3.mp4", 22_050), ("tone.mp3", 22_050), ("tone_frag.m4a", 22_528)] {
        let got = read_audio(&fixture(name)).unwrap();
        assert_eq!((got.rate, got.channels, got.frames()), (22_050, 2, frames), "{name}");
        // In each channel the error is smallest where the sound was put, and small.
        let error = |shift: i64, channel: usize| {
            let at = |i: i64| f64::from(got.samples[(2 * (i + shift)) as usize + channel]);
            (2000..20_000).map(|i| (at(i) - f64::from(want.samples[2 * i as usize + channel])).powi(2)).sum::<f64>() / 18_000.
        };
        for channel in 0..2 {
            let here = error(0, channel);
            assert!(here < 2e-3, "{name}: {here}");
            assert!([-3, -2, -1, 1, 2, 3].iter().all(|&shift| error(shift, channel) > here), "{name}, channel {channel}");
        }
    }
}

#[test]
fn a_stretch_is_the_same_samples() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    write(&path, 16, SampleFormat::Int, 2, &(0..44_100).map(|i| f64::from(i % 700) / 1024.).collect::<Vec<_>>());
    let files = ["tone_aac.m4a", "tone_mp3.mp4", "tone.mp3", "tone_frag.m4a"].map(fixture);
    for path in files.iter().chain([&path]) {
        let all = read_audio(path).unwrap();
        for (from, seconds) in [(0., 0.2), (0.5, 0.25), (0.93, 0.01), (0.9, 10.), (0.3, f64::INFINITY), (7., 1.)] {
            let options = AudioOptions { from, seconds, ..AudioOptions::default() };
            let part = read_audio_with(path, &options).unwrap();
            let at = |seconds: f64| ((seconds * 22_050.).round() as usize).min(all.frames()) * 2;
            assert!(part.samples == all.samples[at(from)..at(from + seconds)], "{}: {from} s and {seconds} s", path.display());
        }
        let few = AudioOptions { max_samples: 1000, ..AudioOptions::default() };
        let error = read_audio_with(path, &few).unwrap_err().to_string();
        assert!(error.contains("sound of more than 1000 samples"), "{error}");
    }
}

#[test]
fn sound_of_no_known_codec_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    by_hand(&path, 0x55, 8, false, &[0; 100]);
    let error = read_audio(&path).unwrap_err().to_string();
    assert!(error.contains("a.wav: a wav of kind 0x0055 with 8 bits is not supported"), "{error}");
    assert_eq!(error.contains("--features ffmpeg"), !cfg!(feature = "ffmpeg"));
}
