//! The sound track of an mp4.

use super::collect::{Collector, Layout};
use super::{Audio, AudioOptions};
use crate::MediaError;
use crate::error::guarded;
use crate::mp4::{Codec, Edit, Mp4, SoundCodec, Track};
use opus_pure::{MAX_PACKET_SAMPLES, OpusDecoder};
use std::path::Path;
use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

/// Packets that are decoded before those of a stretch: AAC needs one, MP3 as many as its reservoir reaches back (511 bytes).
const WARM_UP: usize = 32;

pub(super) fn read(path: &Path, options: &AudioOptions) -> Result<Audio, MediaError> {
    let mut mp4 = Mp4::open(path)?;
    let mut track = mp4.sound()?;
    let mut decoder = Decoder::new(path, &track.codec)?;
    if let (Codec::Sound { codec: SoundCodec::Opus { pre_skip }, rate, .. }, None) = (&track.codec, &track.edits) {
        // Without an edit list the codec's own word on its delay holds.
        let start = i64::from(*pre_skip) * i64::from(track.scale) / i64::from(*rate);
        track.edits = Some(vec![Edit { start, end: i64::MAX }]);
    }
    let start = first_packet(&track, options);
    let packets = (track.samples.len() - start) as u64;
    let warm = if start > 0 { start + WARM_UP } else { 0 };
    let layout = Layout { edits: track.edits.as_deref(), scale: track.scale, packets, warm };
    let mut collector = Collector::new(path, options, layout);
    let mut packet = Vec::new();
    for (index, sample) in track.samples.iter().enumerate().skip(start) {
        if collector.is_full() {
            break;
        }
        mp4.source.read_extent(sample.extent, &mut packet)?;
        let time = sample.time - track.samples[0].time;
        match &mut decoder {
            Decoder::Symphonia(decoder) => {
                let packet = PacketRef::new(0, Timestamp::new(sample.time), Duration::new(0), &packet);
                collector.decode(decoder.as_mut(), index, time, &packet)?;
            }
            Decoder::Opus(decoder) => opus(path, decoder, &packet, &mut collector, index, time)?,
        }
    }
    collector.finish()
}

/// The packet at which decoding begins for the stretch that is asked for.
fn first_packet(track: &Track, options: &AudioOptions) -> usize {
    let mut asked = (options.from.max(0.) * f64::from(track.scale)) as i64;
    for edit in track.edits.iter().flatten() {
        let length = edit.end.saturating_sub(edit.start);
        if asked < length {
            asked = edit.start.saturating_add(asked);
            break;
        }
        asked -= length;
    }
    let first = track.samples.first().map_or(0, |sample| sample.time);
    track.samples.partition_point(|sample| sample.time - first <= asked).saturating_sub(1 + WARM_UP)
}

/// Who decodes the packets.
enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<OpusDecoder>),
}

impl Decoder {
    fn new(path: &Path, codec: &Codec) -> Result<Self, MediaError> {
        if let Codec::Sound { codec: SoundCodec::Opus { .. }, channels, rate } = codec {
            let decoder = OpusDecoder::new(*rate as i32, *channels).map_err(|why| MediaError::codec(path, format!("its sound ({why})")))?;
            return Ok(Self::Opus(Box::new(decoder)));
        }
        decoder(path, codec).map(Self::Symphonia)
    }
}

/// Decodes one packet of Opus.
fn opus(
    path: &Path,
    decoder: &mut OpusDecoder,
    packet: &[u8],
    collector: &mut Collector<'_>,
    index: usize,
    time: i64,
) -> Result<(), MediaError> {
    // The decoder takes nothing for a lost packet, and would make something up.
    if packet.is_empty() {
        return Err(collector.failed(index, "it is empty".to_owned()));
    }
    let channels = decoder.channels();
    let buffer = collector.buffer();
    buffer.resize(MAX_PACKET_SAMPLES * channels, 0.);
    match guarded(path, || decoder.decode(packet, MAX_PACKET_SAMPLES, buffer))? {
        Ok(count) => buffer.truncate(count * channels),
        Err(why) => return Err(collector.failed(index, why.to_string())),
    }
    collector.add(index, time, decoder.sample_rate() as u32, channels)
}

fn decoder(path: &Path, codec: &Codec) -> Result<Box<dyn AudioDecoder>, MediaError> {
    let mut parameters = AudioCodecParameters::new();
    match codec {
        Codec::Sound { codec, channels, rate } => {
            let channels = if *channels == 1 { Position::FRONT_LEFT } else { Position::FRONT_LEFT | Position::FRONT_RIGHT };
            parameters.with_sample_rate(*rate).with_channels(Channels::Positioned(channels));
            match codec {
                SoundCodec::Aac(config) => parameters.for_codec(CODEC_ID_AAC).with_extra_data(config.clone().into()),
                SoundCodec::Mp3 => parameters.for_codec(CODEC_ID_MP3),
                SoundCodec::Opus { .. } => return Err(MediaError::codec(path, "Opus")),
            };
        }
        Codec::Other(name) => return Err(MediaError::codec(path, format!("sound in the codec {name}"))),
        Codec::H264 { .. } | Codec::Mpeg4 { .. } => return Err(MediaError::damaged(path, "its sound track is described as video")),
    }
    guarded(path, || symphonia::default::get_codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default()))?
        .map_err(|why| MediaError::codec(path, format!("its sound ({why})")))
}
