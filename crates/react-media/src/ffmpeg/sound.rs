//! Sound through FFmpeg.

use super::{failed, next_packet, start};
use crate::MediaError;
use crate::audio::{Audio, AudioOptions, Collector, Layout};
use ffmpeg_next::format::Sample;
use ffmpeg_next::format::sample::Type;
use ffmpeg_next::{Error, codec, decoder, format, frame, media};
use std::path::Path;

/// Reads the first sound track; FFmpeg takes away what encoders put in front.
pub(crate) fn read(path: &Path, options: &AudioOptions) -> Result<Audio, MediaError> {
    start();
    let mut input = format::input(path).map_err(failed(path))?;
    let stream = input.streams().best(media::Type::Audio);
    let stream = stream.ok_or_else(|| MediaError::NoTrack { file: path.to_owned(), kind: "sound" })?;
    let index = stream.index();
    let context = codec::context::Context::from_parameters(stream.parameters()).map_err(failed(path))?;
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(stream.time_base());
    let mut decoder = decoder.audio().map_err(|why| MediaError::codec(path, format!("its sound ({why})")))?;
    let mut collector = Collector::new(path, options, Layout::default());
    let (mut frame, mut packets) = (frame::Audio::empty(), 0);
    loop {
        let packet = next_packet(path, &mut input)?;
        match &packet {
            Some(packet) if packet.stream() != index => continue,
            Some(packet) => decoder.send_packet(packet).map_err(|why| collector.failed(packets, why.to_string()))?,
            None => decoder.send_eof().map_err(failed(path))?,
        }
        packets += 1;
        take(&mut decoder, &mut frame, &mut collector, packets)?;
        if packet.is_none() || collector.is_full() {
            return collector.finish();
        }
    }
}

/// Takes every frame that is ready.
fn take(decoder: &mut decoder::Audio, frame: &mut frame::Audio, collector: &mut Collector<'_>, index: usize) -> Result<(), MediaError> {
    loop {
        match decoder.receive_frame(frame) {
            Ok(()) => {}
            Err(Error::Eof | Error::Other { errno: ffmpeg_next::error::EAGAIN }) => return Ok(()),
            Err(why) => return Err(collector.failed(index, why.to_string())),
        }
        let channels = usize::from(frame.channels());
        if !interleave(frame, channels, collector.buffer()) {
            return Err(collector.failed(index, format!("its samples are of kind {:?}", frame.format())));
        }
        collector.add(index, 0, frame.rate(), channels)?;
    }
}

/// Samples of a frame in [−1, 1], the channels interleaved; `false` where their kind is not known.
fn interleave(frame: &frame::Audio, channels: usize, out: &mut Vec<f32>) -> bool {
    type Read = fn(&[u8]) -> Option<f32>;
    let of_2 = |b: &[u8]| Some(f32::from(i16::from_ne_bytes(*b.first_chunk()?)) / 32_768.);
    let of_4 = |b: &[u8]| Some((f64::from(i32::from_ne_bytes(*b.first_chunk()?)) / 2_147_483_648.) as f32);
    let (width, kind, read): (usize, Type, Read) = match frame.format() {
        Sample::U8(kind) => (1, kind, |b| Some((f32::from(*b.first()?) - 128.) / 128.)),
        Sample::I16(kind) => (2, kind, of_2),
        Sample::I32(kind) => (4, kind, of_4),
        Sample::I64(kind) => (8, kind, |b| Some((i64::from_ne_bytes(*b.first_chunk()?) as f64 / 9_223_372_036_854_775_808.) as f32)),
        Sample::F32(kind) => (4, kind, |b| Some(f32::from_ne_bytes(*b.first_chunk()?))),
        Sample::F64(kind) => (8, kind, |b| Some(f64::from_ne_bytes(*b.first_chunk()?) as f32)),
        Sample::None => return false,
    };
    out.clear();
    for i in 0..frame.samples() {
        for channel in 0..channels {
            let (plane, at) = if kind == Type::Planar { (channel, i) } else { (0, i * channels + channel) };
            let sample = frame.data(plane).get(at * width..(at + 1) * width).and_then(read);
            let Some(sample) = sample else { return false };
            out.push(sample);
        }
    }
    true
}
