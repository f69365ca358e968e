//! Sound in and out.

mod mp4;
mod resample;
mod wav;

pub use resample::resample;
pub use wav::write_wav;

use crate::MediaError;
use crate::source::Source;
use std::fs::File;
use std::path::Path;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::PacketRef;

/// The most samples (of all channels) that are read from one file: 4 GiB, six hours of 48 kHz.
const MAX_SAMPLES: usize = 1 << 30;

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

/// Reads the sound of a wav, mp3 or aac file, or of the first sound track of an mp4, m4a or mov (AAC-LC, MP3).
///
/// Integers are divided by 2^(bits − 1), as soundfile and librosa do. An mp4 is read as its edit list says, which takes away the
/// silence that AAC and MP3 encoders put in front.
///
/// # Errors
/// Where the file cannot be read, is cut short or damaged, has no sound, or has it in another codec.
pub fn read_audio(path: &Path) -> Result<Audio, MediaError> {
    let mut source = Source::open(path)?;
    if source.len() == 0 {
        return Err(MediaError::damaged(path, "it is empty"));
    }
    if source.len() >= 12 {
        match &source.array::<12>(0)? {
            [_, _, _, _, b'f', b't', b'y', b'p', ..] | [_, _, _, _, b'm', b'o', b'o', b'v', ..] => return mp4::read(path),
            [_, _, _, _, b'm', b'd', b'a', b't', ..] | [_, _, _, _, b'w', b'i', b'd', b'e', ..] => return mp4::read(path),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => wav::check(&mut source)?,
            _ => {}
        }
    }
    read_stream(path)
}

/// Reads what symphonia can tell apart by itself: wav, mp3, aac.
fn read_stream(path: &Path) -> Result<Audio, MediaError> {
    let file = File::open(path).map_err(MediaError::io("open", path))?;
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    let probe = symphonia::default::get_probe();
    let mut format = probe
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|_| MediaError::unsupported(path, "a file that is neither wav, mp3, aac, mp4 nor m4a"))?;
    let track = format.default_track(TrackType::Audio).ok_or_else(|| MediaError::NoTrack { file: path.to_owned(), kind: "sound" })?;
    let id = track.id;
    let Some(CodecParameters::Audio(parameters)) = track.codec_params.clone() else {
        return Err(MediaError::unsupported(path, "its sound's codec"));
    };
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
        .map_err(|why| MediaError::unsupported(path, format!("its sound ({why})")))?;
    let mut collector = Collector::new(path);
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Error::IoError(why)) if why.kind() == std::io::ErrorKind::UnexpectedEof => break,
            Err(why) => return Err(MediaError::damaged(path, why.to_string())),
        };
        if packet.track_id == id {
            collector.decode(decoder.as_mut(), &packet.as_packet_ref())?;
        }
    }
    collector.finish()
}

/// Decodes packets one after the other into one piece of sound.
struct Collector<'a> {
    file: &'a Path,
    audio: Audio,
    packets: usize,
    buffer: Vec<f32>,
}

impl<'a> Collector<'a> {
    fn new(file: &'a Path) -> Self {
        Self { file, audio: Audio { samples: Vec::new(), rate: 0, channels: 0 }, packets: 0, buffer: Vec::new() }
    }

    fn decode(&mut self, decoder: &mut dyn AudioDecoder, packet: &PacketRef<'_>) -> Result<(), MediaError> {
        let index = self.packets;
        let decoded = decoder.decode_ref(packet).map_err(|why| self.failed(index, why.to_string()))?;
        self.packets += 1;
        let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
        if self.audio.rate == 0 {
            (self.audio.rate, self.audio.channels) = (rate, channels);
        }
        if (rate, channels) != (self.audio.rate, self.audio.channels) {
            return Err(self.failed(index, "the rate or the number of channels changes".to_owned()));
        }
        self.buffer.clear();
        decoded.copy_to_vec_interleaved(&mut self.buffer);
        if self.audio.samples.len() + self.buffer.len() > MAX_SAMPLES {
            return Err(MediaError::unsupported(self.file, format!("sound of more than {MAX_SAMPLES} samples")));
        }
        self.audio.samples.extend_from_slice(&self.buffer);
        Ok(())
    }

    fn failed(&self, index: usize, what: String) -> MediaError {
        MediaError::Decode { file: self.file.to_owned(), unit: "sound packet", index, what }
    }

    fn finish(self) -> Result<Audio, MediaError> {
        if self.audio.rate == 0 || self.audio.channels == 0 {
            return Err(MediaError::damaged(self.file, "it holds no sample of sound"));
        }
        Ok(self.audio)
    }
}
