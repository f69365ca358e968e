//! Sound in the forms that corpora come in.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report; clippy knows only functions marked #[test]")]

use hound::{SampleFormat, WavSpec, WavWriter};
use react_media::{read_audio, write_wav};
use std::path::Path;

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
