//! From coded samples in decoding order to pictures in the order of presentation.

use super::VideoInfo;
use crate::MediaError;
use crate::avi::Avi;
use crate::h264::H264;
use crate::jpeg::Jpeg;
use crate::mp4::{Codec, Mp4};
use crate::mpeg4::Mpeg4;
use crate::source::{Extent, Source};
use oxideav_mpeg4video::framestore::DecodedFrame;
use rusty_h264_common::YuvFrame;
use rusty_jpeg::decode::PlanarImage;
use std::collections::BTreeMap;
use std::path::Path;

/// A decoded picture.
pub(crate) enum Picture {
    H264(YuvFrame),
    Mpeg4(Box<DecodedFrame>),
    Jpeg(PlanarImage),
}

/// More pictures than any codec holds back (H.264: 16): a file whose times ask for more would fill the memory.
const MAX_HELD_BACK: usize = 32;

/// The decoders by name, for the record of who made these bytes. All are young, and pinned to these versions.
const DECODERS: [&str; 3] = ["rusty_h264-decoder 0.17.0", "oxideav-mpeg4video 0.1.8", "rusty_jpeg 0.3.2"];

/// The coded samples of one video stream and their decoder.
pub(crate) struct Packets {
    samples: Samples,
    decoder: Decoder,
    /// Numbers of the samples that are shown, in the order of presentation.
    shown: Vec<u32>,
    /// For each sample, whether it is shown.
    wanted: Vec<bool>,
    next_shown: usize,
    next_decoded: usize,
    /// Decoded pictures whose turn has not come.
    held_back: BTreeMap<u32, Picture>,
}

/// The coded samples of a stream, in decoding order.
struct Samples {
    source: Source,
    extents: Vec<Extent>,
    /// The one read last.
    packet: Vec<u8>,
}

impl Samples {
    fn read(&mut self, index: usize) -> Result<&[u8], MediaError> {
        match self.extents.get(index) {
            Some(&extent) if extent.size > 0 => self.source.read_extent(extent, &mut self.packet)?,
            _ => return Err(MediaError::frame(self.source.path(), index, "it is empty")),
        }
        Ok(&self.packet)
    }
}

enum Decoder {
    H264(Box<H264>),
    Mpeg4(Box<Mpeg4>),
    Jpeg(Jpeg),
}

impl Packets {
    pub(crate) fn open(path: &Path, max_pixels: usize) -> Result<(Self, VideoInfo), MediaError> {
        let mut source = Source::open(path)?;
        if source.len() == 0 {
            return Err(MediaError::damaged(path, "it is empty"));
        }
        let is_riff = source.len() >= 4 && source.array::<4>(0)? == *b"RIFF";
        if is_riff { Self::open_avi(path, max_pixels) } else { Self::open_mp4(path, max_pixels) }
    }

    fn open_mp4(path: &Path, max_pixels: usize) -> Result<(Self, VideoInfo), MediaError> {
        let mp4 = Mp4::open(path)?;
        let track = mp4.video()?;
        let fps = track.samples.len() as f64 * f64::from(track.scale) / track.duration as f64;
        let shown = track.shown();
        let extents = track.samples.iter().map(|sample| sample.extent).collect();
        let mut samples = Samples { source: mp4.source, extents, packet: Vec::new() };
        let mut start = 0;
        let decoder = match track.codec {
            Codec::H264 { parameters, length_size, color } => {
                let h264 = H264::new(path, &parameters, length_size, color, max_pixels)?;
                start = first_decodable(&mut samples, &shown, &h264)?;
                Decoder::H264(Box::new(h264))
            }
            Codec::Mpeg4 { headers } => Decoder::Mpeg4(Box::new(Mpeg4::new(path, &headers, samples.read(0)?, true, max_pixels)?)),
            Codec::Other(name) => return Err(MediaError::unsupported(path, format!("video in the codec {name}"))),
            Codec::Sound { .. } => return Err(MediaError::damaged(path, "its video track is described as sound")),
        };
        Self::new(samples, shown, decoder, start, fps)
    }

    fn open_avi(path: &Path, max_pixels: usize) -> Result<(Self, VideoInfo), MediaError> {
        let avi = Avi::open(path)?;
        let shown = (0..avi.frames.len() as u32).collect();
        let mut samples = Samples { source: avi.source, extents: avi.frames, packet: Vec::new() };
        let decoder = match &avi.codec.map(|c| c.to_ascii_uppercase()) {
            b"MJPG" | b"AVRN" => Decoder::Jpeg(Jpeg::new(path, samples.read(0)?, max_pixels)?),
            b"XVID" | b"DIVX" | b"DX50" | b"FMP4" | b"MP4V" => {
                Decoder::Mpeg4(Box::new(Mpeg4::new(path, &avi.headers, samples.read(0)?, false, max_pixels)?))
            }
            other => return Err(MediaError::unsupported(path, format!("video in the codec {}", other.escape_ascii()))),
        };
        Self::new(samples, shown, decoder, 0, avi.fps)
    }

