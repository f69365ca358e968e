//! The sound track of an mp4.

use super::collect::{Collector, Layout};
use super::{Audio, AudioOptions};
use crate::MediaError;
use crate::error::guarded;
use crate::mp4::{Codec, Mp4, SoundCodec, Track};
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
    let track = mp4.sound()?;
    let mut decoder = decoder(path, &track.codec)?;
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
        let packet = PacketRef::new(0, Timestamp::new(sample.time), Duration::new(0), &packet);
        collector.decode(decoder.as_mut(), index, time, &packet)?;
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

fn decoder(path: &Path, codec: &Codec) -> Result<Box<dyn AudioDecoder>, MediaError> {
    let mut parameters = AudioCodecParameters::new();
    match codec {
        Codec::Sound { codec, channels, rate } => {
            let channels = if *channels == 1 { Position::FRONT_LEFT } else { Position::FRONT_LEFT | Position::FRONT_RIGHT };
            parameters.with_sample_rate(*rate).with_channels(Channels::Positioned(channels));
            match codec {
                SoundCodec::Aac(config) => parameters.for_codec(CODEC_ID_AAC).with_extra_data(config.clone().into()),
                SoundCodec::Mp3 => parameters.for_codec(CODEC_ID_MP3),
            };
        }
        Codec::Other(name) => return Err(MediaError::codec(path, format!("sound in the codec {name}"))),
        Codec::H264 { .. } | Codec::Mpeg4 { .. } => return Err(MediaError::damaged(path, "its sound track is described as video")),
    }
    guarded(path, || symphonia::default::get_codecs().make_audio_decoder(&parameters, &AudioDecoderOptions::default()))?
        .map_err(|why| MediaError::codec(path, format!("its sound ({why})")))
}
