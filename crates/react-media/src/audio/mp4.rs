//! The sound track of an mp4.

use super::{Audio, Collector};
use crate::MediaError;
use crate::mp4::{Codec, Edit, Mp4, SoundCodec};
use std::path::Path;
use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_MP3};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::packet::PacketRef;
use symphonia::core::units::{Duration, Timestamp};

pub(super) fn read(path: &Path) -> Result<Audio, MediaError> {
    let mut mp4 = Mp4::open(path)?;
    let track = mp4.sound()?;
    let mut decoder = decoder(path, &track.codec)?;
    let mut collector = Collector::new(path);
    let mut packet = Vec::new();
    for sample in &track.samples {
        mp4.source.read_extent(sample.extent, &mut packet)?;
        collector.decode(decoder.as_mut(), &PacketRef::new(0, Timestamp::new(sample.time), Duration::new(0), &packet))?;
    }
    let mut audio = collector.finish()?;
    if let Some(edits) = &track.edits {
        audio.samples = shown(&audio, edits, track.scale);
    }
    Ok(audio)
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
        Codec::Other(name) => return Err(MediaError::unsupported(path, format!("sound in the codec {name}"))),
        Codec::H264 { .. } | Codec::Mpeg4 { .. } => return Err(MediaError::damaged(path, "its sound track is described as video")),
    }
    symphonia::default::get_codecs()
        .make_audio_decoder(&parameters, &AudioDecoderOptions::default())
        .map_err(|why| MediaError::unsupported(path, format!("its sound ({why})")))
}

/// The samples that the edit list shows.
fn shown(audio: &Audio, edits: &[Edit], scale: u32) -> Vec<f32> {
    let frames = audio.frames();
    let at = |time: i64| ((i128::from(time) * i128::from(audio.rate) / i128::from(scale.max(1))).clamp(0, frames as i128)) as usize;
    let stretches = edits.iter().map(|edit| at(edit.start) * audio.channels..at(edit.end) * audio.channels);
    stretches.flat_map(|stretch| audio.samples.get(stretch).unwrap_or_default().iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_cut_in_units_of_the_track() {
        let audio = Audio { samples: (0..20).map(|i| i as f32).collect(), rate: 1000, channels: 2 };
        let edits = [Edit { start: 4, end: 8 }, Edit { start: 16, end: i64::MAX }];
        assert_eq!(shown(&audio, &edits, 2000), [4., 5., 6., 7., 16., 17., 18., 19.]);
    }
}