    fn new(samples: Samples, shown: Vec<u32>, decoder: Decoder, start: usize, fps: f64) -> Result<(Self, VideoInfo), MediaError> {
        if shown.is_empty() {
            return Err(MediaError::damaged(samples.source.path(), "it shows no frame"));
        }
        let mut wanted = vec![false; samples.extents.len()];
        for &i in &shown {
            wanted[i as usize] = true;
        }
        let ((width, height), codec, crate_name) = match &decoder {
            Decoder::H264(h264) => (h264.size(), "h264", DECODERS[0]),
            Decoder::Mpeg4(mpeg4) => (mpeg4.size(), "mpeg4", DECODERS[1]),
            Decoder::Jpeg(jpeg) => (jpeg.size(), "mjpeg", DECODERS[2]),
        };
        let has_rate = fps.is_finite() && fps > 0. && samples.extents.len() > 1;
        let fps = if has_rate { fps } else { 25. };
        let info = VideoInfo { width, height, frames: shown.len(), fps, codec: codec.to_owned(), decoder: crate_name.to_owned() };
        let held_back = BTreeMap::new();
        Ok((Self { samples, decoder, shown, wanted, next_shown: 0, next_decoded: start, held_back }, info))
    }

    pub(crate) fn next_frame(&mut self, rgb: &mut Vec<u8>) -> Result<bool, MediaError> {
        let Some(&number) = self.shown.get(self.next_shown) else {
            return Ok(false);
        };
        let picture = loop {
            if let Some(picture) = self.held_back.remove(&number) {
                break picture;
            }
            if !self.decode_more()? {
                return Err(MediaError::frame(self.samples.source.path(), number as usize, "the decoder gave no picture for it"));
            }
            if self.held_back.len() > MAX_HELD_BACK {
                let what = format!("more than {MAX_HELD_BACK} frames precede frame {number} in the file and follow it in time");
                return Err(MediaError::damaged(self.samples.source.path(), what));
            }
        };
        self.next_shown += 1;
        match (&self.decoder, picture) {
            (Decoder::H264(h264), Picture::H264(frame)) => h264.to_rgb(number as usize, &frame, rgb)?,
            (Decoder::Mpeg4(mpeg4), Picture::Mpeg4(frame)) => mpeg4.to_rgb(number as usize, &frame, rgb)?,
            (Decoder::Jpeg(jpeg), Picture::Jpeg(frame)) => jpeg.to_rgb(number as usize, &frame, rgb)?,
            _ => return Err(MediaError::frame(self.samples.source.path(), number as usize, "the decoder gave a picture of another kind")),
        }
        Ok(true)
    }

    /// Decodes one more sample; `false` where there is none, and nothing more comes out.
    fn decode_more(&mut self) -> Result<bool, MediaError> {
        let index = self.next_decoded;
        let end = self.samples.extents.len();
        let mut out = Vec::new();
        if index < end {
            let packet = self.samples.read(index)?;
            match &mut self.decoder {
                Decoder::H264(h264) => out.push((index as u32, Picture::H264(h264.decode(index, packet)?))),
                Decoder::Mpeg4(mpeg4) => mpeg4.decode(index, packet, &mut out)?,
                Decoder::Jpeg(jpeg) => out.push((index as u32, Picture::Jpeg(jpeg.decode(index, packet)?))),
            }
        } else if let (Decoder::Mpeg4(mpeg4), true) = (&mut self.decoder, index == end) {
            mpeg4.flush(&mut out);
        } else {
            return Ok(false);
        }
        self.next_decoded += 1;
        out.retain(|(number, _)| self.wanted.get(*number as usize) == Some(&true));
        self.held_back.extend(out);
        Ok(true)
    }
}

/// The last sample, before the first one shown, at which decoding can start: a cut may begin in the middle of a group of pictures.
fn first_decodable(samples: &mut Samples, shown: &[u32], h264: &H264) -> Result<usize, MediaError> {
    let first = shown.iter().copied().min().unwrap_or(0) as usize;
    for index in (1..=first).rev() {
        if h264.starts(samples.read(index)?) {
            return Ok(index);
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::DECODERS;

    #[test]
    fn the_decoders_are_those_of_the_workspace() {
        let manifest = include_str!("../../../../Cargo.toml");
        for decoder in DECODERS {
            let (name, version) = decoder.split_once(' ').unwrap();
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            assert!(line.contains(&format!("\"={version}\"")), "{line}");
        }
    }
}
