//! Sound in and out.

mod collect;
mod mp4;
mod resample;
mod wav;

pub use resample::resample;
pub use wav::write_wav;

use crate::MediaError;
use crate::error::guarded;
use crate::source::Source;
pub(crate) use collect::{Collector, Layout};
use std::fs::File;
use std::path::Path;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

/// Sound: samples in [−1, 1], the channels interleaved.
#[derive(Debug, Clone, PartialEq)]
pub struct Audio {
    /// `[frames][channels]`, in [−1, 1] (a float file may go beyond).
    pub samples: Vec<f32>,
    /// Frames a second, in Hz.
    pub rate: u32,
    /// Channels a frame.
    pub channels: usize,
}

impl Audio {
    /// The mean of the channels.
    ///
    /// ```
    /// let stereo = react_media::Audio { samples: vec![0.5, 0.25, -1.0, 0.0], rate: 44_100, channels: 2 };
    /// assert_eq!(stereo.mono(), [0.375, -0.5]);
    /// ```
    #[must_use]
    pub fn mono(&self) -> Vec<f32> {
        match self.channels {
            0 | 1 => self.samples.clone(),
            n => self.samples.chunks_exact(n).map(|frame| frame.iter().sum::<f32>() / n as f32).collect(),
        }
    }

    /// How many samples each channel has.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.len() / self.channels.max(1)
    }
}

/// Which stretch of a file's sound is read, and how much memory it may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AudioOptions {
    /// Where it begins, in seconds.
    pub from: f64,
    /// How long it is, in seconds; infinite to the end.
    pub seconds: f64,
    /// The most samples, those of all channels together, four bytes each; more is an error.
    pub max_samples: usize,
}

impl Default for AudioOptions {
    /// All of it, up to 448 MiB: 20 minutes of 48 kHz in stereo.
    fn default() -> Self {
        Self { from: 0., seconds: f64::INFINITY, max_samples: 112 << 20 }
    }
}

impl AudioOptions {
    /// The stretch in samples of a channel: the first, and the one behind the last.
    fn window(&self, rate: u32) -> (u64, u64) {
        // Casts saturate: what is not a number is 0, what is infinite is beyond every file.
        let at = |seconds: f64| (seconds * f64::from(rate)).round() as u64;
        (at(self.from), at(self.from.max(0.) + self.seconds))
    }
}

/// Reads the sound of a wav, mp3 or aac file, or of the first sound track of an mp4, m4a or mov (AAC-LC, MP3, Opus).
///
/// Integers are divided by 2^(bits − 1), as soundfile and librosa do. An mp4 is read as its edit list says, an mp3 as its LAME tag
/// says: both take away the silence that encoders put in front.
///
/// # Errors
/// Where the file cannot be read, is cut short or damaged, has no sound, or has it in another codec.
pub fn read_audio(path: &Path) -> Result<Audio, MediaError> {
    read_audio_with(path, &AudioOptions::default())
}

/// [`read_audio`] of a stretch; where the sound ends before it does, the result is shorter.
///
/// From a wav and an mp4 no more than the stretch is read and decoded.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("session.wav");
/// use react_media::{AudioOptions, read_audio_with};
/// react_media::write_wav(&path, &[0.5; 16_000 * 10], 16_000)?;
/// let clip = AudioOptions { from: 8.5, seconds: 30.0, ..AudioOptions::default() };
/// assert_eq!(read_audio_with(&path, &clip)?.frames(), 24_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`read_audio`], and where there are more than `max_samples`.
pub fn read_audio_with(path: &Path, options: &AudioOptions) -> Result<Audio, MediaError> {
    let read = read_pure(path, options);
    #[cfg(feature = "ffmpeg")]
    if let Err(error) = &read
        && error.is_for_another_decoder()
    {
        // Where FFmpeg cannot read it either, the first error says more.
        return crate::ffmpeg::read_sound(path, options).or(read);
    }
    read
}

/// Reads with the decoders in Rust.
fn read_pure(path: &Path, options: &AudioOptions) -> Result<Audio, MediaError> {
    let mut source = Source::open(path)?;
    if source.len() == 0 {
        return Err(MediaError::damaged(path, "it is empty"));
    }
    if source.len() >= 12 {
        match &source.array::<12>(0)? {
            [_, _, _, _, b'f', b't', b'y', b'p', ..] | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => return mp4::read(path, options),
            [_, _, _, _, b'm', b'd', b'a', b't', ..] | [_, _, _, _, b'w', b'i', b'd', b'e', ..] => return mp4::read(path, options),
            [b'R', b'I' | b'F', b'F' | b'6', b'F' | b'4', _, _, _, _, b'W', b'A', b'V', b'E'] => return wav::read(&mut source, options),
            _ => {}
        }
    }
    read_stream(path, options)
}

/// Reads what symphonia can tell apart by itself: mp3, aac.
fn read_stream(path: &Path, options: &AudioOptions) -> Result<Audio, MediaError> {
    let mut format = guarded(path, || probe(path))??;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| MediaError::NoTrack { file: path.to_owned(), kind: "sound" })?;
    let id = track.id;
    let Some(CodecParameters::Audio(parameters)) = track.codec_params.clone() else {
        return Err(MediaError::unsupported(path, "its sound's codec"));
    };
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
        .map_err(|why| MediaError::unsupported(path, format!("its sound ({why})")))?;
    let mut collector = Collector::new(path, options, Layout::default());
    for index in 0.. {
        if collector.is_full() {
            break;
        }
        let packet = match guarded(path, || format.next_packet())? {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Error::IoError(why)) if why.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(why) => return Err(MediaError::damaged(path, why.to_string())),
        };
        if packet.track_id == id {
            collector.decode(decoder.as_mut(), index, 0, &packet.as_packet_ref())?;
        }
    }
    collector.finish()
}

fn probe(path: &Path) -> Result<Box<dyn FormatReader>, MediaError> {
    let file = File::open(path).map_err(MediaError::io("open", path))?;
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    symphonia::default::get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|_| MediaError::unsupported(path, "a file that is neither wav, mp3, aac, mp4 nor m4a"))
}
